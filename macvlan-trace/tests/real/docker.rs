//! What Docker Engine does to a container's link, with systemd and without: what may depend on that. All else is in
//! [`docker_links`](crate::docker_links).

use std::collections::BTreeSet;

use crate::{
    dockerd::{self, Container, docker, has_systemd},
    harness::{Checked, Watch, until},
};

#[test]
fn kill_is_told_as_a_kill_by_runc() {
    Watch::ready();
    let _web = Container::run("web", "", "exec sleep 1000");
    let trace = Watch::start();
    docker("kill web");
    trace.until_gone("web").incident(|event| {
        cleared(event, "web")
            .verdict("container-killed", "likely")
            .is("/culprit/comm", "runc")
            .is("/victim/init/exit/signal", 9)
            .says("/verdict/cause", "sent SIGKILL to the main process sleep")
            .says("/verdict/cause", "who asked the runtime for it is not seen")
            .says("/verdict/remedy", "docker events --since 10m --until 0s --filter container=web")
    });
}

#[test]
fn stop_of_a_process_that_does_not_heed_it_is_told_as_a_stop() {
    Watch::ready();
    // The first process of a pid namespace gets no SIGTERM that it has not asked for.
    let _web = Container::run("web", "", "exec sleep 1000");
    let trace = Watch::start();
    docker("stop --time 1 web");
    trace.until_gone("web").incident(|event| {
        cleared(event, "web")
            .verdict("container-stopped", "likely")
            .is("/culprit/comm", "runc")
            .is("/victim/init/exit/signal", 9)
            .says("/verdict/cause", "sent SIGTERM to the main process sleep")
            .says("/verdict/cause", "and SIGKILL ")
    });
}

#[test]
fn stop_of_a_process_that_heeds_it_is_told_as_a_stop() {
    Watch::ready();
    let script = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done";
    let web = Container::run("web", "", script);
    until("the trap is set", || web.logs().contains("ready"));
    let trace = Watch::start();
    docker("stop web");
    trace.until_gone("web").incident(|event| {
        cleared(event, "web")
            .verdict("container-stopped", "likely")
            .is("/culprit/comm", "runc")
            .is("/victim/init/exit/code", 0)
            .says("/verdict/cause", "which exited with code 0")
    });
}

#[test]
fn a_main_process_that_fails_is_told_with_its_code() {
    ends_by_itself("exit 3", 3);
}

/// A container whose main process ends with a code, and nobody is to blame but that.
pub fn ends_by_itself(script: &str, code: i32) {
    dockerd::start();
    let trace = Watch::start();
    let web = Container::run("web", "", &format!("read line; {script}"));
    web.type_line();
    trace.until_gone("web").incident(|event| {
        cleared(event, "web")
            .verdict("container-exited", "likely")
            .is("/culprit/comm", "sh")
            .is("/culprit/container/name", "web")
            .is("/culprit/exit/code", code)
            .says("/verdict/cause", &format!("of container web exited with code {code}"))
            .says("/verdict/cause", "after eth0 came up")
            .holds("the link is older than it was up, and not by much", |record| {
                let (age, up) = (&record["link"]["age_ns"], &record["link"]["up_for_ns"]);
                let up = up.as_u64().or(age.as_u64());
                age.as_u64() >= up && age.as_u64().is_some_and(|age| age < 600_000_000_000)
            })
    });
}

#[test]
fn a_container_that_runs_out_of_memory_is_told_with_its_limit() {
    Watch::ready();
    dockerd::start();
    let trace = Watch::start();
    let script = "read line; exec dd if=/dev/zero of=/dev/null bs=256M count=1";
    let web = Container::run("web", "--memory 64m", script);
    web.type_line();
    trace.until_gone("web").incident(|event| {
        cleared(event, "web")
            .verdict("out-of-memory", "likely")
            .is("/culprit/container/name", "web")
            .is("/culprit/exit/signal", 9)
            .is("/verdict/evidence/0/what", "oom")
            .says("/verdict/cause", "in its control group, whose limit was reached")
    });
}

#[test]
fn a_network_that_is_disconnected_is_taken_away_from_a_living_container() {
    Watch::ready();
    dockerd::start();
    let trace = Watch::start();
    let web = Container::known("mv", "web", "");
    docker("network disconnect mv web");
    trace.until_gone("web").incident(|event| {
        let event = event
            .is("/actor/comm", "dockerd")
            .is("/culprit/comm", "dockerd")
            .is("/victim/container/name", "web")
            .says("/verdict/cause", "no end of a main process came first");
        if has_systemd() {
            event.verdict("runtime-teardown", "certain").is("/culprit/unit", "docker.service")
        } else {
            event.verdict("runtime-teardown", "likely").says("/verdict/cause", "made it for container web")
        }
    });
    assert!(web.is_alive());
}

/// dockerd took the link of a container away after its end.
pub fn cleared<'a>(event: Checked<'a>, container: &str) -> Checked<'a> {
    event
        .is("/actor/comm", "dockerd")
        .is("/victim/container/name", container)
        .is("/victim/container/runtime", "docker")
        .says("/verdict/cause", "then cleared eth0 away")
        .holds("the exit came less than a minute before", |record| {
            let at = |step: &serde_json::Value| step["boot_ns"].as_u64().unwrap_or_default();
            let steps = record["verdict"]["evidence"].as_array().expect("there are steps");
            let exit = steps.iter().find(|step| step["what"] == "exit").expect("one is the exit");
            at(record) > at(exit) && at(record) - at(exit) < 60_000_000_000
        })
}

#[test]
fn who_stops_the_daemon_is_why_its_containers_are_stopped() {
    Watch::ready();
    let [web, db] = ["web", "db"].map(|name| Container::run(name, "--stop-timeout 1", "exec sleep 1000"));
    let trace = Watch::start();
    dockerd::stop_daemon();
    let stream = trace.stop();
    dockerd::start_daemon();
    let (culprit, cause) = if has_systemd() {
        (1, "systemd (PID 1) stopped the unit docker.service: it sent SIGTERM to dockerd (PID ".to_owned())
    } else {
        let own = std::process::id();
        (own, format!("(PID {own}"))
    };
    let mut incidents = BTreeSet::new();
    for container in [&web, &db] {
        let deleted = stream.all().into_iter().rfind(|event| {
            event.value("/event") == "deleted" && event.value("/victim/init/pid") == container.pid
        });
        let deleted = deleted.expect("its link is gone");
        deleted
            .verdict("runtime-stopped", "likely")
            .is("/culprit/pid", culprit)
            .says("/verdict/cause", &cause)
            .says("/verdict/cause", "runc")
            .says("/verdict/remedy", "live-restore");
        incidents.insert(deleted.value("/incident").as_u64());
    }
    assert_eq!(incidents.len(), 1, "one stop, one incident");
}
