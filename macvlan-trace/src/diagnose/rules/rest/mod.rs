//! What is left.

pub mod module_unloaded;
pub mod unattributed;
pub mod unknown;

use super::Group;

/// The group.
pub const REST: Group = Group { title: "The rest", rules: &[module_unloaded::RULE, unattributed::RULE] };
