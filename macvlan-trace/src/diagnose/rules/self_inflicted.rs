//! Who deleted the link had made it.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    enrich::party,
    event::Confidence,
    fact::LinkChange,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "self-inflicted",
    page: include_str!("../pages/self-inflicted.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        let creator = case.life.creator.as_ref().filter(|_| case.fact.change == LinkChange::Deleted)?;
        let same_process = creator.task.process == task.task.process;
        // Not two sessions of a login service, nor two people.
        let same_service =
            party::service(task).is_some() && task.tty.is_none() && task.cgroup.path == creator.cgroup.path;
        if !(same_process || same_service) {
            return None;
        }
        let who = party::unit(task)
            .filter(|_| !same_process)
            .map_or_else(String::new, |unit| format!(" of {unit}"));
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{}{who} deleted {}, which {} had made itself{}",
                words::process_with_command(task),
                case.fact.link.name,
                if same_process { "it" } else { "that service" },
                words::after_created(case),
            ),
            remedy: Some(
                "See its log and configuration: a reload that no longer names the link is the usual reason."
                    .into(),
            ),
            // Of a service it may have been another part that made it.
            confidence: if same_process { Confidence::Certain } else { Confidence::Likely },
            culprit: Some(Culprit::new(task)),
        })
    },
};
