//! One file a rule, in the folder of the kind of root that it is about.

pub mod actors;
pub mod addresses;
pub mod below;
pub mod ends;
pub mod failed;
pub mod rest;

use super::Rule;
use crate::correlate::{Case, Cause};

use self::{
    actors::ACTORS,
    addresses::ADDRESSES,
    below::{BELOW, carrier_lost},
    ends::ENDS,
    failed::{FAILED, not_recreated, reference_leak},
    rest::{REST, unknown},
};

/// Rules about one kind of root.
pub struct Group {
    /// What somebody sees whose link broke that way, for the catalogue of the README.
    pub title: &'static str,
    /// The rules; the first that recognises a case decides. A cause comes before a mechanism.
    pub rules: &'static [Rule],
}

/// All groups, as people look for them.
pub const GROUPS: [&Group; 6] = [&ENDS, &ACTORS, &BELOW, &ADDRESSES, &FAILED, &REST];

/// The rules for a case, by the kind of its root; the first that recognises it decides.
pub fn of(case: &Case) -> impl Iterator<Item = &'static Rule> {
    let groups: &[&Group] = match case.cause.root() {
        _ if case.fact.error.is_some() => &[&FAILED, &ACTORS],
        Cause::CreationFailed(_) => &[&FAILED],
        Cause::NamespaceEnded(_) | Cause::Cleanup { .. } => &[&ENDS, &BELOW],
        Cause::Request(_) => &[&BELOW, &ADDRESSES, &ACTORS],
        Cause::Worker => &[&BELOW, &ADDRESSES],
        Cause::ModuleUnloaded(_) | Cause::Unseen(_) => &[&REST],
        // These are steps, and no roots.
        Cause::ParentDeleted { .. } | Cause::ParentChanged(_) | Cause::GivenUp { .. } => &[],
    };
    groups.iter().flat_map(|group| group.rules)
}

/// A page, and in which of [`GROUPS`] people look for it.
pub struct Page {
    /// Name of the rule, of the verdict without one, of a remark or of a hint.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
    /// The title of the group.
    pub group: &'static str,
}

/// Every page.
pub fn pages() -> impl Iterator<Item = Page> {
    let rules = GROUPS.into_iter().flat_map(|group| {
        group.rules.iter().map(|rule| Page { name: rule.name, text: rule.page, group: group.title })
    });
    let others = [
        (not_recreated::NAME, not_recreated::PAGE, FAILED.title),
        (reference_leak::NAME, reference_leak::PAGE, FAILED.title),
        (carrier_lost::HINT, carrier_lost::HINT_PAGE, FAILED.title),
        (unknown::NAME, unknown::PAGE, REST.title),
    ];
    rules.chain(others.map(|(name, text, group)| Page { name, text, group }))
}
