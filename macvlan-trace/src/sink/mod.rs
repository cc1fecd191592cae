//! Where records go: one trait, one file a format.

pub mod json;
pub mod table;

#[cfg(test)]
mod contract;

use std::io;

use crate::event::Record;

/// Takes the records of a run, in order.
pub trait Sink {
    /// Writes one record: whole, in one write, at once.
    ///
    /// Our lines share their stream with the traced command, so nothing may come between the parts of one. The
    /// error is the stream's own: a reader who has left is [`io::ErrorKind::BrokenPipe`], which ends a run quietly.
    fn record(&mut self, record: &Record) -> io::Result<()>;
}
