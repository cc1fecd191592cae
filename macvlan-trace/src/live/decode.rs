//! Turns bytes from the ring into facts, bounded and without unsafe code. Unknown kinds are skipped. If a record does
//! not fit its own lengths, the error names the wrong part.

use std::{collections::HashMap, net::IpAddr};

use anyhow::{Result, bail};
use bytes::Buf;
use macvlan_trace_common as wire;
use zerocopy::FromBytes;

use crate::{
    bounded::Bounded,
    fact::{
        Address, AddressFact, Ancestor, Cgroup, Exit, ExitStatus, Fact, Ktime, Link, LinkChange, LinkFact,
        Netns, NetnsEnd, NetnsMove, NsInode, Oom, ProcessId, Signal, Task, TaskRef, Wanted, What,
    },
    kernel::{
        kinds,
        path::{Functions, Path},
    },
    text::Text,
};

#[cfg(test)]
mod tests;

/// Kernel paths kept. A busy machine shows some hundred.
const MAX_PATHS: usize = 1024;

/// Looks up functions by return address.
pub trait Resolve {
    /// The function that an address lay in at that time.
    fn resolve(&mut self, address: u64, at: Ktime) -> Option<&str>;
}

/// Turns records into facts, and notices gaps.
pub struct Decoder {
    /// The kernel function that each probe sits on.
    probes: HashMap<u16, &'static str>,
    /// The last sequence number of each CPU and lane.
    last: HashMap<(u32, u32), u64>,
    /// Records that are missing by their sequence numbers.
    gaps: u64,
    /// The kernel paths that were seen last.
    paths: Bounded<Functions, Path, MAX_PATHS>,
}

impl Decoder {
    /// A decoder for probes that sit on these functions.
    #[must_use]
    pub fn new(probes: HashMap<u16, &'static str>) -> Self {
        Self { probes, last: HashMap::new(), gaps: 0, paths: Bounded::default() }
    }

    /// Records that never arrived, so far.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// Decodes one record; `None` for a kind that is not known.
    pub fn decode(&mut self, bytes: &[u8], symbols: &mut dyn Resolve) -> Result<Option<Fact>> {
        let header: wire::Header = fixed(bytes)?;
        if header.abi != wire::ABI || header.len as usize != bytes.len() {
            bail!(
                "a record of {} bytes says that it has {} of layout {}",
                bytes.len(),
                header.len,
                header.abi
            );
        }
        let last = self.last.insert((header.cpu, header.lane), header.seq).unwrap_or(0);
        self.gaps = self.gaps.saturating_add(header.seq.saturating_sub(last).saturating_sub(1));

        let (at, task) = (Ktime(header.boot_ns), task_ref(&header.task));
        let what = if header.kind == wire::Kind::Task as u16 {
            What::Task(Box::new(whole_task(bytes, task)?))
        } else if header.kind == wire::Kind::Link as u16 || header.kind == wire::Kind::Parent as u16 {
            let record: wire::LinkRecord = fixed(bytes)?;
            let tail = &bytes[size_of::<wire::LinkRecord>()..];
            if let Some(fact) = self.address(&record, tail, at, &task, symbols)? {
                return Ok(Some(Fact { at, what: What::Address(Box::new(fact)) }));
            }
            match self.change(&record, tail, at, task, symbols)? {
                Some(fact) if header.kind == wire::Kind::Link as u16 => What::Link(Box::new(fact)),
                Some(fact) => What::Parent(Box::new(fact)),
                None => return Ok(None),
            }
        } else if header.kind == wire::Kind::NotMade as u16 {
            What::Link(Box::new(self.not_made(bytes, at, task, symbols)?))
        } else if header.kind == wire::Kind::Failed as u16 {
            match self.failed(bytes, at, task, symbols)? {
                Some(fact) => What::Link(Box::new(fact)),
                None => return Ok(None),
            }
        } else if header.kind == wire::Kind::Exit as u16 {
            let record: wire::ExitRecord = fixed(bytes)?;
            let (status, core_dumped) = exit_status(record.code);
            What::Exit(Exit {
                task,
                netns: netns(&record.netns),
                status,
                core_dumped,
                only_thread: record.only_thread != 0,
                elsewhere: record.elsewhere != 0,
            })
        } else if header.kind == wire::Kind::Signal as u16 {
            let record: wire::SignalRecord = fixed(bytes)?;
            let (from_kernel, target) = (record.from_kernel != 0, task_ref(&record.target));
            let lives_inside = task.pidns.is_some() && task.pidns == target.pidns;
            // A pty's hangup and the end of a session leader send SIGHUP in their own context (`pty_close`,
            // `disassociate_ctty`); what is typed arrives in a kernel thread (`flush_to_ldisc`).
            let of_terminal = from_kernel && matches!(record.signal, 1..=3);
            let acts = !task.kthread && task.process.tgid != 0 && task.process != target.process;
            What::Signal(Signal {
                within: (of_terminal && acts).then(|| task.clone()),
                for_inside: from_kernel
                    && target.is_pidns_init()
                    && lives_inside
                    && task.process != target.process,
                sender: (!from_kernel).then_some(task),
                target,
                netns: netns(&record.netns),
                number: record.signal,
                ignored: record.ignored != 0,
                elsewhere: record.elsewhere != 0,
            })
        } else if header.kind == wire::Kind::Oom as u16 {
            let record: wire::OomRecord = fixed(bytes)?;
            let mut tail = &bytes[size_of::<wire::OomRecord>()..];
            let limit = cgroup(&record.limit, &mut tail)?;
            What::Oom(Oom {
                task,
                target: task_ref(&record.target),
                netns: netns(&record.netns),
                limit: (record.limited != 0).then_some(limit),
            })
        } else if header.kind == wire::Kind::Freed as u16 {
            What::Freed { dev: fixed::<wire::FreedRecord>(bytes)?.dev }
        } else if header.kind == wire::Kind::NetnsMove as u16 {
            let record: wire::NetnsMoveRecord = fixed(bytes)?;
            What::NetnsMove(NetnsMove {
                task,
                from: netns(&record.from),
                to: netns(&record.to),
                whole_process: record.threads == 1,
                made: record.made != 0,
            })
        } else if header.kind == wire::Kind::NetnsEnd as u16 {
            let record: wire::NetnsEndRecord = fixed(bytes)?;
            What::NetnsEnd(NetnsEnd {
                task,
                netns: netns(&record.netns),
                whole_process: record.threads == 1,
                last: record.last != 0,
                path: self.path(&bytes[size_of::<wire::NetnsEndRecord>()..], record.stack, at, symbols)?,
            })
        } else {
            return Ok(None);
        };
        Ok(Some(Fact { at, what }))
    }

    /// An address that came, or that went without an event; `None` if the record is about something else.
    fn address(
        &mut self,
        record: &wire::LinkRecord,
        tail: &[u8],
        at: Ktime,
        task: &TaskRef,
        symbols: &mut dyn Resolve,
    ) -> Result<Option<AddressFact>> {
        let added = record.change == wire::LinkChange::AddressAdded as u16;
        let dropped = record.change == wire::LinkChange::AddressDropped as u16;
        let Some(address) = address(&record.address).filter(|_| added || dropped) else { return Ok(None) };
        let path = self.path(tail, record.stack, at, symbols)?;
        Ok(Some(AddressFact { task: task.clone(), link: link(&record.link), address, added, path }))
    }

    /// A change of a link, with the kernel path at the beginning of a tail.
    fn change(
        &mut self,
        record: &wire::LinkRecord,
        tail: &[u8],
        at: Ktime,
        task: TaskRef,
        symbols: &mut dyn Resolve,
    ) -> Result<Option<LinkFact>> {
        const CHANGES: [(wire::LinkChange, LinkChange); 16] = [
            (wire::LinkChange::Created, LinkChange::Created),
            (wire::LinkChange::Up, LinkChange::Up),
            (wire::LinkChange::Down, LinkChange::Down),
            (wire::LinkChange::Renamed, LinkChange::Renamed),
            (wire::LinkChange::Moved, LinkChange::Moved),
            (wire::LinkChange::Deleted, LinkChange::Deleted),
            (wire::LinkChange::UnseenDown, LinkChange::UnseenDown),
            (wire::LinkChange::UnseenDeleted, LinkChange::UnseenDeleted),
            (wire::LinkChange::CarrierLost, LinkChange::CarrierLost),
            (wire::LinkChange::CarrierBack, LinkChange::CarrierBack),
            (wire::LinkChange::UpFailed, LinkChange::UpFailed),
            (wire::LinkChange::MacFailed, LinkChange::MacFailed),
            (wire::LinkChange::MoveFailed, LinkChange::MoveFailed),
            (wire::LinkChange::RenameFailed, LinkChange::RenameFailed),
            (wire::LinkChange::MacChanged, LinkChange::MacChanged),
            (wire::LinkChange::AddressRemoved, LinkChange::AddressRemoved),
        ];
        let Some(&(_, change)) = CHANGES.iter().find(|(wire, _)| *wire as u16 == record.change) else {
            return Ok(None);
        };
        Ok(Some(LinkFact {
            task,
            change,
            probe: self.probe(record.probe),
            link: link(&record.link),
            flags_after: record.flags_after,
            parent: (record.parent.dev != 0).then(|| link(&record.parent)),
            error: (record.error != 0).then_some(record.error),
            message: None,
            wanted: None,
            held_by: None,
            address: address(&record.address),
            is_last_address: record.address.last == wire::IpAddress::LAST,
            from: (record.from.ptr != 0).then(|| (netns(&record.from), record.from_ifindex)),
            path: self.path(tail, record.stack, at, symbols)?,
        }))
    }

    /// A request to change a link that failed.
    fn failed(
        &mut self,
        bytes: &[u8],
        at: Ktime,
        task: TaskRef,
        symbols: &mut dyn Resolve,
    ) -> Result<Option<LinkFact>> {
        let record: wire::FailedRecord = fixed(bytes)?;
        let tail = &bytes[size_of::<wire::FailedRecord>()..];
        let wanted = Wanted {
            mac: (record.mac != [0; 6]).then_some(record.mac),
            name: some_text(&record.name),
            netns: (record.netns.ptr != 0).then(|| netns(&record.netns)),
        };
        let fact = self.change(&record.change, tail, at, task, symbols)?;
        Ok(fact.map(|fact| LinkFact {
            message: some_text(&record.message),
            wanted: (wanted != Wanted::default()).then_some(wanted),
            ..fact
        }))
    }

    /// A link that could not be made.
    fn not_made(
        &mut self,
        bytes: &[u8],
        at: Ktime,
        task: TaskRef,
        symbols: &mut dyn Resolve,
    ) -> Result<LinkFact> {
        let wire::NotMadeRecord { change, holder, message } = fixed(bytes)?;
        let mut wanted = Link { dev: None, operstate: None, registered: false, ..link(&change.link) };
        if wanted.name.is_empty() {
            wanted.name = Link::counted(wanted.kind.as_ref());
        }
        Ok(LinkFact {
            task,
            change: LinkChange::CreateFailed,
            probe: self.probe(change.probe),
            link: wanted,
            flags_after: change.flags_after,
            parent: (change.parent.dev != 0).then(|| link(&change.parent)),
            error: (change.error != 0).then_some(change.error),
            message: some_text(&message),
            wanted: None,
            held_by: (holder.dev != 0).then(|| link(&holder)),
            address: None,
            is_last_address: false,
            from: None,
            path: self.path(&bytes[size_of::<wire::NotMadeRecord>()..], change.stack, at, symbols)?,
        })
    }

    /// The kernel function that a probe sits on.
    fn probe(&self, number: u16) -> String {
        self.probes.get(&number).copied().unwrap_or("?").to_owned()
    }

    /// The kernel path at the beginning of a record's tail. Links go on few paths, so each is kept once.
    fn path(&mut self, mut tail: &[u8], entries: u32, at: Ktime, symbols: &mut dyn Resolve) -> Result<Path> {
        let stack = take(&mut tail, entries as usize * size_of::<u64>(), "kernel stack")?;
        let functions = functions(stack, at, symbols);
        Ok(match self.paths.get_mut(&functions) {
            Some(path) => path.clone(),
            None => self.paths.get_or_insert_with(functions.clone(), || Path::new(functions)).clone(),
        })
    }
}

/// A text that is padded with NUL; `None` for an empty one.
fn some_text(bytes: &[u8]) -> Option<Text> {
    Some(Text::from_padded(bytes)).filter(|text| !text.is_empty())
}

fn functions(mut stack: &[u8], at: Ktime, symbols: &mut dyn Resolve) -> Functions {
    let mut functions = Vec::with_capacity(stack.len() / size_of::<u64>());
    while stack.has_remaining() {
        functions.push(symbols.resolve(stack.get_u64_ne(), at).map(Box::from));
    }
    functions.into()
}

/// The fixed part of a record.
fn fixed<T: FromBytes>(bytes: &[u8]) -> Result<T> {
    let Ok((value, _)) = T::read_from_prefix(bytes) else {
        bail!("a record of {} bytes ends before its fixed part of {}", bytes.len(), size_of::<T>());
    };
    Ok(value)
}

/// The next `len` bytes of a record's tail.
fn take<'a>(tail: &mut &'a [u8], len: usize, what: &str) -> Result<&'a [u8]> {
    if tail.remaining() < len {
        bail!("a record ends {} bytes before its {what} of {len}", len - tail.remaining());
    }
    let (taken, rest) = tail.split_at(len);
    *tail = rest;
    Ok(taken)
}

fn whole_task(bytes: &[u8], task: TaskRef) -> Result<Task> {
    let record: wire::TaskRecord = fixed(bytes)?;
    let mut tail = &bytes[size_of::<wire::TaskRecord>()..];
    let chain = take(&mut tail, record.ancestors as usize * size_of::<wire::Ancestor>(), "ancestors")?;
    let args = take(&mut tail, record.args_len as usize, "arguments")?;
    let cgroup = cgroup(&record.cgroup, &mut tail)?;
    let exe = exe(&record.exe, &mut tail)?;

    let ancestors = chain
        .chunks_exact(size_of::<wire::Ancestor>())
        .map(|bytes| {
            let ancestor: wire::Ancestor = fixed(bytes)?;
            Ok(Ancestor {
                process: ProcessId { tgid: ancestor.tgid, start: Ktime(ancestor.start_boot_ns) },
                comm: Text::from_padded(&ancestor.comm),
            })
        })
        .collect::<Result<_>>()?;
    Ok(Task {
        task,
        args: (record.args_known != 0).then(|| arguments(args)),
        exe,
        uid: known_id(record.uid),
        login_uid: known_id(record.login_uid),
        ancestors,
        cgroup,
        netns: (record.netns.ptr != 0).then(|| netns(&record.netns)),
        mntns: inode(record.mntns),
        tty: tty(&record.tty),
    })
}

/// A terminal, named by its place below /dev: the kernel's `pts0` is `pts/0`.
fn tty(name: &[u8]) -> Option<Text> {
    let name = Text::from_padded(name);
    if name.is_empty() {
        return None;
    }
    match name.as_bytes().strip_prefix(b"pts") {
        Some(number) if number.iter().all(u8::is_ascii_digit) => Some(Text::from([b"pts/", number].concat())),
        _ => Some(name),
    }
}

/// Arguments, each ended by a NUL; the last one may be cut.
fn arguments(bytes: &[u8]) -> Vec<Text> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    bytes.split(|&byte| byte == 0).map(|argument| Text::from(argument.to_vec())).collect()
}

/// A control group, and its path from the tail.
fn cgroup(cgroup: &wire::CgroupRef, tail: &mut &[u8]) -> Result<Cgroup> {
    let path = take(tail, cgroup.len as usize, "control group")?;
    Ok(Cgroup {
        id: (cgroup.id != 0).then_some(cgroup.id),
        path: (cgroup.known & wire::CgroupRef::KNOWN != 0)
            .then(|| whole_path(path, cgroup.known & wire::CgroupRef::CUT != 0)),
    })
}

/// The path of an executable from the tail; one that was deleted is marked as in /proc/PID/exe.
fn exe(exe: &wire::ExeRef, tail: &mut &[u8]) -> Result<Option<Text>> {
    let path = take(tail, exe.len as usize, "executable")?;
    if exe.known & wire::ExeRef::KNOWN == 0 {
        return Ok(None);
    }
    let path = whole_path(path, exe.known & wire::ExeRef::CUT != 0);
    let mark = if exe.hashed == 0 { " (deleted)" } else { "" };
    Ok(Some(Text::from([path.as_bytes(), mark.as_bytes()].concat())))
}

/// A path from its names, leaf first; one that was cut begins with `…`.
fn whole_path(bytes: &[u8], cut: bool) -> Text {
    let names: Vec<&[u8]> =
        bytes.strip_suffix(b"\0").map(|bytes| bytes.split(|&byte| byte == 0).collect()).unwrap_or_default();
    let mut path = Vec::with_capacity(bytes.len() + 4);
    if cut {
        path.extend_from_slice("…".as_bytes());
    }
    for name in names.iter().rev() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    Text::from(path)
}

fn task_ref(task: &wire::TaskRef) -> TaskRef {
    TaskRef {
        process: ProcessId { tgid: task.tgid, start: Ktime(task.start_boot_ns) },
        tid: task.tid,
        comm: Text::from_padded(&task.comm),
        kthread: task.flags & wire::TaskRef::KTHREAD != 0,
        ns_tgid: (task.ns_tgid != 0).then_some(task.ns_tgid),
        pidns: inode(task.pidns),
        pidns_level: task.pidns_level,
    }
}

fn netns(netns: &wire::NetnsRef) -> Netns {
    Netns { ptr: netns.ptr, cookie: (netns.cookie != 0).then_some(netns.cookie), inode: inode(netns.inode) }
}

fn link(link: &wire::LinkState) -> Link {
    let kind = Text::from_padded(&link.kind);
    let driver = Text::from_padded(&link.driver);
    let mode = kinds::mode(kind.as_bytes(), link.mode).filter(|mode| *mode != 0);
    Link {
        dev: Some(link.dev),
        netns: (link.netns.ptr != 0).then(|| netns(&link.netns)),
        ifindex: link.ifindex,
        name: Text::from_padded(&link.name),
        kind: (!kind.is_empty()).then_some(kind),
        flags: link.flags,
        operstate: Some(link.operstate),
        registered: link.reg_state == wire::LinkState::REGISTERED,
        mac: (link.mac != [0; 6]).then_some(link.mac),
        mode,
        protodown: (link.proto_down != wire::LinkState::UNKNOWN).then_some(link.proto_down != 0),
        driver: (!driver.is_empty()).then_some(driver),
    }
}

fn address(address: &wire::IpAddress) -> Option<Address> {
    let ip = match address.len {
        4 => <[u8; 4]>::read_from_prefix(&address.bytes).ok().map(|(bytes, _)| IpAddr::from(bytes))?,
        16 => IpAddr::from(address.bytes),
        _ => return None,
    };
    Some(Address { ip, prefix: u8::try_from(address.prefix).ok()? })
}

/// Reads the code of `do_exit`, which is what `wait` reports: how a process ended, and whether it dumped its core.
fn exit_status(code: u32) -> (ExitStatus, bool) {
    let [low, high, ..] = code.to_le_bytes();
    match low & 0x7f {
        0 => (ExitStatus::Code(high), false),
        signal => (ExitStatus::Signal(signal), low & 0x80 != 0),
    }
}

fn inode(inode: u32) -> Option<NsInode> {
    (inode != 0).then_some(NsInode(inode))
}

fn known_id(id: u32) -> Option<u32> {
    (id != u32::MAX).then_some(id)
}
