//! Streams of facts that were recorded in guests, and what was told live with `-e all`: a replay tells the same.
//!
//! `processes` is of the small guest (6.12): a main process that exits with 3, one that is killed, `ip netns del`, a link that
//! is set down and up, its parent down, up and deleted. `docker` is of the real one (7.3): `docker stop` of a process that
//! does not heed it, and a container that exits with 3.

use std::{env, fs, path::Path};

use super::*;
use crate::{
    cli::Cli,
    sink::{Direct, json::Json},
    testing::story::Shared,
};
use clap::Parser as _;

#[test]
fn a_replay_of_what_was_recorded_tells_what_was_told_live() {
    for name in ["processes", "docker"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pipeline/streams");
        let facts = fs::read_to_string(folder.join(format!("{name}.facts.jsonl"))).expect("it is there");
        let live = folder.join(format!("{name}.events.jsonl"));
        let told = replay(&facts);
        // After a change of words: what is told differs, and git shows how.
        if env::var_os("BLESS").is_some() {
            fs::write(&live, &told).expect("it can be written");
        }
        let live = fs::read_to_string(&live).expect("it is there");
        for (told, live) in told.lines().zip(live.lines()) {
            assert_eq!(told, live, "{name}; BLESS=1 takes what is told for right");
        }
        assert_eq!(told.lines().count(), live.lines().count(), "{name}");
    }
}

#[test]
fn the_event_on_the_page_is_a_recorded_one() {
    let page = include_str!("../../../docs/events.md");
    let recorded = include_str!("streams/docker.events.jsonl");
    let (_, rest) = page.split_once("```json\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    let example: serde_json::Value = serde_json::from_str(example).expect("JSON");
    let is_it = |line| serde_json::from_str::<serde_json::Value>(line).expect("JSON") == example;
    assert!(recorded.lines().any(is_it), "docs/events.md shows an event that was never told");
}

/// The events of a stream.
fn replay(stream: &str) -> String {
    let cli = Cli::try_parse_from(["macvlan-trace", "-e", "all"]).expect("the arguments are valid");
    let view = cli.view.view(Vec::new());
    let out = Shared::default();
    let mut pipeline = Pipeline::new(view, Direct::new(Box::new(Json), out.clone()));
    for line in stream.lines() {
        let fact = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        pipeline.take(fact).expect("memory takes everything");
    }
    out.text()
}
