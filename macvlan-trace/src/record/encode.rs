//! Facts as lines of a record, each kernel path once.

use super::{
    MAX_PATHS,
    line::{self, NumberedPath},
};
use crate::{bounded::Bounded, fact::Fact, kernel::path::Path};

/// Writes facts as lines.
#[derive(Default)]
pub struct Encoder {
    /// Paths that the segment holds, by number.
    paths: Bounded<Path, u32, MAX_PATHS>,
    /// Paths that the run has been given. A number never stands for two, so that a line that is lost makes a path unknown,
    /// and not another.
    numbered: u32,
}

impl Encoder {
    /// Appends the line of a fact, with its path, and with the functions of that unless the segment has them.
    pub fn put(&mut self, fact: &Fact, out: &mut Vec<u8>) {
        let path = fact.what.path().map(|path| match self.paths.get_mut(path) {
            Some(&mut number) => NumberedPath { number, functions: None },
            None => {
                self.numbered += 1;
                self.paths.insert(path.clone(), self.numbered);
                NumberedPath { number: self.numbered, functions: Some(path.clone()) }
            }
        });
        line::put_fact(fact, path.as_ref(), out);
    }

    /// A new segment begins, which has no paths yet.
    pub fn begin_segment(&mut self) {
        self.paths.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{
        fact::LinkChange,
        record::{Item, Reader},
        testing::story::{Story, macvlan, netns, path, process, worker},
    };

    /// Facts on three paths, two of them twice.
    fn facts() -> Vec<Fact> {
        let link = macvlan("macvlan0", netns(0), 7);
        let mut story = Story::new();
        for by in [process("ip", 901), process("ip", 902)] {
            story.link(&by, LinkChange::Created, &link, &["rtnl_newlink"]);
            story.link(&by, LinkChange::Deleted, &link, &["rtnl_dellink"]);
        }
        story.drops(&worker(), netns(1), path::CLOSE);
        story.into_facts()
    }

    fn lines(encoder: &mut Encoder) -> Vec<u8> {
        let mut lines = Vec::new();
        for fact in &facts() {
            encoder.put(fact, &mut lines);
        }
        lines
    }

    fn read(lines: &[u8]) -> Vec<Fact> {
        let facts = Reader::new(lines).filter_map(Result::ok).filter_map(|item| match item {
            Item::Fact(fact) => Some(fact),
            _ => None,
        });
        facts.collect()
    }

    #[test]
    fn a_path_is_written_once_in_a_segment_and_read_with_each_fact() {
        let paths = |lines: &[u8]| String::from_utf8_lossy(lines).matches("\"functions\"").count();
        let distinct: HashSet<_> = facts().iter().filter_map(|fact| fact.what.path().cloned()).collect();
        let mut encoder = Encoder::default();
        for segment in ["a segment", "another, which can be read by itself"] {
            let lines = lines(&mut encoder);
            assert_eq!((paths(&lines), read(&lines)), (distinct.len(), facts()), "{segment}");
            encoder.begin_segment();
        }
    }

    #[test]
    fn a_path_that_is_lost_is_unknown_and_no_other() {
        let text = String::from_utf8(lines(&mut Encoder::default())).unwrap();
        let (facts, lines): (Vec<_>, Vec<_>) = (facts(), text.lines().collect());
        for lost in (0..lines.len()).filter(|&lost| lines[lost].contains("\"functions\"")) {
            let rest: String =
                (0..lines.len()).filter(|&at| at != lost).flat_map(|at| [lines[at], "\n"]).collect();
            let whole = facts.iter().enumerate().filter(|(at, _)| *at != lost).map(|(_, fact)| fact);
            let read = read(rest.as_bytes());
            assert_eq!(read.len() + 1, facts.len());
            for (fact, whole) in read.iter().zip(whole) {
                let is_unknown = fact.what.path().is_some_and(|path| !path.has_names());
                assert!(is_unknown || fact == whole, "{fact:?}");
            }
        }
    }
}
