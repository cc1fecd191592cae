//! Requests that the kernel refuses.

use std::process::Command;

use crate::harness::{Checked, NamedNetns, Parent, Watch, ip, ip_path, own_netns, run};

/// Runs `ip`, which the kernel refuses.
fn ip_fails(args: &str) {
    let done = Command::new(ip_path()).args(args.split_whitespace()).output().expect("ip can be run");
    assert!(!done.status.success(), "ip {args} worked");
}

/// A device that is deleted when the test ends.
struct Device(&'static str);

impl Device {
    fn add(name: &'static str, kind: &str) -> Self {
        ip(&format!("link add {name} {kind}"));
        Self(name)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        ip(&format!("link del {}", self.0));
    }
}

/// A link on par0 that could not be made.
fn not_made(event: Checked<'_>) -> Checked<'_> {
    event
        .by("ip")
        .is("/link/kind", "macvlan")
        .is("/link/netns/inode", own_netns())
        .is("/link/parent/name", "par0")
        .is("/link/parent/netns", own_netns())
        .is("/kernel/probe", "rtnl_newlink")
}

#[test]
fn a_port_of_a_bridge_can_be_no_parent() {
    let _parent = Parent::dummy("par0");
    let _bridge = Device::add("br0", "type bridge");
    ip("link set par0 master br0");
    let trace = Watch::start();
    ip_fails("link add macvlan0 link par0 type macvlan mode bridge");
    let stream = trace.stop();
    not_made(stream.only("create_failed", "macvlan0"))
        .is("/error", "EBUSY")
        .is("/link/mode", "bridge")
        .is("/link/parent/held_by/name", "br0")
        .is("/link/parent/held_by/kind", "bridge")
        .verdict("parent-busy", "certain")
        .says("/verdict/cause", "could not make macvlan0 (EBUSY): par0 is a port of the bridge br0");
}

#[test]
fn a_parent_that_carries_ipvlan_or_a_link_in_passthru_mode_takes_no_macvlan() {
    let _parent = Parent::dummy("par0");
    let trace = Watch::start();
    let ipvlan = Device::add("ipvl0", "link par0 type ipvlan mode l2");
    ip_fails("link add macvlan0 link par0 type macvlan");
    drop(ipvlan);
    let passthru = Device::add("mv1", "link par0 type macvlan mode passthru");
    ip_fails("link add macvlan1 link par0 type macvlan");
    drop(passthru);
    let bridge = Device::add("mv2", "link par0 type macvlan mode bridge");
    ip_fails("link add macvlan2 link par0 type macvlan mode passthru");
    drop(bridge);
    let stream = trace.stop();
    let of = |link: &str| not_made(stream.one("create_failed", link));
    of("macvlan0")
        .is("/error", "EBUSY")
        .is("/link/parent/held_by/kind", "ipvlan")
        .verdict("parent-busy", "certain")
        .says("/verdict/cause", "the ipvlan ipvl0 stands on par0");
    of("macvlan1")
        .is("/error", "EINVAL")
        .is("/link/parent/held_by/mode", "passthru")
        .verdict("parent-busy", "likely")
        .says("/verdict/cause", "the macvlan mv1 stands on par0 in passthru mode");
    of("macvlan2")
        .is("/link/mode", "passthru")
        .verdict("parent-busy", "likely")
        .says("/verdict/cause", "must be the only one on par0, and the macvlan mv2 is there");
}

#[test]
fn a_vlan_and_siblings_on_the_parent_do_not_make_it_busy() {
    let _parent = Parent::dummy("par0");
    let trace = Watch::start();
    let vlan = Device::add("par0.5", "link par0 type vlan id 5");
    let sibling = Device::add("mv1", "link par0 type macvlan mode bridge");
    // The name is taken.
    ip_fails("link add par0.5 link par0 type macvlan");
    // The MTU is larger than the parent's.
    ip_fails("link add macvlan1 link par0 mtu 9000 type macvlan");
    let stream = trace.stop();
    drop((vlan, sibling));
    not_made(stream.one("create_failed", "par0.5"))
        .is("/error", "EEXIST")
        .verdict("creation-failed", "certain");
    not_made(stream.one("create_failed", "macvlan1"))
        .is("/error", "EINVAL")
        .verdict("creation-failed", "certain");
}

#[test]
fn a_link_for_another_namespace_is_told_with_that() {
    let _parent = Parent::dummy("par0");
    let away = NamedNetns::add("mt-away");
    ip("-n mt-away link add eth0 type dummy");
    let trace = Watch::start();
    ip_fails("link add eth0 link par0 netns mt-away type macvlan");
    let stream = trace.stop();
    stream
        .only("create_failed", "eth0")
        .by("ip")
        .is("/error", "EEXIST")
        .is("/link/netns/inode", away.inode())
        .is("/link/netns/name", "mt-away")
        .is("/link/parent/name", "par0")
        .is("/link/parent/netns", own_netns())
        .verdict("creation-failed", "certain");
}

#[test]
fn a_link_that_is_made_and_undone_fails_in_one_incident() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    ip("link add mv1 link par0 address 02:00:00:00:77:01 type macvlan mode bridge");
    ip("link set mv1 up");
    let trace = Watch::all();
    ip_fails("link add macvlan0 link par0 address 02:00:00:00:77:01 up type macvlan mode bridge");
    let stream = trace.stop();
    ip("link del mv1");
    stream
        .one("create_failed", "macvlan0")
        .is("/actor/comm", "ip")
        .verdict("address-in-use", "certain")
        .says("/verdict/cause", "could not make macvlan0")
        .says("/verdict/cause", "mv1 has its hardware address 02:00:00:00:77:01");
    let incidents: Vec<_> = stream.events().iter().map(|event| event["incident"].clone()).collect();
    assert!(incidents.len() >= 3 && incidents.iter().all(|it| *it == incidents[0]), "{stream}");
}

#[test]
fn a_kind_whose_module_is_gone_is_said_to_lack_it() {
    const MODPROBE: &str = "/proc/sys/kernel/modprobe";
    // A real machine keeps its modules.
    if std::env::var_os("MACVLAN_TRACE_TEST_HOST").is_some() {
        return;
    }
    let _parent = Parent::dummy("par0");
    let trace = Watch::start();
    run("sh", &["-c", "rmmod macvtap 2>/dev/null; true"]);
    let modprobe = std::fs::read(MODPROBE).expect("the kernel has a modprobe");
    std::fs::write(MODPROBE, "/bin/false").expect("it can be told another one");
    ip_fails("link add macvtap0 link par0 type macvtap");
    std::fs::write(MODPROBE, modprobe).expect("it can be told the old one");
    // And now it is there.
    ip("link add macvtap0 link par0 type macvtap");
    ip("link del macvtap0");
    let stream = trace.stop();
    stream
        .one("create_failed", "macvtap0")
        .by("ip")
        .is("/error", "EOPNOTSUPP")
        .is("/message", "Unknown device type")
        .verdict("module-missing", "certain");
}

#[test]
fn requests_for_other_kinds_and_changes_that_fail_are_none_for_a_link() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    let trace = Watch::start();
    ip_fails("link add par0 type dummy");
    ip_fails("link add x0 type nonesuch");
    // Not to be made, but to be changed.
    ip_fails("link set macvlan0 type macvlan mode passthru");
    trace.stop().nothing();
    ip("link del macvlan0");
}

#[test]
fn who_sets_protodown_takes_the_carrier_away_and_who_clears_it_gives_it_back() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    let trace = Watch::of(&["carrier_lost", "carrier_back"]);
    ip("link set macvlan0 protodown on");
    ip("link set macvlan0 protodown off");
    let stream = trace.stop();
    stream
        .one("carrier_lost", "macvlan0")
        .by("ip")
        .is("/link/protodown", true)
        .verdict("protodown", "certain")
        .says("/verdict/cause", "set protodown on macvlan0");
    stream
        .one("carrier_back", "macvlan0")
        .by("ip")
        .is("/link/protodown", false)
        .verdict("protodown", "certain");
    ip("link del macvlan0");
}

/// The address of mv1.
const TAKEN: &str = "02:00:00:00:77:01";

#[test]
fn an_address_that_another_link_has_is_not_given_away() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    ip(&format!("link add mv1 link par0 address {TAKEN} type macvlan mode bridge"));
    ip("link add mv2 link par0 type macvlan mode bridge");
    ip("link add macvlan0 link par0 type macvlan mode bridge");
    for link in ["mv1", "mv2", "macvlan0"] {
        ip(&format!("link set {link} up"));
    }
    let trace = Watch::all();
    ip_fails(&format!("link set macvlan0 address {TAKEN}"));
    ip_fails("link set macvlan0 address 01:00:00:00:00:01");
    ip("link set macvlan0 address 02:00:00:00:77:03");
    let stream = trace.stop();
    for link in ["mv1", "mv2", "macvlan0"] {
        ip(&format!("link del {link}"));
    }
    let failed = stream.events_of("mac_failed");
    assert_eq!(failed.len(), 2, "{stream}");
    let [taken, invalid] = &stream.all()[..2] else { panic!("{stream}") };
    taken
        .tells("mac_failed", "macvlan0")
        .is("/actor/comm", "ip")
        .is("/error", "EADDRINUSE")
        .is("/wanted/mac", TAKEN)
        .is("/link/netns/inode", own_netns())
        .is("/link/parent/name", "par0")
        .verdict("address-in-use", "certain")
        .is("/culprit", serde_json::Value::Null)
        .says(
            "/verdict/cause",
            &format!("could not give macvlan0 the hardware address {TAKEN} (EADDRINUSE): mv1 has"),
        );
    invalid
        .tells("mac_failed", "macvlan0")
        .by("ip")
        .is("/error", "EADDRNOTAVAIL")
        .is("/wanted/mac", "01:00:00:00:00:01")
        .verdict("change-failed", "certain");
    stream.one("mac_changed", "macvlan0").by("ip");
}

#[test]
fn a_name_that_is_taken_stops_a_rename_and_a_move() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    let away = NamedNetns::add("mt-away");
    ip("-n mt-away link add macvlan0 type dummy");
    ip("link add macvlan0 link par0 type macvlan");
    let trace = Watch::start();
    ip_fails("link set macvlan0 name par0");
    ip_fails("link set macvlan0 netns mt-away");
    // What is no link of a traced kind is not told.
    ip_fails("link set par0 name macvlan0");
    let stream = trace.stop();
    ip("link del macvlan0");
    assert_eq!(stream.events().len(), 2, "{stream}");
    stream
        .one("rename_failed", "macvlan0")
        .by("ip")
        .is("/error", "EEXIST")
        .is("/wanted/name", "par0")
        .is("/wanted/netns", serde_json::Value::Null)
        .verdict("change-failed", "certain")
        .says("/verdict/cause", "could not rename macvlan0 to par0 (EEXIST)");
    stream
        .one("move_failed", "macvlan0")
        .by("ip")
        .is("/error", "EEXIST")
        .is("/link/netns/inode", own_netns())
        .is("/wanted/netns/inode", away.inode())
        .is("/wanted/netns/name", "mt-away")
        .verdict("change-failed", "certain");
}

#[test]
fn an_ipvlan_has_the_address_of_its_parent() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    ip("link add ipvl0 link par0 type ipvlan");
    let trace = Watch::start();
    ip_fails("link set ipvl0 address 02:00:00:00:77:01");
    trace
        .stop()
        .only("mac_failed", "ipvl0")
        .by("ip")
        .is("/error", "EOPNOTSUPP")
        .verdict("change-failed", "certain")
        .says("/verdict/remedy", "that of its parent");
    ip("link del ipvl0");
}

#[test]
fn a_flap_of_the_parent_gives_the_carrier_back_in_spite_of_protodown() {
    Watch::ready();
    let _parent = Device::add("par0", "type veth peer name peer0");
    for link in ["par0", "peer0"] {
        ip(&format!("link set {link} up"));
    }
    for link in ["macvlan0", "macvlan1"] {
        ip(&format!("link add {link} link par0 type macvlan mode bridge"));
        ip(&format!("link set {link} up"));
    }
    ip("link set macvlan0 protodown on");
    let mut trace = Watch::of(&["carrier_lost", "carrier_back"]);
    ip("link set peer0 down");
    trace.wait_for_event("carrier_lost", "macvlan1");
    ip("link set peer0 up");
    trace.wait_for_event("carrier_back", "macvlan0");
    let stream = trace.stop();
    stream
        .one("carrier_back", "macvlan0")
        .is("/link/protodown", true)
        .verdict("protodown", "certain")
        .says("/verdict/cause", "although protodown is still on");
    // Its sibling has none.
    stream.one("carrier_back", "macvlan1").is("/link/protodown", false).is("/verdict/rule", "carrier-back");
    for link in ["macvlan0", "macvlan1"] {
        ip(&format!("link del {link}"));
    }
}
