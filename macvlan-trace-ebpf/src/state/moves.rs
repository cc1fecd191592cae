//! Which device the current task is moving to another network namespace.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, macros::map, maps::HashMap};
use macvlan_trace_common::{Counter, Kind, NetnsRef};

use crate::{capture::netns, counters::count, kread::read};

/// Devices that are being moved, by the thread that moves them.
#[map]
static MOVES: HashMap<u64, Move> = HashMap::with_max_entries(1_024, 0);

/// A device that is being moved.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Move {
    /// The device's address.
    pub dev: u64,
    /// Where it comes from.
    pub from: NetnsRef,
    /// Its index there.
    pub from_ifindex: u32,
    /// Where it goes to.
    pub to: u64,
    /// The name that it is to have there.
    pub name: u64,
    /// What it is: [`Kind::Link`] or [`Kind::Parent`].
    pub of: Kind,
    /// Zero.
    pub reserved: u16,
}

/// The current task begins to move the device to a network namespace, where it is to have a name.
#[inline(always)]
pub fn begin(dev: u64, of: Kind, to: u64, name: u64) {
    let mut from = NetnsRef::NONE;
    netns::fill(read!(dev, dev_net), &mut from);
    // Then `__dev_change_net_namespace` does nothing, and returns success.
    if from.ptr == to {
        forget();
        return;
    }
    let entry = Move { dev, from, from_ifindex: read!(dev, dev_ifindex), to, name, of, reserved: 0 };
    if MOVES.insert(bpf_get_current_pid_tgid(), entry, 0).is_err() {
        count(Counter::MapFull);
    }
}

/// The current task's move is over.
#[inline(always)]
pub fn end() -> Option<Move> {
    // SAFETY: the value is copied at once.
    let entry = unsafe { MOVES.get(bpf_get_current_pid_tgid()) }.copied();
    forget();
    entry
}

/// Whether the current task is moving the device: what happens to it meanwhile is part of the move.
///
/// Once the device is in the other namespace, nothing more of the move happens to it: `__dev_change_net_namespace`
/// closes it before. If the entry is still there, the return probe was missed; the entry then hides no changes.
#[inline(always)]
pub fn is_moving(dev: u64) -> bool {
    let net: u64 = read!(dev, dev_net);
    // SAFETY: the value is looked at at once.
    unsafe { MOVES.get(bpf_get_current_pid_tgid()) }
        .is_some_and(|entry| entry.dev == dev && entry.from.ptr == net)
}

/// The current task moves nothing.
#[inline(always)]
pub fn forget() {
    // It need not be in there.
    let _ = MOVES.remove(bpf_get_current_pid_tgid());
}
