//! `macvlan-trace explain`: what a verdict means and what to do about it. It needs no kernel and no privileges.

use std::io::{self, Write};

use crate::diagnose::{self, Page};

/// The names of all rules that have a page.
pub fn names() -> impl Iterator<Item = &'static str> {
    diagnose::pages().map(|page| page.name)
}

/// Prints the page of a rule, or the list of all.
pub fn run(rule: Option<&str>, out: &mut impl Write) -> io::Result<()> {
    let Some(rule) = rule else { return list(out) };
    match diagnose::pages().find(|page| page.name == rule) {
        Some(page) => out.write_all(page.text.as_bytes()),
        None => Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no rule {rule:?}"))),
    }
}

/// Each rule on a line.
fn list(out: &mut impl Write) -> io::Result<()> {
    for Page { name, text, .. } in diagnose::pages() {
        // The line under the title is a short description.
        writeln!(out, "{name:<22}  {}", text.lines().nth(2).unwrap_or_default())?;
    }
    writeln!(out, "\nThe whole page: {} explain RULE", env!("CARGO_PKG_NAME"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(rule: Option<&str>) -> String {
        let mut out = Vec::new();
        run(rule, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_list_has_a_line_for_each_rule() {
        let list = said(None);
        for name in names() {
            assert_eq!(list.lines().filter(|line| line.split(' ').next() == Some(name)).count(), 1, "{name}");
        }
        assert!(
            list.contains("\ncontainer-exited        The container's main process ended by itself.\n"),
            "{list}"
        );
        assert!(list.lines().all(|line| line.len() <= 78), "{list}");
    }

    #[test]
    fn every_rule_shows_its_page() {
        for name in names() {
            assert!(said(Some(name)).starts_with(&format!("# {name}\n")), "{name}");
        }
    }
}
