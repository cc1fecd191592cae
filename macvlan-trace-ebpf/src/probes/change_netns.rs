//! `__dev_change_net_namespace(dev, net, …)`, or `dev_change_net_namespace` before 5.13: a link goes to another
//! network namespace. It is closed on its way, which is no down of its own.

use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use aya_log_ebpf::debug;
use macvlan_trace_common::{LinkChange, Probe};

use crate::netdev::{self, Change};

/// Remembers where the link comes from.
#[kprobe]
pub fn change_netns(ctx: ProbeContext) -> u32 {
    if let Some(dev) = ctx.arg::<u64>(0) {
        if netdev::is_traced(dev) {
            netdev::move_begins(dev);
        }
    }
    0
}

/// Reports the move, if it succeeded.
#[kretprobe]
pub fn change_netns_return(ctx: RetProbeContext) -> u32 {
    let Some(entry) = netdev::move_ends() else { return 0 };
    if ctx.ret::<i32>() == 0 {
        debug!(&ctx, "moved: dev {:x}", entry.dev);
        let change = Change { moved: Some(entry), ..Change::new(LinkChange::Moved, Probe::ChangeNetns) };
        netdev::report(&ctx, entry.dev, change);
    }
    0
}
