//! Judgement on the ends of processes: what a signal meant, and who is behind it.

use macvlan_trace_common::signal::{SIGABRT, SIGKILL};

use crate::{
    correlate::{Ended, Kill, Stop},
    fact::{ExitStatus, Task},
    work::{manager, party, runtime},
};

/// The unit that a service manager stopped, and the signal by which it asked for the end.
pub struct UnitStop<'a> {
    pub unit: String,
    pub asked: &'a Kill,
}

/// A runtime that was told to end, and what it did for that reason.
pub struct RuntimeStop<'a> {
    pub stop: &'a Stop,
    /// The signal to the process of a container.
    pub passed_on: &'a Kill,
    /// Who sent that.
    pub by: &'a Task,
}

/// Whether a process ended since its runtime was told to end.
pub fn stop_of_runtime(ended: &Ended) -> Option<RuntimeStop<'_>> {
    let (stop, passed_on) = (ended.behind.as_deref()?, ended.asked.as_ref().or(ended.kill.as_ref())?);
    Some(RuntimeStop { stop, passed_on, by: passed_on.sender.as_deref()? })
}

/// Whether the process ended because its service manager stopped the unit that it belongs to. A manager sends SIGKILL
/// only to what did not heed the stop; if no request was seen before, that may have another reason.
pub fn stop_of_unit(ended: &Ended) -> Option<UnitStop<'_>> {
    let kill = ended.kill.as_ref()?;
    let asked = ended.asked.as_ref().unwrap_or(kill);
    let unit = unit_of_managers(&ended.task, asked.sender.as_deref()?)?;
    let stops = !matches!(asked.number, SIGABRT | SIGKILL);
    stops.then_some(UnitStop { unit, asked })
}

/// The unit of a process, if who sent it a signal is the service manager that it belongs to.
pub fn unit_of_managers(process: &Task, sender: &Task) -> Option<String> {
    match manager::of_user(sender) {
        // A user's manager has nothing to do with the services of others.
        Some(user) => manager::unit_below(process, &user),
        None => manager::is_machines(sender).then(|| party::unit(process)).flatten(),
    }
}

/// Whether a container's runtime gave up before its init became the container's command.
pub fn was_never_started(ended: &Ended) -> bool {
    let failed = matches!(ended.status, ExitStatus::Code(code) if code != 0);
    failed && ended.kill.is_none() && runtime::is_its_init(&ended.task)
}

/// Whether the process ended by itself: no signal did it, or it was powered off from inside.
pub fn is_by_itself(ended: &Ended) -> bool {
    ended.powered_off || matches!(ended.status, ExitStatus::Code(_))
}
