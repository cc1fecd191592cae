//! The link is not gone: it lives in another network namespace.

use crate::{
    correlate::Cause,
    diagnose::{Rule, asked},
    fact::LinkChange,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "moved",
    page: include_str!("../pages/moved.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        (case.fact.change == LinkChange::Moved).then(|| asked(RULE.name, case, task))
    },
};
