//! What can be asked for, a subcommand a file.

pub mod check;
pub mod explain;
pub mod info;
pub mod replay;
pub mod trace;

mod screen;
