//! One file a rule.

pub mod container_exited;
pub mod container_killed;
pub mod container_stopped;
pub mod creation_failed;
pub mod direct;
pub mod module_unloaded;
pub mod netns_deleted;
pub mod parent_deleted;
pub mod unattributed;
pub mod unknown;
