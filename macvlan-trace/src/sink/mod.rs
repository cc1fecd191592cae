//! The output formats, one file each.

pub mod json;
pub mod table;

#[cfg(test)]
mod contract;

use std::io::{self, Write};

use crate::event::Record;

/// Turns records into bytes: JSON, a table.
pub trait Format: Send {
    /// Appends one record to `out`.
    fn write(&mut self, record: &Record, out: &mut Vec<u8>);
}

/// Takes the records of a run, in order.
pub trait Sink {
    /// Takes one record.
    ///
    /// The error is the stream's own: a closed pipe is [`io::ErrorKind::BrokenPipe`], which ends a run quietly.
    fn record(&mut self, record: Record) -> io::Result<()>;
}

/// Writes each record before it takes the next one: for a replay, which can wait for its reader.
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
    fn record(&mut self, record: Record) -> io::Result<()> {
        self.bytes.clear();
        self.format.write(&record, &mut self.bytes);
        // Somebody may be reading along, so write at once.
        self.out.write_all(&self.bytes)?;
        self.out.flush()
    }
}
