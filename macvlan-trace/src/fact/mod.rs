//! Facts: what the kernel's probes and the lookups report, in one order. Everything after this stage is computed from
//! facts alone, so a recorded stream gives the same answers again.
//!
//! In a record an unknown field is left out, and a process, an ancestor or a namespace, which stand in nearly every fact,
//! is an array of its fields.

use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    kernel::{
        kinds::{self, Family},
        path::Path,
    },
    text::Text,
};

mod run;

pub use run::{Begin, Hook, Own, Watching};

/// Writes a type as an array of its fields, and reads it from one.
macro_rules! as_array {
    ($type:ident { $($field:ident),+ }) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                ($(&self.$field),+).serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let ($($field),+) = Deserialize::deserialize(deserializer)?;
                Ok(Self { $($field),+ })
            }
        }
    };
}

as_array!(ProcessId { tgid, start });
as_array!(Netns { ptr, cookie, inode });
as_array!(Ancestor { process, comm });

/// Nanoseconds since boot (`CLOCK_BOOTTIME`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ktime(pub u64);

/// Inode number of a namespace, which is what people see; it is reused as soon as the namespace is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NsInode(pub u32);

/// A network namespace at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Netns {
    /// Address of the `struct net`: identity while it lives.
    pub ptr: u64,
    /// A number that the next namespace at this address does not have: `net_cookie`, before 5.12 `hash_mix`; `None`
    /// if unknown.
    pub cookie: Option<u64>,
    /// Inode number.
    pub inode: Option<NsInode>,
}

impl Netns {
    /// Whether both are one namespace, as far as known: /proc shows no cookie.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let same_cookie = match (self.cookie, other.cookie) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        same_cookie && (self.ptr, self.inode) == (other.ptr, other.inode)
    }
}

/// Identifies a process for good: ids are reused, but not together with start times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId {
    /// Process id.
    pub tgid: u32,
    /// When its first thread started.
    pub start: Ktime,
}

/// A task, as every record carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRef {
    /// Its process.
    pub process: ProcessId,
    /// Thread id.
    pub tid: u32,
    /// Name of the thread.
    pub comm: Text,
    /// Whether it is a kernel thread.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kthread: bool,
    /// Process id inside its own pid namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ns_tgid: Option<u32>,
    /// Its pid namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pidns: Option<NsInode>,
    /// Depth of that namespace: 0 is the initial one.
    pub pidns_level: u32,
}

impl TaskRef {
    /// Whether it is the init of a pid namespace other than the first: the main process of a container.
    #[must_use]
    pub fn is_pidns_init(&self) -> bool {
        self.ns_tgid == Some(1) && self.pidns_level > 0
    }
}

/// Everything about a task that was captured while it was current.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Who it is.
    pub task: TaskRef,
    /// Argument vector; `None` if it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<Text>>,
    /// Path of the file that it runs; `None` for a kernel thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<Text>,
    /// Real user id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Login user id; `None` if nobody logged in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login_uid: Option<u32>,
    /// Parents, nearest first.
    pub ancestors: Vec<Ancestor>,
    /// Its cgroup.
    pub cgroup: Cgroup,
    /// Its network namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<Netns>,
    /// Its mount namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mntns: Option<NsInode>,
    /// Its controlling terminal, such as `pts/0`; `None` for a process without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tty: Option<Text>,
}

/// A parent, or a parent's parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Its process.
    pub process: ProcessId,
    /// Its name.
    pub comm: Text,
}

/// A control group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// `kernfs_node.id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Path from the hierarchy's root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Text>,
}

/// A link at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Address of the `struct net_device`: its identity while it lives. `None` from a netlink dump, which has no
    /// addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dev: Option<u64>,
    /// Where it is; `None` if a dump does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<Netns>,
    /// Index in that namespace.
    pub ifindex: u32,
    /// Name.
    pub name: Text,
    /// `rtnl_link_ops.kind`; `None` for a device without, such as a NIC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Text>,
    /// `IFF_*`.
    pub flags: u32,
    /// RFC 2863 state, `IF_OPER_*`; `None` from a netlink dump.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operstate: Option<u8>,
    /// Whether it is registered: false once its own deletion has begun.
    pub registered: bool,
    /// Hardware address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<[u8; 6]>,
    /// `enum macvlan_mode`; `None` for a link without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Whether protodown is set: a daemon keeps its carrier down by design.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protodown: Option<bool>,
    /// Name of the driver of a physical or emulated NIC; `None` for a device that software made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<Text>,
}

impl Link {
    /// The name of a link that the kernel is to name after its kind, with a number in place of `%d`
    /// (`rtnl_create_link`).
    #[must_use]
    pub fn counted(kind: Option<&Text>) -> Text {
        Text::from([kind.map_or(&b""[..], Text::as_bytes), b"%d"].concat())
    }

    /// Whether whoever wanted it chose its name.
    #[must_use]
    pub fn has_chosen_name(&self) -> bool {
        !self.name.as_bytes().ends_with(b"%d")
    }

    /// Whether it is administratively up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.flags & macvlan_trace_common::IFF_UP != 0
    }

    /// Whether it is one end of a veth pair.
    #[must_use]
    pub fn is_veth(&self) -> bool {
        self.is_kind("veth")
    }

    /// Whether it has a carrier as long as one of the devices below it, its ports, has one.
    #[must_use]
    pub fn has_ports(&self) -> bool {
        ["bridge", "bond", "team"].iter().any(|kind| self.is_kind(kind))
    }

    /// The family of links that it belongs to; `None` for a device of a kind that is not traced.
    #[must_use]
    pub fn family(&self) -> Option<Family> {
        kinds::of(self.kind.as_ref()?.as_bytes()).map(|kind| kind.family)
    }

    /// Whether it is of that kind.
    #[must_use]
    pub fn is_kind(&self, kind: &str) -> bool {
        self.kind.as_ref().is_some_and(|own| own.as_bytes() == kind.as_bytes())
    }
}

/// What happened to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkChange {
    /// Made and joined to its parent.
    Created,
    /// Set up.
    Up,
    /// Set down.
    Down,
    /// Got another name.
    Renamed,
    /// Went to another network namespace.
    Moved,
    /// Deleted.
    Deleted,
    /// Went down, and no probe saw who asked.
    UnseenDown,
    /// Was deleted, and no probe saw who asked.
    UnseenDeleted,
    /// A request to set it up failed.
    UpFailed,
    /// A request to make it failed: the link is the one that was wanted.
    CreateFailed,
    /// A request to give it another hardware address failed.
    MacFailed,
    /// A request to move it to another network namespace failed.
    MoveFailed,
    /// A request to give it another name failed.
    RenameFailed,
    /// Lost its carrier.
    CarrierLost,
    /// Has its carrier back.
    CarrierBack,
    /// Got another hardware address.
    MacChanged,
    /// Lost an IP address while it stayed up.
    AddressRemoved,
    /// The link below was set down.
    ParentDown,
    /// The link below was set up.
    ParentUp,
}

/// One fact, and when it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// When.
    pub at: Ktime,
    /// What.
    pub what: What,
}

/// What a fact reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// The run begins. Every stream starts with this.
    Begin(Box<Begin>),
    /// The stock has been taken.
    Watching(Watching),
    /// A task, whole; the facts after it refer to it.
    Task(Box<Task>),
    /// A link changed.
    Link(Box<LinkFact>),
    /// A link got an IP address, or lost one as it went down or while it was down. That breaks nothing.
    Address(Box<AddressFact>),
    /// A device that carries watched links changed: it was set up or down, moved, or its carrier came or went. The
    /// `link` is that device. The `parent` is the device below it, or the other end if it is a veth.
    Parent(Box<LinkFact>),
    /// A process of a watched namespace ends.
    Exit(Exit),
    /// A process of a watched namespace was signalled.
    Signal(Signal),
    /// A task changed its network namespace.
    NetnsMove(NetnsMove),
    /// The last reference to a watched namespace dropped.
    NetnsEnd(NetnsEnd),
    /// The kernel ran out of memory, and chose a process of a watched namespace.
    Oom(Oom),
    /// The memory of a deleted link was freed: nothing refers to it any more.
    Freed {
        /// Address of its `struct net_device`.
        dev: u64,
    },
    /// A link that was there before the tracer.
    Stock(Box<Stock>),
    /// A process that was found living in a namespace.
    Resident(Resident),
    /// What a runtime's own files say of a container.
    Container(Container),
    /// Nothing but the time, by which remarks become due.
    Tick,
    /// A name that people know a namespace by.
    NetnsName {
        /// The namespace.
        netns: Netns,
        /// Its name under /run/netns or in a runtime's folder.
        name: Text,
    },
    /// Records that never arrived.
    Lost {
        /// How many.
        records: u64,
    },
    /// A map of the kernel side is full: it no longer remembers everything that it should.
    Full,
    /// The machine's clock was set.
    Clock {
        /// Nanoseconds from the epoch to boot from now on.
        boot: i64,
    },
    /// The run ends. A stream without it was cut off.
    End,
}

impl What {
    /// The tasks that it refers to; earlier facts describe them.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskRef> {
        let (one, other) = match self {
            Self::Link(fact) | Self::Parent(fact) => (Some(&fact.task), None),
            Self::Address(fact) => (Some(&fact.task), None),
            Self::Exit(exit) => (Some(&exit.task), None),
            Self::Signal(signal) => (Some(&signal.target), signal.sender.as_ref()),
            Self::Oom(oom) => (Some(&oom.task), Some(&oom.target)),
            Self::NetnsMove(change) => (Some(&change.task), None),
            Self::NetnsEnd(end) => (Some(&end.task), None),
            _ => (None, None),
        };
        one.into_iter().chain(other)
    }

    /// The kernel path on which it happened, where that is told.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Link(fact) | Self::Parent(fact) => Some(&fact.path),
            Self::Address(fact) => Some(&fact.path),
            Self::NetnsEnd(end) => Some(&end.path),
            _ => None,
        }
    }

    /// The same, to be filled in.
    pub fn path_mut(&mut self) -> Option<&mut Path> {
        match self {
            Self::Link(fact) | Self::Parent(fact) => Some(&mut fact.path),
            Self::Address(fact) => Some(&mut fact.path),
            Self::NetnsEnd(end) => Some(&mut end.path),
            _ => None,
        }
    }
}

/// A link changed, in the context of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkFact {
    /// The task that was current.
    pub task: TaskRef,
    /// What changed.
    pub change: LinkChange,
    /// The kernel function that the probe sits on.
    pub probe: String,
    /// The link.
    pub link: Link,
    /// `IFF_*` after the call.
    pub flags_after: u32,
    /// The link below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Link>,
    /// Where a moved link came from: the namespace, and its index there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<(Netns, u32)>,
    /// The error of a failed request, `errno`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<u32>,
    /// The kernel's own message about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Text>,
    /// What a failed request to change the link asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Wanted>,
    /// The device that may keep a link that could not be made from standing on its parent: the parent's master, or one
    /// that takes all its packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<Link>,
    /// The IP address that was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// Whether the link has no other address of that family, but for link-local ones of IPv6.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_last_address: bool,
    /// The kernel path. A record keeps it beside the fact, by number.
    #[serde(skip)]
    pub path: Path,
}

impl LinkFact {
    /// The hardware address that a request needed for the link.
    #[must_use]
    pub fn needed_mac(&self) -> Option<[u8; 6]> {
        self.wanted.as_ref().and_then(|wanted| wanted.mac).or(self.link.mac)
    }

    /// Whether a request to change the link failed.
    #[must_use]
    pub fn is_refused_change(&self) -> bool {
        matches!(
            self.change,
            LinkChange::UpFailed | LinkChange::MacFailed | LinkChange::MoveFailed | LinkChange::RenameFailed
        )
    }

    /// Where the link was before the change; for a moved one, the namespace that it left.
    #[must_use]
    pub fn home(&self) -> Option<Netns> {
        self.from.map(|(netns, _)| netns).or(self.link.netns)
    }
}

/// What a request to change a link asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// A hardware address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<[u8; 6]>,
    /// A name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// A network namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<Netns>,
}

/// An IP address of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Length of its prefix in bits.
    pub prefix: u8,
}

/// A link got an IP address, or lost one without an event of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressFact {
    /// The task that was current.
    pub task: TaskRef,
    /// The link.
    pub link: Link,
    /// The address.
    pub address: Address,
    /// Whether the link got it; otherwise it lost it.
    pub added: bool,
    /// The kernel path. A record keeps it beside the fact, by number.
    #[serde(skip)]
    pub path: Path,
}

/// A process ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The process.
    pub task: TaskRef,
    /// The namespace that it lived in.
    pub netns: Netns,
    /// How.
    pub status: ExitStatus,
    /// Whether a core was dumped.
    pub core_dumped: bool,
    /// Whether only a thread ends, whose process lives on in another namespace.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_thread: bool,
    /// Whether the namespace is not watched: others depend on the program, wherever it runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It left with this code.
    Code(u8),
    /// This signal ended it.
    Signal(u8),
}

/// A process was signalled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// Who sent it; `None` for the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<TaskRef>,
    /// Who got it.
    pub target: TaskRef,
    /// The namespace that the target lives in.
    pub netns: Netns,
    /// Number of the signal.
    pub number: u32,
    /// Whether the target ignores it, so that it does nothing. Of ignored signals only requests to end are reported.
    pub ignored: bool,
    /// Whether the kernel sent it to the init of a pid namespace on behalf of another process in there.
    pub for_inside: bool,
    /// For a signal of the kernel itself that is a terminal's (HUP, INT, QUIT): the process that was current, which
    /// closed the terminal or ended; `None` for a kernel thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<TaskRef>,
    /// Whether the namespace is not watched: others depend on the program, wherever it runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
}

/// The kernel ran out of memory, and chose a process to kill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oom {
    /// Who asked for the memory; it need not be to blame.
    pub task: TaskRef,
    /// Who is killed.
    pub target: TaskRef,
    /// The namespace that the target lives in.
    pub netns: Netns,
    /// The control group whose limit was reached; `None` where the machine itself had no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Cgroup>,
}

/// A process that was found living in a network namespace: the main process of a container, as far as that shows from
/// outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resident {
    /// The namespace.
    pub netns: Netns,
    /// The process.
    pub process: ProcessId,
    /// Its name.
    pub comm: Text,
    /// Its control group.
    pub cgroup: Cgroup,
    /// Whether it shares the namespace of another container, whose main process was found there before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shares: bool,
}

/// What a runtime's own files say of a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Container {
    /// Its id, as in the path of its control group.
    pub id: String,
    /// The user whose rootless runtime made it; `None` for the machine's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<u32>,
    /// `docker`, `podman`, `containerd`, `cri-o`, `lxc`, `systemd-nspawn`; `None` if no file says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The Kubernetes pod that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
}

/// A Kubernetes pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pod {
    /// Its uid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Its quality of service: `guaranteed`, `burstable` or `besteffort`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qos: Option<String>,
    /// Its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A task changed its network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetnsMove {
    /// The task.
    pub task: TaskRef,
    /// What it left.
    pub from: Netns,
    /// What it entered.
    pub to: Netns,
    /// Whether it was the only thread of its process.
    pub whole_process: bool,
    /// Whether it has just made the one that it enters.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub made: bool,
}

/// The last reference to a namespace dropped, or its last mount and file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetnsEnd {
    /// The task that was current, which need not be responsible.
    pub task: TaskRef,
    /// The namespace.
    pub netns: Netns,
    /// Whether it was the only thread of its process.
    pub whole_process: bool,
    /// Whether that was the last reference; otherwise a task or a socket still holds it.
    pub last: bool,
    /// The kernel path. A record keeps it beside the fact, by number.
    #[serde(skip)]
    pub path: Path,
}

/// A link that was there before the tracer: its past is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    /// The link.
    pub link: Link,
    /// The link below it; `None` where it could not be found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Link>,
}
