//! Two parties manage one link: what the one sets up, the other sets down, again and again.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    enrich::party,
    event::Confidence,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "two-managers",
    page: include_str!("../pages/two-managers.md"),
    judge: |case| {
        let rivals = case.rivals.as_ref()?;
        let Cause::Request(task) = &case.cause else { return None };
        let is_program = party::service(task).is_some() || party::service(&rivals.upper).is_some();
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{} set {} down and {} sets it up: they undid each other {} times, once in {}",
                words::process_with_command(task),
                case.fact.link.name,
                words::process_with_command(&rivals.upper),
                rivals.rounds,
                words::period(rivals.period_ns),
            ),
            remedy: Some(
                "Let only one of them manage the link: inside the container or on the host, not both.".into(),
            ),
            // Two sessions may be one person's.
            confidence: if is_program { Confidence::Certain } else { Confidence::Likely },
            culprit: Some(Culprit::new(task)),
        })
    },
};
