//! One line of a record: a JSON object whose first member is the CRC of the rest of the line.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FORMAT, Header};
use crate::{
    fact::{Fact, Ktime, What},
    kernel::path::Path,
};

/// `{"crc":"0123abcd",`
const PREFIX: usize = 18;
const OPEN: &[u8; 8] = b"{\"crc\":\"";
const CLOSE: &[u8; 2] = b"\",";

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A segment begins.
    Header(Box<Header>),
    /// A fact, in the order of the stream.
    Fact(Fact),
    /// A fact of an earlier segment, for readers without that one.
    Again(Fact),
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// It needs no other line.
    Item(Item),
    /// A fact, and the kernel path on which it happened. Its own is not filled in.
    OnPath(Fact, NumberedPath),
}

/// A kernel path by its number: the first fact of a segment that happened on it tells what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedPath {
    /// Its number. No other path of the run has it.
    pub number: u32,
    /// The functions, innermost first, where they are told.
    pub functions: Option<Path>,
}

/// Why a line is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Its number in the file, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its end is missing.
    CutOff,
    /// It does not begin like a line of a record.
    Foreign,
    /// Its checksum does not match.
    Changed,
    /// It begins a record in a format of a later version.
    Future {
        /// That format.
        format: u32,
    },
    /// It is intact, but this version does not understand it.
    NotUnderstood(String),
    /// Neither the line nor the rest can be read.
    Unreadable(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutOff => f.write_str("is cut off"),
            Self::Foreign => f.write_str("is no line of a record"),
            Self::Changed => f.write_str("is damaged: its checksum is another"),
            Self::Future { format } => {
                write!(f, "begins a record in format {format}, and this version reads {FORMAT}")
            }
            Self::NotUnderstood(error) => {
                write!(f, "says something that this version does not know: {error}")
            }
            Self::Unreadable(error) => write!(f, "and what follows cannot be read: {error}"),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} {}", self.line, self.fault)
    }
}

#[derive(Serialize)]
struct HeaderLine<'a> {
    record: &'a Header,
}

#[derive(Deserialize)]
struct OwnedHeaderLine {
    record: Header,
}

#[derive(Serialize)]
struct FactLine<'a> {
    at: Ktime,
    what: &'a What,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    functions: Option<&'a Path>,
}

#[derive(Deserialize)]
struct OwnedFactLine {
    at: Ktime,
    what: What,
    #[serde(default)]
    path: Option<u32>,
    #[serde(default)]
    functions: Option<Path>,
}

#[derive(Serialize)]
struct AgainLine<'a> {
    again: &'a Fact,
}

#[derive(Deserialize)]
struct OwnedAgainLine {
    again: Fact,
}

/// The format that a header of any version names.
#[derive(Deserialize)]
struct AnyHeader {
    record: AnyFormat,
}

#[derive(Deserialize)]
struct AnyFormat {
    format: u32,
}

/// Appends the line of a header.
pub fn put_header(header: &Header, out: &mut Vec<u8>) {
    put(&HeaderLine { record: header }, out);
}

/// Appends the line of a fact, with its path.
pub fn put_fact(fact: &Fact, path: Option<&NumberedPath>, out: &mut Vec<u8>) {
    let line = FactLine {
        at: fact.at,
        what: &fact.what,
        path: path.map(|path| path.number),
        functions: path.and_then(|path| path.functions.as_ref()),
    };
    put(&line, out);
}

/// Appends the line of a fact of an earlier segment.
pub fn put_again(fact: &Fact, out: &mut Vec<u8>) {
    put(&AgainLine { again: fact }, out);
}

fn put(value: &impl Serialize, out: &mut Vec<u8>) {
    let begin = out.len();
    // Leaves room for the prefix, whose last byte takes the place of the object's bracket.
    out.extend_from_slice(&[0; PREFIX - 1]);
    // Facts are objects with string keys, and writing to memory cannot fail, so there is no error.
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(begin);
        return;
    }
    let crc = crc32fast::hash(&out[begin + PREFIX..]);
    let prefix = format!("{{\"crc\":\"{crc:08x}\",");
    out[begin..begin + PREFIX].copy_from_slice(prefix.as_bytes());
    out.push(b'\n');
}

/// Reads a line without its end; it is scratch space afterwards.
pub fn read(line: &mut [u8]) -> Result<Line, Fault> {
    let Some(rest) = line.get(PREFIX..).filter(|_| line.starts_with(OPEN) && line[..PREFIX].ends_with(CLOSE))
    else {
        return Err(Fault::Foreign);
    };
    let crc = str::from_utf8(&line[OPEN.len()..PREFIX - CLOSE.len()]).ok();
    let crc = crc.and_then(|crc| u32::from_str_radix(crc, 16).ok());
    if crc != Some(crc32fast::hash(rest)) {
        return Err(Fault::Changed);
    }
    line[PREFIX - 1] = b'{';
    let unknown = |error: &dyn fmt::Display| Fault::NotUnderstood(error.to_string());
    // At once, which is faster than each string by itself.
    let object = str::from_utf8(&line[PREFIX - 1..]).map_err(|error| unknown(&error))?;
    let unknown = |error: serde_json::Error| unknown(&error);
    if object.starts_with("{\"record\":") {
        let AnyHeader { record: AnyFormat { format } } = serde_json::from_str(object).map_err(unknown)?;
        if format > FORMAT {
            return Err(Fault::Future { format });
        }
        return serde_json::from_str(object)
            .map(|OwnedHeaderLine { record }| Line::Item(Item::Header(Box::new(record))))
            .map_err(unknown);
    }
    if object.starts_with("{\"again\":") {
        return serde_json::from_str(object)
            .map(|OwnedAgainLine { again }| Line::Item(Item::Again(again)))
            .map_err(unknown);
    }
    let OwnedFactLine { at, what, path, functions } = serde_json::from_str(object).map_err(unknown)?;
    let fact = Fact { at, what };
    Ok(match path {
        Some(number) => Line::OnPath(fact, NumberedPath { number, functions }),
        None => Line::Item(Item::Fact(fact)),
    })
}

/// Where another line begins within one, if the newline between them is lost. These bytes cannot occur in a string:
/// JSON puts a backslash before each quote there.
pub fn begins_within(line: &[u8]) -> Option<usize> {
    let at = line.get(1..)?.windows(OPEN.len()).position(|bytes| bytes == OPEN)?;
    Some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::story::begin;

    fn header() -> Header {
        let What::Begin(run) = begin(&["do_exit"]).what else { panic!("it begins") };
        Header::new(3, Ktime(7), *run)
    }

    fn lines() -> Vec<(Line, Vec<u8>)> {
        let fact = Fact { at: Ktime(9), what: What::Lost { records: 4 } };
        let mut lines = Vec::new();
        let mut out = Vec::new();
        put_header(&header(), &mut out);
        lines.push((Line::Item(Item::Header(Box::new(header()))), std::mem::take(&mut out)));
        put_fact(&fact, None, &mut out);
        lines.push((Line::Item(Item::Fact(fact.clone())), std::mem::take(&mut out)));
        put_again(&fact, &mut out);
        lines.push((Line::Item(Item::Again(fact.clone())), std::mem::take(&mut out)));
        for functions in [None, Some([Some("cleanup_net"), None].into_iter().collect())] {
            let path = NumberedPath { number: 7, functions };
            put_fact(&fact, Some(&path), &mut out);
            lines.push((Line::OnPath(fact.clone(), path), std::mem::take(&mut out)));
        }
        lines
    }

    #[test]
    fn what_is_written_is_read() {
        for (item, line) in lines() {
            let (last, line) = line.split_last().unwrap();
            assert_eq!(*last, b'\n');
            assert_eq!(read(&mut line.to_vec()), Ok(item));
        }
    }

    #[test]
    fn a_line_is_json_for_whoever_reads_it_with_another_program() {
        for (_, line) in lines() {
            let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
            assert!(value["crc"].is_string());
        }
    }

    #[test]
    fn a_line_with_any_byte_changed_or_missing_is_refused() {
        for (item, line) in lines() {
            let line = &line[..line.len() - 1];
            for at in 0..line.len() {
                for flip in [0x01, 0x20, 0x80] {
                    let mut changed = line.to_vec();
                    changed[at] ^= flip;
                    match read(&mut changed) {
                        Err(_) => {}
                        // A digit of the checksum has become a capital.
                        Ok(same) => assert_eq!((&same, (8..16).contains(&at)), (&item, true), "{at}"),
                    }
                }
                assert!(read(&mut line[..at].to_vec()).is_err(), "{at}");
            }
        }
    }

    #[test]
    fn a_format_from_the_future_is_named() {
        let mut out = Vec::new();
        put_header(&Header { format: 7, ..header() }, &mut out);
        out.pop();
        let fault = read(&mut out).unwrap_err();
        assert_eq!(fault.to_string(), "begins a record in format 7, and this version reads 1");
    }
}
