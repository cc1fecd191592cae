//! A signal ended the main process, and the namespace with it.

use crate::{
    diagnose::{Culprit, Rule, Verdict, confidence_of, ended_by, exit_behind, is_own_fault, words},
    event::Confidence,
};

const REMEDY: &str =
    "Find out why the culprit ends the container; the link lives only as long as its main process.";

/// The rule.
pub const RULE: Rule = Rule {
    name: "container-killed",
    page: include_str!("../pages/container-killed.md"),
    judge: |case| {
        let ended = exit_behind(case)?;
        let number = ended_by(ended.status)?;
        let (victim, signal) = (words::ended_process(ended), words::signal(u32::from(number)));
        let (cause, culprit, confidence) = match ended.kill.as_ref().filter(|kill| kill.fatal) {
            Some(kill) => match &kill.sender {
                Some(sender) => (
                    format!("{} sent {signal} to {victim}", words::sender(kill)),
                    Some(Culprit::new(sender)),
                    confidence_of(case, ended),
                ),
                None => (
                    format!("The kernel sent {signal} to {victim}"),
                    Some(Culprit::ended(ended)),
                    Confidence::Likely,
                ),
            },
            // Its own doing: that is an exit, not a kill.
            None if is_own_fault(number) => return None,
            None => (format!("{signal} ended {victim}; who sent it was not seen"), None, Confidence::Unknown),
        };
        let core = if ended.core_dumped { ", which dumped its core" } else { "" };
        Some(Verdict {
            rule: RULE.name,
            cause: format!("{cause}{core}{}; {}", words::after_up(case, ended.at), words::fate(case)),
            remedy: Some(REMEDY.into()),
            confidence,
            culprit,
        })
    },
};
