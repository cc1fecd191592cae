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

#[cfg(test)]
mod tests {
    use crate::correlate::story::{
        cast::{ip, link},
        macvlan, netns,
    };

    #[test]
    fn a_deleted_link_is_missed_once_and_only_if_it_stays_away() {
        let (mut story, link) = link();
        let other = macvlan("macvlan1", netns(0), 8);
        story.creates(&ip("ip"), &other).deletes(&ip("ip"), &link).deletes(&ip("ip"), &other).wait_ms(1_000);
        story.creates(&ip("ip"), &macvlan("macvlan1", netns(0), 9));
        let told = story.ticks_after_ms(28_000).ticks_after_ms(2_000).ticks_after_ms(60_000).tell();
        let notices = told.notices();
        assert_eq!(notices.len(), 1, "{told}");
        assert_eq!(notices[0]["rule"], "not-recreated", "{told}");
        assert!(
            notices[0]["message"]
                .as_str()
                .is_some_and(|text| text.starts_with("macvlan0 was deleted 31.0 s ago"))
        );
    }
}
