//! Why a link lost an address.

use crate::harness::{Container, NamedNetns, Parent, Watch, ip, ip_path, run, sh};

/// What the tracer is asked for.
const REMOVED: &[&str] = &["address_removed"];

/// A link that is up and has an address without duplicate address detection, in a named namespace.
fn link_in(namespace: &NamedNetns, link: &str, address: &str) {
    let name = namespace.0;
    ip(&format!("link add {link} link par0 netns {name} type macvlan"));
    ip(&format!("-n {name} link set {link} up"));
    ip(&format!("-n {name} addr add {address} dev {link} nodad"));
}

#[test]
fn an_address_whose_lifetime_ends_is_nobodys_doing() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    for address in ["192.0.2.7/24", "fd00::7/64"] {
        let mut trace = Watch::of(REMOVED);
        ip(&format!("addr add {address} dev macvlan0 valid_lft 2 preferred_lft 2"));
        trace.wait_for_event("address_removed", "macvlan0");
        trace
            .stop()
            .only("address_removed", "macvlan0")
            .is("/address", address)
            .by_worker()
            .verdict("address-expired", "certain")
            .is("/culprit", serde_json::Value::Null);
    }
}

#[test]
fn who_had_set_an_address_that_expires_is_told_and_not_who_had_set_it_before() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    for address in ["192.0.2.9/24", "fd00::9/64"] {
        let mut trace = Watch::of(REMOVED);
        // The first one is not the one whose address expires.
        ip(&format!("addr add {address} dev macvlan0 valid_lft 3600 preferred_lft 3600"));
        ip(&format!("addr del {address} dev macvlan0"));
        ip(&format!("addr add {address} dev macvlan0 valid_lft 2 preferred_lft 2"));
        trace.wait_for("the expiry", |record| record["verdict"]["rule"] == "address-expired");
        let stream = trace.stop();
        let removed: Vec<_> =
            stream.events().into_iter().filter(|event| event["address"] == address).cloned().collect();
        let [deleted, expired] = &removed[..] else { panic!("{stream}") };
        for (event, rule, setter) in
            [(deleted, "direct", "valid_lft 3600 "), (expired, "address-expired", "valid_lft 2 ")]
        {
            assert_eq!(event["verdict"]["rule"], rule, "{stream}");
            let cause = event["verdict"]["cause"].as_str().expect("a cause");
            assert!(cause.contains("after ip (PID ") && cause.contains(setter), "{stream}");
            assert_eq!(event["verdict"]["evidence"][0]["what"], "address_added", "{stream}");
        }
    }
}

#[test]
fn an_address_with_a_lifetime_that_somebody_removes_is_that_ones_doing() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    ip("addr add 192.0.2.7/24 dev macvlan0 valid_lft 60 preferred_lft 60");
    let trace = Watch::of(REMOVED);
    ip("addr del 192.0.2.7/24 dev macvlan0");
    trace.stop().only("address_removed", "macvlan0").by("ip").verdict("direct", "certain");
}

#[test]
fn an_mtu_of_the_parent_takes_ipv6_from_all_links_in_one_incident() {
    Watch::ready();
    let parent = Parent::dummy("par0");
    let (one, two) = (NamedNetns::add("mt-one"), NamedNetns::add("mt-two"));
    link_in(&one, "mv1", "fd00::1/64");
    link_in(&two, "mv2", "fd00::2/64");
    let trace = Watch::of(REMOVED);
    ip("link set par0 mtu 1200");
    let stream = trace.stop();
    stream.incident(|event| {
        event
            .by("ip")
            .verdict("mtu-too-small", "certain")
            .is("/culprit/args/3", parent.0)
            .says("/verdict/cause", "set the MTU of par0, the parent of mv")
    });
    // Each has a link-local address, too.
    for (link, address) in [("mv1", "fd00::1/64"), ("mv2", "fd00::2/64")] {
        assert!(
            stream.events().iter().any(|event| event["link"]["name"] == link && event["address"] == address),
            "{stream}"
        );
    }
}

#[test]
fn an_mtu_of_the_link_itself_is_not_the_parents() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    let one = NamedNetns::add("mt-one");
    link_in(&one, "mv1", "fd00::1/64");
    let trace = Watch::of(REMOVED);
    ip("-n mt-one link set mv1 mtu 1200");
    trace.stop().incident(|event| {
        event
            .by("ip")
            .verdict("mtu-too-small", "certain")
            .says("/verdict/cause", "set the MTU of mv1 below 1280")
    });
}

#[test]
fn a_sysctl_that_disables_ipv6_is_named() {
    Watch::ready();
    let parent = Parent::dummy("par0");
    let container = Container::with_link("macvlan0", &parent, "read line");
    let enter = format!("--net=/proc/{}/ns/net", container.pid);
    run("nsenter", &[&enter, &ip_path(), "addr", "add", "fd00::7/64", "dev", "macvlan0", "nodad"]);
    let trace = Watch::of(REMOVED);
    sh(&format!("exec nsenter {enter} sh -c 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6'"));
    trace.stop().incident(|event| event.by("sh").verdict("ipv6-disabled", "certain"));
}
