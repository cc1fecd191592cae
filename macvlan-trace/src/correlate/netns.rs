//! What happened in each network namespace: who ended in it, who was signalled, how it ended itself.

use std::{
    collections::{HashMap, VecDeque},
    rc::Rc,
};

use super::blame::{self, Drop, Ended, Kill, NamespaceEnd, Trigger};
use crate::{
    fact::{Exit, ExitStatus, Ktime, Netns, NetnsEnd, NetnsMove, ProcessId, Signal, Task},
    text::Text,
};

/// Namespaces remembered; ended ones are forgotten first, oldest first.
const MAX_NAMESPACES: usize = 16_384;
/// Exits remembered for a namespace, the latest.
const MAX_EXITS: usize = 16;
/// Signals remembered for a namespace, the latest.
const MAX_SIGNALS: usize = 64;
/// Visitors remembered for a namespace, the latest.
const MAX_VISITORS: usize = 256;

/// How long after a signal that asks a process to end its exit is still the answer: Kubernetes gives 30 s of grace by
/// default, Docker 10.
const GRACE_NS: u64 = 35_000_000_000;
/// The same for signals that do nothing by default, and reach processes every day: a terminal's new size, a stopped
/// child. Some programs take them as a request to end.
const GRACE_IGNORED_NS: u64 = 2_000_000_000;

/// Signals that do nothing by default: `SIGCHLD`, `SIGCONT`, `SIGURG`, `SIGWINCH`.
const IGNORED_BY_DEFAULT: [u32; 4] = [17, 18, 23, 28];

/// All namespaces, by the address of their `struct net`.
#[derive(Default)]
pub struct Namespaces {
    by_ptr: HashMap<u64, Namespace>,
    last_generation: u64,
}

struct Namespace {
    generation: u64,
    netns: Netns,
    name: Option<Text>,
    /// The end of the main process: of the pid-namespace init that is outermost, and of those the last.
    init: Option<Rc<Ended>>,
    /// The ends of other processes, oldest first.
    exits: VecDeque<Rc<Ended>>,
    /// Signals to processes in it, oldest first.
    signals: VecDeque<(ProcessId, Kill)>,
    /// Processes that came in from another namespace.
    visitors: VecDeque<ProcessId>,
    /// The last process that went to another namespace.
    left: Option<(Ktime, Rc<Task>)>,
    end: Option<Rc<NamespaceEnd>>,
}

impl Namespaces {
    /// A process ends.
    pub fn exit(&mut self, at: Ktime, exit: &Exit, task: Rc<Task>) {
        let namespace = self.living(&exit.netns);
        let process = exit.task.process;
        if namespace.exits.iter().chain(&namespace.init).any(|ended| ended.task.task.process == process) {
            // Threads that end together are reported by the first and by the last of them.
            return;
        }
        let kill = namespace.decisive_signal(at, process, exit.status);
        let is_init = exit.task.is_pidns_init();
        let ended = Rc::new(Ended { task, at, status: exit.status, is_init, kill });
        if is_init {
            // Inits of inner pid namespaces die because the outer one's does.
            let outer = namespace.init.as_ref().map(|init| init.task.task.pidns_level);
            if outer.is_none_or(|level| exit.task.pidns_level <= level) {
                namespace.init = Some(ended);
            }
        } else {
            push(&mut namespace.exits, ended, MAX_EXITS);
        }
    }

    /// A process is signalled.
    pub fn signal(&mut self, at: Ktime, signal: &Signal, sender: Option<Rc<Task>>) {
        let namespace = self.living(&signal.netns);
        // What is sent from inside a pid namespace to its init is ignored unless the init handles it, and a
        // container's own business either way.
        let from_inside = signal.target.is_pidns_init()
            && signal.sender.as_ref().is_some_and(|sender| sender.pidns == signal.target.pidns);
        if from_inside {
            return;
        }
        let kill = Kill { at, number: signal.number, sender, fatal: false };
        push(&mut namespace.signals, (signal.target.process, kill), MAX_SIGNALS);
    }

    /// A task changes its namespace.
    pub fn moved(&mut self, at: Ktime, change: &NetnsMove, task: Rc<Task>) {
        let process = change.task.process;
        push(&mut self.living(&change.to).visitors, process, MAX_VISITORS);
        if change.whole_process {
            self.living(&change.from).left = Some((at, task));
        }
    }

    /// The last reference to a namespace drops; `own` if the tracer itself dropped it.
    pub fn end(&mut self, at: Ktime, end: &NetnsEnd, task: Rc<Task>, own: bool) {
        let namespace = self.living(&end.netns);
        let drop = if own { Drop::Deferred } else { blame::drop_path(&end.task, &end.stack) };
        let trigger = namespace.trigger(drop, &task, end.whole_process);
        namespace.end = Some(Rc::new(NamespaceEnd {
            generation: namespace.generation,
            at,
            trigger,
            drop,
            dropper: task,
        }));
    }

    /// The end of a namespace, if it has ended.
    pub fn ended(&self, netns: &Netns) -> Option<Rc<NamespaceEnd>> {
        self.by_ptr.get(&netns.ptr).filter(|known| known.is(netns))?.end.clone()
    }

    /// Whether a namespace has ended.
    pub fn has_ended(&self, netns: &Netns) -> bool {
        self.ended(netns).is_some()
    }

    /// A name that people know a namespace by.
    pub fn name(&mut self, netns: &Netns, name: Text) {
        self.living(netns).name = Some(name);
    }

    /// The name that people know a namespace by.
    pub fn name_of(&self, netns: &Netns) -> Option<&Text> {
        self.by_ptr.get(&netns.ptr).filter(|known| known.is(netns))?.name.as_ref()
    }

    /// The namespace that lives at an address now: an ended one, or one whose end was lost, makes way.
    fn living(&mut self, netns: &Netns) -> &mut Namespace {
        if self.by_ptr.len() >= MAX_NAMESPACES && !self.by_ptr.contains_key(&netns.ptr) {
            self.forget_oldest();
        }
        let last_generation = &mut self.last_generation;
        let mut fresh = || {
            *last_generation += 1;
            Namespace::new(*netns, *last_generation)
        };
        let namespace = self.by_ptr.entry(netns.ptr).or_insert_with(&mut fresh);
        if namespace.end.is_some() || !namespace.is(netns) {
            *namespace = fresh();
        }
        if namespace.netns.cookie.is_none() {
            namespace.netns.cookie = netns.cookie;
        }
        namespace
    }

    /// Makes room for an eighth more.
    fn forget_oldest(&mut self) {
        let mut order: Vec<_> = self
            .by_ptr
            .values()
            .map(|known| (known.end.is_none(), known.generation, known.netns.ptr))
            .collect();
        order.sort_unstable();
        for (_, _, ptr) in order.into_iter().take(MAX_NAMESPACES / 8) {
            self.by_ptr.remove(&ptr);
        }
    }
}

impl Namespace {
    fn new(netns: Netns, generation: u64) -> Self {
        Self {
            generation,
            netns,
            name: None,
            init: None,
            exits: VecDeque::new(),
            signals: VecDeque::new(),
            visitors: VecDeque::new(),
            left: None,
            end: None,
        }
    }

    /// Whether it is the namespace at that address, and not the one before it.
    fn is(&self, netns: &Netns) -> bool {
        let same_cookie = match (self.netns.cookie, netns.cookie) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        same_cookie && self.netns.inode == netns.inode
    }

    /// The signal that made a process end as it did.
    fn decisive_signal(&self, at: Ktime, process: ProcessId, status: ExitStatus) -> Option<Kill> {
        let mut sent = self.signals.iter().rev().filter(|(target, _)| *target == process);
        match status {
            ExitStatus::Signal(number) => sent
                .find(|(_, kill)| kill.number == u32::from(number))
                .map(|(_, kill)| Kill { fatal: true, ..kill.clone() }),
            ExitStatus::Code(_) => sent
                .find(|(_, kill)| {
                    let grace =
                        if IGNORED_BY_DEFAULT.contains(&kill.number) { GRACE_IGNORED_NS } else { GRACE_NS };
                    kill.sender.is_some() && at.0.saturating_sub(kill.at.0) <= grace
                })
                .map(|(_, kill)| kill.clone()),
        }
    }

    /// What started the end.
    fn trigger(&self, drop: Drop, dropper: &Rc<Task>, whole_process: bool) -> Trigger {
        if let Some(init) = &self.init {
            return Trigger::Exit(Rc::clone(init));
        }
        match drop {
            Drop::Unmount => Trigger::Unmount(Rc::clone(dropper)),
            Drop::Close => match self.last_resident() {
                // A file kept alive what the end of its last process would have ended.
                Some(ended) => Trigger::Exit(ended),
                None => Trigger::Close(Rc::clone(dropper)),
            },
            Drop::Switch if whole_process => Trigger::Left(Rc::clone(dropper)),
            Drop::Exit => {
                let process = dropper.task.process;
                match self.exits.iter().find(|ended| ended.task.task.process == process) {
                    Some(ended) => Trigger::Exit(Rc::clone(ended)),
                    // A thread of a living process that was here is no reason.
                    None => self.last_leaver(),
                }
            }
            Drop::Switch | Drop::Deferred | Drop::Unknown => self.last_leaver(),
        }
    }

    /// The last process that ended here and had not come in from elsewhere.
    fn last_resident(&self) -> Option<Rc<Ended>> {
        self.exits
            .iter()
            .rev()
            .find(|ended| {
                let visits = |process: &ProcessId| self.visitors.contains(process);
                !visits(&ended.task.task.process)
                    && !ended.task.ancestors.iter().any(|ancestor| visits(&ancestor.process))
            })
            .cloned()
    }

    /// The last process that ended here or went away.
    fn last_leaver(&self) -> Trigger {
        match (self.exits.back(), &self.left) {
            (Some(ended), Some((at, task))) if *at > ended.at => Trigger::Left(Rc::clone(task)),
            (Some(ended), _) => Trigger::Exit(Rc::clone(ended)),
            (None, Some((_, task))) => Trigger::Left(Rc::clone(task)),
            (None, None) => Trigger::Unknown,
        }
    }
}

/// Appends, and drops the oldest beyond `max`.
fn push<T>(queue: &mut VecDeque<T>, value: T, max: usize) {
    if queue.len() >= max {
        queue.pop_front();
    }
    queue.push_back(value);
}
