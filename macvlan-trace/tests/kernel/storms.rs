//! Many at once. They are too many for a tracer that others share.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use rustix::process::Signal;

use crate::harness::{Parent, Trace, end_shared_tracer, ip, ip_path, signal};

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
    let _parent = Parent::dummy("par0");
    let mut trace = Trace::start(&[]);
    let brief = Trace::start(&[]);
    // Nobody reads while the rings fill up.
    signal(trace.pid(), Signal::STOP);
    signal(brief.pid(), Signal::STOP);
    for _ in 0..3 {
        make("par0", 2000);
        ip("link del group 77");
    }
    // One is told to stop at once: no record that follows shows it a gap.
    signal(brief.pid(), Signal::INT);
    signal(brief.pid(), Signal::CONT);
    let summary = brief.stop().summary().clone();
    assert!(summary["lost"].as_u64().is_some_and(|lost| lost > 0), "{summary}");
    // The other one goes on.
    make("par0", 1);
    signal(trace.pid(), Signal::CONT);
    trace.wait_for("the loss", |record| record["type"] == "lost");
    ip("link del mv0");
    let stream = trace.stop();
    // An output leaves out what its reader does not take in time.
    let omitted = stream.records.iter().filter(|record| record["type"] == "omitted");
    let omitted: u64 = omitted.filter_map(|record| record["events"].as_u64()).sum();
    let told = stream.events().len() as u64 + omitted;
    let summary = stream.summary();
    let lost = summary["lost"].as_u64().expect("a number");
    // A creation and a deletion each, and a record for each task.
    assert!(lost > 0 && told < 6001 && told + lost >= 6001, "{summary}");
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
