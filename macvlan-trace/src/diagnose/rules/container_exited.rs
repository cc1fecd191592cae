//! The main process ended by itself, and the namespace with it.

use crate::diagnose::{Culprit, Rule, Verdict, confidence_of, exit_behind, words};

/// The rule.
pub const RULE: Rule = Rule {
    name: "container-exited",
    page: include_str!("../pages/container-exited.md"),
    judge: |case| {
        let ended = exit_behind(case)?;
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{} {}{}; {}",
                words::ended_process_first(case, ended),
                words::how_it_ended(ended),
                words::after_up(case, ended.at),
                words::fate(case),
            ),
            remedy: Some("Give the container a main process that stays, for example `exec sleep infinity` as its last command.".into()),
            confidence: confidence_of(case, ended),
            culprit: Some(Culprit::ended(ended)),
        })
    },
};
