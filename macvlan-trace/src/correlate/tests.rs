//! What is remembered, for how long, and what is forgotten first.

use serde_json::{Value, json};

use super::{Correlator, Trigger};
use crate::fact::{Fact, Ktime, LinkChange, Task, What};
use crate::testing::story::{
    Macvlan, OWN_PID, Random, Story, child_of, in_cgroup, init, inside, macvlan, netns, next_at, nic, path,
    process, running, started, swapper, thread, tracer, without_cookie, worker,
};

fn ip() -> Task {
    process("ip", 901)
}

// The life of a link.

#[test]
fn a_link_keeps_its_identity_through_renames_moves_and_new_indexes() {
    // As Docker does: made outside, moved in, renamed there; and taken out again at the end.
    let (host, inside) = (netns(0), netns(1));
    let outside = macvlan("veth1a2b3c", host, 7);
    let moved = outside.clone().moved_to(inside, 2);
    let renamed = moved.clone().called("eth0");
    let back = renamed.clone().moved_to(host, 9);
    let mut story = Story::new();
    story.creates(&ip(), &outside).moves(&ip(), (host, 7), &moved).renames(&ip(), &renamed);
    story.moves(&ip(), (inside, 2), &back).renames(&ip(), &back.clone().called("veth1a2b3c"));
    story.deletes(&ip(), &back.called("veth1a2b3c"));
    let told = story.tell();
    let events = told.events();
    for event in &events {
        event.is("/link/id", events[0].record["link"]["id"].clone());
    }
    let words: Vec<_> = events.iter().map(|event| event.record["event"].clone()).collect();
    assert_eq!(words, ["created", "moved", "renamed", "moved", "renamed", "deleted"], "{told}");
    events[1].is("/link/netns/inode", 4_026_531_840_u32).is("/link/ifindex", 7);
    events[1].is("/to/netns/inode", 4_026_531_841_u32).is("/to/ifindex", 2).is("/to/name", "veth1a2b3c");
    events[2].is("/link/name", "eth0").is("/link/former_names", json!(["veth1a2b3c"]));
    events[2].says("/verdict/cause", "renamed veth1a2b3c to eth0");
    events[3].is("/link/netns/inode", 4_026_531_841_u32).is("/link/ifindex", 2).is("/to/ifindex", 9);
    events[5].is("/link/former_names", json!(["eth0"])).is("/link/ifindex", 9);
}

#[test]
fn a_link_remembers_its_last_names_and_no_more() {
    let mut story = Story::new();
    let link = macvlan("name0", netns(0), 7);
    story.creates(&ip(), &link);
    for n in 1..=12 {
        story.renames(&ip(), &link.clone().called(&format!("name{n}")));
    }
    let names: Vec<_> = (4..12).map(|n| format!("name{n}")).collect();
    story.tell().last().is("/link/name", "name12").is("/link/former_names", json!(names));
}

#[test]
fn how_long_a_link_has_been_there_and_up_is_told_where_it_was_seen() {
    let link = macvlan("macvlan0", netns(0), 7);
    let mut story = Story::new();
    // Each fact takes a millisecond.
    story.creates(&ip(), &link).wait_ms(99).sets_up(&ip(), &link).wait_ms(199).sets_down(&ip(), &link);
    story.deletes(&ip(), &link);
    let told = story.tell();
    told.events()[2].is("/link/age_ns", 300_000_000).is("/link/up_for_ns", 200_000_000);
    told.last().is("/link/age_ns", 301_000_000).is("/link/up_for_ns", Value::Null);

    let mut story = Story::new();
    story.stock(&link).sets_down(&ip(), &link);
    story.tell().last().is("/link/age_ns", Value::Null).is("/link/up_for_ns", Value::Null);
}

#[test]
fn a_link_of_the_stock_is_known_again_by_its_place() {
    let (one, other) = (macvlan("macvlan0", netns(0), 7), macvlan("macvlan0", netns(1), 7));
    let other = other.at(0xffff_8881_0099_0000);
    let mut story = Story::new();
    story.stock(&one).stock(&other).renames(&ip(), &other.clone().called("eth0")).sets_down(&ip(), &one);
    // Once it is known by its device, it may go where it wants.
    let moved = one.clone().moved_to(netns(2), 3);
    story.moves(&ip(), (netns(0), 7), &moved).deletes(&ip(), &moved);
    let told = story.tell();
    let events = told.events();
    let id = |at: usize| events[at].record["link"]["id"].clone();
    events[0].is("/link/former_names", json!(["macvlan0"]));
    assert_ne!(id(0), id(1), "two links with one index in two namespaces\n{told}");
    assert_eq!([id(2), id(3)], [id(1), id(1)], "{told}");
}

#[test]
fn a_link_of_the_stock_that_is_moved_first_is_known_by_where_it_came_from() {
    let link = macvlan("macvlan0", netns(0), 7);
    let moved = link.clone().moved_to(netns(1), 2);
    let mut story = Story::new();
    story.stock(&link).moves(&ip(), (netns(0), 7), &moved).renames(&ip(), &moved.clone().called("eth0"));
    let told = story.tell();
    told.last()
        .is("/link/id", "1")
        .is("/link/former_names", json!(["macvlan0"]))
        .is("/link/age_ns", Value::Null);
    told.events()[0].is("/link/id", "1");
}

#[test]
fn a_device_at_the_address_of_a_deleted_one_is_another_link() {
    let (first, second) = (macvlan("first", netns(0), 7), macvlan("second", netns(0), 7));
    let ids = |story: &Story| {
        let told = story.tell();
        told.last().is("/link/name", "second").is("/link/former_names", json!([]));
        let ids: Vec<_> = told.events().iter().map(|event| event.record["link"]["id"].clone()).collect();
        (ids.first().cloned(), ids.last().cloned())
    };
    let mut story = Story::new();
    story.creates(&ip(), &first).deletes(&ip(), &first).creates(&ip(), &second).sets_down(&ip(), &second);
    let (one, other) = ids(&story);
    assert_ne!(one, other);

    // Even if the record of the deletion was lost.
    let mut story = Story::new();
    story.creates(&ip(), &first).creates(&ip(), &second);
    let (one, other) = ids(&story);
    assert_ne!(one, other);

    // And an effect that nobody announced ends it as well.
    let mut story = Story::new();
    story
        .creates(&ip(), &first)
        .link(&ip(), LinkChange::UnseenDeleted, &first, &[])
        .sets_down(&ip(), &second);
    let (one, other) = ids(&story);
    assert_ne!(one, other);
}

/// The links that are told of when their parent is set down.
fn links_on_the_parent(mut story: Story) -> Vec<String> {
    story.parent(&ip(), LinkChange::Down, &nic("eth0", netns(0), 2), None, &[]);
    let told = story.tell();
    let down = told.events().into_iter().filter(|event| event.record["event"] == "parent_down");
    down.map(|event| event.record["link"]["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_link_whose_deletion_was_lost_is_gone_when_another_has_its_place() {
    let mut story = Story::new();
    story.creates(&ip(), &macvlan("old", netns(0), 7));
    story.creates(&ip(), &macvlan("new", netns(0), 7).at(0xffff_8881_0099_0000));
    assert_eq!(links_on_the_parent(story), ["new"]);

    // So it is when the other one comes there from elsewhere.
    let elsewhere = macvlan("new", netns(1), 9);
    let mut story = Story::new();
    story.creates(&ip(), &macvlan("old", netns(0), 7)).creates(&ip(), &elsewhere);
    story.moves(&ip(), (netns(1), 9), &elsewhere.moved_to(netns(0), 7));
    assert_eq!(links_on_the_parent(story), ["new"]);
}

#[test]
fn a_link_whose_deletion_was_lost_is_gone_when_another_namespace_has_the_address_of_its_own() {
    let next = next_at(netns(1));
    let mut story = Story::new();
    story.creates(&ip(), &inhabitant("old", 7)).creates(&ip(), &macvlan("new", next, 8));
    assert_eq!(links_on_the_parent(story), ["new"]);

    let outside = macvlan("new", netns(0), 8);
    let mut story = Story::new();
    story.stock(&inhabitant("old", 7)).creates(&ip(), &outside);
    story.moves(&ip(), (netns(0), 8), &outside.moved_to(next, 9));
    assert_eq!(links_on_the_parent(story), ["new"]);

    let mut story = Story::new();
    story.stock(&inhabitant("one", 7)).creates(&ip(), &inhabitant("other", 8));
    assert_eq!(links_on_the_parent(story), ["one", "other"], "one namespace, two links");
}

#[test]
fn a_link_that_is_elsewhere_than_the_one_at_its_address_was_has_not_its_past() {
    // The deletion of one and the creation of the other were lost.
    let (old, new) = (macvlan("old", netns(0), 7), macvlan("new", netns(0), 8));
    let new = new.at(old.link.dev.unwrap());
    let mut story = Story::new();
    story.creates(&ip(), &old).sets_down(&ip(), &new);
    story.tell().last().is("/link/id", "2").is("/link/age_ns", Value::Null);
    let mut story = Story::new();
    story.creates(&ip(), &old).creates(&ip(), &macvlan("other", netns(0), 9)).sets_down(&ip(), &new);
    assert_eq!(links_on_the_parent(story), ["other", "new"]);
}

// Incidents.

/// A link in a container's namespace.
fn inhabitant(name: &str, ifindex: u32) -> Macvlan {
    macvlan(name, netns(1), ifindex)
}

#[test]
fn all_links_that_go_with_one_namespace_are_one_incident() {
    let init = init("sh", 812);
    let mut story = Story::new();
    story.exits(&init, netns(1), 0).drops(&init, netns(1), path::EXIT);
    story.is_torn_down(&inhabitant("a", 2)).is_torn_down(&inhabitant("b", 3));
    // One whose parent was in it belongs to it too.
    let outside = macvlan("c", netns(0), 12).losing_parent(nic("par1", netns(1), 4));
    story.link(&worker(), LinkChange::Deleted, &outside, path::CASCADE);
    assert_eq!(story.tell().incidents(), [1, 1, 1]);
}

#[test]
fn the_down_and_the_deletion_of_a_link_by_one_process_are_one_incident() {
    let (a, b) = (inhabitant("a", 2), inhabitant("b", 3));
    let mut story = Story::new();
    story.sets_down(&ip(), &a).deletes(&ip(), &a).wait_ms(3_000).deletes(&ip(), &b);
    assert_eq!(story.tell().incidents(), [1, 1, 2], "another link is another incident after a pause");
}

/// `ip`, started at this moment of a story by that process.
fn command(pid: u32, by: &Task, story: &Story) -> Task {
    started(child_of(process("ip", pid), by), story.now() - 50_000_000)
}

#[test]
fn a_loop_of_a_script_is_one_incident() {
    let (script, mut story) = (process("bash", 880), Story::new());
    for number in 1..=3 {
        let command = command(900 + number, &script, &story);
        story.sets_down(&command, &inhabitant("mv", 10 + number)).wait_ms(1_000);
    }
    assert_eq!(story.tell().incidents(), [1, 1, 1]);
    // The same in one process, such as `ip -batch`.
    let mut story = Story::new();
    for index in 11..14 {
        story.deletes(&ip(), &inhabitant("mv", index));
    }
    assert_eq!(story.tell().incidents(), [1, 1, 1]);
}

#[test]
fn two_peoples_shells_and_one_shell_some_seconds_later_are_incidents_of_their_own() {
    let (mine, yours, mut story) = (process("bash", 880), process("bash", 881), Story::new());
    for (number, shell) in (1..).zip([&mine, &yours]) {
        let command = command(900 + number, shell, &story);
        story.sets_down(&command, &inhabitant("mv", 10 + number));
    }
    story.wait_ms(3_000);
    let later = command(910, &mine, &story);
    story.sets_down(&later, &inhabitant("mv", 15));
    assert_eq!(story.tell().incidents(), [1, 2, 3]);
}

#[test]
fn what_a_manager_of_many_containers_calls_is_nobodys_loop() {
    let (daemon, mut story) = (process("containerd", 700), Story::new());
    for number in 1..=2 {
        let plugin = child_of(running(process("macvlan", 900 + number), "/opt/cni/bin/macvlan"), &daemon);
        let plugin = started(plugin, story.now() - 50_000_000);
        story.deletes(&plugin, &inhabitant("eth0", 10 + number));
    }
    assert_eq!(story.tell().incidents(), [1, 2]);
}

#[test]
fn what_a_daemon_does_to_two_links_is_for_two_reasons() {
    let daemon = child_of(process("libvirtd", 700), &process("systemd", 1));
    let mut story = Story::new();
    story
        .deletes(&daemon, &inhabitant("macvtap0", 11))
        .wait_ms(1_000)
        .deletes(&daemon, &inhabitant("macvtap1", 12));
    assert_eq!(story.tell().incidents(), [1, 2]);
}

#[test]
fn down_and_up_again_by_one_errand_are_one_incident() {
    let (script, link, mut story) = (process("sh", 880), inhabitant("mv", 2), Story::new());
    let [down, mac, up] = [1, 2, 3].map(|number| command(900 + number, &script, &story));
    story.sets_down(&down, &link);
    let mut other = link.clone();
    other.link.mac = Some([2, 0, 0, 0, 0, 9]);
    story.link(&mac, LinkChange::MacChanged, &other, &[]).sets_up(&up, &other);
    assert_eq!(story.tell().incidents(), [1, 1, 1]);
    // A shell becomes the last command of its script.
    let mut story = Story::new();
    let down = command(901, &script, &story);
    let last = child_of(running(script.clone(), "ip link set mv up"), &process("make", 870));
    story.sets_down(&down, &link).sets_up(&started(last, script.task.process.start.0), &link);
    assert_eq!(story.tell().incidents(), [1, 1]);
    // What works for two services is two errands.
    let mut story = Story::new();
    for (pid, unit) in [(901, "a"), (902, "b")] {
        let by = in_cgroup(command(pid, &script, &story), &format!("/system.slice/{unit}.service"));
        story.sets_down(&by, &link);
    }
    assert_eq!(story.tell().incidents(), [1, 2]);
    // Another process that heals it is no part of that.
    let mut story = Story::new();
    let down = command(901, &script, &story);
    story.sets_down(&down, &link).sets_up(&process("healer", 700), &link);
    assert_eq!(story.tell().incidents(), [1, 2]);
}

#[test]
fn what_different_processes_do_are_different_incidents() {
    let link = inhabitant("a", 2);
    let mut later = ip();
    later.task.process.start = Ktime(later.task.process.start.0 + 1);
    let mut story = Story::new();
    story.sets_down(&ip(), &link).sets_up(&process("dhcpcd", 902), &link).sets_down(&later, &link);
    assert_eq!(story.tell().incidents(), [1, 2, 3], "a process id that comes again is another process");
    let mut story = Story::new();
    story.sets_down(&ip(), &link).sets_down(&thread(ip(), 999), &link);
    assert_eq!(story.tell().incidents(), [1, 1], "threads of one process are one");
}

#[test]
fn two_parents_that_one_process_removes_are_two_incidents() {
    let mut story = Story::new();
    for (ifindex, parent) in [(7, "eth0"), (8, "eth0"), (9, "eth1")] {
        let child = inhabitant("m", ifindex).losing_parent(nic(
            parent,
            netns(0),
            if parent == "eth0" { 2 } else { 3 },
        ));
        story.link(&ip(), LinkChange::Deleted, &child, path::CASCADE);
    }
    assert_eq!(story.tell().incidents(), [1, 1, 2]);
}

#[test]
fn an_incident_is_over_after_a_long_pause() {
    let init = init("sh", 812);
    let mut story = Story::new();
    for (name, ifindex) in [("a", 2), ("b", 3), ("c", 4)] {
        story.creates(&ip(), &inhabitant(name, ifindex));
    }
    story.exits(&init, netns(1), 0).drops(&init, netns(1), path::EXIT).is_torn_down(&inhabitant("a", 2));
    story.wait_ms(300_000).is_torn_down(&inhabitant("b", 3));
    story.wait_ms(700_000).is_torn_down(&inhabitant("c", 4));
    assert_eq!(story.tell().incidents(), [1, 2, 3, 4, 4, 5]);
}

#[test]
fn the_parent_that_the_same_process_deletes_later_is_another_one() {
    let incidents = |wait| {
        let mut story = Story::new();
        for ifindex in [7, 8] {
            let link = macvlan("m", netns(0), ifindex);
            story.creates(&ip(), &link);
            let link = link.losing_parent(nic("eth0", netns(0), 2));
            story.link(&ip(), LinkChange::Deleted, &link, path::CASCADE).wait_ms(wait);
        }
        let told = story.tell();
        let deleted = told.events().into_iter().filter(|event| event.record["event"] == "deleted");
        deleted.map(|event| event.record["incident"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(incidents(10), [2, 2], "it has many children");
    assert_eq!(incidents(200_000), [2, 4], "its address and its index are another's by now");
}

// Bounds.

/// Takes facts in, and shows nothing.
struct Memory(Correlator, u64);

impl Memory {
    fn new() -> Self {
        Self(Correlator::default(), 0)
    }

    fn take(&mut self, what: What) -> Option<super::Case> {
        self.1 += 1;
        self.0.take(Fact { at: Ktime(self.1), what }).pop()
    }

    fn take_all(&mut self, story: Story) -> Vec<super::Case> {
        story.into_facts().into_iter().filter_map(|fact| self.take(fact.what)).collect()
    }

    fn change(&mut self, change: LinkChange, link: &Macvlan) -> super::Case {
        self.take(What::Link(Box::new(link.fact(change, &ip(), &[])))).expect("a change of a link is a case")
    }
}

#[test]
fn of_more_tasks_than_fit_the_latest_are_remembered() {
    const MANY: u32 = 20_000;
    let mut memory = Memory::new();
    for pid in 1..=MANY {
        memory.take(What::Task(Box::new(process("task", pid))));
        // What is learnt again takes no more room.
        memory.take(What::Task(Box::new(process("task", pid))));
    }
    let mut known = |pid| {
        let link = inhabitant("m", 2);
        let fact = link.fact(LinkChange::Down, &process("task", pid), &[]);
        memory.take(What::Link(Box::new(fact))).expect("a case").actor.args.is_some()
    };
    assert!(!known(1), "the first is forgotten");
    assert!(known(MANY) && known(MANY - 8_000), "the last 8,000 are not");
}

#[test]
fn a_task_is_shown_as_the_record_at_hand_has_it() {
    let mut story = Story::new();
    let mut task = process("sh", 901);
    story.sets_up(&task, &inhabitant("m", 2));
    // It has become another program since, and its whole record did not arrive.
    task.task.comm = crate::text::Text::from("ip");
    story.sets_down(&task, &inhabitant("m", 2));
    story.tell().last().is("/actor/comm", "ip").is("/actor/args", Value::Null);
}

#[test]
fn a_task_that_was_never_sent_whole_is_named_all_the_same() {
    let link = macvlan("macvlan0", netns(0), 7);
    let mut story = Story::new();
    story.fact(What::Link(Box::new(link.fact(LinkChange::Down, &ip(), &[]))));
    story
        .tell()
        .last()
        .verdict("direct", "certain")
        .is("/culprit/pid", 901)
        .is("/culprit/comm", "ip")
        .is("/culprit/args", Value::Null)
        .is("/culprit/uid", Value::Null)
        .is("/culprit/cgroup/path", Value::Null);
}

#[test]
fn of_more_links_than_fit_the_one_that_nothing_happened_to_for_longest_is_forgotten() {
    const MANY: u32 = 66_000;
    let mut memory = Memory::new();
    memory.change(LinkChange::Created, &inhabitant("used", MANY + 1));
    for ifindex in 1..=MANY {
        memory.change(LinkChange::Created, &inhabitant("m", ifindex));
        if ifindex % 1000 == 0 {
            memory.change(LinkChange::Renamed, &inhabitant("used", MANY + 1));
        }
    }
    let mut is_known =
        |ifindex| memory.change(LinkChange::Down, &inhabitant("m", ifindex)).life.created.is_some();
    assert!(!is_known(1), "its past is unknown, as if the tracer had come later");
    assert!(is_known(MANY) && is_known(MANY - 65_000) && is_known(MANY + 1));
}

#[test]
fn a_stock_beyond_the_limit_is_no_harm() {
    let mut memory = Memory::new();
    let mut story = Story::new();
    for ifindex in 1..=66_000 {
        story.stock(&inhabitant("m", ifindex));
    }
    memory.take_all(story);
    let mut id = |ifindex| memory.change(LinkChange::Down, &inhabitant("m", ifindex)).life.id;
    assert_eq!([id(66_000), id(1)], [66_000, 66_001], "the first was forgotten");
}

#[test]
fn of_more_namespaces_than_fit_ended_ones_are_forgotten_first() {
    const MANY: u32 = 40_000;
    let mut memory = Memory::new();
    let mut story = Story::new();
    let (living, shell) = (netns(0), init("sh", 812));
    story.exits(&shell, living, 3);
    for number in 1..=MANY {
        let init = init("sh", 10_000 + number);
        story.exits(&init, netns(number), 0).drops(&init, netns(number), path::EXIT);
    }
    story.is_torn_down(&macvlan("forgotten", netns(1), 2));
    story.is_torn_down(&macvlan("fresh", netns(MANY), 2));
    story.drops(&swapper(), living, path::SOFTIRQ).is_torn_down(&macvlan("living", living, 2));
    let cases = memory.take_all(story);
    let reasons: Vec<_> = cases
        .iter()
        .map(|case| case.cause.namespace_end().is_some_and(|end| matches!(end.trigger, Trigger::Exit(_))))
        .collect();
    assert_eq!(reasons, [false, true, true], "the oldest end is forgotten, and no living one");
}

#[test]
fn more_living_namespaces_than_fit_are_no_harm() {
    let mut story = Story::new();
    for number in 0..40_000 {
        story.named(netns(number), "blue");
    }
    let mut memory = Memory::new();
    memory.take_all(story);
    assert_eq!(memory.0.netns_name(&netns(39_999)).map(ToString::to_string), Some("blue".to_owned()));
    assert_eq!(memory.0.netns_name(&netns(1)), None);
}

#[test]
fn a_crowd_in_one_namespace_is_no_harm() {
    let mut story = Story::new();
    let init = init("sh", 5);
    for pid in 10_000..12_000 {
        let visitor = process("true", pid);
        story.goes(&visitor, netns(0), netns(1)).sends(&ip(), 15, &visitor, netns(1)).exits(
            &visitor,
            netns(1),
            0,
        );
    }
    story.exits(&init, netns(1), 3);
    for pid in 20_000..22_000 {
        story.exits(&inside(process("true", pid), 5, 1, pid), netns(1), 0);
    }
    story.drops(&swapper(), netns(1), path::SOFTIRQ).is_torn_down(&inhabitant("m", 2));
    story.tell().last().verdict("container-exited", "certain").culprit(&init);
}

#[test]
fn incidents_beyond_the_limit_keep_counting_and_the_latest_stay_open() {
    const MANY: u32 = 20_000;
    let mut memory = Memory::new();
    let mut incident = |ifindex| memory.change(LinkChange::Renamed, &inhabitant("m", ifindex)).incident;
    for ifindex in 1..=MANY {
        assert_eq!(incident(ifindex), u64::from(ifindex));
    }
    assert_eq!(incident(MANY), u64::from(MANY), "the last one is still open");
    assert_eq!(incident(1), u64::from(MANY) + 1, "the first one is not, and no number comes twice");
}

// Namespaces.

#[test]
fn a_namespace_is_in_teardown_until_its_last_link_is_gone() {
    let (a, b, elsewhere) = (inhabitant("a", 2), inhabitant("b", 3), macvlan("c", netns(0), 9));
    let mut memory = Memory::new();
    for link in [&a, &b, &elsewhere] {
        memory.change(LinkChange::Created, link);
    }
    assert_eq!(memory.0.in_teardown(), 0);
    let mut story = Story::new();
    story.drops(&ip(), netns(1), path::UNMOUNT);
    memory.take_all(story);
    assert_eq!(memory.0.in_teardown(), 2);
    memory.change(LinkChange::Deleted, &a);
    assert_eq!(memory.0.in_teardown(), 1);
    memory.change(LinkChange::Deleted, &b);
    assert_eq!(memory.0.in_teardown(), 0);
}

#[test]
fn a_link_that_left_in_time_is_not_in_teardown() {
    let link = inhabitant("a", 2);
    let mut story = Story::new();
    story.stock(&link).moves(&ip(), (netns(1), 2), &link.clone().moved_to(netns(0), 9));
    story.drops(&ip(), netns(1), path::UNMOUNT);
    let mut memory = Memory::new();
    memory.take_all(story);
    assert_eq!(memory.0.in_teardown(), 0);
}

#[test]
fn a_name_belongs_to_one_namespace_and_not_to_the_next_at_its_address() {
    let mut memory = Memory::new();
    let mut story = Story::new();
    story.named(netns(1), "blue");
    memory.take_all(story);
    let name = |memory: &Memory, netns| memory.0.netns_name(&netns).map(ToString::to_string);
    assert_eq!(name(&memory, netns(1)), Some("blue".to_owned()));
    assert_eq!(name(&memory, next_at(netns(1))), None);
    let mut story = Story::new();
    story.named(next_at(netns(1)), "green");
    memory.take_all(story);
    assert_eq!(name(&memory, next_at(netns(1))), Some("green".to_owned()));
    assert_eq!(name(&memory, netns(1)), None, "that one is gone");
}

// Disorder.

#[test]
fn no_order_of_facts_makes_it_panic_blame_the_tracer_or_tell_something_else_in_a_replay() {
    let mut random = Random(0x6d61_6376_6c61_6e30);
    let unshare = process("unshare", 811);
    let shell = child_of(init("sh", 812), &unshare);
    let tasks = [
        child_of(inside(process("nginx", 830), 812, 1, 9), &shell),
        inside(process("inner", 850), 850, 2, 1),
        thread(process("dockerd", 700), 777),
        running(process("ip", 901), "ip netns del blue"),
        worker(),
        swapper(),
        tracer(),
        unshare,
        shell,
    ];
    let spaces: Vec<_> = (0..3)
        .flat_map(|number| [netns(number), next_at(netns(number)), without_cookie(netns(number))])
        .collect();
    let changes = [
        LinkChange::Created,
        LinkChange::Up,
        LinkChange::Down,
        LinkChange::Renamed,
        LinkChange::Deleted,
        LinkChange::UnseenDown,
        LinkChange::UnseenDeleted,
    ];
    let paths = [
        path::EXIT,
        path::UNMOUNT,
        path::CLOSE,
        path::SWITCH,
        path::SOFTIRQ,
        path::CLEANUP,
        path::NETLINK,
        path::CASCADE,
        path::UNLOAD,
        &[],
    ];
    for _ in 0..100 {
        let mut story = Story::new();
        for _ in 0..60 {
            let (one, other) = (random.pick(&tasks).clone(), random.pick(&tasks).clone());
            let (space, elsewhere) = (*random.pick(&spaces), *random.pick(&spaces));
            let ifindex = u32::try_from(random.below(4)).unwrap() + 2;
            let (name, frames) = (*random.pick(&["macvlan0", "eth0"]), *random.pick(&paths));
            let mut link = macvlan(name, space, ifindex);
            if random.below(4) == 0 {
                link = link.losing_parent(nic("par0", elsewhere, 3));
            }
            match random.below(12) {
                0 => story.stock(&link),
                1 => story.named(space, "blue"),
                2 => story.exits(&one, space, random.byte()),
                3 => story.dies(&one, space, *random.pick(&[2, 9, 11, 15])),
                4 => story.sends(&one, *random.pick(&[1, 9, 15, 28, 40]), &other, space),
                5 => story.kernel_sends(9, &one, space),
                6 => story.goes(&one, space, elsewhere),
                7 => story.thread_goes(&one, space, elsewhere),
                8 => story.drops(&one, space, frames),
                9 => story.moves(&one, (elsewhere, ifindex), &link),
                _ => story.link(&one, *random.pick(&changes), &link, frames),
            };
            match random.below(6) {
                0 => story.wait_ms(u64::from(random.byte()) * 200),
                1 => story.step_back_ms(u64::from(random.byte())),
                _ => &mut story,
            };
        }
        // It compares with a replay.
        let told = story.tell();
        for event in told.events() {
            let sender = &event.record["culprit"]["pid"];
            let asked = event.record["verdict"]["rule"] != "netns-deleted";
            assert!(asked || sender != OWN_PID, "the tracer let a namespace go, and is blamed:\n{told}");
        }
    }
}
