//! The kernel side, seen from user space: the hooks, how they are loaded, and where they are attached.

pub mod catalog;
mod load;

pub use load::{Counters, MapView, ProbeLog, Probes, start};
