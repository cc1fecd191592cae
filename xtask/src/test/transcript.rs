//! The output of a test run: shown as it comes, and read for its result.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The numbers of libtest's last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that were not asked for, or that say they cannot run here.
    pub ignored: usize,
}

impl Counts {
    /// Reads `test result: ok. 31 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 41.2s`.
    fn parse(line: &str) -> Option<Self> {
        let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let number = |name: &str| {
            numbers.split("; ").find_map(|part| part.strip_suffix(name)?.trim().parse::<usize>().ok())
        };
        Some(Self { passed: number("passed")?, failed: number("failed")?, ignored: number("ignored")? })
    }
}

/// A test that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Its name.
    pub test: String,
    /// The first line of what its panic said, cut if it is long.
    pub why: String,
}

/// What libtest said at the end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ending {
    /// Its numbers; `None` if it came to no result.
    pub counts: Option<Counts>,
    /// The tests that failed.
    pub failed: Vec<Failed>,
    /// What panics said, by the name of the thread, which is that of the test.
    panics: HashMap<String, String>,
    /// The thread whose panic the next line tells.
    panicking: Option<String>,
}

/// How much of a panic's message is kept.
const MAX_WHY: usize = 300;

impl Ending {
    /// Reads a line. The names of the failed tests follow the last line `failures:`, indented; the outputs of the tests
    /// stand before it, and in these what a panic says follows `thread 'NAME' (NUMBER) panicked at PLACE:`.
    fn read(&mut self, line: &str) {
        if let Some(thread) = self.panicking.take() {
            self.panics.insert(thread, line.chars().take(MAX_WHY).collect());
        }
        let (thread, rest) =
            line.strip_prefix("thread '").and_then(|rest| rest.split_once('\'')).unwrap_or_default();
        self.panicking = rest.contains(" panicked at ").then(|| thread.to_owned());
        self.counts = Counts::parse(line).or(self.counts);
        if line == "failures:" {
            self.failed.clear();
        } else if let Some(name) =
            line.strip_prefix("    ").filter(|name| !name.contains(char::is_whitespace))
        {
            let why = self.panics.get(name).cloned().unwrap_or_default();
            self.failed.push(Failed { test: name.to_owned(), why });
        }
    }
}

/// Shows whole lines, each under the name of its run and the seconds since its start, so that several runs can be
/// read at once.
#[derive(Clone)]
pub struct Transcript(Arc<Mutex<State>>);

struct State {
    name: String,
    started: Instant,
    out: Box<dyn Write + Send>,
    line: Vec<u8>,
    ending: Ending,
}

impl Transcript {
    /// Lines are shown there.
    pub fn new(name: &str, out: Box<dyn Write + Send>) -> Self {
        Self(Arc::new(Mutex::new(State {
            name: name.to_owned(),
            started: Instant::now(),
            out,
            line: Vec::new(),
            ending: Ending::default(),
        })))
    }

    /// The run is over: shows what it did not finish to say, which names a test that hangs, and yields the result,
    /// if it came to one.
    pub fn end(&self) -> Ending {
        let mut state = self.state();
        if !state.line.is_empty() {
            state.line.extend_from_slice(b"(unfinished)\n");
            // Whoever read this has gone.
            state.end_line().ok();
        }
        std::mem::take(&mut state.ending)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Transcript {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            state.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                state.end_line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.state().out.flush()
    }
}

impl State {
    /// One write a line, so that lines of several runs do not mix.
    fn end_line(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        self.ending.read(String::from_utf8_lossy(&line).trim_end());
        let mut shown = format!("{:5}{:>4} | ", self.name, self.started.elapsed().as_secs()).into_bytes();
        shown.extend_from_slice(&line);
        self.out.write_all(&shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_read_from_libtests_line() {
        let line = "test result: FAILED. 30 passed; 1 failed; 2 ignored; 0 measured; 4 filtered out; finished in 4.20s";
        assert_eq!(Counts::parse(line), Some(Counts { passed: 30, failed: 1, ignored: 2 }));
        assert_eq!(Counts::parse("test deleting_blames_the_deleter ... ok"), None);
    }

    #[test]
    fn a_result_that_comes_in_pieces_is_found() -> io::Result<()> {
        let mut transcript = Transcript::new("6.12", Box::new(io::sink()));
        for piece in
            ["test a ... ", "ok\ntest result: ok. 1 pas", "sed; 0 failed; 0 ignored; 0 measured\n", "rest"]
        {
            transcript.write_all(piece.as_bytes())?;
        }
        assert_eq!(transcript.end().counts, Some(Counts { passed: 1, failed: 0, ignored: 0 }));
        Ok(())
    }

    #[test]
    fn the_failed_tests_are_those_of_the_last_list() {
        let output = "test a::b ... FAILED\n\nfailures:\n\n---- a::b stdout ----\nrecord:\n    {\n\nthread 'a::b' (7) \
                      panicked at a.rs:3:1:\nno mark\nstack backtrace:\n\n\nfailures:\n    a::b\n    c::d\n\ntest \
                      result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out";
        let mut ending = Ending::default();
        output.lines().for_each(|line| ending.read(line));
        let failed = |test: &str, why: &str| Failed { test: test.to_owned(), why: why.to_owned() };
        assert_eq!(ending.failed, [failed("a::b", "no mark"), failed("c::d", "")]);
        assert_eq!(ending.counts, Some(Counts { passed: 1, failed: 2, ignored: 0 }));
    }
}
