//! What xtask is doing, on standard error: standard output belongs to what it runs.

use std::cell::Cell;
use std::fmt::Display;

/// Counts the steps of a longer piece of work.
pub struct Progress {
    total: usize,
    done: Cell<usize>,
}

impl Progress {
    /// Work of this many steps; none for a command that only speaks when it has to make something first.
    pub fn new(total: usize) -> Self {
        Self { total, done: Cell::new(0) }
    }

    /// The next step begins.
    pub fn step(&self, what: impl Display) {
        let done = self.done.get() + 1;
        self.done.set(done);
        eprintln!("[{done}/{}] {what}", self.total);
    }

    /// Something within the step that takes time.
    pub fn say(&self, what: impl Display) {
        if self.total == 0 {
            eprintln!("xtask: {what}");
        } else {
            eprintln!("[{}/{}] {what}", self.done.get(), self.total);
        }
    }
}
