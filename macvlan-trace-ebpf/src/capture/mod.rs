//! Captures what a record tells, as it is at this instant. What is here fills its part of a record, wherever that is
//! built and whoever asked for it.

pub mod buffer;
pub mod netdev;
pub mod netns;
pub mod stack;
pub mod task;
