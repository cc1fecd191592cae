//! Selects the facts that some events rest on: a small record needs them to show the events again.
//!
//! It selects too many rather than too few: the whole history of a link and of the devices below it, and all facts
//! about a namespace in which the link was. Facts about other links on the same parent are included where they matter.

use std::hash::Hash;

use crate::{
    bounded::Bounded,
    cgroup::place_of,
    fact::{Fact, Link, LinkChange, LinkFact, Netns, ProcessId, TaskRef, What},
    text::Text,
};

/// Subjects of one sort that a small record can be about.
pub const MAX_SUBJECTS: usize = 1 << 16;

/// The subjects of the events. It is given all facts in order, again and again, until it finds nothing new.
#[derive(Debug, Default)]
pub struct Selection {
    links: Set<u64>,
    below: Set<u64>,
    /// Parents whose other links matter.
    shared: Set<u64>,
    netns: Set<u64>,
    places: Set<(u64, u32)>,
    /// Threads that asked for a link in vain.
    askers: Set<(ProcessId, u32)>,
    tasks: Set<(ProcessId, u32)>,
    containers: Set<String>,
}

impl Selection {
    /// A fact that led to an event.
    pub fn add(&mut self, fact: &Fact) {
        match &fact.what {
            What::Link(link) if link.change == LinkChange::CreateFailed => {
                self.askers.insert(key(&link.task));
            }
            What::Link(link) => self.links.extend(link.link.dev),
            What::Parent(parent) => {
                self.below.extend(parent.link.dev);
                self.shared.extend(parent.link.dev);
            }
            _ => {}
        }
    }

    /// Follows the references of a fact. Returns whether they are new.
    pub fn follow(&mut self, fact: &Fact) -> bool {
        let before = self.size();
        match &fact.what {
            What::Link(link) if self.is_own(link) => {
                let parent = link.parent.as_ref();
                self.below.extend(parent.and_then(|parent| parent.dev));
                // Deleting a parent deletes all its links, and one of them may hold the address that another one needs.
                let matters = |parent: &&Link| !parent.registered || link.is_refused_change();
                self.shared.extend(parent.filter(matters).and_then(|parent| parent.dev));
                for (netns, ifindex) in places(link) {
                    self.netns.insert(netns.ptr);
                    self.places.insert((netns.ptr, ifindex));
                }
                // A veth or a VLAN below may be deleted with a namespace of its own.
                self.netns
                    .extend(link.parent.as_ref().and_then(|parent| parent.netns).map(|netns| netns.ptr));
            }
            What::Parent(parent) if self.is_below(parent) => {
                self.below.extend(parent.parent.as_ref().and_then(|other| other.dev));
                self.netns.extend(places(parent).map(|(netns, _)| netns.ptr));
                self.netns
                    .extend(parent.parent.as_ref().and_then(|other| other.netns).map(|netns| netns.ptr));
            }
            What::Task(task) if self.tasks.contains(&key(&task.task)) => {
                self.containers.extend(task.cgroup.path.as_ref().and_then(container_of));
            }
            What::Resident(resident) if self.netns.contains(&resident.netns.ptr) => {
                self.containers.extend(resident.cgroup.path.as_ref().and_then(container_of));
            }
            _ => {}
        }
        if self.keeps(fact) {
            self.tasks.extend(fact.what.tasks().map(key));
        }
        self.size() > before
    }

    /// Whether the events rest on a fact.
    #[must_use]
    pub fn keeps(&self, fact: &Fact) -> bool {
        let of_netns = |netns: &Netns| self.netns.contains(&netns.ptr);
        match &fact.what {
            What::Link(link) => self.is_own(link) || self.is_shared(link.parent.as_ref()),
            What::Parent(parent) => self.is_below(parent),
            What::Address(fact) => fact.link.dev.is_some_and(|dev| self.links.contains(&dev)),
            What::Stock(stock) => {
                let place = stock.link.netns.map(|netns| (netns.ptr, stock.link.ifindex));
                place.is_some_and(|place| self.places.contains(&place))
                    || self.is_shared(stock.parent.as_ref())
            }
            What::Exit(exit) => of_netns(&exit.netns),
            What::Signal(signal) => of_netns(&signal.netns),
            What::Oom(oom) => of_netns(&oom.netns),
            What::NetnsMove(change) => of_netns(&change.from) || of_netns(&change.to),
            What::NetnsEnd(end) => of_netns(&end.netns),
            What::NetnsName { netns, .. } => of_netns(netns),
            What::Resident(resident) => of_netns(&resident.netns),
            What::Freed { dev } => self.links.contains(dev),
            What::Task(task) => self.tasks.contains(&key(&task.task)),
            What::Container(container) => self.containers.contains(&container.id),
            What::Begin(_)
            | What::Watching(_)
            | What::Lost { .. }
            | What::Full
            | What::Clock { .. }
            | What::Tick
            | What::End => true,
        }
    }

    /// Whether there were too many subjects to keep them all.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        let numbers = [&self.links, &self.below, &self.shared, &self.netns];
        numbers.into_iter().any(Set::is_too_small)
            || self.places.is_too_small()
            || self.askers.is_too_small()
            || self.tasks.is_too_small()
            || self.containers.is_too_small()
    }

    /// Whether a fact is about one of the links, or a thread's that asked for one in vain: the link may have been made
    /// and undone before.
    fn is_own(&self, fact: &LinkFact) -> bool {
        fact.link.dev.is_some_and(|dev| self.links.contains(&dev)) || self.askers.contains(&key(&fact.task))
    }

    fn is_below(&self, fact: &LinkFact) -> bool {
        let ends = [fact.link.dev, fact.parent.as_ref().and_then(|other| other.dev)];
        ends.into_iter().flatten().any(|dev| self.below.contains(&dev))
    }

    fn is_shared(&self, parent: Option<&Link>) -> bool {
        parent.and_then(|parent| parent.dev).is_some_and(|dev| self.shared.contains(&dev))
    }

    fn size(&self) -> usize {
        self.links.len()
            + self.below.len()
            + self.shared.len()
            + self.netns.len()
            + self.places.len()
            + self.askers.len()
            + self.tasks.len()
            + self.containers.len()
    }
}

/// Subjects of one sort.
#[derive(Debug)]
struct Set<K: Hash + Eq>(Bounded<K, (), MAX_SUBJECTS>);

impl<K: Hash + Eq> Default for Set<K> {
    fn default() -> Self {
        Self(Bounded::default())
    }
}

impl<K: Hash + Eq> Set<K> {
    fn insert(&mut self, subject: K) {
        self.0.get_or_insert_with(subject, || ());
    }

    fn extend(&mut self, subjects: impl IntoIterator<Item = K>) {
        for subject in subjects {
            self.insert(subject);
        }
    }

    fn contains(&self, subject: &K) -> bool {
        self.0.get(subject).is_some()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_too_small(&self) -> bool {
        self.0.evicted() > 0
    }
}

/// Where a fact sees a link.
fn places(fact: &LinkFact) -> impl Iterator<Item = (Netns, u32)> {
    fact.from.into_iter().chain(fact.link.netns.map(|netns| (netns, fact.link.ifindex)))
}

fn key(task: &TaskRef) -> (ProcessId, u32) {
    (task.process, task.tid)
}

fn container_of(path: &Text) -> Option<String> {
    place_of(path).container.map(|container| container.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::story::{Story, macvlan, netns, process};

    #[test]
    fn too_many_subjects_are_noticed() {
        let mut selection = Selection::default();
        let mut add = |ifindex: u32| {
            let link = macvlan("macvlan0", netns(1), ifindex).at(u64::from(ifindex));
            let mut story = Story::new();
            story.deletes(&process("ip", 901), &link);
            story.into_facts().iter().for_each(|fact| selection.add(fact));
            selection.is_too_large()
        };
        let most = u32::try_from(MAX_SUBJECTS).unwrap();
        assert!(!(1..=most).any(&mut add));
        assert!(add(most + 1));
    }
}
