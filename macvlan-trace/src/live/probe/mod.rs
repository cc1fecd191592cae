//! The kernel side, seen from user space: which hooks there are, how they are loaded and where they are attached.

pub mod catalog;
mod load;

pub use load::{Counters, MapView, ProbeLog, Probes, start};
