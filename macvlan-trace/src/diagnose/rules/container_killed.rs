//! A signal from outside ended the main process.

use crate::{
    diagnose::{Culprit, Rule, Verdict, confidence_of, ended_by, exit_behind, is_own_fault, words},
    event::Confidence,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "container-killed",
    page: include_str!("../pages/container-killed.md"),
    judge: |case| {
        let ended = exit_behind(case)?;
        let number = ended_by(ended.status)?;
        let (victim, signal) = (words::ended_process(case, ended), words::signal(u32::from(number)));
        let sender = ended.kill.as_ref().filter(|kill| kill.fatal).map(|kill| kill.sender.as_ref());
        let (cause, culprit, confidence) = match sender {
            Some(Some(sender)) => (
                format!("{} sent {signal} to {victim}", words::sender(sender)),
                Some(Culprit::new(sender)),
                confidence_of(case, ended),
            ),
            Some(None) => (
                format!("The kernel sent {signal} to {victim}"),
                Some(Culprit::ended(ended)),
                Confidence::Likely,
            ),
            // Its own doing: that is an exit, not a kill.
            None if is_own_fault(number) => return None,
            None => (format!("{signal} ended {victim}; who sent it was not seen"), None, Confidence::Unknown),
        };
        let core = if ended.core_dumped { ", which dumped its core" } else { "" };
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{cause}{core}{}; {}{}",
                words::after_up(case, ended.at),
                words::fate(case),
                sender.flatten().map_or("", |sender| words::client_unseen(sender)),
            ),
            remedy: Some(
                words::find_out_who(case, ended, "Find out why the culprit ends the container").into(),
            ),
            confidence,
            culprit,
        })
    },
};
