//! What happened to parents, the devices below links, and what each stands on.

use std::rc::Rc;

use super::blame::{Cause, Ended};
use crate::{
    bounded::Bounded,
    fact::{Ktime, Link, LinkChange, Netns},
    kernel::path::Path,
};

/// Parents remembered.
const MAX_PARENTS: usize = 16_384;

/// How many devices below a parent are followed: a VXLAN on a VLAN on a veth, and its other end.
const MAX_BELOW: usize = 4;

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
    /// The device below it, or the other end if it is a veth, when that was last seen.
    below: Option<Link>,
    /// The end of the main process of the container that it belonged to, and the namespace's generation, once a runtime
    /// has begun to clear it away.
    orphaned: Option<(Rc<Ended>, u64)>,
}

impl Known {
    fn new(netns: Option<Netns>, ifindex: u32) -> Self {
        Self { netns, ifindex, carrier: None, up: None, down: None, below: None, orphaned: None }
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
    /// Notes what a device stands on, or the other end of a veth, which then stands on this one in turn.
    pub fn stands_on(&mut self, device: &Link, below: &Link) {
        if let Some(known) = self.learn(device) {
            known.below = Some(below.clone());
        }
        if device.is_veth() && below.is_veth() {
            if let Some(known) = self.learn(below) {
                known.below = Some(device.clone());
            }
        }
    }

    /// The devices below a parent, the nearest first, as they were last seen. The other end of a veth is the last one.
    pub fn below(&self, parent: &Link) -> Vec<&Link> {
        let mut devices: Vec<&Link> = Vec::new();
        let mut above = parent;
        while let Some(below) = self.known(above).and_then(|known| known.below.as_ref()) {
            devices.push(below);
            if devices.len() == MAX_BELOW || above.is_veth() && below.is_veth() {
                break;
            }
            above = below;
        }
        devices
    }

    /// The end of the container that a device belonged to, if a runtime has begun to clear the device away.
    pub fn orphaned(&self, device: &Link) -> Option<(Rc<Ended>, u64)> {
        self.known(device)?.orphaned.clone()
    }

    /// A runtime clears a device away after that end.
    pub fn clear_away(&mut self, device: &Link, ended: Rc<Ended>, generation: u64) {
        if let Some(known) = self.learn(device) {
            known.orphaned = Some((ended, generation));
        }
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

    /// The change of a device below that a device followed in a worker. A device with several ports loses its carrier with
    /// the last of them, and only one of them is known: it counts if it changed just before.
    pub fn change_below(
        &self,
        at: Ktime,
        device: &Link,
        below: &Link,
        change: LinkChange,
    ) -> Option<Rc<ParentChange>> {
        let known = self.known(below)?;
        let carrier = known.carrier.as_ref().filter(|known| known.change == change);
        if !device.has_ports() {
            return carrier.cloned();
        }
        let down = known.down.as_ref().filter(|_| change == LinkChange::CarrierLost && !below.is_up());
        let is_recent = |known: &&Rc<ParentChange>| at.0.saturating_sub(known.at.0) <= WORK_NS;
        carrier.into_iter().chain(down).filter(is_recent).max_by_key(|known| known.at).cloned()
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
