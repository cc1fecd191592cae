//! What is right of the stream of facts is computed from facts alone: no files, no clocks, no environment, no terminal.
//! Otherwise a replay could tell something else than the live run did.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The stages right of the stream, and the ground that they stand on.
const PURE: &[&str] = &[
    "bounded",
    "cgroup",
    "correlate",
    "diagnose",
    "event",
    "fact",
    "filter",
    "kernel",
    "pipeline",
    "publish",
    "sentence",
    "settle",
    "sink",
    "text",
    "work",
];

/// What would make a difference between two runs on the same facts, and what belongs to the left of the stream.
const FORBIDDEN: &[&str] = &[
    "std::fs",
    "fs::",
    "File::",
    "OpenOptions",
    "std::env",
    "env::",
    "std::process",
    "process::Command",
    "std::net::Tcp",
    "std::net::Udp",
    "UnixStream",
    "std::thread",
    "std::time",
    "std::*",
    "Instant",
    "SystemTime",
    "::now(",
    "TimeZone::system",
    "try_system",
    "rustix",
    "tokio",
    "aya::",
    "stdin()",
    "stdout()",
    "stderr()",
    "print!(",
    "println!(",
    "RandomState",
    "crate::live",
    "crate::cli",
    "crate::cmd",
    "crate::output",
    "crate::record",
];

/// Methods of a path that ask the disk.
const FORBIDDEN_OF_PATHS: &[&str] = &[
    "canonicalize",
    "exists",
    "is_dir",
    "is_file",
    "is_symlink",
    "metadata",
    "read_dir",
    "read_link",
    "symlink_metadata",
    "try_exists",
];

/// The Rust files of a module, those of its tests left out.
fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(path).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// A file's code without comments, and without the tests at its end.
fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let without_comments = before_tests.lines().map(|line| line.split("//").next().unwrap_or_default());
    without_comments.collect::<Vec<_>>().join("\n")
}

/// The paths that a piece of code imports, one by one, whichever way they are grouped.
fn imports(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let starts_a_word = code[..at].chars().next_back().is_none_or(char::is_whitespace);
        if let Some((tree, _)) = code[at + 4..].split_once(';').filter(|_| starts_a_word) {
            flatten("", tree, &mut paths);
        }
    }
    paths
}

/// Puts each path of `a::{b, c::{d, e}}` behind the prefix.
fn flatten(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let (mut depth, mut from) = (0, 0);
    let mut branches = Vec::new();
    for (at, letter) in tree.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                branches.push(&tree[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    branches.push(&tree[from..]);
    for branch in branches.into_iter().map(str::trim).filter(|branch| !branch.is_empty()) {
        match branch.split_once('{') {
            Some((stem, rest)) => {
                let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
                flatten(&format!("{prefix}{}", stem.trim()), inner, paths);
            }
            None => paths.push(format!("{prefix}{branch}")),
        }
    }
}

/// What a piece of code uses that it must not.
fn impure(code: &str) -> Vec<&'static str> {
    let imported = imports(code);
    let uses = |word: &str| code.contains(word) || imported.iter().any(|path| path.contains(word));
    let asks = |method: &str| {
        [".", "Path::", "PathBuf::"].iter().any(|before| code.contains(&format!("{before}{method}(")))
            || ["Path::", "PathBuf::"].iter().any(|before| code.contains(&format!("{before}{method})")))
    };
    let words = FORBIDDEN.iter().copied().filter(|word| uses(word));
    words.chain(FORBIDDEN_OF_PATHS.iter().copied().filter(|method| asks(method))).collect()
}

#[test]
fn what_is_right_of_the_stream_uses_facts_alone() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    for module in PURE {
        let file = src.join(format!("{module}.rs"));
        let folder = src.join(module);
        files.extend(file.exists().then_some(file));
        sources(&folder, &mut files);
    }
    // Tests may do what they like.
    let is_test =
        |file: &PathBuf| ["tests.rs", "contract.rs", "pages/mod.rs"].iter().any(|test| file.ends_with(test));
    files.retain(|file| !is_test(file));
    assert!(files.len() > 50, "the modules have moved: {files:?}");
    for file in files {
        let found = impure(&code(&fs::read_to_string(&file).expect("it is there")));
        assert!(found.is_empty(), "{} uses {found:?}", file.display());
    }
}

#[test]
fn a_module_that_looks_at_the_machine_is_noticed() {
    for line in [
        "let text = std::fs::read_to_string(\"/proc/self/stat\");",
        "let now = Instant::now();",
        "let zone = std::env::var(\"TZ\");",
        "use crate::live::lookup::Lookup;",
        "println!(\"here\");",
        "use std::{io, mem, thread};",
        "use std::{\n    io,\n    sync::{Arc, Mutex},\n    time::{self, Duration},\n};",
        "pub(crate) use crate::{event::Record, live::{Live, clock}};",
        "if path.exists() { 1 } else { 2 }",
        "let size = path.metadata().map(|metadata| metadata.len());",
        "for entry in folder.read_dir() {}",
        "paths.filter(|path| Path::exists(path))",
        "paths.all(Path::is_file)",
    ] {
        assert!(!impure(&code(line)).is_empty(), "{line}");
    }
    for line in [
        "// std::fs is for others",
        "env!(\"CARGO_PKG_NAME\")",
        "let when = self.clock.when(fact.at);",
        "use std::{collections::{HashMap, hash_map::Entry}, io};",
        "if self.exists { self.metadata = None; }",
    ] {
        assert!(impure(&code(line)).is_empty(), "{line}");
    }
}

#[test]
fn every_module_is_either_pure_or_at_the_edge() {
    const EDGE: &[&str] = &["cli", "cmd", "live", "output", "record", "testing", "lib", "main"];
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(src).expect("there are sources").filter_map(Result::ok) {
        let path = entry.path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        assert!(
            PURE.contains(&&*name) || EDGE.contains(&&*name),
            "{name} is new: say on which side it stands"
        );
    }
}
