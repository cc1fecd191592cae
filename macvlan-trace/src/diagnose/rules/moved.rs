//! The link is not gone: it lives in another network namespace.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    fact::LinkChange,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "moved",
    page: include_str!("../pages/moved.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        (case.fact.change == LinkChange::Moved).then(|| Verdict {
            rule: RULE.name,
            cause: format!(
                "{}{} {}",
                words::process_with_command(task),
                words::called_by(task),
                words::deed(case)
            ),
            remedy: None,
            confidence: Confidence::Certain,
            culprit: Some(Culprit::new(task)),
        })
    },
};
