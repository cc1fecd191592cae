//! Somebody gave up the last hold on the namespace, and no process had ended in it.

use crate::{
    correlate::Trigger,
    diagnose::{Culprit, Rule, Verdict, trigger_behind, words},
    event::Confidence,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "netns-deleted",
    judge: |case| {
        let (task, what) = match trigger_behind(case)? {
            Trigger::Unmount(task) => (task, "unmounted the network namespace, whose last hold that was"),
            Trigger::Close(task) => (task, "closed the last descriptor of the network namespace"),
            Trigger::Left(task) => (task, "left the network namespace as its last process"),
            Trigger::Exit(_) | Trigger::Unknown => return None,
        };
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{} {what}; {}",
                words::process_with_command(task),
                words::fate(case).replace("with it, ", "by that, ")
            ),
            remedy: Some(
                "Keep the namespace for as long as the link is needed: a name in /run/netns, or a process in it.",
            ),
            confidence: Confidence::Certain,
            culprit: Some(Culprit::new(task)),
        })
    },
};
