//! NetworkManager, asked by its client, which nobody sees.

use std::process::{Command, Stdio};

use super::{Foreign, NETWORK_MANAGER, only_manager, paste};
use crate::harness::{Checked, Trace, Watch, run, until};

#[test]
fn a_foreign_link_that_it_deletes_is_told_with_the_log_that_names_who_asked() {
    Watch::ready();
    only_manager(NETWORK_MANAGER);
    let mut trace = Watch::start();
    let link = Foreign::link("foreign0");
    until("it knows the link", || state("foreign0").contains("externally"));
    nmcli("device delete foreign0");
    trace.wait_for_event("deleted", link.0);
    let stream = trace.stop();
    let event = of_network_manager(stream.only("deleted", link.0), "certain");
    event.says("/verdict/remedy", "`journalctl -u NetworkManager --grep audit:`");
    assert!(audit().contains("op=\"device-delete\" interface=\"foreign0\""), "{}", audit());
}

#[test]
fn a_foreign_link_that_it_takes_over_loses_its_address_and_the_remedy_keeps_it_off() {
    Watch::ready();
    only_manager(NETWORK_MANAGER);
    let link = Foreign::link("foreign1");
    until("it knows the link", || state("foreign1").contains("externally"));
    let profile = Profile::add("taker", "foreign1");
    let mut trace = Watch::all();
    nmcli("connection up taker");
    let taken = trace.wait_for("the address gone", |record| record["address"] == "192.0.2.7/24");
    trace.stop().incident(|event| of_network_manager(event.is("/event", "address_removed"), "certain"));

    nmcli("connection down taker");
    let _unmanaged = paste(&taken["verdict"]);
    until("it leaves the link alone", || state("foreign1").contains("unmanaged"));
    link.set_up();
    let trace = Watch::all();
    assert!(refused("connection up taker"));
    assert!(refused("device disconnect foreign1"));
    trace.stop().nothing();
    drop(profile);
}

#[test]
fn a_link_of_its_own_profile_is_its_own() {
    Watch::ready();
    only_manager(NETWORK_MANAGER);
    let _profile = Profile::add("own", "own0");
    let mut trace = Watch::start();
    nmcli("connection up own");
    nmcli("connection down own");
    trace.wait_for_event("deleted", "own0");
    trace
        .stop()
        .only("deleted", "own0")
        .by("NetworkManager")
        .verdict("self-inflicted", "certain")
        .is("/culprit/unit", NETWORK_MANAGER)
        .says("/verdict/cause", "of NetworkManager.service deleted own0, which it had made itself")
        .says("/verdict/remedy", "`journalctl -u NetworkManager --grep audit:`");
    assert!(audit().contains("op=\"connection-deactivate\""), "{}", audit());
}

#[test]
fn a_link_of_its_own_from_before_goes_with_the_profile() {
    only_manager(NETWORK_MANAGER);
    let profile = Profile::add("own", "own1");
    nmcli("connection up own");
    let mut trace = Trace::start(&[]);
    drop(profile);
    trace.wait_for_event("deleted", "own1");
    let stream = trace.stop();
    of_network_manager(stream.one("address_removed", "own1"), "likely").is("/address", "192.0.2.99/24");
    assert_eq!(stream.all().len(), 2, "{stream}");
    let event = of_network_manager(stream.one("deleted", "own1"), "likely");
    event
        .says("/verdict/cause", "; who made own1 was not seen, so the link may be the manager's own")
        .says("/verdict/remedy", "if a client asked for it, `journalctl");
    assert!(audit().contains("op=\"connection-delete\""), "{}", audit());
}

#[test]
fn the_parent_stays_up_when_it_is_disconnected() {
    Watch::ready();
    only_manager(NETWORK_MANAGER);
    let _link = Foreign::link("foreign2");
    let trace = Watch::start();
    nmcli("device disconnect eth0");
    trace.stop().nothing();
    assert!(audit().contains("op=\"device-disconnect\" interface=\"eth0\""), "{}", audit());
}

fn of_network_manager<'a>(event: Checked<'a>, confidence: &str) -> Checked<'a> {
    event.by("NetworkManager").verdict("network-manager", confidence).is("/culprit/unit", NETWORK_MANAGER)
}

/// The client, which has to succeed; its answer.
fn nmcli(words: &str) -> String {
    run("nmcli", &words.split_whitespace().collect::<Vec<_>>())
}

/// Whether the daemon says no.
fn refused(words: &str) -> bool {
    let mut client = Command::new("nmcli");
    client.args(words.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::null());
    !client.status().expect("nmcli is installed").success()
}

/// What it says about a link.
fn state(link: &str) -> String {
    let states = nmcli("--terse --fields DEVICE,STATE device");
    let state = states.lines().find_map(|line| line.strip_prefix(&format!("{link}:")));
    state.unwrap_or_default().to_owned()
}

/// The lines of its log that its remedy points at.
fn audit() -> String {
    run("sh", &["-c", "journalctl -u NetworkManager --grep audit:"])
}

/// A profile for a macvlan link on the card, with the address 192.0.2.99; it goes with the test.
struct Profile(&'static str);

impl Profile {
    fn add(name: &'static str, link: &str) -> Self {
        nmcli(&format!(
            "connection add type macvlan con-name {name} ifname {link} dev eth0 mode bridge autoconnect no \
             ipv4.method manual ipv4.addresses 192.0.2.99/24"
        ));
        Self(name)
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        let _ = Command::new("nmcli").args(["connection", "delete", self.0]).stdout(Stdio::null()).status();
    }
}
