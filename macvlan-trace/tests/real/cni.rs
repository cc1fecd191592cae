//! What the CNI plugins `macvlan` and `dhcp` do to a link, called as a runtime calls them.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use crate::{
    harness::{Container, NamedNetns, Parent, Watch, ip, until},
    segment::{Daemon, Segment},
};

#[test]
fn del_in_a_living_container_is_the_plugins_own_doing() {
    Watch::ready();
    let parent = Parent::dummy("par0");
    let container = Container::start("read line");
    let netns = format!("/proc/{}/ns/net", container.pid);
    let trace = Watch::start();
    plugin("ADD", &netns, parent.0, STATIC);
    plugin("DEL", &netns, parent.0, STATIC);
    trace
        .stop()
        .only("deleted", "eth0")
        .by("macvlan")
        .verdict("direct", "certain")
        .is("/link/netns/inode", container.netns())
        .holds("the link's age is that of a call or two", |record| {
            let [age, up] =
                [&record["link"]["age_ns"], &record["link"]["up_for_ns"]].map(serde_json::Value::as_u64);
            up > Some(0) && age > up && age < Some(60_000_000_000)
        });
}

#[test]
fn del_in_a_named_namespace_is_told_with_the_name() {
    Watch::ready();
    let parent = Parent::dummy("par0");
    let pod = NamedNetns::add("pod");
    plugin("ADD", "/run/netns/pod", parent.0, STATIC);
    let trace = Watch::start();
    plugin("DEL", "/run/netns/pod", parent.0, STATIC);
    trace
        .stop()
        .only("deleted", "eth0")
        .by("macvlan")
        .verdict("direct", "certain")
        .is("/link/netns/inode", pod.inode())
        .is("/link/netns/name", "pod");
}

#[test]
fn a_name_that_goes_without_del_takes_the_link_along() {
    Watch::ready();
    let parent = Parent::dummy("par0");
    let _pod = NamedNetns::add("pod");
    plugin("ADD", "/run/netns/pod", parent.0, STATIC);
    let mut trace = Watch::start();
    ip("netns del pod");
    trace.wait_for_event("deleted", "eth0");
    trace
        .stop()
        .only("deleted", "eth0")
        .by_worker()
        .verdict_sure_or_likely("netns-deleted")
        .is("/culprit/comm", "ip")
        .is("/link/netns/name", "pod")
        .says("/verdict/cause", "ip netns del pod");
}

/// The plugin asks at half of the lease's time for the first time, and gives up after four tries to renew the lease and
/// four for another one, with two to three seconds between them that no option changes. So a lease of six seconds, from
/// a server that gives such ones, and half a second for an answer are all that shortens it: to 25 seconds.
#[test]
fn a_lease_that_no_server_renews_ends_with_the_link_down() {
    Watch::ready();
    let _segment = Segment::new();
    let _pod = NamedNetns::add("pod");
    fs::write(
        "/tmp/udhcpd.conf",
        "start 192.168.2.10\nend 192.168.2.20\ninterface srv0\nmin_lease 6\nlease_file /tmp/udhcpd.leases\n\
         pidfile /tmp/udhcpd.pid\noption lease 6\noption subnet 255.255.255.0\n",
    )
    .expect("a file can be made");
    fs::write("/tmp/udhcpd.leases", "").expect("a file can be made");
    fs::create_dir_all("/run/cni").expect("a folder can be made");
    let server = Segment::serve("busybox udhcpd -f /tmp/udhcpd.conf");
    let _daemon = Daemon::start("/usr/lib/cni/dhcp daemon -timeout 500ms -resendmax 1s");
    until("the daemon listens", || fs::exists("/run/cni/dhcp.sock").is_ok_and(|exists| exists));
    plugin("ADD", "/run/netns/pod", "up0", r#"{"type": "dhcp"}"#);
    let mut trace = Watch::start();
    drop(server);
    trace.wait_for_event("down", "eth0");
    trace
        .stop()
        .only("down", "eth0")
        .by("dhcp")
        .verdict("dhcp-lease-ended", "likely")
        .is("/link/netns/name", "pod")
        .says("/verdict/cause", "lease");
    fs::remove_file("/run/cni/dhcp.sock").expect("the daemon leaves it");
}

/// One address, which nobody has to be asked for.
pub const STATIC: &str = r#"{"type": "static", "addresses": [{"address": "192.168.1.7/24"}]}"#;

/// Calls the macvlan plugin for a link `eth0` on `parent`.
pub fn plugin(command: &str, netns: &str, parent: &str, addresses: &str) {
    let config = format!(
        r#"{{"cniVersion": "1.0.0", "name": "mv", "type": "macvlan", "master": "{parent}", "mode": "bridge",
            "ipam": {addresses}}}"#
    );
    let mut child = Command::new("/usr/lib/cni/macvlan")
        .env("CNI_COMMAND", command)
        .env("CNI_CONTAINERID", "c1")
        .env("CNI_NETNS", netns)
        .env("CNI_IFNAME", "eth0")
        .env("CNI_PATH", "/usr/lib/cni")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the plugin is installed");
    child.stdin.take().expect("it has a stdin").write_all(config.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stdout));
}
