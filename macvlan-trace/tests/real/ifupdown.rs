//! What ifupdown does to a link, and to its parent.

use std::fs;

use crate::harness::{Parent, Watch, ip, run};

const INTERFACES: &str = "/tmp/interfaces";

#[test]
fn ifdown_is_one_incident_whatever_it_has_others_do_and_ifup_undoes_it() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    described(
        "iface mv0 inet static\n\
         address 192.168.2.77/24\n\
         pre-up ip link add mv0 link par0 type macvlan\n\
         post-down ip link del mv0\n",
    );
    change("ifup", "mv0");
    let trace = Watch::all();
    change("ifdown", "mv0");
    let stream = trace.stop();
    stream.incident(|event| {
        event
            .by("ip")
            .verdict("ifupdown", "likely")
            .says("/verdict/cause", "called by ifdown")
            .says("/verdict/remedy", "`ifup mv0`")
    });
    for event in ["address_removed", "down", "deleted"] {
        stream.one(event, "mv0");
    }
    change("ifup", "mv0");
    assert!(ip("-4 -oneline addr show dev mv0 up").contains("192.168.2.77/24"));
    change("ifdown", "mv0");
}

#[test]
fn ifdown_of_the_parent_is_told_with_its_caller() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    ip("link add mv0 link par0 type macvlan");
    ip("link set mv0 up");
    described("iface par0 inet manual\n");
    change("ifup", "par0");
    let trace = Watch::start();
    change("ifdown", "par0");
    trace
        .stop()
        .only("parent_down", "mv0")
        .by("ip")
        .verdict("parent-down", "certain")
        .says("/verdict/cause", "called by ifdown");
}

#[test]
fn ifdown_of_a_vlan_deletes_what_stands_on_it() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    described("iface par0.5 inet manual\nvlan-raw-device par0\n");
    change("ifup", "par0.5");
    ip("link add mv0 link par0.5 type macvlan");
    ip("link set mv0 up");
    let trace = Watch::start();
    change("ifdown", "par0.5");
    let stream = trace.stop();
    stream.incident(|event| event.by("ip").says("/verdict/cause", "called by ifdown"));
    stream.one("deleted", "mv0").verdict("parent-deleted", "certain");
}

fn described(interfaces: &str) {
    fs::write(INTERFACES, interfaces).expect("a file can be made");
}

/// `ifup` or `ifdown`.
fn change(program: &str, link: &str) {
    fs::create_dir_all("/run/network").expect("a folder can be made");
    run(program, &["-i", INTERFACES, link]);
}
