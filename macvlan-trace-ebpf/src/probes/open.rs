//! `__dev_open(dev, extack)`: a request to set a link up, and how it went.

use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use macvlan_trace_common::{LinkChange, Probe};

use crate::{
    report::failure,
    state::attempts::{self, Wanted},
};

/// Remembers which link the current task opens.
#[kprobe]
pub fn open(ctx: ProbeContext) -> u32 {
    if let (Some(dev), Some(extack)) = (ctx.arg::<u64>(0), ctx.arg::<u64>(1)) {
        attempts::begin(dev, LinkChange::UpFailed, Wanted { extack, ..Wanted::NONE });
    }
    0
}

/// Reports a link that could not be opened.
#[kretprobe]
pub fn open_return(ctx: RetProbeContext) -> u32 {
    failure(&ctx, LinkChange::UpFailed, Probe::Open);
    0
}
