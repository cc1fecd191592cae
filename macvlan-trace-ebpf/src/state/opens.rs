//! Which link the current task is setting up.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, macros::map, maps::HashMap};
use macvlan_trace_common::Counter;

use crate::{capture::netdev, counters::count};

/// Links that are being set up, by the thread that sets them up.
#[map]
static OPENS: HashMap<u64, u64> = HashMap::with_max_entries(1_024, 0);

/// The current task begins to set a device up.
///
/// Setting a link of a traced kind up sets no other device up (`macvlan_open`). So if the task already has an entry, a
/// missed return probe left it behind.
#[inline(always)]
pub fn begin(dev: u64) {
    if !netdev::is_traced(dev) {
        forget();
    } else if OPENS.insert(bpf_get_current_pid_tgid(), dev, 0).is_err() {
        count(Counter::MapFull);
    }
}

/// The current task has set a device up, or failed to; the device, if it is a traced link.
#[inline(always)]
pub fn end() -> Option<u64> {
    // SAFETY: the value is copied at once.
    let dev = unsafe { OPENS.get(bpf_get_current_pid_tgid()) }.copied();
    forget();
    dev
}

/// The current task sets nothing up.
#[inline(always)]
pub fn forget() {
    // It need not be in there.
    let _ = OPENS.remove(bpf_get_current_pid_tgid());
}
