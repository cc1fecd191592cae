//! The kinds of links that are traced.

use aya_ebpf::{macros::map, maps::HashMap};

/// The number of its family by the kernel's word for a kind, padded with NUL. User space puts its table of kinds here
/// before it attaches anything.
///
/// The verifier walks every way through comparisons, on each of the devices that a program looks at, and 5.10 gives up;
/// it walks one way through a map.
#[map]
static KINDS: HashMap<[u8; 16], u32> = HashMap::with_max_entries(16, 0);

/// The family of a kind that is traced; 0 for any other.
#[inline(always)]
pub fn family(kind: &[u8; 16]) -> u32 {
    // SAFETY: the value is copied at once.
    unsafe { KINDS.get(kind) }.copied().unwrap_or(0)
}

/// Whether links of the kind are traced.
#[inline(always)]
pub fn is_traced(kind: &[u8; 16]) -> bool {
    // SAFETY: only presence is asked.
    unsafe { KINDS.get(kind) }.is_some()
}
