//! From a case and its verdict to the public record.

use jiff::Timestamp;

use crate::{
    cgroup::{Place, place_of},
    correlate::{Case, Cause, Correlator, Drop, Ended, Life, NamespaceEnd, ParentChange, Remark, Trigger},
    diagnose::{self, Recurrence, Verdict},
    event::{
        self, Ancestor, Body, Cgroup, Destination, Event, EventKind, Exit, Flags, Kernel, Parent, Record,
        SCHEMA_VERSION, Step, StepTask, Victim, When,
    },
    fact::{self, ExitStatus, Ktime, Link, LinkChange, LinkFact, Netns, NsInode, Task, TaskRef},
    kernel::names,
    sentence::sentence,
};

#[cfg(test)]
mod tests;

mod run;

pub use run::{Opening, full};

/// Turns time since boot into the time of day.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// Nanoseconds from the epoch to boot.
    boot: i128,
}

impl Clock {
    /// A clock for a machine that booted at `boot` nanoseconds since the epoch.
    #[must_use]
    pub fn new(boot: i64) -> Self {
        Self { boot: i128::from(boot) }
    }

    /// A time in nanoseconds since the epoch.
    #[must_use]
    pub fn epoch(&self, at: Ktime) -> i128 {
        self.boot + i128::from(at.0)
    }

    /// The public form of a time.
    #[must_use]
    pub fn when(&self, at: Ktime) -> When {
        let time = Timestamp::from_nanosecond(self.epoch(at)).unwrap_or(Timestamp::UNIX_EPOCH);
        When { time, boot_ns: at.0 }
    }

    /// The public form of the moment of boot.
    #[must_use]
    pub fn boot_time(&self) -> String {
        self.when(Ktime(0)).rfc3339()
    }
}

/// Wraps a body.
#[must_use]
pub fn record(body: Body) -> Record {
    Record { schema_version: SCHEMA_VERSION, body }
}

/// A case with its verdict.
pub struct Told<'a> {
    /// Its number.
    pub seq: u64,
    /// The case.
    pub case: &'a Case,
    /// Why.
    pub verdict: &'a Verdict,
    /// How often.
    pub recurrence: Option<Recurrence>,
}

/// The public form of a case.
#[must_use]
pub fn event(told: &Told<'_>, clock: Clock, known: &Correlator) -> Record {
    let Told { seq, case, verdict, recurrence } = *told;
    let kind = kind(case.fact.change);
    let moved = case.fact.change == LinkChange::Moved;
    let event = Event {
        seq,
        when: clock.when(case.at),
        event: kind,
        incident: case.incident,
        recurrence: recurrence.map(|Recurrence { count, first_incident, since_ns }| event::Recurrence {
            count,
            first_incident,
            since_ns,
        }),
        link: link(case, known),
        to: moved.then(|| Destination {
            netns: netns(case.fact.link.netns.as_ref(), known),
            container: case.arrived_in.as_ref().map(container),
            name: case.fact.link.name.clone(),
            ifindex: case.fact.link.ifindex,
        }),
        error: case.fact.error.map(names::errno),
        message: case.fact.message.clone(),
        wanted: case.fact.wanted.as_ref().map(|wanted| event::Wanted {
            mac: wanted.mac.map(diagnose::mac),
            name: wanted.name.clone(),
            netns: wanted.netns.map(|to| netns(Some(&to), known)),
        }),
        address: case.fact.address.map(|address| format!("{}/{}", address.ip, address.prefix)),
        actor: Some(task(&case.actor, None, known)),
        culprit: verdict.culprit.as_ref().map(|culprit| task(&culprit.task, culprit.ended.as_deref(), known)),
        victim: Victim {
            container: case.victim.as_ref().map(container),
            shared_with: case.shared_with.iter().map(container).collect(),
            init: init(case, known),
        },
        verdict: event::Verdict {
            rule: verdict.rule.to_owned(),
            cause: verdict.cause.clone().full_stop(),
            remedy: verdict.remedy.clone().map(|remedy| remedy.sentence().full_stop()),
            confidence: verdict.confidence,
            evidence: evidence(case, clock),
        },
        kernel: Kernel { probe: case.fact.probe.clone(), path: case.fact.path.clone() },
        breaks: diagnose::breaks(case),
    };
    let unseen = matches!(case.cause, Cause::Unseen(_));
    record(if unseen { Body::Unattributed(Box::new(event)) } else { Body::Event(Box::new(event)) })
}

/// The public form of a remark.
#[must_use]
pub fn remark(when: When, remark: &Remark) -> event::Notice {
    let (rule, message) = diagnose::remark(remark);
    event::Notice {
        when,
        rule: Some(rule.to_owned()),
        incident: Some(remark.incident),
        message: message.full_stop(),
    }
}

/// The word for a change.
pub(crate) fn kind(change: LinkChange) -> EventKind {
    match change {
        LinkChange::Created => EventKind::Created,
        LinkChange::Up => EventKind::Up,
        LinkChange::Down | LinkChange::UnseenDown => EventKind::Down,
        LinkChange::Renamed => EventKind::Renamed,
        LinkChange::Moved => EventKind::Moved,
        LinkChange::UpFailed => EventKind::UpFailed,
        LinkChange::MacFailed => EventKind::MacFailed,
        LinkChange::MoveFailed => EventKind::MoveFailed,
        LinkChange::RenameFailed => EventKind::RenameFailed,
        LinkChange::CreateFailed => EventKind::CreateFailed,
        LinkChange::CarrierLost => EventKind::CarrierLost,
        LinkChange::CarrierBack => EventKind::CarrierBack,
        LinkChange::MacChanged => EventKind::MacChanged,
        LinkChange::AddressRemoved => EventKind::AddressRemoved,
        LinkChange::ParentDown => EventKind::ParentDown,
        LinkChange::ParentUp => EventKind::ParentUp,
        LinkChange::Deleted | LinkChange::UnseenDeleted => EventKind::Deleted,
    }
}

fn link(case: &Case, known: &Correlator) -> event::Link {
    let LinkFact { link, parent, from, .. } = &case.fact;
    let Life { id, former_names, created, up_since, .. } = &case.life;
    // A moved link is described as it was before the move; `to` says where it went.
    let (place, ifindex, name) = match from {
        Some((netns, ifindex)) => (Some(netns), *ifindex, &case.life.name_before),
        None => (link.netns.as_ref(), link.ifindex, &link.name),
    };
    let since = |start: &Ktime| case.at.0.saturating_sub(start.0);
    event::Link {
        id: id.to_string(),
        name: name.clone(),
        former_names: former_names.iter().filter(|former| *former != name).cloned().collect(),
        ifindex,
        kind: link.kind.clone(),
        mac: link.mac.map(diagnose::mac),
        mode: link.mode.and_then(names::macvlan_mode).map(str::to_owned),
        // The kernel changes the carrier first.
        protodown: if case.fact.path.sets_protodown() {
            Some(case.fact.change == LinkChange::CarrierLost)
        } else {
            link.protodown
        },
        age_ns: created.as_ref().map(since),
        up_for_ns: up_since.as_ref().map(since),
        operstate: link.operstate.and_then(names::operstate).map(str::to_owned),
        flags: flags(&case.fact),
        netns: netns(place, known),
        parent: parent
            .as_ref()
            .map(|parent| Parent { held_by: case.fact.held_by.as_ref().map(holder), ..event_parent(parent) }),
    }
}

fn holder(holder: &Link) -> event::Holder {
    event::Holder {
        name: holder.name.clone(),
        kind: holder.kind.clone(),
        ifindex: holder.ifindex,
        netns: holder.netns.and_then(|netns| netns.inode).map(inode),
        mode: holder.mode.and_then(names::macvlan_mode).map(str::to_owned),
    }
}

/// The public form of a link below another.
pub fn event_parent(parent: &Link) -> Parent {
    Parent {
        name: parent.name.clone(),
        ifindex: parent.ifindex,
        netns: parent.netns.and_then(|netns| netns.inode).map(inode),
        deleted: !parent.registered,
        held_by: None,
    }
}

/// The public form of a namespace.
pub fn netns(netns: Option<&Netns>, known: &Correlator) -> event::Netns {
    event::Netns {
        inode: netns.and_then(|netns| netns.inode).map(inode),
        name: netns.and_then(|netns| known.netns_name(netns)).cloned(),
    }
}

fn inode(inode: NsInode) -> u32 {
    inode.0
}

/// Flags before and after the change: the probes see the link before a down or a deletion, and after anything else.
fn flags(fact: &LinkFact) -> Flags {
    const UP: u32 = 1;
    const RUNNING: u32 = 0x40;
    let seen = fact.link.flags;
    let (before, after) = match fact.change {
        LinkChange::Created => (0, seen),
        LinkChange::Up => (seen & !UP, seen),
        LinkChange::Down => (seen, fact.flags_after),
        LinkChange::UnseenDown | LinkChange::UnseenDeleted => (seen | UP, seen),
        LinkChange::Deleted => (seen, seen & !(UP | RUNNING)),
        _ => (seen, seen),
    };
    let names = |flags| names::link_flags(flags).map(str::to_owned).collect();
    Flags { before: names(before), after: names(after) }
}

fn task(task: &Task, ended: Option<&Ended>, known: &Correlator) -> event::Task {
    let TaskRef { process, tid, comm, .. } = &task.task;
    let Place { unit, slice, session, .. } = task.cgroup.path.as_ref().map(place_of).unwrap_or_default();
    event::Task {
        pid: process.tgid,
        tid: *tid,
        comm: comm.clone(),
        args: task.args.clone(),
        exe: task.exe.clone(),
        uid: task.uid,
        login_uid: task.login_uid,
        tty: task.tty.clone(),
        start_boot_ns: process.start.0,
        ancestors: task
            .ancestors
            .iter()
            .map(|ancestor| Ancestor { pid: ancestor.process.tgid, comm: ancestor.comm.clone() })
            .collect(),
        cgroup: Cgroup { id: task.cgroup.id.map(|id| id.to_string()), path: task.cgroup.path.clone() },
        unit,
        slice,
        session,
        container: known.container(&task.cgroup).as_ref().map(container),
        netns: task.netns.and_then(|netns| netns.inode).map(inode),
        exit: ended.map(|ended| exit(ended, known)),
    }
}

fn container(container: &fact::Container) -> event::Container {
    let fact::Container { id, runtime, name, pod, .. } = container.clone();
    let pod = pod.map(|fact::Pod { uid, qos, namespace, name }| event::Pod { namespace, name, uid, qos });
    event::Container { runtime, id, name, pod }
}

fn exit(ended: &Ended, known: &Correlator) -> Exit {
    let (code, signal) = match ended.status {
        ExitStatus::Code(code) => (Some(code), None),
        ExitStatus::Signal(signal) => (None, Some(signal)),
    };
    let sender = ended.kill.as_ref().and_then(|kill| kill.sender.as_deref());
    Exit {
        code,
        signal,
        core_dumped: ended.core_dumped,
        sender: sender.map(|sender| Box::new(task(sender, None, known))),
    }
}

/// The main process of the link's own namespace, if its end caused the case.
fn init(case: &Case, known: &Correlator) -> Option<event::Task> {
    let ended = match &case.cause {
        Cause::Cleanup { ended, .. } => ended,
        Cause::NamespaceEnded(end) => match &end.trigger {
            Trigger::Exit(ended) => ended,
            _ => return None,
        },
        _ => return None,
    };
    Some(task(&ended.task, Some(ended), known))
}

/// The chain, in order.
fn evidence(case: &Case, clock: Clock) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(setter) = &case.setter {
        let detail = diagnose::address(case).to_string();
        steps.push(step(clock, setter.at, "address_added", Some(&setter.by), detail));
        if let Some(ended) = &setter.ended {
            exit_steps(ended, clock, &mut steps);
        }
    }
    if let Some(main) = case.cause.namespace_end().and_then(|end| end.outlived.as_ref()) {
        exit_steps(main, clock, &mut steps);
    }
    if let Some(ended) = case.cause.exit() {
        exit_steps(ended, clock, &mut steps);
    }
    if let Some(end) = case.cause.namespace_end() {
        end_steps(end, clock, &mut steps);
    }
    if let Some(rivals) = &case.rivals {
        for deed in &rivals.deeds {
            let what = if deed.up { "up" } else { "down" };
            steps.push(step(clock, deed.at, what, Some(&deed.by), case.fact.link.name.to_string()));
        }
    }
    match &case.cause {
        Cause::ParentDeleted { .. } => {
            for device in case.cause.deleted() {
                let detail = format!("{} is deleted", device.name);
                steps.push(step(clock, case.at, "parent_deleted", Some(&case.actor), detail));
            }
        }
        Cause::ParentChanged(change) => {
            steps.extend(change.follows.as_ref().map(|below| parent_step(below, clock)));
            steps.push(parent_step(change, clock));
        }
        Cause::GivenUp { failed, .. } => {
            let error = failed.fact.error.map(names::errno).unwrap_or_default();
            let detail = format!("{}: {error}", failed.fact.link.name);
            let what = kind(failed.fact.change);
            steps.push(step(clock, failed.at, what.as_str(), Some(&failed.actor), detail));
        }
        _ => steps.extend(case.reaction.as_ref().map(|lost| parent_step(lost, clock))),
    }
    if let Some(holder) = &case.holder {
        let detail = sentence!("{} has the hardware address", diagnose::holder(holder)).to_string();
        steps.push(step(clock, case.at, "holder", None, detail));
    }
    let what = kind(case.fact.change);
    // If the event is the parent's change itself, no step comes after it.
    if !matches!(what, EventKind::ParentDown | EventKind::ParentUp) {
        let detail = format!("{}, by {}", case.fact.link.name, case.fact.probe);
        steps.push(step(clock, case.at, what.as_str(), Some(&case.actor), detail));
    }
    steps
}

/// The steps that ended a process, and its end.
fn exit_steps(ended: &Ended, clock: Clock, steps: &mut Vec<Step>) {
    let TaskRef { process, comm, .. } = &ended.task.task;
    if let Some(oom) = &ended.oom {
        let detail = match oom.limit.as_ref().map(|limit| limit.path.as_ref()) {
            Some(Some(path)) => format!("the limit of {path} was reached"),
            Some(None) => "the limit of a control group was reached".to_owned(),
            None => "the machine had no more memory".to_owned(),
        };
        steps.push(step(clock, oom.at, "oom", None, detail));
    }
    if let Some(stop) = &ended.behind {
        let TaskRef { process, comm, .. } = &stop.process.task;
        let detail = format!("signal {} to {comm} (PID {})", stop.number, process.tgid);
        steps.push(step(clock, stop.at, "signal", stop.by.as_deref(), detail));
    }
    // If the process obeyed the request, that is the signal itself.
    let asked = ended.asked.iter().filter(|asked| ended.kill.as_ref().is_none_or(|kill| kill.at != asked.at));
    for kill in asked.chain(&ended.kill) {
        let detail = format!("signal {} to {comm} (PID {})", kill.number, process.tgid);
        steps.push(step(clock, kill.at, "signal", kill.sender.as_deref(), detail));
    }
    let how = match ended.status {
        ExitStatus::Code(code) => format!("code {code}"),
        ExitStatus::Signal(signal) if ended.core_dumped => format!("signal {signal}, core dumped"),
        ExitStatus::Signal(signal) => format!("signal {signal}"),
    };
    steps.push(step(clock, ended.at, "exit", Some(&ended.task), how));
}

/// The steps that ended a namespace: who gave it up, and how its last reference dropped, if that was seen.
fn end_steps(end: &NamespaceEnd, clock: Clock, steps: &mut Vec<Step>) {
    const UNMOUNT: (&str, &str) = ("unmount", "the last mount of the network namespace went");
    if let Trigger::Unmount(unmount) = &end.trigger {
        if end.drop != Drop::Unmount {
            let (what, detail) = UNMOUNT;
            steps.push(step(clock, unmount.at, what, Some(&unmount.task), detail.to_owned()));
        }
    }
    if let Trigger::Left(leave) = &end.trigger {
        let (own, detail) = if leave.ended {
            (Drop::Exit, "a thread ended, whose process lives on")
        } else {
            (Drop::Switch, "it went to another network namespace")
        };
        if end.drop != own {
            steps.push(step(clock, leave.at, "leave", Some(&leave.task), detail.to_owned()));
        }
    }
    let (what, detail) = match end.drop {
        Drop::Unmount => UNMOUNT,
        Drop::Close => ("close", "the last descriptor of the network namespace was closed"),
        Drop::Exit => ("netns_end", "a task that ended held the network namespace last"),
        Drop::Switch => ("netns_end", "a task that went elsewhere held the network namespace last"),
        Drop::Deferred | Drop::Unknown => (
            "netns_end",
            "the last reference to the network namespace dropped later, outside any task's context",
        ),
        Drop::Unseen => return,
    };
    let dropper = (end.drop != Drop::Deferred).then_some(&*end.dropper);
    steps.push(step(clock, end.at, what, dropper, detail.to_owned()));
}

/// A change of a parent.
fn parent_step(change: &ParentChange, clock: Clock) -> Step {
    let (what, how) = match change.change {
        LinkChange::Up => ("parent_up", "came up"),
        LinkChange::Moved => ("parent_moved", "went to another network namespace"),
        LinkChange::CarrierLost => ("parent_carrier_lost", "lost its carrier"),
        LinkChange::CarrierBack => ("parent_carrier_back", "has its carrier back"),
        _ => ("parent_down", "went down"),
    };
    let by = match &change.by {
        Cause::Request(task) | Cause::Cleanup { by: task, .. } => Some(&**task),
        _ => None,
    };
    step(clock, change.at, what, by, format!("{} {how}", change.parent.name))
}

fn step(clock: Clock, at: Ktime, what: &str, task: Option<&Task>, detail: String) -> Step {
    Step {
        when: clock.when(at),
        what: what.to_owned(),
        task: task.map(|task| StepTask {
            pid: task.task.process.tgid,
            tid: task.task.tid,
            comm: task.task.comm.clone(),
        }),
        detail,
    }
}
