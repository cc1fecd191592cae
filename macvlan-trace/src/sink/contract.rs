//! docs/events.md and the records say the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::event::SCHEMA_VERSION;
use crate::testing::records;

const PAGE: &str = include_str!("../../../docs/events.md");

/// The fields of every record, and those of each type. The tables of the page begin a row with `` | `field` ``.
fn documented() -> (BTreeSet<String>, BTreeMap<&'static str, BTreeSet<String>>) {
    let mut sections: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut title = "";
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            title = heading.trim_matches('`');
        }
        if let Some((field, _)) = line.strip_prefix("| `").and_then(|rest| rest.split_once('`')) {
            assert!(sections.entry(title).or_default().insert(field.to_owned()), "{field} is there twice");
        }
    }
    let common = sections.remove("Every record").unwrap();
    sections.insert("unattributed", sections["event"].clone());
    (common, sections)
}

/// The paths of all keys in a value, and whether anything stands there. Objects that the page describes once go by
/// their name there.
fn paths(value: &Value, path: &str, found: &mut BTreeMap<String, bool>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
                *found.entry(path.clone()).or_default() |= !empty;
                let inside = match key.as_str() {
                    "actor" | "culprit" | "init" | "sender" => "TASK",
                    "container" => "CONTAINER",
                    _ => &path,
                };
                paths(value, inside, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| paths(value, &format!("{path}[]"), found)),
        _ => {}
    }
}

#[test]
fn the_page_has_every_field_and_no_other() {
    let (common, sections) = documented();
    let mut types = BTreeSet::new();
    for record in records::records() {
        let value = serde_json::to_value(&record).unwrap();
        let mut found = BTreeMap::new();
        paths(&value, "", &mut found);
        for (path, filled) in &found {
            assert!(filled, "the fixture has nothing at {path}, which may hide fields");
        }
        let kind = value["type"].as_str().unwrap();
        let page: BTreeSet<&String> = sections[kind].union(&common).collect();
        assert_eq!(found.keys().collect::<BTreeSet<_>>(), page, "`{kind}` as written, and in docs/events.md");
        types.insert(kind.to_owned());
    }
    assert!(types.iter().eq(sections.keys()), "{types:?}");
}

#[test]
fn the_examples_of_the_page_are_records() {
    let (common, sections) = documented();
    let mut types = BTreeSet::new();
    for rest in PAGE.split("```json\n").skip(1) {
        let (example, _) = rest.split_once("```").unwrap();
        let example: Value = serde_json::from_str(example).unwrap();
        assert_eq!(example["schema_version"], SCHEMA_VERSION);
        let kind = example["type"].as_str().unwrap().to_owned();
        let mut found = BTreeMap::new();
        paths(&example, "", &mut found);
        for path in found.keys() {
            assert!(sections[kind.as_str()].contains(path) || common.contains(path), "{path} in {example}");
        }
        types.insert(kind);
    }
    assert!(types.iter().eq(sections.keys()), "{types:?}");
}
