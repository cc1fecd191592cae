//! A deleted link was not made again in time.

use crate::{
    correlate::Remark,
    diagnose::words,
    sentence::{Period, Sentence, sentence},
};

/// The name of the rule, whose verdict is a remark: there is no event.
pub const NAME: &str = "not-recreated";

/// Its page.
pub const PAGE: &str = include_str!("../../pages/not-recreated.md");

/// The sentence of the remark, without its full stop.
pub fn sentence(remark: &Remark) -> Sentence {
    let (was, has) = if remark.count() > 1 { ("were", "have") } else { ("was", "has") };
    sentence!(
        "{} {} deleted {} ago and {} not been made again",
        words::links(remark),
        was,
        Period(remark.waited_ns),
        has
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::story::{
        Story,
        cast::{ip, link},
        in_cgroup, init, macvlan, netns,
    };

    #[test]
    fn of_links_with_one_name_the_one_that_is_made_again_is_not_missed() {
        let of = |digit: &str| format!("/docker/{}", digit.repeat(64));
        let eth0 = |number: u32, ifindex: u32, mac: u8| {
            let mut link = macvlan("eth0", netns(number), ifindex);
            link.link.mac = Some([2, 66, 0, 0, 0, mac]);
            link
        };
        let (web, db) = (eth0(1, 7, 1), eth0(2, 8, 2));
        // The link that comes back is known by its address, by its container, or by neither.
        for (back, known, missed) in
            [(eth0(3, 9, 1), "", 1), (eth0(3, 9, 2), "", 0), (eth0(3, 9, 3), "a", 1), (eth0(3, 9, 3), "", 0)]
        {
            let mut story = Story::new();
            for (link, number, pid, digit) in [(&web, 1, 812, "a"), (&db, 2, 830, "b")] {
                story.creates(&ip("ip"), link);
                story.found_in(netns(number), &in_cgroup(init("sh", pid), &of(digit)));
            }
            story.deletes(&ip("ip"), &web).wait_ms(1_000).deletes(&ip("ip"), &db).wait_ms(1_000);
            if !known.is_empty() {
                story.found_in(netns(3), &in_cgroup(init("sh", 850), &of(known)));
            }
            let told = story.creates(&ip("ip"), &back).ticks_after_ms(60_000).tell();
            let [notice] = &told.notices()[..] else { panic!("one is missed: {told}") };
            let deleted: Vec<_> =
                told.events().into_iter().filter(|event| event.record["event"] == "deleted").collect();
            assert_eq!(notice["incident"], deleted[missed].record["incident"], "{told}");
            let whose = format!("eth0 of container {} was deleted", ["a", "b"][missed].repeat(12));
            assert!(notice["message"].as_str().is_some_and(|text| text.starts_with(&whose)), "{told}");
        }
    }

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
            notices[0]["message"].as_str().is_some_and(|text| text.starts_with("macvlan0 was deleted 30."))
        );
    }
}
