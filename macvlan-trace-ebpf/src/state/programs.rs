//! Programs on whose processes others depend, wherever those run.

use aya_ebpf::{macros::map, maps::HashMap};

/// Their names, as `task_struct.comm` has them, padded with zeros. User space fills it in. The value means nothing.
#[map]
static PROGRAMS: HashMap<[u8; 16], u32> = HashMap::with_max_entries(64, 0);

/// Whether others depend on a process of that name.
#[inline(always)]
pub fn matters(comm: &[u8; 16]) -> bool {
    // SAFETY: only presence is asked.
    unsafe { PROGRAMS.get(comm) }.is_some()
}
