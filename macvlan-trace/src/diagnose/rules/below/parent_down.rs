//! The link below was set down: the links on it keep their flags, but carry nothing.

use crate::diagnose::rules::actors::network_manager;
use crate::{
    correlate::{Cause, ParentChange},
    diagnose::{Culprit, Remedy, Rule, Verdict, words},
    event::Confidence,
    fact::{Link, LinkChange},
    sentence::{Part, sentence},
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "parent-down",
    page: include_str!("../../pages/parent-down.md"),
    judge: |case| {
        let Cause::ParentChanged(change) = &case.cause else { return None };
        if case.fact.change != LinkChange::ParentDown || change.change != LinkChange::Down {
            return None;
        }
        let (parent, link) = (Part::device(&change.parent.name), Part::link(&case.fact.link.name));
        let Cause::Request(task) = &change.by else {
            return Some(Verdict {
                rule: RULE.name,
                cause: sentence!(
                    "The kernel closed the parent {} of {} by itself, and what began that was not seen",
                    parent,
                    link
                ),
                remedy: Some(Remedy::undo(
                    sentence!("`ip link set {} up` where the parent is", words::plain(&change.parent.name)),
                    None,
                )),
                confidence: Confidence::Likely,
                culprit: None,
            });
        };
        let (deed, up, place) = match below_that_took_it(change) {
            Some(below) => (
                sentence!(
                    "set {} down, and with that {}, the parent of {}",
                    Part::device(&below.name),
                    parent.clone(),
                    link
                ),
                &below.name,
                sentence!("that is, which brings {} up too", parent),
            ),
            None => (
                sentence!("set the parent {} of {} down", parent, link),
                &change.parent.name,
                sentence!("the parent is"),
            ),
        };
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!("{} {}", words::who(task), deed),
            remedy: Some(Remedy::undo(
                sentence!("`ip link set {} up` where {}", words::plain(up), place),
                Some(sentence!(
                    "keep whatever restarts it from doing so while links stand on it{}",
                    network_manager::whence(task, up)
                )),
            )),
            confidence: Confidence::Certain,
            culprit: Some(Culprit::new(task)),
        })
    },
};

/// The device below a VLAN, if the VLAN went down with it: `vlan_device_event` closes VLANs with their device, on 7.x
/// in a worker (`vlan_dev_work`), and sets them up again with it. Until then, `vlan_dev_open` refuses to set a VLAN up,
/// with ENETDOWN.
fn below_that_took_it(change: &ParentChange) -> Option<&Link> {
    let below = change.below.as_ref().filter(|below| !below.is_up())?;
    change.path.takes_vlans_along().then_some(below)
}

#[cfg(test)]
mod tests {
    use crate::{
        fact::{Link, LinkChange},
        testing::story::{
            Macvlan, Story,
            cast::{eth0, ip, link, of_unit, setup},
            macvlan, netns, nic, worker,
        },
        text::Text,
    };

    #[test]
    fn a_device_that_takes_its_vlan_along_is_what_is_to_be_set_up() {
        let vlan = Link { kind: Some(Text::from("vlan")), ..nic("vlan10", netns(0), 5) };
        let down = Link { flags: 0x1002, ..eth0() };
        let (closes, asks) = (["dev_close_many", "vlan_device_event"], ["netif_change_flags", "do_setlink"]);
        for (below, path, cause, remedy) in [
            (
                &down,
                &closes,
                "set eth0 down, and with that vlan10, the parent of macvlan0",
                "`ip link set eth0 up`",
            ),
            (&eth0(), &asks, "set the parent vlan10 of macvlan0 down", "`ip link set vlan10 up`"),
            // A VLAN with a loose binding outlives its device, and is set down by itself.
            (&down, &asks, "set the parent vlan10 of macvlan0 down", "`ip link set vlan10 up`"),
        ] {
            let mut link = macvlan("macvlan0", netns(0), 7);
            link.parent = Some(vlan.clone());
            let mut story = Story::new();
            story.creates(&setup(), &link).sets_up(&setup(), &link);
            let told = story.parent(&ip("ip link set"), LinkChange::Down, &vlan, Some(below), path).tell();
            told.last()
                .verdict("parent-down", "certain")
                .says("/verdict/cause", cause)
                .says("/verdict/remedy", remedy);
        }
    }

    #[test]
    fn a_worker_that_passes_a_change_on_to_a_vlan_leads_to_who_made_it() {
        let vlan = Link { kind: Some(Text::from("vlan")), ..nic("vlan10", netns(0), 5) };
        let down = Link { flags: 0x1002, ..eth0() };
        let path = ["netif_change_flags", "vlan_dev_work", "process_one_work"];
        let mut link = macvlan("macvlan0", netns(0), 7);
        link.parent = Some(vlan.clone());
        for (waited, known) in [(20, true), (60_000, false)] {
            let mut story = Story::new();
            let by = ip("ip link set eth0 down");
            story.creates(&setup(), &link).sets_up(&setup(), &link);
            story.parent(&by, LinkChange::Down, &down, None, &[]).wait_ms(waited);
            let told = story.parent(&worker(), LinkChange::Down, &vlan, Some(&down), &path).tell();
            if known {
                told.last()
                    .verdict("parent-down", "certain")
                    .culprit(&by)
                    .says("/verdict/cause", "set eth0 down, and with that vlan10, the parent of macvlan0");
            } else {
                told.last().verdict("parent-down", "likely").nobody();
            }
        }
    }

    #[test]
    fn a_parent_that_goes_down_is_an_event_of_each_child_and_one_incident() {
        let mut story = Story::new();
        for index in [7, 8] {
            let link = macvlan(&format!("macvlan{index}"), netns(0), index);
            story.creates(&ip("ip link add"), &link);
        }
        let stranger = Macvlan { parent: Some(nic("eth1", netns(0), 3)), ..macvlan("other", netns(0), 9) };
        story.creates(&ip("ip link add"), &stranger).wait_ms(10);
        let told = story.parent(&ip("ip link set eth0 down"), LinkChange::Down, &eth0(), None, &[]).tell();
        let events = told.events();
        let downs: Vec<_> = events.iter().filter(|event| event.record["event"] == "parent_down").collect();
        let names: Vec<_> = downs.iter().map(|event| event.record["link"]["name"].clone()).collect();
        assert_eq!(names, ["macvlan7", "macvlan8"], "{told}");
        assert_eq!(downs[0].record["incident"], downs[1].record["incident"], "{told}");
        told.last().verdict("parent-down", "certain").is("/culprit/comm", "ip").steps(&["parent_down"]);
    }

    #[test]
    fn a_manager_that_sets_the_parent_down_is_told_with_where_it_says_why() {
        let (mut story, _) = link();
        let manager = of_unit("systemd-networkd.service", 500);
        let told = story.parent(&manager, LinkChange::Down, &eth0(), None, &[]).tell();
        told.last().verdict("parent-down", "certain").says("/verdict/remedy", "`networkctl status eth0`");
    }
}
