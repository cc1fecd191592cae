//! JSON: one object a line, for log stacks and scripts.

use std::io::{self, Write};

use serde::Serialize as _;
use serde_json::ser::{Formatter, Serializer};

use super::Format;
use crate::event::Record;

/// Writes each record as one line of JSON.
#[derive(Clone, Copy, Debug)]
pub struct Json;

impl Format for Json {
    fn write(&mut self, record: &Record, out: &mut Vec<u8>) {
        let begin = out.len();
        // All keys of a record are strings, and writing to memory cannot fail, so there is no error.
        let mut written = serde_json::to_writer(&mut *out, record);
        // Nearly every line is plain as it comes. One look at all of it is cheaper than one at each string.
        if !is_plain(&out[begin..]) {
            out.truncate(begin);
            written = record.serialize(&mut Serializer::with_formatter(&mut *out, Printable));
        }
        if written.is_err() {
            out.truncate(begin);
            return;
        }
        out.push(b'\n');
    }
}

/// JSON without spaces, in which characters that do not print are `\uNNNN`.
///
/// JSON itself requires that only below U+0020. The others (DEL, C1, marks that change the direction of text) could
/// control the terminal of somebody who looks at the lines. For a parser both spellings are the same string.
struct Printable;

impl Formatter for Printable {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut written = 0;
        for (at, c) in fragment.char_indices() {
            if prints(c) {
                continue;
            }
            out.write_all(&fragment.as_bytes()[written..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            written = at + c.len_utf8();
        }
        out.write_all(&fragment.as_bytes()[written..])
    }
}

/// Whether all bytes are ASCII that prints.
fn is_plain(bytes: &[u8]) -> bool {
    // Without a way out of the loop, it looks at many bytes at a time.
    bytes.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
}

/// Whether a character shows as itself and does nothing else, as in `Text`'s `Display`.
fn prints(c: char) -> bool {
    c == '\'' || c.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::sink::{Direct, Sink as _};
    use crate::testing::records::{self, Closed, HOSTILE, Writes};
    use crate::text::Text;

    fn line(record: &Record) -> String {
        let mut writes = Writes::default();
        Direct::new(Box::new(Json), &mut writes).record(record.clone()).unwrap();
        writes.only()
    }

    #[test]
    fn each_record_is_one_line_and_one_write() {
        for record in records::records() {
            let line = line(&record);
            assert_eq!(line.find('\n'), Some(line.len() - 1), "{line}");
            let value: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["schema_version"], 1, "{line}");
            assert!(value["type"].is_string(), "{line}");
        }
    }

    #[test]
    fn nothing_that_steers_a_terminal_is_in_a_line_and_no_byte_is_lost() {
        for hostile in HOSTILE {
            let line = line(&records::record_with_names(hostile));
            let text = line.strip_suffix('\n').unwrap();
            assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}' || c == '\u{200b}'), "{line}");
            let value: Value = serde_json::from_str(text).unwrap();
            for pointer in [
                "/culprit/comm",
                "/link/name",
                "/culprit/cgroup/path",
                "/culprit/args/1",
                "/culprit/exe",
                "/link/parent/name",
            ] {
                let json = value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                assert_eq!(Text::from_json(json).as_bytes(), *hostile, "{pointer} in {line}");
            }
        }
    }

    #[test]
    fn characters_beyond_the_first_plane_are_escaped_as_surrogates() {
        let tag = "\u{e0041}";
        let line = line(&records::record_with_names(tag.as_bytes()));
        assert!(line.contains(r#""comm":"\udb40\udc41""#), "{line}");
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["culprit"]["comm"], tag);
    }

    #[test]
    fn names_that_print_stay_readable() {
        let line = line(&records::record_with_names("é'日本".as_bytes()));
        assert!(line.contains(r#""comm":"é'日本""#), "{line}");
    }

    #[test]
    fn a_closed_pipe_reaches_the_caller() {
        let error = Direct::new(Box::new(Json), Closed).record(records::deleted()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
