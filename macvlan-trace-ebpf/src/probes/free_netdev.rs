//! `free_netdev(dev)`: the end of a device. A leaked reference delays it for ever.

use aya_ebpf::{macros::kprobe, programs::ProbeContext};
use macvlan_trace_common::{FreedRecord, Kind};

use crate::{
    capture::{netdev, task},
    lane::{KPROBE, occupy},
    state::parents,
};

/// Reports that a deleted link is freed. Skips a device whose creation failed: it never was a link.
#[kprobe]
pub fn free_netdev(ctx: ProbeContext) -> u32 {
    let Some(dev) = ctx.arg::<u64>(0) else { return 0 };
    parents::forget(dev);
    if !netdev::is_unregistered(dev) || !netdev::is_traced(dev) {
        return 0;
    }
    let Some(lane) = occupy(KPROBE) else { return 0 };
    lane.buffer.record::<FreedRecord>().dev = dev;
    lane.send(Kind::Freed, KPROBE, task::current(), size_of::<FreedRecord>());
    lane.release();
    0
}
