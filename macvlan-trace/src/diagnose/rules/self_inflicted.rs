//! Who broke the link had made it.

use super::network_manager;
use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    enrich::{party, runtime},
    event::Confidence,
    fact::LinkChange,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "self-inflicted",
    page: include_str!("../pages/self-inflicted.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        let breaks =
            matches!(case.fact.change, LinkChange::Down | LinkChange::Deleted | LinkChange::AddressRemoved);
        let creator = case.life.creator.as_ref().filter(|_| breaks)?;
        // A runtime makes links for others, even where it is not known for whom this one was.
        if runtime::works_for_one(task) {
            return None;
        }
        let same_process = creator.task.process == task.task.process;
        // Not two sessions of a login service, nor two people.
        let same_service =
            party::service(task).is_some() && task.tty.is_none() && task.cgroup.path == creator.cgroup.path;
        if !(same_process || same_service) {
            return None;
        }
        let unit = party::service(task);
        let who = unit.as_ref().map_or_else(String::new, |unit| format!(" of {unit}"));
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{}{who} {}, which {} had made itself{}",
                words::process_with_command(task),
                words::deed(case),
                if same_process { "it" } else { "that service" },
                words::after_created(case),
            ),
            remedy: Some(
                format!(
                    "See its log and configuration: a reload that no longer names the link is the usual reason{}.",
                    network_manager::whence(task, &case.fact.link.name)
                )
                .into(),
            ),
            // Of a service it may have been another part that made it.
            confidence: if same_process { Confidence::Certain } else { Confidence::Likely },
            culprit: Some(Culprit::new(task)),
        })
    },
};
