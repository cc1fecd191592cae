//! The link below was moved to another network namespace, which closed it.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    fact::LinkChange,
    sentence::{Part, sentence},
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "parent-moved",
    page: include_str!("../../pages/parent-moved.md"),
    judge: |case| {
        let Cause::ParentChanged(change) = &case.cause else { return None };
        let Cause::Request(task) = &change.by else { return None };
        (change.change == LinkChange::Moved).then(|| Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{} moved the parent {} of {} to another network namespace, where it is down",
                words::who(task),
                Part::device(&change.parent.name),
                Part::link(&case.fact.link.name),
            ),
            remedy: Some("Move the parent back, and set it up".into()),
            confidence: Confidence::Certain,
            culprit: Some(Culprit::new(task)),
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::{
        fact::{Link, LinkChange, LinkFact, What},
        testing::story::{
            Macvlan, Story,
            cast::{eth0, ip},
            macvlan, netns,
        },
    };

    #[test]
    fn a_parent_that_moves_breaks_its_children_only_if_it_was_up() {
        for (flags, wanted) in [(0x1003, 1), (0x1002, 0)] {
            let mut child = macvlan("macvlan0", netns(0), 7);
            child.parent = Some(Link { flags, ..eth0() });
            let moved = Link { netns: Some(netns(1)), ifindex: 5, flags: 0x1002, ..eth0() };
            let mut story = Story::new();
            story.creates(&ip("ip link add"), &child).wait_ms(5);
            let mover = ip("ip link set eth0 netns x");
            let device = Macvlan { link: moved, parent: None };
            let fact = LinkFact { from: Some((netns(0), 2)), ..device.fact(LinkChange::Moved, &mover, &[]) };
            let told = story.fact(What::Parent(Box::new(fact))).tell();
            let events = told.events();
            let downs = events.iter().filter(|event| event.record["event"] == "parent_down").count();
            assert_eq!(downs, wanted, "{told}");
            if wanted == 1 {
                told.last()
                    .verdict("parent-moved", "certain")
                    .is("/culprit/comm", "ip")
                    .steps(&["parent_moved"]);
            }
        }
    }
}
