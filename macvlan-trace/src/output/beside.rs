//! Lets another sink work in a thread of its own, while the next facts are judged. It loses nothing: a slow reader slows
//! the run down, as a replay can afford.

use std::{
    io, mem,
    sync::mpsc::{SyncSender, sync_channel},
    thread::{self, Scope, ScopedJoinHandle},
};

use crate::{event::Record, sink::Sink};

/// Batches that may wait.
const BATCHES: usize = 4;

/// The near end of a sink in another thread.
pub struct Beside<'scope> {
    batch: Vec<Record>,
    size: usize,
    batches: Option<SyncSender<Vec<Record>>>,
    worker: Option<ScopedJoinHandle<'scope, io::Result<()>>>,
    failed: Option<io::Error>,
}

impl<'scope> Beside<'scope> {
    /// Starts the thread, which is handed `size` records at a time.
    pub fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        mut sink: impl Sink + Send + 'scope,
        size: usize,
    ) -> io::Result<Self> {
        let (sender, batches) = sync_channel::<Vec<Record>>(BATCHES);
        let worker = thread::Builder::new().name("writer".to_owned()).spawn_scoped(scope, move || {
            batches.into_iter().flatten().try_for_each(|record| sink.record(record))
        })?;
        Ok(Self { batch: Vec::new(), size, batches: Some(sender), worker: Some(worker), failed: None })
    }

    /// Whether the other sink takes no more. What comes after that is dropped.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Waits until everything is written; the error of the other sink.
    pub fn finish(mut self) -> io::Result<()> {
        self.hand_over();
        self.end();
        self.failed.map_or(Ok(()), Err)
    }

    fn hand_over(&mut self) {
        let batch = mem::take(&mut self.batch);
        if self.batches.as_ref().is_some_and(|batches| batches.send(batch).is_err()) {
            self.end();
        }
    }

    /// Ends the thread, and keeps what it has to say.
    fn end(&mut self) {
        self.batches = None;
        let Some(worker) = self.worker.take() else { return };
        self.failed = match worker.join() {
            Ok(outcome) => outcome.err(),
            Err(_) => Some(io::Error::other("the thread that writes has panicked")),
        };
    }
}

impl Sink for Beside<'_> {
    fn record(&mut self, record: Record) -> io::Result<()> {
        if self.has_failed() {
            return Ok(());
        }
        self.batch.push(record);
        if self.batch.len() >= self.size {
            self.hand_over();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sink::{Direct, json::Json},
        testing::{
            records::{self, Closed},
            story::Shared,
        },
    };

    #[test]
    fn everything_is_written_in_order_whatever_the_size_of_a_batch() {
        let all: Vec<_> = records::records().into_iter().cycle().take(50).collect();
        let written = |size| {
            let out = Shared::default();
            thread::scope(|scope| {
                let direct = Direct::new(Box::new(Json), out.clone());
                let mut sink = Beside::start(scope, direct, size).unwrap();
                all.iter().cloned().for_each(|record| sink.record(record).unwrap());
                sink.finish().unwrap();
            });
            out.text()
        };
        assert_eq!(written(1).lines().count(), 50);
        assert_eq!(written(1), written(7));
        assert_eq!(written(1), written(100));
    }

    #[test]
    fn an_error_of_the_other_thread_reaches_the_caller() {
        for size in [1, 100] {
            thread::scope(|scope| {
                let mut sink = Beside::start(scope, Direct::new(Box::new(Json), Closed), size).unwrap();
                for _ in 0..500 {
                    sink.record(records::deleted()).unwrap();
                }
                assert!(sink.has_failed());
                assert_eq!(sink.finish().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            });
        }
    }
}
