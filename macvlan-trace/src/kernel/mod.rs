//! The kernel's names and numbers: the functions on its paths, and its constants. This module uses no other one of this
//! crate, so every other module may use it.

pub mod kinds;
pub mod names;
pub mod path;
