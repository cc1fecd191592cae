//! Judgement on the ends of processes: what a signal meant, and who is behind it.

use crate::{
    correlate::{Ended, Kill},
    fact::ExitStatus,
    work::{manager, party, runtime},
};

/// `SIGABRT`, by which systemd ends a service that its watchdog no longer hears from.
const SIGABRT: u32 = 6;
const SIGKILL: u32 = 9;

/// The unit that a service manager stopped, and the signal by which it asked for the end.
pub struct UnitStop<'a> {
    pub unit: String,
    pub asked: &'a Kill,
}

/// Whether the process ended because its service manager stopped the unit that it belongs to. A manager sends SIGKILL
/// only to what did not heed the stop; if no request was seen before, that may have another reason.
pub fn stop_of_unit(ended: &Ended) -> Option<UnitStop<'_>> {
    let kill = ended.kill.as_ref()?;
    let asked = ended.asked.as_ref().unwrap_or(kill);
    let unit = unit_of_managers(ended, asked)?;
    let stops = !matches!(asked.number, SIGABRT | SIGKILL);
    stops.then_some(UnitStop { unit, asked })
}

/// The unit of a process, if the service manager that it belongs to sent that signal.
pub fn unit_of_managers(ended: &Ended, kill: &Kill) -> Option<String> {
    let sender = kill.sender.as_deref()?;
    match manager::of_user(sender) {
        // A user's manager has nothing to do with the services of others.
        Some(user) => manager::unit_below(&ended.task, &user),
        None => manager::is_machines(sender).then(|| party::unit(&ended.task)).flatten(),
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
