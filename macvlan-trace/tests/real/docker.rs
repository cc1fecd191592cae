//! What Docker Engine does to a container's link, with systemd and without.

use std::process::Command;

use crate::{
    dockerd::{self, Container, docker, has_systemd},
    harness::{Checked, Parent, Stream, ip, run, sh, until},
    watch::Watch,
};

#[test]
fn kill_is_told_as_a_kill_by_runc() {
    let _web = Container::run("web", "", "exec sleep 1000");
    let trace = Watch::start();
    docker("kill web");
    gone(trace, "web").incident(|event| {
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
fn removal_by_force_is_told_as_a_kill_by_runc() {
    let _web = Container::run("web", "", "exec sleep 1000");
    let trace = Watch::start();
    docker("rm --force web");
    gone(trace, "web").incident(|event| {
        cleared(event, "web").verdict("container-killed", "likely").is("/culprit/comm", "runc")
    });
}

#[test]
fn stop_of_a_process_that_does_not_heed_it_is_told_as_a_stop() {
    // The first process of a pid namespace gets no SIGTERM that it has not asked for.
    let _web = Container::run("web", "", "exec sleep 1000");
    let trace = Watch::start();
    docker("stop --time 1 web");
    gone(trace, "web").incident(|event| {
        cleared(event, "web")
            .verdict("container-stopped", "likely")
            .is("/culprit/comm", "runc")
            .is("/victim/init/exit/signal", 9)
            .says("/verdict/cause", "sent SIGTERM to the main process sleep")
            .says("/verdict/cause", "and SIGKILL 1.")
    });
}

#[test]
fn stop_of_a_process_that_heeds_it_is_told_as_a_stop() {
    let script = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done";
    let web = Container::run("web", "", script);
    until("the trap is set", || web.logs().contains("ready"));
    let trace = Watch::start();
    docker("stop web");
    gone(trace, "web").incident(|event| {
        cleared(event, "web")
            .verdict("container-stopped", "likely")
            .is("/culprit/comm", "runc")
            .is("/victim/init/exit/code", 0)
            .says("/verdict/cause", "which exited with code 0")
    });
}

#[test]
fn a_main_process_that_ends_well_is_told_with_its_code() {
    ends_by_itself("exit 0", 0);
}

#[test]
fn a_main_process_that_fails_is_told_with_its_code() {
    ends_by_itself("exit 3", 3);
}

/// A container whose main process ends with a code, and nobody is to blame but that.
fn ends_by_itself(script: &str, code: i32) {
    dockerd::start();
    let trace = Watch::start();
    let web = Container::run("web", "", &format!("read line; {script}"));
    web.type_line();
    gone(trace, "web").incident(|event| {
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
fn a_main_process_that_is_killed_from_the_host_leads_to_who_did_it() {
    let web = Container::run("web", "", "exec sleep 1000");
    let trace = Watch::start();
    let killer = run("sh", &["-c", &format!("echo $$; exec busybox kill -9 {}", web.pid)]);
    gone(trace, "web").incident(|event| {
        cleared(event, "web")
            .verdict("container-killed", "likely")
            .is("/culprit/comm", "busybox")
            .is("/culprit/pid", killer.parse::<u32>().expect("a process id"))
            .says("/verdict/cause", &format!("busybox kill -9 {}", web.pid))
    });
}

#[test]
fn a_container_that_runs_out_of_memory_is_told_with_its_limit() {
    dockerd::start();
    let trace = Watch::start();
    let script = "read line; exec dd if=/dev/zero of=/dev/null bs=256M count=1";
    let web = Container::run("web", "--memory 64m", script);
    web.type_line();
    gone(trace, "web").incident(|event| {
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
    dockerd::start();
    let trace = Watch::start();
    let web = Container::run("web", "", "exec sleep 1000");
    docker("network disconnect mv web");
    gone(trace, "web").incident(|event| {
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

#[test]
fn a_network_whose_parent_docker_made_takes_foreign_links_on_it_along() {
    dockerd::start();
    docker("network create --driver macvlan --subnet 192.168.7.0/24 --opt parent=eth0.7 vlan7");
    ip("link add macvlan7 link eth0.7 type macvlan");
    let trace = Watch::start();
    docker("network rm vlan7");
    let stream = trace.stop();
    stream
        .only("deleted", "macvlan7")
        .is("/actor/comm", "dockerd")
        .is("/culprit/comm", "dockerd")
        .verdict("parent-deleted", "certain")
        .is("/victim/container", serde_json::Value::Null)
        .says("/verdict/cause", "eth0.7");
}

#[test]
fn a_parent_that_is_set_down_under_two_containers_is_one_incident() {
    let (_web, _db) =
        (Container::run("web", "", "exec sleep 1000"), Container::run("db", "", "exec sleep 1000"));
    let trace = Watch::start();
    ip("link set eth0 down");
    let stream = trace.stop();
    ip("link set eth0 up");
    stream.incident(|event| event.by("ip").verdict("parent-down", "certain").is("/event", "parent_down"));
    assert_eq!(victims(&stream), ["db", "web"], "{stream}");
}

#[test]
fn a_parent_that_is_deleted_under_two_containers_is_one_incident() {
    let parent = Parent::dummy("par0");
    docker_on("par0", "mv-par0");
    let (web, db) = (
        Container::run_on("mv-par0", "web", "", "exec sleep 1000"),
        Container::run_on("mv-par0", "db", "", "exec sleep 1000"),
    );
    let trace = Watch::start();
    drop(parent);
    let stream = trace.stop();
    stream
        .incident(|event| event.by("ip").verdict("shared-parent-deleted", "certain").is("/event", "deleted"));
    assert_eq!(victims(&stream), ["db", "web"], "{stream}");
    drop((web, db));
    docker("network rm mv-par0");
}

#[test]
fn a_restart_is_a_stop_of_a_container_that_is_made_again() {
    let web = Container::run("web", "", "exec sleep 1000");
    let trace = Watch::start();
    docker("restart --time 1 web");
    gone(trace, "web").incident(|event| {
        event
            .verdict("container-stopped", "likely")
            .is("/victim/container/name", "web")
            .is("/victim/init/pid", web.pid)
    });
    assert!(web.is_alive());
}

#[test]
fn a_crash_loop_is_counted() {
    dockerd::start();
    let mut trace = Watch::start();
    let _web = Container::run("web", "--restart always", "exit 1");
    for _ in 0..3 {
        trace.wait_for("the end of web", |record| record["event"] == "deleted");
    }
    let stream = trace.stop();
    stream.complete();
    let ends = stream.events_of("deleted");
    let first = &ends[0]["incident"];
    assert_eq!(ends[0]["recurrence"], serde_json::Value::Null, "{stream}");
    for (end, count) in ends.iter().zip(1..).skip(1) {
        assert_ne!(end["incident"], *first, "{stream}");
        assert_eq!(
            (&end["recurrence"]["count"], &end["recurrence"]["first_incident"]),
            (&count.into(), first),
            "{stream}"
        );
    }
    assert!(stream.events().iter().all(|event| event["verdict"]["rule"] == "container-exited"), "{stream}");
}

#[test]
fn of_two_containers_the_one_that_is_stopped_is_told() {
    let (web, db) =
        (Container::run("web", "", "exec sleep 1000"), Container::run("db", "", "exec sleep 1000"));
    let trace = Watch::start();
    docker("kill web");
    gone(trace, "web").incident(|event| {
        cleared(event, "web").verdict("container-killed", "likely").is("/victim/init/pid", web.pid)
    });
    assert!(db.is_alive());
}

#[test]
fn a_container_whose_daemon_is_stopped_is_stopped_with_it() {
    let web = Container::run("web", "--stop-timeout 1", "exec sleep 1000");
    let trace = Watch::start();
    dockerd::stop_daemon();
    let stream = trace.stop();
    dockerd::start_daemon();
    stream.incident(|event| {
        event
            .is("/victim/container/name", "web")
            .is("/victim/init/pid", web.pid)
            .verdict("container-stopped", "likely")
    });
}

#[test]
fn a_link_that_the_container_sets_down_is_its_own_doing() {
    let web = Container::run("web", "--cap-add NET_ADMIN", "exec sleep 1000");
    let trace = Watch::start();
    docker("exec web ip link set eth0 down");
    trace
        .stop()
        .only("down", "eth0")
        .by("ip")
        .verdict("direct", "certain")
        .is("/culprit/container/name", "web")
        .is("/victim/container/name", "web");
    assert!(web.is_alive());
}

#[test]
fn a_link_that_somebody_sets_down_from_the_host_is_theirs() {
    let web = Container::run("web", "", "exec sleep 1000");
    let trace = Watch::start();
    sh(&format!("nsenter --net=/proc/{}/ns/net $IP link set eth0 down", web.pid));
    trace
        .stop()
        .only("down", "eth0")
        .by("ip")
        .verdict("direct", "certain")
        .is("/culprit/container", serde_json::Value::Null)
        .is("/victim/container/name", "web");
    assert!(web.is_alive());
}

#[test]
fn a_link_that_somebody_deletes_from_the_host_is_theirs() {
    let web = Container::run("web", "", "exec sleep 1000");
    let trace = Watch::start();
    sh(&format!("nsenter --net=/proc/{}/ns/net $IP link del eth0", web.pid));
    trace
        .stop()
        .only("deleted", "eth0")
        .by("ip")
        .verdict("direct", "certain")
        .is("/culprit/container", serde_json::Value::Null)
        .is("/victim/container/name", "web");
    assert!(web.is_alive());
}

/// Everything until the link of a container is deleted.
fn gone(mut trace: Watch, container: &str) -> Stream {
    trace.wait_for("a deletion", |record| {
        record["event"] == "deleted" && record["victim"]["container"]["name"] == container
    });
    trace.stop()
}

/// dockerd took the link of a container away after its end.
fn cleared<'a>(event: Checked<'a>, container: &str) -> Checked<'a> {
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

/// The names of the containers that lost a link.
fn victims(stream: &Stream) -> Vec<String> {
    let name = |event: &&serde_json::Value| event["victim"]["container"]["name"].as_str().map(str::to_owned);
    let mut names: Vec<_> = stream.events().iter().filter_map(name).collect();
    names.sort();
    names
}

/// A macvlan network on a parent.
fn docker_on(parent: &str, network: &str) {
    dockerd::start();
    docker(&format!(
        "network create --driver macvlan --subnet 192.168.9.0/24 --opt parent={parent} {network}"
    ));
}
