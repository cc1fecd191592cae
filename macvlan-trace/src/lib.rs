//! macvlan-trace names the process that took a macvlan link down or deleted it, and says why.
//!
//! One straight way, a module a stage:
//!
//! ```text
//! kernel probe → ring → decode ┐
//! lookup (live only) ──────────┴→ fact → correlate → diagnose → filter → sink
//! ```
//!
//! Everything from [`fact`] on is computed from facts alone: no root, no kernel, no clock, no files.

pub mod btf;
pub mod cli;
pub mod cmd;
pub mod correlate;
pub mod decode;
pub mod diagnose;
pub mod enrich;
pub mod event;
pub mod fact;
pub mod filter;
pub mod lookup;
pub mod pipeline;
pub mod preflight;
pub mod probe;
pub mod publish;
pub mod run;
pub mod sink;
pub mod text;
