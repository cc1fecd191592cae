//! Writes the records of a live run in threads of its own, so the tracer never waits for a reader.
//!
//! Each output has a thread that writes, and a bounded queue in front of it. If the queue is full, a record is left out
//! and counted. Once there is room again, a record in its place says what is missing.

pub mod beside;
pub mod messages;

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::Notify;

use crate::{
    event::{Body, Omitted, Record},
    publish::record,
    sink::{Format, Sink},
};

/// How many bytes may wait for a reader: some two thousand events. A record enters if fewer are waiting, so one record
/// more may wait.
const ROOM: usize = 4 << 20;

/// An output of a live run.
pub struct Output {
    format: Box<dyn Format>,
    queue: Arc<Queue>,
    omitted: Option<Omitted>,
    bytes: Vec<u8>,
    room: usize,
}

/// The records that wait, and the state of the writer.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    /// The state has changed.
    changed: Condvar,
    /// The output has ended.
    ended: Arc<Notify>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Bytes>,
    /// Bytes that wait, including those being written.
    bytes: usize,
    /// A record is being written.
    writing: bool,
    /// No more records will come.
    closed: bool,
    failed: Option<io::Error>,
}

impl Output {
    /// Starts an output to a file, a pipe or a terminal; notifies `ended` when it can no longer be written to.
    pub fn start(
        format: Box<dyn Format>,
        out: impl Write + std::os::fd::AsFd + Send + 'static,
        ended: Arc<Notify>,
    ) -> Result<Self> {
        Self::with_room(format, out, ended, ROOM)
    }

    fn with_room(
        format: Box<dyn Format>,
        out: impl Write + std::os::fd::AsFd + Send + 'static,
        ended: Arc<Notify>,
        room: usize,
    ) -> Result<Self> {
        let queue = Queue::start("output", out, ended)?;
        Ok(Self { format, queue, omitted: None, bytes: Vec::new(), room })
    }

    /// Whether it can no longer be written to.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.queue.lock().failed.is_some()
    }

    /// Why it cannot be written to, and what to do; `None` while it can be, or if its reader has closed it, as `head`
    /// does.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let state = self.queue.lock();
        let error = state.failed.as_ref().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)?;
        Some(format!("{error}; the rest of this run is not shown there: {}", remedy(error)))
    }

    /// Waits until everything is written, but no longer than `patience`. Returns how many records were not written in
    /// time.
    #[must_use]
    pub fn finish(self, patience: Duration) -> usize {
        self.queue.finish(patience)
    }

    fn push(&mut self, record: &Record) {
        self.bytes.clear();
        self.format.write(record, &mut self.bytes);
        self.queue.push(Bytes::copy_from_slice(&self.bytes));
    }
}

impl Sink for Output {
    /// Never fails: [`Output::has_ended`] says whether the output can no longer be written to.
    fn record(&mut self, taken: Record) -> io::Result<()> {
        // The last record is small, and nobody should miss it.
        let is_last = matches!(taken.body, Body::Summary(_));
        if !is_last && !self.queue.has_room(self.room) {
            omit(&mut self.omitted, &taken.body);
            return Ok(());
        }
        if let Some(omitted) = self.omitted.take() {
            self.push(&record(Body::Omitted(omitted)));
        }
        self.push(&taken);
        Ok(())
    }
}

/// What to do about an output that cannot be written to.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room there, or write elsewhere",
        _ => "write elsewhere",
    }
}

/// The error of standard output, in one sentence.
#[must_use]
pub fn unwritten(error: io::Error) -> anyhow::Error {
    let sentence = format!("cannot write to standard output: {error}: {}", remedy(&error));
    if error.kind() == io::ErrorKind::BrokenPipe { error.into() } else { anyhow::Error::msg(sentence) }
}

/// Counts a record that is left out.
fn omit(omitted: &mut Option<Omitted>, body: &Body) {
    let when = body.when().clone();
    let omitted = omitted.get_or_insert_with(|| Omitted {
        when: when.clone(),
        events: 0,
        unattributed: 0,
        others: 0,
        first_seq: None,
        last_seq: None,
    });
    omitted.when = when;
    let seq = match body {
        Body::Event(event) => {
            omitted.events += 1;
            event.seq
        }
        Body::Unattributed(event) => {
            omitted.unattributed += 1;
            event.seq
        }
        _ => {
            omitted.others += 1;
            return;
        }
    };
    omitted.first_seq.get_or_insert(seq);
    omitted.last_seq = Some(seq);
}

impl Queue {
    /// Starts a thread that writes what is pushed.
    fn start(
        name: &str,
        out: impl Write + std::os::fd::AsFd + Send + 'static,
        ended: Arc<Notify>,
    ) -> Result<Arc<Self>> {
        let queue = Arc::new(Self { ended, ..Self::default() });
        let theirs = Arc::clone(&queue);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || theirs.write_to(out))
            .context("no thread could be started for the output; see `ulimit -u`")?;
        Ok(queue)
    }

    /// Waits until everything is written, but no longer than `patience`. Returns how much was not written in time.
    fn finish(&self, patience: Duration) -> usize {
        let deadline = Instant::now() + patience;
        let mut state = self.lock();
        state.closed = true;
        self.changed.notify_all();
        loop {
            let waiting = state.waiting.len() + usize::from(state.writing);
            let left = deadline.saturating_duration_since(Instant::now());
            if waiting == 0 || left.is_zero() {
                return waiting;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, room: usize) -> bool {
        self.lock().bytes < room
    }

    fn push(&self, bytes: Bytes) {
        let mut state = self.lock();
        if state.failed.is_none() {
            state.bytes += bytes.len();
            state.waiting.push_back(bytes);
            self.changed.notify_all();
        }
    }

    /// Writes records until no more come or writing fails.
    fn write_to(&self, mut out: impl Write + std::os::fd::AsFd) {
        loop {
            let mut state = self.lock();
            let next = loop {
                match state.waiting.pop_front() {
                    Some(next) => break next,
                    None if state.closed => return,
                    None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                }
            };
            state.writing = true;
            drop(state);
            // One write per record: our lines share their stream with the traced command.
            let written = write_all(&mut out, &next);
            let mut state = self.lock();
            state.writing = false;
            state.bytes -= next.len();
            if let Err(error) = written {
                state.waiting.clear();
                state.bytes = 0;
                state.failed = Some(error);
                self.changed.notify_all();
                self.ended.notify_one();
                return;
            }
            self.changed.notify_all();
        }
    }
}

/// Writes all bytes. If another process has set our terminal or pipe to non-blocking, this waits for room.
fn write_all(out: &mut (impl Write + std::os::fd::AsFd), mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(out, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{BufRead, BufReader, Read as _},
    };

    use serde_json::Value;

    use super::*;
    use crate::{event::EventKind, sink::json::Json, testing::records};

    /// An output to a pipe with that much room in its queue, and the pipe's other end.
    fn output(room: usize) -> (Output, BufReader<File>, Arc<Notify>) {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let ended = Arc::new(Notify::new());
        let output = Output::with_room(Box::new(Json), File::from(writer), Arc::clone(&ended), room).unwrap();
        (output, BufReader::new(File::from(reader)), ended)
    }

    fn event(seq: u64) -> Record {
        let mut event = records::event(EventKind::Down);
        event.seq = seq;
        record(Body::Event(Box::new(event)))
    }

    fn summary() -> Record {
        record(Body::Summary(Box::new(records::summary())))
    }

    fn lines(reader: impl BufRead) -> Vec<Value> {
        reader.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
    }

    #[test]
    fn what_is_taken_is_written_in_order() {
        let (mut output, reader, _) = output(ROOM);
        (1..=9).for_each(|seq| output.record(event(seq)).unwrap());
        output.record(summary()).unwrap();
        let reading = thread::spawn(|| lines(reader));
        assert_eq!(output.finish(Duration::from_secs(60)), 0);
        let written = reading.join().unwrap();
        let seqs: Vec<_> = written.iter().filter_map(|line| line["seq"].as_u64()).collect();
        assert_eq!((seqs, written.len()), ((1..=9).collect(), 10));
    }

    #[test]
    fn a_reader_that_stalls_costs_counted_events_and_the_output_says_which_in_their_place() {
        // More than a pipe holds, so that something waits whatever the writer has done.
        const ROOM: usize = 128 << 10;
        const ALL: u64 = 3000;
        let (mut output, mut reader, _) = output(ROOM);
        // Nobody reads: the pipe fills, then the queue, then events are left out.
        (1..ALL).for_each(|seq| output.record(event(seq)).unwrap());
        assert!(output.omitted.is_some(), "a pipe holds 64 KiB");
        assert!(output.queue.lock().bytes < 2 * ROOM, "memory stays bounded");
        // Somebody reads until there is room again.
        let mut early = Vec::new();
        while !output.queue.has_room(ROOM) {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            early.push(serde_json::from_str(&line).unwrap());
        }
        output.record(event(ALL)).unwrap();
        output.record(summary()).unwrap();
        let reading = thread::spawn(|| lines(reader));
        assert_eq!(output.finish(Duration::from_secs(60)), 0);
        early.extend(reading.join().unwrap());
        let mut next = 1;
        for line in &early {
            let number = |field: &str| line[field].as_u64().unwrap();
            match line["type"].as_str() {
                Some("event") => {
                    assert_eq!(number("seq"), next, "{line}");
                    next += 1;
                }
                Some("omitted") => {
                    assert_eq!(number("first_seq"), next, "{line}");
                    assert_eq!(number("events"), number("last_seq") + 1 - next, "{line}");
                    next = number("last_seq") + 1;
                }
                other => assert_eq!(other, Some("summary")),
            }
        }
        assert_eq!(next, ALL + 1, "every event was written or counted");
    }

    #[test]
    fn a_reader_that_never_reads_again_holds_nobody() {
        let (mut output, reader, _) = output(256 << 10);
        (1..=1000).for_each(|seq| output.record(event(seq)).unwrap());
        output.record(summary()).unwrap();
        assert!(output.finish(Duration::from_millis(10)) > 0);
        drop(reader);
    }

    #[test]
    fn a_reader_that_has_left_is_no_failure_and_ends_the_output() {
        let (mut output, reader, ended) = output(ROOM);
        drop(reader);
        output.record(event(1)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(ended.notified());
        assert!(output.has_ended());
        output.record(event(2)).unwrap();
        assert_eq!(output.problem(), None);
        assert_eq!(output.finish(Duration::ZERO), 0);
    }

    #[test]
    fn a_full_disk_is_a_failure() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ended = Arc::new(Notify::new());
        let mut output = Output::start(Box::new(Json), full, Arc::clone(&ended)).unwrap();
        output.record(event(1)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(ended.notified());
        let problem = output.problem().expect("it is said");
        assert!(problem.starts_with("No space left on device"), "{problem}");
        assert!(problem.ends_with("make room there, or write elsewhere"), "{problem}");
    }

    #[test]
    fn a_pipe_that_does_not_block_is_waited_for() {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        rustix::io::ioctl_fionbio(&reader, false).unwrap();
        let mut output = Output::start(Box::new(Json), File::from(writer), Arc::new(Notify::new())).unwrap();
        let reading = thread::spawn(|| {
            let mut text = String::new();
            File::from(reader).read_to_string(&mut text).unwrap();
            text
        });
        (1..=200).for_each(|seq| output.record(event(seq)).unwrap());
        assert_eq!(output.finish(Duration::from_secs(60)), 0);
        assert_eq!(reading.join().unwrap().lines().count(), 200);
    }
}
