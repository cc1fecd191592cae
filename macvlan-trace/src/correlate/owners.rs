//! Which container owns each network namespace, and so whose each link is.
//!
//! A namespace belongs to the container whose main process lives in it: the init of a pid namespace that ended or got a
//! signal there, or that a look at /proc found. Visitors and processes of the host own no namespace. A link belongs to
//! the container that last owned a namespace in which it lived, since runtimes take links back to the host before they
//! delete them.

use std::{cell::RefCell, rc::Rc};

use super::netns::{CLEANUP_NS, STOPPING_NS};
use crate::{
    bounded::Bounded,
    cgroup::{ContainerId, PodId, place_of},
    fact::{Cgroup, Container, Ktime, Pod, ProcessId, Resident, Task},
};

/// Containers whose names are remembered, long after they are gone.
const MAX_CONTAINERS: usize = 16_384;

/// Containers that may share a namespace with its owner.
const MAX_SHARING: usize = 16;

/// The owner of a namespace. Links keep their homes, even if the namespace is gone.
#[derive(Debug)]
pub struct Home {
    /// Tells namespaces apart that had the same address one after the other.
    pub generation: u64,
    owner: RefCell<Option<Owner>>,
    /// Other containers that live in it, by the process ids of their main processes.
    sharing: RefCell<Bounded<u32, Sharing, MAX_SHARING>>,
}

/// A container that lives in a namespace which belongs to another one.
#[derive(Debug)]
struct Sharing {
    container: ContainerId,
    pod: Option<PodId>,
    /// Its main process there.
    process: ProcessId,
    /// When that was last found there.
    found: Ktime,
    /// When it was asked to end.
    asked: Option<Ktime>,
}

/// The container that owns a namespace.
#[derive(Debug)]
struct Owner {
    container: ContainerId,
    pod: Option<PodId>,
    /// Its main process there.
    process: ProcessId,
    /// When that ended.
    ended: Option<Ktime>,
}

impl Owner {
    /// Whether another process takes the namespace over.
    fn gives_way(&self, at: Ktime, process: ProcessId, ended: bool) -> bool {
        let is_older = process.start < self.process.start;
        match self.ended {
            Some(end) => is_older || process.start > end || at.0.saturating_sub(end.0) > CLEANUP_NS,
            None => is_older && !ended,
        }
    }
}

impl Home {
    /// A home without an owner.
    pub fn new(generation: u64) -> Self {
        Self { generation, owner: RefCell::default(), sharing: RefCell::default() }
    }

    /// A process was found living in it, perhaps not for the first time. Returns whether it pushed another one out.
    fn note_found(&self, at: Ktime, resident: &Resident) -> bool {
        let process = resident.process;
        if !resident.shares {
            self.claim(at, &resident.cgroup, process, false);
            return false;
        }
        let Some(place) = resident.cgroup.path.as_ref().map(place_of) else { return false };
        let Some(container) = place.container else { return false };
        let mut all = self.sharing.borrow_mut();
        let known = all.get(&process.tgid).filter(|it| it.process == process && it.container == container);
        let asked = known.and_then(|it| it.asked);
        all.insert(process.tgid, Sharing { container, pod: place.pod, process, found: at, asked }).is_some()
    }

    /// A process that lives in it is asked to end.
    pub fn note_asked(&self, at: Ktime, process: ProcessId) {
        if let Some(sharing) = self.sharing.borrow_mut().get_mut(&process.tgid) {
            sharing.asked = Some(at);
        }
    }

    /// A process that lived in it has ended.
    pub fn note_gone(&self, process: ProcessId) {
        self.sharing.borrow_mut().remove(&process.tgid);
    }

    /// A process that lives in it, and does not only visit it, ends or is signalled there.
    pub fn note_seen(&self, at: Ktime, task: &Task, ended: bool) {
        let is_owner = self.is_owner(task.task.process) == Some(true);
        if task.task.is_pidns_init() || is_owner {
            self.claim(at, &task.cgroup, task.task.process, ended);
        }
    }

    /// If several containers share a namespace, as in a pod, it belongs to the one that was there first. After the end
    /// of its main process, it belongs to the next one that starts in it, and after a while to one that still lives in
    /// it. Until then changes of its links are due to that end, whatever sidecars do.
    fn claim(&self, at: Ktime, cgroup: &Cgroup, process: ProcessId, ended: bool) {
        let Some(place) = cgroup.path.as_ref().map(place_of) else { return };
        let Some(container) = place.container else { return };
        let claim = Owner { container, pod: place.pod, process, ended: ended.then_some(at) };
        let mut owner = self.owner.borrow_mut();
        match &mut *owner {
            Some(owner) if owner.container == claim.container && owner.process.tgid == process.tgid => {
                owner.ended = owner.ended.or(claim.ended);
            }
            Some(owner) if owner.gives_way(at, process, ended) => *owner = claim,
            Some(_) => {}
            None => *owner = Some(claim),
        }
    }

    /// Whether a process is the main one of the container that owns it; `None` if no owner is known. /proc shows start
    /// times only to a hundredth of a second, so this compares process ids alone.
    #[must_use]
    pub fn is_owner(&self, process: ProcessId) -> Option<bool> {
        self.owner.borrow().as_ref().map(|owner| owner.process.tgid == process.tgid)
    }

    /// Whether the main process of the container that owns it has ended; `None` if no owner is known.
    #[must_use]
    pub fn owner_has_ended(&self) -> Option<bool> {
        self.owner.borrow().as_ref().map(|owner| owner.ended.is_some())
    }

    /// Process id of the main process of the container that owns it, while that lives.
    #[must_use]
    pub fn main_pid(&self) -> Option<u32> {
        self.owner.borrow().as_ref().filter(|owner| owner.ended.is_none()).map(|owner| owner.process.tgid)
    }
}

/// The names of containers, and which namespaces and links they own.
#[derive(Default)]
pub struct Owners {
    /// What the runtimes' files said, by user and id.
    told: Bounded<(Option<u32>, String), Container, MAX_CONTAINERS>,
    /// How many were pushed out of a namespace that too many share.
    crowded_out: u64,
}

impl Owners {
    /// What a runtime's files say of a container.
    pub fn learn(&mut self, container: Container) {
        self.told.insert((container.user, container.id.clone()), container);
    }

    /// A task of a control group appears, so its container still exists. Keeps its name, since the files are read only
    /// once.
    pub fn touch(&mut self, cgroup: &Cgroup) {
        if let Some(id) = cgroup.path.as_ref().and_then(|path| place_of(path).container) {
            self.told.get_mut(&(id.user, id.id));
        }
    }

    /// The container that last owned one of the namespaces in which a link lived, latest last.
    #[must_use]
    pub fn of_link(&self, homes: &[Rc<Home>]) -> Option<Container> {
        homes.iter().rev().find_map(|home| self.of_namespace(home))
    }

    /// The containers that live in the namespace which makes a link [that container's](Self::of_link), beside that one.
    /// None of them has been asked to end, nor may one have ended unseen as records were lost.
    #[must_use]
    pub fn sharing_link(&self, at: Ktime, homes: &[Rc<Home>], lost: Option<Ktime>) -> Vec<Container> {
        let Some(home) = homes.iter().rev().find(|home| home.owner.borrow().is_some()) else {
            return Vec::new();
        };
        let (owner, sharing) = (home.owner.borrow(), home.sharing.borrow());
        let is_owner =
            |sharing: &Sharing| owner.as_ref().is_some_and(|own| own.container == sharing.container);
        let is_ending = |asked: Ktime| at.0.saturating_sub(asked.0) <= STOPPING_NS;
        let may_be_gone =
            |it: &Sharing| it.asked.is_some_and(is_ending) || lost.is_some_and(|lost| it.found <= lost);
        let mut living: Vec<_> =
            sharing.iter().filter(|(_, sharing)| !is_owner(sharing) && !may_be_gone(sharing)).collect();
        living.sort_unstable_by_key(|(pid, _)| **pid);
        living.into_iter().map(|(_, sharing)| self.whole(&sharing.container, sharing.pod.as_ref())).collect()
    }

    /// The container that owns a namespace.
    #[must_use]
    pub fn of_namespace(&self, home: &Home) -> Option<Container> {
        let owner = home.owner.borrow();
        owner.as_ref().map(|owner| self.whole(&owner.container, owner.pod.as_ref()))
    }

    /// The container that owns a namespace and lives in it; `None` for a nested one, since the outer container may
    /// rightly act on it.
    #[must_use]
    pub fn living_in(&self, home: &Home) -> Option<Container> {
        let owner = home.owner.borrow();
        let owner = owner.as_ref().filter(|owner| owner.ended.is_none() && !owner.container.nested)?;
        Some(self.whole(&owner.container, owner.pod.as_ref()))
    }

    /// The container of a control group.
    #[must_use]
    pub fn of_cgroup(&self, cgroup: &Cgroup) -> Option<Container> {
        let place = place_of(cgroup.path.as_ref()?);
        Some(self.whole(&place.container?, place.pod.as_ref()))
    }

    /// A process was found living in a namespace.
    pub fn note_found(&mut self, at: Ktime, home: &Home, resident: &Resident) {
        self.touch(&resident.cgroup);
        self.crowded_out += u64::from(home.note_found(at, resident));
    }

    /// How many names, and containers that share a namespace, were pushed out by others.
    pub fn evicted(&self) -> u64 {
        self.told.evicted() + self.crowded_out
    }

    /// A container with all that its path and its runtime's files say.
    fn whole(&self, id: &ContainerId, pod: Option<&PodId>) -> Container {
        let bare = id.bare(pod);
        let key = (id.user, id.id.clone());
        let Some(told) = self.told.get(&key).filter(|_| id.has_files()) else { return bare };
        let pod = match (bare.pod, &told.pod) {
            (Some(bare), Some(told)) => Some(Pod { qos: bare.qos, uid: bare.uid, ..told.clone() }),
            (bare, told) => bare.or_else(|| told.clone()),
        };
        Container { runtime: bare.runtime.or_else(|| told.runtime.clone()), pod, ..told.clone() }
    }
}

#[cfg(test)]
mod tests;
