//! What a hook asks [`crate::report`] to send.

use macvlan_trace_common::{IFF_UP, IpAddress, Kind, LinkChange, Probe};

use crate::state::{attempts::Wanted, moves::Move, newlinks::NewLink};

/// What to send.
#[derive(Clone, Copy)]
pub enum Request {
    /// A change of a device.
    Link { dev: u64, change: Change },
    /// The end of the current process, which lives in a namespace, or only of a thread of it that lives there.
    Exit { net: u64, code: u32, only_thread: bool, elsewhere: bool },
    /// The current task goes from one namespace to another.
    NetnsMove { from: u64, to: u64 },
    /// The last reference to a namespace is gone, or the last mount and file of it.
    NetnsEnd { net: u64, last: bool },
    /// A process that lives in a namespace is to be killed, because a cgroup, or the machine, has run out of memory.
    Oom { net: u64, target: u64, memcg: u64 },
    /// A link could not be made.
    NotMade { request: NewLink, error: u32 },
}

/// A signal whose sender's record goes first.
#[derive(Clone, Copy)]
pub struct Signalled {
    pub number: u32,
    pub from_kernel: u16,
    pub ignored: u8,
    pub elsewhere: u8,
}

/// What a program knows about a change beyond the device itself.
#[derive(Clone, Copy)]
pub struct Change {
    /// Whose change: [`Kind::Link`] or [`Kind::Parent`].
    pub of: Kind,
    pub what: LinkChange,
    pub probe: Probe,
    /// `IFF_*` after the call; `None` for the present ones.
    pub flags_after: Option<u32>,
    pub moved: Option<Move>,
    /// The error of a failed request; 0 for none.
    pub error: u32,
    /// What that asked for.
    pub wanted: Wanted,
    /// The IP address that it is about.
    pub address: IpAddress,
}

impl Change {
    /// A change that needs no more words.
    pub const fn new(of: Kind, what: LinkChange, probe: Probe) -> Self {
        Self {
            of,
            what,
            probe,
            flags_after: None,
            moved: None,
            error: 0,
            wanted: Wanted::NONE,
            address: IpAddress::NONE,
        }
    }

    /// A device with these flags ends up without `IFF_UP`.
    #[inline(always)]
    pub const fn down(of: Kind, flags: u32, probe: Probe) -> Self {
        Self { flags_after: Some(flags & !IFF_UP), ..Self::new(of, LinkChange::Down, probe) }
    }
}
