//! The link below was deleted, and the kernel deletes what stands on it.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "parent-deleted",
    page: include_str!("../pages/parent-deleted.md"),
    judge: |case| {
        let Cause::ParentDeleted { parent, by } = &case.cause else { return None };
        let Cause::Request(task) = &**by else { return None };
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{}{} removed the parent {} of {}, which went with it",
                words::process_with_command(task),
                words::called_by(task),
                parent.name,
                case.fact.link.name,
            ),
            remedy: Some("Create the link again once its parent is back; keep whatever restarts the network from deleting a \
                 parent in use.".into()),
            confidence: Confidence::Certain,
            culprit: Some(Culprit::new(task)),
        })
    },
};
