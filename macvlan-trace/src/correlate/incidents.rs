//! Numbers incidents: what has one cause has one number.

use std::collections::HashMap;

use super::{Cause, Life, links::Siblings};
use crate::fact::{LinkChange, ProcessId, Task};

/// Incidents that may still grow; the oldest is forgotten first.
const MAX_OPEN: usize = 4096;

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
    /// A link since it last came up, and who works on it.
    Link(u64, u64, ProcessId),
}

impl Key {
    /// The key of a case.
    pub fn of(actor: &Task, life: &Life, cause: &Cause, change: LinkChange) -> Self {
        let process = actor.task.process;
        if let Some(end) = cause.namespace_end() {
            return Self::Namespace(end.generation);
        }
        match cause {
            Cause::Cleanup { generation, .. } => Self::Namespace(*generation),
            Cause::ParentDeleted { parent, .. } => Self::Parent(parent.dev, parent.ifindex, process),
            Cause::ParentChanged(change) => Self::ParentChange(change.id),
            Cause::ModuleUnloaded(_) => Self::Module(process),
            // A manager that sets a link down because its carrier went: one story.
            _ => match life.carrier_lost.as_ref().filter(|_| change == LinkChange::Down) {
                Some(lost) => Self::ParentChange(lost.id),
                None => Self::Link(life.id, life.ups, process),
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
}

/// The incidents so far.
#[derive(Default)]
pub struct Incidents {
    last: u64,
    open: HashMap<Key, Incident>,
}

impl Incidents {
    /// The incident of a key; where it is new, `siblings` counts whom it is about.
    pub fn of(&mut self, key: Key, siblings: impl FnOnce() -> Siblings) -> Incident {
        if let Some(&incident) = self.open.get(&key) {
            return incident;
        }
        if self.open.len() >= MAX_OPEN {
            let oldest = self.last.saturating_sub(MAX_OPEN as u64 / 2);
            self.open.retain(|_, incident| incident.number > oldest);
        }
        self.last += 1;
        let incident = Incident { number: self.last, siblings: siblings() };
        self.open.insert(key, incident);
        incident
    }
}
