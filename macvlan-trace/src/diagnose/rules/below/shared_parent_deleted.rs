//! The link below was deleted although links of several network namespaces stood on it.

use super::parent_deleted;
use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    sentence::{Part, sentence},
    work::runtime,
};

/// What to do where a runtime deleted it.
const OF_RUNTIME: &str = "Make the parent yourself, outside the runtime, and name it in each network that uses it: a \
                          runtime removes a parent that it has made with the first network that goes";

/// The rule.
pub const RULE: Rule = Rule {
    name: "shared-parent-deleted",
    page: include_str!("../../pages/shared-parent-deleted.md"),
    judge: |case| {
        let (Cause::ParentDeleted { parent, .. }, Cause::Request(task)) = (&case.cause, case.cause.root())
        else {
            return None;
        };
        (case.siblings.namespaces > 1).then(|| Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{} removed {}{}, the parent of {} links in {} network namespaces, {} among them",
                words::who(task),
                words::taken_along(&case.cause.deleted()),
                Part::device(&parent.name),
                Part::Number(case.siblings.links as u64),
                Part::Number(case.siblings.namespaces as u64),
                Part::link(&case.fact.link.name),
            ),
            remedy: Some(
                if runtime::works_for_one(task) { OF_RUNTIME } else { parent_deleted::REMEDY }.into(),
            ),
            confidence: Confidence::Certain,
            culprit: Some(Culprit::new(task)),
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::{
        fact::LinkChange,
        testing::story::{
            Story,
            cast::{dockerd, eth0, ip, setup},
            macvlan, netns, path,
        },
    };

    #[test]
    fn a_parent_under_several_namespaces_is_told_as_shared() {
        for (by, remedy) in [
            (ip("ip link del eth0"), "Create the link again once its parent is back"),
            (dockerd(), "Make the parent yourself, outside the runtime"),
        ] {
            let mut story = Story::new();
            let children =
                [1, 2].map(|number| macvlan(&format!("macvlan{number}"), netns(number), 6 + number));
            for child in &children {
                story.creates(&setup(), child);
            }
            for child in children {
                story.link(&by, LinkChange::Deleted, &child.losing_parent(eth0()), path::CASCADE);
            }
            let told = story.tell();
            for deleted in &told.events()[2..] {
                deleted.verdict("shared-parent-deleted", "certain").culprit(&by);
                deleted.says("/verdict/cause", "eth0, the parent of 2 links in 2 network namespaces");
                deleted.says("/verdict/remedy", remedy);
            }
        }
    }
}
