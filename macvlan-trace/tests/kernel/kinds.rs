//! Kinds of links besides macvlan and macvtap: what happens to them is told in the same way.

use crate::harness::{Container, NamedNetns, Parent, Watch, ip, ip_path, own_netns, run};

const KINDS: [&str; 2] = ["ipvlan", "ipvtap"];

#[test]
fn a_whole_life_of_each_kind_is_told_in_order() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    for kind in KINDS {
        let trace = Watch::all();
        ip(&format!("link add {kind} link par0 type {kind} mode l2"));
        ip(&format!("link set {kind} up"));
        ip(&format!("link set {kind} down"));
        ip(&format!("link set {kind} name x0"));
        ip("link del x0");
        // None of a kind that is traced.
        ip("link add link par0 name par0.5 type vlan id 5");
        ip("link del par0.5");
        let stream = trace.stop();
        let told: Vec<_> = stream.events().iter().map(|event| event["event"].clone()).collect();
        assert_eq!(told, ["created", "up", "down", "renamed", "deleted"], "{stream}");
        for event in stream.all() {
            event
                .by("ip")
                .verdict("direct", "certain")
                .is("/link/kind", kind)
                .is("/link/parent/name", "par0")
                .is("/link/parent/netns", own_netns())
                .is("/link/id", stream.all()[0].value("/link/id"));
        }
    }
}

#[test]
fn a_parent_takes_links_of_each_kind_along() {
    Watch::ready();
    let parent = Parent::dummy("par0");
    let other = Parent::dummy("par1");
    for kind in KINDS {
        ip(&format!("link add {kind} link par0 type {kind}"));
        ip(&format!("link set {kind} up"));
    }
    let trace = Watch::start();
    ip("link set par0 down");
    // Not theirs.
    ip("link set par1 down");
    drop(other);
    drop(parent);
    let stream = trace.stop();
    for link in KINDS {
        stream
            .one("parent_down", link)
            .by("ip")
            .verdict("parent-down", "certain")
            .is("/culprit/args/3", "par0")
            .is("/link/kind", link)
            .is("/link/parent/name", "par0");
        stream
            .one("deleted", link)
            .by("ip")
            .verdict("parent-deleted", "certain")
            .is("/culprit/args/3", "par0")
            .is("/link/parent/deleted", true);
    }
    assert_eq!(stream.events().len(), 4, "{stream}");
}

#[test]
fn a_link_that_another_one_stands_on_is_its_parent() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    for (link, below, kind) in
        [("macvlan0", "par0", "macvlan"), ("macvlan1", "par0", "macvlan"), ("ipvlan", "macvlan0", "ipvlan")]
    {
        ip(&format!("link add {link} link {below} type {kind}"));
        ip(&format!("link set {link} up"));
    }
    let trace = Watch::start();
    ip("link set macvlan0 down");
    ip("link del macvlan0");
    let stream = trace.stop();
    stream.one("down", "macvlan0").by("ip").verdict("direct", "certain");
    stream
        .one("parent_down", "ipvlan")
        .by("ip")
        .verdict("parent-down", "certain")
        .is("/link/parent/name", "macvlan0");
    stream.one("deleted", "macvlan0").by("ip");
    stream.one("deleted", "ipvlan").by("ip").verdict("parent-deleted", "certain");
    assert_eq!(stream.events().len(), 4, "{stream}");
}

#[test]
fn links_of_each_kind_move_and_go_with_their_namespace() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    let away = NamedNetns::add("mt-away");
    let mut container = Container::start("read line; exit 7");
    let mut other = Container::start("read line; exit 8");
    let (inode, main) = (away.inode(), container.pid);
    let mut trace = Watch::of(&["moved", "down", "deleted"]);
    for kind in KINDS {
        ip(&format!("link add {kind} link par0 type {kind}"));
        ip(&format!("link set {kind} netns mt-away"));
        ip(&format!("-n mt-away link set {kind} netns {main}"));
        run("nsenter", &[&format!("--net=/proc/{main}/ns/net"), &ip_path(), "link", "set", kind, "up"]);
    }
    // Another container ends before, and has nothing of it.
    other.go();
    other.wait();
    container.go();
    container.wait();
    for _ in KINDS {
        trace.wait_for("a deletion", |record| record["event"] == "deleted");
    }
    let stream = trace.stop();
    for link in KINDS {
        let moves = stream.events_of("moved");
        let [there, back] = moves.iter().filter(|it| it["link"]["name"] == link).collect::<Vec<_>>()[..]
        else {
            panic!("{stream}")
        };
        assert_eq!(there["to"]["netns"]["inode"], inode, "{stream}");
        assert_eq!(back["to"]["netns"]["inode"], container.netns(), "{stream}");
        stream
            .one("deleted", link)
            .by_worker()
            .verdict("container-exited", "certain")
            .victim(&container)
            .is("/culprit/pid", container.pid)
            .is("/culprit/exit/code", 7)
            .is("/link/parent/name", "par0");
    }
    assert!(stream.events_of("down").is_empty(), "{stream}");
    drop(away);
}

#[test]
fn a_module_that_is_unloaded_takes_the_links_of_its_kind_along() {
    if std::env::var_os("MACVLAN_TRACE_TEST_HOST").is_some() {
        return; // The machine's own links are not ours to delete.
    }
    Watch::ready();
    let _parent = Parent::dummy("par0");
    let _other = Parent::dummy("par1");
    ip("link add ipvlan link par0 type ipvlan");
    ip("link add macvlan0 link par1 type macvlan");
    let trace = Watch::start();
    // ipvtap stands on ipvlan.
    run("sh", &["-c", "rmmod ipvtap 2>/dev/null; rmmod ipvlan"]);
    trace
        .stop()
        .only("deleted", "ipvlan")
        .by("rmmod")
        .verdict("module-unloaded", "certain")
        .says("/verdict/remedy", "Do not unload ipvlan or ipvtap");
    ip("link del macvlan0");
}
