//! The link below was set down: what stands on it keeps its flags and carries nothing.

use super::network_manager;
use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    fact::LinkChange,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "parent-down",
    page: include_str!("../pages/parent-down.md"),
    judge: |case| {
        let Cause::ParentChanged(change) = &case.cause else { return None };
        if case.fact.change != LinkChange::ParentDown || change.change != LinkChange::Down {
            return None;
        }
        let (parent, link) = (&change.parent.name, &case.fact.link.name);
        let Cause::Request(task) = &change.by else {
            return Some(Verdict {
                rule: RULE.name,
                cause: format!(
                    "The kernel closed the parent {parent} of {link} by itself; no process did this"
                ),
                remedy: None,
                confidence: Confidence::Likely,
                culprit: None,
            });
        };
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{}{} set the parent {parent} of {link} down",
                words::process_with_command(task),
                words::called_by(task),
            ),
            remedy: Some(
                format!(
                    "`ip link set {} up` where the parent is; and keep whatever restarts it from doing so while links \
                     stand on it{}.",
                    words::plain(parent),
                    network_manager::whence(task, parent)
                )
                .into(),
            ),
            confidence: Confidence::Certain,
            culprit: Some(Culprit::new(task)),
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::{
        correlate::story::{
            Macvlan, Story,
            cast::{eth0, ip, link, of_unit},
            macvlan, netns, nic,
        },
        fact::LinkChange,
    };

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
