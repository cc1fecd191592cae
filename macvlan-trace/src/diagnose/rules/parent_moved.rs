//! The link below went to another network namespace, and was closed on its way.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    fact::LinkChange,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "parent-moved",
    page: include_str!("../pages/parent-moved.md"),
    judge: |case| {
        let Cause::ParentChanged(change) = &case.cause else { return None };
        let Cause::Request(task) = &change.by else { return None };
        (change.change == LinkChange::Moved).then(|| Verdict {
            rule: RULE.name,
            cause: format!(
                "{}{} moved the parent {} of {} to another network namespace, where it is down",
                words::process_with_command(task),
                words::called_by(task),
                change.parent.name,
                case.fact.link.name,
            ),
            remedy: Some("Move the parent back, and set it up.".into()),
            confidence: Confidence::Certain,
            culprit: Some(Culprit::new(task)),
        })
    },
};
