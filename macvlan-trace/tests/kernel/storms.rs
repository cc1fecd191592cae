//! Many at once. They are too many for a tracer that others share.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    harness::{NamedNetns, Parent, Trace, Unit, end_shared_tracer, ip, ip_path, signal},
    helpers::commute,
};

/// Makes many links on one parent.
fn make(parent: &str, number: u32) {
    let mut ip_batch =
        Command::new(ip_path()).args(["-batch", "-"]).stdin(Stdio::piped()).spawn().expect("ip runs");
    let mut stdin = ip_batch.stdin.take().expect("it has a stdin");
    for n in 0..number {
        writeln!(stdin, "link add mv{n} link {parent} group 77 type macvlan").expect("ip reads");
    }
    drop(stdin);
    assert!(ip_batch.wait().expect("ip ends").success());
}

#[test]
fn two_thousand_deletions_by_group_are_all_told() {
    end_shared_tracer();
    let _parent = Parent::dummy("par0");
    make("par0", 2000);
    let trace = Trace::start(&[]);
    ip("link del group 77");
    let stream = trace.stop();
    assert_eq!(stream.all().len(), 2000, "the summary: {}", stream.summary());
    for event in stream.all() {
        event.is("/event", "deleted").by("ip").is("/culprit/args/4", "77").verdict("direct", "certain");
    }
    let names: std::collections::HashSet<_> =
        stream.events().iter().map(|event| event["link"]["name"].to_string()).collect();
    assert_eq!(names.len(), 2000);
}

#[test]
fn what_does_not_fit_into_the_ring_is_counted_and_said() {
    end_shared_tracer();
    let unit = Unit::deep();
    let there = NamedNetns::add("mt-there");
    let _parent = Parent::dummy("par0");
    // Who enters a namespace is of interest while a link is there.
    ip("link add away0 link par0 netns mt-there type macvlan");
    let mut trace = Trace::start(&[]);
    let mut brief = Trace::start(&[]);
    // Nobody reads while the rings fill up.
    signal(trace.pid(), Signal::STOP);
    signal(brief.pid(), Signal::STOP);
    make("par0", 100);
    ip("link del group 77");
    make("par0", 100);
    // Each way is a record, and as many bytes again and more of the task, which is another one with each namespace: that
    // fills 4 MiB to the last gap.
    commute(&unit, there.0);
    ip("link del group 77");
    // One is told to stop at once, and no more than once: no record that follows shows it a gap.
    signal(brief.pid(), Signal::INT);
    signal(brief.pid(), Signal::CONT);
    let summary = brief.wait_for("the summary", |record| record["type"] == "summary");
    drop(brief);
    assert!(summary["lost"].as_u64().is_some_and(|lost| lost > 0), "{summary}");
    assert_eq!((&summary["events"], &summary["unattributed"]), (&100.into(), &0.into()), "{summary}");
    // The other one goes on.
    make("par0", 1);
    signal(trace.pid(), Signal::CONT);
    trace.wait_for("the loss", |record| record["type"] == "lost");
    // The tracer may say that before it has read the first record: it has made room once it tells the last that fitted.
    let is_last = |record: &Value| record["event"] == "deleted" && record["link"]["name"] == "mv99";
    if !trace.records().iter().any(is_last) {
        trace.wait_for("the last deletion that fitted", is_last);
    }
    ip("link del mv0");
    let stream = trace.stop();
    let told = stream.events().len() as u64;
    let summary = stream.summary();
    let lost = summary["lost"].as_u64().expect("a number");
    // Before the ring was full all fitted, and then nothing did, until there was room again.
    assert_eq!(told, 101, "{summary}");
    assert!(lost >= 100, "{summary}");
    let said: u64 = stream
        .records
        .iter()
        .filter(|record| record["type"] == "lost")
        .filter_map(|record| record["records"].as_u64())
        .sum();
    assert_eq!(said, lost, "the summary says what the stream said: {summary}");
    assert_eq!(summary["unattributed"], 0, "a full ring costs lines, not attributions: {summary}");
    for event in stream.events() {
        let (culprit, verdict) = (&event["culprit"], &event["verdict"]);
        assert!(event["event"] == "deleted" && culprit["comm"] == "ip", "{event}");
        assert!(verdict["rule"] == "direct" && verdict["confidence"] == "certain", "{event}");
    }
    let last = stream.events().pop().expect("it was told");
    assert!(last["link"]["name"] == "mv0" && last["culprit"]["args"][2] == "del", "{last}");
}
