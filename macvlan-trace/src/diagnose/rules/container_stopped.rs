//! The main process was asked to end, and did so by itself, or was killed by the runtime that had asked.

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
        let by_itself = ended_by(ended.status).is_none();
        let asked = if by_itself { ended.kill.as_ref() } else { ended.asked.as_ref() }?;
        let sender = asked.sender.as_ref()?;
        let waited = words::duration(asked.at, ended.at);
        let end = match &ended.kill {
            Some(kill) if !by_itself && kill.number != asked.number => {
                format!("and {} {waited} later", words::signal(kill.number))
            }
            _ => format!("which {} {waited} later", words::how_it_ended(ended)),
        };
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{} sent {} to {}, {end}{}; {}{}",
                words::sender(sender),
                words::signal(asked.number),
                words::ended_process(case, ended),
                words::after_up(case, ended.at),
                words::fate(case),
                words::client_unseen(sender),
            ),
            remedy: Some(
                words::find_out_who(
                    case,
                    ended,
                    "Nothing, if the stop was wanted; otherwise find out who asked for it",
                )
                .into(),
            ),
            // That it left because of the signal is inferred.
            confidence: Confidence::Likely,
            culprit: Some(Culprit::new(sender)),
        })
    },
};
