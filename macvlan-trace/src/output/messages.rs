//! What a live run has to say besides its records, on standard error. Nobody waits for a reader here, either.

use std::{fmt, fs::File, io::Write, os::fd::AsFd, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use bytes::Bytes;

use super::Queue;

/// How many bytes may wait for a reader. Messages beyond that are left out.
const ROOM: usize = 1 << 20;

/// Writes lines to standard error in a thread of its own. If it cannot be written to, there is nobody to tell.
#[derive(Clone)]
pub struct Messages(Arc<Queue>);

impl Messages {
    /// Starts the thread.
    pub fn start() -> Result<Self> {
        let stderr = rustix::io::dup(rustix::stdio::stderr()).context("standard error is closed")?;
        Self::to(File::from(stderr))
    }

    fn to(out: impl Write + AsFd + Send + 'static) -> Result<Self> {
        Queue::start("messages", out, Arc::default()).map(Self)
    }

    /// Says a line. Never waits, and never fails.
    pub fn say(&self, line: fmt::Arguments<'_>) {
        if self.0.has_room(ROOM) {
            self.0.push(Bytes::from(format!("{line}\n")));
        }
    }

    /// Waits until everything is said, but no longer than `patience`.
    pub fn finish(self, patience: Duration) {
        // There is nobody to tell how many were not.
        let _ = self.0.finish(patience);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_is_said_is_there_at_the_end() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let messages = Messages::to(File::from(writer)).unwrap();
        messages.say(format_args!("error: {}", 1));
        messages.say(format_args!("note: {}", 2));
        messages.finish(Duration::from_secs(60));
        let mut text = String::new();
        File::from(reader).read_to_string(&mut text).unwrap();
        assert_eq!(text, "error: 1\nnote: 2\n");
    }

    #[test]
    fn a_reader_that_stalls_holds_nobody_and_memory_stays_bounded() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let messages = Messages::to(File::from(writer)).unwrap();
        let line = "x".repeat(1 << 10);
        for _ in 0..4 << 10 {
            messages.say(format_args!("{line}"));
        }
        assert!(!messages.0.has_room(ROOM), "a pipe holds 64 KiB");
        assert!(messages.0.has_room(ROOM + (64 << 10)), "the rest is left out");
        messages.finish(Duration::from_millis(10));
        drop(reader);
    }

    #[test]
    fn a_reader_that_has_left_is_no_failure() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop(reader);
        for out in [full, File::from(writer)] {
            let messages = Messages::to(out).unwrap();
            messages.say(format_args!("error: nobody hears this"));
            messages.say(format_args!("error: nor this"));
            messages.finish(Duration::from_secs(60));
        }
    }
}
