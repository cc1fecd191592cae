use serde_json::{Value, json};

use super::*;
use crate::{
    event::EventKind,
    fact::{Address, LinkChange, LinkFact, Task, What},
    testing::{
        records,
        story::{
            Story,
            cast::{eth0, ip, link, setup},
            child_of, macvlan, netns, path, process, running, started,
        },
    },
};

#[test]
fn a_link_that_comes_up_again_is_told_with_how_long_it_was_down() {
    let (mut story, link) = link();
    let by = ip("ip link set macvlan0 down");
    let told = story
        .sets_down(&by, &link)
        .wait_ms(3_099)
        .sets_up(&process("healer", 902), &link)
        .ticks_after_ms(60_000)
        .tell();
    let [settled] = told.settled()[..] else { panic!("{told}") };
    let down = told.events()[2];
    settled
        .verdict("direct", "certain")
        .culprit(&by)
        .says("/verdict/cause", "set macvlan0 down, 3.2 s after it came up")
        .says("/verdict/cause", "; macvlan0 was down for 3.1 s, and is up again.")
        .is("/incident", down.record["incident"].clone())
        .is("/events", 1)
        .is("/link_count", 1)
        .is("/links/0/name", "macvlan0")
        .is("/links/0/outcome", "up_again")
        .is("/links/0/up_again_ns", 3_100_000_000_u64)
        .is("/first/boot_ns", down.record["boot_ns"].clone())
        .is("/last/boot_ns", down.record["boot_ns"].clone());
    let quiet = settled.record["boot_ns"].as_u64().unwrap() - down.record["boot_ns"].as_u64().unwrap();
    assert!((QUIET_NS..QUIET_NS + TOGETHER_NS).contains(&quiet), "{quiet}");
}

#[test]
fn a_link_that_is_set_up_after_the_incident_has_settled_is_told_as_it_was() {
    let (mut story, link) = link();
    let by = ip("ip link set macvlan0 down");
    story.sets_down(&by, &link).ticks_after_ms(11_000).sets_up(&by, &link);
    story.tell().settled()[0].is("/links/0/outcome", "broken").is("/links/0/up_again_ns", Value::Null);
}

#[test]
fn all_links_of_a_parent_are_one_incident_that_settles_soon_after_the_last_is_gone() {
    let mut story = Story::new();
    let links = [1, 2, 3].map(|number| macvlan(&format!("mv{number}"), netns(number), 10 + number));
    for link in &links {
        story.creates(&setup(), link).sets_up(&setup(), link);
    }
    let by = ip("ip link del eth0");
    for link in &links {
        let frames = [path::CASCADE, &["rtnl_dellink"]].concat();
        story.link(&by, LinkChange::Deleted, &link.clone().losing_parent(eth0()), &frames);
    }
    let told = story.ticks_after_ms(60_000).tell();
    let [settled] = told.settled()[..] else { panic!("{told}") };
    let outcomes: Vec<_> =
        settled.record["links"].as_array().unwrap().iter().map(|link| &link["outcome"]).collect();
    assert_eq!(outcomes, ["gone", "gone", "gone"], "{told}");
    settled.is("/events", 3).is("/link_count", 3).is("/links/2/last/event", "deleted");
    let last = settled.record["last"]["boot_ns"].as_u64().unwrap();
    let quiet = settled.record["boot_ns"].as_u64().unwrap() - last;
    assert!((GONE_NS..GONE_NS + TOGETHER_NS).contains(&quiet), "{quiet}");
}

#[test]
fn what_breaks_nothing_is_no_incident_to_tell() {
    let (mut story, link) = link();
    let told = story.sets_up(&ip("ip link set macvlan0 up"), &link).ticks_after_ms(60_000).tell();
    assert!(told.settled().is_empty(), "{told}");
}

#[test]
fn the_end_of_the_run_settles_what_is_under_way_before_the_summary() {
    let (mut story, link) = link();
    let told = story.sets_down(&ip("ip link set macvlan0 down"), &link).tell();
    let [settled] = told.settled()[..] else { panic!("{told}") };
    settled.is("/links/0/outcome", "broken").is("/boot_ns", told.summary()["boot_ns"].clone());
}

#[test]
fn how_often_the_clock_ticks_changes_nothing() {
    let tell = |ticks: bool| {
        let (mut story, one) = link();
        let other = macvlan("macvlan1", netns(1), 8);
        story.creates(&setup(), &other).sets_up(&setup(), &other);
        story.deletes(&ip("ip link del macvlan0"), &one).sets_down(&ip("ip link set macvlan1 down"), &other);
        (0..90).for_each(|_| {
            story.wait_ms(499);
            if ticks {
                story.fact(What::Tick);
            } else {
                story.wait_ms(1);
            }
        });
        story.sets_up(&setup(), &other).tell().to_string()
    };
    assert_eq!(tell(true), tell(false));
    assert!(tell(true).contains("not-recreated"), "a remark is among them");
}

#[test]
fn an_address_that_a_link_lost_is_told() {
    let (mut story, link) = link();
    let by = ip("ip addr flush");
    let address = Some(Address { ip: "192.0.2.7".parse().unwrap(), prefix: 24 });
    let lost = LinkFact { address, ..link.fact(LinkChange::AddressRemoved, &by, &[]) };
    let told =
        story.acts(&by, What::Link(Box::new(lost))).sets_down(&by, &link).ticks_after_ms(20_000).tell();
    told.settled()[0]
        .is("/links/0/lost_addresses", json!(["192.0.2.7/24"]))
        .is("/links/0/first/event", "address_removed");
}

/// An event of a link, `number` for its incident and its id.
fn event(kind: EventKind, number: u64) -> Event {
    let mut event = records::event(kind);
    (event.incident, event.link.id) = (number, number.to_string());
    event
}

fn add(unsettled: &mut Unsettled, at: Ktime, link: u64, event: &Event) -> Option<Settled> {
    let verdict = &diagnose::Verdict {
        rule: "direct",
        cause: Sentence::default(),
        remedy: None,
        confidence: event.verdict.confidence,
        culprit: None,
    };
    unsettled.add(&Happening { at, link, main_pid: None, may_grow: false, verdict, event }, true)
}

/// A command that a script has just started.
fn command(way: &str, pid: u32, story: &Story) -> Task {
    let ip = running(process("ip", pid), &format!("ip link set macvlan0 {way}"));
    started(child_of(ip, &process("sh", 880)), story.now() - 1_000_000)
}

#[test]
fn a_link_that_is_up_again_is_not_to_be_set_up() {
    let (mut story, link) = link();
    let [down, up] = [("down", 901), ("up", 902)].map(|(way, pid)| command(way, pid, &story));
    let told = story.sets_down(&down, &link).sets_up(&up, &link).ticks_after_ms(20_000).tell();
    let [.., down, up] = &told.events()[..] else { panic!("{told}") };
    down.says("/verdict/remedy", "`ip link set macvlan0 up` in its namespace undoes it");
    up.is("/incident", down.record["incident"].clone());
    let [settled] = told.settled()[..] else { panic!("{told}") };
    settled
        .is("/events", 2)
        .says("/verdict/cause", "; macvlan0 was down for 1 ms, and is up again.")
        .says("/verdict/remedy", "`sysctl net.ipv6.conf.macvlan0.keep_addr_on_down=1` in its namespace keeps")
        .says("/verdict/remedy", "; `systemctl status test.service` shows what it belongs to.");
    assert!(!settled.record["verdict"]["remedy"].as_str().unwrap().contains("ip link set"), "{told}");
}

#[test]
fn a_link_that_stays_down_is_still_to_be_set_up_and_one_that_is_gone_is_not() {
    let tell = |is_deleted: bool| {
        let (mut story, link) = link();
        let by = ip("ip link set macvlan0 down");
        story.sets_down(&by, &link);
        if is_deleted {
            story.sets_up(&by, &link).deletes(&by, &link);
        }
        let told = story.tell();
        let settled = told.settled()[0].is("/links/0/up_again_ns", Value::Null);
        assert!(!settled.record["verdict"]["cause"].as_str().unwrap().contains("up again"), "{told}");
        settled.record["verdict"]["remedy"].as_str().unwrap().to_owned()
    };
    let (stays, goes) = (tell(false), tell(true));
    assert!(stays.starts_with("`ip link set macvlan0 up` in its namespace undoes it"), "{stays}");
    assert_eq!(goes, "`systemctl status test.service` shows what it belongs to.");
}

#[test]
fn what_a_link_lost_before_it_came_up_again_is_to_be_set_again() {
    let (mut story, link) = link();
    let by = ip("ip addr flush");
    let address = Some(Address { ip: "192.0.2.7".parse().unwrap(), prefix: 24 });
    let lost = LinkFact { address, ..link.fact(LinkChange::AddressRemoved, &by, &[]) };
    story.acts(&by, What::Link(Box::new(lost))).sets_down(&by, &link).sets_up(&by, &link);
    story.tell().settled()[0].says(
        "/verdict/remedy",
        "`ip addr replace 192.0.2.7/24 dev macvlan0` in its namespace sets its address again, if nobody has; `sysctl",
    );
}

#[test]
fn joining_a_vrf_is_told_as_what_it_is_before_the_link_is_up_again() {
    let (mut story, link) = link();
    let by = ip("ip link set macvlan0 master vrf0");
    let frames = ["__dev_change_flags", "dev_change_flags", "cycle_netdev", "vrf_add_slave", "do_set_master"];
    let told =
        story.link(&by, LinkChange::Down, &link, &frames).link(&by, LinkChange::Up, &link, &frames).tell();
    let [.., down, _] = &told.events()[..] else { panic!("{told}") };
    down.verdict("direct", "certain")
        .culprit(&by)
        .says("/verdict/cause", "changed the VRF of macvlan0, for which the kernel sets it down and up again")
        .says("/verdict/remedy", "keep_addr_on_down=1");
    let settled = told.settled()[0];
    settled.says("/verdict/cause", "; macvlan0 was down for 1 ms, and is up again.");
    for remedy in [down, &settled].map(|said| said.record["verdict"]["remedy"].as_str().unwrap().to_owned()) {
        assert!(!remedy.contains("ip link set"), "{remedy}");
        assert_eq!(remedy.matches("keep_addr_on_down").count(), 1, "{remedy}");
    }
}

#[test]
fn an_incident_for_which_there_is_no_room_settles_early() {
    let mut unsettled = Unsettled::default();
    let most = MAX_OPEN as u64;
    for number in 1..=most {
        assert!(add(&mut unsettled, Ktime(number), number, &event(EventKind::Down, number)).is_none());
    }
    let early = add(&mut unsettled, Ktime(most + 1), most + 1, &event(EventKind::Down, most + 1));
    assert_eq!(early.map(|early| early.number), Some(1));
    assert_eq!(unsettled.settle_all(Ktime(most + 2)).len(), MAX_OPEN);
    let left = (unsettled.due.len(), unsettled.links.len(), unsettled.incidents_of.len());
    assert_eq!(left, (0, 0, 0), "nothing stays behind");
}

#[test]
fn links_beyond_the_room_are_counted() {
    let mut unsettled = Unsettled::default();
    let most = MAX_LINKS as u64;
    for link in 0..most + 5 {
        add(&mut unsettled, Ktime(link), link, &event(EventKind::Down, 1));
    }
    let settled = unsettled.settle_all(Ktime(most)).remove(0);
    let told = settled.told(records::when(0)).unwrap();
    assert_eq!((told.link_count, told.events, told.links.len()), (most + 5, most + 5, MAX_TOLD));
    assert!(unsettled.incidents_of.is_empty());
}

#[test]
fn what_goes_on_without_end_is_told_in_parts() {
    let mut unsettled = Unsettled::default();
    let mut settled = 0;
    for second in 0..1800 {
        let at = Ktime(second * 1_000_000_000);
        settled += unsettled.settle(at).len();
        add(&mut unsettled, at, 1, &event(EventKind::AddressRemoved, 1));
    }
    assert_eq!(settled, 2);
}
