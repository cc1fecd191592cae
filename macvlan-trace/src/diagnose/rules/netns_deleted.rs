//! Somebody gave up the last hold on the namespace, and no process had ended in it.

use crate::{
    correlate::{Drop, Trigger},
    diagnose::{Culprit, Rule, Verdict, end_behind, words},
    event::Confidence,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "netns-deleted",
    page: include_str!("../pages/netns-deleted.md"),
    judge: |case| {
        let end = end_behind(case)?;
        let (task, what, drop) = match &end.trigger {
            Trigger::Unmount(unmount) => {
                (&unmount.task, "unmounted the network namespace, whose last hold that was", Drop::Unmount)
            }
            Trigger::Close(task) => {
                (task, "closed the last descriptor of the network namespace", Drop::Close)
            }
            Trigger::Left(task) => (task, "left the network namespace as its last process", Drop::Switch),
            Trigger::Exit(_) | Trigger::Unknown => return None,
        };
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{} {what}; {}",
                words::process_with_command(task),
                words::fate(case).replace("with it, ", "by that, ")
            ),
            remedy: Some("Keep the namespace for as long as the link is needed: a name in /run/netns, or a process in it.".into()),
            // Otherwise something else held it for another moment.
            confidence: if end.drop == drop { Confidence::Certain } else { Confidence::Likely },
            culprit: Some(Culprit::new(task)),
        })
    },
};
