//! What becomes of records: one file a format.

pub mod json;
pub mod table;

#[cfg(test)]
mod contract;

use std::io::{self, Write};

use crate::event::Record;

/// Turns records into bytes: JSON, a table.
pub trait Format: Send {
    /// Writes one record, whole. What stands in `out` already stays.
    fn write(&mut self, record: &Record, out: &mut Vec<u8>);
}

/// Takes the records of a run, in order.
pub trait Sink {
    /// Takes one record.
    ///
    /// The error is the stream's own: a reader who has left is [`io::ErrorKind::BrokenPipe`], which ends a run quietly.
    fn record(&mut self, record: &Record) -> io::Result<()>;
}

/// Writes each record where it belongs before the next one is taken: for a replay, which can wait for its reader.
pub struct Direct<W> {
    format: Box<dyn Format>,
    out: W,
    bytes: Vec<u8>,
}

impl<W: Write> Direct<W> {
    /// Writes to `out`.
    pub fn new(format: Box<dyn Format>, out: W) -> Self {
        Self { format, out, bytes: Vec::new() }
    }
}

impl<W: Write> Sink for Direct<W> {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        self.bytes.clear();
        self.format.write(record, &mut self.bytes);
        // Somebody may read along: what is known is written at once.
        self.out.write_all(&self.bytes)?;
        self.out.flush()
    }
}
