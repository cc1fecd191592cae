//! What happened to the devices that links stand on.

use std::{collections::HashMap, rc::Rc};

use super::blame::Cause;
use crate::{
    fact::{Ktime, Link, LinkChange, Netns},
    kernel::path::Path,
};

/// Parents remembered.
const MAX_PARENTS: usize = 16_384;

/// How long a worker may take to pass a change on.
const WORK_NS: u64 = 10_000_000_000;

/// A change of a parent.
#[derive(Clone, Debug)]
pub struct ParentChange {
    /// Tells changes apart.
    pub id: u64,
    /// When.
    pub at: Ktime,
    /// What: up, down, moved, carrier lost or back.
    pub change: LinkChange,
    /// The parent.
    pub parent: Link,
    /// What lies below it, or the other end where it is a veth.
    pub below: Option<Link>,
    /// How it came about.
    pub by: Cause,
    /// The same change of a device below, which this one followed in a kernel worker: the one that began it.
    pub follows: Option<Rc<ParentChange>>,
    /// The kernel path, innermost first.
    pub stack: Vec<Option<String>>,
}

impl ParentChange {
    /// The change that it began with: a network card's, under a VLAN's.
    #[must_use]
    pub fn first(&self) -> &Self {
        self.follows.as_deref().unwrap_or(self)
    }

    /// The kernel path.
    #[must_use]
    pub fn path(&self) -> Path<'_> {
        Path(&self.stack)
    }
}

/// All parents, by the address of the device.
#[derive(Default)]
pub struct Parents {
    last_id: u64,
    by_dev: HashMap<u64, Known>,
}

#[derive(Default)]
struct Known {
    /// The last change of its carrier.
    carrier: Option<Rc<ParentChange>>,
    /// The last time that it came up, and that it went down.
    up: Option<Rc<ParentChange>>,
    down: Option<Rc<ParentChange>>,
    /// Where the other end of a veth is.
    peer: Option<Netns>,
}

impl Parents {
    /// A veth carries a link, and its other end is there.
    pub fn has_peer(&mut self, parent: &Link, peer: &Link) {
        if let Some(known) = self.known(parent) {
            known.peer = peer.netns;
        }
    }

    /// Where the other end of a veth was, when it was last seen.
    pub fn peer(&self, parent: &Link) -> Option<Netns> {
        self.by_dev.get(&parent.dev?)?.peer
    }

    fn known(&mut self, parent: &Link) -> Option<&mut Known> {
        let dev = parent.dev?;
        if self.by_dev.len() >= MAX_PARENTS && !self.by_dev.contains_key(&dev) {
            self.by_dev.clear();
        }
        Some(self.by_dev.entry(dev).or_default())
    }

    /// Notes a change.
    pub fn change(&mut self, mut change: ParentChange) -> Rc<ParentChange> {
        self.last_id += 1;
        change.id = self.last_id;
        let change = Rc::new(change);
        if let Some(known) = self.known(&change.parent) {
            match change.change {
                LinkChange::CarrierLost | LinkChange::CarrierBack => known.carrier = Some(Rc::clone(&change)),
                LinkChange::Up => {
                    known.up = Some(Rc::clone(&change));
                    known.carrier = None;
                }
                // What comes after has another reason.
                _ => {
                    known.down = Some(Rc::clone(&change));
                    known.carrier = None;
                }
            }
        }
        change
    }

    /// The change of a parent's carrier behind the same change of a link's.
    pub fn carrier(&self, parent: &Link, change: LinkChange) -> Option<Rc<ParentChange>> {
        let known = self.by_dev.get(&parent.dev?)?.carrier.clone()?;
        // The address may be another device's by now.
        let same = known.parent.ifindex == parent.ifindex && known.parent.netns == parent.netns;
        (same && known.change == change).then_some(known)
    }

    /// The change of a device that a worker passes on to a VLAN on it (`vlan_dev_work`, 7.x).
    pub fn passed_on(&self, at: Ktime, below: &Link, change: LinkChange) -> Option<Rc<ParentChange>> {
        let known = self.by_dev.get(&below.dev?)?;
        let last = match change {
            LinkChange::Up => known.up.as_ref(),
            LinkChange::Down => known.down.as_ref(),
            _ => None,
        }?;
        (last.change == change && at.0.saturating_sub(last.at.0) <= WORK_NS).then(|| Rc::clone(last))
    }

    /// The last time that a parent came up.
    pub fn up(&self, parent: &Link) -> Option<Rc<ParentChange>> {
        self.by_dev.get(&parent.dev?)?.up.clone()
    }
}

#[cfg(test)]
mod tests;
