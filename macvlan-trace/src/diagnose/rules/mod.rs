//! One file a rule, and the list of all.

pub mod address_duplicate;
pub mod address_expired;
pub mod address_in_use;
pub mod by_hand;
pub mod carrier_back;
pub mod carrier_lost;
pub mod change_failed;
pub mod container_exited;
pub mod container_killed;
pub mod container_stopped;
pub mod creation_failed;
pub mod daemon_restarted;
pub mod dhcp_client;
pub mod dhcp_lease_ended;
pub mod direct;
pub mod driver_reloaded;
pub mod ifupdown;
pub mod ipv6_disabled;
pub mod mac_changed;
pub mod module_missing;
pub mod module_unloaded;
pub mod moved;
pub mod mtu_too_small;
pub mod netns_deleted;
pub mod network_manager;
pub mod not_recreated;
pub mod out_of_memory;
pub mod parent_busy;
pub mod parent_deleted;
pub mod parent_down;
pub mod parent_moved;
pub mod parent_recreated;
pub mod parent_unplugged;
pub mod protodown;
pub mod reference_leak;
pub mod runtime_stopped;
pub mod runtime_teardown;
pub mod self_inflicted;
pub mod shared_parent_deleted;
pub mod two_managers;
pub mod unattributed;
pub mod unknown;
pub mod wrong_target;

use std::iter;

use super::Rule;

/// The rules; the first that recognises a case decides. A cause comes before a mechanism.
pub const RULES: &[Rule] = &[
    unattributed::RULE,
    module_missing::RULE,
    parent_busy::RULE,
    address_in_use::RULE,
    creation_failed::RULE,
    change_failed::RULE,
    out_of_memory::RULE,
    runtime_stopped::RULE,
    container_stopped::RULE,
    container_killed::RULE,
    container_exited::RULE,
    netns_deleted::RULE,
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
    module_unloaded::RULE,
    address_expired::RULE,
    address_duplicate::RULE,
    mtu_too_small::RULE,
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
];

/// The name and the page of every rule, of the verdict without a rule, of the remarks and of the hint.
pub fn pages() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rules = RULES.iter().map(|rule| (rule.name, rule.page));
    rules.chain(iter::once((unknown::NAME, unknown::PAGE))).chain([
        (not_recreated::NAME, not_recreated::PAGE),
        (reference_leak::NAME, reference_leak::PAGE),
        (carrier_lost::HINT, carrier_lost::HINT_PAGE),
    ])
}
