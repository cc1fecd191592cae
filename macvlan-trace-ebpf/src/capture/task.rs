//! Captures the current task.

use aya_ebpf::helpers::bpf_get_current_task;
use macvlan_trace_common::{
    Ancestor, CgroupRef, ExeRef, MAX_ANCESTORS, MAX_ARGS, MAX_CGROUP_DEPTH, MAX_CGROUP_PATH, MAX_EXE_DEPTH,
    MAX_EXE_PATH, TaskRecord, TaskRef,
};

use crate::{
    capture::{
        buffer::{Buffer, SIZE},
        netns,
    },
    kread::{field_or, offset, read, settings, short_string, string, user},
};

/// Longest name of a file or directory, NAME_MAX and its NUL.
const NAME: usize = 256;
/// `signal_struct.flags`: the whole process is ending.
const SIGNAL_GROUP_EXIT: u32 = 4;
/// Bytes of the largest task record.
const MAX_LEN: usize = size_of::<TaskRecord>()
    + MAX_ANCESTORS * size_of::<Ancestor>()
    + MAX_ARGS
    + MAX_CGROUP_PATH
    + MAX_EXE_PATH;

/// Identifies the state of a task: while this stays the same, so does the task's record.
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
        start: read!(task, task_start),
        mm: read!(task, task_mm),
        cred: read!(task, task_cred),
        nsproxy: read!(task, task_nsproxy),
        cgroups: read!(task, task_cgroups),
        parent: read!(task, task_parent),
        comm: read!(task, task_comm),
    }
}

/// Fills in the few bytes that every record carries.
#[inline(always)]
pub fn fill_ref(task: u64, out: &mut TaskRef) {
    let leader = read!(task, task_leader);
    out.tgid = read!(task, task_tgid);
    out.tid = read!(task, task_pid);
    out.start_boot_ns = read!(leader, task_start);
    out.comm = read!(task, task_comm);
    out.flags = read!(task, task_flags);
    let pid: u64 = read!(leader, task_thread_pid);
    let level: u32 = read!(pid, pid_level);
    let upid = upid(pid, level);
    out.ns_tgid = read!(upid, upid_nr);
    out.pidns = upid_pidns(upid);
    out.pidns_level = level;
}

/// The name of a task's process, padded with zeros. Before 5.17 the kernel leaves remains of an earlier, longer name
/// behind the end (`__set_task_comm`).
#[inline(always)]
pub fn name(task: u64) -> [u8; 16] {
    let leader: u64 = read!(task, task_leader);
    short_string(leader + u64::from(offset!(task_comm)))
}

/// The `struct upid` of a pid at a level.
#[inline(always)]
fn upid(pid: u64, level: u32) -> u64 {
    if pid == 0 {
        return 0;
    }
    pid + u64::from(offset!(pid_numbers)) + u64::from(level & 31) * u64::from(offset!(upid_size))
}

#[inline(always)]
fn upid_pidns(upid: u64) -> u32 {
    let ns: u64 = read!(upid, upid_ns);
    netns::inode_of(ns, offset!(pidns_ns))
}

/// Whether the current task belongs to the tracer.
#[inline(always)]
pub fn is_own() -> bool {
    let settings = settings();
    let leader: u64 = read!(current(), task_leader);
    let pid: u64 = read!(leader, task_thread_pid);
    let upid = upid(pid, read!(pid, pid_level));
    read!(upid, upid_nr as u32) == settings.own_tgid && upid_pidns(upid) == settings.own_pidns
}

/// Living threads of the task's process; 0 if unknown.
#[inline(always)]
pub fn threads(task: u64) -> u32 {
    let signal: u64 = read!(task, task_signal);
    read!(signal, signal_live)
}

/// Whether this task's end is the end of its process, reported once: by the last thread, or, where all threads
/// end together, by the first thread of the process, since each of them still sees the others alive.
#[inline(always)]
pub fn ends_process(task: u64) -> bool {
    let signal: u64 = read!(task, task_signal);
    if read!(signal, signal_live as u32) == 1 {
        return true;
    }
    let flags: u32 = read!(signal, signal_flags);
    let leader: u64 = read!(task, task_leader);
    flags & SIGNAL_GROUP_EXIT != 0 && leader == task
}

/// Builds the task's record behind the header; the bytes of the whole record.
#[inline(always)]
pub fn fill(buffer: &mut Buffer, task: u64) -> usize {
    let cred: u64 = read!(task, task_cred);
    let nsproxy: u64 = read!(task, task_nsproxy);
    let mntns: u64 = read!(nsproxy, nsproxy_mnt);
    let kn = cgroup_node(task);

    let record = buffer.record::<TaskRecord>();
    netns::fill(read!(nsproxy, nsproxy_net), &mut record.netns);
    record.uid = field_or(cred, offset!(cred_uid), u32::MAX);
    record.login_uid = field_or(task, offset!(task_loginuid), u32::MAX);
    record.mntns = netns::inode_of(mntns, offset!(mntns_ns));
    let signal: u64 = read!(task, task_signal);
    record.tty = read!(read!(signal, signal_tty), tty_name);

    fill_ancestors(buffer, task);
    let ancestors = stored(&buffer.record::<TaskRecord>().ancestors) & (2 * MAX_ANCESTORS - 1);
    let at = size_of::<TaskRecord>() + ancestors * size_of::<Ancestor>();
    fill_args(buffer, task, at);
    let at = at + (stored(&buffer.record::<TaskRecord>().args_len) & (2 * MAX_ARGS - 1));
    fill_cgroup(buffer, kn, at, |buffer| &mut buffer.record::<TaskRecord>().cgroup);
    fill_exe(buffer, task, at)
}

/// A length, read back from the record. In a register, the verifier would track a different value for each exit of the
/// loop that found it, and walk the rest of the program once for each. A value from a map is one unknown.
#[inline(always)]
fn stored(length: &u32) -> usize {
    // SAFETY: a reference is readable.
    unsafe { core::ptr::read_volatile(length) as usize }
}

/// Writes the chain of parents.
#[inline(always)]
fn fill_ancestors(buffer: &mut Buffer, task: u64) {
    let mut child: u64 = read!(task, task_leader);
    buffer.record::<TaskRecord>().ancestors = 0;
    let mut n = 0;
    while n < MAX_ANCESTORS {
        let parent: u64 = read!(child, task_parent);
        let leader: u64 = read!(parent, task_leader);
        // The idle task is its own parent; a kernel thread's chain ends at kthreadd below it.
        let tgid: u32 = read!(leader, task_tgid);
        if tgid == 0 {
            break;
        }
        // SAFETY: `n` is less than MAX_ANCESTORS, and the buffer has room for that many.
        let ancestor = unsafe { &mut *buffer.at(size_of::<TaskRecord>()).cast::<Ancestor>().add(n) };
        ancestor.start_boot_ns = read!(leader, task_start);
        ancestor.tgid = tgid;
        ancestor.reserved = 0;
        ancestor.comm = read!(leader, task_comm);
        child = leader;
        n += 1;
        #[allow(clippy::cast_possible_truncation)] // at most MAX_ANCESTORS
        {
            buffer.record::<TaskRecord>().ancestors = n as u32;
        }
    }
}

/// Copies the argument vector to `at`.
#[inline(always)]
fn fill_args(buffer: &mut Buffer, task: u64, at: usize) {
    let mm: u64 = read!(task, task_mm);
    let start: u64 = read!(mm, mm_arg_start);
    let end: u64 = read!(mm, mm_arg_end);
    let full = end.saturating_sub(start);
    #[allow(clippy::cast_possible_truncation)] // at most MAX_ARGS
    let size = if full > MAX_ARGS as u64 { MAX_ARGS as u32 } else { full as u32 };
    // Masks, and not comparisons, because a bound that was spilled to the stack is lost to the verifier of 5.10.
    let at = core::hint::black_box(at) & 1023;
    let masked = core::hint::black_box(size) & 2047;
    // SAFETY: at most 1023 + 2047 bytes into the buffer.
    let copied = masked > 0 && unsafe { user(start, buffer.at(at), masked) };
    let record = buffer.record::<TaskRecord>();
    record.args_len = if copied { size } else { 0 };
    record.args_known = u32::from(copied);
}

/// The `kernfs_node` of the task's cgroup: that of the unified hierarchy, or, where the task is at its root
/// because controllers live in v1 hierarchies, that of the pids (or cpu) hierarchy.
#[inline(always)]
fn cgroup_node(task: u64) -> u64 {
    let css_set: u64 = read!(task, task_cgroups);
    let unified: u64 = read!(css_set, css_set_dfl);
    let kn: u64 = read!(unified, cgroup_kn);
    let parent: u64 = read!(kn, kn_parent);
    if parent != 0 {
        return kn;
    }
    let css: u64 = read!(css_set, css_set_v1);
    let cgroup: u64 = read!(css, css_cgroup);
    let v1: u64 = read!(cgroup, cgroup_kn);
    if v1 == 0 { kn } else { v1 }
}

/// Describes a cgroup by its `kernfs_node`, in the part of the record that `place` finds, and writes the names of its
/// path, leaf first, to `at`. Returns where they end.
#[inline(always)]
pub fn fill_cgroup(
    buffer: &mut Buffer,
    kn: u64,
    at: usize,
    place: impl Fn(&mut Buffer) -> &mut CgroupRef,
) -> usize {
    place(buffer).id = read!(kn, kn_id);
    place(buffer).len = 0;
    let mut node = kn;
    let mut depth = 0;
    while depth < MAX_CGROUP_DEPTH {
        let parent: u64 = read!(node, kn_parent);
        let written = stored(&place(buffer).len);
        if parent == 0 || written >= MAX_CGROUP_PATH - NAME {
            break;
        }
        let name: u64 = read!(node, kn_name);
        let to =
            (core::hint::black_box(at) & 2047) + (core::hint::black_box(written) & (MAX_CGROUP_PATH - 1));
        // SAFETY: at most 2047 + 4095 + 256 bytes into the buffer.
        let len = unsafe { string(name, buffer.at(to), NAME as u32) };
        if len <= 0 {
            // If a name cannot be read, the path is unknown: the loop does not reach the root.
            break;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 1 to NAME
        {
            place(buffer).len = (written + len as usize) as u32;
        }
        node = parent;
        depth += 1;
    }
    let known = if node == 0 {
        0
    } else if read!(node, kn_parent as u64) == 0 {
        CgroupRef::KNOWN
    } else {
        CgroupRef::KNOWN | CgroupRef::CUT
    };
    place(buffer).known = known;
    at + (stored(&place(buffer).len) & (MAX_CGROUP_PATH - 1))
}

/// All bits, or none if the number is zero, without a branch.
#[inline(always)]
fn if_not_zero(number: u64) -> u64 {
    core::hint::black_box((number | number.wrapping_neg()) as i64 >> 63) as u64
}

/// The first number under a mask of all bits, and the second under one of none.
#[inline(always)]
fn choose(mask: u64, one: u64, other: u64) -> u64 {
    (one & mask) | (other & !mask)
}

/// Writes the names of the path of the task's executable, leaf first, behind the path of its cgroup, which begins at
/// `at`. Returns where they end.
///
/// Like `prepend_path`, this goes on from the root of a mount to where that is mounted. A mount that is on nothing is its
/// own parent, and mounted on its own root: that of a mount namespace, or one that is detached or the kernel's own
/// (`vfs_create_mount`). So is a file without a directory, such as a memfd.
#[inline(always)]
fn fill_exe(buffer: &mut Buffer, task: u64, at: usize) -> usize {
    let mm: u64 = read!(task, task_mm);
    let file: u64 = read!(mm, mm_exe_file);
    let mut dentry: u64 = read!(file, file_dentry);
    let mut mount: u64 = read!(file, file_mount);
    let exe = &mut buffer.record::<TaskRecord>().exe;
    exe.hashed = field_or(dentry, offset!(dentry_hashed), 1);
    exe.len = 0;
    exe.known = ExeRef::KNOWN | ExeRef::CUT;
    let mut depth = 0;
    while depth < MAX_EXE_DEPTH {
        let record = buffer.record::<TaskRecord>();
        let written = stored(&record.exe.len);
        if written >= MAX_EXE_PATH - NAME {
            break;
        }
        // Masks choose what comes next: with a branch for it in each step, the verifier would follow both ways each time.
        let inside = if_not_zero(dentry ^ read!(mount, vfsmount_root as u64));
        let cgroup = stored(&record.cgroup.len);
        let to = (core::hint::black_box(at) & 2047)
            + (core::hint::black_box(cgroup) & (MAX_CGROUP_PATH - 1))
            + (core::hint::black_box(written) & (MAX_EXE_PATH - 1));
        let name: u64 = read!(dentry, dentry_name);
        // SAFETY: at most 2047 + 4095 + 1023 + 256 bytes into the buffer. No bytes are asked for at the root of a mount.
        let len = unsafe { string(name, buffer.at(to), NAME as u32 & inside as u32) };
        let exe = &mut buffer.record::<TaskRecord>().exe;
        if len < 0 {
            exe.known = 0;
            break;
        }
        exe.len = (written + len as usize) as u32;
        let outer = mount - u64::from(offset!(mount_vfsmount));
        let below = read!(outer, mount_parent as u64) + u64::from(offset!(mount_vfsmount));
        let next = choose(inside, read!(dentry, dentry_parent), read!(outer, mount_mountpoint));
        let next_mount = choose(inside, mount, below);
        if (next ^ dentry) | (next_mount ^ mount) == 0 {
            // There is nothing above this, unless something on the way could not be read.
            exe.known = if dentry == 0 { 0 } else { ExeRef::KNOWN };
            // The root of a file system that is not that of the mount: the directory was moved out of what is mounted.
            if inside != 0 && depth > 0 {
                (exe.known, exe.len) = (ExeRef::KNOWN | ExeRef::CUT, written as u32);
            }
            break;
        }
        (dentry, mount) = (next, next_mount);
        depth += 1;
    }
    let record = buffer.record::<TaskRecord>();
    at + (stored(&record.cgroup.len) & (MAX_CGROUP_PATH - 1)) + (stored(&record.exe.len) & (MAX_EXE_PATH - 1))
}

const _: () = assert!(size_of::<TaskRecord>() + MAX_ANCESTORS * size_of::<Ancestor>() <= 1023);
const _: () = assert!(size_of::<TaskRecord>() + MAX_ANCESTORS * size_of::<Ancestor>() + MAX_ARGS <= 2047);
const _: () = assert!(2047 + MAX_CGROUP_PATH + MAX_EXE_PATH + NAME < SIZE);
const _: () = assert!(MAX_LEN + NAME < SIZE && size_of::<TaskRecord>() > size_of::<TaskRef>());
