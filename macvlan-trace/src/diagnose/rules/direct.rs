//! A process asked for it.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, is_request, words},
    event::Confidence,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "direct",
    page: include_str!("../pages/direct.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        is_request(case.fact.change).then(|| Verdict {
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
