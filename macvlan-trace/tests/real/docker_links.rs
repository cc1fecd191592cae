//! What happens to the links of Docker's containers, whoever does it. Docker is asked and acts in the same way with
//! systemd and without, so this is tried without only, where it is quicker.

use std::process::Command;

use crate::{
    docker::{cleared, ends_by_itself},
    dockerd::{self, Container, docker},
    harness::{Parent, Stream, Watch, ip, ip_path, run, sh},
};

#[test]
fn removal_by_force_is_told_as_a_kill_by_runc() {
    Watch::ready();
    let _web = Container::run("web", "", "exec sleep 1000");
    let trace = Watch::start();
    docker("rm --force web");
    trace.until_gone("web").incident(|event| {
        cleared(event, "web").verdict("container-killed", "likely").is("/culprit/comm", "runc")
    });
}

#[test]
fn a_main_process_that_ends_well_is_told_with_its_code() {
    ends_by_itself("exit 0", 0);
}

#[test]
fn a_command_that_is_not_there_was_never_started() {
    Watch::ready();
    dockerd::start();
    let trace = Watch::start();
    let create = "create --name web --network mv alpine:latest /no/such";
    docker(create);
    let start = Command::new("docker").args(["start", "web"]).output().expect("docker is installed");
    assert!(!start.status.success(), "there is no such command");
    let stream = trace.until_gone("web");
    docker("rm web");
    stream.incident(|event| {
        event
            .verdict("container-exited", "likely")
            .is("/victim/container/name", "web")
            .says("/verdict/cause", "The command of container web could not be started")
            .says("/verdict/remedy", "docker inspect -f '{{.State.Error}}' web")
    });
}

#[test]
fn a_main_process_that_is_killed_from_the_host_leads_to_who_did_it() {
    Watch::ready();
    let web = Container::run("web", "", "exec sleep 1000");
    let trace = Watch::start();
    let killer = run("sh", &["-c", &format!("echo $$; exec busybox kill -9 {}", web.pid)]);
    trace.until_gone("web").incident(|event| {
        cleared(event, "web")
            .verdict("container-killed", "likely")
            .is("/culprit/comm", "busybox")
            .is("/culprit/pid", killer.parse::<u32>().expect("a process id"))
            .says("/verdict/cause", &format!("busybox kill -9 {}", web.pid))
    });
}

#[test]
fn a_network_whose_parent_docker_made_takes_foreign_links_on_it_along() {
    Watch::ready();
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
    Watch::ready();
    let (_web, _db) = (Container::known("mv", "web", ""), Container::known("mv", "db", ""));
    let trace = Watch::start();
    ip("link set eth0 down");
    let stream = trace.stop();
    ip("link set eth0 up");
    stream.incident(|event| event.by("ip").verdict("parent-down", "certain").is("/event", "parent_down"));
    assert_eq!(victims(&stream), ["db", "web"], "{stream}");
}

#[test]
fn a_parent_that_is_deleted_under_two_containers_is_one_incident() {
    Watch::ready();
    let parent = Parent::dummy("par0");
    docker_on("par0", "mv-par0");
    let (web, db) = (Container::known("mv-par0", "web", ""), Container::known("mv-par0", "db", ""));
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
fn a_link_on_the_interface_of_a_container_goes_since_that_was_stopped() {
    Watch::ready();
    dockerd::start();
    docker("network create --driver bridge --subnet 192.168.9.0/24 outside");
    let outer = Container::run_on("outside", "outer", "--stop-timeout 1", "exec sleep 1000");
    let inner = Container::run("inner", "", "exec sleep 1000");
    run(
        "nsenter",
        &[
            &format!("--net=/proc/{}/ns/net", outer.pid),
            &ip_path(),
            "link",
            "add",
            "link",
            "eth0",
            "name",
            "mv0",
            "netns",
            &inner.pid.to_string(),
            "type",
            "macvlan",
        ],
    );
    run("nsenter", &[&format!("--net=/proc/{}/ns/net", inner.pid), &ip_path(), "link", "set", "mv0", "up"]);
    let mut trace = Watch::start();
    docker("stop outer");
    trace.wait_for_event("deleted", "mv0");
    let stream = trace.stop();
    stream.incident(|event| {
        event
            .is("/link/name", "mv0")
            .is("/actor/comm", "dockerd")
            .verdict("container-stopped", "likely")
            .is("/culprit/comm", "runc")
            .says("/verdict/cause", "of container outer")
            .says("/verdict/cause", "dockerd (PID ")
            .says("/verdict/cause", "the parent ")
    });
    assert!(inner.is_alive());
    drop(outer);
    docker("network rm outside");
}

#[test]
fn a_container_whose_address_is_taken_does_not_start_for_that_reason() {
    const MAC: &str = "02:42:c0:a8:01:64";
    Watch::ready();
    let _other = Container::known("mv", "other", "");
    let _web = Container::known("mv", "web", &format!("--mac-address {MAC}"));
    let trace = Watch::start();
    let words = format!("run --detach --name db --network mv --mac-address {MAC} alpine:latest sleep 1000");
    let done = Command::new("docker").args(words.split(' ')).output().expect("docker is installed");
    assert!(!done.status.success(), "it started");
    let stream = trace.stop();
    docker("rm --force db");
    stream.incident(|event| {
        event
            .is("/actor/comm", "dockerd")
            .verdict_sure_or_likely("address-in-use")
            .is("/culprit", serde_json::Value::Null)
            .says("/verdict/cause", "eth0 of container web has")
    });
    // Before 6.x, the address is looked at only as the link is set up.
    assert_eq!(stream.events_of("mac_failed").len() + stream.events_of("up_failed").len(), 1, "{stream}");
    assert_eq!(stream.events_of("deleted").len(), 1, "{stream}");
}

#[test]
fn a_restart_is_a_stop_of_a_container_that_is_made_again() {
    Watch::ready();
    let web = Container::run("web", "", "exec sleep 1000");
    let trace = Watch::start();
    docker("restart --time 1 web");
    trace.until_gone("web").incident(|event| {
        event
            .verdict("container-stopped", "likely")
            .is("/culprit/comm", "runc")
            .is("/victim/container/name", "web")
            .is("/victim/init/pid", web.pid)
    });
    assert!(web.is_alive());
}

#[test]
fn a_container_that_stays_behind_in_the_network_namespace_of_a_restarted_one_is_told() {
    Watch::ready();
    let web = Container::known("mv", "web", "");
    let _other = Container::known("mv", "other", "");
    let app = Container::run_on("container:web", "app", "", "exec sleep 1000");
    Watch::until_victim_is_known(web.pid, |victim| victim["shared_with"][0]["name"] == "app");
    let mut trace = Watch::start();
    docker("restart --time 1 web");
    trace.wait_for("the incident", |record| {
        record["type"] == "incident"
            && record["verdict"]["rule"] == "container-stopped"
            && record["victims"][0]["name"] == "web"
            && record["victims"][1]["name"] == "app"
            && record["victims"].as_array().is_some_and(|victims| victims.len() == 2)
    });
    let stream = trace.stop();
    stream
        .one("deleted", stream.events_of("deleted")[0]["link"]["name"].as_str().expect("a name"))
        .verdict("container-stopped", "likely")
        .is("/culprit/comm", "runc")
        .is("/victim/container/name", "web")
        .is("/victim/init/pid", web.pid)
        .is("/victim/shared_with/0/name", "app")
        .is("/victim/shared_with/1", serde_json::Value::Null)
        .says(
            "/verdict/cause",
            "cleared eth0 away, also from container app, which shared its network namespace",
        )
        .says("/verdict/remedy", "`docker restart app`");
    assert!(web.is_alive() && app.is_alive());
    // The remedy helps, and app lives with web again.
    assert_eq!(docker("exec app ls /sys/class/net"), "lo");
    docker("restart --time 1 app");
    assert!(docker("exec app ls /sys/class/net").contains("eth0"));
    // What is stopped with it does not stay behind.
    Watch::until_victim_is_known(dockerd::main_process("web"), |victim| {
        victim["shared_with"][0]["name"] == "app"
    });
    let trace = Watch::start();
    docker("stop --time 1 app web");
    trace.until_gone("web").incident(|event| {
        event.verdict("container-stopped", "likely").is("/victim/shared_with", serde_json::json!([]))
    });
}

#[test]
fn of_two_containers_the_one_that_is_stopped_is_told() {
    Watch::ready();
    let (web, db) =
        (Container::run("web", "", "exec sleep 1000"), Container::run("db", "", "exec sleep 1000"));
    let trace = Watch::start();
    docker("kill web");
    trace.until_gone("web").incident(|event| {
        cleared(event, "web")
            .verdict("container-killed", "likely")
            .is("/culprit/comm", "runc")
            .is("/victim/init/pid", web.pid)
    });
    assert!(db.is_alive());
}

#[test]
fn a_link_that_the_container_sets_down_is_its_own_doing() {
    Watch::ready();
    let web = Container::known("mv", "web", "--cap-add NET_ADMIN");
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
    is_done_from_the_host("link set eth0 down", "down");
}

#[test]
fn a_link_that_somebody_deletes_from_the_host_is_theirs() {
    is_done_from_the_host("link del eth0", "deleted");
}

/// Who enters a container's namespace from the host and does that is the culprit, and the container the victim.
fn is_done_from_the_host(words: &str, event: &str) {
    Watch::ready();
    let web = Container::known("mv", "web", "");
    let trace = Watch::start();
    sh(&format!("nsenter --net=/proc/{}/ns/net $IP {words}", web.pid));
    trace
        .stop()
        .only(event, "eth0")
        .by("ip")
        .verdict("direct", "certain")
        .is("/culprit/container", serde_json::Value::Null)
        .is("/victim/container/name", "web");
    assert!(web.is_alive());
}

#[test]
fn a_crash_loop_is_counted() {
    Watch::ready();
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
    for end in stream.events() {
        assert_eq!(
            (&end["verdict"]["rule"], &end["verdict"]["confidence"], &end["culprit"]["exit"]["code"]),
            (&"container-exited".into(), &"likely".into(), &1.into()),
            "{stream}"
        );
        assert_eq!(end["victim"]["container"]["name"], "web", "{stream}");
    }
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
