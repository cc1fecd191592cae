//! In which the obvious answer is wrong, or is not the whole of it.

use super::{File, NETWORK_MANAGER, only_manager};
use crate::{
    dockerd::{Container, ask, docker, start, start_daemon, stop_daemon},
    harness::{Checked, Stream, Watch, ip, ip_path, run, until},
};

/// The main process of a container that ends when it is asked to.
const OBEDIENT: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

#[test]
fn networkmanager_looks_on_while_docker_takes_a_link_away() {
    Watch::ready();
    only_manager(NETWORK_MANAGER);
    let _web = Container::run("web", "", "exec sleep 1000");
    let mut trace = Watch::start();
    docker("kill web");
    trace.wait_for("the end of web", |record| record["event"] == "deleted");
    trace.stop().incident(|event| {
        event
            .verdict("container-killed", "likely")
            .is("/culprit/comm", "runc")
            .is("/victim/container/name", "web")
            .says("/verdict/cause", "SIGKILL")
    });
    run("systemctl", &["stop", NETWORK_MANAGER]);
}

#[test]
fn a_container_that_outlives_its_daemon_keeps_its_link() {
    Watch::ready();
    let _live = LiveRestore::set();
    let _web = Container::run("web", "", OBEDIENT);
    let mut trace = Watch::start();
    stop_daemon();
    start_daemon();
    docker("stop web");
    trace.wait_for("the end of web", |record| record["event"] == "deleted");
    // Its own end is all that there is.
    trace.stop().incident(|event| stopped(event, "web"));
}

#[test]
fn a_nightly_job_that_deletes_the_link_of_one_of_two_containers_is_told_by_its_unit() {
    Watch::ready();
    let web = Container::known("mv", "web", "");
    let _db = Container::known("mv", "db", "");
    let mut trace = Watch::start();
    job(&["--wait", "--unit=nightly.service"], &enter(&web, "link del eth0"));
    trace.wait_for_event("deleted", "eth0");
    trace
        .stop()
        .only("deleted", "eth0")
        .by("ip")
        .verdict("direct", "certain")
        .is("/culprit/unit", "nightly.service")
        .is("/victim/container/name", "web");
}

#[test]
fn a_person_in_a_login_session_is_told_by_the_terminal() {
    Watch::ready();
    let web = Container::known("mv", "web", "");
    let mut trace = Watch::start();
    let typed = format!("exec script --quiet --command '{}' /dev/null", enter(&web, "link set eth0 down"));
    job(&["--scope", "--slice=user-1000.slice", "--unit=session-7.scope"], &typed);
    trace.wait_for_event("down", "eth0");
    trace
        .stop()
        .only("down", "eth0")
        .by("ip")
        .verdict("by-hand", "likely")
        .is("/culprit/unit", "session-7.scope")
        .is("/culprit/session", "7")
        .is("/victim/container/name", "web");
}

#[test]
fn a_unit_with_a_namespace_of_its_own_that_is_stopped_is_told_by_its_name() {
    Watch::ready();
    let service = Service::start();
    let trace = Watch::start();
    run("systemctl", &["stop", "private.service"]);
    service.ended(trace).incident(|event| {
        event
            .verdict("container-stopped", "likely")
            .is("/culprit/pid", 1)
            .says("/verdict/cause", "systemd (PID 1) stopped the unit private.service: it sent SIGTERM to")
            .says("/verdict/cause", "who asked it for that is not seen")
            .says("/verdict/remedy", "`systemctl status private.service`")
    });
}

#[test]
fn a_unit_whose_process_somebody_else_ends_was_not_stopped_by_systemd() {
    Watch::ready();
    let service = Service::start();
    let trace = Watch::start();
    let killer = run("sh", &["-c", &format!("echo $$; exec busybox kill {}", service.pid)]);
    service.ended(trace).incident(|event| {
        event
            .verdict_sure_or_likely("container-killed")
            .is("/culprit/comm", "busybox")
            .is("/culprit/pid", killer.parse::<u32>().expect("a process id"))
    });
}

/// A unit with a network namespace of its own and a macvlan link in it.
struct Service {
    pid: u32,
}

impl Service {
    fn start() -> Self {
        ip("link set eth0 up");
        let unit = ["--quiet", "--unit=private.service", "--property=PrivateNetwork=yes"];
        run("systemd-run", &[&unit[..], &["sleep", "1000"]].concat());
        let pid = run("systemctl", &["show", "--property=MainPID", "--value", "private.service"]);
        ip("link add mv0 link eth0 type macvlan");
        ip(&format!("link set mv0 netns {pid}"));
        Self { pid: pid.parse().expect("a process id") }
    }

    /// Everything until the link is deleted.
    fn ended(&self, mut trace: Watch) -> Stream {
        trace.wait_for("a deletion", |record| {
            record["event"] == "deleted" && record["victim"]["init"]["pid"] == self.pid
        });
        trace.stop()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = std::process::Command::new("systemctl").args(["stop", "private.service"]).status();
        let _ = std::process::Command::new("systemctl").args(["reset-failed", "private.service"]).status();
    }
}

/// Docker stopped it, by way of runc, and it ended by itself.
fn stopped<'a>(event: Checked<'a>, container: &str) -> Checked<'a> {
    event
        .verdict("container-stopped", "likely")
        .is("/culprit/comm", "runc")
        .is("/victim/container/name", container)
        .says("/verdict/cause", "SIGTERM")
}

/// Docker's containers outlive it, until the test ends.
struct LiveRestore {
    _file: File,
}

impl LiveRestore {
    fn set() -> Self {
        start();
        let file = File::write("/etc/docker/daemon.json", "{ \"live-restore\": true }\n");
        run("systemctl", &["reload", "docker"]);
        until("it is told", || ask("/info").is_some_and(|info| info["LiveRestoreEnabled"] == true));
        Self { _file: file }
    }
}

impl Drop for LiveRestore {
    fn drop(&mut self) {
        let _ = std::fs::write("/etc/docker/daemon.json", "{ \"live-restore\": false }\n");
        let _ = std::process::Command::new("systemctl").args(["reload", "docker"]).status();
    }
}

/// The command that changes the link of a container from outside.
fn enter(container: &Container, words: &str) -> String {
    format!("nsenter --net=/proc/{}/ns/net {} {words}", container.pid, ip_path())
}

/// Runs a command line in a unit of its own.
fn job(options: &[&str], line: &str) {
    run("systemd-run", &[options, &["--quiet", "sh", "-c", line]].concat());
}
