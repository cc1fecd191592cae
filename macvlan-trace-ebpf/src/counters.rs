//! The counters.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use macvlan_trace_common::Counter;

/// By [`Counter`].
#[map]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Counter::COUNT, 0);

/// Adds one.
#[inline(always)]
pub fn count(counter: Counter) {
    if let Some(value) = COUNTERS.get_ptr_mut(counter as u32) {
        // SAFETY: the slot belongs to this CPU; a nested program can lose a count, never corrupt one.
        unsafe { *value += 1 };
    }
}
