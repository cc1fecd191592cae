//! A container runtime or its network plugin took the link away, and no exit or signal came first.

use crate::{
    correlate::{Case, Cause},
    diagnose::{Culprit, Rule, Verdict, words},
    enrich::runtime,
    event::Confidence,
    fact::{Container, LinkChange, Task},
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
        let (who, log, confidence) = if let Some(unit) = runtime::unit(task) {
            (
                format!("{} of {unit}", words::called_by(task)),
                format!("the log of {unit}"),
                Confidence::Certain,
            )
        } else {
            let made = format!(", which had made it for {},", words::container(customer(case, task)?));
            (made, "its log".to_owned(), Confidence::Likely)
        };
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{}{who} {}, and no end of a main process came first; who asked the runtime for it is not seen",
                words::process_with_command(task),
                words::deed(case),
            ),
            remedy: Some(
                format!(
                    "See {log} at this moment for who asked for it: a `network disconnect`, a CNI DEL, a pod that was \
                     evicted."
                )
                .into(),
            ),
            confidence,
            culprit: Some(Culprit::new(task)),
        })
    },
};

/// The container for which a process made the link that it now takes away. Whoever does so outside any unit is a runtime
/// by its deeds, whatever its name is.
fn customer<'a>(case: &'a Case, task: &Task) -> Option<&'a Container> {
    let made_it = case.life.creator.as_ref().is_some_and(|creator| creator.task.process == task.task.process);
    let own = case.actor_container.as_ref().map(|container| &container.id);
    case.victim.as_ref().filter(|victim| made_it && own != Some(&victim.id))
}
