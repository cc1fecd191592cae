//! What the kernel calls things: the functions on its paths, the numbers in its records. It knows nothing else of this
//! crate, so that every other module may use it.

pub mod names;
pub mod path;
