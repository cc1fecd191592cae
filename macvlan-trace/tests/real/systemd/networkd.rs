//! systemd-networkd, which goes by files, and its client, which acts by itself.

use super::{File, Foreign, NETWORKD, only_manager, paste};
use crate::harness::{Checked, Stream, Trace, Watch, ip, run, until};

#[test]
fn its_client_is_told_as_who_it_is() {
    only_manager(NETWORKD);
    let link = Foreign::link("foreign0");
    let mut trace = Trace::start(&[]);
    run("networkctl", &["down", link.0]);
    run("networkctl", &["delete", link.0]);
    trace.wait_for_event("deleted", link.0);
    let stream = trace.stop();
    assert_eq!(stream.events().len(), 2, "{stream}");
    for event in ["down", "deleted"] {
        stream.one(event, link.0).by("networkctl").verdict("direct", "certain");
    }
}

#[test]
fn a_file_that_matches_too_much_takes_the_address_and_the_remedy_keeps_it_off() {
    Watch::ready();
    only_manager(NETWORKD);
    let link = Foreign::link("foreign1");
    let mut trace = Watch::all();
    let _all = File::write(
        "/etc/systemd/network/50-all.network",
        "[Match]\nType=ether\n[Network]\nAddress=192.0.2.99/24\n",
    );
    run("networkctl", &["reload"]);
    let taken = trace.wait_for("the address gone", |record| record["address"] == "192.0.2.7/24");
    let stream = trace.stop();
    stream.incident(|event| {
        let event = of_networkd(event.is("/event", "address_removed"));
        event.says("/verdict/remedy", "`networkctl status foreign1` names the file")
    });
    assert!(run("networkctl", &["status", link.0]).contains("/etc/systemd/network/50-all.network"));

    let _unmanaged = paste(&taken["verdict"]);
    until("it leaves the link alone", || setup(link.0) == "unmanaged");
    link.set_up();
    let trace = Watch::all();
    run("systemctl", &["restart", NETWORKD]);
    until("it has the card again", || setup("eth0").starts_with("configur"));
    until("it leaves the link alone again", || setup(link.0) == "unmanaged");
    trace.stop().nothing();
    ip("addr flush dev eth0 scope global");
}

#[test]
fn a_policy_that_keeps_links_down_is_told_each_time_and_the_remedy_keeps_it_off() {
    Watch::ready();
    only_manager(NETWORKD);
    let link = Foreign::link("foreign2");
    let mut trace = Trace::start(&[]);
    let _policy = File::write(
        "/etc/systemd/network/50-down.network",
        "[Match]\nKind=macvlan\n[Link]\nActivationPolicy=always-down\n",
    );
    run("networkctl", &["reload"]);
    trace.wait_for_event("down", link.0);
    link.set_up();
    let again = trace.wait_for_event("down", link.0);
    let stream = trace.stop();
    assert_eq!(stream.events_of("down").len(), 2, "{stream}");
    stream.one("address_removed", link.0);
    assert_eq!(stream.all().len(), 3, "{stream}");
    all_of_networkd(&stream);

    let _unmanaged = paste(&again["verdict"]);
    until("it leaves the link alone", || setup(link.0) == "unmanaged");
    let trace = Watch::start();
    link.set_up();
    run("systemctl", &["restart", NETWORKD]);
    until("it knows the link", || setup(link.0) == "unmanaged");
    trace.stop().nothing();
}

#[test]
fn a_policy_that_sets_the_parent_down_is_told_with_its_file() {
    Watch::ready();
    only_manager(NETWORKD);
    let link = Foreign::link("foreign3");
    let mut trace = Watch::start();
    let _policy = File::write(
        "/etc/systemd/network/50-parent.network",
        "[Match]\nName=eth0\n[Link]\nActivationPolicy=always-down\n",
    );
    run("networkctl", &["reload"]);
    trace.wait_for_event("parent_down", link.0);
    trace
        .stop()
        .only("parent_down", link.0)
        .verdict("parent-down", "certain")
        .is("/culprit/comm", "systemd-network")
        .is("/culprit/unit", NETWORKD)
        .says("/verdict/remedy", "`networkctl status eth0` names the file");
    assert!(run("networkctl", &["status", "eth0"]).contains("/etc/systemd/network/50-parent.network"));
}

#[test]
fn a_link_of_its_own_is_its_own() {
    Watch::ready();
    only_manager(NETWORKD);
    let _device =
        File::write("/etc/systemd/network/50-own.netdev", "[NetDev]\nName=own0\nKind=macvlan\n[MACVLAN]\n");
    let _parent =
        File::write("/etc/systemd/network/50-eth0.network", "[Match]\nName=eth0\n[Network]\nMACVLAN=own0\n");
    let policy = |policy: &str| {
        File::write(
            "/etc/systemd/network/50-own.network",
            &format!("[Match]\nName=own0\n[Link]\nActivationPolicy={policy}\n"),
        )
    };
    let _up = policy("up");
    let mut trace = Watch::all();
    run("networkctl", &["reload"]);
    let own = trace.wait_for_event("up", "own0");
    assert_eq!(own["actor"]["unit"], NETWORKD, "{own}");
    let _own = Foreign("own0");
    let _down = policy("down");
    run("networkctl", &["reload"]);
    trace.wait_for_event("down", "own0");
    trace
        .stop()
        .one("down", "own0")
        .by("systemd-network")
        .verdict("self-inflicted", "certain")
        .is("/culprit/unit", NETWORKD)
        .says("/verdict/cause", "of systemd-networkd.service set own0 down, which it had made itself")
        .says("/verdict/remedy", "`networkctl status own0` names the file");
}

fn of_networkd(event: Checked<'_>) -> Checked<'_> {
    event.by("systemd-network").verdict("network-manager", "certain").is("/culprit/unit", NETWORKD)
}

fn all_of_networkd(stream: &Stream) {
    stream.complete();
    for event in stream.events_of("down") {
        assert_eq!(event["verdict"]["rule"], "network-manager", "{stream}");
        assert_eq!(event["culprit"]["unit"], NETWORKD, "{stream}");
    }
}

/// How far it is with a link: the last column of its list.
fn setup(link: &str) -> String {
    let links = run("networkctl", &["list", "--no-legend"]);
    let words = links.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = words.into_iter().find(|words| words.get(1) == Some(&link));
    line.and_then(|words| words.last().map(|word| (*word).to_owned())).unwrap_or_default()
}
