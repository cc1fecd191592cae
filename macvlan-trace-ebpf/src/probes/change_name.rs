//! `netif_change_name(dev, name)`, or `dev_change_name` before 6.15: a request to rename a link, and how it went.

use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use macvlan_trace_common::{LinkChange, Probe};

use crate::{
    report::failure,
    state::attempts::{self, Wanted},
};

/// Remembers which link gets which name.
#[kprobe]
pub fn change_name(ctx: ProbeContext) -> u32 {
    if let (Some(dev), Some(name)) = (ctx.arg(0), ctx.arg(1)) {
        attempts::begin(dev, LinkChange::RenameFailed, Wanted { name, ..Wanted::NONE });
    }
    0
}

/// Reports a link that did not get it.
#[kretprobe]
pub fn change_name_return(ctx: RetProbeContext) -> u32 {
    failure(&ctx, LinkChange::RenameFailed, Probe::ChangeName);
    0
}
