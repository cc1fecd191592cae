//! What happened in each network namespace: which processes ended or got signals in it, and how it ended itself.

use std::{collections::VecDeque, rc::Rc};

use macvlan_trace_common::signal::{SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGPWR, SIGQUIT, SIGTERM};

use super::{
    Stop,
    blame::{self, Chosen, Drop, Ended, Kill, Leave, NamespaceEnd, OutOfMemory, Terminal, Trigger, Unmount},
    owners::Home,
};
use crate::{
    bounded::Bounded,
    fact::{Exit, ExitStatus, Ktime, Netns, NetnsEnd, NetnsMove, Oom, ProcessId, Signal, Task},
    text::Text,
    work::{manager, runtime},
};

/// How many living namespaces are remembered, and how many ended ones.
const MAX_NAMESPACES: usize = 16_384;
/// Exits remembered for a namespace, the latest.
const MAX_EXITS: usize = 16;
/// Signals remembered for a namespace, the latest.
const MAX_SIGNALS: usize = 64;
/// Shortages of memory remembered for a namespace, the latest.
const MAX_OOMS: usize = 8;
/// Visitors remembered for a namespace, the latest.
const MAX_VISITORS: usize = 256;

/// How long after a request to end an exit still counts as the answer: Kubernetes gives 30 s of grace by default,
/// Docker 10.
const GRACE_NS: u64 = 35_000_000_000;
/// The same for a signal that usually means something else, such as SIGHUP for a new configuration or SIGWINCH for a
/// terminal's new size, but that some programs take as a request to end.
const GRACE_OTHER_NS: u64 = 2_000_000_000;
/// How long after the last mount went the end of a network namespace is still due to that. A process that lets go later
/// held it for its own reasons; a socket in TIME_WAIT holds it for a minute.
const LET_GO_NS: u64 = 3_000_000_000;
const SOCKET_NS: u64 = 120_000_000_000;
/// How long after the main process its supervisor ends, if it ends because of that.
const SUPERVISOR_NS: u64 = 3_000_000_000;
/// How long a runtime waits at most before it kills a container that it has asked to end. `docker stop --time` and
/// `terminationGracePeriodSeconds` may be minutes.
pub const STOPPING_NS: u64 = 600_000_000_000;
/// How long after choosing a victim the kernel may still kill other processes with it.
const OOM_NS: u64 = 10_000_000_000;
/// How long after the end of a main process its runtime may still be busy clearing away.
pub const CLEANUP_NS: u64 = 120_000_000_000;
/// How long a container's main process takes to join the namespaces that were made for it.
const STARTING_NS: u64 = 10_000_000_000;
/// The first of the real-time signals, some of which init systems take for a request to end (systemd SIGRTMIN+3).
const FIRST_REALTIME: u32 = 34;
/// How many parent-death signals in a row are followed back to the process that ended the first parent.
const MAX_CHAIN: usize = 4;

/// All namespaces, by the address of their `struct net`.
#[derive(Default)]
pub struct Namespaces {
    living: Bounded<u64, Namespace, MAX_NAMESPACES>,
    /// Those that have ended, in that order: the kernel has yet to delete the links in them.
    ended: Bounded<u64, Namespace, MAX_NAMESPACES>,
    last_generation: u64,
}

struct Namespace {
    home: Rc<Home>,
    netns: Netns,
    name: Option<Text>,
    /// The processes that ended in it, oldest first, except those that ended because a main process had.
    exits: VecDeque<Rc<Ended>>,
    /// Signals to processes in it, oldest first.
    signals: VecDeque<(ProcessId, Kill)>,
    /// Processes that came in from another namespace.
    visitors: VecDeque<(ProcessId, Ktime)>,
    /// When memory ran out, and who was chosen, oldest first.
    ooms: VecDeque<(ProcessId, OutOfMemory)>,
    /// The last task that lived in it and left it alive.
    left: Option<Rc<Leave>>,
    /// Its last mount went while something else still held it.
    unmounted: Option<Rc<Unmount>>,
    end: Option<Rc<NamespaceEnd>>,
    /// Until when it is remembered after its end.
    needed_until: Ktime,
}

/// What started the end of a namespace, as [`NamespaceEnd`] has it.
struct Started {
    trigger: Trigger,
    last_hold: Trigger,
    outlived: Option<Rc<Ended>>,
}

impl Namespaces {
    /// A process ends; `behind` says why somebody sent it the signal that ended it.
    pub fn exit(
        &mut self,
        at: Ktime,
        exit: &Exit,
        task: Rc<Task>,
        behind: impl FnOnce(&Kill) -> Option<Rc<Stop>>,
    ) {
        let namespace = self.living(&exit.netns);
        let process = exit.task.process;
        if let Some(ended) = namespace.exits.iter_mut().find(|ended| ended.task.task.process == process) {
            // If threads end together, the first and the last of them report the end, and so does the one that dumped
            // the core, for which the others wait.
            if exit.core_dumped && !ended.core_dumped {
                *ended = Rc::new(Ended { core_dumped: true, ..Ended::clone(ended) });
            }
            return;
        }
        let kill = namespace.decisive_signal(at, process, exit.status);
        let is_init = exit.task.is_pidns_init();
        let oom = namespace.out_of_memory(at, process, exit.status, kill.as_ref());
        // The out-of-memory killer also sends SIGKILL, in the context of the task that asked for memory.
        let powered_off = oom.is_none()
            && kill.as_ref().is_some_and(|kill| kill.for_inside && kill.number == SIGKILL && kill.fatal);
        // That counts as an end by itself; an earlier request may be the reason for it.
        let (kill, by) = if powered_off {
            let by_itself = ExitStatus::Code(0);
            (namespace.decisive_signal(at, process, by_itself), by_itself)
        } else {
            (kill, exit.status)
        };
        let asked = match &kill {
            Some(kill) => namespace.request_before(&task, kill),
            None => namespace.unanswered_request(process, by),
        };
        let (status, core_dumped) = (exit.status, exit.core_dumped);
        // A request that is no reason for the end has no reason either.
        let behind = kill.as_ref().map(|kill| asked.as_ref().unwrap_or(kill)).and_then(behind);
        let ended = Ended { task, at, status, core_dumped, is_init, powered_off, kill, asked, behind, oom };
        // With a container's init, hundreds of processes may die. They must not push its exit out.
        if !namespace.follows_an_init(&ended) {
            if namespace.exits.len() >= MAX_EXITS {
                // Nor must visitors.
                let first = namespace.exits.iter().position(|ended| namespace.visits(ended)).unwrap_or(0);
                namespace.exits.remove(first);
            }
            namespace.exits.push_back(Rc::new(ended));
        }
    }

    /// A thread ends whose process lives on in another namespace.
    pub fn thread_ends(&mut self, at: Ktime, exit: &Exit, task: Rc<Task>) {
        self.living(&exit.netns).leave(at, task, true);
    }

    /// A process is signalled.
    ///
    /// For a terminal's signal, `within` is the process in whose context the kernel sent it, and `killed_by` is who
    /// ended that one, if it did not live here.
    pub fn signal(
        &mut self,
        at: Ktime,
        signal: &Signal,
        sender: Option<Rc<Task>>,
        within: Option<Rc<Task>>,
        killed_by: Option<Rc<Task>>,
    ) {
        let namespace = self.living(&signal.netns);
        // A signal from inside a pid namespace to its init is ignored unless the init handles it. In both cases it is
        // the container's own business.
        let from_inside = signal.target.is_pidns_init()
            && signal.target.pidns.is_some()
            && signal.sender.as_ref().is_some_and(|sender| sender.pidns == signal.target.pidns);
        if from_inside {
            return;
        }
        let Signal { number, ignored, for_inside, .. } = *signal;
        let of_terminal = sender.is_none() && matches!(number, SIGHUP | SIGINT | SIGQUIT);
        let terminal = of_terminal.then(|| Terminal {
            killed_by: within
                .as_ref()
                .and_then(|by| namespace.exit_of(by.task.process)?.kill.as_ref()?.sender.clone())
                .or(killed_by),
            by: within,
        });
        let kill = Kill { at, number, sender, fatal: false, ignored, for_inside, terminal };
        push(&mut namespace.signals, (signal.target.process, kill), MAX_SIGNALS);
    }

    /// Memory ran out, and a process was chosen.
    pub fn out_of_memory(&mut self, at: Ktime, oom: Oom) {
        let known = OutOfMemory { at, chosen: Chosen::Itself, limit: oom.limit };
        push(&mut self.living(&oom.netns).ooms, (oom.target.process, known), MAX_OOMS);
    }

    /// A task goes from one namespace to another.
    pub fn moved(&mut self, at: Ktime, change: &NetnsMove, task: Rc<Task>) {
        self.living(&change.from).leave(at, task, false);
        // Who makes a namespace lives in it.
        if change.made {
            return;
        }
        // A runtime that was given a namespace (Podman, CNI) has the container's main process join it as it starts.
        let starts = at.0.saturating_sub(change.task.process.start.0) <= STARTING_NS;
        if change.task.is_pidns_init() && starts {
            return;
        }
        push(&mut self.living(&change.to).visitors, (change.task.process, at), MAX_VISITORS);
    }

    /// The last reference to a namespace dropped, or its last mount and file; `own` if the tracer itself dropped it.
    pub fn end(&mut self, at: Ktime, end: &NetnsEnd, task: Rc<Task>, own: bool) {
        let drop = if own { Drop::Deferred } else { blame::drop_path(&end.task, &end.path) };
        let namespace = self.living(&end.netns);
        if end.last {
            let started = namespace.trigger(at, drop, &task, end.whole_process);
            namespace.close(at, started, drop, task);
            self.has_ended(&end.netns);
        } else if drop == Drop::Unmount {
            namespace.unmounted = Some(Rc::new(Unmount { at, task }));
        }
    }

    /// The end of a namespace that the kernel is tearing down although no probe saw its last reference drop.
    ///
    /// This can happen without a lost record. The probe on `netns_put` reads the count before the function drops its
    /// reference. If another holder lets go in between, the unmount drops the last reference after all, but no probe
    /// fires, because `netns_put` contains an inlined copy of `__put_net`.
    pub fn end_unseen(&mut self, at: Ktime, netns: &Netns, worker: &Rc<Task>) -> Rc<NamespaceEnd> {
        let namespace = self.living(netns);
        let started = namespace.trigger(at, Drop::Unseen, worker, false);
        let end = namespace.close(at, started, Drop::Unseen, Rc::clone(worker));
        self.has_ended(netns);
        end
    }

    fn has_ended(&mut self, netns: &Netns) {
        if let Some(namespace) = self.living.remove(&netns.ptr) {
            self.ended.insert(netns.ptr, namespace);
        }
    }

    /// Forgets ended namespaces once runtimes no longer clear away after them and nothing is left in them.
    pub fn forget_ended(&mut self, at: Ktime, is_left_in: impl Fn(&Netns) -> bool) {
        while let Some((ptr, mut namespace)) = self.ended.pop_oldest_if(|ended| ended.needed_until < at) {
            if is_left_in(&namespace.netns) {
                namespace.needed_until = Ktime(at.0.saturating_add(CLEANUP_NS));
                self.ended.insert(ptr, namespace);
            }
        }
    }

    /// How many were pushed out by others.
    pub fn evicted(&self) -> u64 {
        self.living.evicted() + self.ended.evicted()
    }

    /// The end of a namespace, if it has ended.
    pub fn ended(&self, netns: &Netns) -> Option<Rc<NamespaceEnd>> {
        self.known(netns)?.end.clone()
    }

    /// If a task clears a namespace's links away for the runtime of the container that owns it: the end of the
    /// container's main process, and the namespace's generation.
    pub fn orphaned(&self, at: Ktime, netns: &Netns, actor: &Task) -> Option<(Rc<Ended>, u64)> {
        let namespace = self.known(netns)?;
        // The end of a sidecar, or of a pid namespace inside, is not that of the container that owns the namespace.
        let is_main =
            |ended: &Ended| namespace.home.is_owner(ended.task.task.process).unwrap_or(ended.is_init);
        // A sidecar may have ended after it.
        let ended =
            namespace.ends().find(|ended| is_main(ended)).filter(|ended| clears_away(at, ended, actor))?;
        Some((Rc::clone(ended), namespace.home.generation))
    }

    /// Whether a process that may have been a container's main one has ended in a namespace: an init, or, in the last
    /// two minutes, any process without a pid namespace of its own.
    pub fn may_have_lost_its_main(&self, at: Ktime, netns: &Netns) -> bool {
        let may_be_main = |ended: &Rc<Ended>| {
            let lately = at.0.saturating_sub(ended.at.0) <= CLEANUP_NS;
            ended.is_init || (lately && ended.task.task.pidns_level == 0)
        };
        self.known(netns).is_some_and(|known| known.ends().any(may_be_main))
    }

    /// Whether the namespace has ended or is about to: its main process has.
    pub fn is_ending(&self, netns: &Netns) -> bool {
        self.known(netns).is_some_and(|known| known.end.is_some() || known.main_end().is_some())
    }

    /// Whether the namespace, or the main process of the container that owns it, has ended: then links in it are
    /// leftovers. If no owner is known, the end of the init of a pid namespace counts.
    pub fn is_orphaned(&self, netns: &Netns) -> bool {
        let Some(known) = self.known(netns) else { return false };
        // The end of a sidecar, or of an application in a pod, is not that of the container that owns the namespace.
        let main_has_ended = || known.main_end().is_some_and(|ended| ended.is_init);
        known.end.is_some() || known.home.owner_has_ended().unwrap_or_else(main_has_ended)
    }

    /// The home that a namespace is. Only the kernel's worker, which tears it down, still acts in an ended namespace:
    /// for all others, the address is that of a new one.
    pub fn home(&mut self, netns: &Netns, by_worker: bool) -> Option<Rc<Home>> {
        match self.known(netns) {
            Some(known) => (known.end.is_none() || by_worker).then(|| Rc::clone(&known.home)),
            None => Some(Rc::clone(&self.living(netns).home)),
        }
    }

    /// A process acts in a namespace, so it is alive. If one at this address had ended, this is a new one.
    pub fn mark_alive(&mut self, netns: &Netns) {
        self.living(netns);
    }

    /// Whether a process came in from another namespace, or was started by one that had.
    pub fn is_visitor(&self, netns: &Netns, task: &Task) -> bool {
        self.known(netns).is_some_and(|known| known.is_visited_by(task))
    }

    /// A name that people know a namespace by. It says nothing about whether the namespace lives.
    pub fn name(&mut self, netns: &Netns, name: Text) {
        let ended = self.ended.get_mut(&netns.ptr).filter(|ended| ended.is(netns));
        match ended {
            Some(ended) => ended.name = Some(name),
            None => self.living(netns).name = Some(name),
        }
    }

    /// The name that people know a namespace by.
    pub fn name_of(&self, netns: &Netns) -> Option<&Text> {
        self.known(netns)?.name.as_ref()
    }

    /// A namespace, whether or not it has ended.
    fn known(&self, netns: &Netns) -> Option<&Namespace> {
        let living = self.living.get(&netns.ptr).filter(|known| known.is(netns));
        living.or_else(|| self.ended.get(&netns.ptr).filter(|known| known.is(netns)))
    }

    /// The end of a process that lived in a namespace which lives on.
    pub fn end_of(&self, netns: &Netns, process: ProcessId) -> Option<Rc<Ended>> {
        self.living.get(&netns.ptr).filter(|known| known.is(netns))?.exit_of(process)
    }

    /// The namespace that is alive at an address. It replaces an ended one, or one whose end was lost.
    fn living(&mut self, netns: &Netns) -> &mut Namespace {
        self.ended.remove(&netns.ptr);
        let last_generation = &mut self.last_generation;
        let mut fresh = || {
            *last_generation += 1;
            Namespace::new(*netns, *last_generation)
        };
        let namespace = self.living.get_or_insert_with(netns.ptr, &mut fresh);
        if !namespace.is(netns) {
            *namespace = fresh();
        }
        if namespace.netns.cookie.is_none() {
            namespace.netns.cookie = netns.cookie;
        }
        namespace
    }
}

impl Namespace {
    fn new(netns: Netns, generation: u64) -> Self {
        Self {
            home: Rc::new(Home::new(generation)),
            netns,
            name: None,
            exits: VecDeque::new(),
            signals: VecDeque::new(),
            visitors: VecDeque::new(),
            ooms: VecDeque::new(),
            left: None,
            unmounted: None,
            end: None,
            needed_until: Ktime::default(),
        }
    }

    /// Whether this is the namespace at that address, not the one before it.
    fn is(&self, netns: &Netns) -> bool {
        self.netns.is(netns)
    }

    fn close(&mut self, at: Ktime, started: Started, drop: Drop, dropper: Rc<Task>) -> Rc<NamespaceEnd> {
        let unmounted = self.unmounted.as_ref().map(|unmount| unmount.at);
        let generation = self.home.generation;
        let Started { trigger, last_hold, outlived } = started;
        let end = NamespaceEnd { generation, at, trigger, last_hold, outlived, drop, dropper, unmounted };
        let end = Rc::new(end);
        self.end = Some(Rc::clone(&end));
        self.needed_until = Ktime(at.0.saturating_add(CLEANUP_NS));
        end
    }

    /// The signal that explains the exit status of a process.
    fn decisive_signal(&self, at: Ktime, process: ProcessId, status: ExitStatus) -> Option<Kill> {
        let sent = || {
            self.signals
                .iter()
                .rev()
                .filter(|(target, kill)| *target == process && !kill.ignored)
                .map(|(_, kill)| kill)
        };
        let recent = |kill: &&Kill| kill.sender.is_some() && at.0.saturating_sub(kill.at.0) <= patience(kill);
        let kill = match status {
            ExitStatus::Signal(number) => {
                Kill { fatal: true, ..sent().find(|kill| kill.number == u32::from(number))?.clone() }
            }
            // A later signal does not hide a request to end.
            ExitStatus::Code(_) => sent()
                .find(|kill| asks_to_end(kill.number) && recent(kill))
                .or_else(|| sent().find(recent))?
                .clone(),
        };
        Some(self.followed(kill))
    }

    /// The request to end behind a fatal signal of a runtime or a service manager: that signal itself, or an earlier one
    /// if the signal is SIGKILL. Whoever watches over the process sends that SIGKILL for others, too, who have asked
    /// (LXC's monitor for `lxc-stop`).
    fn request_before(&self, task: &Task, kill: &Kill) -> Option<Kill> {
        let sender = kill.sender.as_deref().filter(|_| kill.fatal)?;
        let watches_over = kill.number == SIGKILL && runtime::supervises(sender, task);
        let carries_out = kill.number == SIGKILL || asks_to_end(kill.number);
        let is_request = |(target, asked): &&(ProcessId, Kill)| {
            let by_same = || asked.sender.as_ref().map(|by| by.task.process) == Some(sender.task.process);
            *target == task.task.process
                && may_ask(asked.number)
                && (of_runtime(asked) || (watches_over && asks_to_end(asked.number) && by_same()))
                && kill.at.0.checked_sub(asked.at.0).is_some_and(|waited| waited <= patience(asked))
        };
        (carries_out && (of_runtime(kill) || watches_over))
            .then(|| self.signals.iter().rev().find(is_request).map(|(_, asked)| asked.clone()))
            .flatten()
    }

    /// A request to end from outside that came too early to count as the reason for the exit, but may be.
    fn unanswered_request(&self, process: ProcessId, status: ExitStatus) -> Option<Kill> {
        let is_request = |(target, asked): &&(ProcessId, Kill)| {
            *target == process && asks_to_end(asked.number) && asked.sender.is_some() && !asked.ignored
        };
        let by_itself = matches!(status, ExitStatus::Code(_));
        self.signals.iter().rev().filter(|_| by_itself).find(is_request).map(|(_, asked)| asked.clone())
    }

    /// The shortage of memory that ended a process: the kernel chose it, or chose another one of its namespace and
    /// killed both (`memory.oom.group`), or chose a child of it, whereupon it failed.
    fn out_of_memory(
        &self,
        at: Ktime,
        process: ProcessId,
        status: ExitStatus,
        kill: Option<&Kill>,
    ) -> Option<OutOfMemory> {
        if kill.is_some_and(|kill| kill.sender.is_some()) {
            return None;
        }
        let recent = || self.ooms.iter().rev().filter(|(_, oom)| at.0.saturating_sub(oom.at.0) <= OOM_NS);
        match status {
            ExitStatus::Signal(9) => match recent().find(|(chosen, _)| *chosen == process) {
                Some((_, oom)) => Some(oom.clone()),
                None => {
                    recent().next().map(|(_, oom)| OutOfMemory { chosen: Chosen::Another, ..oom.clone() })
                }
            },
            ExitStatus::Signal(_) | ExitStatus::Code(0) => None,
            ExitStatus::Code(_) => recent().find_map(|(chosen, oom)| {
                let task = &self.exit_of(*chosen)?.task;
                let is_its = task.ancestors.iter().any(|ancestor| ancestor.process == process);
                is_its.then(|| OutOfMemory { chosen: Chosen::Descendant(Rc::clone(task)), ..oom.clone() })
            }),
        }
    }

    /// The sender of a parent-death signal is the parent in name only. Finds out who ended the parent.
    fn followed(&self, mut kill: Kill) -> Kill {
        for _ in 0..MAX_CHAIN {
            let Some(sender) = kill.sender.as_ref().map(|sender| sender.task.process) else { break };
            let parent =
                self.exits.iter().find(|ended| ended.task.task.process == sender && ended.at <= kill.at);
            let Some(behind) = parent.and_then(|parent| parent.kill.as_ref()) else { break };
            kill.sender.clone_from(&behind.sender);
        }
        kill
    }

    /// What started the end of the namespace.
    fn trigger(&self, at: Ktime, drop: Drop, dropper: &Rc<Task>, whole_process: bool) -> Started {
        // The end of an earlier process does not explain why somebody unmounts the name, unless the process was the
        // container's main one, or a runtime unmounts it.
        let let_go = match drop {
            Drop::Exit | Drop::Close | Drop::Switch => LET_GO_NS,
            _ => SOCKET_NS,
        };
        let unmount = match &self.unmounted {
            _ if drop == Drop::Unmount => Some(Rc::new(Unmount { at, task: Rc::clone(dropper) })),
            // Whatever still held it when its last mount went was only a remainder.
            Some(unmount) if at.0.saturating_sub(unmount.at.0) <= let_go => Some(Rc::clone(unmount)),
            _ => None,
        };
        let by_hand = unmount.as_ref().filter(|unmount| !runtime::works_for_one(&unmount.task));
        let is_why = |ended: &Rc<Ended>| {
            by_hand
                .is_none_or(|unmount| ended.is_init && unmount.at.0.saturating_sub(ended.at.0) <= CLEANUP_NS)
        };
        let main = self.main_end().filter(is_why);
        // If the namespace has a name, its maker may leave long before that goes, and visitors come and go.
        let nameless = unmount.is_none();
        let last_hold = match (drop, unmount) {
            (_, Some(unmount)) => Trigger::Unmount(unmount),
            (Drop::Close, None) => Trigger::Close(Rc::clone(dropper)),
            (Drop::Switch, None) if whole_process => {
                Trigger::Left(Rc::new(Leave { at, task: Rc::clone(dropper), ended: false }))
            }
            // A thread that was here and whose process lives on is no reason.
            (Drop::Exit, None) => self.exit_of(dropper.task.process).map_or(Trigger::Unknown, Trigger::Exit),
            // Nobody lived here, only visitors. To name the last of them would be a guess.
            _ => Trigger::Unknown,
        };
        // Who lives there and starts others outlives them: the last to leave is the last that lived there.
        let left = self.left.as_ref().filter(|left| main.as_ref().is_none_or(|ended| ended.at < left.at));
        if let Some(left) = left.filter(|_| nameless) {
            // It left the descriptor open, and closed it now.
            let closes = drop == Drop::Close && left.task.task.process == dropper.task.process;
            let trigger = if closes { last_hold.clone() } else { Trigger::Left(Rc::clone(left)) };
            return Started { trigger, last_hold, outlived: None };
        }
        let Some(main) = main else {
            return Started { trigger: last_hold.clone(), last_hold, outlived: None };
        };
        match self.outlasts(&main, &last_hold, drop).filter(|_| nameless) {
            Some(trigger) => Started { trigger, last_hold, outlived: Some(main) },
            None => Started { trigger: Trigger::Exit(main), last_hold, outlived: None },
        }
    }

    /// The visitor that outlived the main process and ended the namespace. One that goes by itself within two minutes may
    /// do so because of that end.
    fn outlasts(&self, main: &Rc<Ended>, last_hold: &Trigger, drop: Drop) -> Option<Trigger> {
        let long_after = |at: Ktime| at.0.saturating_sub(main.at.0) > CLEANUP_NS;
        let of_its_own = |ended: &Rc<Ended>| {
            let killed = ended.kill.as_ref().is_some_and(|kill| kill.fatal && kill.sender.is_some());
            ended.at > main.at && (killed || long_after(ended.at)) && !runtime::works_for_one(&ended.task)
        };
        match last_hold {
            Trigger::Exit(ended) if of_its_own(ended) => Some(last_hold.clone()),
            Trigger::Left(leave) if long_after(leave.at) && !runtime::works_for_one(&leave.task) => {
                Some(last_hold.clone())
            }
            // A socket of it went later.
            Trigger::Unknown if drop == Drop::Deferred => {
                let last = self.exits.back()?;
                let was_there = |(visitor, entered): &(ProcessId, Ktime)| {
                    *visitor == last.task.task.process && *entered < main.at
                };
                (of_its_own(last) && self.visitors.iter().any(was_there))
                    .then(|| Trigger::Exit(Rc::clone(last)))
            }
            _ => None,
        }
    }

    fn exit_of(&self, process: ProcessId) -> Option<Rc<Ended>> {
        self.exits.iter().find(|ended| ended.task.task.process == process).cloned()
    }

    /// The ends of the processes that lived in it, without visitors, latest first.
    fn ends(&self) -> impl Iterator<Item = &Rc<Ended>> {
        self.exits.iter().rev().filter(|ended| !self.visits(ended))
    }

    /// The end of the main process: the last one that lived in it.
    fn main_end(&self) -> Option<Rc<Ended>> {
        self.ends().next().cloned()
    }

    /// A task leaves the namespace alive, or ends as a thread whose process lives on elsewhere.
    fn leave(&mut self, at: Ktime, task: Rc<Task>, ended: bool) {
        if self.lives_in_it(at, &task) {
            self.left = Some(Rc::new(Leave { at, task, ended }));
        }
    }

    /// Whether a task that leaves a namespace has lived there, as far as the tracer saw. A runtime's threads come and go
    /// before the namespace is watched. A supervisor waits for the init of a pid namespace.
    fn lives_in_it(&self, at: Ktime, task: &Task) -> bool {
        let supervises = |ended: &Rc<Ended>| {
            ended.is_init
                && at.0.saturating_sub(ended.at.0) <= SUPERVISOR_NS
                && runtime::supervises(task, &ended.task)
        };
        !self.is_visited_by(task) && !runtime::works_for_one(task) && !self.exits.iter().any(supervises)
    }

    fn visits(&self, ended: &Ended) -> bool {
        self.is_visited_by(&ended.task)
    }

    /// Whether a process came in from another namespace, or was started by one that had. If a daemon starts a container
    /// and enters it later, the container's processes do not become visitors.
    fn is_visited_by(&self, task: &Task) -> bool {
        let process = task.task.process;
        self.visitors.iter().any(|(visitor, entered)| {
            *visitor == process
                || (*entered <= process.start
                    && task.ancestors.iter().any(|ancestor| ancestor.process == *visitor))
        })
    }

    /// Whether a process ended because the init of a pid namespace had: the kernel kills all that live under an init,
    /// and a supervisor (`unshare`, a shim) waits for it and ends as it did.
    fn follows_an_init(&self, ended: &Ended) -> bool {
        let is_above = |process: ProcessId, of: &Ended| {
            of.task.ancestors.iter().any(|ancestor| ancestor.process == process)
        };
        self.exits.iter().filter(|init| init.is_init).any(|init| {
            // The init of a pid namespace is the main process of a container of its own, not only a supervisor.
            let supervises = !ended.is_init
                && is_above(ended.task.task.process, init)
                && ended.at.0.saturating_sub(init.at.0) <= SUPERVISOR_NS
                && ended.kill.as_ref().is_none_or(|kill| kill.sender.is_none());
            // If it started later, its pid namespace is a new one that got the number of the first.
            let same_pidns = ended.task.task.pidns.is_some()
                && ended.task.task.pidns == init.task.task.pidns
                && ended.task.task.process.start < init.at;
            let lived_under_it = is_above(init.task.task.process, ended)
                || same_pidns
                // It may be the init of an inner pid namespace, whose ancestors in between are already gone.
                || (ended.task.task.pidns_level > init.task.task.pidns_level && ended.was_killed_by_kernel());
            supervises || lived_under_it
        })
    }
}

/// How long after a signal the end of the process may still be the answer to it. A runtime sends SIGKILL when it has
/// waited long enough after its request, and an image may name any signal as that request (SIGWINCH for httpd, SIGUSR1
/// for haproxy). A handled signal may also mean something else, such as QUIT for a dump of threads.
fn patience(kill: &Kill) -> u64 {
    let has_other_uses = matches!(kill.number, SIGINT | SIGQUIT);
    match (asks_to_end(kill.number), of_runtime(kill)) {
        (true, true) if kill.ignored || !has_other_uses => STOPPING_NS,
        (true, _) => GRACE_NS,
        (false, true) if may_ask(kill.number) => GRACE_NS,
        _ => GRACE_OTHER_NS,
    }
}

/// Whether a signal usually asks a process to end.
fn asks_to_end(signal: u32) -> bool {
    matches!(signal, SIGINT | SIGQUIT | SIGTERM | SIGPWR | FIRST_REALTIME..)
}

/// Whether a runtime may have sent this signal to ask for the end.
fn may_ask(signal: u32) -> bool {
    !matches!(signal, SIGHUP | SIGCONT | SIGKILL)
}

/// Whether a process may end soon because of a signal. An image may name any signal as the request to end, so each one
/// of a runtime or a service manager counts; SIGCONT only lets the process go on.
pub fn may_end(signal: u32, sender: Option<&Task>) -> bool {
    let as_request = || signal != SIGCONT && sender.is_some_and(stops_others);
    asks_to_end(signal) || signal == SIGKILL || as_request()
}

/// Whether a runtime sent it, or a service manager, which stops as runtimes do.
fn of_runtime(kill: &Kill) -> bool {
    kill.sender.as_deref().is_some_and(stops_others)
}

/// Whether a task is a runtime or a service manager.
fn stops_others(task: &Task) -> bool {
    runtime::works_for_one(task) || manager::is_machines(task) || manager::of_user(task).is_some()
}

/// Whether a task that acts on a link clears away for the runtime of a main process that has ended.
pub fn clears_away(at: Ktime, ended: &Ended, actor: &Task) -> bool {
    at.0.saturating_sub(ended.at.0) <= CLEANUP_NS
        && (runtime::works_for_one(actor) || runtime::supervises(actor, &ended.task))
}

/// Appends, and drops the oldest beyond `max`.
fn push<T>(queue: &mut VecDeque<T>, value: T, max: usize) {
    if queue.len() >= max {
        queue.pop_front();
    }
    queue.push_back(value);
}

#[cfg(test)]
mod tests;
