//! Turns a case into a verdict: the rule, one sentence that says why, what to do, who is responsible, and how sure that
//! is. A rule is one file in a folder of `rules`, and its lines in the `mod.rs` there.

pub mod aftermath;
mod ends;
#[cfg(test)]
mod pages;
mod recurrence;
pub(crate) mod rules;
#[cfg(test)]
mod tests;
mod words;

pub use recurrence::{Recurrence, Recurrences};
pub use rules::{GROUPS, Page, pages};
pub use words::{address, holder, mac};

use std::rc::Rc;

use crate::{
    correlate::{Awaited, Case, Cause, Drop, Ended, NamespaceEnd, Remark},
    event::Confidence,
    fact::{ExitStatus, LinkChange, Task},
    publish,
    sentence::{Sentence, sentence},
    work::party,
};

/// What a rule says about a case that it recognises.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Name of the rule.
    pub rule: &'static str,
    /// Why, in one sentence without its full stop. Its first word has a capital, unless it is a name.
    pub cause: Sentence,
    /// What to do.
    pub remedy: Option<Remedy>,
    /// How sure it is.
    pub confidence: Confidence,
    /// Who is responsible.
    pub culprit: Option<Culprit>,
}

/// What to do, in one sentence without its full stop.
#[derive(Clone, Debug, Default)]
pub struct Remedy {
    /// How to undo the change: of no use once that is undone.
    undo: Option<Sentence>,
    /// What else to do.
    then: Option<Sentence>,
}

impl Remedy {
    /// How to undo the change, and what else to do.
    fn undo(undo: impl Into<Sentence>, then: Option<Sentence>) -> Self {
        Self { undo: Some(undo.into()), then }
    }

    /// Adds something else to do.
    fn and(self, more: Sentence) -> Self {
        Self { then: Some(Sentence::joined(self.then.into_iter().chain([more]), "; ")), ..self }
    }

    /// What to do once the change is undone.
    #[must_use]
    pub fn once_undone(self) -> Option<Sentence> {
        self.then
    }

    /// All of it.
    #[must_use]
    pub fn sentence(self) -> Sentence {
        Sentence::joined(self.undo.into_iter().chain(self.then), "; ")
    }
}

impl From<Sentence> for Remedy {
    fn from(sentence: Sentence) -> Self {
        Self { undo: None, then: Some(sentence) }
    }
}

impl From<&'static str> for Remedy {
    fn from(sentence: &'static str) -> Self {
        Sentence::from(sentence).into()
    }
}

/// The process that is responsible.
#[derive(Clone, Debug)]
pub struct Culprit {
    /// The process.
    pub task: Rc<Task>,
    /// Its end, if that was its act.
    pub ended: Option<Rc<Ended>>,
}

/// One rule.
pub struct Rule {
    /// Its name, for people and for machines.
    pub name: &'static str,
    /// Its page for people: the text of a file of `pages`.
    pub page: &'static str,
    /// Returns the verdict, if the rule recognises the case.
    pub judge: fn(&Case) -> Option<Verdict>,
}

/// Judges a case.
#[must_use]
pub fn diagnose(case: &Case) -> Verdict {
    if let Cause::GivenUp { failed, by } = &case.cause {
        return given_up(case, diagnose(failed), by);
    }
    let verdict = rules::of(case)
        .find_map(|rule| (rule.judge)(case))
        .unwrap_or_else(|| rules::rest::unknown::verdict(case));
    match words::rejoin(case) {
        Some(rejoin) => Verdict { remedy: Some(verdict.remedy.unwrap_or_default().and(rejoin)), ..verdict },
        None => verdict,
    }
}

/// The rule and the sentence for something that should have happened by now, without its full stop.
#[must_use]
pub fn remark(remark: &Remark) -> (&'static str, Sentence) {
    match remark.overdue {
        Awaited::Creation => {
            (rules::failed::not_recreated::NAME, rules::failed::not_recreated::sentence(remark))
        }
        Awaited::Free => {
            (rules::failed::reference_leak::NAME, rules::failed::reference_leak::sentence(remark))
        }
    }
}

/// What follows from a request that failed has the same reason. That whoever made the request gave up because of it is a
/// conclusion.
fn given_up(case: &Case, failed: Verdict, by: &Task) -> Verdict {
    Verdict {
        cause: sentence!(
            "{}; {} then gave it up and {}",
            failed.cause,
            words::process(by),
            words::deed(case)
        ),
        confidence: match failed.confidence {
            Confidence::Certain => Confidence::Likely,
            other => other,
        },
        ..failed
    }
}

/// Whether a change breaks a link, or is a request for one that failed. The loss of its last address of IPv4 or IPv6
/// breaks a link; link-local ones of IPv6, which the kernel itself sets, do not count. A failed creation does not break
/// one, although it ends with a deletion: its own event says more.
#[must_use]
pub fn breaks(case: &Case) -> bool {
    let undone = matches!(case.cause, Cause::CreationFailed(_)) && case.fact.change == LinkChange::Deleted;
    let is_last = case.fact.change == LinkChange::AddressRemoved && case.fact.is_last_address;
    publish::kind(case.fact.change).breaks() && !undone || is_last
}

/// Whether the change sets the link down, deletes it or removes an address.
fn takes_away(case: &Case) -> bool {
    matches!(case.fact.change, LinkChange::Down | LinkChange::Deleted | LinkChange::AddressRemoved)
}

/// The verdict that says no more than who asked for what.
fn asked(rule: &'static str, case: &Case, task: &Rc<Task>) -> Verdict {
    Verdict {
        rule,
        cause: words::who_did_what(case, task),
        remedy: None,
        confidence: Confidence::Certain,
        culprit: Some(Culprit::new(task)),
    }
}

/// Whether the task, or one that called it, is one of these programs and runs on the host. In a container it is the
/// container's business.
fn runs_on_host(case: &Case, task: &Task, names: &[&str]) -> bool {
    task.task.pidns_level == 0 && case.actor_container.is_none() && party::runs(task, names)
}

impl Culprit {
    fn new(task: &Rc<Task>) -> Self {
        Self { task: Rc::clone(task), ended: None }
    }

    fn ended(ended: &Rc<Ended>) -> Self {
        Self { task: Rc::clone(&ended.task), ended: Some(Rc::clone(ended)) }
    }
}

/// The end of a process that caused the change, by ending the namespace of the link or of its parent.
fn exit_behind(case: &Case) -> Option<&Rc<Ended>> {
    case.cause.exit()
}

/// The end of a namespace that caused the change: the link's or its parent's.
fn end_behind(case: &Case) -> Option<&NamespaceEnd> {
    case.cause.namespace_end()
}

/// How sure it is that the end of a process ended the namespace. A main process holds the namespace, and the kernel
/// drops the last reference when it cleans up after the process. But if somebody unmounts the namespace later, they may
/// have another reason. For any other process it is certain only if its own exit dropped the last reference.
fn confidence_of(case: &Case, ended: &Ended) -> Confidence {
    let Some(end) = end_behind(case) else { return Confidence::Likely };
    // The reason may be a signal that was not seen, or one that came too long before.
    let unsure = ended.kill.is_none() && (case.blind || ended.asked.is_some());
    let certain = !unsure
        && match end.drop {
            Drop::Exit => ended.is_init || end.dropper.task.process == ended.task.task.process,
            Drop::Unmount | Drop::Unknown | Drop::Unseen => false,
            Drop::Close | Drop::Switch | Drop::Deferred => {
                ended.is_init && end.unmounted.is_none_or(|unmounted| unmounted < ended.at)
            }
        };
    if certain { Confidence::Certain } else { Confidence::Likely }
}

/// Whether a signal without a sender is the process's own fault.
fn is_own_fault(signal: u8) -> bool {
    // ILL, TRAP, ABRT, BUS, FPE, SEGV, PIPE, ALRM, XCPU, XFSZ, SYS
    matches!(signal, 4 | 5 | 6 | 7 | 8 | 11 | 13 | 14 | 24 | 25 | 31)
}

/// Whether the status is that signal's.
fn ended_by(status: ExitStatus) -> Option<u8> {
    match status {
        ExitStatus::Signal(number) => Some(number),
        ExitStatus::Code(_) => None,
    }
}
