//! Every rule has a page, and every page says what a page should.

use std::{collections::BTreeSet, fs, path::Path};

use super::{GROUPS, Page, pages};

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
    let rules: BTreeSet<&str> = pages().map(|page| page.name).collect();
    let files = files();
    assert_eq!(files.iter().map(|(name, _)| name.as_str()).collect::<BTreeSet<_>>(), rules);
    for Page { name, text, .. } in pages() {
        assert!(files.iter().any(|file| file == &(name.into(), text.into())), "{name} shows another's page");
    }
}

#[test]
fn every_page_says_what_a_page_should() {
    for (name, page) in files() {
        let lines: Vec<&str> = page.lines().collect();
        assert_eq!(lines[0], format!("# {name}"));
        assert!(lines[2].len() <= 54 && lines[2].ends_with('.'), "{name}: one short sentence, for the list");
        assert_eq!((lines[1], lines[3]), ("", ""), "{name}: the sentence stands by itself");
        assert!(entries(&page).iter().all(|entry| !entry.is_empty()), "{name}: what one sees and does");
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

/// What somebody sees and does, as the entries at the beginning of a page say.
fn entries(page: &str) -> [String; 2] {
    let (entries, _) = page.split_once("\n## ").unwrap();
    let (_, entries) = entries.split_once("\n- You see: ").unwrap();
    let (see, act) = entries.split_once("\n- You do: ").unwrap();
    [see, act].map(|entry| entry.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The catalogue: a table with a row for each page, by groups.
fn catalogue() -> String {
    let mut rows = vec!["| what you see | verdict | what to do |".to_owned(), "|---|---|---|".to_owned()];
    for group in GROUPS {
        rows.push(format!("| **{}** | | |", group.title));
        for Page { name, text, .. } in pages().filter(|page| page.group == group.title) {
            let [see, act] = entries(text);
            let page = format!("macvlan-trace/src/diagnose/pages/{name}.md");
            rows.push(format!("| {see} | [`{name}`]({page}) | {act} |"));
        }
    }
    rows.join("\n")
}

/// `BLESS=1` writes it.
#[test]
fn the_catalogue_of_the_readme_is_made_from_the_pages() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let start = readme.find("| what you see |").unwrap();
    let end = start + readme[start..].find("\n\n").unwrap();
    let wanted = format!("{}{}{}", &readme[..start], catalogue(), &readme[end..]);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    assert!(readme == wanted, "the catalogue is not that of the pages: run this test with BLESS=1");
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
