//! The subcommands, one file each.

pub mod check;
pub mod explain;
pub mod info;
pub mod replay;
pub mod trace;

mod screen;
