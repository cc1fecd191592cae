//! A container runtime or its network plugin took the link away, and no exit or signal came first.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    enrich::runtime,
    event::Confidence,
    fact::LinkChange,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "runtime-teardown",
    page: include_str!("../pages/runtime-teardown.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        if !matches!(case.fact.change, LinkChange::Down | LinkChange::Deleted) {
            return None;
        }
        let unit = runtime::unit(task)?;
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{}{} of {unit} {}, and no end of a main process came first; who asked the runtime for it is not seen",
                words::process_with_command(task),
                words::called_by(task),
                words::deed(case),
            ),
            remedy: Some(
                format!(
                    "See the log of {unit} at this moment for who asked for it: a `network disconnect`, a CNI DEL, a \
                     pod that was evicted."
                )
                .into(),
            ),
            confidence: Confidence::Certain,
            culprit: Some(Culprit::new(task)),
        })
    },
};
