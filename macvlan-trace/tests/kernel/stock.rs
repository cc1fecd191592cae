//! Links and modules that were there before the tracer, or come after it.

use std::{
    fs::File,
    os::fd::AsRawFd as _,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{Container, NamedNetns, Parent, Trace, Unit, ip, own_netns, run, until};

#[test]
fn what_was_there_before_is_listed_with_an_unknown_past() {
    let parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    let mut container = Container::with_link("macvlan1", &parent, "read line; exit 6");
    let named = NamedNetns::add("mt-named");
    ip("link add macvlan2 link par0 netns mt-named type macvlan");
    let mut trace = Trace::start(&[]);
    let stock = trace.run_record()["stock"].clone();
    assert_eq!(stock["links"], 3, "{stock}");
    assert_eq!(stock["namespaces"], 3, "{stock}");
    assert_eq!(stock["unseen_namespaces"], 0, "{stock}");
    let link = |name: &str| {
        let watched = stock["watched"].as_array().expect("a list");
        watched
            .iter()
            .find(|link| link["name"] == name)
            .unwrap_or_else(|| panic!("no {name} in {stock}"))
            .clone()
    };
    assert_eq!(link("macvlan0")["up"], false);
    assert_eq!(link("macvlan0")["netns"]["inode"], own_netns());
    assert_eq!(link("macvlan0")["parent"]["name"], "par0");
    assert_eq!(link("macvlan1")["up"], true);
    assert_eq!(link("macvlan1")["netns"]["inode"], container.netns());
    assert_eq!(link("macvlan1")["parent"]["name"], "par0");
    assert_eq!(link("macvlan2")["netns"]["name"], "mt-named");
    assert_eq!(link("macvlan2")["netns"]["inode"], named.inode());

    container.go();
    container.wait();
    trace.wait_for_event("deleted", "macvlan1");
    trace
        .stop()
        .only("deleted", "macvlan1")
        .by_worker()
        .verdict("container-exited", "certain")
        .victim(&container)
        .is("/culprit/pid", container.pid)
        .is("/culprit/exit/code", 6)
        .is("/link/age_ns", Value::Null)
        .is("/link/up_for_ns", Value::Null);
    ip("link del macvlan0");
}

#[test]
fn containers_that_were_there_before_are_told_like_later_ones() {
    let parent = Parent::dummy("par0");
    let runtime = Unit::new("docker.service");
    let limited = Unit::new("limited.scope");
    limited.set("memory.max", "8M");
    limited.set("memory.swap.max", "0");
    let mut exits = Container::with_link("exits0", &parent, "read line; exit 3");
    let mut last = Container::without_pid_namespace("read line; exit 7").give("last0", &parent);
    let mut killed = Container::with_link("killed0", &parent, "read line");
    let trap = "trap 'exit 0' TERM; echo ready; while :; do busybox usleep 20000; done";
    let mut asked = Container::with_link("asked0", &parent, trap);
    assert_eq!(asked.line(), "ready");
    let script = "read line; exec dd if=/dev/zero of=/dev/null bs=64M count=1";
    let mut hungry = Container::with_link("hungry0", &parent, script);
    limited.take(hungry.pid);
    let mut held = Container::with_link("held0", &parent, "read line; exit 6");
    let mut cleared = Container::with_link("cleared0", &parent, "read line; exit 5");
    let [named, unnamed] = ["mt-named", "mt-unnamed"].map(NamedNetns::add);
    ip("link add named0 link par0 netns mt-named type macvlan");
    ip("link add outlives0 link par0 netns mt-unnamed type macvlan");
    let inside = ["ip", "netns", "exec", "mt-unnamed", "sh", "-c"];
    let mut outlives = Container::spawn(&inside, "read line; exit 9");
    let door = |container: &Container| File::open(format!("/proc/{}/ns/net", container.pid));
    let (hold, clear) = (door(&held).expect("it opens"), door(&cleared).expect("it opens"));

    let mut trace = Trace::start(&[]);
    drop(unnamed);
    let since = Instant::now();
    for (container, link) in [(&mut exits, "exits0"), (&mut last, "last0"), (&mut hungry, "hungry0")] {
        container.go();
        container.wait();
        trace.wait_for_event("deleted", link);
    }
    for (container, signal, link) in [(&mut killed, "-9", "killed0"), (&mut asked, "-TERM", "asked0")] {
        run("busybox", &["kill", signal, &container.pid.to_string()]);
        container.wait();
        trace.wait_for_event("deleted", link);
    }
    held.go();
    held.wait();
    drop(hold);
    trace.wait_for_event("deleted", "held0");
    cleared.go();
    cleared.wait();
    runtime.sh(&format!(
        "nsenter --net=/proc/{}/fd/{} $IP link del cleared0",
        std::process::id(),
        clear.as_raw_fd()
    ));
    let inode = named.inode();
    ip("netns del mt-named");
    trace.wait_for_event("deleted", "named0");
    // Whoever lives in a namespace for three seconds after its last name went is why it ends (`LET_GO_NS`).
    until("it has outlived the name", || since.elapsed() > Duration::from_millis(3_100));
    outlives.go();
    outlives.wait();
    trace.wait_for_event("deleted", "outlives0");
    let stream = trace.stop();

    assert_eq!(stream.all().len(), 9, "{stream}");
    let told = |link: &str| stream.one("deleted", link).is("/link/age_ns", Value::Null);
    let by_itself = |container: &Container, link: &str, code: u8| {
        told(link)
            .by_worker()
            .verdict_sure_or_likely("container-exited")
            .victim(container)
            .is("/culprit/pid", container.pid)
            .is("/culprit/exit/code", code);
    };
    by_itself(&exits, "exits0", 3);
    by_itself(&last, "last0", 7);
    by_itself(&held, "held0", 6);
    by_itself(&outlives, "outlives0", 9);
    told("killed0")
        .by_worker()
        .verdict("container-killed", "certain")
        .victim(&killed)
        .is("/culprit/comm", "busybox")
        .is("/victim/init/exit/signal", 9);
    told("asked0")
        .by_worker()
        .verdict("container-stopped", "likely")
        .victim(&asked)
        .is("/culprit/comm", "busybox")
        .is("/victim/init/exit/code", 0);
    told("hungry0")
        .by_worker()
        .verdict("out-of-memory", "certain")
        .victim(&hungry)
        .is("/culprit/pid", hungry.pid)
        .says("/verdict/cause", "limited.scope, whose limit was reached");
    told("cleared0")
        .verdict("container-exited", "likely")
        .victim(&cleared)
        .is("/actor/unit", "docker.service")
        .is("/culprit/pid", cleared.pid)
        .is("/culprit/exit/code", 5);
    told("named0")
        .by_worker()
        .verdict_sure_or_likely("netns-deleted")
        .is("/culprit/comm", "ip")
        .is("/link/netns/inode", inode)
        .is("/link/netns/name", "mt-named");
}

#[test]
fn links_and_parents_that_were_there_before_are_told_like_later_ones() {
    let [_par0, _par1, _par2] = ["par0", "par1", "par2"].map(Parent::dummy);
    for (link, parent) in [("down0", 0), ("gone0", 0), ("life0", 0), ("child1", 1), ("child2", 2)] {
        ip(&format!("link add {link} link par{parent} type macvlan mode bridge"));
        ip(&format!("link set {link} up"));
    }
    let away = NamedNetns::add("mt-away");
    let networkd = Unit::new("systemd-networkd.service");

    let trace = Trace::start(&["-e", "all"]);
    networkd.sh("exec $IP link set down0 down");
    ip("link del gone0");
    ip("link set life0 netns mt-away name life1");
    ip("-n mt-away link del life1");
    ip("link set par1 down");
    ip("link del par2");
    let stream = trace.stop();

    assert_eq!(stream.all().len(), 7, "{stream}");
    let told = |event: &str, link: &str| {
        stream.one(event, link).by("ip").is("/link/age_ns", Value::Null).is("/link/mode", "bridge")
    };
    told("down", "down0")
        .verdict("network-manager", "likely")
        .says("/verdict/cause", "who made down0 was not seen");
    told("deleted", "gone0").verdict("direct", "certain").is("/link/parent/name", "par0");
    told("moved", "life0").verdict("moved", "certain").is("/to/netns/inode", away.inode());
    told("deleted", "life1").verdict("direct", "certain").is("/link/former_names", json!(["life0"]));
    told("parent_down", "child1").verdict("parent-down", "certain").is("/link/parent/name", "par1");
    told("deleted", "child2").verdict("parent-deleted", "certain").is("/link/parent/name", "par2");
}

#[test]
fn a_module_loaded_after_the_tracer_is_traced() {
    if std::env::var_os("MACVLAN_TRACE_TEST_HOST").is_some() {
        return; // Unloading is not for machines that others use.
    }
    let _parent = Parent::dummy("par0");
    run("sh", &["-c", "rmmod macvtap 2>/dev/null; rmmod macvlan 2>/dev/null; true"]);
    assert!(std::fs::metadata("/sys/module/macvlan").is_err(), "the module is gone");
    let trace = Trace::start(&[]);
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    ip("link set macvlan0 down");
    trace.stop().only("down", "macvlan0").by("ip").verdict("direct", "certain").is("/link/mode", "vepa");
    ip("link del macvlan0");
}
