//! Who works for a container's runtime.

use super::party;
use crate::{
    fact::{Ktime, Task},
    text::Text,
};

/// Units of runtimes and of what drives them.
const UNITS: [&str; 16] = [
    "docker.service",
    "containerd.service",
    "crio.service",
    "podman.service",
    "kubelet.service",
    "k3s.service",
    "k3s-agent.service",
    "rke2-server.service",
    "rke2-agent.service",
    "k0scontroller.service",
    "k0sworker.service",
    "nomad.service",
    "lxd.service",
    "incus.service",
    "snap.docker.dockerd.service",
    "snap.lxd.daemon.service",
];

/// Beginnings of the names of units that hold one container's supervisor.
const UNIT_PREFIXES: [&str; 5] = ["libpod-conmon-", "crio-conmon-", "lxc@", "systemd-nspawn@", "podman-"];

/// Programs of runtimes that run outside any unit, where systemd is not there.
const PROGRAMS: [&str; 15] = [
    "dockerd",
    "containerd",
    "containerd-shim",
    "containerd-shim-runc-v2",
    "conmon",
    "crio",
    "podman",
    "netavark",
    "kubelet",
    "k3s",
    "nomad",
    "lxc-start",
    "lxd",
    "incusd",
    "systemd-nspawn",
];

/// Of these the daemons, which live on; the others start and end with a container or a request.
const DAEMONS: [&str; 8] = ["dockerd", "containerd", "crio", "kubelet", "k3s", "nomad", "lxd", "incusd"];

/// The unit of a runtime that a task belongs to. A unit is made by systemd: no process can take its name.
pub fn unit(task: &Task) -> Option<String> {
    let unit = party::unit(task)?;
    let known = UNITS.contains(&unit.as_str()) || UNIT_PREFIXES.iter().any(|prefix| unit.starts_with(prefix));
    known.then_some(unit)
}

/// Whether a task works for a runtime: by its unit, or by the program that it or its parent runs. A program's name can be
/// taken by anybody: it is believed only of somebody who clears away what has ended already.
pub fn works_for_one(task: &Task) -> bool {
    unit(task).is_some()
        || task.args.as_ref().is_some_and(|args| args.first().is_some_and(is_program))
        || task.ancestors.iter().take(2).any(|ancestor| is_comm(&ancestor.comm))
}

/// When the daemon started that a task is, or that called it.
pub fn daemon_start(task: &Task) -> Option<Ktime> {
    if DAEMONS.contains(&party::program(task)?.as_str()) {
        return Some(task.task.process.start);
    }
    party::called_by(task, &DAEMONS).map(|daemon| daemon.process.start)
}

/// Whether a task started the process, or one of its ancestors did that lives on.
pub fn supervises(task: &Task, process: &Task) -> bool {
    process.ancestors.iter().any(|ancestor| ancestor.process == task.task.process)
}

/// Whether the path of a program is that of a runtime, or of a CNI plugin, which works for one.
fn is_program(path: &Text) -> bool {
    PROGRAMS.iter().any(|program| program.as_bytes() == party::base_name(path)) || is_cni_plugin(path)
}

/// Whether the path is of a folder for CNI plugins: `/opt/cni/bin`, or `/usr/lib/cni` and `/usr/libexec/cni`, as
/// distributions have it.
fn is_cni_plugin(path: &Text) -> bool {
    let mut folders = path.as_bytes().rsplit(|&byte| byte == b'/').skip(1);
    let nearest = folders.next().unwrap_or_default();
    nearest == b"cni" || (nearest == b"bin" && folders.next() == Some(b"cni"))
}

/// Whether the name of a task is that of a runtime, of which the kernel keeps 15 bytes.
fn is_comm(comm: &Text) -> bool {
    PROGRAMS.iter().any(|program| &program.as_bytes()[..program.len().min(15)] == comm.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::story::{child_of, process, running};

    #[test]
    fn what_a_runtime_forks_works_for_it() {
        // systemd-nspawn gives back links that it took from the host in a child that it names so.
        let child = child_of(process("(sd-netns)", 901), &process("systemd-nspawn", 900));
        assert!(works_for_one(&child));
        assert!(!works_for_one(&child_of(child.clone(), &process("cron", 800))));
    }

    #[test]
    fn a_cni_plugin_works_for_a_runtime() {
        for (path, wanted) in [
            ("/opt/cni/bin/macvlan", true),
            ("/usr/lib/cni/macvlan", true),
            ("/usr/libexec/cni/macvlan", true),
            ("/usr/bin/macvlan", false),
            ("/opt/cni/bin/old/macvlan", false),
            ("macvlan", false),
        ] {
            assert_eq!(works_for_one(&running(process("macvlan", 7), path)), wanted, "{path}");
        }
    }
}
