//! Which container owns each network namespace, and so whose each link is.
//!
//! A namespace belongs to the container whose main process lives in it: the init of a pid namespace, as it is seen to
//! end or to be signalled there, or as a look at /proc finds it. Whoever only visits owns nothing, nor does a process of
//! the host. A link belongs to the container that last owned a namespace in which it lived, since runtimes take links
//! back to the host before they delete them.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::netns::CLEANUP_NS;
use crate::{
    cgroup::{ContainerId, PodId, place_of},
    fact::{Cgroup, Container, Ktime, Pod, ProcessId, Resident, Task},
};

/// Owned namespaces remembered; the one seen first is forgotten first.
const MAX_OWNERS: usize = 16_384;
/// Links whose namespaces are remembered. Beyond that only the one that a link is in tells whose it is.
const MAX_LINKS: usize = 65_536;
/// Namespaces remembered for a link, the latest.
const MAX_HOMES: usize = 8;
/// Containers whose names are remembered, long after they are gone; the one learnt first is forgotten first.
const MAX_CONTAINERS: usize = 16_384;

/// Containers, and what is theirs. Namespaces go by their generation, which no two share.
#[derive(Default)]
pub struct Owners {
    by_namespace: BTreeMap<u64, Owner>,
    /// The namespaces that each link lived in, latest last.
    homes: BTreeMap<u64, Vec<u64>>,
    /// What files said, by user and id.
    told: HashMap<(Option<u32>, String), Container>,
    order: VecDeque<(Option<u32>, String)>,
}

/// The container that owns a namespace.
struct Owner {
    container: ContainerId,
    pod: Option<PodId>,
    /// Its main process there.
    process: ProcessId,
    /// When that ended.
    ended: Option<Ktime>,
}

impl Owner {
    /// Whether a namespace is another process's from now on.
    fn gives_way(&self, at: Ktime, process: ProcessId, ended: bool) -> bool {
        let is_older = process.start < self.process.start;
        match self.ended {
            Some(end) => is_older || process.start > end || at.0.saturating_sub(end.0) > CLEANUP_NS,
            None => is_older && !ended,
        }
    }
}

impl Owners {
    /// What a runtime's files say of a container.
    pub fn learn(&mut self, container: Container) {
        let key = (container.user, container.id.clone());
        if self.told.insert(key.clone(), container).is_none() {
            self.order.push_back(key);
            if self.order.len() > MAX_CONTAINERS {
                if let Some(oldest) = self.order.pop_front() {
                    self.told.remove(&oldest);
                }
            }
        }
    }

    /// A process was found living in a namespace.
    pub fn lives(&mut self, at: Ktime, generation: u64, resident: &Resident) {
        self.claim(at, generation, &resident.cgroup, resident.process, false);
    }

    /// A process that lives in a namespace, and does not only visit it, ends or is signalled there.
    pub fn acts(&mut self, at: Ktime, generation: u64, task: &Task, ended: bool) {
        let is_owner = self.is_owner(generation, task.task.process) == Some(true);
        if task.task.is_pidns_init() || is_owner {
            self.claim(at, generation, &task.cgroup, task.task.process, ended);
        }
    }

    /// A namespace that several containers share, as those of a pod do, belongs to the one that was there first. Once its
    /// main process has ended, it belongs to the next that starts in it, and after a while to whoever lives in it still:
    /// till then what happens to its links is due to that end, whatever sidecars do meanwhile.
    fn claim(&mut self, at: Ktime, generation: u64, cgroup: &Cgroup, process: ProcessId, ended: bool) {
        let Some(place) = cgroup.path.as_ref().map(place_of) else { return };
        let Some(container) = place.container else { return };
        let claim = Owner { container, pod: place.pod, process, ended: ended.then_some(at) };
        match self.by_namespace.get_mut(&generation) {
            Some(owner) if owner.container == claim.container && owner.process.tgid == process.tgid => {
                owner.ended = owner.ended.or(claim.ended);
            }
            Some(owner) if owner.gives_way(at, process, ended) => *owner = claim,
            Some(_) => {}
            None => {
                self.by_namespace.insert(generation, claim);
                if self.by_namespace.len() > MAX_OWNERS {
                    self.by_namespace.pop_first();
                }
            }
        }
    }

    /// A link was seen in a namespace.
    pub fn link_in(&mut self, link: u64, generation: u64) {
        if self.homes.len() >= MAX_LINKS && !self.homes.contains_key(&link) {
            // Links have numbers in the order in which they came.
            self.homes.pop_first();
        }
        let homes = self.homes.entry(link).or_default();
        if homes.last() == Some(&generation) {
            return;
        }
        homes.retain(|home| *home != generation);
        if homes.len() >= MAX_HOMES {
            homes.remove(0);
        }
        homes.push(generation);
    }

    /// A link is gone.
    pub fn link_gone(&mut self, link: u64) {
        self.homes.remove(&link);
    }

    /// The container that last owned a namespace in which a link lived.
    #[must_use]
    pub fn of_link(&self, link: u64) -> Option<Container> {
        self.homes.get(&link)?.iter().rev().find_map(|&generation| self.of_namespace(generation))
    }

    /// The container that owns a namespace.
    #[must_use]
    pub fn of_namespace(&self, generation: u64) -> Option<Container> {
        let owner = self.by_namespace.get(&generation)?;
        Some(self.whole(&owner.container, owner.pod.as_ref()))
    }

    /// Whether a process is the main one of the container that owns a namespace; `None` where none is known to. A look at
    /// /proc knows when a process started to a hundredth of a second only, and so its number alone is compared.
    #[must_use]
    pub fn is_owner(&self, generation: u64, process: ProcessId) -> Option<bool> {
        self.by_namespace.get(&generation).map(|owner| owner.process.tgid == process.tgid)
    }

    /// Whether the main process of the container that owns a namespace has ended; `None` where none is known to.
    #[must_use]
    pub fn owner_has_ended(&self, generation: u64) -> Option<bool> {
        self.by_namespace.get(&generation).map(|owner| owner.ended.is_some())
    }

    /// Process id of the main process of the container that owns a namespace, while that lives.
    #[must_use]
    pub fn main_pid(&self, generation: u64) -> Option<u32> {
        let owner = self.by_namespace.get(&generation).filter(|owner| owner.ended.is_none())?;
        Some(owner.process.tgid)
    }

    /// The container that owns a namespace and lives in it; `None` for one inside another container, on which that may
    /// work by right.
    #[must_use]
    pub fn living_in(&self, generation: u64) -> Option<Container> {
        let owner = self
            .by_namespace
            .get(&generation)
            .filter(|owner| owner.ended.is_none() && !owner.container.nested)?;
        Some(self.whole(&owner.container, owner.pod.as_ref()))
    }

    /// The container of a control group.
    #[must_use]
    pub fn of_cgroup(&self, cgroup: &Cgroup) -> Option<Container> {
        let place = place_of(cgroup.path.as_ref()?);
        Some(self.whole(&place.container?, place.pod.as_ref()))
    }

    /// What the path tells of a container, and what its runtime's files do.
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
