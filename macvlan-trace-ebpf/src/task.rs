//! Captures the current task.

use aya_ebpf::helpers::bpf_get_current_task;
use macvlan_trace_common::{
    Ancestor, MAX_ANCESTORS, MAX_ARGS, MAX_CGROUP_DEPTH, MAX_CGROUP_PATH, TaskRecord, TaskRef,
};

use crate::{
    emit::Lane,
    kread::{bytes, read, settings, string, user},
    netns,
};

/// Longest name of a cgroup directory, NAME_MAX and its NUL.
const NAME: usize = 256;
/// `signal_struct.flags`: the whole process is ending.
const SIGNAL_GROUP_EXIT: u32 = 4;
/// Bytes of the largest task record.
pub const MAX_LEN: usize =
    size_of::<TaskRecord>() + MAX_ANCESTORS * size_of::<Ancestor>() + MAX_ARGS + MAX_CGROUP_PATH;

/// What tells one state of a task from another: while it stays the same, so does the task's record.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Fingerprint {
    task: u64,
    start: u64,
    mm: u64,
    cred: u64,
    nsproxy: u64,
    cgroups: u64,
    parent: u64,
    comm: [u64; 2],
}

/// Address of the current `task_struct`.
#[inline(always)]
pub fn current() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_get_current_task() }
}

/// What the task is at this instant.
#[inline(always)]
pub fn fingerprint(task: u64) -> Fingerprint {
    Fingerprint {
        task,
        start: read!(task, task_start).unwrap_or(0),
        mm: read!(task, task_mm).unwrap_or(0),
        cred: read!(task, task_cred).unwrap_or(0),
        nsproxy: read!(task, task_nsproxy).unwrap_or(0),
        cgroups: read!(task, task_cgroups).unwrap_or(0),
        parent: read!(task, task_parent).unwrap_or(0),
        comm: read!(task, task_comm).unwrap_or([0; 2]),
    }
}

/// Fills in the few bytes that every record carries.
#[inline(always)]
pub fn fill_ref(task: u64, out: &mut TaskRef) {
    let leader = read!(task, task_leader).unwrap_or(task);
    out.tgid = read!(task, task_tgid).unwrap_or(0);
    out.tid = read!(task, task_pid).unwrap_or(0);
    out.start_boot_ns = read!(leader, task_start).unwrap_or(0);
    out.comm = read!(task, task_comm).unwrap_or([0; 16]);
    out.flags = read!(task, task_flags).unwrap_or(0);
    let pid: u64 = read!(leader, task_thread_pid).unwrap_or(0);
    let level: u32 = read!(pid, pid_level).unwrap_or(0);
    let upid = upid(pid, level);
    out.ns_tgid = crate::kread::field(upid, 0).unwrap_or(0);
    out.pidns = upid_pidns(upid);
    out.pidns_level = level;
}

/// The `struct upid` of a pid at a level; its number stands first in it on every kernel.
#[inline(always)]
fn upid(pid: u64, level: u32) -> u64 {
    if pid == 0 {
        return 0;
    }
    pid + u64::from(crate::kread::offset!(pid_numbers))
        + u64::from(level & 31) * u64::from(crate::kread::offset!(upid_size))
}

#[inline(always)]
fn upid_pidns(upid: u64) -> u32 {
    let ns: u64 = read!(upid, upid_ns).unwrap_or(0);
    netns::inode_of(ns, crate::kread::offset!(pidns_ns))
}

/// Whether the current task belongs to the tracer.
#[inline(always)]
pub fn is_own() -> bool {
    let settings = settings();
    let leader: u64 = read!(current(), task_leader).unwrap_or(0);
    let pid: u64 = read!(leader, task_thread_pid).unwrap_or(0);
    let upid = upid(pid, read!(pid, pid_level).unwrap_or(0));
    crate::kread::field::<u32>(upid, 0) == Some(settings.own_tgid) && upid_pidns(upid) == settings.own_pidns
}

/// Living threads of the task's process; 0 if unknown.
#[inline(always)]
pub fn threads(task: u64) -> u32 {
    let signal: u64 = read!(task, task_signal).unwrap_or(0);
    read!(signal, signal_live).unwrap_or(0)
}

/// Whether this task's end is the end of its process, reported once: by the last thread, or, where all threads
/// end together, by the first thread of the process, since each of them still sees the others alive.
#[inline(always)]
pub fn ends_process(task: u64) -> bool {
    let signal: u64 = read!(task, task_signal).unwrap_or(0);
    if read!(signal, signal_live) == Some(1_u32) {
        return true;
    }
    let flags: u32 = read!(signal, signal_flags).unwrap_or(0);
    let leader: u64 = read!(task, task_leader).unwrap_or(0);
    flags & SIGNAL_GROUP_EXIT != 0 && leader == task
}

/// Builds the task's record behind the header; the bytes of the whole record.
#[inline(always)]
pub fn fill(lane: &mut Lane, task: u64) -> usize {
    let cred: u64 = read!(task, task_cred).unwrap_or(0);
    let nsproxy: u64 = read!(task, task_nsproxy).unwrap_or(0);
    let mntns: u64 = read!(nsproxy, nsproxy_mnt).unwrap_or(0);
    let kn = cgroup_node(task);

    let record = lane.record::<TaskRecord>();
    netns::fill(read!(nsproxy, nsproxy_net).unwrap_or(0), &mut record.netns);
    record.cgroup_id = read!(kn, kn_id).unwrap_or(0);
    record.uid = read!(cred, cred_uid).unwrap_or(u32::MAX);
    record.login_uid = read!(task, task_loginuid).unwrap_or(u32::MAX);
    record.mntns = netns::inode_of(mntns, crate::kread::offset!(mntns_ns));
    record.known = 0;

    let ancestors = fill_ancestors(lane, task);
    let at = size_of::<TaskRecord>() + ancestors * size_of::<Ancestor>();
    let args = fill_args(lane, task, at);
    let at = at + args;
    let (cgroup, known) = fill_cgroup(lane, kn, at);

    let record = lane.record::<TaskRecord>();
    #[allow(clippy::cast_possible_truncation)] // each is bounded by its MAX_
    {
        record.ancestors = ancestors as u32;
        record.args_len = args as u32;
        record.cgroup_len = cgroup as u32;
    }
    record.known |= known;
    at + cgroup
}

/// Writes the chain of parents; its length.
#[inline(always)]
fn fill_ancestors(lane: &mut Lane, task: u64) -> usize {
    let mut child: u64 = read!(task, task_leader).unwrap_or(task);
    let mut n = 0;
    while n < MAX_ANCESTORS {
        let parent: u64 = read!(child, task_parent).unwrap_or(0);
        let leader: u64 = read!(parent, task_leader).unwrap_or(0);
        // The idle task is its own parent; a kernel thread's chain ends at kthreadd below it.
        let tgid: u32 = read!(leader, task_tgid).unwrap_or(0);
        if tgid == 0 {
            break;
        }
        // SAFETY: `n` is less than MAX_ANCESTORS, and the buffer has room for that many.
        let ancestor = unsafe {
            &mut *lane.buffer.as_mut_ptr().add(size_of::<TaskRecord>()).cast::<Ancestor>().add(n)
        };
        ancestor.start_boot_ns = read!(leader, task_start).unwrap_or(0);
        ancestor.tgid = tgid;
        ancestor.reserved = 0;
        ancestor.comm = bytes(leader, crate::kread::offset!(task_comm));
        child = leader;
        n += 1;
    }
    n
}

/// Copies the argument vector to `at`; the bytes copied.
#[inline(always)]
fn fill_args(lane: &mut Lane, task: u64, at: usize) -> usize {
    let mm: u64 = read!(task, task_mm).unwrap_or(0);
    let start: u64 = read!(mm, mm_arg_start).unwrap_or(0);
    let end: u64 = read!(mm, mm_arg_end).unwrap_or(0);
    let full = end.saturating_sub(start);
    let len = if full > MAX_ARGS as u64 { MAX_ARGS } else { full as usize };
    // Masks, and not comparisons, because a bound that was spilled to the stack is lost to the verifier of 5.10.
    let at = core::hint::black_box(at) & 1023;
    let size = core::hint::black_box(len) & 2047;
    // SAFETY: at most 1023 + 2047 bytes into the buffer.
    let copied = size > 0 && unsafe { user(start, lane.buffer.as_mut_ptr().add(at), size as u32) };
    let record = lane.record::<TaskRecord>();
    #[allow(clippy::cast_possible_truncation)] // the kernel bounds it far below 4 GiB
    {
        record.args_full_len = full as u32;
    }
    if copied {
        record.known |= TaskRecord::ARGS_KNOWN;
        len
    } else {
        0
    }
}

/// The `kernfs_node` of the task's cgroup: that of the unified hierarchy, or, where the task is at its root
/// because controllers live in v1 hierarchies, that of the pids (or cpu) hierarchy.
#[inline(always)]
fn cgroup_node(task: u64) -> u64 {
    let css_set: u64 = read!(task, task_cgroups).unwrap_or(0);
    let unified: u64 = read!(css_set, css_set_dfl).unwrap_or(0);
    let kn: u64 = read!(unified, cgroup_kn).unwrap_or(0);
    let parent: u64 = read!(kn, kn_parent).unwrap_or(0);
    if parent != 0 {
        return kn;
    }
    let css: u64 = read!(css_set, css_set_v1).unwrap_or(0);
    let cgroup: u64 = read!(css, css_cgroup).unwrap_or(0);
    let v1: u64 = read!(cgroup, cgroup_kn).unwrap_or(0);
    if v1 == 0 { kn } else { v1 }
}

/// Writes the names of the path, leaf first, to `at`; the bytes written, and what is known.
#[inline(always)]
fn fill_cgroup(lane: &mut Lane, kn: u64, at: usize) -> (usize, u32) {
    let mut node = kn;
    let mut written = 0;
    let mut depth = 0;
    while depth < MAX_CGROUP_DEPTH {
        let parent: u64 = read!(node, kn_parent).unwrap_or(0);
        if parent == 0 {
            // The root, whose name is empty; or nothing could be read at all.
            return (written, if node == 0 { 0 } else { TaskRecord::CGROUP_KNOWN });
        }
        if written > MAX_CGROUP_PATH - NAME {
            break;
        }
        let name: u64 = read!(node, kn_name).unwrap_or(0);
        let to = (core::hint::black_box(at) & 2047) + (core::hint::black_box(written) & (MAX_CGROUP_PATH - 1));
        // SAFETY: at most 2047 + 4095 + 256 bytes into the buffer.
        let len = unsafe { string(name, lane.buffer.as_mut_ptr().add(to), NAME as u32) };
        if len <= 0 {
            return (written, 0);
        }
        written += (len as usize) & (2 * NAME - 1);
        node = parent;
        depth += 1;
    }
    (written, TaskRecord::CGROUP_KNOWN | TaskRecord::CGROUP_CUT)
}

const _: () = assert!(size_of::<TaskRecord>() + MAX_ANCESTORS * size_of::<Ancestor>() <= 1023);
const _: () = assert!(size_of::<TaskRecord>() + MAX_ANCESTORS * size_of::<Ancestor>() + MAX_ARGS <= 2047);
const _: () = assert!(2047 + MAX_CGROUP_PATH + NAME < 8192);
