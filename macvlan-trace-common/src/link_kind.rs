//! Which kinds of links are traced. A new one is a row of this table.

/// Links of one family can stand on a parent together; links of two families cannot. A link on another one of its
/// family stands on the other's parent (`macvlan_common_newlink`, `ipvlan_link_new`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Each link has a hardware address of its own.
    Macvlan = 1,
    /// All links have that of their parent.
    Ipvlan = 2,
}

/// A kind of link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkKind {
    /// The kernel's word for it, `rtnl_link_ops.kind`, which is also the name of its module.
    pub word: &'static str,
    /// The same as a record carries it.
    pub padded: [u8; 16],
    /// What it can share a parent with.
    pub family: Family,
    /// Whether it is shown unless something else is asked for.
    pub is_shown: bool,
}

/// The kinds of links that are traced.
pub const LINK_KINDS: [LinkKind; 4] = [
    LinkKind::shown("macvlan", Family::Macvlan),
    LinkKind::shown("macvtap", Family::Macvlan),
    LinkKind::hidden("ipvlan", Family::Ipvlan),
    LinkKind::hidden("ipvtap", Family::Ipvlan),
];

impl LinkKind {
    const fn shown(word: &'static str, family: Family) -> Self {
        Self { word, padded: padded(word), family, is_shown: true }
    }

    const fn hidden(word: &'static str, family: Family) -> Self {
        Self { is_shown: false, ..Self::shown(word, family) }
    }
}

/// A word as a record carries it, padded with NUL.
#[must_use]
pub const fn padded(word: &str) -> [u8; 16] {
    let mut padded = [0; 16];
    let mut at = 0;
    while at < word.len() {
        padded[at] = word.as_bytes()[at];
        at += 1;
    }
    padded
}
