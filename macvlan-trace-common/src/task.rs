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

/// [`Kind::Task`](crate::Kind::Task): the current task, whole.
///
/// Tail: `ancestors` × [`Ancestor`], then `args_len` bytes of NUL-terminated arguments, then `cgroup_len` bytes:
/// the names of the cgroup's path, leaf first, each NUL-terminated, without the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TaskRecord {
    /// Names the task.
    pub header: Header,
    /// Network namespace of the task.
    pub netns: NetnsRef,
    /// Id of the cgroup (`kernfs_node.id`); 0 if unknown.
    pub cgroup_id: u64,
    /// Real user id; `u32::MAX` if unknown.
    pub uid: u32,
    /// Login user id; `u32::MAX` if never set.
    pub login_uid: u32,
    /// Inode number of the mount namespace; 0 if unknown.
    pub mntns: u32,
    /// Number of ancestors in the tail.
    pub ancestors: u32,
    /// Bytes of arguments in the tail.
    pub args_len: u32,
    /// Bytes of the cgroup path in the tail.
    pub cgroup_len: u32,
    /// Bits of [`TaskRecord::CGROUP_KNOWN`] and its like.
    pub known: u32,
    /// Zero.
    pub reserved: u32,
}

impl TaskRecord {
    /// The cgroup's path was read to its root.
    pub const CGROUP_KNOWN: u32 = 1;
    /// The argument vector was read.
    pub const ARGS_KNOWN: u32 = 2;
    /// Deeper than [`MAX_CGROUP_DEPTH`] or longer than [`MAX_CGROUP_PATH`]: the part near the root is missing.
    pub const CGROUP_CUT: u32 = 4;
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

const _: () = assert!(size_of::<Ancestor>() == 32 && size_of::<TaskRecord>() == 80 + 24 + 40);
