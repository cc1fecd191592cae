//! Records and writers for tests.

use std::io::{self, Write};

use crate::event::{
    Ancestor, Body, Cgroup, Confidence, Container, CulpritCount, Destination, Event, EventKind, Exit, Flags,
    Holder, Incident, IncidentLink, Kernel, Link, Lost, Moment, Netns, Notice, Omitted, Outcome, Parent, Pod,
    ProbeState, Record, Recurrence, Run, SCHEMA_VERSION, Step, StepTask, Stock, StockLink, Summary, Task,
    Verdict, Victim, Wanted, When,
};
use crate::live::probe::catalog::{HOOKS, Hook};
use crate::text::Text;

/// Names that attack a terminal, a line parser or a layout.
pub(crate) const HOSTILE: &[&[u8]] = &[
    b"\x1b[2J\x1b]0;owned\x07",
    b"a\nb\r\tc",
    b"\xff\xfe\xc3",
    "\u{202e}gpj.exe\u{200b}\u{2066}".as_bytes(),
    "\u{9b}31m\u{7f}\u{85}\u{2028}".as_bytes(),
    b"\"quoted\\x5c\\xff\"",
    "日本語日本語日本語".as_bytes(),
    "e\u{301}\u{301}\u{301}".as_bytes(),
    "\u{1100}\u{1100}\u{1100}\u{1100}\u{1100}\u{1100}\u{1100}\u{1100}\u{1100}".as_bytes(),
    &[b'x'; 400],
    b"  two  words  ",
    b"",
];

/// Counts writes, so that a test can ask for exactly one.
#[derive(Debug, Default)]
pub(crate) struct Writes(Vec<Vec<u8>>);

impl Writes {
    /// The only write.
    pub(crate) fn only(&self) -> String {
        assert_eq!(self.0.len(), 1, "a record is one write");
        String::from_utf8(self.0[0].clone()).unwrap()
    }
}

impl Write for Writes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A pipe whose reader has left.
#[derive(Debug)]
pub(crate) struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Any record.
pub(crate) fn record(body: Body) -> Record {
    Record { schema_version: SCHEMA_VERSION, body }
}

/// An instant: 01:02:03.123456789 UTC plus some seconds.
pub(crate) fn when(seconds: i64) -> When {
    let start: jiff::Timestamp = "2026-11-24T01:02:03.123456789Z".parse().unwrap();
    let time = start + jiff::SignedDuration::from_secs(seconds);
    When { time, boot_ns: 93_123_456_789 + u64::try_from(seconds).unwrap() * 1_000_000_000 }
}

/// A process in a systemd service.
pub(crate) fn task(pid: u32, comm: &str) -> Task {
    Task {
        pid,
        tid: pid,
        comm: comm.into(),
        args: Some(vec![comm.into(), "link".into()]),
        exe: Some("/usr/bin/ip".into()),
        uid: Some(0),
        login_uid: Some(1000),
        tty: Some("pts/0".into()),
        start_boot_ns: 90_000_000_000,
        ancestors: vec![Ancestor { pid: 1, comm: "systemd".into() }],
        cgroup: Cgroup { id: Some("1234".into()), path: Some("/system.slice/docker.service".into()) },
        unit: Some("docker.service".into()),
        slice: Some("system.slice".into()),
        session: None,
        container: None,
        netns: Some(4_026_531_840),
        exit: None,
    }
}

/// A container.
pub(crate) fn container(name: Option<&str>) -> Container {
    Container {
        runtime: Some("docker".into()),
        id: "9f3c1a2b4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8".into(),
        name: name.map(Into::into),
        pod: None,
    }
}

/// A container of a pod.
fn container_of_pod() -> Container {
    let pod = Pod {
        namespace: Some("default".into()),
        name: Some("shop-7d9f".into()),
        uid: Some("7d1c2b3a-4e5f-6071-8293-a4b5c6d7e8f9".into()),
        qos: Some("burstable".into()),
    };
    Container { pod: Some(pod), ..container(Some("web")) }
}

/// What happened to `macvlan0@eth0` in netns `web`; `ip`, process 812, asked for it.
pub(crate) fn event(kind: EventKind) -> Event {
    Event {
        seq: 1,
        when: when(0),
        event: kind,
        incident: 1,
        recurrence: None,
        link: Link {
            id: "1".into(),
            name: "macvlan0".into(),
            former_names: Vec::new(),
            ifindex: 7,
            kind: Some("macvlan".into()),
            mac: Some("02:00:00:00:00:01".into()),
            mode: Some("bridge".into()),
            protodown: Some(false),
            age_ns: Some(3_200_000_000),
            up_for_ns: Some(3_100_000_000),
            operstate: Some("up".into()),
            flags: Flags { before: vec!["UP".into(), "BROADCAST".into()], after: vec!["BROADCAST".into()] },
            netns: Netns { inode: Some(4_026_532_115), name: Some("web".into()) },
            parent: Some(Parent {
                name: "eth0".into(),
                ifindex: 2,
                netns: Some(4_026_531_840),
                deleted: false,
                held_by: None,
            }),
        },
        to: None,
        error: None,
        message: None,
        wanted: None,
        address: None,
        actor: Some(task(812, "ip")),
        culprit: Some(task(812, "ip")),
        victim: Victim { container: None, shared_with: Vec::new(), init: None },
        verdict: Verdict {
            rule: "direct".into(),
            cause: "ip (pid 812) asked for it.".into(),
            remedy: None,
            confidence: Confidence::Certain,
            evidence: Vec::new(),
        },
        kernel: Kernel {
            probe: "unregister_netdevice_queue".into(),
            path: ["unregister_netdevice_queue", "macvlan_dellink", "rtnl_dellink", "rtnetlink_rcv_msg"]
                .map(Some)
                .into_iter()
                .collect(),
        },
        breaks: kind.breaks(),
    }
}

/// An incident in which `macvlan0` was down for a while, and came up again without an address that it had.
pub(crate) fn incident() -> Incident {
    let event = event(EventKind::Down);
    let moment = |seconds, event| Moment { when: when(seconds), event };
    Incident {
        when: when(13),
        incident: 1,
        recurrence: Some(Recurrence { count: 2, first_incident: 1, since_ns: 3_204_118_002 }),
        first: when(0),
        last: when(1),
        events: 2,
        link_count: 1,
        links: vec![IncidentLink {
            id: event.link.id,
            name: event.link.name,
            netns: event.link.netns,
            container: Some(container_of_pod()),
            first: moment(0, EventKind::AddressRemoved),
            last: moment(1, EventKind::Down),
            outcome: Outcome::UpAgain,
            up_again_ns: Some(2_104_118_002),
            lost_addresses: vec!["192.0.2.7/24".into()],
        }],
        victims: vec![container_of_pod()],
        culprit: event.culprit,
        verdict: event.verdict,
    }
}

/// Where a moved link goes: container `db`.
pub(crate) fn destination() -> Destination {
    Destination {
        netns: Netns { inode: Some(4_026_532_200), name: Some("db".into()) },
        container: Some(container(Some("db"))),
        name: "eth0".into(),
        ifindex: 3,
    }
}

/// `macvlan0` is deleted.
pub(crate) fn deleted() -> Record {
    record(Body::Event(Box::new(event(EventKind::Deleted))))
}

/// A deletion in which all names are these bytes.
pub(crate) fn record_with_names(bytes: &[u8]) -> Record {
    let name = || Text::from(bytes.to_vec());
    let mut event = event(EventKind::Deleted);
    let culprit = Task {
        comm: name(),
        args: Some(vec![name(), name()]),
        exe: Some(name()),
        cgroup: Cgroup { id: None, path: Some(name()) },
        unit: None,
        ..task(812, "")
    };
    event.link.name = name();
    event.link.netns.name = Some(name());
    if let Some(parent) = &mut event.link.parent {
        parent.name = name();
    }
    let said = String::from_utf8_lossy(bytes).into_owned();
    event.verdict.cause = format!("{said} asked for it.").into();
    event.verdict.remedy = Some(format!("Ask {said}.").into());
    event.kernel.path = event.kernel.stack().map(Some).chain([Some(&*said)]).collect();
    event.actor = Some(culprit.clone());
    event.culprit = Some(culprit);
    record(Body::Event(Box::new(event)))
}

/// A hook that this run does without.
fn close_many() -> &'static Hook {
    HOOKS.iter().find(|hook| hook.program == "close_many").expect("it is in the table")
}

/// A run that watches `macvlan0`, up, and `macvlan1`, down, in netns `web`.
pub(crate) fn run() -> Run {
    let link = |name: &str, ifindex, up| StockLink {
        name: name.into(),
        ifindex,
        kind: "macvlan".into(),
        netns: Netns { inode: Some(4_026_532_115), name: Some("web".into()) },
        up,
        parent: Some(Parent {
            name: "eth0".into(),
            ifindex: 2,
            netns: Some(4_026_531_840),
            deleted: false,
            held_by: None,
        }),
    };
    Run {
        when: when(0),
        tool: "macvlan-trace".into(),
        version: "0.1.0".into(),
        kernel: "6.12.48+deb13-amd64".into(),
        host: "node1".into(),
        boot_id: Some("2f1c7a52-7f0e-4b5c-9a53-0d8a4b1f6c3e".into()),
        boot_time: "2026-11-23T23:10:10.000000000Z".into(),
        probes: vec![
            ProbeState { hook: "change_flags".into(), symbol: Some("dev_change_flags".into()), lost: None },
            ProbeState {
                hook: close_many().program.into(),
                symbol: None,
                lost: Some(close_many().unseen.into()),
            },
        ],
        degraded: Vec::new(),
        kinds: vec!["macvlan", "macvtap"],
        stock: Stock {
            links: 2,
            namespaces: 1,
            unseen_namespaces: 0,
            watched: vec![link("macvlan0", 7, true), link("macvlan1", 8, false)],
        },
    }
}

/// The end of a run in which `ip` deleted two links.
pub(crate) fn summary() -> Summary {
    Summary {
        when: when(9),
        events: 3,
        filtered: 1,
        unattributed: 0,
        lost: 0,
        culprits: vec![
            CulpritCount {
                pid: Some(812),
                comm: Some("ip".into()),
                cgroup: Some("docker.service".into()),
                event: EventKind::Deleted,
                count: 2,
            },
            CulpritCount { pid: None, comm: None, cgroup: None, event: EventKind::Down, count: 1 },
        ],
    }
}

/// One record of each type, in which nothing is null or empty.
pub(crate) fn records() -> Vec<Record> {
    let sender = task(700, "dockerd");
    let init = Task {
        container: Some(container_of_pod()),
        session: Some("3".into()),
        exit: Some(Exit {
            code: Some(0),
            signal: Some(15),
            core_dumped: true,
            sender: Some(Box::new(sender)),
        }),
        ..task(600, "sh")
    };
    let mut moved = event(EventKind::Moved);
    moved.link.former_names = vec!["eth1".into()];
    moved.to = Some(Destination { container: Some(container_of_pod()), ..destination() });
    moved.recurrence = Some(Recurrence { count: 2, first_incident: 1, since_ns: 3_204_118_002 });
    moved.error = Some("EADDRINUSE".into());
    moved.message = Some("Unknown device type".into());
    moved.link.parent = moved.link.parent.map(|parent| Parent {
        held_by: Some(Holder {
            name: "macvlan9".into(),
            kind: Some("macvlan".into()),
            ifindex: 9,
            netns: Some(4_026_531_840),
            mode: Some("passthru".into()),
        }),
        ..parent
    });
    moved.wanted = Some(Wanted {
        mac: Some("02:00:00:00:00:09".into()),
        name: Some("eth0".into()),
        netns: Some(Netns { inode: Some(4_026_532_200), name: Some("db".into()) }),
    });
    moved.address = Some("192.0.2.7/24".into());
    moved.actor = Some(init.clone());
    moved.culprit = Some(init.clone());
    let shared_with = vec![container(Some("sidecar"))];
    moved.victim = Victim { container: Some(container_of_pod()), shared_with, init: Some(init) };
    moved.verdict.remedy = Some("Move it back.".into());
    moved.verdict.evidence = vec![Step {
        when: when(0),
        what: "signal".into(),
        task: Some(StepTask { pid: 700, tid: 700, comm: "dockerd".into() }),
        detail: "SIGTERM to sh (pid 600)".into(),
    }];
    [
        Body::Run(Box::new(Run {
            degraded: vec![close_many().degradation(close_many().absence())],
            ..run()
        })),
        Body::Event(Box::new(moved.clone())),
        Body::Unattributed(Box::new(moved.clone())),
        Body::Incident(Box::new(Incident { verdict: moved.verdict, culprit: moved.culprit, ..incident() })),
        Body::Lost(Lost { when: when(1), records: 12, total: 34 }),
        Body::Omitted(Omitted {
            when: when(1),
            events: 7,
            unattributed: 1,
            others: 2,
            first_seq: Some(12),
            last_seq: Some(19),
        }),
        Body::Notice(Notice {
            when: when(2),
            rule: Some("not-recreated".into()),
            incident: Some(4),
            message: "macvlan0 was deleted 30.0 s ago and has not been made again.".into(),
        }),
        Body::Summary(Box::new(summary())),
    ]
    .map(record)
    .to_vec()
}
