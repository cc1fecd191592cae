//! Who a task works for: a unit, a program, a container's runtime.

pub mod manager;
pub mod party;
pub mod runtime;
