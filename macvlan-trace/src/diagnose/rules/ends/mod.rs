//! Ends of processes and namespaces, the link's own or those of a device below, and what a runtime clears away after them.

pub mod container_exited;
pub mod container_killed;
pub mod container_stopped;
pub mod netns_deleted;
pub mod out_of_memory;
pub mod runtime_stopped;

use super::Group;

/// The group.
pub const ENDS: Group = Group {
    title: "The container ended, and the link with it",
    rules: &[
        out_of_memory::RULE,
        runtime_stopped::RULE,
        container_stopped::RULE,
        container_killed::RULE,
        container_exited::RULE,
        netns_deleted::RULE,
    ],
};
