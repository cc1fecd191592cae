//! Shared by tests: stories (lists of facts), the processes and links in many of them, sample records.

pub mod records;
pub mod story;
