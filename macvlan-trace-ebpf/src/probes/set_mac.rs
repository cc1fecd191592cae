//! `netif_set_mac_address(dev, address, extack)`, or `dev_set_mac_address` before 6.15: a request to give a link another
//! hardware address, and how it went.

use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use macvlan_trace_common::{LinkChange, Probe};

use crate::{
    report::failure,
    state::attempts::{self, Wanted},
};

/// Remembers which link gets which address.
#[kprobe]
pub fn set_mac(ctx: ProbeContext) -> u32 {
    if let (Some(dev), Some(address), Some(extack)) = (ctx.arg(0), ctx.arg(1), ctx.arg(2)) {
        attempts::begin(dev, LinkChange::MacFailed, Wanted { address, extack, ..Wanted::NONE });
    }
    0
}

/// Reports a link that did not get it.
#[kretprobe]
pub fn set_mac_return(ctx: RetProbeContext) -> u32 {
    failure(&ctx, LinkChange::MacFailed, Probe::SetMac);
    0
}
