//! The memory of a deleted link is still in use: the kernel leaks a reference.

use crate::{correlate::Remark, diagnose::words};

/// The name of the rule: it is told as a remark, since nothing happens.
pub const NAME: &str = "reference-leak";

/// Its page.
pub const PAGE: &str = include_str!("../pages/reference-leak.md");

/// What is remarked.
pub fn sentence(remark: &Remark) -> String {
    let (was, has) = if remark.count() > 1 { ("were", "have") } else { ("was", "has") };
    format!(
        "{} {was} deleted {} ago and {has} not been freed: something in the kernel still holds a reference, and whoever \
         waits for the deletion hangs.",
        words::links(remark),
        words::period(remark.waited_ns)
    )
}
