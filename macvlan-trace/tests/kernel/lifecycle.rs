//! A link's life: created, up, renamed, moved, deleted, in every mode and stacking.

use crate::harness::{Container, NamedNetns, Parent, Trace, Watch, ip, ip_path, own_netns, run};

#[test]
fn a_whole_life_is_told_in_order() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    let mut trace = Watch::all();
    ip("link add macvlan0 link par0 type macvlan mode private");
    ip("link set macvlan0 up");
    ip("link set macvlan0 down");
    ip("link set macvlan0 name macvlan1");
    ip("link set macvlan1 up");
    ip("link del macvlan1");
    trace.wait_for_event("deleted", "macvlan1");
    let stream = trace.stop();
    for event in stream.all() {
        event.by("ip").verdict("direct", "certain");
    }
    let told: Vec<_> = stream.events().iter().map(|event| event["event"].as_str().unwrap_or("?")).collect();
    assert_eq!(told, ["created", "up", "down", "renamed", "up", "deleted"], "{stream}");
    let ids: std::collections::HashSet<_> =
        stream.events().iter().map(|event| event["link"]["id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "one link, one id; the stream:\n{stream}");
    stream
        .one("created", "macvlan0")
        .is("/link/mode", "private")
        .is("/link/parent/name", "par0")
        .is("/link/age_ns", 0)
        .holds("it has an address", |event| event["link"]["mac"].as_str().is_some_and(|mac| mac.len() == 17));
    stream.one("renamed", "macvlan1").is("/link/former_names", serde_json::json!(["macvlan0"]));
    stream
        .one("deleted", "macvlan1")
        .is("/link/former_names", serde_json::json!(["macvlan0"]))
        .holds("its age is known", |event| event["link"]["age_ns"].as_u64().is_some_and(|age| age > 0))
        .holds("so is how long it was up", |event| event["link"]["up_for_ns"].as_u64().is_some());
}

#[test]
fn every_mode_is_named() {
    const MODES: [&str; 5] = ["private", "vepa", "bridge", "passthru", "source"];
    let trace = Watch::start();
    // passthru wants a parent for itself.
    let _parents = ["par0", "par1", "par2", "par3", "par4"].map(Parent::dummy);
    for (n, mode) in MODES.iter().enumerate() {
        ip(&format!("link add {mode}0 link par{n} type macvlan mode {mode}"));
    }
    for mode in MODES {
        ip(&format!("link del {mode}0"));
    }
    let stream = trace.stop();
    assert_eq!(stream.all().len(), 5, "{stream}");
    for (n, mode) in MODES.iter().enumerate() {
        stream
            .one("deleted", &format!("{mode}0"))
            .by("ip")
            .verdict("direct", "certain")
            .is("/link/mode", *mode)
            .is("/link/parent/name", format!("par{n}"));
    }
}

#[test]
fn a_move_there_and_back_is_no_down_and_no_deletion() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    let away = NamedNetns::add("mt-away");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    let trace = Watch::all();
    ip("link set macvlan0 netns mt-away");
    ip("-n mt-away link set macvlan0 netns 1");
    let stream = trace.stop();
    let moved = stream.all();
    assert_eq!(moved.len(), 2, "{stream}");
    for event in &moved {
        event
            .tells("moved", "macvlan0")
            .is("/link/id", moved[0].value("/link/id"))
            .by("ip")
            .verdict("moved", "certain");
    }
    moved[0]
        .is("/link/netns/inode", own_netns())
        .is("/to/netns/inode", away.inode())
        .is("/to/netns/name", "mt-away");
    moved[1].is("/link/netns/inode", away.inode()).is("/to/netns/inode", own_netns());
    ip("link del macvlan0");
}

#[test]
fn a_link_that_was_moved_keeps_its_name_in_mind() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    let away = NamedNetns::add("mt-away");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 netns mt-away name eth0");
    ip("-n mt-away link del eth0");
    trace
        .stop()
        .only("deleted", "eth0")
        .by("ip")
        .verdict("direct", "certain")
        .is("/link/former_names", serde_json::json!(["macvlan0"]))
        .is("/link/netns/inode", away.inode())
        .is("/link/netns/name", "mt-away")
        .is("/link/parent/netns", own_netns());
}

#[test]
fn a_failed_move_hides_nothing() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    let _away = NamedNetns::add("mt-away");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    ip("-n mt-away link add macvlan0 type dummy");
    let trace = Watch::all();
    // The name is taken there. In one process, so that what follows comes from the same task.
    let script = "link set macvlan0 netns mt-away\nlink set macvlan0 down\n";
    let batch = format!("{} -force -batch - || true", ip_path());
    run("sh", &["-c", &format!("printf '{}' | {batch}", script.replace('\n', "\\n"))]);
    let stream = trace.stop();
    stream.one("move_failed", "macvlan0").by("ip").verdict("change-failed", "certain");
    stream.one("down", "macvlan0").by("ip");
    assert_eq!(stream.events().len(), 2, "{stream}");
    ip("link del macvlan0");
}

#[test]
fn a_tap_is_traced_like_a_macvlan() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    ip("link add tap0 link par0 type macvtap mode bridge");
    ip("link set tap0 up");
    ip("link set tap0 down");
    ip("link del tap0");
    let stream = trace.stop();
    for event in stream.all() {
        event.by("ip").verdict("direct", "certain").is("/link/kind", "macvtap");
    }
    assert_eq!(stream.events().len(), 2, "{stream}");
    stream.one("down", "tap0").is("/link/mode", "bridge");
    stream.one("deleted", "tap0").is("/link/parent/name", "par0");
}

#[test]
fn an_open_tap_is_closed_by_its_deletion() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    ip("link add tap0 link par0 type macvtap mode bridge");
    ip("link set tap0 up");
    let index = run("cat", &["/sys/class/net/tap0/ifindex"]);
    let node = format!("/dev/tap{index}");
    let open = std::fs::OpenOptions::new().read(true).write(true).open(&node).expect("the tap opens");
    let trace = Watch::all();
    ip("link del tap0");
    drop(open);
    trace.stop().only("deleted", "tap0").by("ip").verdict("direct", "certain");
}

#[test]
fn a_macvlan_made_on_a_macvlan_stands_on_the_same_parent() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    ip("link add lower0 link par0 type macvlan");
    ip("link set lower0 up");
    ip("link add upper0 link lower0 type macvlan");
    ip("link del upper0");
    // The kernel flattens the stack: the link is made on the lower one's own parent.
    trace
        .stop()
        .only("deleted", "upper0")
        .by("ip")
        .verdict("direct", "certain")
        .is("/link/parent/name", "par0");
}

#[test]
fn a_module_that_is_unloaded_takes_its_links_along() {
    if std::env::var_os("MACVLAN_TRACE_TEST_HOST").is_some() {
        return; // The machine's own links are not ours to delete.
    }
    let parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    let mut trace = Trace::start(&[]);
    // macvtap stands on macvlan.
    run("sh", &["-c", "rmmod macvtap 2>/dev/null; rmmod macvlan"]);
    trace.wait_for_event("deleted", "macvlan0");
    // The probes outlive the module.
    ip(&format!("link add macvlan1 link {} type macvlan", parent.0));
    ip("link set macvlan1 up");
    ip("link set macvlan1 down");
    let stream = trace.stop();
    stream.complete();
    stream.one("deleted", "macvlan0").by("rmmod").verdict("module-unloaded", "certain");
    stream.one("down", "macvlan1").by("ip").verdict("direct", "certain");
    assert_eq!(stream.events().len(), 2, "{stream}");
}

#[test]
fn setns_into_a_container_is_seen_through() {
    let mut trace = Watch::start();
    let parent = Parent::dummy("par0");
    let container = Container::with_link("macvlan0", &parent, "read line");
    run(
        "nsenter",
        &[&format!("--net=/proc/{}/ns/net", container.pid), &ip_path(), "link", "set", "macvlan0", "down"],
    );
    trace.wait_for_event("down", "macvlan0");
    let stream = trace.stop();
    stream
        .only("down", "macvlan0")
        .by("ip")
        .verdict("direct", "certain")
        .is("/link/netns/inode", container.netns())
        .is("/actor/netns", container.netns())
        .is("/link/parent/netns", own_netns());
}
