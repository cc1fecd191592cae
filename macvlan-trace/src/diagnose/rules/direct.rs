//! A process asked for it.

use crate::{
    correlate::Cause,
    diagnose::{Rule, asked},
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
        Some(asked(RULE.name, case, task))
    },
};
