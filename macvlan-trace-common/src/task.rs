//! Everything about a task that may be gone a microsecond later.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Header, NetnsRef};

/// Longest chain of ancestors.
pub const MAX_ANCESTORS: usize = 16;
/// Bytes of the argument vector; the rest is cut.
pub const MAX_ARGS: usize = 1024;
/// Levels of a cgroup path.
pub const MAX_CGROUP_DEPTH: usize = 20;
/// Bytes of a cgroup path.
pub const MAX_CGROUP_PATH: usize = 4096;
/// Steps of the path of an executable: its names, and the mounts that it crosses.
pub const MAX_EXE_DEPTH: usize = 24;
/// Bytes of the path of an executable.
pub const MAX_EXE_PATH: usize = 1024;

/// [`Kind::Task`](crate::Kind::Task): the current task, whole.
///
/// Tail: `ancestors` × [`Ancestor`], then `args_len` bytes of NUL-terminated arguments, then the path of `cgroup`, then
/// that of `exe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TaskRecord {
    /// Names the task.
    pub header: Header,
    /// Network namespace of the task.
    pub netns: NetnsRef,
    /// The cgroup that it is in.
    pub cgroup: CgroupRef,
    /// The file that it runs.
    pub exe: ExeRef,
    /// Real user id; `u32::MAX` if unknown.
    pub uid: u32,
    /// Login user id; `u32::MAX` if never set.
    pub login_uid: u32,
    /// Inode number of the mount namespace; 0 if unknown.
    pub mntns: u32,
    /// Name of the controlling terminal, cut and padded with NUL; all NUL for a process without.
    pub tty: [u8; 16],
    /// Number of ancestors in the tail.
    pub ancestors: u32,
    /// Bytes of arguments in the tail.
    pub args_len: u32,
    /// 1 if the argument vector was read.
    pub args_known: u32,
}

/// A cgroup, whose path stands in the record's tail: the names, leaf first, each NUL-terminated, without the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CgroupRef {
    /// `kernfs_node.id`; 0 if unknown.
    pub id: u64,
    /// Bytes of the path in the tail.
    pub len: u32,
    /// Bits of [`CgroupRef::KNOWN`] and [`CgroupRef::CUT`].
    pub known: u32,
}

impl CgroupRef {
    /// The path was read.
    pub const KNOWN: u32 = 1;
    /// Deeper than [`MAX_CGROUP_DEPTH`], or so long that another name may not fit into [`MAX_CGROUP_PATH`]: the part near
    /// the root is missing.
    pub const CUT: u32 = 2;
}

/// The file that a task runs, whose path stands in the record's tail: the names, leaf first, each NUL-terminated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ExeRef {
    /// `dentry.d_hash.pprev`: 0 for a file that has been deleted or replaced since (`d_unlinked`).
    pub hashed: u64,
    /// Bytes of the path in the tail.
    pub len: u32,
    /// Bits of [`ExeRef::KNOWN`] and [`ExeRef::CUT`].
    pub known: u32,
}

impl ExeRef {
    /// The path was read.
    pub const KNOWN: u32 = 1;
    /// Deeper than [`MAX_EXE_DEPTH`], or so long that another name may not fit into [`MAX_EXE_PATH`], or in a directory
    /// that was moved out of what is mounted: the part near the root is missing.
    pub const CUT: u32 = 2;
}

/// One ancestor: the parent first, then its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Ancestor {
    /// When it started, in nanoseconds since boot.
    pub start_boot_ns: u64,
    /// Process id, as seen from the initial pid namespace.
    pub tgid: u32,
    /// Zero.
    pub reserved: u32,
    /// `task_struct.comm`, padded with NUL.
    pub comm: [u8; 16],
}

const _: () = assert!(size_of::<Ancestor>() == 32 && size_of::<TaskRecord>() == 80 + 24 + 72);
