//! What the kernel side counts, per CPU.

/// Index into the per-CPU counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Counter {
    /// Records that did not fit into the ring.
    RingFull = 0,
    /// Records dropped because a program interrupted another on the same CPU.
    Nested = 1,
    /// Entries that did not fit into a map: effects come out as unattributed, moves as downs, and the reason for the
    /// end of a namespace is not known.
    MapFull = 2,
}

impl Counter {
    /// How many there are.
    pub const COUNT: u32 = 3;
}
