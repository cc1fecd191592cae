//! The kernel runs out of memory.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{CgroupRef, Header, NetnsRef, TaskRef};

/// [`Kind::Oom`](crate::Kind::Oom): the kernel ran out of memory, and chose a process of a watched network namespace to
/// kill.
///
/// Tail: the path of `limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct OomRecord {
    /// Names the task that asked for the memory.
    pub header: Header,
    /// The namespace that the chosen process lives in.
    pub netns: NetnsRef,
    /// The chosen process.
    pub target: TaskRef,
    /// The cgroup whose limit was reached.
    pub limit: CgroupRef,
    /// 1 if it was a cgroup's limit; 0 if the machine had no memory left.
    pub limited: u32,
    /// Zero.
    pub reserved: u32,
}
