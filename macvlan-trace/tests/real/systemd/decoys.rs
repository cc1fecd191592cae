//! In which the obvious answer is wrong, or is not the whole of it.

use serde_json::Value;

use super::{File, NETWORK_MANAGER, only_manager};
use crate::{
    dockerd::{Container, docker, start, start_daemon, stop_daemon},
    harness::{Checked, Stream, Trace, run, until},
};

/// The main process of a container that ends when it is asked to.
const OBEDIENT: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

#[test]
fn networkmanager_looks_on_while_docker_takes_a_link_away() {
    only_manager(NETWORK_MANAGER);
    let _web = Container::run("web", "", "sleep 1000");
    let mut trace = Trace::start(&[]);
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
    let _live = LiveRestore::set();
    let _web = Container::run("web", "", OBEDIENT);
    let mut trace = Trace::start(&[]);
    stop_daemon();
    start_daemon();
    docker("stop web");
    trace.wait_for("the end of web", |record| record["event"] == "deleted");
    // Its own end is all that there is.
    trace.stop().incident(|event| stopped(event, "web"));
}

#[test]
fn containers_that_end_with_their_daemon_are_an_incident_each() {
    let _web = Container::run("web", "", OBEDIENT);
    let _db = Container::run("db", "", OBEDIENT);
    let mut trace = Trace::start(&[]);
    stop_daemon();
    for end in ["the first end", "the second end"] {
        trace.wait_for(end, |record| record["event"] == "deleted");
    }
    let stream = trace.stop();
    start_daemon();
    let incidents = ["web", "db"].map(|name| {
        let others =
            |record: &Value| record["type"] == "event" && record["victim"]["container"]["name"] != name;
        let records = stream.records.iter().filter(|record| !others(record)).cloned().collect();
        let its = Stream { records };
        its.incident(|event| stopped(event, name));
        its.events()[0]["incident"].clone()
    });
    assert_ne!(incidents[0], incidents[1], "{stream}");
    let strangers =
        stream.events().into_iter().filter(|event| event["victim"]["container"]["name"].is_null());
    assert_eq!(strangers.count(), 0, "{stream}");
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
        until("it is told", || docker("info --format {{.LiveRestoreEnabled}}") == "true");
        Self { _file: file }
    }
}

impl Drop for LiveRestore {
    fn drop(&mut self) {
        let _ = std::fs::write("/etc/docker/daemon.json", "{ \"live-restore\": false }\n");
        let _ = std::process::Command::new("systemctl").args(["reload", "docker"]).status();
    }
}
