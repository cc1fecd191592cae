//! Every rule has a page, and every page says what a page should.

use std::{collections::BTreeSet, fs, path::Path};

use super::pages;

const SECTIONS: [&str; 5] =
    ["## What it means", "## How it is recognised", "## What to do", "## What it is not", "## Links"];

/// The files of this folder, by the rule that each is named after.
fn files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/diagnose/pages");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| {
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
        })
        .collect()
}

#[test]
fn every_rule_has_a_page_of_its_own_and_every_page_a_rule() {
    let rules: BTreeSet<&str> = pages().map(|(name, _)| name).collect();
    let files = files();
    assert_eq!(files.iter().map(|(name, _)| name.as_str()).collect::<BTreeSet<_>>(), rules);
    for (name, page) in pages() {
        assert!(files.iter().any(|file| file == &(name.into(), page.into())), "{name} shows another's page");
    }
}

#[test]
fn every_page_says_what_a_page_should() {
    for (name, page) in files() {
        let lines: Vec<&str> = page.lines().collect();
        assert_eq!(lines[0], format!("# {name}"));
        assert!(lines[2].len() <= 54 && lines[2].ends_with('.'), "{name}: one short sentence, for the list");
        assert_eq!((lines[1], lines[3]), ("", ""), "{name}: the sentence stands by itself");
        let sections: Vec<&str> = lines.iter().copied().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(sections, SECTIONS, "{name}");
        for section in SECTIONS {
            let (_, rest) = page.split_once(&format!("\n{section}\n\n")).unwrap();
            assert!(!rest.starts_with('#') && !rest.trim().is_empty(), "{name}: {section} is empty");
        }
        for line in lines {
            assert!(line.chars().count() <= 78, "{name}: too long for a terminal: {line}");
            assert!(!line.contains('\t') && !line.ends_with(' '), "{name}: {line}");
        }
        assert_eq!(page.matches("```").count() % 2, 0, "{name}: a block of code is open");
        assert!(page.ends_with('\n') && !page.ends_with("\n\n"), "{name}");
    }
}

#[test]
fn every_rule_has_a_row_in_the_catalogue_of_the_readme() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    for (name, _) in pages() {
        let link = format!("[`{name}`](macvlan-trace/src/diagnose/pages/{name}.md)");
        let rows = readme.lines().filter(|line| line.starts_with('|') && line.contains(&link)).count();
        assert_eq!(rows, 1, "{name}");
    }
}

#[test]
fn pages_refer_to_pages_that_there_are() {
    let files = files();
    for (name, page) in &files {
        for rest in page.split("macvlan-trace explain ").skip(1) {
            let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '-')).unwrap_or(rest.len());
            assert!(files.iter().any(|(other, _)| *other == rest[..end]), "{name}: {}", &rest[..end]);
        }
    }
}
