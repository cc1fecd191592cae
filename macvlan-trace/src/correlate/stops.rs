//! Signals that end processes on whose life others depend, or ask them to end: a container's runtime, the holder of a
//! terminal. Those processes run anywhere.

use std::rc::Rc;

use super::Kill;
use crate::{
    bounded::Bounded,
    fact::{Container, Ktime, ProcessId, Signal, Task},
    work::{self, runtime},
};

/// Processes remembered.
const MAX_STOPS: usize = 256;
/// How long they are remembered. A service has that long to end before it is killed, at most.
const KEPT_NS: u64 = 600_000_000_000;
/// How long after it was told to end a runtime may begin to end what it runs.
const PASSED_ON_NS: u64 = 30_000_000_000;

const SIGHUP: u32 = 1;
const SIGINT: u32 = 2;
const SIGQUIT: u32 = 3;
const SIGKILL: u32 = 9;
const SIGTERM: u32 = 15;

/// Somebody ended such a process, or asked it to end.
#[derive(Clone, Debug)]
pub struct Stop {
    /// That process.
    pub process: Rc<Task>,
    /// When.
    pub at: Ktime,
    /// The number of the signal.
    pub number: u32,
    /// Who sent it; `None` for the kernel.
    pub by: Option<Rc<Task>>,
}

/// What is known of them.
#[derive(Default)]
pub struct Stops(Bounded<ProcessId, Rc<Stop>, MAX_STOPS>);

impl Stops {
    /// A process is signalled. Of several signals the first request counts, until one ends it for sure.
    pub fn note(&mut self, at: Ktime, number: u32, by: Option<&Rc<Task>>, process: Rc<Task>) {
        while self.0.pop_oldest_if(|stop| at.0.saturating_sub(stop.at.0) > KEPT_NS).is_some() {}
        let id = process.task.process;
        // SIGHUP may only ask a daemon for a new configuration.
        let keeps = |stop: &Rc<Stop>| number != SIGKILL && stop.number != SIGHUP;
        if !self.0.get(&id).is_some_and(keeps) {
            self.0.insert(id, Rc::new(Stop { process, at, number, by: by.map(Rc::clone) }));
        }
    }

    /// Who ended a process.
    #[must_use]
    pub fn who_ended(&self, process: ProcessId) -> Option<Rc<Task>> {
        self.0.get(&process)?.by.clone()
    }

    /// Why a process of a container got a signal that ended it: its sender, or who had called that, was told to end; or
    /// the daemon of its runtime was, whose orders others carry out.
    #[must_use]
    pub fn behind(&self, kill: &Kill, target: &Task, container: Option<&Container>) -> Option<Rc<Stop>> {
        let sender = kill.sender.as_deref()?;
        let senders =
            [sender.task.process].into_iter().chain(sender.ancestors.iter().map(|caller| caller.process));
        let before =
            |stop: &&Rc<Stop>| kill.at.0.checked_sub(stop.at.0).is_some_and(|passed| passed <= PASSED_ON_NS);
        let own = senders.filter_map(|process| self.0.get(&process)).find(before);
        let of_daemon = || {
            let runtime = container?.runtime.as_deref().filter(|_| runtime::is_sent_by_one(sender));
            self.0.iter().map(|(_, stop)| stop).filter(before).find(|stop| {
                matches!(stop.number, SIGINT | SIGTERM)
                    && runtime::stops_its_containers(&stop.process, runtime)
                    // Another daemon may have started it since.
                    && target.task.process.start < stop.at
            })
        };
        own.or_else(of_daemon).map(Rc::clone)
    }

    /// How many were pushed out by others.
    pub fn evicted(&self) -> u64 {
        self.0.evicted()
    }
}

/// Whether a signal ends a process on which others depend, or asks it to end.
pub fn concerns(signal: &Signal) -> bool {
    let ends = matches!(signal.number, SIGHUP | SIGINT | SIGQUIT | SIGKILL | SIGTERM) && !signal.ignored;
    ends && work::others_depend_on().any(|name| runtime::is_one_of(signal.target.comm.as_bytes(), &[name]))
}
