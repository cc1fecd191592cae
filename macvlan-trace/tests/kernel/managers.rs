//! Who manages links that are not its own, and who only looks like it.

use std::process::Command;

use crate::harness::{Container, NamedNetns, Parent, Unit, Watch, as_another, in_guest, ip, run, script, sh};

#[test]
fn networkmanager_is_told_by_its_unit_with_the_lines_to_paste() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    let manager = Unit::new("NetworkManager.service");
    up("macvlan0");
    manager.sh("exec $IP link set macvlan0 down");
    trace
        .stop()
        .only("down", "macvlan0")
        .by("ip")
        .verdict("network-manager", "certain")
        .is("/culprit/unit", "NetworkManager.service")
        .says("/verdict/remedy", "unmanaged-devices+=interface-name:macvlan0");
}

#[test]
fn networkd_that_deletes_a_runtimes_link_is_told_with_its_remedy() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    let networkd = Unit::new("systemd-networkd.service");
    let runtime = Unit::new("docker.service");
    runtime.sh("exec $IP link add macvlan0 link par0 type macvlan");
    networkd.sh("exec $IP link del macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by("ip")
        .verdict("network-manager", "certain")
        .is("/culprit/unit", "systemd-networkd.service")
        .says("/verdict/cause", "s after ip (PID ")
        .says("/verdict/cause", ") created it")
        .says("/verdict/remedy", "Unmanaged=yes");
}

#[test]
fn two_that_undo_each_other_are_told_as_such_from_the_second_round_on() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    let inside = Unit::new("docker-4711.scope");
    let outside = Unit::new("watchdog.service");
    for _ in 0..3 {
        inside.sh("exec $IP link set macvlan0 up");
        outside.sh("exec $IP link set macvlan0 down");
    }
    let stream = trace.stop();
    let downs = stream.all();
    assert_eq!(downs.len(), 3, "{stream}");
    for (down, rule) in downs.iter().zip(["direct", "two-managers", "two-managers"]) {
        down.tells("down", "macvlan0")
            .by("ip")
            .verdict(rule, "certain")
            .is("/culprit/unit", "watchdog.service");
    }
    downs[2].says("/verdict/cause", "3 times");
}

#[test]
fn one_that_changes_its_mind_fights_nobody() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    let only = Unit::new("backup.service");
    for _ in 0..3 {
        only.sh("$IP link set macvlan0 up; $IP link set macvlan0 down");
    }
    let stream = trace.stop();
    assert_eq!(stream.all().len(), 3, "{stream}");
    for down in stream.all() {
        down.tells("down", "macvlan0")
            .by("ip")
            .verdict("direct", "certain")
            .is("/culprit/unit", "backup.service");
    }
}

#[test]
fn dhcpcd_that_removes_an_address_is_told() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    up("macvlan0");
    ip("addr add 192.0.2.7/24 dev macvlan0");
    let dhcpcd = Unit::new("dhcpcd.service");
    let trace = Watch::all();
    dhcpcd.sh("exec $IP addr del 192.0.2.7/24 dev macvlan0");
    trace
        .stop()
        .only("address_removed", "macvlan0")
        .by("ip")
        .verdict("dhcp-client", "certain")
        .says("/verdict/cause", "removed the address 192.0.2.7/24")
        .says("/verdict/remedy", "denyinterfaces macvlan0");
}

#[test]
fn a_dhcp_clients_script_is_told_by_its_ancestry() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    up("macvlan0");
    let client = script("dhclient-script", "$IP link set macvlan0 down; true");
    run(&client, &[]);
    trace.stop().only("down", "macvlan0").by("ip").verdict("dhcp-client", "likely");
}

#[test]
fn the_dhcp_daemon_of_cni_ends_a_lease_inside_the_pod() {
    let trace = Watch::start();
    let parent = Parent::dummy("par0");
    let container = Container::with_link("macvlan0", &parent, "read line");
    // It sets the link down itself, in the pod's namespace.
    let daemon = script("dhcp", "mount -t sysfs none /sys && echo 0x1002 > /sys/class/net/macvlan0/flags");
    run("nsenter", &[&format!("--net=/proc/{}/ns/net", container.pid), "unshare", "-m", &daemon, "daemon"]);
    trace
        .stop()
        .only("down", "macvlan0")
        .by("dhcp")
        .verdict("dhcp-lease-ended", "likely")
        .is("/link/netns/inode", container.netns());
}

#[test]
fn ifreload_is_told_by_what_it_runs() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    up("macvlan0");
    let ifreload = script("ifreload", "$IP link set macvlan0 down; true");
    run(&ifreload, &["-a"]);
    trace
        .stop()
        .only("down", "macvlan0")
        .by("ip")
        .verdict("ifupdown", "likely")
        .says("/verdict/cause", "called by ifreload");
}

#[test]
fn the_networking_service_is_told_by_its_unit() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    up("macvlan0");
    let networking = Unit::new("networking.service");
    networking.sh("exec $IP link set macvlan0 down");
    trace.stop().only("down", "macvlan0").by("ip").verdict("ifupdown", "certain");
}

#[test]
fn a_runtime_that_takes_a_link_away_from_a_living_container_is_told() {
    let trace = Watch::start();
    let parent = Parent::dummy("par0");
    let container = Container::with_link("macvlan0", &parent, "read line");
    let runtime = Unit::new("containerd.service");
    let net = format!("--net=/proc/{}/ns/net", container.pid);
    let plugin = script("macvlan", &format!("nsenter {net} $IP link del macvlan0; true"));
    runtime.sh(&format!("exec {plugin}"));
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by("ip")
        .verdict("runtime-teardown", "certain")
        .is("/culprit/unit", "containerd.service")
        .is("/link/netns/inode", container.netns())
        .says("/verdict/cause", "no end of a main process came first");
}

#[test]
fn a_daemon_that_has_just_started_breaks_what_is_older() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    up("macvlan0");
    let runtime = Unit::new("docker.service");
    let daemon = script("dockerd", "$IP link del macvlan0; true");
    runtime.sh(&format!("exec {daemon}"));
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by("ip")
        .verdict("daemon-restarted", "likely")
        .is("/culprit/unit", "docker.service");
}

#[test]
fn a_service_that_deletes_what_it_made_hurt_itself() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    let keepalived = Unit::new("keepalived.service");
    keepalived.sh("$IP link add vrrp.51 link par0 type macvlan; $IP link del vrrp.51");
    trace
        .stop()
        .only("deleted", "vrrp.51")
        .by("ip")
        .verdict("self-inflicted", "likely")
        .is("/culprit/unit", "keepalived.service");
}

#[test]
fn a_person_at_a_terminal_is_told_by_the_terminal() {
    if !in_guest() {
        return; // A real machine's terminals are somebody's.
    }
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    up("macvlan0");
    sh("setsid -c $IP link set macvlan0 down < /dev/ttyS0");
    trace
        .stop()
        .only("down", "macvlan0")
        .by("ip")
        .verdict("by-hand", "likely")
        .is("/culprit/tty", "ttyS0")
        .says("/verdict/cause", "by hand, at ttyS0")
        .says("/verdict/remedy", "ip link set macvlan0 up");
}

#[test]
fn an_address_that_another_link_has_is_told_with_its_holder() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    for link in ["mv0", "mv1"] {
        ip(&format!("link add {link} link par0 address 02:00:00:00:00:77 type macvlan"));
    }
    ip("link set mv0 up");
    let trace = Watch::all();
    fails("link set mv1 up");
    trace
        .stop()
        .only("up_failed", "mv1")
        .is("/actor/comm", "ip")
        .is("/culprit", serde_json::Value::Null)
        .verdict("address-in-use", "certain")
        .says("/verdict/cause", "mv0 has its hardware address 02:00:00:00:00:77");
}

#[test]
fn an_address_that_a_dying_container_has_is_told_as_a_leftover() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    let mut container = Container::start("read line");
    ip("link add mv0 link par0 address 02:00:00:00:00:77 type macvlan");
    ip(&format!("link set mv0 netns {}", container.pid));
    run("nsenter", &[&format!("--net=/proc/{}/ns/net", container.pid), "ip", "link", "set", "mv0", "up"]);
    let held = std::fs::File::open(format!("/proc/{}/ns/net", container.pid)).expect("it can be opened");
    ip("link add mv1 link par0 address 02:00:00:00:00:77 type macvlan");
    let mut trace = Watch::all();
    container.go();
    container.wait();
    fails("link set mv1 up");
    trace.wait_for_event("up_failed", "mv1");
    drop(held);
    trace.wait_for_event("deleted", "mv0");
    let stream = trace.stop();
    stream
        .one("up_failed", "mv1")
        .is("/actor/comm", "ip")
        .is("/culprit", serde_json::Value::Null)
        .verdict("address-in-use", "certain")
        .says("/verdict/cause", "a leftover of a container that is still being torn down");
    stream
        .one("deleted", "mv0")
        .by_worker()
        .verdict_sure_or_likely("container-exited")
        .victim(&container)
        .is("/culprit/pid", container.pid);
    assert_eq!(stream.all().len(), 2, "{stream}");
}

#[test]
fn a_hardware_address_that_changes_is_told_with_both() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    let udev = Unit::new("systemd-udevd.service");
    let trace = Watch::of(&["mac_changed"]);
    ip("link add macvlan0 link par0 address 02:00:00:00:00:01 type macvlan");
    udev.sh("exec $IP link set macvlan0 address 02:00:00:00:00:02");
    trace
        .stop()
        .only("mac_changed", "macvlan0")
        .by("ip")
        .verdict("mac-changed", "certain")
        .says("/verdict/cause", "from 02:00:00:00:00:01 to 02:00:00:00:00:02");
}

#[test]
fn a_link_that_moved_is_not_gone() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    let named = NamedNetns::add("mt-target");
    up("macvlan0");
    let trace = Watch::all();
    ip("link set macvlan0 netns mt-target");
    trace
        .stop()
        .only("moved", "macvlan0")
        .by("ip")
        .verdict("moved", "certain")
        .is("/to/netns/inode", named.inode())
        .is("/to/netns/name", "mt-target");
}

#[test]
fn a_name_makes_no_runtime() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    up("macvlan0");
    as_another("dockerd", "link del macvlan0");
    trace.stop().only("deleted", "macvlan0").by("dockerd").verdict("direct", "certain");
}

#[test]
fn a_name_makes_no_network_manager() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    up("macvlan0");
    as_another("NetworkManager", "link set macvlan0 down");
    trace.stop().only("down", "macvlan0").by("NetworkManager").verdict("direct", "certain");
}

#[test]
fn a_unit_inside_a_container_is_the_containers_invention() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    up("macvlan0");
    let inside = Unit::new("docker-4711.scope/system.slice/NetworkManager.service");
    inside.sh("exec $IP link set macvlan0 down");
    trace.stop().only("down", "macvlan0").by("ip").verdict("direct", "certain");
}

#[test]
fn a_script_of_a_unit_is_told_by_its_unit() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    up("macvlan0");
    let backup = Unit::new("backup.service");
    let nightly = script("nightly", "$IP link set macvlan0 down; true");
    backup.sh(&format!("{nightly}; true"));
    trace
        .stop()
        .only("down", "macvlan0")
        .by("ip")
        .verdict("direct", "certain")
        .is("/culprit/unit", "backup.service")
        .is("/actor/ancestors/0/comm", "nightly");
}

/// A macvlan link on `par0` that is up.
fn up(link: &str) {
    ip(&format!("link add {link} link par0 type macvlan"));
    ip(&format!("link set {link} up"));
}

/// A request of `ip` that has to fail.
fn fails(args: &str) {
    let output = Command::new(crate::harness::ip_path()).args(args.split(' ')).output().expect("ip runs");
    assert!(!output.status.success(), "ip {args} succeeded");
}
