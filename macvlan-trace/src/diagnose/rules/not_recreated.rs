//! A deleted link was not made again in time.

use crate::{correlate::Remark, diagnose::words};

/// The name of the rule: it is told as a remark, since nothing happens.
pub const NAME: &str = "not-recreated";

/// Its page.
pub const PAGE: &str = include_str!("../pages/not-recreated.md");

/// What is remarked.
pub fn sentence(remark: &Remark) -> String {
    let (was, has) = if remark.count() > 1 { ("were", "have") } else { ("was", "has") };
    format!(
        "{} {was} deleted {} ago and {has} not been made again.",
        words::links(remark),
        words::period(remark.waited_ns)
    )
}
