//! The kinds of links that are traced, by the kernel's words for them. The table itself is
//! [`macvlan_trace_common::LINK_KINDS`], which the kernel side shares.

use macvlan_trace_common::LINK_KINDS;
pub use macvlan_trace_common::{Family, LinkKind};

/// All of them.
#[must_use]
pub fn all() -> &'static [LinkKind] {
    &LINK_KINDS
}

/// The kind with that word; `None` for one that is not traced.
#[must_use]
pub fn of(word: &[u8]) -> Option<&'static LinkKind> {
    all().iter().find(|kind| kind.word.as_bytes() == word)
}

/// The words of the kinds of a family.
pub fn words(family: Family) -> impl Iterator<Item = &'static str> {
    all().iter().filter(move |kind| kind.family == family).map(|kind| kind.word)
}

/// The mode of a link of that kind, by the number that stands where macvlan has it. An ipvlan's is out of reach: it is
/// its parent's, in a struct that no type information describes and whose layout has changed.
#[must_use]
pub fn mode(word: &[u8], number: u32) -> Option<u32> {
    of(word).filter(|kind| kind.family == Family::Macvlan).map(|_| number)
}
