//! How containers end, and what their runtimes do afterwards.

use std::{fs, process::Command};

use crate::harness::{Container, Parent, Place, Trace, Unit, Watch, in_guest, ip, own_netns, sh, until};
use crate::helpers;

#[test]
fn memory_that_runs_out_in_a_control_group_is_told_with_its_limit() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let limited = Unit::new("limited.scope");
    limited.set("memory.max", "8M");
    limited.set("memory.swap.max", "0");
    let mut container = Container::with_link(
        "macvlan0",
        &parent,
        "read line; exec dd if=/dev/zero of=/dev/null bs=64M count=1",
    );
    limited.take(container.pid);
    container.go();
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict("out-of-memory", "certain")
        .victim(&container)
        .is("/culprit/pid", container.pid)
        .is("/culprit/exit/signal", 9)
        .is("/verdict/evidence/0/what", "oom")
        .says("/verdict/cause", "limited.scope, whose limit was reached");
    container.wait();
}

#[test]
fn a_main_process_that_fails_with_its_child_has_run_out_of_memory_too() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let limited = Unit::new("limited.scope");
    limited.set("memory.max", "8M");
    limited.set("memory.swap.max", "0");
    let script = "read line; dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null; exit 7";
    let mut container = Container::with_link("macvlan0", &parent, script);
    limited.take(container.pid);
    container.go();
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict("out-of-memory", "likely")
        .victim(&container)
        .is("/culprit/pid", container.pid)
        .is("/culprit/exit/code", 7)
        .is("/verdict/evidence/0/what", "oom")
        .says("/verdict/cause", "and the kernel killed dd (PID ")
        .says("/verdict/cause", "after which the main process sh (PID ");
    container.wait();
}

/// A file that takes all memory but so much of it.
fn all_memory_but(left_kib: u64) -> Place {
    let memory = fs::read_to_string("/proc/meminfo").expect("it can be read");
    let available =
        memory.lines().find_map(|line| line.strip_prefix("MemAvailable:")).expect("it is counted");
    let available: u64 = available.trim().trim_end_matches(" kB").parse().expect("a number");
    let place = Place::in_memory("occupied", "100%");
    sh(&format!("busybox fallocate -l {}K {}", available.saturating_sub(left_kib), place.file("file")));
    place
}

#[test]
fn memory_that_runs_out_on_the_machine_is_told_as_such() {
    if !in_guest() {
        return; // A real machine's memory is somebody's.
    }
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let script = "read line; echo 1000 > /proc/self/oom_score_adj; exec busybox tail /dev/zero";
    let mut container = Container::with_link("macvlan0", &parent, script);
    // To read zeros into the last of it takes seconds less.
    let occupied = all_memory_but(64 << 10);
    container.go();
    trace.wait_for_event("deleted", "macvlan0");
    drop(occupied);
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict("out-of-memory", "certain")
        .victim(&container)
        .is("/culprit/pid", container.pid)
        .is("/culprit/exit/signal", 9)
        .says("/verdict/cause", "Memory ran out on the machine and the kernel killed the main process");
    container.wait();
}

#[test]
fn a_runtime_that_clears_away_after_an_exit_is_not_the_culprit() {
    Watch::ready();
    let parent = Parent::dummy("par0");
    let runtime = Unit::new("docker.service");
    let mut container = Container::with_link("macvlan0", &parent, "read line; exit 3");
    let pid = container.pid;
    let held = fs::File::open(format!("/proc/{pid}/ns/net")).expect("it can be opened");
    let own = std::process::id();
    let door = format!("/proc/{own}/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&held));
    let mut trace = Watch::of(&["down", "renamed", "moved", "deleted"]);
    container.go();
    container.wait();
    // As Docker does: down inside, a passing name, back to the host, deleted there.
    runtime.sh(&format!(
        "nsenter --net={door} $IP link set macvlan0 down; nsenter --net={door} $IP link set macvlan0 name veth1234; \
         nsenter --net={door} $IP link set veth1234 netns 1; $IP link del veth1234"
    ));
    trace.wait_for_event("deleted", "veth1234");
    let stream = trace.stop();
    stream.incident(|event| {
        event
            .verdict("container-exited", "likely")
            .is("/actor/unit", "docker.service")
            .is("/culprit/pid", pid)
            .is("/culprit/exit/code", 3)
            .is("/victim/init/pid", pid)
    });
    stream.one("down", "macvlan0").victim(&container);
    stream.one("renamed", "veth1234").victim(&container);
    stream.one("moved", "veth1234").victim(&container).is("/to/netns/inode", own_netns());
    stream.one("deleted", "veth1234").is("/link/netns/inode", own_netns());
    assert_eq!(stream.events().len(), 4, "{stream}");
    drop(held);
}

#[test]
fn a_runtime_that_clears_away_after_a_kill_leads_to_the_killer() {
    let trace = Watch::start();
    let parent = Parent::dummy("par0");
    let runtime = Unit::new("docker.service");
    let mut container = Container::with_link("macvlan0", &parent, "read line");
    let pid = container.pid;
    let held = fs::File::open(format!("/proc/{pid}/ns/net")).expect("it can be opened");
    let door = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&held));
    sh(&format!("exec busybox kill -9 {pid}"));
    container.wait();
    runtime.sh(&format!("nsenter --net={door} $IP link del macvlan0"));
    trace
        .stop()
        .only("deleted", "macvlan0")
        .verdict("container-killed", "likely")
        .victim(&container)
        .is("/actor/unit", "docker.service")
        .is("/culprit/comm", "busybox")
        .is("/culprit/args/3", pid.to_string());
    drop(held);
}

#[test]
fn a_runtime_that_only_unmounts_after_an_exit_is_not_the_culprit() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let runtime = Unit::new("docker.service");
    let mut container = Container::with_link("macvlan0", &parent, "read line; exit 3");
    let pid = container.pid;
    sh(&format!(
        "mkdir -p /run/netns; touch /run/netns/mt-pin; mount --bind /proc/{pid}/ns/net /run/netns/mt-pin"
    ));
    container.go();
    container.wait();
    runtime.sh("exec umount /run/netns/mt-pin");
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict("container-exited", "likely")
        .victim(&container)
        .is("/culprit/pid", pid)
        .is("/culprit/exit/code", 3);
    sh("rm /run/netns/mt-pin");
}

#[test]
fn a_person_who_deletes_a_dead_containers_link_did_it() {
    let trace = Watch::start();
    let parent = Parent::dummy("par0");
    let mut container = Container::with_link("macvlan0", &parent, "read line");
    let held = fs::File::open(format!("/proc/{}/ns/net", container.pid)).expect("it can be opened");
    let door = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&held));
    container.go();
    container.wait();
    sh(&format!("nsenter --net={door} $IP link del macvlan0"));
    // Nobody who works for a runtime: what it did is what is known.
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by("ip")
        .verdict("direct", "certain")
        .is("/link/netns/inode", container.netns());
    drop(held);
}

#[test]
fn any_signal_can_be_the_one_that_stops() {
    Watch::ready();
    for (number, name) in [(28, "SIGWINCH"), (37, "SIGRTMIN+3")] {
        let parent = Parent::dummy("par0");
        let mut container = Container::with_link(
            "macvlan0",
            &parent,
            &format!("trap 'exit 0' {number}; echo ready; while :; do sleep 0.1; done"),
        );
        assert_eq!(container.line(), "ready");
        let pid = container.pid;
        let mut trace = Watch::start();
        sh(&format!("exec busybox kill -{number} {pid}"));
        trace.wait_for_event("deleted", "macvlan0");
        trace
            .stop()
            .only("deleted", "macvlan0")
            .by_worker()
            .verdict("container-stopped", "likely")
            .victim(&container)
            .is("/culprit/comm", "busybox")
            .is("/victim/init/exit/code", 0)
            .says("/verdict/cause", &format!("sent {name}"));
        container.wait();
    }
}

#[test]
fn a_runtime_that_kills_what_ignores_its_request_has_stopped_it() {
    Watch::ready();
    // An image may name any signal as the request.
    for (number, name) in [(15, "SIGTERM"), (28, "SIGWINCH")] {
        let parent = Parent::dummy("par0");
        let runtime = Unit::new("docker.service");
        // The init of a pid namespace ignores what it has no handler for.
        let mut container = Container::with_link("macvlan0", &parent, "read line");
        let pid = container.pid;
        let mut trace = Watch::start();
        runtime.sh(&format!("busybox kill -{number} {pid}; exec busybox kill -9 {pid}"));
        trace.wait_for_event("deleted", "macvlan0");
        trace
            .stop()
            .only("deleted", "macvlan0")
            .by_worker()
            .verdict("container-stopped", "likely")
            .victim(&container)
            .is("/culprit/unit", "docker.service")
            .is("/victim/init/exit/signal", 9)
            .says("/verdict/cause", &format!("sent {name} to the main process sh"))
            .says("/verdict/cause", "and SIGKILL");
        container.wait();
    }
}

#[test]
fn who_watches_over_the_main_process_kills_it_for_who_has_asked() {
    Watch::ready();
    // As `lxc-stop` does, and LXC's monitor for it: one asks, and the parent of the main process kills.
    for (asks, rule, culprit) in [(true, "container-stopped", "lxc-stop"), (false, "container-killed", "sh")]
    {
        let _parent = Parent::dummy("par0");
        let main = "read pid rest < /proc/self/stat; echo $pid; exec sleep 600";
        let monitor = format!("unshare -p -f -n sh -c '{main}' & read line; read it; kill -9 $it; wait");
        let mut container = Container::spawn(&["sh", "-c"], &monitor);
        let monitor = container.pid;
        let init: u32 = container.line().parse().expect("a process id");
        ip("link add macvlan0 link par0 type macvlan");
        ip(&format!("link set macvlan0 netns {init}"));
        let mut trace = Watch::start();
        if asks {
            helpers::ask_for_the_end("lxc-stop", init);
        }
        container.go();
        container.hears(&init.to_string());
        container.wait();
        trace.wait_for_event("deleted", "macvlan0");
        let stream = trace.stop();
        let told = stream
            .only("deleted", "macvlan0")
            .by_worker()
            .is("/verdict/rule", rule)
            .is("/culprit/args/0", culprit)
            .is("/victim/init/pid", init);
        if asks {
            told.says(
                "/verdict/cause",
                &format!("and sh (PID {monitor}), which watches over it, sent SIGKILL"),
            )
            .is("/verdict/confidence", "likely");
        }
    }
}

#[test]
fn a_main_process_without_a_pid_namespace_that_its_runtime_clears_away_after_is_the_culprit() {
    let parent = Parent::dummy("par0");
    let id = "a".repeat(64);
    let (scope, runtime) = (Unit::new(&format!("docker-{id}.scope")), Unit::new("docker.service"));
    let container = Container::without_pid_namespace("read line; exit 3");
    scope.take(container.pid);
    let mut container = container.give("macvlan0", &parent);
    let held = fs::File::open(format!("/proc/{}/ns/net", container.pid)).expect("it can be opened");
    let door = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&held));
    // It finds everybody who lives in a namespace when it starts, and later with time only.
    let trace = Trace::start(&[]);
    container.go();
    container.wait();
    runtime.sh(&format!("nsenter --net={door} $IP link del macvlan0"));
    trace
        .stop()
        .only("deleted", "macvlan0")
        .verdict("container-exited", "likely")
        .victim(&container)
        .is("/actor/unit", "docker.service")
        .is("/culprit/pid", container.pid)
        .is("/culprit/exit/code", 3)
        .is("/victim/container/id", id);
    drop(held);
}

#[test]
fn a_sidecar_that_ends_after_the_container_is_not_the_one_that_lost_its_link() {
    let trace = Watch::start();
    let parent = Parent::dummy("par0");
    let id = |digit: &str| digit.repeat(64);
    let [of_web, of_sidecar] = ["a", "b"].map(|digit| Unit::new(&format!("docker-{}.scope", id(digit))));
    let runtime = Unit::new("docker.service");
    let web = Container::start("read line; exit 4");
    of_web.take(web.pid);
    let mut web = web.give("macvlan0", &parent);
    let enter = format!("--net=/proc/{}/ns/net", web.pid);
    let mut sidecar =
        Container::spawn(&["nsenter", &enter, "unshare", "-p", "-f", "sh", "-c"], "read line; exit 5");
    of_sidecar.take(sidecar.pid);
    let held = fs::File::open(format!("/proc/{}/ns/net", web.pid)).expect("it can be opened");
    let door = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&held));
    for ends in [&mut web, &mut sidecar] {
        ends.go();
        ends.wait();
    }
    runtime.sh(&format!("nsenter --net={door} $IP link del macvlan0"));
    trace
        .stop()
        .only("deleted", "macvlan0")
        .verdict("container-exited", "likely")
        .victim(&web)
        .is("/culprit/pid", web.pid)
        .is("/culprit/exit/code", 4)
        .is("/victim/container/id", id("a"));
    drop(held);
}

#[test]
fn of_two_containers_only_the_one_that_ended_is_told() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let innocent = Container::with_link("macvlan1", &parent, "read line");
    let mut guilty = Container::with_link("macvlan0", &parent, "read line; exit 7");
    guilty.go();
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict("container-exited", "certain")
        .victim(&guilty)
        .is("/culprit/pid", guilty.pid)
        .is("/culprit/exit/code", 7);
    guilty.wait();
    drop(innocent);
}

#[test]
fn a_process_id_that_is_used_again_before_the_deletion_blames_the_first() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let mut container = Container::with_link("macvlan0", &parent, "read line; exit 5");
    let pid = container.pid;
    let held = fs::File::open(format!("/proc/{pid}/ns/net")).expect("it can be opened");
    container.go();
    container.wait();
    // A process gets the number of the dead one, unless the kernel has just taken it for a thread of its own.
    until("the number is used again", || {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).expect("it can be set");
        let mut next = Command::new("true").spawn().expect("it starts");
        next.wait().expect("it ends");
        next.id() == pid
    });
    drop(held);
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict_sure_or_likely("container-exited")
        .victim(&container)
        .is("/culprit/pid", pid)
        .is("/culprit/comm", "sh")
        .is("/culprit/exit/code", 5);
}

#[test]
fn a_container_in_another_one_works_on_the_wrong_link() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let id = |digit: &str| digit.repeat(64);
    let controller = Unit::new(&format!("docker-{}.scope", id("a")));
    let owner = Unit::new(&format!("docker-{}.scope", id("b")));
    let container = Container::start("read line");
    owner.take(container.pid);
    let container = container.give("macvlan0", &parent);
    let net = format!("--net=/proc/{}/ns/net", container.pid);
    // Before the tracer has found out whose the link is, it says no more than what was done.
    let mut event = serde_json::Value::Null;
    while event["victim"]["container"].is_null() {
        controller
            .sh(&format!("nsenter {net} $IP link set macvlan0 down; nsenter {net} $IP link set macvlan0 up"));
        event = trace.wait_for_event("down", "macvlan0");
    }
    let stream = trace.stop();
    let downs = stream.all();
    for down in &downs {
        down.tells("down", "macvlan0")
            .by("ip")
            .is("/culprit/container/id", id("a"))
            .is("/link/netns/inode", container.netns());
    }
    let (told, before) = downs.split_last().expect("it was waited for");
    told.verdict("wrong-target", "likely").is("/victim/container/id", id("b"));
    for down in before {
        down.verdict("direct", "certain");
    }
}

#[test]
fn a_deleted_link_that_does_not_come_back_is_missed() {
    let _parent = Parent::dummy("par0");
    for link in ["mv0", "mv1"] {
        ip(&format!("link add {link} link par0 type macvlan"));
    }
    let mut trace = Trace::start(&["--missed-after", "5s"]);
    ip("link del mv0");
    ip("link del mv1");
    ip("link add mv1 link par0 type macvlan");
    let notice = trace.wait_for("a notice", |record| record["type"] == "notice");
    assert_eq!(notice["rule"], "not-recreated", "{notice}");
    let message = notice["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("mv0 was deleted") && !message.contains("mv1"), "{notice}");
    let stream = trace.stop();
    assert_eq!(stream.records.iter().filter(|record| record["type"] == "notice").count(), 1, "{stream}");
    let missed = stream.one("deleted", "mv0").by("ip").verdict("direct", "certain");
    missed.is("/incident", notice["incident"].clone());
    stream.one("deleted", "mv1").by("ip").verdict("direct", "certain");
    assert_eq!(stream.all().len(), 2, "{stream}");
}
