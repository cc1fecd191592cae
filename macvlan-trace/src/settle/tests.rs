use serde_json::{Value, json};

use super::*;
use crate::{
    event::EventKind,
    fact::{Address, LinkChange, LinkFact, What},
    testing::{
        records,
        story::{
            Story,
            cast::{eth0, ip, link, setup},
            macvlan, netns, path, process,
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
        .is("/verdict/cause", down.record["verdict"]["cause"].clone())
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

#[test]
fn an_incident_for_which_there_is_no_room_settles_early() {
    let mut unsettled = Unsettled::default();
    let most = MAX_OPEN as u64;
    for number in 1..=most {
        assert!(unsettled.add(Ktime(number), number, &event(EventKind::Down, number), true).is_none());
    }
    let early = unsettled.add(Ktime(most + 1), most + 1, &event(EventKind::Down, most + 1), true);
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
        unsettled.add(Ktime(link), link, &event(EventKind::Down, 1), true);
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
        unsettled.add(at, 1, &event(EventKind::AddressRemoved, 1), true);
    }
    assert_eq!(settled, 2);
}
