//! Captures network namespaces.

use macvlan_trace_common::{MISSING, NetnsRef};

use crate::kread::{field, field_or, offset, read};

/// Describes a `struct net`.
#[inline(always)]
pub fn fill(net: u64, out: &mut NetnsRef) {
    out.ptr = net;
    out.cookie = cookie_of(net);
    out.inode = inode_of(net, offset!(net_ns));
    out.reserved = 0;
}

/// A number that the next namespace at this address does not have: its cookie, or before 5.12 the random number that
/// `setup_net` gives to each.
#[inline(always)]
fn cookie_of(net: u64) -> u64 {
    if offset!(net_cookie) == MISSING {
        return u64::from(read!(net, net_hash_mix as u32));
    }
    read!(net, net_cookie)
}

/// Inode number of a namespace whose `ns_common` stands at `ns` in it; 0 if unknown.
#[inline(always)]
pub fn inode_of(namespace: u64, ns: u32) -> u32 {
    let inum = offset!(ns_inum);
    if namespace == 0 || ns == MISSING || inum == MISSING {
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

/// Whether nothing refers to the namespace any more. If the kernel lacks the field, the answer is no.
#[inline(always)]
pub fn has_ended(net: u64) -> bool {
    field_or(net, offset!(net_count), 1u32) == 0
}
