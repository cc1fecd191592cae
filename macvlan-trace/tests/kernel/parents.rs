//! Links that go with their parent.

use crate::harness::{Container, NamedNetns, Parent, Watch, ip, own_netns};

#[test]
fn deleting_the_parent_blames_who_deleted_it() {
    let trace = Watch::start();
    let parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    ip("link del par0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by("ip")
        .verdict("parent-deleted", "certain")
        .is("/culprit/args/3", "par0")
        .is("/link/parent/name", "par0")
        .is("/link/parent/deleted", true)
        .says("/verdict/cause", "removed the parent par0");
    drop(parent);
}

#[test]
fn a_hundred_children_are_a_hundred_events_of_one_incident() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    for n in 0..100 {
        ip(&format!("link add mv{n} link par0 type macvlan"));
    }
    ip("link del par0");
    let stream = trace.stop();
    stream.incident(|event| event.is("/event", "deleted").by("ip").verdict("parent-deleted", "certain"));
    let links: std::collections::HashSet<_> =
        stream.events().iter().map(|event| event["link"]["name"].to_string()).collect();
    assert_eq!((stream.events().len(), links.len()), (100, 100), "{stream}");
}

#[test]
fn a_parent_that_moves_away_deletes_nothing() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    let _away = NamedNetns::add("mt-away");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    let trace = Watch::of(&["deleted"]);
    ip("link set par0 netns mt-away");
    trace.stop().nothing();
    // Its child stays, and is deleted later by somebody else.
    let trace = Watch::start();
    ip("link del macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by("ip")
        .verdict("direct", "certain")
        .is("/link/parent/name", "par0");
}

#[test]
fn a_child_in_a_container_goes_with_a_parent_outside() {
    let trace = Watch::start();
    let parent = Parent::dummy("par0");
    let container = Container::with_link("macvlan0", &parent, "read line");
    ip("link del par0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by("ip")
        .verdict("parent-deleted", "certain")
        .is("/link/netns/inode", container.netns())
        .is("/link/parent/netns", own_netns())
        .is("/actor/netns", own_netns());
}

#[test]
fn a_parent_that_goes_with_its_namespace_leads_to_who_ended_that() {
    let mut trace = Watch::start();
    // The parent lives in one container, the child outside of it.
    let mut container =
        Container::start("$IP link add par1 type dummy; $IP link set par1 up; echo ready; read line");
    assert_eq!(container.line(), "ready");
    let init = container.pid;
    let enter = format!("--net=/proc/{init}/ns/net");
    let ip_path = crate::harness::ip_path();
    crate::harness::run(
        "nsenter",
        &[&enter, &ip_path, "link", "add", "macvlan0", "link", "par1", "netns", "1", "type", "macvlan"],
    );
    container.go();
    container.wait();
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict("container-exited", "certain")
        .is("/culprit/pid", init)
        .is("/link/netns/inode", own_netns())
        .is("/link/parent/name", "par1")
        .is("/link/parent/deleted", true)
        .says("/verdict/cause", "the parent par1");
}
