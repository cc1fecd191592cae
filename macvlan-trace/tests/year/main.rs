//! A year of a busy machine, from facts alone: a million containers come and go, the kernel uses every address, inode
//! number and process id again, and some records are lost. The verdicts are right to the last, and memory stays flat.

mod allocated;
mod machine;

use std::{cell::RefCell, io, rc::Rc};

use macvlan_trace::{
    event::{Body, Confidence, EventKind, Record},
    fact::{Container as Named, ExitStatus, Link, LinkChange, Netns, Resident, Task, What},
    pipeline::{Pipeline, View},
    sink::Sink,
    text::Text,
};

use machine::{Machine, Random, path, task};

/// Optimised code gets through the year in minutes; what is not only makes a beginning.
const IS_WHOLE: bool = cfg!(not(debug_assertions));
const CONTAINERS: u64 = if IS_WHOLE { 1_000_000 } else { 3_000 };
/// From so many on, memory is flat.
const SETTLED: u64 = 100_000;
/// So many run at a time.
const RUNNING: usize = 40;
const SECOND: u64 = 1_000_000_000;

/// What was told of the latest facts.
#[derive(Clone, Default)]
struct Told(Rc<RefCell<Vec<Event>>>);

/// Of an event what has to be right.
#[derive(Debug)]
struct Event {
    event: EventKind,
    link: String,
    is_renamed: bool,
    age_ns: Option<u64>,
    at: u64,
    rule: String,
    confidence: Confidence,
    culprit: Option<(u32, u64)>,
    victim: Option<String>,
}

impl Sink for Told {
    fn record(&mut self, record: Record) -> io::Result<()> {
        if let Body::Event(event) | Body::Unattributed(event) = &record.body {
            self.0.borrow_mut().push(Event {
                event: event.event,
                link: event.link.id.clone(),
                is_renamed: !event.link.former_names.is_empty(),
                age_ns: event.link.age_ns,
                at: event.when.boot_ns,
                rule: event.verdict.rule.clone(),
                confidence: event.verdict.confidence,
                culprit: event.culprit.as_ref().map(|task| (task.pid, task.start_boot_ns)),
                victim: event.victim.container.as_ref().map(|container| container.id.clone()),
            });
        }
        Ok(())
    }
}

/// A container that runs.
struct Container {
    id: String,
    netns: Netns,
    init: Task,
    link: Link,
    made: u64,
    /// Whether a look at /proc has found its main process.
    is_found: bool,
}

/// How a container loses its link.
#[derive(Debug)]
struct End {
    why: Why,
    /// Whether its runtime takes the link away before the kernel tears the namespace down.
    is_cleared_away: bool,
    lost: Lost,
}

#[derive(Clone, Copy, Debug)]
enum Why {
    Killed,
    Exited,
    Stopped,
    OutOfMemory,
    ByHand,
}

impl Why {
    fn rule(self) -> &'static str {
        match self {
            Self::Killed => "container-killed",
            Self::Exited => "container-exited",
            Self::Stopped => "container-stopped",
            Self::OutOfMemory => "out-of-memory",
            Self::ByHand => "by-hand",
        }
    }
}

/// What of the end is lost.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lost {
    Nothing,
    Exit,
    NetnsEnd,
    Deletion,
    Everything,
}

/// The machine, what runs on it, and what is told of it.
struct Year {
    machine: Machine,
    random: Random,
    pipeline: Pipeline<Told>,
    told: Told,
    shell: Task,
    dockerd: Task,
    running: Vec<Container>,
}

impl Year {
    fn new() -> Self {
        let told = Told::default();
        let systemd = task("systemd", 1, 1, None, "/init.scope");
        let mut shell = task("bash", 600, 2, Some(&systemd), "/user.slice/user-0.slice/session-3.scope");
        shell.tty = Some(Text::from("pts/0"));
        Self {
            machine: Machine::new(),
            random: Random(7),
            pipeline: Pipeline::new(View::everything(), told.clone()),
            told,
            shell,
            dockerd: task("dockerd", 700, 3, Some(&systemd), "/system.slice/docker.service"),
            running: Vec::new(),
        }
    }

    /// Lets the pipeline take all that the machine has told; the events of it.
    fn events(&mut self) -> Vec<Event> {
        for fact in self.machine.take_facts() {
            self.pipeline.take(fact).unwrap();
        }
        self.told.0.take()
    }

    /// Docker starts a container.
    fn starts(&mut self, number: u64) {
        let Self { machine, random, dockerd, .. } = self;
        let outside = machine.makes_link(dockerd, &format!("dm-{number:010x}"));
        let (id, made, netns) = (format!("{number:064x}"), machine.now, machine.makes_netns());
        let program = ["nginx", "sh", "java", "redis"][usize::try_from(number % 4).unwrap()];
        let cgroup = format!("/system.slice/docker-{id}.scope");
        let init = machine.starts_init(program, dockerd, &cgroup, netns);
        machine.tells(What::Container(Named {
            id: id.clone(),
            user: None,
            runtime: Some("docker".to_owned()),
            name: Some(format!("web{number}")),
            pod: None,
        }));
        let mut link = Link { netns: Some(netns), ifindex: 2, ..outside.clone() };
        machine.moves(dockerd, (machine.host, outside.ifindex), &link);
        link.name = Text::from("eth0");
        machine.changes(dockerd, LinkChange::Renamed, &link, &[]);
        machine.changes(dockerd, LinkChange::Up, &link, &[]);
        // For some, a look at /proc comes too late.
        let is_found = random.below(4) > 0;
        if is_found {
            let (process, comm) = (init.task.process, init.task.comm.clone());
            machine.tells(What::Resident(Resident {
                netns,
                process,
                comm,
                cgroup: init.cgroup.clone(),
                shares: false,
            }));
        }
        let events = self.events();
        let kinds: Vec<_> = events.iter().map(|event| event.event).collect();
        assert_eq!(
            kinds,
            [EventKind::Created, EventKind::Moved, EventKind::Renamed, EventKind::Up],
            "{number}: {events:?}"
        );
        let new = &events[0];
        assert!(!new.is_renamed && new.age_ns == Some(0), "{number} is new: {new:?}");
        assert!(events.iter().all(|event| event.link == new.link), "{number} is one link: {events:?}");
        self.running.push(Container { id, netns, init, link, made, is_found });
    }

    /// One of those that run ends, and what is told of it is right.
    fn ends(&mut self) {
        let container = self.running.swap_remove(self.random.index(self.running.len()));
        let end = End {
            why: [Why::Killed, Why::Exited, Why::Stopped, Why::OutOfMemory, Why::ByHand]
                [self.random.index(5)],
            is_cleared_away: self.random.below(2) == 0,
            lost: match self.random.below(1000) {
                0 => Lost::Exit,
                1 => Lost::NetnsEnd,
                2 => Lost::Deletion,
                3 => Lost::Everything,
                _ => Lost::Nothing,
            },
        };
        let culprit = self.goes(&container, &end);
        let events = self.events();
        let deleted = events.iter().find(|event| event.event == EventKind::Deleted);
        let Some(deleted) = deleted else {
            assert!(matches!(end.lost, Lost::Deletion | Lost::Everything), "{end:?}: {events:?}");
            return;
        };
        let right = (culprit.task.process.tgid, culprit.task.process.start.0);
        if end.lost == Lost::Exit {
            // What was not seen is not known, and not claimed.
            let is_sure = deleted.confidence == Confidence::Certain;
            assert!(deleted.culprit == Some(right) || !is_sure, "{end:?}: {deleted:?}");
        } else {
            // Whose the link was is known from the main process, or from its end.
            let is_known = container.is_found || !matches!(end.why, Why::ByHand);
            let told = (deleted.rule.as_str(), deleted.culprit, deleted.victim.as_deref());
            let victim = is_known.then_some(container.id.as_str());
            assert_eq!(told, (end.why.rule(), Some(right), victim), "{end:?}: {deleted:?}");
        }
        assert_eq!(deleted.age_ns, Some(deleted.at - container.made), "{end:?}: {deleted:?}");
    }

    /// A container goes; whose doing that is.
    fn goes(&mut self, container: &Container, end: &End) -> Task {
        let Self { machine, shell, dockerd, .. } = self;
        let Container { netns, init, link, .. } = container;
        let session = shell.cgroup.path.clone().unwrap().to_string();
        let mut command =
            machine.starts(if matches!(end.why, Why::Killed) { "kill" } else { "ip" }, shell, &session);
        command.tty.clone_from(&shell.tty);
        let loses = |what| end.lost == what || end.lost == Lost::Everything;

        let (status, culprit) = match end.why {
            Why::Killed => (ExitStatus::Signal(9), &command),
            Why::Exited | Why::ByHand => (ExitStatus::Code(3), init),
            Why::Stopped => (ExitStatus::Code(0), &*dockerd),
            Why::OutOfMemory => (ExitStatus::Signal(9), init),
        };
        let by_hand = matches!(end.why, Why::ByHand);
        if by_hand {
            machine.loses_if(loses(Lost::Deletion), |machine| machine.deletes(&command, link, path::NETLINK));
        }
        machine.loses_if(loses(Lost::Exit), |machine| {
            match end.why {
                Why::Killed => machine.signals(&command, 9, init),
                Why::Stopped => machine.signals(dockerd, 15, init),
                Why::OutOfMemory => machine.runs_out_of_memory(init),
                Why::Exited | Why::ByHand => {}
            }
            machine.exits(init, status);
        });
        if end.is_cleared_away {
            if !by_hand {
                machine.loses_if(loses(Lost::Deletion), |machine| {
                    let back =
                        Link { netns: Some(machine.host), ifindex: machine.next_index(), ..link.clone() };
                    machine.changes(dockerd, LinkChange::Down, link, &[]);
                    machine.moves(dockerd, (*netns, link.ifindex), &back);
                    machine.deletes(dockerd, &back, path::NETLINK);
                });
            }
            machine.loses_if(loses(Lost::NetnsEnd), |machine| machine.drops(dockerd, *netns, path::UNMOUNT));
        } else {
            machine.loses_if(loses(Lost::NetnsEnd), |machine| machine.drops(init, *netns, path::EXIT));
            if !by_hand {
                let worker = machine.worker.clone();
                machine
                    .loses_if(loses(Lost::Deletion), |machine| machine.deletes(&worker, link, path::CLEANUP));
            }
        }
        machine.reaps(init);
        machine.reaps(&command);
        machine.frees_netns(*netns);
        if by_hand { command } else { culprit.clone() }
    }
}

#[test]
fn a_million_containers_are_judged_rightly_in_memory_that_stays_flat() {
    let mut year = Year::new();
    let mut settled = 0;
    for number in 0..CONTAINERS {
        year.starts(number);
        if year.running.len() > RUNNING {
            year.ends();
        }
        // They come in bursts, with pauses that are longer than anything is waited for.
        let pause = if year.random.below(100) == 0 { 3_000 } else { year.random.below(4) };
        year.machine.waits(pause * SECOND);
        if number + 1 == SETTLED {
            settled = allocated::bytes();
        }
    }
    let (at_the_end, evicted) = (allocated::bytes(), year.pipeline.evicted().collect::<Vec<_>>());
    if IS_WHOLE {
        println!("{settled} bytes after {SETTLED} containers, {at_the_end} after {CONTAINERS}");
        // A full hash table grows once more, when that has had enough removals. Two bytes a container would show.
        assert!(at_the_end < settled + settled / 10, "{settled} bytes have become {at_the_end}");
    }
    // What is over is forgotten because it is over.
    for what in ["links", "namespaces", "parents", "deleted links"] {
        assert!(evicted.contains(&(what, 0)), "{what}: {evicted:?}");
    }
}
