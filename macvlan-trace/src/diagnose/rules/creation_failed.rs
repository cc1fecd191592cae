//! The link was made, a later step of the same request failed, and the kernel undid it.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
};

/// The name of the rule. Nothing breaks, so only `-e all` shows it.
pub const NAME: &str = "creation-failed";

/// The rule.
pub const RULE: Rule = Rule {
    name: NAME,
    page: include_str!("../pages/creation-failed.md"),
    judge: |case| {
        let Cause::CreationFailed(task) = &case.cause else { return None };
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{}{} asked for {}, which was made and undone: a later step of the same request failed",
                words::process_with_command(task),
                words::called_by(task),
                case.fact.link.name
            ),
            remedy: Some(
                "See what the request failed with: mostly an address that was taken as the link was set up, or a name \
                 that was as it was moved."
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
        fact::LinkChange,
        testing::story::{Story, macvlan, netns, path, process, running},
    };

    #[test]
    fn a_creation_that_fails_is_no_deletion_by_somebody_and_which_step_failed_is_not_said() {
        let add = running(process("ip", 951), "ip link add macvlan0 type macvlan");
        let mut story = Story::new();
        story.link(&add, LinkChange::Deleted, &macvlan("macvlan0", netns(0), 7), path::UNDO);
        story
            .tell()
            .last()
            .verdict("creation-failed", "certain")
            .culprit(&add)
            .says("/verdict/cause", "asked for macvlan0, which was made and undone: a later step");
    }
}
