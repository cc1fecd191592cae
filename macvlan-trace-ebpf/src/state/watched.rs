//! Which network namespaces matter.

use aya_ebpf::{macros::map, maps::HashMap};
use macvlan_trace_common::Counter;

use crate::{
    capture::netns,
    counters::count,
    kread::{offset, settings},
};

/// Network namespaces whose tasks matter, by address: those that hold a traced link or the parent of one. The value
/// means nothing. User space has the same limit.
#[map]
static NETNS: HashMap<u64, u32> = HashMap::with_max_entries(16_384, 0);

/// Whether tasks of the namespace matter.
#[inline(always)]
pub fn is_watched(net: u64) -> bool {
    // SAFETY: only presence is asked.
    net != 0 && unsafe { NETNS.get(net) }.is_some()
}

/// From now on, tasks of the namespace matter. Those of the machine's own never do.
#[inline(always)]
pub fn watch(net: u64) {
    if net == 0 || netns::inode_of(net, offset!(net_ns)) == settings().host_netns {
        return;
    }
    if NETNS.insert(net, 0, 0).is_err() {
        count(Counter::MapFull);
    }
}

/// The namespace is gone.
#[inline(always)]
pub fn forget(net: u64) {
    // It need not be in there.
    let _ = NETNS.remove(net);
}

/// The namespace is being torn down, unless something still refers to it.
#[inline(always)]
pub fn forget_ended(net: u64) {
    if netns::has_ended(net) {
        forget(net);
    }
}
