//! The head of every record.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Version of the layouts in this crate. The object and its loader are built together, so a mismatch is a bug, and
/// there is no migration.
pub const ABI: u16 = 3;

/// What a record reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// A [`TaskRecord`](crate::TaskRecord): everything about the current task. Sent once before the records
    /// that it explains.
    Task = 1,
    /// A [`LinkRecord`](crate::LinkRecord): something happened to a link.
    Link = 2,
    /// An [`ExitRecord`](crate::ExitRecord): a process of a watched network namespace ends.
    Exit = 3,
    /// A [`SignalRecord`](crate::SignalRecord): a process of a watched network namespace was signalled.
    Signal = 4,
    /// A [`NetnsMoveRecord`](crate::NetnsMoveRecord): a task entered or left a watched network namespace.
    NetnsMove = 5,
    /// A [`NetnsEndRecord`](crate::NetnsEndRecord): the last reference to a watched network namespace dropped.
    NetnsEnd = 6,
    /// A [`LinkRecord`](crate::LinkRecord): something happened to a device that carries traced links, or
    /// carries one that does.
    Parent = 7,
    /// An [`OomRecord`](crate::OomRecord): the kernel chose a process of a watched network namespace to be killed, for
    /// want of memory.
    Oom = 8,
    /// A [`FreedRecord`](crate::FreedRecord): nothing refers to a deleted link any more.
    Freed = 9,
    /// A [`NotMadeRecord`](crate::NotMadeRecord): a link could not be made.
    NotMade = 10,
    /// A [`FailedRecord`](crate::FailedRecord): a link could not be changed as somebody wanted.
    Failed = 11,
}

/// The head of every record: its shape, its place in the order, and the task that was current.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// [`ABI`].
    pub abi: u16,
    /// One of [`Kind`]; kinds that the reader does not know are skipped.
    pub kind: u16,
    /// Bytes of the whole record, this header included.
    pub len: u32,
    /// Counts the records of this CPU and lane, lost ones too: a gap is a loss.
    pub seq: u64,
    /// Nanoseconds since boot (`CLOCK_BOOTTIME`).
    pub boot_ns: u64,
    /// The CPU that `seq` belongs to.
    pub cpu: u32,
    /// The lane of that CPU: programs that can interrupt each other use different ones.
    pub lane: u32,
    /// The task that was current.
    pub task: TaskRef,
}

/// A task, in the few bytes that every record has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TaskRef {
    /// Process id, as seen from the initial pid namespace.
    pub tgid: u32,
    /// Thread id, as seen from the initial pid namespace.
    pub tid: u32,
    /// When the process (its first thread) started, in nanoseconds since boot; 0 if unknown. Together with `tgid` it
    /// identifies a process for good: process ids are reused.
    pub start_boot_ns: u64,
    /// `task_struct.comm` of the thread, padded with NUL.
    pub comm: [u8; 16],
    /// `task_struct.flags`, of which [`TaskRef::KTHREAD`] is used.
    pub flags: u32,
    /// Process id inside its own pid namespace; 1 is that namespace's init; 0 if unknown.
    pub ns_tgid: u32,
    /// Inode number of its own pid namespace; 0 if unknown.
    pub pidns: u32,
    /// Depth of its own pid namespace; 0 is the initial one.
    pub pidns_level: u32,
}

impl TaskRef {
    /// `PF_KTHREAD`: the task is a kernel thread.
    pub const KTHREAD: u32 = 0x0020_0000;
}

const _: () = assert!(size_of::<TaskRef>() == 48 && size_of::<Header>() == 80);
