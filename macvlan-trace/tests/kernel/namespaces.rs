//! Links that go with their network namespace: a kernel worker deletes them, and somebody else is the reason.

use std::{
    fs::{self, File},
    os::fd::AsRawFd as _,
    sync::mpsc::channel,
    thread,
};

use crate::harness::{Container, NamedNetns, Parent, Trace, Watch, ip, own_netns, run, sh, until};
use crate::helpers;

#[test]
fn a_main_process_that_exits_is_the_culprit() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let mut ended = Vec::new();
    for (link, script, code) in [("macvlan0", "read line", 0), ("macvlan3", "read line; exit 3", 3)] {
        let mut container = Container::with_link(link, &parent, script);
        container.go();
        container.wait();
        trace.wait_for_event("deleted", link);
        ended.push((link, container, code));
    }
    let stream = trace.stop();
    stream.complete();
    assert_eq!(stream.events().len(), 2, "{stream}");
    for (link, container, code) in ended {
        stream
            .one("deleted", link)
            .by_worker()
            .verdict("container-exited", "certain")
            .victim(&container)
            .is("/culprit/pid", container.pid)
            .is("/culprit/comm", "sh")
            .is("/culprit/exit/code", code)
            .is("/culprit/exit/signal", serde_json::Value::Null)
            .is("/link/parent/name", "par0")
            .is("/link/parent/netns", own_netns())
            .is("/link/parent/deleted", false)
            .is("/culprit/netns", container.netns())
            .says("/verdict/cause", &format!("exited with code {code}"));
    }
}

#[test]
fn the_time_since_it_came_up_is_told() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let mut container = Container::with_link("macvlan0", &parent, "read line");
    container.go();
    container.wait();
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict("container-exited", "certain")
        .victim(&container)
        .is("/culprit/pid", container.pid)
        .says("/verdict/cause", "after macvlan0 came up")
        .holds("the chain is whole and in order", |event| {
            let steps: Vec<_> = event["verdict"]["evidence"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|step| step["what"].clone())
                .collect();
            steps == ["exit", "netns_end", "deleted"]
        });
}

#[test]
fn who_kills_the_main_process_is_the_culprit() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let mut container = Container::with_link("macvlan0", &parent, "read line");
    let init = container.pid;
    run("busybox", &["kill", "-9", &init.to_string()]);
    container.wait();
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict("container-killed", "certain")
        .victim(&container)
        .is("/actor/exe", serde_json::Value::Null)
        .is("/culprit/comm", "busybox")
        .is("/culprit/args", serde_json::json!(["busybox", "kill", "-9", init.to_string()]))
        .is("/culprit/cgroup/path", "/")
        .is("/victim/init/exit/signal", 9)
        .is("/victim/init/exit/core_dumped", false)
        .is("/victim/init/exit/sender/comm", "busybox")
        .says("/verdict/cause", "SIGKILL");
}

#[test]
fn a_container_that_is_powered_off_from_inside_has_ended_by_itself() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    // The kernel kills the main process for it, in the name of nobody.
    let mut container =
        Container::with_link("macvlan0", &parent, "read line; busybox poweroff -f; read line");
    container.go();
    container.wait();
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict_sure_or_likely("container-exited")
        .victim(&container)
        .is("/culprit/pid", container.pid)
        .is("/culprit/exit/signal", 9)
        .says("/verdict/cause", "was powered off from inside");
}

#[test]
fn who_asks_the_main_process_to_end_is_the_likely_culprit() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let script = "trap 'exit 0' TERM; echo ready; while :; do busybox usleep 20000; done";
    let mut container = Container::with_link("macvlan0", &parent, script);
    assert_eq!(container.line(), "ready");
    run("busybox", &["kill", "-TERM", &container.pid.to_string()]);
    container.wait();
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict("container-stopped", "likely")
        .victim(&container)
        .is("/culprit/comm", "busybox")
        .is("/victim/init/exit/code", 0)
        .is("/victim/init/exit/sender/comm", "busybox");
}

#[test]
fn a_main_process_that_crashes_is_its_own_culprit_and_its_core_is_told() {
    Watch::ready();
    let parent = Parent::dummy("par0");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let before = format!("cd {}; ulimit -c unlimited;", folder.path().display());
    // A shell that runs out of stack, and one of several threads, whose main thread ends before the core is written.
    let endless = format!("{before} ulimit -s 512; read line; endless() {{ endless; }}; endless");
    for (crashing, threads) in [(Container::start(&endless), 1), (helpers::container("aborts", &before), 2)] {
        let mut container = crashing.give("macvlan0", &parent);
        let init = container.pid;
        assert_eq!(fs::read_dir(format!("/proc/{init}/task")).expect("it is there").count(), threads);
        let mut trace = Watch::start();
        container.go();
        container.wait();
        trace.wait_for_event("deleted", "macvlan0");
        trace
            .stop()
            .only("deleted", "macvlan0")
            .by_worker()
            .verdict("container-exited", "certain")
            .victim(&container)
            .is("/culprit/pid", init)
            .is("/culprit/exit/signal", 11)
            .is("/culprit/exit/core_dumped", true)
            .says("/verdict/cause", "was ended by SIGSEGV and dumped its core");
    }
}

#[test]
fn a_signal_of_an_init_to_itself_ends_nothing() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let mut container = Container::with_link("macvlan0", &parent, "read line; exec busybox kill -SEGV 1");
    // The kernel drops it, since nothing handles it, and the process comes to its end.
    container.go();
    container.wait();
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict("container-exited", "certain")
        .victim(&container)
        .is("/culprit/pid", container.pid)
        .is("/culprit/exit/code", 0)
        .is("/culprit/exit/core_dumped", false);
}

#[test]
fn an_open_connection_does_not_shift_the_blame() {
    Watch::ready();
    let parent = Parent::dummy("par0");
    // Its sockets are freed later, in softirq, under whoever is interrupted: that drops the namespace, unless its
    // supervisor is slower to go.
    for _ in 0..5 {
        let mut container = helpers::container("ends_with_a_connection_open", "").give("macvlan0", &parent);
        let mut trace = Watch::start();
        container.go();
        container.wait();
        trace.wait_for_event("deleted", "macvlan0");
        let stream = trace.stop();
        let told = stream
            .only("deleted", "macvlan0")
            .by_worker()
            .verdict_sure_or_likely("container-exited")
            .victim(&container)
            .is("/culprit/pid", container.pid)
            .is("/culprit/exit/code", 3);
        let detail = told.value("/verdict/evidence/1/detail");
        if detail.as_str().is_some_and(|detail| detail.contains("dropped later, outside any task's context"))
        {
            told.verdict("container-exited", "certain").is("/verdict/evidence/1/what", "netns_end");
            return;
        }
    }
    panic!("the sockets were never the last to go");
}

#[test]
fn an_open_file_of_another_process_delays_the_end_and_keeps_the_blame() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let mut container = Container::with_link("macvlan0", &parent, "read line; exit 3");
    let hold = File::open(format!("/proc/{}/ns/net", container.pid)).expect("the namespace opens");
    container.go();
    container.wait();
    drop(hold);
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict_sure_or_likely("container-exited")
        .victim(&container)
        .is("/culprit/pid", container.pid)
        .is("/culprit/exit/code", 3);
}

#[test]
fn who_closes_a_namespace_that_nobody_lived_in_is_the_culprit() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let named = NamedNetns::add("mt-held");
    ip(&format!("link add macvlan0 link {} netns mt-held type macvlan", parent.0));
    let inode = named.inode();
    let hold = File::open("/run/netns/mt-held").expect("the namespace opens");
    drop(named);
    drop(hold);
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict_sure_or_likely("netns-deleted")
        .is("/culprit/pid", std::process::id())
        .is("/link/netns/inode", inode);
}

#[test]
fn ip_netns_del_is_the_culprit() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let named = NamedNetns::add("mt-named");
    ip(&format!("link add macvlan0 link {} netns mt-named type macvlan", parent.0));
    // A command that ran in it and left is no reason for its end.
    ip("netns exec mt-named true");
    let inode = named.inode();
    ip("netns exec mt-named true");
    ip("netns del mt-named");
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict_sure_or_likely("netns-deleted")
        .is("/culprit/comm", "ip")
        .is("/culprit/args/2", "del")
        .is("/link/netns/inode", inode)
        .is("/link/netns/name", "mt-named");
}

#[test]
fn ip_netns_del_is_the_culprit_right_after_another_command_in_it() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let named = NamedNetns::add("mt-named");
    ip(&format!("link add macvlan0 link {} netns mt-named type macvlan", parent.0));
    let inode = named.inode();
    // The first one's socket is freed a moment later, and holds the namespace until then.
    sh("$IP -n mt-named link show >/dev/null; $IP netns del mt-named");
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict_sure_or_likely("netns-deleted")
        .is("/culprit/comm", "ip")
        .is("/culprit/args/2", "del")
        .is("/link/netns/inode", inode);
    drop(named);
}

#[test]
fn a_supervisor_that_ends_because_the_init_did_is_not_the_culprit() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    // The shell lives in the network namespace too, and leaves it last, with a code of its own.
    let mut container = Container::without_pid_namespace("unshare -p -f sh -c 'read line; exit 3'; exit 9")
        .give("macvlan0", &parent);
    let supervisor = container.pid;
    container.go();
    container.wait();
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict("container-exited", "certain")
        .is("/culprit/exit/code", 3)
        .is("/victim/init/exit/code", 3)
        .is("/link/netns/inode", container.netns())
        .holds("it is not the supervisor", |event| event["culprit"]["pid"] != supervisor);
}

#[test]
fn a_visitor_that_leaves_last_is_not_the_culprit() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let mut container = Container::without_pid_namespace("read line; exit 3").give("macvlan0", &parent);
    let pid = container.pid;
    let mut visitor =
        Container::spawn(&["nsenter", &format!("--net=/proc/{pid}/ns/net"), "sh", "-c"], "read line");
    container.go();
    container.wait();
    visitor.go();
    visitor.wait();
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict("container-exited", "likely")
        .victim(&container)
        .is("/culprit/pid", pid)
        .is("/culprit/exit/code", 3);
}

#[test]
fn a_visitor_that_outlives_the_main_process_holds_the_namespace_until_somebody_kills_it() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let mut container = Container::with_link("macvlan0", &parent, "read line");
    let netns = format!("--net=/proc/{}/ns/net", container.pid);
    let mut visitor = Container::spawn(&["nsenter", &netns, "sh", "-c"], "read line");
    run("busybox", &["kill", "-9", &container.pid.to_string()]);
    container.wait();
    ip(&format!("link add macvlan1 link par0 netns {} type macvlan", visitor.pid));
    run("sh", &["-c", &format!("kill -9 {}", visitor.pid)]);
    visitor.wait();
    trace.wait_for_event("deleted", "macvlan0");
    let stream = trace.stop();
    stream.complete();
    for (link, steps) in [("macvlan0", 6), ("macvlan1", 4)] {
        stream
            .one("deleted", link)
            .by_worker()
            .verdict_sure_or_likely("container-killed")
            .is("/culprit/comm", "sh")
            .is("/victim/init/pid", visitor.pid)
            .holds("the end of the main process is a step only of the older link", |event| {
                event["verdict"]["evidence"].as_array().is_some_and(|evidence| evidence.len() == steps)
            });
    }
}

#[test]
fn a_link_that_came_after_the_main_process_had_ended_did_not_go_with_it() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let mut container = Container::with_link("macvlan0", &parent, "read line; exit 3");
    let hold = File::open(format!("/proc/{}/ns/net", container.pid)).expect("the namespace opens");
    container.go();
    container.wait();
    ip("link add macvlan1 link par0 type macvlan");
    ip(&format!("link set macvlan1 netns /proc/{}/fd/{}", std::process::id(), hold.as_raw_fd()));
    drop(hold);
    trace.wait_for_event("deleted", "macvlan0");
    let stream = trace.stop();
    stream
        .one("deleted", "macvlan0")
        .by_worker()
        .verdict_sure_or_likely("container-exited")
        .is("/culprit/pid", container.pid);
    stream
        .one("deleted", "macvlan1")
        .by_worker()
        .verdict_sure_or_likely("netns-deleted")
        .is("/culprit/pid", std::process::id());
}

#[test]
fn a_short_lived_pid_namespace_inside_is_not_the_main_process() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let script = "unshare -p -f true; echo ready; read line; exit 8";
    let mut container = Container::without_pid_namespace(script);
    let pid = container.pid;
    assert_eq!(container.line(), "ready");
    let mut container = container.give("macvlan0", &parent);
    // The job in the pid namespace runs again, now that the namespace is watched.
    run("nsenter", &[&format!("--net=/proc/{pid}/ns/net"), "unshare", "-p", "-f", "true"]);
    container.go();
    container.wait();
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict_sure_or_likely("container-exited")
        .victim(&container)
        .is("/culprit/pid", pid)
        .is("/culprit/exit/code", 8);
}

#[test]
fn without_a_pid_namespace_the_last_process_is_the_culprit() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let mut container = Container::without_pid_namespace("read line; exit 7").give("macvlan0", &parent);
    container.go();
    container.wait();
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict_sure_or_likely("container-exited")
        .victim(&container)
        .is("/culprit/pid", container.pid)
        .is("/culprit/exit/code", 7);
}

#[test]
fn an_end_that_no_probe_explains_is_unknown() {
    let parent = Parent::dummy("par0");
    let mut container = Container::with_link("macvlan0", &parent, "read line; exit 3");
    let mut trace = Trace::start(&["--without", "do_exit"]);
    container.go();
    container.wait();
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict("unknown", "unknown")
        .is("/culprit", serde_json::Value::Null)
        .is("/victim/init", serde_json::Value::Null)
        .is("/link/netns/inode", container.netns())
        .says("/verdict/cause", "what held it last was not seen");
}

#[test]
fn who_kills_a_process_without_a_pid_namespace_is_the_culprit() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let mut container = Container::without_pid_namespace("read line").give("macvlan0", &parent);
    run("busybox", &["kill", "-9", &container.pid.to_string()]);
    container.wait();
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict_sure_or_likely("container-killed")
        .victim(&container)
        .is("/culprit/comm", "busybox")
        .is("/victim/init/exit/signal", 9);
}

#[test]
fn a_thread_that_visited_and_ended_is_never_the_culprit() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let mut container = Container::with_link("macvlan0", &parent, "read line; exit 4");
    let init = container.pid;
    // As a container daemon does: a thread enters, outlives the container, and ends.
    let (entered, wait_entered) = channel();
    let (leave, wait_leave) = channel::<()>();
    let visitor = thread::spawn(move || {
        let netns = File::open(format!("/proc/{init}/ns/net")).expect("the namespace opens");
        rustix::thread::move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&netns),
            Some(rustix::thread::LinkNameSpaceType::Network),
        )
        .expect("the namespace can be entered");
        drop(netns);
        entered.send(()).expect("the test waits");
        let _ = wait_leave.recv();
    });
    wait_entered.recv().expect("the thread enters");
    container.go();
    container.wait();
    drop(leave);
    visitor.join().expect("the thread ends");
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict("container-exited", "certain")
        .victim(&container)
        .is("/culprit/pid", init)
        .is("/culprit/exit/code", 4);
}

#[test]
fn who_made_a_namespace_and_leaves_it_last_is_the_culprit_and_not_a_child_that_came_and_went() {
    for how in ["setns", "thread"] {
        let mut trace = Watch::start();
        let mut leaver = helpers::leaver(how);
        leaver.go();
        assert_eq!(leaver.line(), "left");
        trace.wait_for_event("deleted", "macvlan0");
        let stream = trace.stop();
        stream.complete();
        stream
            .one("deleted", "macvlan9")
            .by_worker()
            .verdict_sure_or_likely("netns-deleted")
            .is("/culprit/pid", leaver.pid);
        let told = stream
            .one("deleted", "macvlan0")
            .by_worker()
            .verdict_sure_or_likely("netns-deleted")
            .is("/culprit/pid", leaver.pid)
            .is("/victim/init", serde_json::Value::Null);
        if how == "setns" {
            told.says("/verdict/cause", "left the network namespace as its last process");
        }
    }
}

#[test]
fn who_made_a_namespace_and_left_somebody_in_it_is_no_culprit() {
    let mut trace = Watch::start();
    let mut leaver = helpers::leaver("heir");
    assert_eq!(leaver.line(), "left");
    leaver.go();
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .one("deleted", "macvlan0")
        .by_worker()
        .verdict_sure_or_likely("container-exited")
        .is("/culprit/comm", "sh")
        .is("/culprit/exit/code", 3);
}

#[test]
fn the_next_namespace_with_the_same_number_has_its_own_story() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let mut ended: Vec<(Container, u8)> = Vec::new();
    let comes_again = |ended: &[(Container, u8)]| {
        let inodes: std::collections::HashSet<_> =
            ended.iter().map(|(container, _)| container.netns()).collect();
        inodes.len() < ended.len()
    };
    // The kernel gives the lowest number that is free.
    for code in 11..111 {
        let mut container = Container::with_link("macvlan0", &parent, &format!("read line; exit {code}"));
        container.go();
        container.wait();
        trace.wait_for_event("deleted", "macvlan0");
        ended.push((container, code));
        if comes_again(&ended) {
            break;
        }
    }
    assert!(comes_again(&ended), "no number came again");
    let stream = trace.stop();
    assert_eq!(stream.all().len(), ended.len(), "{stream}");
    for (event, (container, code)) in stream.all().into_iter().zip(&ended) {
        event
            .tells("deleted", "macvlan0")
            .by_worker()
            .verdict("container-exited", "certain")
            .victim(container)
            .is("/culprit/pid", container.pid)
            .is("/culprit/exit/code", *code);
    }
    let incidents: std::collections::HashSet<_> =
        stream.events().iter().map(|event| event["incident"].to_string()).collect();
    assert_eq!(incidents.len(), ended.len(), "an incident each; the stream:\n{stream}");
}

#[test]
fn a_tracer_that_takes_stock_holds_nothing_up() {
    let parent = Parent::dummy("par0");
    let mut container = Container::with_link("macvlan0", &parent, "read line; exit 5");
    // The container ends while the tracer starts: whichever comes first, nothing wrong is said.
    let tracer = thread::spawn(|| Trace::start(&[]));
    container.go();
    container.wait();
    until("the namespace is gone", || !has_uppers("par0"));
    let stream = tracer.join().expect("it starts").stop();
    let events = stream.all();
    assert!(events.len() <= 1, "{stream}");
    for event in events {
        let event = event.tells("deleted", "macvlan0").by_worker().is("/link/netns/inode", container.netns());
        if event.value("/culprit").is_null() {
            event.verdict("unknown", "unknown");
        } else {
            event
                .verdict_sure_or_likely("container-exited")
                .victim(&container)
                .is("/culprit/pid", container.pid);
        }
    }
}

/// Whether a link stands on that one, in whichever namespace.
fn has_uppers(parent: &str) -> bool {
    let entries = fs::read_dir(format!("/sys/class/net/{parent}")).expect("the parent is there");
    entries.filter_map(Result::ok).any(|entry| entry.file_name().to_string_lossy().starts_with("upper_"))
}
