//! `__put_net(net)` and `netns_put(ns)`: where the last reference to a network namespace drops. The second holds an
//! inlined copy of the first, so neither alone is enough.

use aya_ebpf::{EbpfContext, macros::kprobe, programs::ProbeContext};
use aya_log_ebpf::debug;
use macvlan_trace_common::MISSING;

use crate::{
    kread::{offset, read},
    report::hand_over,
    request::Request,
    state::watched,
};

/// Reports the last reference, dropped by a task that left, a socket that closed, or whoever else held one.
#[kprobe]
pub fn put_net(ctx: ProbeContext) -> u32 {
    if let Some(net) = ctx.arg::<u64>(0) {
        report(&ctx, net, true);
    }
    0
}

/// Reports that the last mount or file of the namespace went, whether or not that was the last reference: a socket
/// that is still being freed may hold it for another moment, and would hide who unmounted it.
#[kprobe]
pub fn netns_put(ctx: ProbeContext) -> u32 {
    let (Some(ns), at) = (ctx.arg::<u64>(0), offset!(net_ns)) else { return 0 };
    if at == MISSING {
        return 0;
    }
    let net = ns - u64::from(at);
    report(&ctx, net, read!(net, net_count as u32) == 1);
    0
}

#[inline(always)]
fn report(ctx: &impl EbpfContext, net: u64, last: bool) {
    if !watched::is_watched(net) {
        return;
    }
    if last {
        watched::forget(net);
        debug!(ctx, "netns ends: net {:x}", net);
    }
    hand_over(ctx, Request::NetnsEnd { net, last });
}
