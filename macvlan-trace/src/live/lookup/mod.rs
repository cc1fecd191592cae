//! What only the machine can tell: the links and namespaces that were there before the tracer, names, symbols.
//!
//! This is the only stage that asks. What it learns enters the stream as facts, beside those of the kernel.

pub mod containers;
pub mod inventory;
pub mod netns_name;
pub mod residents;
pub mod symbols;

mod mountinfo;
mod namespaces;
mod netlink;

pub use inventory::{Inventory, KernelView};
