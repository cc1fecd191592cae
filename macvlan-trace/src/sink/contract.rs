//! Tests that docs/events.md describes the records as they are.

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum as _;
use serde_json::Value;

use crate::event::EventKind;
use crate::fact::{Link, LinkChange, LinkFact, Task, What};
use crate::testing::{
    records,
    story::{Macvlan, Story, child_of, in_cgroup, macvlan, netns, process, running},
};

const PAGE: &str = include_str!("../../../docs/events.md");

/// A row of the page's tables.
#[derive(Clone, Copy)]
struct Row {
    kind: &'static str,
    meaning: &'static str,
}

impl Row {
    /// The words that the meaning lists.
    fn words(self) -> BTreeSet<&'static str> {
        self.meaning.split('`').skip(1).step_by(2).filter(|word| *word != "null").collect()
    }
}

/// The rows of one section by their field.
type Rows = BTreeMap<&'static str, Row>;

/// What the page describes. Its tables begin a row with `` | `field` ``.
struct Page {
    /// The fields of every record.
    common: Rows,
    /// Those of each type of records.
    sections: BTreeMap<&'static str, Rows>,
    /// Those of objects that several records have, such as `TASK.pid`.
    shared: Rows,
}

impl Page {
    fn row(&self, kind: &str, path: &str) -> Option<Row> {
        let rows = [&self.sections[kind], &self.common, &self.shared];
        rows.into_iter().find_map(|rows| rows.get(path)).copied()
    }
}

fn documented() -> Page {
    let mut sections: BTreeMap<&str, Rows> = BTreeMap::new();
    let (mut title, mut shared) = ("", Rows::new());
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            title = heading.trim_matches('`');
        }
        if let Some((field, rest)) = line.strip_prefix("| `").and_then(|rest| rest.split_once("` | ")) {
            let (kind, rest) = rest.split_once(" | ").unwrap_or_else(|| panic!("{field} has no meaning"));
            let row = Row { kind, meaning: rest.trim_end_matches(" |") };
            let is_shared = field.starts_with(|first: char| first.is_ascii_uppercase());
            let rows = if is_shared { &mut shared } else { sections.entry(title).or_default() };
            let before = rows.insert(field, row);
            assert!(before.is_none(), "{field} is there twice");
        }
    }
    let common = sections.remove("Every record").unwrap();
    sections.insert("unattributed", sections["event"].clone());
    Page { common, sections, shared }
}

/// The examples of the page.
fn examples() -> Vec<Value> {
    let blocks = PAGE.split("```json\n").skip(1);
    blocks.map(|block| serde_json::from_str(block.split_once("```").unwrap().0).unwrap()).collect()
}

/// The values at each path of a value. Objects that the page describes once are listed by their name there.
fn paths<'a>(value: &'a Value, path: &str, found: &mut BTreeMap<String, Vec<&'a Value>>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                found.entry(path.clone()).or_default().push(value);
                let inside = match key.as_str() {
                    "actor" | "culprit" | "init" | "sender" => "TASK",
                    "container" | "victims" | "shared_with" => "CONTAINER",
                    "verdict" => "VERDICT",
                    _ => &path,
                };
                paths(value, inside, found);
            }
        }
        Value::Array(values) => {
            let path = if path == "CONTAINER" { path.to_owned() } else { format!("{path}[]") };
            for value in values {
                paths(value, &path, found);
            }
        }
        _ => {}
    }
}

/// Whether a value has the type that the page says.
fn fits(value: &Value, row: Row) -> bool {
    match (value, row.kind) {
        (Value::Null, _) => row.meaning.contains("`null`"),
        (Value::String(_), "string" | "bytes") => true,
        (Value::Number(_), "number") => true,
        (Value::Bool(_), "boolean") => true,
        (
            Value::Object(_),
            "object" | "[TASK](#task)" | "[CONTAINER](#container)" | "[VERDICT](#verdict)",
        ) => true,
        (Value::Array(values), kind) => kind.strip_prefix("array of ").is_some_and(|kind| {
            let kind = if kind == "bytes" { kind } else { kind.trim_end_matches('s') };
            values.iter().all(|value| fits(value, Row { kind, ..row }))
        }),
        _ => false,
    }
}

#[test]
fn the_page_has_every_field_and_no_other() {
    let Page { common, sections, shared } = documented();
    let mut types = BTreeSet::new();
    for record in records::records() {
        let value = serde_json::to_value(&record).unwrap();
        let mut found = BTreeMap::new();
        paths(&value, "", &mut found);
        for (path, values) in &found {
            let is_empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            let filled = values.iter().any(|value| !is_empty(value));
            assert!(filled, "the fixture has nothing at {path}, which may hide fields");
        }
        let kind = value["type"].as_str().unwrap();
        let found: BTreeSet<&str> = found.keys().map(String::as_str).collect();
        let object = |field: &str| field.split('.').next().unwrap_or_default().to_owned();
        let objects: BTreeSet<String> = found.iter().map(|field| object(field)).collect();
        let shared = shared.keys().filter(|field| objects.contains(&object(field)));
        let page: BTreeSet<&str> =
            sections[kind].keys().chain(common.keys()).chain(shared).copied().collect();
        assert_eq!(found, page, "`{kind}` as written, and in docs/events.md");
        types.insert(kind.to_owned());
    }
    assert!(types.iter().eq(sections.keys()), "{types:?}");
    assert_eq!(types.iter().map(String::as_str).collect::<BTreeSet<_>>(), common["type"].words());
}

#[test]
fn every_value_is_of_the_type_that_the_page_says() {
    let page = documented();
    let written = records::records().into_iter().map(|record| serde_json::to_value(record).unwrap());
    let recorded = include_str!("../../tests/records/format-1/docker.events.jsonl");
    let recorded = recorded.lines().map(|line| serde_json::from_str(line).unwrap());
    for record in written.chain(recorded).chain(examples()) {
        let kind = record["type"].as_str().unwrap();
        let mut found = BTreeMap::new();
        paths(&record, "", &mut found);
        for (path, values) in found {
            let row = page.row(kind, &path);
            let row = row.unwrap_or_else(|| panic!("{path} is not on the page: {record}"));
            for value in values {
                assert!(fits(value, row), "{path} is {value}, the page says {}: {}", row.kind, row.meaning);
            }
        }
    }
}

#[test]
fn the_page_lists_every_event() {
    let Page { sections, .. } = documented();
    let kinds: BTreeSet<_> = EventKind::value_variants().iter().map(|kind| kind.as_str()).collect();
    assert_eq!(sections["event"]["event"].words(), kinds);
}

/// The event has a test of its own, since it was recorded: see `tests/records.rs`.
#[test]
fn the_examples_of_the_page_are_what_the_program_writes() {
    let mut written: BTreeMap<String, Value> = BTreeMap::new();
    for record in records::records() {
        let record = serde_json::to_value(&record).unwrap();
        written.insert(record["type"].as_str().unwrap().to_owned(), record);
    }
    written.insert("unattributed".to_owned(), unattributed());
    written.insert("incident".to_owned(), settled());
    let examples = examples();
    for example in &examples {
        let kind = example["type"].as_str().unwrap();
        if kind != "event" {
            let (example, written) = (timeless(example), timeless(&written[kind]));
            assert_eq!(example, written, "the program writes:\n{written}");
        }
    }
    let shown: BTreeSet<_> = examples.iter().map(|example| example["type"].as_str().unwrap()).collect();
    assert!(shown.into_iter().eq(written.keys()), "the page shows one of each");
}

/// Without the times of day: a story has none.
fn timeless(value: &Value) -> Value {
    match value {
        Value::Object(object) => object
            .iter()
            .filter(|(key, _)| *key != "time")
            .map(|(key, value)| (key.clone(), timeless(value)))
            .collect(),
        Value::Array(values) => values.iter().map(timeless).collect(),
        value => value.clone(),
    }
}

fn netconf() -> Task {
    let shell = process("bash", 790);
    let netconf = in_cgroup(
        child_of(running(process("netconf", 812), "netconf --apply"), &shell),
        "/user.slice/user-1000.slice/session-3.scope",
    );
    Task { login_uid: Some(1000), tty: Some("pts/0".into()), ..netconf }
}

/// A user's program sets a link down, and up again some seconds later.
fn settled() -> Value {
    let (netconf, link) = (netconf(), macvlan("macvlan1", netns(0), 8));
    let mut story = Story::new();
    story.sets_down(&netconf, &link).wait_ms(3_099).sets_up(&netconf, &link).ticks_after_ms(60_000);
    story.tell().settled()[0].record.clone()
}

/// A link goes down on an unknown kernel path, while a user's program is current.
fn unattributed() -> Value {
    let netconf = netconf();
    let Macvlan { link, parent } = macvlan("macvlan1", netns(0), 8);
    let down = Macvlan { link: Link { flags: 0x1002, operstate: Some(2), ..link }, parent };
    let seen = down.fact(LinkChange::UnseenDown, &netconf, &["rtnetlink_event", "__dev_notify_flags"]);
    let seen = LinkFact { probe: "rtnetlink_event".to_owned(), ..seen };
    let mut story = Story::new();
    story.fact(What::Task(Box::new(netconf))).fact(What::Link(Box::new(seen)));
    story.tell().last().record.clone()
}
