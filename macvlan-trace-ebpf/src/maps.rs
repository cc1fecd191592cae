//! The maps, with what bounds each.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{Array, HashMap, PerCpuArray, RingBuf},
};
use macvlan_trace_common::{Counter, Kind, NetnsRef};

use crate::emit::Lane;

/// Records on their way to user space. 4 MiB hold 8,000 deletions of a storm: its records share one task record.
#[map]
pub static RECORDS: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

/// Where records are built: two lanes a CPU, because a tracepoint can interrupt a kprobe.
#[map]
pub static LANES: PerCpuArray<Lane> = PerCpuArray::with_max_entries(2, 0);

/// What is counted, by [`Counter`].
#[map]
pub static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Counter::COUNT, 0);

/// Network namespaces whose tasks matter, by address: those that hold a watched link or the parent of one. The value
/// means nothing.
#[map]
pub static NETNS: HashMap<u64, u32> = HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// Links with a change that was reported and whose effect has not been seen yet, by address: bits of
/// [`crate::netdev::pending`].
#[map]
pub static PENDING: HashMap<u64, u32> = HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// Links on their way to another network namespace, by the task that moves them.
#[map]
pub static MOVES: HashMap<u64, Move> = HashMap::with_max_entries(1_024, BPF_F_NO_PREALLOC);

/// Links that are being set up, by the task that does.
#[map]
pub static OPENS: HashMap<u64, Open> = HashMap::with_max_entries(1_024, BPF_F_NO_PREALLOC);

/// The network namespace that the tracer's own thread entered last: how user space learns its address.
#[map]
pub static OWN_NETNS: Array<NetnsRef> = Array::with_max_entries(1, 0);

/// A link on its way.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Move {
    /// The link's address.
    pub dev: u64,
    /// Where it comes from.
    pub from: NetnsRef,
    /// Its index there.
    pub from_ifindex: u32,
    /// What it is: [`Kind::Link`] or [`Kind::Parent`].
    pub of: Kind,
    /// Zero.
    pub reserved: u16,
}

/// A link that is being set up.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Open {
    /// The link's address.
    pub dev: u64,
    /// How many other devices are being set up by that, one by another: their returns come first.
    pub inner: u64,
}

/// Adds one.
#[inline(always)]
pub fn count(counter: Counter) {
    if let Some(value) = COUNTERS.get_ptr_mut(counter as u32) {
        // SAFETY: the slot belongs to this CPU; a nested program can lose a count, never corrupt one.
        unsafe { *value += 1 };
    }
}
