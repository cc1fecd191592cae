//! What a parent does to the links that stand on it, and who did it to the parent.

use crate::{
    cards::{Plugged, set_carrier},
    harness::{
        Container, NamedNetns, Parent, Unit, Watch, in_guest, ip, ip_path, run, script, sh, signal, until,
    },
    helpers::owner_of_tap,
};

#[test]
fn a_dummy_parent_that_goes_down_is_an_event_of_its_child() {
    let trace = Watch::start();
    let parent = Parent::dummy("par0");
    let container = Container::with_link("macvlan0", &parent, "read line");
    ip("link set par0 down");
    trace
        .stop()
        .only("parent_down", "macvlan0")
        .by("ip")
        .verdict("parent-down", "certain")
        .is("/link/netns/inode", container.netns())
        .is("/link/parent/name", "par0")
        .says("/verdict/cause", "set the parent par0 of macvlan0 down")
        .says("/verdict/remedy", "ip link set par0 up");
    drop(container);
}

#[test]
fn a_parent_that_goes_down_under_three_links_is_one_incident() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    for n in 0..3 {
        ip(&format!("link add mv{n} link par0 type macvlan"));
        ip(&format!("link set mv{n} up"));
    }
    ip("link set par0 down");
    let stream = trace.stop();
    stream.incident(|event| event.by("ip").verdict("parent-down", "certain"));
    for n in 0..3 {
        stream.one("parent_down", &format!("mv{n}"));
    }
    assert_eq!(stream.events().len(), 3, "{stream}");
}

#[test]
fn a_veth_parent_that_goes_down_takes_the_carrier_along_in_one_event() {
    Watch::ready();
    ip("link add par0 type veth peer name peer0");
    ip("link set par0 up");
    ip("link set peer0 up");
    let _parent = Parent("par0");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    let mut trace = Watch::all();
    ip("link set par0 down");
    ip("link set par0 up");
    trace.wait_for_event("parent_up", "macvlan0");
    let stream = trace.stop();
    stream.one("parent_down", "macvlan0").by("ip").verdict("parent-down", "certain");
    stream.one("parent_up", "macvlan0").by("ip").verdict("direct", "certain");
    assert_eq!(stream.events().len(), 2, "{stream}");
    stream.complete();
}

#[test]
fn who_sets_the_other_end_of_a_veth_parent_down_is_the_culprit() {
    Watch::ready();
    ip("link add par0 type veth peer name peer0");
    ip("link set par0 up");
    ip("link set peer0 up");
    let _parent = Parent("par0");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    let mut trace = Watch::all();
    ip("link set peer0 down");
    trace.wait_for_event("carrier_lost", "macvlan0");
    ip("link set peer0 up");
    trace.wait_for_event("carrier_back", "macvlan0");
    let stream = trace.stop();
    stream
        .one("carrier_lost", "macvlan0")
        .verdict("carrier-lost", "certain")
        .is("/culprit/comm", "ip")
        .is("/culprit/args/3", "peer0")
        .says("/verdict/cause", "set peer0, the other end of par0, down");
    stream
        .one("carrier_back", "macvlan0")
        .verdict("carrier-back", "certain")
        .is("/culprit/comm", "ip")
        .is("/culprit/args/3", "peer0");
    assert_eq!(stream.events().len(), 2, "{stream}");
    stream.complete();
}

#[test]
fn of_a_cable_that_is_pulled_nobody_is_blamed() {
    if !in_guest() {
        return;
    }
    Watch::ready();
    ip("link set eth0 up");
    ip("link add macvlan0 link eth0 type macvlan");
    ip("link set macvlan0 up");
    let _link = Parent("macvlan0");
    let mut trace = Watch::all();
    set_carrier(false);
    trace.wait_for_event("carrier_lost", "macvlan0");
    set_carrier(true);
    trace.wait_for_event("carrier_back", "macvlan0");
    let stream = trace.stop();
    stream
        .one("carrier_lost", "macvlan0")
        .verdict("carrier-lost", "likely")
        .is("/culprit", serde_json::Value::Null)
        .says("/verdict/cause", "reported by its driver virtio_net; no process was seen behind that");
    stream
        .one("carrier_back", "macvlan0")
        .verdict("carrier-back", "likely")
        .is("/culprit", serde_json::Value::Null);
    assert_eq!(stream.events().len(), 2, "{stream}");
    stream.complete();
}

#[test]
fn a_manager_that_reacts_to_a_lost_carrier_is_part_of_that_incident() {
    let mut trace = Watch::start();
    ip("link add par0 type veth peer name peer0");
    ip("link set par0 up");
    ip("link set peer0 up");
    let _parent = Parent("par0");
    let manager = Unit::new("NetworkManager.service");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    ip("link set peer0 down");
    trace.wait_for_event("carrier_lost", "macvlan0");
    manager.sh("exec $IP link set macvlan0 down");
    let stream = trace.stop();
    let lost = stream
        .one("carrier_lost", "macvlan0")
        .verdict("carrier-lost", "certain")
        .is("/culprit/comm", "ip")
        .is("/culprit/args/3", "peer0");
    stream
        .one("down", "macvlan0")
        .by("ip")
        .verdict("network-manager", "certain")
        .is("/incident", lost.value("/incident"))
        .is("/verdict/evidence/0/what", "parent_carrier_lost")
        .says("/verdict/cause", "after its parent par0 had lost its carrier");
    assert_eq!(stream.events().len(), 2, "{stream}");
    stream.complete();
}

#[test]
fn a_parent_that_moves_away_leaves_its_child_dead() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    let away = NamedNetns::add("mt-away");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    ip("link set par0 netns mt-away");
    trace
        .stop()
        .only("parent_down", "macvlan0")
        .by("ip")
        .verdict("parent-moved", "certain")
        .is("/link/parent/netns", away.inode())
        .is("/verdict/evidence/0/what", "parent_moved");
    ip("link del macvlan0");
    ip("-n mt-away link del par0");
}

#[test]
fn a_parent_that_several_containers_share_is_told_as_such() {
    let trace = Watch::start();
    let parent = Parent::dummy("par0");
    let one = Container::with_link("macvlan0", &parent, "read line");
    let other = Container::with_link("macvlan1", &parent, "read line");
    let runtime = Unit::new("docker.service");
    runtime.sh("exec $IP link del par0");
    let stream = trace.stop();
    stream.complete();
    let events = stream.events_of("deleted");
    assert_eq!((events.len(), stream.events().len()), (2, 2), "{stream}");
    for (link, netns) in [("macvlan0", one.netns()), ("macvlan1", other.netns())] {
        stream
            .one("deleted", link)
            .by("ip")
            .verdict("shared-parent-deleted", "certain")
            .is("/culprit/unit", "docker.service")
            .is("/link/netns/inode", netns)
            .is("/incident", events[0]["incident"].clone())
            .says("/verdict/cause", "the parent of 2 links in 2 network namespaces");
    }
}

#[test]
fn a_script_that_deletes_a_parent_is_among_the_ancestors() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    let ifdown = script("ifdown", "$IP link del par0; true");
    run(&ifdown, &["par0"]);
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by("ip")
        .verdict("parent-deleted", "certain")
        .is("/actor/ancestors/0/comm", "ifdown")
        .says("/verdict/cause", "called by ifdown");
}

#[test]
fn a_tap_goes_with_whoever_holds_it() {
    let mut trace = Watch::start();
    let mut owner = owner_of_tap("tap0");
    ip("link set tap0 up");
    ip("link add macvlan0 link tap0 type macvlan");
    ip("link set macvlan0 up");
    let pid = owner.pid;
    owner.go();
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .verdict("parent-unplugged", "certain")
        .is("/culprit/pid", pid)
        .says("/verdict/cause", "closed tap0, the parent of macvlan0");
    owner.wait();
}

#[test]
fn a_tap_whose_holder_is_killed_goes_with_it_and_the_killer_is_not_seen() {
    let mut trace = Watch::start();
    let mut owner = owner_of_tap("tap0");
    ip("link set tap0 up");
    ip("link add macvlan0 link tap0 type macvlan");
    run("busybox", &["kill", "-9", &owner.pid.to_string()]);
    owner.wait();
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .verdict("parent-unplugged", "likely")
        .is("/culprit/pid", owner.pid)
        .says("/verdict/cause", "ended with tap0 open, and that took away tap0, the parent of macvlan0");
}

#[test]
fn a_vlan_that_goes_down_with_its_card_leads_to_the_card() {
    let mut trace = Watch::start();
    let _card = Parent::dummy("card0");
    ip("link add link card0 name vlan10 type vlan id 10");
    ip("link set vlan10 up");
    ip("link add macvlan0 link vlan10 type macvlan");
    ip("link set macvlan0 up");
    ip("link set card0 down");
    // On 7.x a worker does it.
    trace.wait_for_event("parent_down", "macvlan0");
    trace
        .stop()
        .only("parent_down", "macvlan0")
        .is("/culprit/comm", "ip")
        .is("/culprit/args/3", "card0")
        .verdict("parent-down", "certain")
        .is("/link/parent/name", "vlan10")
        .says("/verdict/cause", "set card0 down, and with that vlan10, the parent of macvlan0")
        .says("/verdict/remedy", "`ip link set card0 up`");
    // What the remedy says, and it says that the VLAN comes up too.
    ip("link set card0 up");
    until("the VLAN is up", || ip("link show vlan10 up").contains("vlan10"));
}

#[test]
fn a_bond_that_loses_its_carrier_leads_to_what_happened_to_its_port() {
    let mut trace = Watch::start();
    let _port = Parent::dummy("port0");
    ip("link set port0 down");
    ip("link add bond0 type bond miimon 20");
    ip("link set port0 master bond0");
    let _bond = Parent("bond0");
    ip("link set bond0 up");
    ip("link add macvlan0 link bond0 type macvlan");
    ip("link set macvlan0 up");
    until("it has a carrier", || ip("link show macvlan0").contains("LOWER_UP"));
    // The bond finds out when it next looks, in a kernel worker (bond_mii_monitor).
    ip("link set port0 down");
    trace.wait_for_event("carrier_lost", "macvlan0");
    ip("link set bond0 down");
    trace.wait_for_event("parent_down", "macvlan0");
    let stream = trace.stop();
    stream
        .one("carrier_lost", "macvlan0")
        .verdict("carrier-lost", "likely")
        .is("/culprit/args/3", "port0")
        .says(
            "/verdict/cause",
            "set port0 down, and with that bond0, the parent of macvlan0, lost its carrier",
        );
    stream
        .one("parent_down", "macvlan0")
        .by("ip")
        .verdict("parent-down", "certain")
        .is("/culprit/args/3", "bond0");
    assert_eq!(stream.events().len(), 2, "{stream}");
    stream.complete();
}

#[test]
fn a_driver_that_is_unloaded_takes_the_parent_along() {
    if !in_guest() {
        // Never unload a module of a machine that somebody uses.
        return;
    }
    let trace = Watch::start();
    ip("link add par0 type ifb");
    ip("link add macvlan0 link par0 type macvlan");
    sh("rmmod ifb");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .verdict("driver-reloaded", "certain")
        .is("/culprit/comm", "rmmod")
        .says("/verdict/cause", "unloaded a kernel module, and with that par0, the parent of macvlan0, went");
}

#[test]
fn a_driver_that_is_taken_from_its_device_takes_the_parent_along() {
    if !in_guest() {
        return;
    }
    let trace = Watch::start();
    let reload = script(
        "reload",
        "device=$(basename $(readlink /sys/class/net/eth0/device)); cd /sys/bus/virtio/drivers/virtio_net; \
         echo $device >unbind; echo $device >bind",
    );
    ip("link add macvlan0 link eth0 type macvlan");
    run(&reload, &[]);
    trace.stop().only("deleted", "macvlan0").by("reload").verdict("driver-reloaded", "certain").says(
        "/verdict/cause",
        "unbound a device from its driver, and with that eth0, the parent of macvlan0, went",
    );
}

#[test]
fn a_card_that_is_removed_through_sysfs_takes_the_parent_along() {
    if !in_guest() {
        return;
    }
    let trace = Watch::start();
    let card = Plugged::new();
    // virtio stands on PCI, so that the path is as long as they come.
    let remove = script("remove", "echo 1 >$(readlink -f /sys/class/net/eth1/device/..)/remove");
    ip(&format!("link add macvlan0 link {} type macvlan", Plugged::NAME));
    run(&remove, &[]);
    trace.stop().only("deleted", "macvlan0").by("remove").verdict("driver-reloaded", "certain").says(
        "/verdict/cause",
        "removed a device from its bus, and with that eth1, the parent of macvlan0, went",
    );
    drop(card);
}

#[test]
fn a_vxlan_that_goes_as_its_device_moves_is_no_creation_that_failed() {
    let trace = Watch::start();
    let _card = Parent::dummy("card0");
    let _away = NamedNetns::add("mt-away");
    ip("link add vxlan0 type vxlan id 7 dev card0 dstport 4789");
    ip("link set vxlan0 up");
    ip("link add macvlan0 link vxlan0 type macvlan");
    ip("link set card0 netns mt-away");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by("ip")
        .verdict("parent-deleted", "certain")
        .is("/link/parent/name", "vxlan0");
    ip("-n mt-away link del card0");
}

#[test]
fn a_card_that_is_unplugged_is_nobodys_doing() {
    if !in_guest() {
        return;
    }
    let mut trace = Watch::start();
    let card = Plugged::new();
    ip(&format!("link add macvlan0 link {} type macvlan", Plugged::NAME));
    drop(card);
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict("parent-unplugged", "likely")
        .is("/culprit", serde_json::Value::Null)
        .says("/verdict/cause", "The parent eth1 of macvlan0 was unplugged");
}

#[test]
fn a_wifi_daemon_that_deletes_the_parent_makes_it_anew() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    let iwd = Unit::new("iwd.service");
    iwd.sh("exec $IP link del par0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by("ip")
        .verdict("parent-recreated", "likely")
        .is("/culprit/unit", "iwd.service");
}

#[test]
fn who_takes_the_parent_down_is_not_who_deletes_another_child() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    for n in 0..2 {
        ip(&format!("link add mv{n} link par0 type macvlan"));
        ip(&format!("link set mv{n} up"));
    }
    run("busybox", &["ifconfig", "par0", "down"]);
    ip("link del mv1");
    let stream = trace.stop();
    assert_eq!(stream.all().len(), 3, "{stream}");
    stream.one("parent_down", "mv0").by("busybox").verdict("parent-down", "certain");
    stream.one("parent_down", "mv1").by("busybox").verdict("parent-down", "certain");
    stream.one("deleted", "mv1").by("ip").verdict("direct", "certain");
    let incident = |event: &str, link: &str| stream.one(event, link).value("/incident");
    assert_eq!(incident("parent_down", "mv0"), incident("parent_down", "mv1"), "{stream}");
    assert_ne!(incident("parent_down", "mv1"), incident("deleted", "mv1"), "{stream}");
}

#[test]
fn a_vlan_on_a_pulled_cable_is_told_with_the_card() {
    if !in_guest() {
        return;
    }
    let mut trace = Watch::start();
    ip("link set eth0 up");
    ip("link add link eth0 name vlan10 type vlan id 10");
    ip("link set vlan10 up");
    ip("link add macvlan0 link vlan10 type macvlan");
    ip("link set macvlan0 up");
    let _vlan = Parent("vlan10");
    set_carrier(false);
    trace.wait_for_event("carrier_lost", "macvlan0");
    set_carrier(true);
    trace
        .stop()
        .only("carrier_lost", "macvlan0")
        .verdict("carrier-lost", "likely")
        .is("/culprit", serde_json::Value::Null)
        .says("/verdict/cause", "with eth0 below it, reported by its driver virtio_net");
}

#[test]
fn a_veth_parent_goes_with_the_namespace_of_its_other_end() {
    let mut trace = Watch::start();
    let mut container = Container::start("read line; exit 3");
    let pid = container.pid;
    ip("link add par0 type veth peer name peer0");
    ip(&format!("link set peer0 netns {pid}"));
    ip("link set par0 up");
    ip("link add macvlan0 link par0 type macvlan");
    container.go();
    container.wait();
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict("container-exited", "certain")
        .is("/culprit/pid", pid)
        .is("/link/parent/name", "par0");
}

#[test]
fn a_vlan_on_a_veth_goes_with_the_namespace_of_the_other_end() {
    let mut trace = Watch::start();
    let _named = NamedNetns::add("mt-n3");
    let _veth = Parent("w7");
    ip("link add w7 type veth peer name w8 netns mt-n3");
    ip("link add link w7 name v7 type vlan id 5");
    ip("link add mv7 link v7 type macvlan");
    ip("netns del mt-n3");
    trace.wait_for_event("deleted", "mv7");
    trace
        .stop()
        .only("deleted", "mv7")
        .by_worker()
        .verdict_sure_or_likely("netns-deleted")
        .is("/culprit/args/3", "mt-n3")
        .is("/link/parent/name", "v7")
        .says("/verdict/cause", "with that w8, w7 and v7, the parent of mv7");
}

#[test]
fn a_vlan_on_a_veth_that_somebody_deletes_is_not_the_other_ends_namespaces_doing() {
    let trace = Watch::start();
    let _named = NamedNetns::add("mt-n3");
    let _veth = Parent("w7");
    ip("link add w7 type veth peer name w8 netns mt-n3");
    ip("link add link w7 name v7 type vlan id 5");
    ip("link add mv7 link v7 type macvlan");
    ip("link del v7");
    ip("netns del mt-n3");
    trace
        .stop()
        .only("deleted", "mv7")
        .by("ip")
        .verdict("parent-deleted", "certain")
        .is("/culprit/args/3", "v7")
        .says("/verdict/cause", "removed the parent v7 of mv7");
}

#[test]
fn a_vlan_takes_a_vxlan_along_and_that_takes_the_link() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    ip("link add link par0 name par0.10 type vlan id 10");
    ip("link add vx0 type vxlan id 42 dev par0.10 dstport 4789 group 239.1.1.1");
    ip("link add mv0 link vx0 type macvlan");
    ip("link del par0.10");
    trace
        .stop()
        .only("deleted", "mv0")
        .by("ip")
        .verdict("parent-deleted", "certain")
        .is("/culprit/args/3", "par0.10")
        .says("/verdict/cause", "removed par0.10, and with that vx0, the parent of mv0, which went with it")
        .says("/verdict/remedy", "Make par0.10, vx0 and mv0 again, in this order");
}

/// A bridge br0 that is up, with a veth v0 as a port, whose other end v1 goes into the container, as runtimes do it; and
/// on the bridge a link mv0 that is up.
fn bridge_into(container: &Container) -> Parent {
    ip("link add br0 type bridge");
    ip("link set br0 up");
    ip("link add mv0 link br0 type macvlan");
    ip("link set mv0 up");
    ip("link add v0 type veth peer name v1");
    ip("link set v0 master br0");
    ip(&format!("link set v1 netns {}", container.pid));
    ip("link set v0 up");
    run(
        "nsenter",
        &[&format!("--net=/proc/{}/ns/net", container.pid), &ip_path(), "link", "set", "v1", "up"],
    );
    until("the link has a carrier", || ip("link show mv0").contains("LOWER_UP"));
    Parent("br0")
}

#[test]
fn a_bridge_that_loses_its_last_port_with_a_container_leads_to_who_killed_that() {
    Watch::ready();
    let mut container = Container::start("read line");
    let _bridge = bridge_into(&container);
    let mut trace = Watch::start();
    signal(container.pid, rustix::process::Signal::KILL);
    container.wait();
    trace.wait_for_event("carrier_lost", "mv0");
    trace
        .stop()
        .only("carrier_lost", "mv0")
        .verdict("container-killed", "certain")
        .is("/culprit/pid", std::process::id())
        .says("/verdict/cause", "with that the bridge br0, the parent of mv0, lost its last port v0");
}

#[test]
fn a_bridge_whose_port_was_taken_out_before_the_container_was_killed_is_not_the_killers_doing() {
    Watch::ready();
    let mut container = Container::start("read line");
    let _bridge = bridge_into(&container);
    let mut trace = Watch::start();
    ip("link set v0 nomaster");
    trace.wait_for_event("carrier_lost", "mv0");
    signal(container.pid, rustix::process::Signal::KILL);
    container.wait();
    trace.stop().only("carrier_lost", "mv0").verdict("carrier-lost", "certain").is("/culprit/args/3", "v0");
}

#[test]
fn who_sets_up_a_bridge_that_has_lost_its_port_takes_no_carrier() {
    Watch::ready();
    let container = Container::start("read line");
    let _bridge = bridge_into(&container);
    let trace = Watch::start();
    ip("link set br0 down");
    ip("link del v0");
    ip("link set br0 up");
    until("the link takes that over", || ip("link show mv0").contains("NO-CARRIER"));
    trace.stop().only("parent_down", "mv0").by("ip").is("/culprit/args/3", "br0");
}
