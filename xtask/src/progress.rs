//! What xtask is doing, on standard error: standard output belongs to what it runs.

use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the steps of a longer piece of work, several of which may go on at a time.
pub struct Progress {
    total: usize,
    begun: AtomicUsize,
}

impl Progress {
    /// Work of this many steps; 0 for a command that reports only what it has to build first.
    pub fn new(total: usize) -> Self {
        Self { total, begun: AtomicUsize::new(0) }
    }

    /// The next step begins.
    pub fn step(&self, what: impl Display) {
        let begun = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        eprintln!("[{begun}/{}] {what}", self.total);
    }

    /// Something within a step that takes time.
    pub fn say(&self, what: impl Display) {
        if self.total == 0 {
            eprintln!("xtask: {what}");
        } else {
            eprintln!("[…] {what}");
        }
    }
}
