//! What Podman with netavark does to a container's link.

use std::{process::Command, sync::Mutex};

use crate::harness::{Checked, Watch, ip, run, until};

#[test]
fn a_container_that_is_killed_is_its_killers() {
    Watch::ready();
    let web = Container::run("web", "sleep 1000");
    let trace = Watch::start();
    podman("kill web");
    trace.until_gone("web").incident(|event| killed(event, &web).says("/verdict/cause", "SIGKILL"));
}

#[test]
fn a_container_that_stays_behind_in_the_network_namespace_of_another_one_is_told() {
    Watch::ready();
    let web = Container::run("web", "sleep 1000");
    let _app = Container::run_on("container:web", "app", "sleep 1000");
    Watch::until_victim_is_known(web.pid, |victim| victim["shared_with"][0]["name"] == "app");
    let trace = Watch::start();
    podman("kill web");
    trace.until_gone("web").incident(|event| {
        killed(event, &web)
            .says("/verdict/cause", "also from container app, which shared its network namespace")
            .says("/verdict/remedy", "`podman restart app`")
    });
}

#[test]
fn a_container_that_does_not_heed_a_stop_is_stopped_all_the_same() {
    Watch::ready();
    let _web = Container::run("web", "sleep 1000");
    let trace = Watch::start();
    podman("stop --time 1 web");
    trace.until_gone("web").incident(|event| {
        cleared(event)
            .verdict("container-stopped", "likely")
            .is("/culprit/comm", "crun")
            .says("/verdict/cause", "called by podman")
            .says("/verdict/cause", "sent SIGTERM to the main process")
            .says("/verdict/cause", "and SIGKILL")
    });
}

#[test]
fn a_container_that_ends_when_asked_to_is_stopped_by_who_asked() {
    Watch::ready();
    let web = Container::run("web", "trap 'exit 0' TERM; touch /tmp/ready; while :; do sleep 0.1; done");
    let ready = format!("/proc/{}/root/tmp/ready", web.pid);
    until("it listens", || std::path::Path::new(&ready).exists());
    let trace = Watch::start();
    podman("stop --time 30 web");
    trace.until_gone("web").incident(|event| {
        cleared(event)
            .verdict("container-stopped", "likely")
            .is("/culprit/comm", "crun")
            .says("/verdict/cause", "SIGTERM")
            .says("/verdict/cause", "exited with code 0")
    });
}

#[test]
fn a_container_that_is_removed_by_force_is_its_killers() {
    Watch::ready();
    let _web = Container::run("web", "sleep 1000");
    let trace = Watch::start();
    podman("rm --force --time 0 web");
    trace
        .until_gone("web")
        .incident(|event| cleared(event).verdict("container-killed", "likely").is("/culprit/comm", "crun"));
}

#[test]
fn a_container_whose_command_ends_has_itself_to_blame() {
    Watch::ready();
    let web = Container::run("web", "until [ -e /tmp/end ]; do sleep 0.1; done; exit 4");
    let trace = Watch::start();
    std::fs::write(format!("/proc/{}/root/tmp/end", web.pid), "").expect("a file can be made");
    trace.until_gone("web").incident(|event| {
        cleared(event)
            .verdict("container-exited", "likely")
            .is("/culprit/comm", "sh")
            .is("/culprit/pid", web.pid)
            .says("/verdict/cause", "exited with code 4")
    });
}

#[test]
fn a_network_that_is_removed_by_force_takes_its_containers_main_process_first() {
    Watch::ready();
    let _web = Container::run("web", "sleep 1000");
    let trace = Watch::start();
    podman("network rm --force --time 0 mv");
    *NETWORK.lock().expect("nobody panicked") = false;
    trace
        .until_gone("web")
        .incident(|event| cleared(event).verdict("container-killed", "likely").is("/culprit/comm", "crun"));
}

#[test]
fn a_network_that_is_disconnected_is_taken_away_from_a_living_container() {
    Watch::ready();
    let web = Container::run("web", "sleep 1000");
    Watch::until_owner_is_known(web.pid, |owner| owner["name"] == "web");
    let trace = Watch::start();
    podman("network disconnect mv web");
    trace.until_gone("web").incident(|event| {
        event
            .is("/actor/comm", "netavark")
            .is("/victim/container/name", "web")
            .verdict("runtime-teardown", "likely")
            .says("/verdict/cause", "a program of the runtime that had made it for container web")
            .says("/verdict/cause", "no end of a main process came first")
    });
}

/// netavark is who deletes the link, and never who is to blame.
fn cleared(event: Checked<'_>) -> Checked<'_> {
    event
        .is("/event", "deleted")
        .is("/link/name", "eth0")
        .is("/actor/comm", "netavark")
        .is("/victim/container/name", "web")
        .is("/victim/container/runtime", "podman")
        .says("/verdict/cause", "netavark")
}

/// The same, after `podman kill`.
fn killed<'a>(event: Checked<'a>, web: &Container) -> Checked<'a> {
    cleared(event)
        .verdict("container-killed", "likely")
        .is("/culprit/comm", "crun")
        .is("/victim/init/pid", web.pid)
}

/// The program, which has to succeed; what it says. systemd, whose control groups it would take, is not there.
fn podman(words: &str) -> String {
    run("podman", &["--cgroup-manager=cgroupfs"].into_iter().chain(words.split(' ')).collect::<Vec<_>>())
}

/// A container on the macvlan network `mv`, in which the link is called `eth0`; it goes with the test.
struct Container {
    name: &'static str,
    /// Process id of its main process.
    pid: u32,
}

impl Container {
    fn run(name: &'static str, script: &str) -> Self {
        Self::run_on("mv", name, script)
    }

    /// The same on another network.
    fn run_on(network: &str, name: &'static str, script: &str) -> Self {
        ip("link set eth0 up");
        self::network();
        let words = "--cgroup-manager=cgroupfs run --detach --pidfile /tmp/podman.pid --network";
        let rest = [network, "--name", name, "alpine", "sh", "-c", script];
        run("podman", &words.split(' ').chain(rest).collect::<Vec<_>>());
        let pid = std::fs::read_to_string("/tmp/podman.pid").expect("it is written");
        Self { name, pid: pid.trim().parse().expect("a process id") }
    }
}

/// Whether there is the network: to ask costs as much as to start a container, where the processor is emulated.
static NETWORK: Mutex<bool> = Mutex::new(false);

/// There is an image, and the network.
fn network() {
    let mut is_there = NETWORK.lock().expect("nobody panicked");
    if !*is_there {
        podman("import /usr/share/guest/alpine.tar alpine:latest");
        podman("network create --driver macvlan --opt parent=eth0 --subnet 192.168.1.0/24 mv");
        *is_there = true;
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let words = ["--cgroup-manager=cgroupfs", "rm", "--force", "--time", "0", "--ignore", self.name];
        let _ = Command::new("podman").args(words).output();
    }
}
