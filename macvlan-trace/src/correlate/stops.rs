//! Signals that end processes on whose life others depend, or ask them to end: a container's runtime, the holder of a
//! terminal. Those processes run anywhere.

use std::{iter, rc::Rc};

use macvlan_trace_common::signal::{self, SIGHUP, SIGINT, SIGKILL, SIGTERM};

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
/// How long a process takes to end once it is told to.
const ENDING_NS: u64 = 5_000_000_000;

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

/// What is known of one of them.
#[derive(Default)]
struct Known {
    /// The request to end; of several that come soon after each other, the first.
    asked: Option<Rc<Stop>>,
    /// SIGKILL.
    killed: Option<Rc<Stop>>,
    /// When it ended.
    ended: Option<Ktime>,
    last_at: Ktime,
}

/// What is known of them.
#[derive(Default)]
pub struct Stops(Bounded<ProcessId, Known, MAX_STOPS>);

impl Stops {
    /// A process is signalled.
    pub fn note(&mut self, at: Ktime, number: u32, by: Option<&Rc<Task>>, process: Rc<Task>) {
        while self.0.pop_oldest_if(|known| at.0.saturating_sub(known.last_at.0) > KEPT_NS).is_some() {}
        let known = self.0.get_or_insert_with(process.task.process, Known::default);
        known.last_at = at;
        let stop = || Some(Rc::new(Stop { process, at, number, by: by.map(Rc::clone) }));
        // SIGHUP may only ask a daemon for a new configuration.
        let stands = |asked: &Rc<Stop>| asked.number != SIGHUP && is_within(asked.at, at, PASSED_ON_NS);
        if number == SIGKILL {
            known.killed = stop();
        } else if !known.asked.as_ref().is_some_and(stands) {
            known.asked = stop();
        }
    }

    /// A process ends.
    pub fn ends(&mut self, at: Ktime, process: ProcessId) {
        if let Some(known) = self.0.get_mut(&process) {
            known.ended = known.ended.or(Some(at));
        }
    }

    /// Who ended a process that has just ended.
    #[must_use]
    pub fn who_ended(&self, at: Ktime, process: ProcessId) -> Option<Rc<Task>> {
        let known = self.0.get(&process)?;
        let stop = known.killed.as_ref().or(known.asked.as_ref())?;
        stop.by.clone().filter(|_| is_within(stop.at, at, ENDING_NS))
    }

    /// Why a process of a container got a signal that ended it: its sender, or who had called that, was told to end; or
    /// the daemon of its runtime was, whose orders others carry out.
    #[must_use]
    pub fn behind(&self, kill: &Kill, target: &Task, container: Option<&Container>) -> Option<Rc<Stop>> {
        let sender = kill.sender.as_deref()?;
        let is_before = |stop: &&Rc<Stop>| is_within(stop.at, kill.at, PASSED_ON_NS);
        let callers = sender.ancestors.iter().take(runtime::NEAR);
        let senders = iter::once((sender.task.process, &sender.task.comm))
            .chain(callers.map(|caller| (caller.process, &caller.comm)));
        let own = || {
            senders.filter(|(_, comm)| runtime::is_named_like_one(comm)).find_map(|(process, _)| {
                let known = self.0.get(&process)?;
                // Who reloads it does not stop it, but the kernel sends SIGHUP as a terminal goes.
                let asked = known.asked.as_ref().filter(|stop| stop.number != SIGHUP || stop.by.is_none());
                asked.into_iter().chain(&known.killed).find(is_before)
            })
        };
        let of_daemon = || {
            let runtime = container?.runtime.as_deref().filter(|_| runtime::is_sent_by_one(sender));
            self.0.iter().filter(|(_, known)| known.ended.is_none_or(|ended| kill.at <= ended)).find_map(
                |(_, known)| {
                    let stop = known.asked.as_ref().filter(is_before)?;
                    let stops = matches!(stop.number, SIGINT | SIGTERM)
                        && runtime::stops_its_containers(&stop.process, runtime)
                        && stop.process.task.process != target.task.process
                        // Another daemon may have started it since.
                        && target.task.process.start < stop.at;
                    stops.then_some(stop)
                },
            )
        };
        own().or_else(of_daemon).map(Rc::clone)
    }

    /// How many were pushed out by others.
    pub fn evicted(&self) -> u64 {
        self.0.evicted()
    }
}

/// Whether one thing came before another, at most so long.
fn is_within(one: Ktime, other: Ktime, ns: u64) -> bool {
    other.0.checked_sub(one.0).is_some_and(|passed| passed <= ns)
}

/// Whether a signal ends a process on which others depend, or asks it to end.
pub fn concerns(signal: &Signal) -> bool {
    let ends = signal::ends(signal.number) && !signal.ignored;
    ends && work::others_depend_on().any(|name| runtime::is_one_of(signal.target.comm.as_bytes(), &[name]))
}
