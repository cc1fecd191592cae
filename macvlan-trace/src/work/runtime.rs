//! Who works for a container's runtime.

use super::party;
use crate::{
    cgroup::place_of,
    fact::{Ancestor, Ktime, Task},
    text::Text,
};

/// Units of runtimes, and of programs that drive them.
const UNITS: [&str; 18] = [
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
    "snap.microk8s.daemon-containerd.service",
    "snap.microk8s.daemon-kubelite.service",
];

/// Beginnings of the names of units that hold one container's supervisor.
const UNIT_PREFIXES: [&str; 5] = ["libpod-conmon-", "crio-conmon-", "lxc@", "systemd-nspawn@", "podman-"];

/// Programs of runtimes, for those that run outside any unit, as without systemd.
pub const PROGRAMS: [&str; 16] = [
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
    "lxc-stop",
    "lxd",
    "incusd",
    "systemd-nspawn",
];

/// Those that are daemons and live on; the others start and end with a container or a request.
const DAEMONS: [&str; 8] = ["dockerd", "containerd", "crio", "kubelet", "k3s", "nomad", "lxd", "incusd"];

/// The processes between a daemon and its containers.
const SHIMS: [&str; 2] = ["containerd-shim", "containerd-shim-runc-v2"];

/// Those that watch over one container, and that clients ask through a socket. They write a title over their arguments.
const MONITORS: [&str; 1] = ["lxc-start"];

/// How near, in ancestors, a runtime must be to a program that it calls.
pub const NEAR: usize = 2;

/// How many bytes the kernel keeps of a task's name.
const COMM: usize = 15;

/// The unit of a runtime that a task belongs to. Systemd makes units, and no process can take their names. The processes
/// of a container do not count, although its control group may be below that of its runtime's unit.
pub fn unit(task: &Task) -> Option<String> {
    let unit = party::unit(task).filter(|_| !is_inside(task))?;
    let known = UNITS.contains(&unit.as_str()) || UNIT_PREFIXES.iter().any(|prefix| unit.starts_with(prefix));
    known.then_some(unit)
}

/// Whether a task works for a runtime: by its unit, or by the program that it or its caller runs. Anybody can take a
/// program's name. So callers use this only for clearing away after an end, never to blame somebody.
pub fn works_for_one(task: &Task) -> bool {
    is_sent_by_one(task)
        || own_path(task)
            .is_some_and(|path| is_one_of(party::base_name(path), &PROGRAMS) || is_cni_plugin(path))
}

/// Whether a runtime sent a task: by its unit, or by its caller.
pub fn is_sent_by_one(task: &Task) -> bool {
    unit(task).is_some() || employer(task).is_some()
}

/// The task of a runtime that called this one, a program such as runc that does one thing and ends. The processes of a
/// container do not count: a runtime's shim is their ancestor too, but they do not work for it.
pub fn employer(task: &Task) -> Option<&Ancestor> {
    if is_inside(task) {
        return None;
    }
    task.ancestors.iter().take(NEAR).find(|ancestor| is_one_of(ancestor.comm.as_bytes(), &PROGRAMS))
}

/// Whether a task runs inside a container.
fn is_inside(task: &Task) -> bool {
    task.task.pidns_level > 0
        || task.cgroup.path.as_ref().is_some_and(|path| place_of(path).container.is_some())
}

/// Whether a task may act for a client of a daemon or of a container's monitor, which the tracer does not see. Podman is
/// its own client.
pub fn serves_clients(task: &Task) -> bool {
    let caller = employer(task).map(|ancestor| ancestor.comm.as_bytes());
    let serves = |name| is_one_of(name, &DAEMONS) || is_one_of(name, &SHIMS);
    let monitors = is_one_of(task.task.comm.as_bytes(), &MONITORS) && !is_inside(task);
    monitors || own_path(task).map(party::base_name).into_iter().chain(caller).any(serves)
}

/// Whether the main process of a container is still the program of a runtime that was to become the container's command
/// by `execve`: that would have given it the command's arguments. runc starts itself again as `runc init`; crun forks.
pub fn is_its_init(task: &Task) -> bool {
    let name = own_path(task).map(party::base_name).unwrap_or_default();
    let role = task.args.as_ref().and_then(|args| args.get(1)).map(Text::as_bytes);
    task.task.is_pidns_init() && (name == b"crun" || (name == b"runc" && role == Some(b"init")))
}

/// The start of the daemon: the task itself, or the one that called it.
pub fn daemon_start(task: &Task) -> Option<Ktime> {
    if DAEMONS.contains(&party::program(task)?.as_str()) {
        return Some(task.task.process.start);
    }
    party::called_by(task, &DAEMONS).map(|daemon| daemon.process.start)
}

/// Whether a task belongs to the daemon of that runtime, which stops its containers before it ends. The others leave
/// theirs running, or are the ancestors of what they run.
pub fn stops_its_containers(task: &Task, runtime: Option<&str>) -> bool {
    runtime == Some("docker") && task.task.comm.as_bytes() == b"dockerd" && !is_inside(task)
}

/// Whether a task started the process, or one of its ancestors did that lives on.
pub fn supervises(task: &Task, process: &Task) -> bool {
    process.ancestors.iter().any(|ancestor| ancestor.process == task.task.process)
}

/// The path of the program that a task runs, as the task itself gives it.
fn own_path(task: &Task) -> Option<&Text> {
    task.args.as_ref()?.first()
}

/// Whether the path is in a folder for CNI plugins: `/opt/cni/bin`, or `/usr/lib/cni` and `/usr/libexec/cni`, as
/// distributions have it.
fn is_cni_plugin(path: &Text) -> bool {
    let mut folders = path.as_bytes().rsplit(|&byte| byte == b'/').skip(1);
    let nearest = folders.next().unwrap_or_default();
    nearest == b"cni" || (nearest == b"bin" && folders.next() == Some(b"cni"))
}

/// Whether a process has the name of a runtime's program.
pub fn is_named_like_one(comm: &Text) -> bool {
    is_one_of(comm.as_bytes(), &PROGRAMS)
}

/// Whether a name is that of one of these programs, possibly cut by the kernel.
pub fn is_one_of(name: &[u8], programs: &[&str]) -> bool {
    programs.iter().any(|program| {
        let kept = &program.as_bytes()[..program.len().min(COMM)];
        name == program.as_bytes() || name == kept
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::story::{child_of, in_cgroup, inside, process, running};

    #[test]
    fn what_runs_in_a_container_is_not_its_runtimes_although_the_units_group_holds_it() {
        let id = "a".repeat(64);
        for (path, wanted) in [
            ("/system.slice/docker.service", true),
            ("/system.slice/containerd.service", true),
            ("/machine.slice/systemd-nspawn@web.service/supervisor", true),
            ("/machine.slice/systemd-nspawn@web.service/payload/system.slice/networkd.service", false),
            (&format!("/machine.slice/libpod-conmon-{id}.scope"), true),
            (&format!("/system.slice/crio-conmon-{id}.scope"), true),
            (&format!("/system.slice/podman-web.service/libpod-payload-{id}"), false),
            (&format!("/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{id}"), false),
        ] {
            let task = in_cgroup(process("app", 901), path);
            assert_eq!(unit(&task).is_some(), wanted, "{path}");
            assert_eq!(works_for_one(&task), wanted, "{path}");
            // A runtime lives in the machine's own pid namespace, whatever the name of its control group.
            assert_eq!(unit(&inside(task, 5, 1, 7)), None, "{path}");
        }
    }

    #[test]
    fn what_a_container_runs_is_not_sent_by_the_shim_that_started_it() {
        let shim = process("containerd-shim", 800);
        let main = in_cgroup(child_of(inside(process("app", 901), 5, 1, 1), &shim), "/a/shape/of/its/own");
        assert!(!works_for_one(&main));
        assert!(works_for_one(&in_cgroup(child_of(process("runc", 902), &shim), "/")));
    }

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
