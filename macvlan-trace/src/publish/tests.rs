use serde_json::{Value, json};

use super::Clock;
use crate::{
    fact::{Cgroup, Ktime, LinkChange, Netns, Task, What},
    testing::story::{Story, macvlan, netns, nic, path, process, running, without_cookie, worker},
    text::Text,
};

fn ip() -> Task {
    running(process("ip", 901), "ip link")
}

#[test]
fn time_is_the_time_of_day_with_nanoseconds() {
    let clock = Clock::new(1_795_482_000_000_000_000);
    let when = clock.when(Ktime(93_123_456_789));
    assert_eq!((when.rfc3339().as_str(), when.boot_ns), ("2026-11-24T01:01:33.123456789Z", 93_123_456_789));
    assert_eq!(clock.when(Ktime(0)).rfc3339(), "2026-11-24T01:00:00.000000000Z");
}

#[test]
fn a_time_that_no_calendar_has_is_no_panic() {
    for clock in [Clock::new(i64::MAX), Clock::new(i64::MIN)] {
        assert_eq!(clock.when(Ktime(u64::MAX)).boot_ns, u64::MAX);
    }
}

#[test]
fn flags_are_told_as_they_were_before_and_after() {
    // BROADCAST and MULTICAST always; UP and RUNNING as the probe saw them.
    let flags = |change, seen: u32, after: u32| {
        let mut link = macvlan("macvlan0", netns(0), 7);
        link.link.flags = 0x1002 | seen;
        let mut fact = link.fact(change, &ip(), &[]);
        fact.flags_after = 0x1002 | after;
        let mut story = Story::new();
        story.fact(What::Link(Box::new(fact)));
        let told = story.tell();
        let flags = &told.last().record["link"]["flags"];
        (flags["before"].clone(), flags["after"].clone())
    };
    let (up, running, down) = (
        json!(["UP", "BROADCAST", "MULTICAST"]),
        json!(["UP", "BROADCAST", "RUNNING", "MULTICAST"]),
        json!(["BROADCAST", "MULTICAST"]),
    );
    assert_eq!(flags(LinkChange::Created, 0, 0), (json!([]), down.clone()));
    assert_eq!(flags(LinkChange::Up, 1, 1), (down.clone(), up.clone()));
    assert_eq!(flags(LinkChange::Down, 0x41, 0), (running.clone(), down.clone()));
    assert_eq!(flags(LinkChange::UnseenDown, 0, 0), (up.clone(), down.clone()));
    assert_eq!(flags(LinkChange::Deleted, 0x41, 0), (running.clone(), down.clone()));
    assert_eq!(flags(LinkChange::Renamed, 1, 1), (up.clone(), up.clone()));
    assert_eq!(flags(LinkChange::Moved, 0, 0), (down.clone(), down));
}

#[test]
fn every_mode_has_its_name() {
    for (mode, name) in [
        (Some(1), json!("private")),
        (Some(2), json!("vepa")),
        (Some(4), json!("bridge")),
        (Some(8), json!("passthru")),
        (Some(16), json!("source")),
        (Some(3), Value::Null),
        (None, Value::Null),
    ] {
        let mut link = macvlan("macvlan0", netns(0), 7);
        link.link.mode = mode;
        let mut story = Story::new();
        story.sets_down(&ip(), &link);
        story.tell().last().is("/link/mode", name);
    }
}

#[test]
fn what_is_not_known_is_null_and_never_empty_or_zero() {
    let mut ghost = process("ghost", 5);
    (ghost.args, ghost.exe, ghost.uid, ghost.netns) = (None, None, None, None);
    ghost.cgroup = Cgroup::default();
    let mut link = macvlan("macvlan0", netns(0), 7);
    link.parent = None;
    (link.link.netns, link.link.kind, link.link.mac, link.link.mode) = (None, None, None, None);
    let mut story = Story::new();
    story.sets_down(&ghost, &link);
    let told = story.tell();
    let mut event = told.last();
    for unknown in [
        "/link/kind",
        "/link/mac",
        "/link/mode",
        "/link/age_ns",
        "/link/up_for_ns",
        "/link/parent",
        "/link/netns/inode",
        "/link/netns/name",
        "/actor/args",
        "/actor/exe",
        "/actor/uid",
        "/actor/login_uid",
        "/actor/cgroup/id",
        "/actor/cgroup/path",
        "/actor/unit",
        "/actor/container",
        "/actor/netns",
        "/actor/exit",
        "/victim/container",
        "/victim/init",
    ] {
        assert!(event.record.pointer(unknown).is_some(), "there is no {unknown}:\n{told}");
        event = event.is(unknown, Value::Null);
    }
    assert!(event.record.get("to").is_none(), "only a moved link has a destination:\n{told}");
}

#[test]
fn a_task_is_told_with_its_unit_and_a_link_with_its_addresses() {
    let link = macvlan("macvlan0", without_cookie(netns(3)), 7);
    let mut story = Story::new();
    story.named(netns(3), "blue").sets_down(&ip(), &link);
    story
        .tell()
        .last()
        .is("/actor/cgroup", json!({"id": "4711", "path": "/system.slice/test.service"}))
        .is("/actor/unit", "test.service")
        .is("/actor/args", json!(["ip", "link"]))
        .is("/actor/exe", "/usr/bin/ip")
        .is("/link/mac", "02:00:00:00:00:07")
        .is("/link/netns", json!({"inode": 4_026_531_843_u32, "name": "blue"}))
        .is(
            "/link/parent",
            json!({"name": "eth0", "ifindex": 2, "netns": 4_026_531_840_u32, "deleted": false}),
        );
}

#[test]
fn both_ends_of_a_move_are_named() {
    let (blue, green): (Netns, Netns) = (netns(1), netns(2));
    let link = macvlan("macvlan0", green, 4);
    let mut story = Story::new();
    story.named(blue, "blue").named(green, "green").moves(&ip(), (blue, 2), &link);
    story
        .tell()
        .last()
        .is("/link/netns/name", "blue")
        .is("/link/ifindex", 2)
        .is("/to/netns/name", "green")
        .is("/to/ifindex", 4)
        .is("/to/container", Value::Null);
}

#[test]
fn an_address_without_a_symbol_is_a_question_mark() {
    let mut fact = macvlan("macvlan0", netns(0), 7).fact(LinkChange::Deleted, &worker(), path::CLEANUP);
    fact.path =
        fact.path.functions().iter().zip(0..).map(|(name, at)| name.as_deref().filter(|_| at != 1)).collect();
    let mut story = Story::new();
    story.fact(What::Link(Box::new(fact)));
    story.tell().last().is("/kernel/probe", "unregister_netdevice_queue").is(
        "/kernel/stack",
        json!(["unregister_netdevice_queue", "?", "default_device_exit_batch", "cleanup_net"]),
    );
}

#[test]
fn names_that_are_no_text_come_through_without_loss() {
    let mut evil = process("evil", 901);
    evil.task.comm = Text::from(b"\xff\x1b[2J".to_vec());
    evil.args = Some(vec![Text::from(b"\\xff".to_vec()), Text::default()]);
    let mut link = macvlan("macvlan0", netns(0), 7).losing_parent(nic("eth0", netns(0), 2));
    link.link.name = Text::from(b"m\xc3\x28".to_vec());
    let mut story = Story::new();
    story.link(&evil, LinkChange::Deleted, &link, path::CASCADE);
    story
        .tell()
        .last()
        .is("/actor/comm", "\\xff\u{1b}[2J")
        .is("/actor/args", json!(["\\x5cxff", ""]))
        .is("/link/name", "m\\xc3(");
}

#[test]
fn a_sentence_begins_with_a_capital_unless_with_a_name_and_ends_with_a_full_stop() {
    for comm in ["ip", "the boss"] {
        let mut story = Story::new();
        story.sets_down(&process(comm, 5), &macvlan("macvlan0", netns(0), 7));
        story.tell().last().is("/verdict/cause", format!("{comm} (PID 5) set macvlan0 down."));
    }
    let mut story = Story::new();
    story.link(&ip(), LinkChange::UnseenDown, &macvlan("macvlan0", netns(0), 7), &[]);
    story.tell().last().says("/verdict/cause", "Something set macvlan0 down while ip (PID 901) was current");
}
