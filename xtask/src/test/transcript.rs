//! The output of a test run: shown as it comes, and read for its result.

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

/// Shows whole lines, each under the name of its run and the seconds since its start, so that several runs can be
/// read at once.
#[derive(Clone)]
pub struct Transcript(Arc<Mutex<State>>);

struct State {
    name: String,
    started: Instant,
    out: Box<dyn Write + Send>,
    line: Vec<u8>,
    counts: Option<Counts>,
}

impl Transcript {
    /// Lines are shown there.
    pub fn new(name: &str, out: Box<dyn Write + Send>) -> Self {
        Self(Arc::new(Mutex::new(State {
            name: name.to_owned(),
            started: Instant::now(),
            out,
            line: Vec::new(),
            counts: None,
        })))
    }

    /// The run is over: shows what it did not finish to say, which names a test that hangs, and yields the result,
    /// if it came to one.
    pub fn end(&self) -> Option<Counts> {
        let mut state = self.state();
        if !state.line.is_empty() {
            state.line.extend_from_slice(b"(unfinished)\n");
            // Whoever read this has gone.
            state.end_line().ok();
        }
        state.counts
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
        self.counts = Counts::parse(&String::from_utf8_lossy(&line)).or(self.counts);
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
        assert_eq!(transcript.end(), Some(Counts { passed: 1, failed: 0, ignored: 0 }));
        Ok(())
    }
}
