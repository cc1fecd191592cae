//! The main process was asked to end, and did so by itself.

use crate::{
    diagnose::{Culprit, Rule, Verdict, ended_by, exit_behind, words},
    event::Confidence,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "container-stopped",
    page: include_str!("../pages/container-stopped.md"),
    judge: |case| {
        let ended = exit_behind(case)?;
        let kill = ended.kill.as_ref().filter(|_| ended_by(ended.status).is_none())?;
        let sender = kill.sender.as_ref()?;
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{} sent {} to {}, which {} {} later{}; {}",
                words::sender(kill),
                words::signal(kill.number),
                words::ended_process(ended),
                words::how_it_ended(ended),
                words::duration(kill.at, ended.at),
                words::after_up(case, ended.at),
                words::fate(case),
            ),
            remedy: Some(
                "Nothing, if the stop was wanted; otherwise find out why the culprit asked for it.".into(),
            ),
            // That it left because of the signal is inferred.
            confidence: Confidence::Likely,
            culprit: Some(Culprit::new(sender)),
        })
    },
};
