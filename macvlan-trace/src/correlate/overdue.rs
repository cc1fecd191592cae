//! What should have happened by now: a deleted link that is not made again, a deleted link whose memory is not freed.

use super::{Case, Cause};
use crate::{
    bounded::Bounded,
    fact::{Begin, Container, Ktime},
    text::Text,
};

/// How many deleted links are remembered of each kind; beyond that, the latest ones are.
const MAX_LINKS: usize = 4096;
/// Links that a remark names; the others are counted.
const MAX_NAMED: usize = 3;
/// How long the memory of a deleted link may stay in use: the kernel itself warns after ten seconds.
const LEAK_NS: u64 = 10_000_000_000;
/// Links that are due within so many nanoseconds share a remark. The time of a remark follows from the facts' times
/// alone, so a record needs no tick for it.
const TOGETHER_NS: u64 = 500_000_000;

/// What should happen after a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Their kind.
    pub kind: Option<Text>,
    /// A few of the links, each with the container that lost it.
    pub links: Vec<(Text, Option<Container>)>,
    /// How many more.
    pub more: usize,
    /// When it was due.
    pub at: Ktime,
    /// How long it has been then, in nanoseconds.
    pub waited_ns: u64,
}

impl Remark {
    /// How many links it is about.
    #[must_use]
    pub fn count(&self) -> usize {
        self.links.len() + self.more
    }
}

/// Links that should be made again, or whose memory should be freed.
#[derive(Default)]
pub struct Overdue {
    /// After how long a deleted link is missed; `None` for never.
    missed_after: Option<u64>,
    /// Whether the hook on frees is attached.
    sees_frees: bool,
    /// Links that have not been made again, by their id, in the order of their deletion.
    deleted: Bounded<u64, Deleted, MAX_LINKS>,
    /// Links whose memory is in use, by the address of the device, in the order of their deletion.
    unfreed: Bounded<u64, Deleted, MAX_LINKS>,
    /// All remarks that were due up to this time have been made.
    judged: Ktime,
}

/// A deleted link.
#[derive(Clone, Debug)]
struct Deleted {
    at: Ktime,
    incident: u64,
    kind: Option<Text>,
    name: Text,
    /// The link below, by name: a new parent has another address.
    parent: Option<Text>,
    /// The container that lost it.
    container: Option<Container>,
    mac: Option<[u8; 6]>,
}

impl Overdue {
    /// The run begins. Without the hook on frees, there are no remarks on memory.
    pub fn begin(&mut self, begin: &Begin) {
        self.missed_after = begin.missed_after_ns;
        self.sees_frees = begin.has_hook("free_netdev");
    }

    /// A link is made or gets a name: it may replace one that is missed.
    pub fn link_appeared(&mut self, case: &Case) {
        let (name, parent) = (&case.fact.link.name, case.fact.parent.as_ref().map(|parent| &parent.name));
        let (container, mac) = (case.victim.as_ref().map(|own| &own.id), case.fact.link.mac);
        // Every Docker container has an eth0. They differ in their container and in their MAC address, which the
        // runtime may have kept. If neither matches, this is most likely the link that was deleted last.
        let found = self
            .deleted
            .iter()
            .filter(|(_, gone)| gone.parent.as_ref() == parent && gone.name == *name)
            // Of equals, take the last.
            .max_by_key(|(_, gone)| {
                let lost_by = gone.container.as_ref().map(|own| &own.id);
                let same_container = container.is_some() && lost_by == container;
                (same_container, mac.is_some() && gone.mac == mac)
            })
            .map(|(id, _)| *id);
        if let Some(found) = found {
            self.deleted.remove(&found);
        }
    }

    /// A link is deleted.
    pub fn deleted(&mut self, case: &Case) {
        if matches!(case.cause, Cause::CreationFailed(_)) {
            return;
        }
        let name = case.life.known_as.clone();
        let parent = case.fact.parent.as_ref().map(|parent| parent.name.clone());
        let container = case.victim.clone();
        let (kind, mac) = (case.fact.link.kind.clone(), case.fact.link.mac);
        let deleted = Deleted { at: case.at, incident: case.incident, kind, name, parent, container, mac };
        if let Some(dev) = case.fact.link.dev.filter(|_| self.sees_frees) {
            self.unfreed.insert(dev, deleted.clone());
        }
        if self.missed_after.is_some() {
            self.deleted.insert(case.life.id, deleted);
        }
    }

    /// A device's memory is freed.
    pub fn freed(&mut self, dev: u64) {
        self.unfreed.remove(&dev);
    }

    /// Records were lost. What should have happened may be among them.
    pub fn lost(&mut self) {
        self.deleted.clear();
        self.unfreed.clear();
    }

    /// The remarks that are due; there is one for each link.
    pub fn remarks(&mut self, at: Ktime) -> Vec<Remark> {
        let at = Ktime(at.0 - at.0 % TOGETHER_NS);
        if at <= self.judged {
            return Vec::new();
        }
        self.judged = at;
        let mut due = Vec::new();
        if let Some(limit) = self.missed_after {
            while let Some((_, gone)) = self.deleted.pop_oldest_if(|gone| gone.due_after(limit) <= at) {
                due.push((gone.due_after(limit), Awaited::Creation, gone));
            }
        }
        while let Some((_, gone)) = self.unfreed.pop_oldest_if(|gone| gone.due_after(LEAK_NS) <= at) {
            due.push((gone.due_after(LEAK_NS), Awaited::Free, gone));
        }
        due.sort_by(|one, other| {
            let key =
                |(at, awaited, gone): &(Ktime, Awaited, Deleted)| (*at, *awaited, gone.at, gone.name.clone());
            key(one).cmp(&key(other))
        });
        grouped(due)
    }

    /// How many were pushed out by others.
    pub fn evicted(&self) -> u64 {
        self.deleted.evicted() + self.unfreed.evicted()
    }
}

impl Deleted {
    /// When a link with this limit is due.
    fn due_after(&self, limit: u64) -> Ktime {
        Ktime(self.at.0.saturating_add(limit).div_ceil(TOGETHER_NS).saturating_mul(TOGETHER_NS))
    }
}

/// One remark for the links of an incident that are due at one time.
fn grouped(due: Vec<(Ktime, Awaited, Deleted)>) -> Vec<Remark> {
    let mut remarks: Vec<Remark> = Vec::new();
    for (at, overdue, gone) in due {
        let same = |remark: &&mut Remark| {
            (remark.at, remark.overdue, remark.incident, &remark.kind)
                == (at, overdue, gone.incident, &gone.kind)
        };
        match remarks.iter_mut().find(same) {
            Some(remark) if remark.links.len() < MAX_NAMED => remark.links.push((gone.name, gone.container)),
            Some(remark) => remark.more += 1,
            None => remarks.push(Remark {
                overdue,
                incident: gone.incident,
                kind: gone.kind,
                links: vec![(gone.name, gone.container)],
                more: 0,
                at,
                waited_ns: at.0.saturating_sub(gone.at.0),
            }),
        }
    }
    remarks
}
