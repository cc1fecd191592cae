//! Which link the current task asks for.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, macros::map, maps::HashMap};
use macvlan_trace_common::Counter;

use crate::counters::count;

/// Requests for links of a traced kind, by the thread that sent them.
#[map]
static NEWLINKS: HashMap<u64, NewLink> = HashMap::with_max_entries(1_024, 0);

/// The arguments of `rtnl_newlink`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NewLink {
    /// The `struct sk_buff` of the request.
    pub skb: u64,
    /// Its `struct nlmsghdr`.
    pub message: u64,
    /// Where the kernel leaves a message if it refuses.
    pub extack: u64,
}

/// The current task asks for a link.
#[inline(always)]
pub fn begin(request: NewLink) {
    if NEWLINKS.insert(bpf_get_current_pid_tgid(), request, 0).is_err() {
        count(Counter::MapFull);
    }
}

/// The current task has got the link, or has not.
#[inline(always)]
pub fn end() -> Option<NewLink> {
    // SAFETY: the value is copied at once.
    let request = unsafe { NEWLINKS.get(bpf_get_current_pid_tgid()) }.copied();
    forget();
    request
}

/// The current task asks for nothing of a traced kind. If it has an entry, a missed return probe left it behind.
#[inline(always)]
pub fn forget() {
    // It need not be in there.
    let _ = NEWLINKS.remove(bpf_get_current_pid_tgid());
}
