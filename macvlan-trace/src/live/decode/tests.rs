use std::collections::HashMap;

use macvlan_trace_common::{
    ABI, Ancestor as WireAncestor, CgroupRef, ExeRef, ExitRecord, FailedRecord, FreedRecord, Header,
    IpAddress, Kind, LinkChange as WireChange, LinkRecord, LinkState, MAX_ANCESTORS, MAX_CGROUP_DEPTH,
    MAX_MESSAGE, MAX_STACK, NetnsEndRecord, NetnsMoveRecord, NetnsRef, NotMadeRecord, OomRecord, Probe,
    SignalRecord, TaskRecord, TaskRef as WireTask,
};
use zerocopy::{FromZeros, Immutable, IntoBytes};

use super::*;
use crate::testing::story::Random;

/// Names every address by its number, but for those below 100.
#[derive(Default)]
struct Numbers(String);

impl Resolve for Numbers {
    fn resolve(&mut self, address: u64, _: Ktime) -> Option<&str> {
        self.0 = format!("f{address}");
        (address >= 100).then_some(self.0.as_str())
    }
}

fn decoder() -> Decoder {
    Decoder::new(HashMap::from([(Probe::Unregister as u16, "unregister_netdevice_queue")]))
}

/// Decodes one record that has to be well-formed.
fn decode(bytes: &[u8]) -> What {
    let fact = decoder().decode(bytes, &mut Numbers::default()).expect("the record is well-formed");
    fact.expect("its kind is known").what
}

fn decode_task(bytes: &[u8]) -> Task {
    match decode(bytes) {
        What::Task(task) => *task,
        other => panic!("no task: {other:?}"),
    }
}

/// Why a record is refused.
fn refusal(bytes: &[u8]) -> String {
    match decoder().decode(bytes, &mut Numbers::default()) {
        Err(error) => error.to_string(),
        Ok(fact) => panic!("it was taken for {fact:?}"),
    }
}

fn padded(name: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    out[..name.len()].copy_from_slice(name);
    out
}

const SHELL: WireTask = WireTask {
    tgid: 812,
    tid: 813,
    start_boot_ns: 7_000,
    comm: *b"sh\0leftover\0\0\0\0\0",
    flags: 0,
    ns_tgid: 1,
    pidns: 4_026_532_200,
    pidns_level: 1,
};

const WORKER: WireTask = WireTask {
    tgid: 58,
    tid: 58,
    start_boot_ns: 5,
    comm: *b"kworker/u8:2\0\0\0\0",
    flags: WireTask::KTHREAD | 0x40,
    ns_tgid: 0,
    pidns: 0,
    pidns_level: 0,
};

const HOST: NetnsRef = NetnsRef { ptr: 0xffff_8880_0000_1000, cookie: 1, inode: 4_026_531_840, reserved: 0 };
const BLUE: NetnsRef = NetnsRef { ptr: 0xffff_8880_0000_2000, cookie: 0, inode: 0, reserved: 0 };

const MACVLAN0: LinkState = LinkState {
    dev: 0xffff_8880_0001_0000,
    netns: BLUE,
    ifindex: 7,
    flags: 0x1003,
    name: *b"macvlan0\0\0\0\0\0\0\0\0",
    kind: *b"macvlan\0\0\0\0\0\0\0\0\0",
    driver: [0; 16],
    mac: [2, 0, 0, 0, 0, 7],
    operstate: 6,
    reg_state: LinkState::REGISTERED,
    mode: 4,
    proto_down: 1,
};

const ETH0: LinkState = LinkState {
    dev: 0xffff_8880_0002_0000,
    netns: HOST,
    ifindex: 2,
    flags: 0x1003,
    name: *b"eth0\0\0\0\0\0\0\0\0\0\0\0\0",
    kind: [0; 16],
    driver: *b"virtio_net\0\0\0\0\0\0",
    mac: [0; 6],
    operstate: 6,
    reg_state: 2,
    mode: 0,
    proto_down: LinkState::UNKNOWN,
};

/// A record with that head, all zero behind it.
fn blank<R: FromBytes + IntoBytes>(kind: Kind, task: WireTask) -> R {
    let mut record = R::new_zeroed();
    let header =
        Header { abi: ABI, kind: kind as u16, len: 0, seq: 1, boot_ns: 93_000, cpu: 0, lane: 0, task };
    record.as_mut_bytes()[..size_of::<Header>()].copy_from_slice(header.as_bytes());
    record
}

/// The bytes of a record, whose length is put right.
fn bytes<R: IntoBytes + Immutable>(record: &R, tail: &[u8]) -> Vec<u8> {
    let mut bytes = record.as_bytes().to_vec();
    bytes.extend_from_slice(tail);
    let len = u32::try_from(bytes.len()).unwrap();
    bytes[4..8].copy_from_slice(&len.to_ne_bytes());
    bytes
}

fn task_record() -> TaskRecord {
    let mut record: TaskRecord = blank(Kind::Task, SHELL);
    record.netns = HOST;
    record.cgroup.id = 4711;
    record.login_uid = u32::MAX;
    record.mntns = 4_026_531_841;
    record
}

/// The record of a task that runs the file of these names, leaf first.
fn running(names: &[u8], known: u32, deleted: bool) -> Vec<u8> {
    let mut record = task_record();
    let len = u32::try_from(names.len()).unwrap();
    record.exe = ExeRef { hashed: u64::from(!deleted), len, known };
    bytes(&record, names)
}

/// A task's record with that tail, which says what it holds.
fn task(ancestors: &[WireAncestor], args: Option<&[u8]>, cgroup: Option<&[u8]>, cut: bool) -> Vec<u8> {
    let len = |part: Option<&[u8]>| u32::try_from(part.map_or(0, <[u8]>::len)).unwrap();
    let mut record = task_record();
    record.ancestors = u32::try_from(ancestors.len()).unwrap();
    record.args_len = len(args);
    record.cgroup.len = len(cgroup);
    record.args_known = u32::from(args.is_some());
    record.cgroup.known |= if cgroup.is_some() { CgroupRef::KNOWN } else { 0 };
    record.cgroup.known |= if cut { CgroupRef::CUT } else { 0 };
    let tail = [ancestors.as_bytes(), args.unwrap_or_default(), cgroup.unwrap_or_default()].concat();
    bytes(&record, &tail)
}

fn ancestor(tgid: u32, comm: &[u8]) -> WireAncestor {
    WireAncestor { start_boot_ns: u64::from(tgid) * 10, tgid, reserved: 0, comm: padded(comm) }
}

fn link_record(change: u16) -> LinkRecord {
    let mut record: LinkRecord = blank(Kind::Link, WORKER);
    (record.change, record.probe) = (change, Probe::Unregister as u16);
    record.flags_after = 0x1002;
    (record.link, record.parent) = (MACVLAN0, ETH0);
    record
}

fn link(change: u16, stack: &[u64]) -> Vec<u8> {
    let record = LinkRecord { stack: u32::try_from(stack.len()).unwrap(), ..link_record(change) };
    bytes(&record, stack.as_bytes())
}

fn parent(change: u16, stack: &[u64]) -> Vec<u8> {
    let mut record = LinkRecord { stack: u32::try_from(stack.len()).unwrap(), ..link_record(change) };
    record.header.kind = Kind::Parent as u16;
    (record.link, record.parent) = (ETH0, LinkState::new_zeroed());
    bytes(&record, stack.as_bytes())
}

fn not_made() -> NotMadeRecord {
    let mut record: NotMadeRecord = blank(Kind::NotMade, SHELL);
    let wanted = link_record(0);
    record.change = LinkRecord { header: record.change.header, error: 16, stack: 1, ..wanted };
    record.change.link.dev = 0;
    record.holder = LinkState { dev: 7, ifindex: 9, name: padded(b"br0"), ..LinkState::NONE };
    record.message[..4].copy_from_slice(b"busy");
    record
}

fn exit_record() -> ExitRecord {
    let mut record: ExitRecord = blank(Kind::Exit, SHELL);
    record.netns = BLUE;
    record
}

fn exit(code: u32) -> Vec<u8> {
    bytes(&ExitRecord { code, ..exit_record() }, &[])
}

fn signal(number: u32, from_kernel: bool, ignored: bool) -> Vec<u8> {
    let mut record: SignalRecord = blank(Kind::Signal, WORKER);
    (record.netns, record.target) = (HOST, SHELL);
    (record.signal, record.from_kernel) = (number, from_kernel.into());
    record.ignored = ignored.into();
    bytes(&record, &[])
}

fn oom(limit: Option<&[u8]>) -> Vec<u8> {
    let mut record: OomRecord = blank(Kind::Oom, WORKER);
    (record.netns, record.target) = (BLUE, SHELL);
    if let Some(path) = limit {
        record.limited = 1;
        let len = u32::try_from(path.len()).unwrap();
        record.limit = CgroupRef { id: 4711, len, known: CgroupRef::KNOWN };
    }
    bytes(&record, limit.unwrap_or_default())
}

fn freed(dev: u64) -> Vec<u8> {
    bytes(&FreedRecord { dev, ..blank(Kind::Freed, WORKER) }, &[])
}

fn netns_move(threads: u32) -> Vec<u8> {
    let mut record: NetnsMoveRecord = blank(Kind::NetnsMove, SHELL);
    (record.from, record.to, record.threads) = (HOST, BLUE, threads);
    bytes(&record, &[])
}

fn netns_end(stack: &[u64]) -> Vec<u8> {
    let mut record: NetnsEndRecord = blank(Kind::NetnsEnd, SHELL);
    (record.netns, record.threads) = (BLUE, 1);
    record.stack = u32::try_from(stack.len()).unwrap();
    bytes(&record, stack.as_bytes())
}

/// One well-formed record of every kind, with its name.
fn every_kind() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "task",
            task(
                &[ancestor(800, b"bash"), ancestor(1, b"systemd")],
                Some(b"sh\0-c\0true\0"),
                Some(b"web\0docker\0"),
                false,
            ),
        ),
        ("link", link(WireChange::Deleted as u16, &[100, 101, 102])),
        ("parent", parent(WireChange::Down as u16, &[100])),
        ("link that was not made", bytes(&not_made(), &100u64.to_ne_bytes())),
        ("exit", exit(0x300)),
        ("signal", signal(9, false, false)),
        ("shortage of memory", oom(Some(b"web\0docker\0"))),
        ("freed", freed(MACVLAN0.dev)),
        ("netns move", netns_move(1)),
        ("netns end", netns_end(&[100, 7])),
    ]
}

fn with_kind(mut bytes: Vec<u8>, kind: u16) -> Vec<u8> {
    bytes[2..4].copy_from_slice(&kind.to_ne_bytes());
    bytes
}

#[test]
fn a_task_is_told_whole() {
    let chain = [ancestor(800, b"bash"), ancestor(1, b"systemd")];
    let task =
        decode_task(&task(&chain, Some(b"ip\0link\0del\0m0\0"), Some(b"web.scope\0system.slice\0"), false));
    let ancestor = |tgid, start, comm| Ancestor {
        process: ProcessId { tgid, start: Ktime(start) },
        comm: Text::from(comm),
    };
    assert_eq!(
        task,
        Task {
            task: TaskRef {
                process: ProcessId { tgid: 812, start: Ktime(7_000) },
                tid: 813,
                comm: Text::from("sh"),
                kthread: false,
                ns_tgid: Some(1),
                pidns: Some(NsInode(4_026_532_200)),
                pidns_level: 1,
            },
            args: Some(["ip", "link", "del", "m0"].map(Text::from).into()),
            exe: None,
            uid: Some(0),
            login_uid: None,
            ancestors: vec![ancestor(800, 8_000, "bash"), ancestor(1, 10, "systemd")],
            cgroup: Cgroup { id: Some(4711), path: Some(Text::from("/system.slice/web.scope")) },
            netns: Some(Netns { ptr: HOST.ptr, cookie: Some(1), inode: Some(NsInode(4_026_531_840)) }),
            mntns: Some(NsInode(4_026_531_841)),
            tty: None,
        }
    );
}

#[test]
fn what_the_kernel_could_not_read_about_a_task_is_unknown() {
    let mut record: TaskRecord = blank(Kind::Task, WORKER);
    (record.uid, record.login_uid) = (u32::MAX, u32::MAX);
    let task = decode_task(&bytes(&record, &[]));
    assert!(task.task.kthread);
    assert_eq!((task.task.ns_tgid, task.task.pidns), (None, None));
    assert_eq!((task.args, task.exe, task.uid, task.login_uid), (None, None, None, None));
    assert_eq!((task.cgroup, task.netns, task.mntns), (Cgroup::default(), None, None));
    assert!(task.ancestors.is_empty());
}

#[test]
fn a_terminal_has_the_name_that_people_know() {
    let tty = |name: &[u8]| decode_task(&bytes(&TaskRecord { tty: padded(name), ..task_record() }, &[])).tty;
    assert_eq!(tty(b""), None);
    assert_eq!(tty(b"pts12"), Some(Text::from("pts/12")));
    assert_eq!(tty(b"tty1"), Some(Text::from("tty1")));
    assert_eq!(tty(b"ptsx"), Some(Text::from("ptsx")));
    // Nothing ends a name that takes all the room.
    assert_eq!(tty(b"abcdefghijklmnop"), Some(Text::from("abcdefghijklmnop")));
}

#[test]
fn a_change_of_a_link_is_told_whole() {
    let What::Link(fact) = decode(&link(WireChange::Deleted as u16, &[100, 7, 102])) else {
        panic!("a link")
    };
    assert_eq!(fact.change, LinkChange::Deleted);
    assert_eq!(fact.probe, "unregister_netdevice_queue");
    assert!(fact.task.kthread);
    assert_eq!(fact.flags_after, 0x1002);
    assert_eq!(
        fact.link,
        Link {
            dev: Some(MACVLAN0.dev),
            netns: Some(Netns { ptr: BLUE.ptr, cookie: None, inode: None }),
            ifindex: 7,
            name: Text::from("macvlan0"),
            kind: Some(Text::from("macvlan")),
            flags: 0x1003,
            operstate: Some(6),
            registered: true,
            mac: Some([2, 0, 0, 0, 0, 7]),
            mode: Some(4),
            protodown: Some(true),
            driver: None,
        }
    );
    let parent = fact.parent.expect("there is a parent");
    assert_eq!(parent.name, Text::from("eth0"));
    assert_eq!((parent.kind, parent.mac, parent.mode, parent.protodown), (None, None, None, None));
    assert_eq!(parent.driver, Some(Text::from("virtio_net")));
    assert!(!parent.registered, "a parent in state 2 is unregistering");
    assert_eq!(fact.from, None);
    assert_eq!(*fact.path.functions(), [Some("f100".into()), None, Some("f102".into())]);
}

#[test]
fn every_change_of_a_link_has_its_word() {
    for (wire, change) in [
        (WireChange::Created, LinkChange::Created),
        (WireChange::Up, LinkChange::Up),
        (WireChange::Down, LinkChange::Down),
        (WireChange::Renamed, LinkChange::Renamed),
        (WireChange::Moved, LinkChange::Moved),
        (WireChange::Deleted, LinkChange::Deleted),
        (WireChange::UnseenDown, LinkChange::UnseenDown),
        (WireChange::UnseenDeleted, LinkChange::UnseenDeleted),
        (WireChange::CarrierLost, LinkChange::CarrierLost),
        (WireChange::CarrierBack, LinkChange::CarrierBack),
        (WireChange::UpFailed, LinkChange::UpFailed),
        (WireChange::MacFailed, LinkChange::MacFailed),
        (WireChange::MoveFailed, LinkChange::MoveFailed),
        (WireChange::RenameFailed, LinkChange::RenameFailed),
        (WireChange::MacChanged, LinkChange::MacChanged),
        (WireChange::AddressRemoved, LinkChange::AddressRemoved),
    ] {
        let What::Link(fact) = decode(&link(wire as u16, &[])) else { panic!("{wire:?}") };
        assert_eq!(fact.change, change, "{wire:?}");
    }
}

#[test]
fn a_change_of_a_parent_is_told_as_such() {
    let What::Parent(fact) = decode(&parent(WireChange::Down as u16, &[100])) else { panic!("a parent") };
    assert_eq!((fact.change, fact.link.name), (LinkChange::Down, Text::from("eth0")));
    assert_eq!((fact.link.flags, fact.flags_after), (0x1003, 0x1002));
    assert_eq!(fact.parent, None, "nothing lies below a NIC");
    assert_eq!(*fact.path.functions(), [Some("f100".into())]);
}

#[test]
fn a_failed_request_tells_what_it_failed_with_and_what_was_wanted() {
    let mut record: FailedRecord = blank(Kind::Failed, SHELL);
    record.change = LinkRecord { error: 17, stack: 1, ..link_record(WireChange::MoveFailed as u16) };
    record.change.header.kind = Kind::Failed as u16;
    (record.netns, record.name, record.mac) = (HOST, *b"eth1\0\0\0\0\0\0\0\0\0\0\0\0", [2, 0, 0, 0, 0, 9]);
    record.message[..5].copy_from_slice(b"taken");
    let What::Link(fact) = decode(&bytes(&record, &100u64.to_ne_bytes())) else { panic!("a link") };
    assert_eq!((fact.change, fact.error), (LinkChange::MoveFailed, Some(17)));
    assert_eq!((fact.link.name, fact.message), (Text::from("macvlan0"), Some(Text::from("taken"))));
    let wanted = fact.wanted.expect("it is told");
    assert_eq!((wanted.name, wanted.mac), (Some(Text::from("eth1")), Some([2, 0, 0, 0, 0, 9])));
    assert_eq!(wanted.netns.and_then(|netns| netns.inode), Some(NsInode(HOST.inode)));
    assert_eq!(*fact.path.functions(), [Some("f100".into())]);

    (record.netns, record.name, record.mac) = (NetnsRef::NONE, [0; 16], [0; 6]);
    (record.message, record.change.stack) = ([0; MAX_MESSAGE], 0);
    let What::Link(fact) = decode(&bytes(&record, &[])) else { panic!("a link") };
    assert_eq!((fact.wanted, fact.message), (None, None));
    let What::Link(fact) = decode(&link(WireChange::Up as u16, &[])) else { panic!("a link") };
    assert_eq!(fact.error, None);
}

#[test]
fn a_link_that_was_not_made_tells_what_was_wanted_and_who_is_in_its_way() {
    let mut record = not_made();
    let What::Link(fact) = decode(&bytes(&record, &100u64.to_ne_bytes())) else { panic!("a link") };
    assert_eq!((fact.change, fact.error), (LinkChange::CreateFailed, Some(16)));
    assert_eq!((fact.link.dev, fact.link.name.clone()), (None, Text::from("macvlan0")));
    assert_eq!(fact.parent.map(|parent| parent.name), Some(Text::from("eth0")));
    assert_eq!(fact.held_by.map(|holder| holder.name), Some(Text::from("br0")));
    assert_eq!(fact.message, Some(Text::from("busy")));
    assert_eq!(*fact.path.functions(), [Some("f100".into())]);

    record.change.link.name = [0; 16];
    (record.holder, record.message) = (LinkState::NONE, [0; MAX_MESSAGE]);
    let What::Link(fact) = decode(&bytes(&record, &100u64.to_ne_bytes())) else { panic!("a link") };
    assert_eq!((fact.link.name, fact.held_by, fact.message), (Text::from("macvlan%d"), None, None));
}

#[test]
fn an_address_is_told_with_its_prefix() {
    let told = |ip: [u8; 16], len, prefix| {
        let record = LinkRecord {
            address: IpAddress { bytes: ip, len, last: 0, prefix },
            ..link_record(WireChange::AddressRemoved as u16)
        };
        let What::Link(fact) = decode(&bytes(&record, &[])) else { panic!("a link") };
        fact.address.map(|address| format!("{}/{}", address.ip, address.prefix))
    };
    let v4 = [10, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let v6 = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    assert_eq!(told(v4, 4, 24).as_deref(), Some("10.0.0.7/24"));
    assert_eq!(told(v6, 16, 64).as_deref(), Some("fd00::7/64"));
    assert_eq!(told([0; 16], 0, 0), None);
    assert_eq!(told(v4, 5, 24), None, "no address has five bytes");
    assert_eq!(told(v4, 4, 256), None, "no prefix is as long");
}

#[test]
fn an_address_that_comes_or_goes_without_an_event_is_a_fact_of_its_own() {
    for (change, added) in [(WireChange::AddressAdded, true), (WireChange::AddressDropped, false)] {
        let bytes_of_v4 = [10, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let address = IpAddress { bytes: bytes_of_v4, len: 4, last: 0, prefix: 24 };
        let record = LinkRecord { address, stack: 1, ..link_record(change as u16) };
        let What::Address(fact) = decode(&bytes(&record, &100u64.to_ne_bytes())) else { panic!("one") };
        assert_eq!((fact.added, fact.address.prefix), (added, 24));
        assert_eq!(fact.address.ip.to_string(), "10.0.0.7");
        assert_eq!(*fact.path.functions(), [Some("f100".into())]);
    }
}

#[test]
fn a_moved_link_tells_where_it_came_from_and_a_link_without_parent_has_none() {
    let record = LinkRecord {
        probe: 999,
        parent: LinkState::new_zeroed(),
        from: HOST,
        from_ifindex: 12,
        ..link_record(WireChange::Moved as u16)
    };
    let What::Link(fact) = decode(&bytes(&record, &[])) else { panic!("a link") };
    let (from, ifindex) = fact.from.expect("it came from somewhere");
    assert_eq!((from.ptr, ifindex), (HOST.ptr, 12));
    assert_eq!(fact.parent, None);
    assert_eq!(fact.probe, "?", "a probe that user space did not attach has no name");
}

#[test]
fn a_code_of_do_exit_is_an_exit_code_or_a_signal() {
    for (code, status, core_dumped) in [
        (0, ExitStatus::Code(0), false),
        (0x300, ExitStatus::Code(3), false),
        (0xff00, ExitStatus::Code(255), false),
        (9, ExitStatus::Signal(9), false),
        (11, ExitStatus::Signal(11), false),
        (0x8b, ExitStatus::Signal(11), true),
    ] {
        let What::Exit(exit) = decode(&exit(code)) else { panic!("an exit") };
        assert_eq!((exit.status, exit.core_dumped), (status, core_dumped), "{code:#x}");
        assert_eq!(exit.task.process.tgid, 812);
    }
}

#[test]
fn a_signal_has_a_sender_unless_it_is_the_kernels() {
    let What::Signal(sent) = decode(&signal(15, false, true)) else { panic!("a signal") };
    assert_eq!(sent.sender.map(|sender| sender.process.tgid), Some(58));
    assert_eq!((sent.target.process.tgid, sent.number, sent.ignored), (812, 15, true));
    let What::Signal(sent) = decode(&signal(9, true, false)) else { panic!("a signal") };
    assert_eq!((sent.sender, sent.number, sent.ignored), (None, 9, false));
}

#[test]
fn a_signal_of_a_terminal_tells_which_process_was_current() {
    // The kernel thread, or a process; who is signalled does not matter.
    let by = |current, target, number, from_kernel: bool| {
        let mut record: SignalRecord = blank(Kind::Signal, current);
        (record.target, record.signal, record.from_kernel) = (target, number, from_kernel.into());
        let What::Signal(sent) = decode(&bytes(&record, &[])) else { panic!("a signal") };
        sent.within.map(|within| within.process.tgid)
    };
    for (number, from_kernel, told) in [(1, true, true), (2, true, true), (9, true, false), (1, false, false)]
    {
        let within = by(SHELL, WORKER, number, from_kernel);
        assert_eq!(within, told.then_some(SHELL.tgid), "signal {number}, from the kernel: {from_kernel}");
        assert_eq!(by(WORKER, SHELL, number, from_kernel), None);
        assert_eq!(by(SHELL, SHELL, number, from_kernel), None);
    }
}

#[test]
fn only_a_process_of_one_thread_goes_whole() {
    for (threads, whole) in [(1, true), (2, false), (0, false)] {
        let What::NetnsMove(change) = decode(&netns_move(threads)) else { panic!("a move") };
        assert_eq!(change.whole_process, whole, "{threads} threads");
        assert_eq!((change.from.ptr, change.to.ptr), (HOST.ptr, BLUE.ptr));
    }
}

#[test]
fn a_task_that_makes_a_namespace_does_not_enter_another_ones() {
    for made in [0, 1] {
        let mut record: NetnsMoveRecord = blank(Kind::NetnsMove, SHELL);
        (record.from, record.to, record.made) = (HOST, BLUE, made);
        let What::NetnsMove(change) = decode(&bytes(&record, &[])) else { panic!("a move") };
        assert_eq!(change.made, made == 1);
    }
}

#[test]
fn the_end_of_a_namespace_brings_its_path() {
    let What::NetnsEnd(end) = decode(&netns_end(&[100, 7])) else { panic!("an end") };
    assert_eq!(*end.path.functions(), [Some("f100".into()), None]);
    assert_eq!(end.netns.ptr, BLUE.ptr);
    assert!(end.whole_process);
}

#[test]
fn a_record_that_is_cut_is_refused_wherever_it_is_cut() {
    for (name, whole) in every_kind() {
        for len in 0..whole.len() {
            // As it may come: shorter than it says.
            let said = decoder().decode(&whole[..len], &mut Numbers::default());
            assert!(said.is_err(), "{name} of {len} bytes was taken for {said:?}");
            // And even if its length agrees.
            if len >= 8 {
                let mut bytes = whole[..len].to_vec();
                bytes[4..8].copy_from_slice(&u32::try_from(len).unwrap().to_ne_bytes());
                let said = decoder().decode(&bytes, &mut Numbers::default());
                assert!(said.is_err(), "{name} that says {len} bytes was taken for {said:?}");
            }
        }
        assert!(
            decoder().decode(&whole, &mut Numbers::default()).is_ok_and(|fact| fact.is_some()),
            "{name} is whole"
        );
    }
}

#[test]
fn a_shortage_of_memory_tells_whose_limit_was_reached() {
    let What::Oom(oom_of_group) = decode(&oom(Some(b"web\0docker\0"))) else { panic!("a shortage") };
    assert_eq!(oom_of_group.task.comm, Text::from("kworker/u8:2"));
    assert_eq!((oom_of_group.target.comm, oom_of_group.netns.ptr), (Text::from("sh"), BLUE.ptr));
    assert_eq!(oom_of_group.limit, Some(Cgroup { id: Some(4711), path: Some(Text::from("/docker/web")) }));
    let What::Oom(oom_of_machine) = decode(&oom(None)) else { panic!("a shortage") };
    assert_eq!(oom_of_machine.limit, None);
}

#[test]
fn a_link_that_is_freed_is_told_by_its_address() {
    assert_eq!(decode(&freed(MACVLAN0.dev)), What::Freed { dev: MACVLAN0.dev });
}

#[test]
fn kinds_and_changes_that_are_not_known_are_skipped() {
    for kind in [0, 99, 0x1234, u16::MAX] {
        let fact = decoder().decode(&with_kind(exit(0), kind), &mut Numbers::default()).expect("no error");
        assert_eq!(fact, None, "kind {kind}");
    }
    for change in [0, 99, u16::MAX] {
        let fact = decoder().decode(&link(change, &[100]), &mut Numbers::default()).expect("no error");
        assert_eq!(fact, None, "change {change}");
    }
}

#[test]
fn another_layout_or_length_is_refused_and_said() {
    let mut other = exit(0);
    other[0..2].copy_from_slice(&(ABI + 1).to_ne_bytes());
    assert!(refusal(&other).contains(&format!("of layout {}", ABI + 1)), "{}", refusal(&other));
    for len in [0, 1, 79, u32::MAX] {
        let mut other = exit(0);
        other[4..8].copy_from_slice(&len.to_ne_bytes());
        assert!(refusal(&other).contains(&format!("says that it has {len} ")), "{}", refusal(&other));
    }
    assert!(refusal(&[]).contains("ends before its fixed part of 80"), "{}", refusal(&[]));
}

#[test]
fn lengths_that_promise_more_than_there_is_are_refused_and_named() {
    for lie in [1, 1000, u32::MAX / 2, u32::MAX] {
        let mut record = task_record();
        record.ancestors = lie;
        let said = refusal(&bytes(&record, &[0; 31]));
        assert!(said.contains("its ancestors"), "{said}");

        let mut record = task_record();
        record.args_len = lie.max(6);
        let said = refusal(&bytes(&record, b"sh\0-c"));
        assert!(said.contains("its arguments"), "{said}");

        let mut record = task_record();
        record.cgroup.len = lie;
        let said = refusal(&bytes(&record, b""));
        assert!(said.contains("its control group"), "{said}");

        let mut record = task_record();
        record.exe.len = lie;
        let said = refusal(&bytes(&record, b""));
        assert!(said.contains("its executable"), "{said}");

        let mut record = link_record(WireChange::Down as u16);
        record.stack = lie;
        let said = refusal(&bytes(&record, &[0; 7]));
        assert!(said.contains("its kernel stack"), "{said}");
    }
}

#[test]
fn bytes_behind_the_tail_are_no_harm() {
    let mut whole = task(&[], Some(b"sh\0"), Some(b"a\0"), false);
    whole.extend_from_slice(b"from a later version");
    let len = u32::try_from(whole.len()).unwrap();
    whole[4..8].copy_from_slice(&len.to_ne_bytes());
    assert_eq!(decode_task(&whole).args, Some(vec![Text::from("sh")]));
}

#[test]
fn arguments_are_split_at_their_ends_and_keep_empty_ones() {
    let args = |bytes: &[u8]| decode_task(&task(&[], Some(bytes), None, false)).args;
    let list = |args: &[&str]| Some(args.iter().map(|&arg| Text::from(arg)).collect::<Vec<_>>());
    assert_eq!(args(b"ip\0link\0"), list(&["ip", "link"]));
    assert_eq!(args(b"ip\0li"), list(&["ip", "li"]), "the last one is cut");
    assert_eq!(args(b"sh\0-c\0\0"), list(&["sh", "-c", ""]));
    assert_eq!(args(b"\0"), list(&[""]));
    assert_eq!(args(b""), list(&[]), "no argument is not one that is empty");
    let long = [&[b'x'; 1023][..], b"\0"].concat();
    assert_eq!(args(&long).unwrap()[0].as_bytes(), [b'x'; 1023]);
}

#[test]
fn arguments_keep_bytes_that_are_no_text() {
    let args = decode_task(&task(&[], Some(b"\xff\xfe\0\x1b[2J\n\0"), None, false)).args.unwrap();
    assert_eq!(args.iter().map(Text::as_bytes).collect::<Vec<_>>(), [&b"\xff\xfe"[..], b"\x1b[2J\n"]);
}

#[test]
fn the_path_of_a_control_group_is_put_together_from_its_leaf_up() {
    let path = |bytes: &[u8], cut| {
        let task = decode_task(&task(&[], None, Some(bytes), cut));
        task.cgroup.path.expect("it is known").to_lossy().into_owned()
    };
    assert_eq!(path(b"", false), "/");
    assert_eq!(path(b"init.scope\0", false), "/init.scope");
    assert_eq!(path(b"c\0b\0a\0", false), "/a/b/c");
    assert_eq!(path(b"c\0b\0", true), "…/b/c", "the part near the root is missing");
    assert_eq!(decode_task(&task(&[], None, None, false)).cgroup.path, None);
    let task = decode_task(&task(&[], None, Some(b"\xff\0"), false));
    assert_eq!(task.cgroup.path.unwrap().as_bytes(), b"/\xff");
}

#[test]
fn the_deepest_path_and_the_longest_chain_fit() {
    let level = [&[b'd'; 200][..], b"\0"].concat();
    let chain: Vec<_> = (0..MAX_ANCESTORS).map(|n| ancestor(u32::try_from(n).unwrap() + 1, b"sh")).collect();
    let task = decode_task(&task(&chain, Some(b"sh\0"), Some(&level.repeat(MAX_CGROUP_DEPTH)), false));
    assert_eq!(task.ancestors.len(), MAX_ANCESTORS);
    let path = task.cgroup.path.unwrap();
    assert_eq!(path.to_lossy().matches('/').count(), MAX_CGROUP_DEPTH);
    assert_eq!(path.as_bytes().len(), MAX_CGROUP_DEPTH * 201);
    let stack = [100; MAX_STACK];
    let What::Link(fact) = decode(&link(WireChange::Down as u16, &stack)) else { panic!("a link") };
    assert_eq!(fact.path.functions().len(), MAX_STACK);
}

#[test]
fn names_that_fill_their_field_or_are_no_text_stay_as_they_are() {
    let mut record = link_record(WireChange::Down as u16);
    record.link.name = [b'n'; 16];
    record.link.kind = *b"macvtap\0garbage!";
    record.parent.name = padded(b"\xff\xc3\x28\n");
    record.header.task.comm = padded(b"\x1b[31m");
    let What::Link(fact) = decode(&bytes(&record, &[])) else { panic!("a link") };
    assert_eq!(fact.link.name.as_bytes(), [b'n'; 16]);
    assert_eq!(fact.link.kind, Some(Text::from("macvtap")));
    assert_eq!(fact.parent.unwrap().name.as_bytes(), b"\xff\xc3\x28\n");
    assert_eq!(fact.task.comm.as_bytes(), b"\x1b[31m");
}

/// An exit's record with that place in the order.
fn numbered(cpu: u32, lane: u32, seq: u64) -> Vec<u8> {
    let mut record = exit_record();
    (record.header.cpu, record.header.lane, record.header.seq) = (cpu, lane, seq);
    bytes(&record, &[])
}

#[test]
fn a_gap_is_counted_once_for_each_cpu_and_lane() {
    let mut decoder = decoder();
    let mut gaps = |cpu, lane, seq| {
        decoder.decode(&numbered(cpu, lane, seq), &mut Numbers::default()).expect("it is well-formed");
        decoder.gaps()
    };
    assert_eq!(gaps(0, 0, 1), 0);
    assert_eq!(gaps(0, 0, 2), 0);
    assert_eq!(gaps(0, 1, 1), 0, "each lane counts for itself");
    assert_eq!(gaps(1, 0, 1), 0, "each CPU counts for itself");
    assert_eq!(gaps(0, 0, 5), 2, "3 and 4 are missing");
    assert_eq!(gaps(0, 0, 6), 2, "and are not missed again");
    assert_eq!(gaps(2, 0, 4), 5, "the first record of a CPU is number 1");
    assert_eq!(gaps(0, 0, 6), 5, "nothing is missing where a number comes again");
}

#[test]
fn records_that_are_skipped_or_refused_are_no_gap() {
    let mut decoder = decoder();
    decoder.decode(&with_kind(numbered(0, 0, 1), 77), &mut Numbers::default()).expect("it is skipped");
    let mut lying = link_record(WireChange::Down as u16);
    (lying.header.seq, lying.stack) = (2, 9);
    decoder.decode(&bytes(&lying, &[]), &mut Numbers::default()).expect_err("it is refused");
    decoder.decode(&numbered(0, 0, 3), &mut Numbers::default()).expect("it is well-formed");
    assert_eq!(decoder.gaps(), 0);
}

#[test]
fn no_sequence_number_is_too_large() {
    let mut decoder = decoder();
    for cpu in 0..3 {
        decoder.decode(&numbered(cpu, 0, u64::MAX), &mut Numbers::default()).expect("it is well-formed");
    }
    assert_eq!(decoder.gaps(), u64::MAX);
}

/// Changes some bytes, cuts or lengthens; mostly keeps what would be refused at once.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte = match random.below(4) {
                0 => 0,
                1 => 0xff,
                2 => byte.wrapping_add(1),
                _ => random.byte(),
            };
        }
    }
    match random.below(4) {
        0 => bytes.truncate(random.below(bytes.len() + 1)),
        1 => {
            for _ in 0..random.below(64) {
                bytes.push(random.byte());
            }
        }
        _ => {}
    }
    if random.below(8) != 0 && bytes.len() >= 8 {
        let len = u32::try_from(bytes.len()).unwrap();
        bytes[0..2].copy_from_slice(&ABI.to_ne_bytes());
        bytes[4..8].copy_from_slice(&len.to_ne_bytes());
    }
}

#[test]
fn no_bytes_make_it_panic_or_take_more_than_they_hold() {
    let mut random = Random(0x6d61_6376_6c61_6e30);
    let seeds = every_kind();
    let mut decoder = decoder();
    let (mut taken, mut refused, mut skipped) = (0, 0, 0);
    for _ in 0..50_000 {
        let mut bytes = seeds[random.below(seeds.len())].1.clone();
        mutate(&mut bytes, &mut random);
        match decoder.decode(&bytes, &mut Numbers::default()) {
            Ok(Some(fact)) => {
                taken += 1;
                let told = match fact.what {
                    What::Task(task) => task.ancestors.len() * 32 + task.args.map_or(0, |args| args.len()),
                    What::Link(link) => link.path.functions().len() * 8,
                    What::NetnsEnd(end) => end.path.functions().len() * 8,
                    _ => 0,
                };
                assert!(told < bytes.len(), "{told} bytes told of {bytes:?}");
            }
            Ok(None) => skipped += 1,
            Err(_) => refused += 1,
        }
    }
    // The loop is worth something only if it comes past the first check.
    assert!(taken > 5_000 && refused > 5_000 && skipped > 100, "{taken} {refused} {skipped}");
}

#[test]
fn the_file_that_a_task_runs_is_named_as_in_proc() {
    const WHOLE: u32 = ExeRef::KNOWN;
    let exe = |names: &[u8], known, deleted| {
        let exe = decode_task(&running(names, known, deleted)).exe;
        exe.map(|path| path.to_lossy().into_owned())
    };
    assert_eq!(exe(b"my tool\0some where\0tmp\0", WHOLE, false).as_deref(), Some("/tmp/some where/my tool"));
    assert_eq!(exe(b"dockerd\0bin\0", WHOLE, true).as_deref(), Some("/bin/dockerd (deleted)"));
    let memfd = b"memfd:runc_cloned:/proc/self/exe\0";
    assert_eq!(exe(memfd, WHOLE, true).as_deref(), Some("/memfd:runc_cloned:/proc/self/exe (deleted)"));
    assert_eq!(exe(b"c\0b\0", WHOLE | ExeRef::CUT, false).as_deref(), Some("…/b/c"));
    assert_eq!(exe(b"c\0", 0, false), None, "a name could not be read");
    let odd = decode_task(&running(b"\xff\n\0", WHOLE, false)).exe.unwrap();
    assert_eq!(odd.as_bytes(), b"/\xff\n");
}
