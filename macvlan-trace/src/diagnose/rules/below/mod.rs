//! What happened to a device below, and passed on to the link.

pub mod carrier_back;
pub mod carrier_lost;
pub mod driver_reloaded;
pub mod parent_deleted;
pub mod parent_down;
pub mod parent_moved;
pub mod parent_recreated;
pub mod parent_unplugged;
pub mod protodown;
pub mod shared_parent_deleted;

use super::Group;

/// The group.
pub const BELOW: Group = Group {
    title: "Something happened to its parent",
    rules: &[
        parent_unplugged::RULE,
        driver_reloaded::RULE,
        parent_recreated::RULE,
        shared_parent_deleted::RULE,
        parent_deleted::RULE,
        parent_moved::RULE,
        parent_down::RULE,
        protodown::RULE,
        carrier_lost::RULE,
        carrier_back::RULE,
    ],
};
