//! Shared by the kernel side and the user side of macvlan-trace: the records on the ring, the settings that user space
//! passes down, and the counters that it reads.
//!
//! A record is a fixed part, whose layout is one of the structs here, and a tail of variable length that the fixed
//! part's lengths describe. Integers are in the machine's own byte order: both sides run on one machine. None of this
//! is a public interface: the public form of an event is macvlan-trace's JSON.

#![no_std]

mod counter;
mod header;
mod link;
mod link_kind;
mod netns;
mod offsets;
mod oom;
mod settings;
pub mod signal;
mod task;

pub use counter::Counter;
pub use header::{ABI, Header, Kind, TaskRef};
pub use link::{
    FailedRecord, FreedRecord, IFF_UP, IpAddress, KIND_VETH, KIND_VLAN, KIND_VRF, LinkChange, LinkRecord,
    LinkState, MAX_MESSAGE, MAX_STACK, NotMadeRecord, Probe,
};
pub use link_kind::{Family, LINK_KINDS, LinkKind};
pub use netns::{ExitRecord, NetnsEndRecord, NetnsMoveRecord, NetnsRef, SignalRecord};
pub use offsets::{MISSING, Offsets};
pub use oom::OomRecord;
pub use settings::Settings;
pub use task::{
    Ancestor, CgroupRef, ExeRef, MAX_ANCESTORS, MAX_ARGS, MAX_CGROUP_DEPTH, MAX_CGROUP_PATH, MAX_EXE_DEPTH,
    MAX_EXE_PATH, TaskRecord,
};
