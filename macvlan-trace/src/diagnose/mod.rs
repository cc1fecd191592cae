//! From a case to a verdict: which rule it is, one sentence that says why, what to do, who is responsible, and how
//! sure that is. A rule is one file in `rules` and one line in [`RULES`].

mod rules;
mod words;

use std::rc::Rc;

use crate::{
    correlate::{Case, Cause, Ended, Trigger},
    event::Confidence,
    fact::{ExitStatus, LinkChange, Task},
};

/// What a rule says about a case that it recognises.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Name of the rule.
    pub rule: &'static str,
    /// Why, in one sentence.
    pub cause: String,
    /// What to do, in one sentence.
    pub remedy: Option<&'static str>,
    /// How sure it is.
    pub confidence: Confidence,
    /// Who is responsible.
    pub culprit: Option<Culprit>,
}

/// The process that is responsible.
#[derive(Clone, Debug)]
pub struct Culprit {
    /// The process.
    pub task: Rc<Task>,
    /// Its end, where that is what it did.
    pub ended: Option<Rc<Ended>>,
}

/// One rule.
pub struct Rule {
    /// Its name, for people and for machines.
    pub name: &'static str,
    /// The verdict, if the case is one of its kind.
    pub judge: fn(&Case) -> Option<Verdict>,
}

/// The rules; the first that recognises a case decides. A cause comes before a mechanism.
pub const RULES: &[Rule] = &[
    rules::unattributed::RULE,
    rules::container_killed::RULE,
    rules::container_stopped::RULE,
    rules::container_exited::RULE,
    rules::netns_deleted::RULE,
    rules::parent_deleted::RULE,
    rules::module_unloaded::RULE,
    rules::direct::RULE,
];

/// Judges a case.
#[must_use]
pub fn diagnose(case: &Case) -> Verdict {
    RULES.iter().find_map(|rule| (rule.judge)(case)).unwrap_or_else(|| rules::unknown::verdict(case))
}

impl Culprit {
    fn new(task: &Rc<Task>) -> Self {
        Self { task: Rc::clone(task), ended: None }
    }

    fn ended(ended: &Rc<Ended>) -> Self {
        Self { task: Rc::clone(&ended.task), ended: Some(Rc::clone(ended)) }
    }
}

/// The end of a process that brought the change about, through a namespace of the link's or of its parent's.
fn exit_behind(case: &Case) -> Option<&Rc<Ended>> {
    match trigger_behind(case)? {
        Trigger::Exit(ended) => Some(ended),
        _ => None,
    }
}

/// What ended the namespace whose end brought the change about.
fn trigger_behind(case: &Case) -> Option<&Trigger> {
    let end = match &case.cause {
        Cause::NamespaceEnded(end) => end,
        Cause::ParentDeleted { by, .. } => match &**by {
            Cause::NamespaceEnded(end) => end,
            _ => return None,
        },
        _ => return None,
    };
    Some(&end.trigger)
}

/// How sure it is that the end of a process ended the namespace: an init's end is the end of all that it holds; for
/// another process it is so if its own exit dropped the last reference.
fn confidence_of(case: &Case, ended: &Ended) -> Confidence {
    let direct = match &case.cause {
        Cause::NamespaceEnded(end) => end.drop == crate::correlate::Drop::Exit,
        _ => false,
    };
    if ended.is_init || direct { Confidence::Certain } else { Confidence::Likely }
}

/// Whether a signal that nobody was seen sending is the process's own fault.
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

/// Whether the change is one that a process can ask for.
fn is_request(change: LinkChange) -> bool {
    !matches!(change, LinkChange::UnseenDown | LinkChange::UnseenDeleted)
}
