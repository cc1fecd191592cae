//! Where the tracer itself is.

use aya_ebpf::{macros::map, maps::Array};
use macvlan_trace_common::NetnsRef;

use crate::capture::netns;

/// The network namespace that the tracer's own thread entered last: how user space learns its address.
#[map]
static OWN_NETNS: Array<NetnsRef> = Array::with_max_entries(1, 0);

/// The tracer enters a namespace.
#[inline(always)]
pub fn enter(net: u64) {
    if let Some(own) = OWN_NETNS.get_ptr_mut(0) {
        // SAFETY: a slot of the map; one thread of the tracer enters namespaces.
        netns::fill(net, unsafe { &mut *own });
    }
}
