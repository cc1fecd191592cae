//! Network namespaces, and what happens in them that explains the end of a link.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Header, TaskRef};

/// A network namespace. The pointer is its identity while it lives; the inode number, which is all that people
/// see, is reused at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NetnsRef {
    /// Address of the `struct net`; 0 if unknown.
    pub ptr: u64,
    /// `net.net_cookie`, never reused; before 5.12 `net.hash_mix`, 32 random bits; 0 if unknown.
    pub cookie: u64,
    /// Inode number; 0 if unknown.
    pub inode: u32,
    /// Zero.
    pub reserved: u32,
}

impl NetnsRef {
    /// No namespace.
    pub const NONE: Self = Self { ptr: 0, cookie: 0, inode: 0, reserved: 0 };
}

/// [`Kind::Exit`](crate::Kind::Exit): the current process ends, and lives in a watched network namespace; or
/// a thread does that lived there alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ExitRecord {
    /// Names the process.
    pub header: Header,
    /// The namespace that it lived in.
    pub netns: NetnsRef,
    /// As `do_exit` gets it: exit code in bits 8 to 15, signal in bits 0 to 6, core dump in bit 7.
    pub code: u32,
    /// 1 if only a thread ends, whose process lives in another namespace.
    pub only_thread: u16,
    /// 1 if the namespace is not watched: others depend on the program, wherever it runs.
    pub elsewhere: u16,
}

/// [`Kind::Signal`](crate::Kind::Signal): a process of a watched network namespace was sent a signal by another
/// process, the current one, or by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SignalRecord {
    /// Names the sender, if `from_kernel` is 0.
    pub header: Header,
    /// The namespace that the target lives in.
    pub netns: NetnsRef,
    /// Who was signalled.
    pub target: TaskRef,
    /// Number of the signal.
    pub signal: u32,
    /// 1 if no process sent it.
    pub from_kernel: u16,
    /// 1 if the target ignores it, so that it does nothing.
    pub ignored: u8,
    /// 1 if the namespace is not watched: others depend on the program, wherever it runs.
    pub elsewhere: u8,
}

/// [`Kind::NetnsMove`](crate::Kind::NetnsMove): the current task changes its network namespace by `setns` or
/// `unshare`; at least one of the two is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NetnsMoveRecord {
    /// Names the task.
    pub header: Header,
    /// The namespace that it leaves.
    pub from: NetnsRef,
    /// The namespace that it enters.
    pub to: NetnsRef,
    /// Living threads of the process; 1 means that the whole process moves.
    pub threads: u32,
    /// 1 if the task has just made the namespace that it enters.
    pub made: u32,
}

/// [`Kind::NetnsEnd`](crate::Kind::NetnsEnd): the last reference to a watched network namespace dropped, or its last
/// mount and file.
///
/// Tail: `stack` × `u64`. Only the path shows who dropped it: a reference can drop in softirq context, where the
/// current task was merely interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NetnsEndRecord {
    /// Names the current task, which need not be the one that dropped it.
    pub header: Header,
    /// The namespace that ends.
    pub netns: NetnsRef,
    /// Living threads of the current process.
    pub threads: u32,
    /// 1 if that was the last reference; 0 if it was the last mount or file, and something else still holds it.
    pub last: u32,
    /// Zero.
    pub reserved: u32,
    /// Return addresses in the tail, innermost first.
    pub stack: u32,
}

const _: () = assert!(size_of::<NetnsRef>() == 24);
