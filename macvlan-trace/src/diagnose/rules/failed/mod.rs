//! Requests that failed, and what did not happen in time.

pub mod address_in_use;
pub mod change_failed;
pub mod creation_failed;
pub mod module_missing;
pub mod not_recreated;
pub mod parent_busy;
pub mod reference_leak;

use super::Group;

/// The group.
pub const FAILED: Group = Group {
    title: "It does not come up, or not back",
    rules: &[
        module_missing::RULE,
        parent_busy::RULE,
        address_in_use::RULE,
        creation_failed::RULE,
        change_failed::RULE,
    ],
};
