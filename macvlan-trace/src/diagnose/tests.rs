//! What holds for every rule.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::testing::story::{
    Story,
    cast::{link, of_unit},
    macvlan, netns, process, running,
};

#[test]
fn every_rule_has_a_name_of_its_own() {
    let names: BTreeSet<_> = super::pages().map(|page| page.name).collect();
    assert!(names.iter().all(|name| !name.is_empty()));
    assert_eq!(names.len(), super::pages().count());
}

#[test]
fn a_sentence_shows_no_bytes_that_steer_a_terminal() {
    let evil = running(process("\x1b[2J\nx", 901), "a\x1b[31m b\nc");
    let mut story = Story::new();
    story.sets_down(&evil, &macvlan("m\x1b0", netns(0), 7));
    let told = story.tell();
    let cause = told.last().record["verdict"]["cause"].as_str().unwrap().to_owned();
    assert!(!cause.chars().any(char::is_control), "{cause:?}");
}

#[test]
fn what_is_to_be_pasted_is_harmless() {
    let (mut story, link) = link();
    let link = link.called("$(reboot)");
    let told = story.sets_down(&of_unit("NetworkManager.service", 901), &link).tell();
    let remedy = told.last().record["verdict"]["remedy"].clone();
    assert!(remedy.as_str().is_some_and(|text| text.contains("interface-name:LINK")), "{remedy}");
    assert_ne!(remedy, Value::Null);
}
