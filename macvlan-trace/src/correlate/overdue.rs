//! What should have happened by now: a deleted link that is not made again, a deleted link whose memory is not freed.

use std::collections::{HashMap, VecDeque};

use super::{Case, Cause};
use crate::{fact::Ktime, text::Text};

/// Deleted links remembered. Of more than these at once nothing is remarked.
const MAX_LINKS: usize = 4096;
/// Links that a remark names; the others are counted.
const MAX_NAMED: usize = 3;
/// How long the memory of a deleted link may stay in use: the kernel itself warns after ten seconds.
const LEAK_NS: u64 = 10_000_000_000;

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// That a deleted link is made again.
    Creation,
    /// That the memory of a deleted link is freed.
    Free,
}

/// Something has not happened in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// What.
    pub overdue: Awaited,
    /// The incident that the links were deleted in.
    pub incident: u64,
    /// A few of the links.
    pub links: Vec<Text>,
    /// How many more.
    pub more: usize,
    /// How long it has been, in nanoseconds.
    pub waited_ns: u64,
}

impl Remark {
    /// How many links it is about.
    #[must_use]
    pub fn count(&self) -> usize {
        self.links.len() + self.more
    }
}

/// Links that somebody waits for.
#[derive(Default)]
pub struct Overdue {
    /// After how long a deleted link is missed; `None` for never.
    missed_after: Option<u64>,
    /// Whether frees are told.
    sees_frees: bool,
    deleted: VecDeque<Deleted>,
    unfreed: HashMap<u64, Deleted>,
}

/// A deleted link.
#[derive(Clone, Debug)]
struct Deleted {
    at: Ktime,
    incident: u64,
    name: Text,
    /// The link below, by name: a new parent has another address.
    parent: Option<Text>,
    /// The container that lost it, by its id.
    container: Option<String>,
    mac: Option<[u8; 6]>,
}

impl Overdue {
    /// Misses a deleted link that is not made again within so many nanoseconds.
    pub fn new(missed_after: Option<u64>) -> Self {
        Self { missed_after, ..Self::default() }
    }

    /// Which hooks are attached: without that on frees nothing can be said of them.
    pub fn hooks(&mut self, attached: &[String]) {
        self.sees_frees = attached.iter().any(|hook| hook == "free_netdev");
    }

    /// A link is made, or gets its name: it may take the place of one that is missed.
    pub fn is_there(&mut self, case: &Case) {
        let (name, parent) = (&case.fact.link.name, case.fact.parent.as_ref().map(|parent| &parent.name));
        let (container, mac) = (case.victim.as_ref().map(|own| &own.id), case.fact.link.mac);
        // Every container of Docker's has an eth0: what tells them apart is whose it is, or its address, which the
        // runtime may have kept. Else the one that went last is most likely made again.
        let found = self
            .deleted
            .iter()
            .enumerate()
            .filter(|(_, gone)| gone.parent.as_ref() == parent && gone.name == *name)
            .max_by_key(|(at, gone)| {
                let same_container = container.is_some() && gone.container.as_ref() == container;
                (same_container, mac.is_some() && gone.mac == mac, *at)
            });
        if let Some((found, _)) = found {
            self.deleted.remove(found);
        }
    }

    /// A link is deleted.
    pub fn deleted(&mut self, case: &Case) {
        if matches!(case.cause, Cause::CreationFailed(_)) {
            return;
        }
        let name = case.life.known_as.clone();
        let parent = case.fact.parent.as_ref().map(|parent| parent.name.clone());
        let container = case.victim.as_ref().map(|own| own.id.clone());
        let mac = case.fact.link.mac;
        let deleted = Deleted { at: case.at, incident: case.incident, name, parent, container, mac };
        if let Some(dev) = case.fact.link.dev.filter(|_| self.sees_frees && self.unfreed.len() < MAX_LINKS) {
            self.unfreed.insert(dev, deleted.clone());
        }
        if self.missed_after.is_some() && self.deleted.len() < MAX_LINKS {
            self.deleted.push_back(deleted);
        }
    }

    /// A device's memory is freed.
    pub fn freed(&mut self, dev: u64) {
        self.unfreed.remove(&dev);
    }

    /// Records were lost, and with them perhaps what is waited for.
    pub fn lost(&mut self) {
        self.deleted.clear();
        self.unfreed.clear();
    }

    /// What is overdue; each link is remarked once.
    pub fn remarks(&mut self, at: Ktime) -> Vec<Remark> {
        let mut missed = Vec::new();
        if let Some(limit) = self.missed_after {
            let due = self.deleted.partition_point(|gone| at.0.saturating_sub(gone.at.0) >= limit);
            missed.extend(self.deleted.drain(..due));
        }
        let is_due = |gone: &Deleted| at.0.saturating_sub(gone.at.0) >= LEAK_NS;
        let mut leaked: Vec<_> = self.unfreed.values().filter(|gone| is_due(gone)).cloned().collect();
        leaked.sort_by(|one, other| (one.at, &one.name).cmp(&(other.at, &other.name)));
        self.unfreed.retain(|_, gone| !is_due(gone));
        let mut remarks = grouped(Awaited::Creation, at, missed);
        remarks.extend(grouped(Awaited::Free, at, leaked));
        remarks
    }
}

/// One remark an incident.
fn grouped(overdue: Awaited, at: Ktime, gone: Vec<Deleted>) -> Vec<Remark> {
    let mut remarks: Vec<Remark> = Vec::new();
    for gone in gone {
        let waited_ns = at.0.saturating_sub(gone.at.0);
        match remarks.iter_mut().find(|remark| remark.incident == gone.incident) {
            Some(remark) if remark.links.len() < MAX_NAMED => remark.links.push(gone.name),
            Some(remark) => remark.more += 1,
            None => remarks.push(Remark {
                overdue,
                incident: gone.incident,
                links: vec![gone.name],
                more: 0,
                waited_ns,
            }),
        }
    }
    remarks
}
