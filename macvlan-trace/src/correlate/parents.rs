//! What happened to parents, the devices below links.

use std::rc::Rc;

use super::blame::Cause;
use crate::{
    bounded::Bounded,
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
    /// The device below it, or the other end if it is a veth.
    pub below: Option<Link>,
    /// How it came about.
    pub by: Cause,
    /// The same change of a device below, which this one followed in a kernel worker: the one that began it.
    pub follows: Option<Rc<ParentChange>>,
    /// The kernel path.
    pub path: Path,
}

impl ParentChange {
    /// The change that started it: for a VLAN, that of the network card below.
    #[must_use]
    pub fn first(&self) -> &Self {
        self.follows.as_deref().unwrap_or(self)
    }
}

/// All parents, by the address of the device.
#[derive(Default)]
pub struct Parents {
    last_id: u64,
    by_dev: Bounded<u64, Known, MAX_PARENTS>,
}

struct Known {
    /// Where the device is. No record says when a parent is gone, and another one may then have its address.
    netns: Option<Netns>,
    ifindex: u32,
    /// The last change of its carrier.
    carrier: Option<Rc<ParentChange>>,
    /// The last time that it came up, and that it went down.
    up: Option<Rc<ParentChange>>,
    down: Option<Rc<ParentChange>>,
    /// Where the other end of a veth is.
    peer: Option<Netns>,
}

impl Known {
    fn new(netns: Option<Netns>, ifindex: u32) -> Self {
        Self { netns, ifindex, carrier: None, up: None, down: None, peer: None }
    }

    /// Whether this is the device in that place.
    fn is_at(&self, netns: Option<&Netns>, ifindex: u32) -> bool {
        let same_netns = match (&self.netns, netns) {
            (Some(one), Some(other)) => one.is(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        same_netns && self.ifindex == ifindex
    }
}

impl Parents {
    /// Notes where the other end of a veth is that carries a link.
    pub fn has_peer(&mut self, parent: &Link, peer: &Link) {
        if let Some(known) = self.learn(parent) {
            known.peer = peer.netns;
        }
    }

    /// Where the other end of a veth was, when it was last seen.
    pub fn peer(&self, parent: &Link) -> Option<Netns> {
        self.known(parent)?.peer
    }

    /// What is known of a device.
    fn known(&self, device: &Link) -> Option<&Known> {
        let known = self.by_dev.get(&device.dev?)?;
        known.is_at(device.netns.as_ref(), device.ifindex).then_some(known)
    }

    /// The same, to be changed.
    fn learn(&mut self, device: &Link) -> Option<&mut Known> {
        let fresh = || Known::new(device.netns, device.ifindex);
        let known = self.by_dev.get_or_insert_with(device.dev?, fresh);
        if !known.is_at(device.netns.as_ref(), device.ifindex) {
            *known = fresh();
        }
        Some(known)
    }

    /// A device has moved, and keeps its past.
    pub fn moves(&mut self, from: (Netns, u32), to: &Link) {
        let known = to.dev.and_then(|dev| self.by_dev.get_mut(&dev));
        if let Some(known) = known.filter(|known| known.is_at(Some(&from.0), from.1)) {
            (known.netns, known.ifindex) = (to.netns, to.ifindex);
        }
    }

    /// Notes a change.
    pub fn change(&mut self, mut change: ParentChange) -> Rc<ParentChange> {
        self.last_id += 1;
        change.id = self.last_id;
        let change = Rc::new(change);
        if let Some(known) = self.learn(&change.parent) {
            match change.change {
                LinkChange::CarrierLost | LinkChange::CarrierBack => known.carrier = Some(Rc::clone(&change)),
                LinkChange::Up => {
                    known.up = Some(Rc::clone(&change));
                    known.carrier = None;
                }
                // Later changes have another reason.
                _ => {
                    known.down = Some(Rc::clone(&change));
                    known.carrier = None;
                }
            }
        }
        change
    }

    /// The change of a parent's carrier that caused the same change of a link's carrier.
    pub fn carrier(&self, parent: &Link, change: LinkChange) -> Option<Rc<ParentChange>> {
        self.known(parent)?.carrier.clone().filter(|known| known.change == change)
    }

    /// The change of a device that a worker passes on to a VLAN on it (`vlan_dev_work`, 7.x).
    pub fn passed_on(&self, at: Ktime, below: &Link, change: LinkChange) -> Option<Rc<ParentChange>> {
        let known = self.known(below)?;
        let last = match change {
            LinkChange::Up => known.up.as_ref(),
            LinkChange::Down => known.down.as_ref(),
            _ => None,
        }?;
        (last.change == change && at.0.saturating_sub(last.at.0) <= WORK_NS).then(|| Rc::clone(last))
    }

    /// The last time that a parent came up.
    pub fn up(&self, parent: &Link) -> Option<Rc<ParentChange>> {
        self.known(parent)?.up.clone()
    }

    /// How many were pushed out by others.
    pub fn evicted(&self) -> u64 {
        self.by_dev.evicted()
    }
}

#[cfg(test)]
mod tests;
