//! What a process asked for: who that is, and for whom.

pub mod by_hand;
pub mod daemon_restarted;
pub mod dhcp_client;
pub mod dhcp_lease_ended;
pub mod direct;
pub mod ifupdown;
pub mod ipv6_disabled;
pub mod mac_changed;
pub mod moved;
pub mod network_manager;
pub mod runtime_teardown;
pub mod self_inflicted;
pub mod two_managers;
pub mod wrong_target;

use super::Group;

/// The group.
pub const ACTORS: Group = Group {
    title: "Somebody changed it",
    rules: &[
        two_managers::RULE,
        dhcp_lease_ended::RULE,
        network_manager::RULE,
        dhcp_client::RULE,
        ifupdown::RULE,
        ipv6_disabled::RULE,
        wrong_target::RULE,
        daemon_restarted::RULE,
        runtime_teardown::RULE,
        self_inflicted::RULE,
        by_hand::RULE,
        mac_changed::RULE,
        moved::RULE,
        direct::RULE,
    ],
};
