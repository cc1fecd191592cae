use std::io::Write;

use clap::Parser as _;
use serde_json::{Value, json};

use super::*;
use crate::{
    cli::Cli,
    fact::{Begin, Hook, Ktime, LinkChange, Watching},
    sink::{Direct, json::Json},
    testing::story::{self, Macvlan, Shared, Story, macvlan, netns, process, running},
};

fn ip() -> Task {
    running(process("ip", 901), "ip link")
}

type Task = crate::fact::Task;

fn link(ifindex: u32) -> Macvlan {
    macvlan(&format!("macvlan{ifindex}"), netns(0), ifindex)
}

/// A pipeline as a command line asks for it, and what it writes.
fn pipeline(args: &[&str], limit: Option<u64>) -> (Pipeline<Direct<Shared>>, Shared) {
    let cli = Cli::try_parse_from([&["macvlan-trace"], args].concat()).expect("the arguments are valid");
    let view = View { limit, ..cli.view.view(Vec::new()) };
    let out = Shared::default();
    (Pipeline::new(view, Direct::new(Box::new(Json), out.clone())), out)
}

/// The end of a run.
fn end() -> Fact {
    Fact { at: Ktime(99_000_000_000), what: What::End }
}

/// Everything that is written about a story.
fn run(story: Story, args: &[&str], limit: Option<u64>) -> Vec<Value> {
    let (mut pipeline, out) = pipeline(args, limit);
    for fact in story.into_stream().chain([end()]) {
        pipeline.take(fact).unwrap();
    }
    out.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A field of every record of a type.
fn all(records: &[Value], kind: &str, field: &str) -> Vec<Value> {
    records.iter().filter(|record| record["type"] == kind).map(|record| record[field].clone()).collect()
}

fn a_day() -> Story {
    let mut story = Story::new();
    story.creates(&ip(), &link(1)).sets_up(&ip(), &link(1)).sets_down(&ip(), &link(1));
    story.creates(&ip(), &link(2)).deletes(&process("dhcpcd", 902), &link(2)).deletes(&ip(), &link(1));
    story
}

#[test]
fn what_breaks_a_link_is_shown_and_the_numbers_tell_what_was_left_out() {
    let records = run(a_day(), &[], None);
    assert_eq!(all(&records, "event", "event"), ["down", "deleted", "deleted"]);
    assert_eq!(all(&records, "event", "seq"), [3, 5, 6]);
    let summary = records.last().unwrap();
    assert_eq!((&summary["events"], &summary["filtered"]), (&json!(3), &json!(3)), "{summary}");
}

#[test]
fn everything_is_shown_on_request() {
    let records = run(a_day(), &["-e", "all"], None);
    assert_eq!(all(&records, "event", "seq"), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_filter_hides_and_does_not_blind() {
    // The past of a link is known even if its creation was hidden.
    let records = run(a_day(), &["--comm", "dhcpcd"], None);
    assert_eq!(all(&records, "event", "seq"), [5]);
    let event = records.iter().find(|record| record["type"] == "event").unwrap();
    assert_eq!(event["link"]["age_ns"], 1_000_000, "{event}");
}

#[test]
fn a_limit_counts_what_was_shown_and_ends_there() {
    let (mut pipeline, out) = pipeline(&[], Some(2));
    let mut full_after = None;
    for (at, fact) in a_day().into_facts().into_iter().enumerate() {
        pipeline.take(fact).unwrap();
        if pipeline.is_closed() && full_after.is_none() {
            full_after = Some(at);
        }
    }
    pipeline.take(end()).unwrap();
    let records: Vec<Value> = out.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(all(&records, "event", "seq"), [3, 5]);
    assert!(full_after.is_some(), "{records:?}");
    assert_eq!(records.last().unwrap()["events"], 2);
}

#[test]
fn per_incident_only_incidents_are_told_and_counted() {
    let records = run(a_day(), &["--per", "incident"], None);
    let kinds: Vec<_> = records.iter().map(|record| record["type"].clone()).collect();
    assert_eq!(kinds, ["incident", "incident", "summary"]);
    let summary = records.last().unwrap();
    assert_eq!((&summary["events"], &summary["filtered"]), (&json!(3), &json!(3)), "{summary}");
    let records = run(a_day(), &["--per", "incident"], Some(1));
    assert_eq!(all(&records, "incident", "incident").len(), 1);
}

#[test]
fn an_incident_is_told_whole_when_one_of_its_events_is_shown() {
    let mut story = Story::new();
    story
        .creates(&ip(), &link(1))
        .sets_up(&ip(), &link(1))
        .sets_down(&ip(), &link(1))
        .deletes(&ip(), &link(1));
    let records = run(story, &["-e", "deleted"], None);
    assert_eq!(all(&records, "event", "event"), ["deleted"]);
    assert_eq!(all(&records, "incident", "events"), [2]);
    assert_eq!(all(&records, "incident", "links")[0][0]["first"]["event"], "down");
    let records = run(a_day(), &["--comm", "nobody"], None);
    assert_eq!(all(&records, "incident", "incident"), [0; 0]);
}

#[test]
fn what_is_shown_up_to_a_limit_has_its_incident_at_once() {
    let mut story = a_day();
    story.ticks_after_ms(60_000).sets_down(&ip(), &link(9));
    let records = run(story, &[], Some(1));
    let kinds: Vec<_> = records.iter().map(|record| record["type"].clone()).collect();
    assert_eq!(kinds, ["event", "incident", "summary"]);
    assert_eq!(records[0]["boot_ns"], records[1]["boot_ns"], "what comes later is not looked at");
}

#[test]
fn a_limit_of_nothing_is_full_at_once() {
    assert!(pipeline(&[], Some(0)).0.is_closed());
    assert!(!pipeline(&[], None).0.is_closed());
}

#[test]
fn losses_are_told_when_they_happen_whatever_the_filter_and_added_up() {
    let mut story = Story::new();
    story.fact(What::Lost { records: 3 }).sets_down(&ip(), &link(1)).fact(What::Lost { records: 4 });
    let records = run(story, &["--comm", "nobody"], Some(0));
    assert_eq!(all(&records, "lost", "records"), [3, 4]);
    assert_eq!(all(&records, "lost", "total"), [3, 7]);
    assert_eq!(records.last().unwrap()["lost"], 7);
}

#[test]
fn effects_without_an_author_are_counted_apart_and_shown_to_who_asked_for_others() {
    let mut story = Story::new();
    story.link(&ip(), LinkChange::UnseenDown, &link(1), &[]).sets_down(&ip(), &link(2));
    let records = run(story, &["--comm", "nobody"], None);
    assert_eq!(all(&records, "unattributed", "event"), ["down"]);
    let summary = records.last().unwrap();
    assert_eq!(
        (&summary["events"], &summary["unattributed"], &summary["filtered"]),
        (&json!(0), &json!(1), &json!(1)),
        "{summary}"
    );
    assert_eq!(summary["culprits"], json!([]), "nobody is counted as its culprit");
}

#[test]
fn the_summary_counts_by_culprit_most_first() {
    let (ip, dhcpcd) = (ip(), process("dhcpcd", 902));
    let mut story = Story::new();
    for ifindex in 1..=3 {
        story.sets_down(&dhcpcd, &link(ifindex));
    }
    story.sets_down(&ip, &link(1)).deletes(&ip, &link(1)).deletes(&ip, &link(2));
    let records = run(story, &[], None);
    let lines: Vec<_> = records.last().unwrap()["culprits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["pid"].clone(), line["event"].clone(), line["count"].clone()))
        .collect();
    assert_eq!(
        lines,
        [
            (json!(902), json!("down"), json!(3)),
            (json!(901), json!("deleted"), json!(2)),
            (json!(901), json!("down"), json!(1))
        ]
    );
    assert_eq!(records.last().unwrap()["culprits"][0]["cgroup"], "test.service");
}

#[test]
fn more_culprits_than_anybody_reads_share_a_line() {
    let mut story = Story::new();
    for pid in 2..=1500 {
        story.sets_down(&process("ip", pid), &link(pid));
        if pid % 500 == 0 {
            story.sets_down(&process("daemon", 1), &link(1));
        }
    }
    let records = run(story, &[], None);
    let summary = records.last().unwrap();
    let lines = summary["culprits"].as_array().unwrap();
    assert_eq!(lines.len(), 1025);
    assert_eq!((&lines[0]["comm"], &lines[0]["pid"]), (&json!("(others)"), &Value::Null));
    assert_eq!(
        (&lines[0]["count"], &lines[1]["count"]),
        (&json!(476), &json!(3)),
        "one that acts again and again has its own"
    );
    let total: u64 = lines.iter().map(|line| line["count"].as_u64().unwrap()).sum();
    assert_eq!(summary["events"], total);
}

#[test]
fn a_reader_who_has_left_is_told_as_such() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut pipeline = Pipeline::new(View::default(), Direct::new(Box::new(Json), Gone));
    let mut story = Story::new();
    story.sets_down(&ip(), &link(1));
    let failed = story.into_facts().into_iter().find_map(|fact| pipeline.take(fact).err());
    assert_eq!(failed.map(|error| error.kind()), Some(io::ErrorKind::BrokenPipe));
}

#[test]
fn that_a_map_of_the_kernel_side_is_full_is_remarked() {
    let (mut pipeline, out) = pipeline(&[], None);
    pipeline.take(Fact { at: Ktime(5), what: What::Full }).unwrap();
    let record: Value = serde_json::from_str(&out.text()).unwrap();
    assert_eq!((&record["type"], &record["boot_ns"]), (&json!("notice"), &json!(5)));
    assert!(record["message"].as_str().unwrap().contains("than the kernel side can remember"), "{record}");
}

#[test]
fn the_run_record_is_made_of_the_first_facts() {
    let mut story = Story::new();
    story.named(netns(1), "blue").stock(&macvlan("macvlan1", netns(1), 3)).stock(&link(4));
    story.fact(What::Watching(Watching { unseen: 2, unjoined: 1 }));
    let records = run(story, &[], None);
    let run = &records[0];
    assert_eq!((&run["type"], &run["kernel"]), (&json!("run"), &json!("6.12.0")), "{run}");
    assert_eq!(run["boot_ns"], 90_000_000_000_u64, "it is when the run began");
    let stock = &run["stock"];
    assert_eq!((&stock["links"], &stock["namespaces"]), (&json!(2), &json!(2)), "{run}");
    assert_eq!(stock["unseen_namespaces"], 2);
    assert_eq!(stock["watched"][0]["netns"]["name"], "blue");
    assert!(run["degraded"][0].as_str().unwrap().starts_with("the addresses of 1 network"), "{run}");
}

#[test]
fn a_link_of_another_kind_is_neither_listed_nor_missed() {
    let records = |args: &[&str]| {
        let mut story = Story::new();
        let ipvlan = link(5).of_kind("ipvlan");
        story.stock(&link(4)).stock(&ipvlan).fact(What::Watching(Watching::default()));
        story.deletes(&ip(), &ipvlan).wait_ms(60_000).sets_down(&ip(), &link(4));
        run(story, args, None)
    };
    let told = |records: &[Value]| {
        let listed = records[0]["stock"]["links"].clone();
        (listed, all(records, "event", "event").len(), all(records, "notice", "rule").len())
    };
    assert_eq!(told(&records(&[])), (json!(1), 1, 0));
    assert_eq!(told(&records(&["-k", "ipvlan"])), (json!(1), 1, 1));
    assert_eq!(told(&records(&["-k", "all"])), (json!(2), 2, 1));
    assert_eq!(records(&["-k", "ipvlan"])[0]["kinds"], json!(["ipvlan"]));
}

#[test]
fn a_hook_that_sits_nowhere_is_in_the_run_record_with_what_is_not_seen() {
    let Fact { at, what: What::Begin(begin) } = story::begin(&[]) else { panic!("it begins") };
    let hook = Hook { name: "oom_kill".to_owned(), symbol: None, lost: Some("memory".to_owned()) };
    let begin = Begin { hooks: vec![hook], degraded: vec!["something".to_owned()], ..*begin };
    let (mut pipeline, out) = pipeline(&[], None);
    for what in [What::Begin(Box::new(begin)), What::Watching(Watching::default())] {
        pipeline.take(Fact { at, what }).unwrap();
    }
    let run: Value = serde_json::from_str(&out.text()).unwrap();
    assert_eq!(run["probes"], json!([{ "hook": "oom_kill", "symbol": null, "lost": "memory" }]));
    assert_eq!(run["degraded"], json!(["something"]));
}

#[test]
fn a_clock_that_is_set_shows_in_the_time_from_then_on() {
    let mut story = Story::new();
    story.sets_down(&ip(), &link(1)).fact(What::Clock { boot: 1_000_000_000_000_000_000 });
    story.sets_down(&ip(), &link(2));
    let records = run(story, &[], None);
    let times = all(&records, "event", "time");
    assert!(times[0].as_str().unwrap().starts_with("1970-01-01T00:01:30"), "{times:?}");
    assert!(times[1].as_str().unwrap().starts_with("2001-09-09T01:48:10"), "{times:?}");
}

#[test]
fn ticks_change_nothing_but_when_a_remark_is_made() {
    let story = |ticks: bool| {
        let mut story = Story::new();
        story.creates(&ip(), &link(1)).deletes(&ip(), &link(1));
        (0..100).for_each(|_| {
            story.wait_ms(499);
            if ticks {
                story.fact(What::Tick);
            } else {
                story.wait_ms(1);
            }
        });
        story.sets_down(&ip(), &link(2));
        run(story, &["-e", "all"], None)
    };
    let (with, without) = (story(true), story(false));
    assert_eq!(all(&with, "notice", "rule"), ["not-recreated"]);
    assert_eq!(with, without);
}
