//! `__dev_open(dev, extack)`: a request to set a link up, and how it went.

use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use aya_log_ebpf::debug;
use macvlan_trace_common::{Kind, LinkChange, Probe};

use crate::{
    report::hand_over,
    request::{Change, Request},
    state::opens,
};

/// Remembers which link the current task opens.
#[kprobe]
pub fn open(ctx: ProbeContext) -> u32 {
    if let Some(dev) = ctx.arg::<u64>(0) {
        opens::begin(dev);
    }
    0
}

/// Reports a link that could not be opened.
#[kretprobe]
pub fn open_return(ctx: RetProbeContext) -> u32 {
    let Some(dev) = opens::end() else { return 0 };
    let result: i32 = ctx.ret();
    if result < 0 {
        debug!(&ctx, "not up: dev {:x}, {}", dev, result);
        let change = Change {
            error: result.unsigned_abs(),
            ..Change::new(Kind::Link, LinkChange::UpFailed, Probe::Open)
        };
        hand_over(&ctx, Request::Link { dev, change });
    }
    0
}
