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

/// A number that the next namespace at this address does not have: its cookie, or before 5.12 the random 32 bits that
/// `setup_net` gives to each.
#[inline(always)]
fn cookie_of(net: u64) -> u64 {
    if offset!(net_cookie) == offset!(net_hash_mix) {
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

/// The network namespace that a descriptor of the current task stands for; 0 if it cannot be looked up.
///
/// The kernel has already taken it for one: it would have refused any other file (`get_net_ns_by_fd`).
#[inline(always)]
pub fn of_descriptor(task: u64, fd: u32) -> u64 {
    let files: u64 = read!(task, task_files);
    let table: u64 = read!(files, files_table);
    if fd >= read!(table, table_size as u32) {
        return 0;
    }
    let file: u64 = field(read!(table, table_fd as u64) + u64::from(fd) * 8, 0);
    let inode: u64 = read!(file, file_inode);
    // nsfs keeps the `struct ns_common` there, which is part of the `struct net`.
    let ns: u64 = read!(inode, inode_private);
    if ns == 0 { 0 } else { ns - u64::from(offset!(net_ns)) }
}

/// Whether nothing refers to the namespace any more. If the kernel lacks the field, the answer is no.
#[inline(always)]
pub fn has_ended(net: u64) -> bool {
    field_or(net, offset!(net_count), 1u32) == 0
}
