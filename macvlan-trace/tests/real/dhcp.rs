//! What DHCP clients do to a link of the host when they give its lease back.

use std::{fs, process::Command};

use crate::{
    harness::{Watch, ip, run, until},
    segment::{Daemon, Segment},
};

#[test]
fn dhclient_that_gives_its_lease_back_takes_the_address() {
    Watch::ready();
    let _lan = Lan::new();
    let dhclient = |what: &str| {
        let words = format!("-4 {what} -pf /tmp/dhclient.pid -lf /tmp/dhclient.leases mv0");
        run("dhclient", &words.split_whitespace().collect::<Vec<_>>());
    };
    dhclient("-1");
    let trace = Watch::all();
    dhclient("-r");
    trace
        .stop()
        .only("address_removed", "mv0")
        .by("ip")
        .verdict("dhcp-client", "likely")
        .says("/address", "192.168.2.")
        .says("/verdict/cause", "called by dhclient-script")
        .says("/verdict/remedy", "`dhclient eth0`");
}

#[test]
fn dhcpcd_that_gives_its_lease_back_takes_the_address_and_the_remedy_keeps_it_off() {
    Watch::ready();
    let _lan = Lan::new();
    run("dhcpcd", &["-4", "--noarp", "mv0"]);
    until("the link has its address", || has_address("mv0"));
    let mut trace = Watch::all();
    run("dhcpcd", &["-4", "--release", "mv0"]);
    trace.wait_for_event("address_removed", "mv0");
    trace
        .stop()
        .only("address_removed", "mv0")
        .by("dhcpcd")
        .verdict("dhcp-client", "likely")
        .says("/verdict/remedy", "`denyinterfaces mv0` in /etc/dhcpcd.conf");

    let before = fs::read_to_string(CONFIG).expect("dhcpcd is installed");
    fs::write(CONFIG, format!("{before}\ndenyinterfaces mv0\n")).expect("a file can be written");
    let trace = Watch::all();
    let again = Command::new("dhcpcd").args(["-4", "--noarp", "mv0"]).output().expect("it is installed");
    assert!(!again.status.success(), "it takes the link all the same");
    trace.stop().nothing();
    assert!(!has_address("mv0"));
    fs::write(CONFIG, before).expect("a file can be written");
}

const CONFIG: &str = "/etc/dhcpcd.conf";

fn has_address(link: &str) -> bool {
    !ip(&format!("-4 -oneline addr show {link}")).is_empty()
}

/// A segment with dnsmasq, and a macvlan link `mv0` on it that is up.
struct Lan {
    _server: Daemon,
    _segment: Segment,
}

impl Lan {
    fn new() -> Self {
        let segment = Segment::new();
        let server = Segment::serve(
            "dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --interface=srv0 --bind-interfaces \
             --dhcp-range=192.168.2.10,192.168.2.50,255.255.255.0 --dhcp-leasefile=/tmp/dnsmasq.leases \
             --pid-file --no-ping --dhcp-authoritative",
        );
        ip("link add mv0 link up0 type macvlan mode bridge");
        ip("link set mv0 up");
        Self { _server: server, _segment: segment }
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        // Clients of a test that failed.
        for (client, exit) in [("dhcpcd", &["--exit"][..]), ("dhclient", &["-x", "-pf", "/tmp/dhclient.pid"])]
        {
            let _ = Command::new(client).args(exit).output();
        }
    }
}
