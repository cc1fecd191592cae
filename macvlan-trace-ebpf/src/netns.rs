//! Captures network namespaces, and knows which of them matter.

use macvlan_trace_common::{Counter, NetnsRef};

use crate::{
    kread::{field, offset, read, settings},
    maps::{NETNS, count},
};

/// Describes a `struct net`.
#[inline(always)]
pub fn fill(net: u64, out: &mut NetnsRef) {
    out.ptr = net;
    out.cookie = read!(net, net_cookie);
    out.inode = inode_of(net, offset!(net_ns));
    out.reserved = 0;
}

/// Inode number of a namespace whose `ns_common` stands at `ns` in it; 0 if unknown.
#[inline(always)]
pub fn inode_of(namespace: u64, ns: u32) -> u32 {
    let inum = offset!(ns_inum);
    if namespace == 0 || ns == macvlan_trace_common::MISSING || inum == macvlan_trace_common::MISSING {
        return 0;
    }
    field(namespace + u64::from(ns), inum)
}

/// The network namespace that a task lives in; 0 for one that has left already.
#[inline(always)]
pub fn of_task(task: u64) -> u64 {
    let nsproxy: u64 = read!(task, task_nsproxy);
    read!(nsproxy, nsproxy_net)
}

/// Whether tasks of the namespace matter.
#[inline(always)]
pub fn is_watched(net: u64) -> bool {
    // SAFETY: only presence is asked.
    net != 0 && unsafe { NETNS.get(net) }.is_some()
}

/// From now on, tasks of the namespace matter. Those of the machine's own never do.
#[inline(always)]
pub fn watch(net: u64) {
    if net == 0 || inode_of(net, offset!(net_ns)) == settings().host_netns {
        return;
    }
    if NETNS.insert(net, 0, 0).is_err() {
        count(Counter::MapFull);
    }
}

/// The namespace is gone.
#[inline(always)]
pub fn forget(net: u64) {
    // Absent is as good.
    let _ = NETNS.remove(net);
}
