use std::io::Write;

use clap::Parser as _;
use serde_json::{Value, json};

use super::*;
use crate::{
    cli::Cli,
    fact::LinkChange,
    sink::json::Json,
    testing::story::{Macvlan, Shared, Story, macvlan, netns, process, running, settings},
};

fn ip() -> Task {
    running(process("ip", 901), "ip link")
}

type Task = crate::fact::Task;

fn link(ifindex: u32) -> Macvlan {
    macvlan(&format!("macvlan{ifindex}"), netns(0), ifindex)
}

/// A pipeline as a command line asks for it, and what it writes.
fn pipeline(args: &[&str], limit: Option<u64>) -> (Pipeline, Shared) {
    let cli = Cli::try_parse_from([&["macvlan-trace"], args].concat()).expect("the arguments are valid");
    let filter = Filter::from_cli(&cli).expect("the filter can match");
    let out = Shared::default();
    (Pipeline::new(settings(), Clock::new(0), filter, limit, Box::new(Json::new(out.clone()))), out)
}

/// Everything that is written about a story.
fn run(story: Story, args: &[&str], limit: Option<u64>) -> Vec<Value> {
    let (mut pipeline, out) = pipeline(args, limit);
    for fact in story.into_facts() {
        pipeline.take(fact).unwrap();
    }
    pipeline.finish(Ktime(99_000_000_000)).unwrap();
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
    pipeline.finish(Ktime(0)).unwrap();
    let records: Vec<Value> = out.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(all(&records, "event", "seq"), [3, 5]);
    assert!(full_after.is_some(), "{records:?}");
    assert_eq!(records.last().unwrap()["events"], 2);
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
    for pid in 1..=1500 {
        story.sets_down(&process("ip", pid), &link(pid));
    }
    story.sets_down(&process("ip", 1), &link(1));
    let records = run(story, &[], None);
    let summary = records.last().unwrap();
    let lines = summary["culprits"].as_array().unwrap();
    assert_eq!(lines.len(), 1025);
    assert_eq!((&lines[0]["comm"], &lines[0]["pid"]), (&json!("(others)"), &Value::Null));
    assert_eq!(
        (&lines[0]["count"], &lines[1]["count"]),
        (&json!(476), &json!(2)),
        "the first one has its own"
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
    let sink = Box::new(Json::new(Gone));
    let mut pipeline = Pipeline::new(settings(), Clock::new(0), Filter::default(), None, sink);
    let mut story = Story::new();
    story.sets_down(&ip(), &link(1));
    let failed = story.into_facts().into_iter().find_map(|fact| pipeline.take(fact).err());
    assert_eq!(failed.map(|error| error.kind()), Some(io::ErrorKind::BrokenPipe));
}

#[test]
fn a_remark_stands_in_the_stream() {
    let (mut pipeline, out) = pipeline(&[], None);
    pipeline.notice(Ktime(5), "mind the gap".to_owned()).unwrap();
    let record: Value = serde_json::from_str(&out.text()).unwrap();
    assert_eq!(
        (&record["type"], &record["message"], &record["boot_ns"]),
        (&json!("notice"), &json!("mind the gap"), &json!(5))
    );
}
