//! The driver was unloaded; live links do not keep it.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "module-unloaded",
    page: include_str!("../pages/module-unloaded.md"),
    judge: |case| {
        let Cause::ModuleUnloaded(task) = &case.cause else { return None };
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{} unloaded the driver of {}, which deletes all its links",
                words::process_with_command(task),
                case.fact.link.name
            ),
            remedy: Some(
                "Do not unload macvlan or macvtap while links exist: the kernel does not refuse it.".into(),
            ),
            confidence: Confidence::Certain,
            culprit: Some(Culprit::new(task)),
        })
    },
};
