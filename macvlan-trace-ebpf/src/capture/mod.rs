//! Captures the contents of a record at this instant. The functions here fill their part of a record, and know neither
//! where it is built nor which hook asked for it.

pub mod buffer;
pub mod netdev;
pub mod netlink;
pub mod netns;
pub mod stack;
pub mod task;
