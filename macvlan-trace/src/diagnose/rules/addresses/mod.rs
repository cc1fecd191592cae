//! Why the kernel took an address, by its own path.

pub mod address_duplicate;
pub mod address_expired;
pub mod mtu_too_small;

use super::Group;

/// The group.
pub const ADDRESSES: Group = Group {
    title: "Its address went",
    rules: &[address_expired::RULE, address_duplicate::RULE, mtu_too_small::RULE],
};
