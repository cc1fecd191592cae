//! Records of every format that was ever released replay to what was told live. They are recorded in guests by the scripts
//! beside them, by `-w` itself; BLESS=1 takes what is told now for right, and git shows what a change of words changes.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

fn records() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records");
    let formats =
        fs::read_dir(folder).expect("there are records").filter_map(Result::ok).map(|entry| entry.path());
    let files = formats.filter(|path| path.is_dir()).flat_map(|format| {
        fs::read_dir(format).expect("it is a folder").filter_map(Result::ok).map(|entry| entry.path())
    });
    let mut records: Vec<_> = files.filter(|path| path.extension().is_some_and(|is| is == "gz")).collect();
    records.sort();
    records
}

/// Everything that a record tells.
fn replay(record: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_macvlan-trace"))
        .arg("replay")
        .arg(record)
        .args(["-e", "all", "-o", "json"])
        .output()
        .expect("the binary starts");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("JSON is UTF-8")
}

#[test]
fn a_record_of_every_released_format_tells_what_was_told() {
    let records = records();
    assert!(records.len() >= 2, "{records:?}");
    for record in records {
        let told = replay(&record);
        let committed = record.with_extension("").with_extension("events.jsonl");
        if env::var_os("BLESS").is_some() {
            fs::write(&committed, &told).expect("it can be written");
        }
        let committed = fs::read_to_string(&committed).expect("it is there");
        for (told, committed) in told.lines().zip(committed.lines()) {
            assert_eq!(told, committed, "{}; BLESS=1 takes what is told for right", record.display());
        }
        assert_eq!(told.lines().count(), committed.lines().count(), "{}", record.display());
        assert!(told.lines().count() > 5, "{told}");
    }
}

#[test]
fn an_output_that_is_full_is_said_in_one_sentence() {
    let record = &records()[0];
    for verb in ["info", "replay"] {
        let full = fs::File::options().write(true).open("/dev/full").expect("it is there");
        let output = Command::new(env!("CARGO_BIN_EXE_macvlan-trace"))
            .arg(verb)
            .arg(record)
            .stdout(full)
            .output()
            .expect("the binary starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
        assert!(
            said.starts_with("error: cannot write to standard output: No space left on device"),
            "{said}"
        );
        assert!(said.trim_end().ends_with(": make room there, or write elsewhere"), "{said}");
    }
}

#[test]
fn the_event_on_the_page_is_a_recorded_one() {
    let page = include_str!("../../docs/events.md");
    let recorded = include_str!("records/format-1/docker.events.jsonl");
    let (_, rest) = page.split_once("```json\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    let example: serde_json::Value = serde_json::from_str(example).expect("JSON");
    let is_it = |line| serde_json::from_str::<serde_json::Value>(line).expect("JSON") == example;
    assert!(recorded.lines().any(is_it), "docs/events.md shows an event that was never told");
}
