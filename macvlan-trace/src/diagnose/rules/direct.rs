//! A process asked for it.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "direct",
    page: include_str!("../pages/direct.md"),
    judge: |case| {
        let task = match &case.cause {
            Cause::Request(task) => task,
            Cause::ParentChanged(change) => match &change.by {
                Cause::Request(task) => task,
                _ => return None,
            },
            _ => return None,
        };
        Some(Verdict {
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
