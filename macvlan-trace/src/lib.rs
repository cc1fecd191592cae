//! macvlan-trace names the process that took a macvlan link down or deleted it, and says why.
//!
//! A pipeline with one module per stage:
//!
//! ```text
//! live: probe → ring → decode ┐         ┌→ correlate → diagnose → publish → filter → settle → sink → output
//!                      lookup ┴→ facts ─┴→ record
//! ```
//!
//! Everything from [`fact`] on is computed from facts alone: no root, no kernel, no clock, no files.

pub mod bounded;
pub mod cgroup;
pub mod cli;
pub mod cmd;
pub mod correlate;
pub mod diagnose;
pub mod event;
pub mod fact;
pub mod filter;
pub mod kernel;
pub mod live;
pub mod output;
pub mod pipeline;
pub mod publish;
pub mod record;
pub mod sentence;
pub mod settle;
pub mod sink;
#[cfg(test)]
mod testing;
pub mod text;
mod work;
