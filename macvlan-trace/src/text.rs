//! Bytes that the kernel or a process chose: names of tasks, links and cgroups, arguments.
//!
//! They stay bytes until a sink renders them, because whoever chose them may be an attacker.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use smallvec::SmallVec;

/// Bytes from the kernel, usually text.
///
/// In JSON they are a string without loss: text stands as it is; a byte that is not part of valid UTF-8 becomes `\xNN`
/// (`\x80` to `\xff`), and a backslash that would look like such an escape, or like `\x5c`, becomes `\x5c`. So
/// `/system.slice/a\x2db.service` stays what it is, and replacing every `\x5c` and `\x80` to `\xff` by its byte gives
/// back what the kernel had.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(SmallVec<[u8; INLINE]>);

/// So many bytes stand in the value itself, at no cost in size: names of tasks, links and kinds are shorter.
const INLINE: usize = 16;

impl Text {
    /// The bytes up to the first NUL: a fixed array of the kernel's.
    #[must_use]
    pub fn from_padded(bytes: &[u8]) -> Self {
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        Self(SmallVec::from_slice(&bytes[..end]))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes as text for comparison with text; invalid ones are replaced, so it is not for output.
    #[must_use]
    pub fn to_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The bytes as text, if each of them stands for itself wherever it is written.
    fn plain(&self) -> Option<&str> {
        let is_plain = self.0.iter().fold(true, |all, byte| all & matches!(byte, b' '..=b'[' | b']'..=b'~'));
        if is_plain { str::from_utf8(&self.0).ok() } else { None }
    }

    /// The string that stands for the bytes in JSON.
    #[must_use]
    pub fn to_json(&self) -> Cow<'_, str> {
        if let Some(plain) = self.plain() {
            return Cow::Borrowed(plain);
        }
        let mut out = String::with_capacity(self.0.len());
        for chunk in self.0.utf8_chunks() {
            let valid = chunk.valid();
            for (at, c) in valid.char_indices() {
                if c == '\\' && reads_as_escape(&valid[at..]) {
                    out.push_str("\\x5c");
                } else {
                    out.push(c);
                }
            }
            for byte in chunk.invalid() {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
        Cow::Owned(out)
    }

    /// The bytes that a string of [`Text::to_json`] stands for.
    #[must_use]
    pub fn from_json(text: &str) -> Self {
        let mut out = SmallVec::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            out.extend_from_slice(&rest.as_bytes()[..at]);
            rest = &rest[at..];
            if reads_as_escape(rest) {
                // `reads_as_escape` has seen two hexadecimal digits.
                out.push(u8::from_str_radix(&rest[2..4], 16).unwrap_or(b'?'));
                rest = &rest[4..];
            } else {
                out.push(b'\\');
                rest = &rest[1..];
            }
        }
        out.extend_from_slice(rest.as_bytes());
        Self(out)
    }
}

/// Whether text begins with `\x5c` or `\x80` to `\xff`, in lower case as written here.
fn reads_as_escape(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 4
        && bytes.starts_with(b"\\x")
        && (&bytes[2..4] == b"5c"
            || (matches!(bytes[2], b'8' | b'9' | b'a'..=b'f')
                && matches!(bytes[3], b'0'..=b'9' | b'a'..=b'f')))
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(SmallVec::from_slice(text.as_bytes()))
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.len() <= INLINE {
            Self(SmallVec::from_slice(&bytes))
        } else {
            Self(SmallVec::from_vec(bytes))
        }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_json())
    }
}

/// Safe for a terminal: control characters, invisible and direction-changing ones and invalid bytes are escaped.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(plain) = self.plain() {
            return f.write_str(plain);
        }
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                // `escape_debug` escapes characters that do not print, and also quotes and backslashes, which may stay.
                if matches!(c, '\'' | '"' | '\\') || c.escape_debug().len() == 1 {
                    f.write_char(c)?;
                } else {
                    write!(f, "{}", c.escape_unicode())?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_json())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text::from_json(text))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_every_byte() {
        for bytes in [
            &b"ip"[..],
            b"\xff\xfe",
            b"a\\xffb",
            b"a\\x5cx2d",
            b"/system.slice/a\\x2db.service",
            b"caf\xc3\xa9 \xc3",
            b"\x1b[31m\n\"\\",
            b"\\\\x80\\x8",
            b"",
        ] {
            let text = Text::from(bytes.to_vec());
            let json = serde_json::to_string(&text).unwrap();
            assert_eq!(serde_json::from_str::<Text>(&json).unwrap(), text, "{json}");
        }
        let every = Text::from((0..=255).collect::<Vec<u8>>());
        assert_eq!(Text::from_json(&every.to_json()), every);
    }

    #[test]
    fn json_leaves_usual_names_alone() {
        let path = "/system.slice/system-a\\x2db.slice";
        assert_eq!(Text::from(path).to_json(), path);
    }

    #[test]
    fn nothing_that_moves_a_cursor_reaches_a_terminal() {
        let hostile = Text::from("a\x1b[2J\n\r\t\u{202e}b\u{200b}\u{7f}".as_bytes().to_vec());
        let shown = hostile.to_string();
        assert!(shown.chars().all(|c| c.is_ascii_graphic()), "{shown}");
        assert_eq!(Text::from(b"x\xff".to_vec()).to_string(), "x\\xff");
        assert_eq!(Text::from("é\\\"'").to_string(), "é\\\"'");
    }
}
