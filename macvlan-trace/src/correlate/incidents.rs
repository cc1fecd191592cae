//! Numbers incidents: cases with one cause get one number.

use super::{Cause, Life, ParentChange, links::Siblings};
use crate::{
    bounded::Bounded,
    fact::{Ktime, LinkChange, LinkFact, ProcessId, Task},
    text::Text,
    work::{party, runtime},
};

/// Incidents that may still grow.
const MAX_OPEN: usize = 16_384;

/// After this pause, further acts of the same process on the same device are another incident.
const PAUSE_NS: u64 = 120_000_000_000;
/// After this pause, what the same party does to another link, or to the same one once it is up again, is another
/// incident. A script's loop is faster, also where it waits a second; a person who types is slower.
const ERRAND_PAUSE_NS: u64 = 2_000_000_000;
/// Parties whose errand may still go on.
const MAX_PARTIES: usize = 4096;
/// After this pause every incident is over. The kernel may need minutes to tear a namespace down.
const OVER_NS: u64 = 600_000_000_000;

/// What makes two cases one incident.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// A runtime that was told to end, and ended what it ran.
    Stop(ProcessId),
    /// The end of a namespace, or of its main process.
    Namespace(u64),
    /// A change of a parent.
    ParentChange(u64),
    /// The deletion of a parent, by its device and index, which another one may get afterwards, and by who deleted it.
    Parent(Option<u64>, u32, ProcessId),
    /// A module, and who unloaded it.
    Module(ProcessId),
    /// What one process does to the addresses of many links by one request: an MTU, a sysctl.
    Addresses(ProcessId),
    /// A link since it last came up, and the process that acts on it, directly or through others.
    Link(u64, u64, ProcessId),
}

impl Key {
    /// The key of a case.
    pub fn of(
        actor: &Task,
        fact: &LinkFact,
        life: &Life,
        cause: &Cause,
        reaction: Option<&ParentChange>,
    ) -> Self {
        let process = actor.task.process;
        if let Some(stop) = cause.exit().and_then(|ended| ended.behind.as_ref()) {
            return Self::Stop(stop.process.task.process);
        }
        match cause.root() {
            Cause::NamespaceEnded(end) => return Self::Namespace(end.generation),
            Cause::Cleanup { generation, .. } => return Self::Namespace(*generation),
            _ => {}
        }
        if let Some(first) = cause.deleted().first() {
            return Self::Parent(first.dev, first.ifindex, process);
        }
        match cause {
            Cause::ParentChanged(change) => Self::ParentChange(change.first().id),
            // Whoever takes away what could not be had.
            Cause::GivenUp { failed, .. } => {
                Self::Link(life.id, life.ups, party::on_behalf_of(&failed.actor))
            }
            Cause::ModuleUnloaded(_) => Self::Module(process),
            // A manager writes sysctls of one link, among other things that it does to that.
            Cause::Request(_)
                if fact.change == LinkChange::AddressRemoved
                    && (fact.path.sets_mtu()
                        || fact.path.writes_sysctl() && party::service(actor).is_none()) =>
            {
                Self::Addresses(process)
            }
            _ => match reaction {
                Some(lost) => Self::ParentChange(lost.first().id),
                None => Self::Link(life.id, life.ups, party::on_behalf_of(actor)),
            },
        }
    }
}

/// A change that may be part of what one party does to several links, or to one that it sets up again.
#[derive(Clone)]
pub struct Errand {
    /// The process itself: the shell of a script may become the last command of it.
    own: ProcessId,
    /// Whose errand it does.
    caller: ProcessId,
    /// Its control group: what works for another service is another errand.
    group: Option<Text>,
    /// Whether it takes something away; with anything else, no errand begins.
    takes: bool,
}

impl Errand {
    /// Whose errand a change is part of; `None` if it is nobody's own. A runtime or a service of containers does many
    /// things for others, and each is for a reason of its own.
    pub fn of(at: Ktime, actor: &Task, fact: &LinkFact, key: Key) -> Option<Self> {
        if !matches!(key, Key::Link(..)) || runtime::works_for_one(actor) {
            return None;
        }
        let takes = match fact.change {
            LinkChange::Down | LinkChange::Deleted | LinkChange::AddressRemoved => true,
            LinkChange::Up | LinkChange::MacChanged => false,
            _ => return None,
        };
        let (own, caller) = (actor.task.process, party::caller(actor, at));
        // It acts on each link for a reason of its own.
        if own == caller && party::is_daemon(actor, at) {
            return None;
        }
        Some(Self { own, caller, group: actor.cgroup.path.clone(), takes })
    }
}

/// An incident under way.
#[derive(Clone, Copy)]
pub struct Incident {
    /// Its number.
    pub number: u64,
    /// If a parent was deleted: the links on it, counted when the first of them was deleted.
    pub siblings: Siblings,
    /// Whether other links may still join it, after a pause.
    pub may_grow: bool,
    /// When the last case was added.
    last_at: Ktime,
}

/// The incidents so far.
#[derive(Default)]
pub struct Incidents {
    last: u64,
    open: Bounded<Key, Incident, MAX_OPEN>,
    /// The last incident of each party's errand.
    errands: Bounded<(ProcessId, Option<Text>), Incident, MAX_PARTIES>,
}

impl Incidents {
    /// The incident of a key and of somebody's errand; for a new one, `siblings` counts the links.
    pub fn of(
        &mut self,
        key: Key,
        errand: Option<Errand>,
        at: Ktime,
        siblings: impl FnOnce() -> Siblings,
    ) -> Incident {
        let Some(Errand { own, caller, group, takes }) = errand else {
            return self.of_key(key, at, siblings);
        };
        let is_over = |last: &Incident| at.0.saturating_sub(last.last_at.0) > ERRAND_PAUSE_NS;
        while self.errands.pop_oldest_if(is_over).is_some() {}
        let own = (own, group);
        let party = if self.errands.get(&own).is_some() { own } else { (caller, own.1) };
        let under_way = self.errands.get(&party).filter(|last| !is_over(last)).copied();
        let incident = match under_way {
            Some(incident) => Incident { last_at: at, ..incident },
            None => Incident { may_grow: true, ..self.of_key(key, at, siblings) },
        };
        self.open.insert(key, incident);
        if under_way.is_some() || takes {
            self.errands.insert(party, incident);
        }
        incident
    }

    fn of_key(&mut self, key: Key, at: Ktime, siblings: impl FnOnce() -> Siblings) -> Incident {
        let pause = |incident: &Incident| at.0.saturating_sub(incident.last_at.0);
        while self.open.pop_oldest_if(|incident| pause(incident) > OVER_NS).is_some() {}
        if let Some(incident) = self.open.get_mut(&key) {
            // What a daemon does to a link today is not the incident of yesterday.
            let may_come_again =
                matches!(key, Key::Parent(..) | Key::Module(..) | Key::Addresses(..) | Key::Link(..));
            if !may_come_again || pause(incident) <= PAUSE_NS {
                incident.last_at = at;
                return *incident;
            }
        }
        self.last += 1;
        let incident = Incident {
            number: self.last,
            siblings: siblings(),
            may_grow: matches!(key, Key::Stop(_)),
            last_at: at,
        };
        self.open.insert(key, incident);
        incident
    }

    /// How many were pushed out by others.
    pub fn evicted(&self) -> u64 {
        self.open.evicted() + self.errands.evicted()
    }
}
