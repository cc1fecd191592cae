//! Memory ran out, and the kernel killed the main process.

use crate::diagnose::{Culprit, Rule, Verdict, confidence_of, exit_behind, words};

/// The rule.
pub const RULE: Rule = Rule {
    name: "out-of-memory",
    page: include_str!("../pages/out-of-memory.md"),
    judge: |case| {
        let ended = exit_behind(case)?;
        let oom = ended.oom.as_ref()?;
        let place = match &oom.limit {
            Some(limit) => match &limit.path {
                // The container's name says more than the path that has its id.
                Some(_)
                    if limit.path == ended.task.cgroup.path && words::container_of(case, ended).is_some() =>
                {
                    "in its control group, whose limit was reached,".to_owned()
                }
                Some(path) => format!("in the control group {path}, whose limit was reached,"),
                None => "in a control group whose limit was reached".to_owned(),
            },
            None => "on the machine".to_owned(),
        };
        let killed = if oom.chosen { "killed" } else { "killed, with another process of its group," };
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "Memory ran out {place} and the kernel {killed} {}{}; {}",
                words::ended_process(case, ended),
                words::after_up(case, ended.at),
                words::fate(case),
            ),
            remedy: Some(
                "Give the container more memory (`docker run --memory`, `MemoryMax=`, the pod's limits), or find out \
                 what uses it up."
                    .into(),
            ),
            confidence: confidence_of(case, ended),
            culprit: Some(Culprit::ended(ended)),
        })
    },
};
