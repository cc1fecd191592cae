//! Numbers incidents: what has one cause has one number.

use std::collections::HashMap;

use super::{Cause, Life, ParentChange, links::Siblings};
use crate::{
    fact::{Ktime, ProcessId, Task},
    work::party,
};

/// Incidents that may still grow; the oldest is forgotten first.
const MAX_OPEN: usize = 4096;

/// After so long a pause the same process's work on a link is another incident.
const PAUSE_NS: u64 = 120_000_000_000;

/// What makes two cases one incident.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// The end of a namespace, or of its main process.
    Namespace(u64),
    /// A change of a parent.
    ParentChange(u64),
    /// The end of a parent, by its device and index, and who removed it.
    Parent(Option<u64>, u32, ProcessId),
    /// A module, and who unloaded it.
    Module(ProcessId),
    /// A link since it last came up, and who works on it, through others or not.
    Link(u64, u64, ProcessId),
}

impl Key {
    /// The key of a case.
    pub fn of(actor: &Task, life: &Life, cause: &Cause, reaction: Option<&ParentChange>) -> Self {
        let process = actor.task.process;
        if let Some(end) = cause.namespace_end() {
            return Self::Namespace(end.generation);
        }
        match cause {
            Cause::Cleanup { generation, .. } => Self::Namespace(*generation),
            Cause::ParentDeleted { parent, .. } => Self::Parent(parent.dev, parent.ifindex, process),
            Cause::ParentChanged(change) => Self::ParentChange(change.id),
            Cause::ModuleUnloaded(_) => Self::Module(process),
            _ => match reaction {
                Some(lost) => Self::ParentChange(lost.id),
                None => Self::Link(life.id, life.ups, party::job(actor)),
            },
        }
    }
}

/// An incident under way.
#[derive(Clone, Copy)]
pub struct Incident {
    /// Its number.
    pub number: u64,
    /// The links that it is about, where a parent went: counted when the first of them did.
    pub siblings: Siblings,
    /// When it was added to last.
    last_at: Ktime,
}

/// The incidents so far.
#[derive(Default)]
pub struct Incidents {
    last: u64,
    open: HashMap<Key, Incident>,
}

impl Incidents {
    /// The incident of a key; where it is new, `siblings` counts whom it is about.
    pub fn of(&mut self, key: Key, at: Ktime, siblings: impl FnOnce() -> Siblings) -> Incident {
        if let Some(incident) = self.open.get_mut(&key) {
            // What a daemon does to a link today is another story than what it did yesterday.
            let goes_on =
                !matches!(key, Key::Link(..)) || at.0.saturating_sub(incident.last_at.0) <= PAUSE_NS;
            if goes_on {
                incident.last_at = at;
                return *incident;
            }
        }
        if self.open.len() >= MAX_OPEN {
            let oldest = self.last.saturating_sub(MAX_OPEN as u64 / 2);
            self.open.retain(|_, incident| incident.number > oldest);
        }
        self.last += 1;
        let incident = Incident { number: self.last, siblings: siblings(), last_at: at };
        self.open.insert(key, incident);
        incident
    }
}
