//! The public records: one JSON object per line. docs/events.md describes every field.
//!
//! An unknown value is `null`, never an empty string or zero. 64-bit ids are strings, because many readers of JSON hold
//! numbers as doubles.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::{kernel::path::Path, sentence::Sentence, text::Text};

/// Version of what this module describes; it grows when a reader could misunderstand.
pub const SCHEMA_VERSION: u32 = 1;

/// One line of output.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Its type and content.
    #[serde(flatten)]
    pub body: Body,
}

/// What a record is.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Body {
    /// The first record: what this run can see.
    Run(Box<Run>),
    /// Something happened to a link.
    Event(Box<Event>),
    /// Something happened to a link, and no probe saw who asked for it.
    Unattributed(Box<Event>),
    /// An incident has settled.
    Incident(Box<Incident>),
    /// Records that the kernel could not hand over.
    Lost(Lost),
    /// Records that this output left out, because its reader did not keep up.
    Omitted(Omitted),
    /// A remark for people.
    Notice(Notice),
    /// The last record.
    Summary(Box<Summary>),
}

/// When something happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct When {
    /// RFC 3339, UTC, nanoseconds.
    #[serde(serialize_with = "time")]
    pub time: Timestamp,
    /// Nanoseconds since boot.
    pub boot_ns: u64,
}

impl When {
    /// The time as it is written in JSON.
    #[must_use]
    pub fn rfc3339(&self) -> String {
        format!("{:.9}", self.time)
    }
}

fn time<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.9}"))
}

impl Body {
    /// When it happened.
    #[must_use]
    pub fn when(&self) -> &When {
        match self {
            Self::Run(run) => &run.when,
            Self::Event(event) | Self::Unattributed(event) => &event.when,
            Self::Incident(incident) => &incident.when,
            Self::Lost(lost) => &lost.when,
            Self::Omitted(omitted) => &omitted.when,
            Self::Notice(notice) => &notice.when,
            Self::Summary(summary) => &summary.when,
        }
    }
}

/// What this run can see.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// When it began.
    #[serde(flatten)]
    pub when: When,
    /// `macvlan-trace`.
    pub tool: String,
    /// Its version.
    pub version: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Name of the host.
    pub host: Text,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: Option<String>,
    /// When the machine booted, by the clocks at the beginning of the run: `time` is this plus `boot_ns`.
    pub boot_time: String,
    /// The probes, attached or not.
    pub probes: Vec<ProbeState>,
    /// What this run cannot see, one sentence each.
    pub degraded: Vec<String>,
    /// The kinds of links that this output shows.
    pub kinds: Vec<&'static str>,
    /// The links of these kinds that were there before.
    pub stock: Stock,
}

/// A probe of this run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProbeState {
    /// The hook's name.
    pub hook: String,
    /// The kernel function or tracepoint that it is attached to; `None` if to none.
    pub symbol: Option<String>,
    /// What the tracer does not see without it; `None` if it is attached.
    pub lost: Option<String>,
}

/// The links that were there before the tracer: their past is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stock {
    /// How many are watched.
    pub links: usize,
    /// In how many network namespaces.
    pub namespaces: usize,
    /// Network namespaces that could not be looked into.
    pub unseen_namespaces: usize,
    /// Each of them.
    pub watched: Vec<StockLink>,
}

/// A link that was there before the tracer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StockLink {
    /// Name.
    pub name: Text,
    /// Index.
    pub ifindex: u32,
    /// `macvlan`, `macvtap`, `ipvlan` or `ipvtap`.
    pub kind: Text,
    /// Where it is.
    pub netns: Netns,
    /// Whether it is up; how it came down is not known.
    pub up: bool,
    /// The link below it.
    pub parent: Option<Parent>,
}

/// Something happened to a link.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// Counts the events of this run.
    pub seq: u64,
    /// When.
    #[serde(flatten)]
    pub when: When,
    /// What.
    pub event: EventKind,
    /// Events with one cause share a number.
    pub incident: u64,
    /// How often the same has happened to the same link before; `None` the first time.
    pub recurrence: Option<Recurrence>,
    /// The link.
    pub link: Link,
    /// Where a moved link went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Destination>,
    /// The error of a request that failed, such as `EADDRINUSE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The kernel's own message about that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Text>,
    /// What a request to change the link asked for, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Wanted>,
    /// The IP address that was removed, with the length of its prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The task that executed the kernel function.
    pub actor: Option<Task>,
    /// The process that is responsible; `None` where nobody is blamed, or where it is not known.
    pub culprit: Option<Task>,
    /// Who lost the link.
    pub victim: Victim,
    /// Why.
    pub verdict: Verdict,
    /// How the kernel got there.
    pub kernel: Kernel,
    /// Whether it breaks a link, or is a request for one that failed.
    #[serde(skip)]
    pub breaks: bool,
}

/// What a request to change a link asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// A hardware address.
    pub mac: Option<String>,
    /// A name.
    pub name: Option<Text>,
    /// A network namespace.
    pub netns: Option<Netns>,
}

/// An incident that has happened before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Recurrence {
    /// How often, this time included.
    pub count: u64,
    /// Number of the first incident.
    pub first_incident: u64,
    /// How long ago the first was, in nanoseconds.
    pub since_ns: u64,
}

/// Makes the table of what can happen to a link: what it is, its word, and whether it breaks the link.
macro_rules! event_kinds {
    ($($(#[$doc:meta])* $name:ident: $word:literal, $breaks:ident;)*) => {
        /// What can happen to a link.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, clap::ValueEnum)]
        pub enum EventKind {
            $($(#[$doc])* #[serde(rename = $word)] #[value(name = $word)] $name,)*
        }

        impl EventKind {
            /// Its word, as in JSON.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// Whether it breaks a link, or is a request for one that failed.
            #[must_use]
            pub fn breaks(self) -> bool {
                match self {
                    $(Self::$name => breaks!($breaks),)*
                }
            }
        }
    };
}

macro_rules! breaks {
    (breaks) => {
        true
    };
    (changes) => {
        false
    };
}

event_kinds! {
    /// It was made.
    Created: "created", changes;
    /// A request to make it failed.
    CreateFailed: "create_failed", breaks;
    /// It was set up.
    Up: "up", changes;
    /// A request to set it up failed.
    UpFailed: "up_failed", breaks;
    /// It was set down.
    Down: "down", breaks;
    /// The link below was set down.
    ParentDown: "parent_down", breaks;
    /// The link below was set up.
    ParentUp: "parent_up", changes;
    /// It lost its carrier.
    CarrierLost: "carrier_lost", breaks;
    /// It has its carrier back.
    CarrierBack: "carrier_back", changes;
    /// It got another name.
    Renamed: "renamed", changes;
    /// A request to give it another name failed.
    RenameFailed: "rename_failed", breaks;
    /// It went to another network namespace.
    Moved: "moved", changes;
    /// A request to move it to another one failed.
    MoveFailed: "move_failed", breaks;
    /// It got another hardware address.
    MacChanged: "mac_changed", changes;
    /// A request to give it another hardware address failed.
    MacFailed: "mac_failed", breaks;
    /// It lost an IP address while it stayed up.
    AddressRemoved: "address_removed", changes;
    /// It was deleted.
    Deleted: "deleted", breaks;
}

/// A link.
#[derive(Clone, Debug, Serialize)]
pub struct Link {
    /// The same for the link's whole life, through renames, moves and new indexes.
    pub id: String,
    /// Name.
    pub name: Text,
    /// Names that it had before, oldest first.
    pub former_names: Vec<Text>,
    /// Index in its network namespace.
    pub ifindex: u32,
    /// `macvlan`, `macvtap`, `ipvlan` or `ipvtap`.
    pub kind: Option<Text>,
    /// Hardware address.
    pub mac: Option<String>,
    /// `private`, `vepa`, `bridge`, `passthru` or `source`.
    pub mode: Option<String>,
    /// Whether protodown is set: a daemon keeps its carrier down by design.
    pub protodown: Option<bool>,
    /// Nanoseconds since it was created; `None` if that was before the tracer.
    pub age_ns: Option<u64>,
    /// Nanoseconds since it last came up; `None` if that was before the tracer, or never.
    pub up_for_ns: Option<u64>,
    /// RFC 2863 state before a down or a deletion, and after anything else: `up`, `down`, `lowerlayerdown`, ….
    pub operstate: Option<String>,
    /// `IFF_*` by name.
    pub flags: Flags,
    /// Where it is.
    pub netns: Netns,
    /// The link below it.
    pub parent: Option<Parent>,
}

/// Flags of a link around an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flags {
    /// Before it.
    pub before: Vec<String>,
    /// After it.
    pub after: Vec<String>,
}

/// A network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Netns {
    /// Inode number, as in `/proc/PID/ns/net`.
    pub inode: Option<u32>,
    /// Name, as in `ip netns`.
    pub name: Option<Text>,
}

/// The link below a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parent {
    /// Name.
    pub name: Text,
    /// Index.
    pub ifindex: u32,
    /// Inode number of its network namespace.
    pub netns: Option<u32>,
    /// Whether it was being deleted itself.
    pub deleted: bool,
    /// The device that may keep a link that could not be made from standing on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<Holder>,
}

/// A device that holds another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// Name.
    pub name: Text,
    /// Its kind, such as `bridge`; `None` for a device without.
    pub kind: Option<Text>,
    /// Index.
    pub ifindex: u32,
    /// Inode number of its network namespace.
    pub netns: Option<u32>,
    /// The mode of a macvlan or a macvtap.
    pub mode: Option<String>,
}

/// Where a moved link went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Destination {
    /// The namespace.
    pub netns: Netns,
    /// The container that owns it.
    pub container: Option<Container>,
    /// Its name there.
    pub name: Text,
    /// Its index there.
    pub ifindex: u32,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Task {
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Name of the thread.
    pub comm: Text,
    /// Argument vector.
    pub args: Option<Vec<Text>>,
    /// Path of the file that it runs.
    pub exe: Option<Text>,
    /// Real user id.
    pub uid: Option<u32>,
    /// Login user id.
    pub login_uid: Option<u32>,
    /// Its controlling terminal.
    pub tty: Option<Text>,
    /// When the process started, in nanoseconds since boot.
    pub start_boot_ns: u64,
    /// Parents, nearest first.
    pub ancestors: Vec<Ancestor>,
    /// Control group.
    pub cgroup: Cgroup,
    /// systemd unit that the cgroup belongs to.
    pub unit: Option<Text>,
    /// systemd slice that holds the unit.
    pub slice: Option<Text>,
    /// Login session that the cgroup belongs to.
    pub session: Option<Text>,
    /// Container that the cgroup belongs to.
    pub container: Option<Container>,
    /// Inode number of its network namespace.
    pub netns: Option<u32>,
    /// How it ended, if that explains the event.
    pub exit: Option<Exit>,
}

/// A parent of a task, or a parent's parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ancestor {
    /// Process id.
    pub pid: u32,
    /// Name.
    pub comm: Text,
}

/// A control group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cgroup {
    /// Inode number of its folder.
    pub id: Option<String>,
    /// Path from the hierarchy's root.
    pub path: Option<Text>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exit {
    /// Exit code; `None` where a signal ended it.
    pub code: Option<u8>,
    /// Number of the signal that ended it.
    pub signal: Option<u8>,
    /// Whether it dumped its core.
    pub core_dumped: bool,
    /// Who sent the signal that counts, handled or not.
    pub sender: Option<Box<Task>>,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Container {
    /// `docker`, `podman`, `containerd`, `cri-o`, `lxc`, `systemd-nspawn`.
    pub runtime: Option<String>,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// The Kubernetes pod that it belongs to.
    pub pod: Option<Pod>,
}

/// A Kubernetes pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pod {
    /// Its namespace in Kubernetes.
    pub namespace: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its uid.
    pub uid: Option<String>,
    /// Its quality of service.
    pub qos: Option<String>,
}

/// Who lost the link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Victim {
    /// The container that last owned a namespace in which the link lived.
    pub container: Option<Container>,
    /// Other containers that live in that namespace.
    pub shared_with: Vec<Container>,
    /// The main process of the namespace, where its end was seen.
    pub init: Option<Task>,
}

/// Why it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Name of the rule.
    pub rule: String,
    /// One sentence.
    pub cause: Sentence,
    /// What to do, in one sentence.
    pub remedy: Option<Sentence>,
    /// How sure it is.
    pub confidence: Confidence,
    /// The chain, in order.
    pub evidence: Vec<Step>,
}

/// How sure a verdict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Every step was observed.
    Certain,
    /// A step was inferred.
    Likely,
    /// Not known.
    Unknown,
}

/// One step of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// When.
    #[serde(flatten)]
    pub when: When,
    /// What it was.
    pub what: String,
    /// The task that did it; `None` for the kernel's own doing.
    pub task: Option<StepTask>,
    /// In words.
    pub detail: String,
}

/// A task of a step, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepTask {
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Name of the thread.
    pub comm: Text,
}

/// How the kernel got there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// The function that the probe sits on.
    pub probe: String,
    /// The functions that led there, innermost first; an address that has no symbol is `?`.
    #[serde(rename = "stack", serialize_with = "functions")]
    pub path: Path,
}

impl Kernel {
    /// The functions by name, innermost first.
    pub fn stack(&self) -> impl Iterator<Item = &str> {
        self.path.functions().iter().map(|name| name.as_deref().unwrap_or("?"))
    }
}

fn functions<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(path.functions().iter().map(|name| name.as_deref().unwrap_or("?")))
}

/// An incident, once nothing more has come of it for a while.
#[derive(Clone, Debug, Serialize)]
pub struct Incident {
    /// When it settled.
    #[serde(flatten)]
    pub when: When,
    /// Its number.
    pub incident: u64,
    /// How often the same has happened before; `None` the first time.
    pub recurrence: Option<Recurrence>,
    /// Its first event.
    pub first: When,
    /// Its last event.
    pub last: When,
    /// How many events it has.
    pub events: u64,
    /// How many links it has.
    pub link_count: u64,
    /// The links, in the order of their first events; of many, the first.
    pub links: Vec<IncidentLink>,
    /// The containers that lost links.
    pub victims: Vec<Container>,
    /// The process that is responsible for the first event that broke a link.
    pub culprit: Option<Task>,
    /// Why that happened, and what to do as things are now.
    pub verdict: Verdict,
}

/// A link of an incident.
#[derive(Clone, Debug, Serialize)]
pub struct IncidentLink {
    /// The same for the link's whole life.
    pub id: String,
    /// Its name at first.
    pub name: Text,
    /// Where it was then.
    pub netns: Netns,
    /// The container that lost it.
    pub container: Option<Container>,
    /// Its first event.
    pub first: Moment,
    /// Its last event.
    pub last: Moment,
    /// What has become of it.
    pub outcome: Outcome,
    /// Nanoseconds from the event that broke it until it worked again.
    pub up_again_ns: Option<u64>,
    /// Addresses that it lost. Whether somebody has set one again is not seen.
    pub lost_addresses: Vec<String>,
}

/// An event in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// When.
    #[serde(flatten)]
    pub when: When,
    /// What.
    pub event: EventKind,
}

/// What has become of a link by the time that its incident settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// What broke it was undone.
    UpAgain,
    /// It is still as it was broken.
    Broken,
    /// It is deleted, or was never made.
    Gone,
    /// Nothing broke it.
    Intact,
}

/// Records that the kernel could not hand over.
#[derive(Clone, Debug, Serialize)]
pub struct Lost {
    /// When that was noticed.
    #[serde(flatten)]
    pub when: When,
    /// How many.
    pub records: u64,
    /// How many in this run so far.
    pub total: u64,
}

/// Records that an output left out here, because its reader did not keep up. The file of `-w`, if there is one, has
/// all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Omitted {
    /// When the last of them was made.
    #[serde(flatten)]
    pub when: When,
    /// Records of the type `event`.
    pub events: u64,
    /// Records of the type `unattributed`.
    pub unattributed: u64,
    /// Records of other types.
    pub others: u64,
    /// `seq` of the first event that is left out; `None` if there is none.
    pub first_seq: Option<u64>,
    /// `seq` of the last.
    pub last_seq: Option<u64>,
}

/// A remark for people.
#[derive(Clone, Debug, Serialize)]
pub struct Notice {
    /// When.
    #[serde(flatten)]
    pub when: When,
    /// The rule that says so; `None` for a remark about the run itself.
    pub rule: Option<String>,
    /// The incident that it is about.
    pub incident: Option<u64>,
    /// One sentence.
    pub message: Sentence,
}

/// The end of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// When.
    #[serde(flatten)]
    pub when: When,
    /// Events shown.
    pub events: u64,
    /// Events that the filters left out.
    pub filtered: u64,
    /// Effects that no probe announced.
    pub unattributed: u64,
    /// Records lost.
    pub lost: u64,
    /// Events by culprit, most first.
    pub culprits: Vec<CulpritCount>,
}

/// What one culprit did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CulpritCount {
    /// Process id; `None` where nobody is blamed, or where it is not known.
    pub pid: Option<u32>,
    /// Its name.
    pub comm: Option<Text>,
    /// Its unit, or the path of its control group.
    pub cgroup: Option<Text>,
    /// What happened.
    pub event: EventKind,
    /// How often.
    pub count: u64,
}
