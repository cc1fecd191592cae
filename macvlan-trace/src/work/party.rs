//! Who a task works for, by its control group, its argument vector and its ancestors, never by its name alone.

use crate::{
    fact::{Ancestor, Ktime, ProcessId, Task},
    text::Text,
};

/// DHCP clients, and the scripts that work for them.
pub const DHCP_CLIENTS: [&str; 5] = ["dhcpcd", "dhclient", "dhclient-script", "dhcpcd-run-hooks", "udhcpc"];

/// Programs that start another one in their place, each time anew.
const PASSERS_ON: [&str; 6] = ["sudo", "su", "doas", "pkexec", "timeout", "nsenter"];

/// How long a command takes at most from its start to its deed.
const COMMAND_NS: u64 = 2_000_000_000;

/// The programs of ifupdown.
pub const IFUPDOWN: [&str; 4] = ["ifup", "ifdown", "ifreload", "ifquery"];

/// The unit of the machine's own systemd that a task belongs to: the outermost service or scope of its control group. A
/// container can choose any names below its own group.
pub fn unit(task: &Task) -> Option<String> {
    let path = task.cgroup.path.as_ref()?;
    let name = path
        .as_bytes()
        .split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty())
        .find(|name| !name.ends_with(b".slice"))?;
    let is_unit = name.ends_with(b".service") || name.ends_with(b".scope");
    is_unit.then(|| Text::from(name.to_vec()).to_string())
}

/// The service of the machine's own systemd that a task belongs to. The service of a user manager does not count: it
/// contains everything that the user does.
pub fn service(task: &Task) -> Option<String> {
    unit(task).filter(|unit| unit.ends_with(".service") && !unit.starts_with("user@"))
}

/// Whether the task belongs to a unit whose name begins like this.
pub fn is_of_unit(task: &Task, beginnings: &[&str]) -> bool {
    unit(task).is_some_and(|unit| beginnings.iter().any(|beginning| unit.starts_with(beginning)))
}

/// The program that a task runs: the last part of its first argument, or of its second if the first is an interpreter.
pub fn program(task: &Task) -> Option<String> {
    const INTERPRETERS: [&str; 7] = ["sh", "bash", "dash", "ash", "busybox", "perl", "python"];
    let mut args = task.args.as_ref()?.iter().map(|arg| Text::from(base_name(arg).to_vec()).to_string());
    let mut first = args.next()?;
    // `dhcpcd: mv0 [ip4]`: some daemons write their role into their first argument.
    if let Some(end) = first.find(": ") {
        first.truncate(end);
    }
    let interpreted = INTERPRETERS.contains(&first.as_str()) || first.starts_with("python3");
    match args.next().filter(|second| interpreted && !second.starts_with('-')) {
        Some(second) => Some(second),
        None => Some(first),
    }
}

/// The last part of a path.
pub fn base_name(path: &Text) -> &[u8] {
    path.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

/// The nearest ancestor with one of these names.
pub fn called_by<'a>(task: &'a Task, names: &[&str]) -> Option<&'a Ancestor> {
    task.ancestors.iter().find(|ancestor| is_named(ancestor, names))
}

/// The nearest ancestor that changes links through other programs; shells and scripts may be in between.
pub fn delegate_of(task: &Task) -> Option<&Ancestor> {
    task.ancestors.iter().find(|ancestor| works_through_others(ancestor))
}

/// The process for which a task works: the outermost ancestor that changes links through other programs, else the
/// task's own.
pub fn on_behalf_of(task: &Task) -> ProcessId {
    let outermost = task.ancestors.iter().rfind(|ancestor| works_through_others(ancestor));
    outermost.map_or(task.task.process, |ancestor| ancestor.process)
}

/// The process whose errand a task does: as [`on_behalf_of`]; otherwise the one that called it, if it is a command that
/// has just been started, as by the loop of a script.
pub fn caller(task: &Task, at: Ktime) -> ProcessId {
    let party = on_behalf_of(task);
    let is_command = at.0.saturating_sub(task.task.process.start.0) <= COMMAND_NS;
    let caller = task.ancestors.iter().find(|ancestor| !is_named(ancestor, &PASSERS_ON));
    let caller = caller.filter(|caller| is_command && caller.process.tgid != 1);
    caller.filter(|_| party == task.task.process).map_or(party, |caller| caller.process)
}

/// Whether a task is a service's main process, which has been there for a while.
pub fn is_daemon(task: &Task, at: Ktime) -> bool {
    let is_old = at.0.saturating_sub(task.task.process.start.0) > COMMAND_NS;
    let is_managers = task.ancestors.first().is_some_and(|parent| parent.process.tgid == 1);
    is_old && is_managers && service(task).is_some()
}

fn works_through_others(ancestor: &Ancestor) -> bool {
    is_named(ancestor, &DHCP_CLIENTS) || is_named(ancestor, &IFUPDOWN)
}

fn is_named(ancestor: &Ancestor, names: &[&str]) -> bool {
    names.iter().any(|name| ancestor.comm.as_bytes() == name.as_bytes())
}

/// Whether the task or one that called it is one of these programs.
pub fn runs(task: &Task, names: &[&str]) -> bool {
    program(task).is_some_and(|program| names.contains(&program.as_str())) || called_by(task, names).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::story::{process, running};

    fn in_group(path: &str) -> Task {
        let mut task = process("ip", 7);
        task.cgroup.path = Some(Text::from(path));
        task
    }

    #[test]
    fn the_unit_is_the_machines_own() {
        for (path, wanted) in [
            ("/system.slice/NetworkManager.service", Some("NetworkManager.service")),
            ("/system.slice/system-ifup.slice/ifup@eth0.service", Some("ifup@eth0.service")),
            ("/user.slice/user-0.slice/session-3.scope", Some("session-3.scope")),
            ("/docker/9f3/system.slice/NetworkManager.service", None),
            ("/system.slice/docker-9f3.scope/system.slice/NetworkManager.service", Some("docker-9f3.scope")),
            ("/", None),
            ("/system.slice", None),
        ] {
            assert_eq!(unit(&in_group(path)).as_deref(), wanted, "{path}");
        }
    }

    #[test]
    fn a_script_is_the_program_that_its_interpreter_runs() {
        for (line, wanted) in [
            ("/usr/sbin/dhcpcd -b", "dhcpcd"),
            ("/usr/bin/python3 /usr/sbin/ifreload -a", "ifreload"),
            ("/bin/sh /sbin/dhclient-script", "dhclient-script"),
            ("sh -c ip", "sh"),
            ("/opt/cni/bin/dhcp daemon", "dhcp"),
        ] {
            assert_eq!(program(&running(process("x", 7), line)).as_deref(), Some(wanted), "{line}");
        }
    }

    #[test]
    fn a_daemon_may_say_in_its_first_argument_what_it_is_about() {
        let mut daemon = process("dhcpcd", 7);
        daemon.args = Some(vec![Text::from("dhcpcd: [manager] [ip4]")]);
        assert_eq!(program(&daemon).as_deref(), Some("dhcpcd"));
    }
}
