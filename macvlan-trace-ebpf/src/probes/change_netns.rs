//! `__dev_change_net_namespace(dev, net, …)`, or `dev_change_net_namespace` before 5.13: a link moves to another
//! network namespace. The move closes it, which is not a down of its own.

use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use aya_log_ebpf::debug;
use macvlan_trace_common::{Kind, LinkChange, Probe};

use crate::{
    capture::netdev,
    report::hand_over,
    request::{Change, Request},
    state::moves,
};

/// Remembers where the link, the parent of one, or the other end of a parent comes from: that takes the parent along
/// when its namespace ends.
#[kprobe]
pub fn change_netns(ctx: ProbeContext) -> u32 {
    let (Some(dev), Some(to)) = (ctx.arg::<u64>(0), ctx.arg::<u64>(1)) else { return 0 };
    if let Some(of) = netdev::role(dev) {
        moves::begin(dev, of, to);
    } else if netdev::is_parent(netdev::peer(dev)) {
        moves::begin(dev, Kind::Parent, to);
    } else {
        moves::forget();
    }
    0
}

/// Reports the move, if it succeeded.
#[kretprobe]
pub fn change_netns_return(ctx: RetProbeContext) -> u32 {
    let Some(entry) = moves::end() else { return 0 };
    if ctx.ret::<i32>() == 0 {
        debug!(&ctx, "moved: dev {:x}", entry.dev);
        let change =
            Change { moved: Some(entry), ..Change::new(entry.of, LinkChange::Moved, Probe::ChangeNetns) };
        hand_over(&ctx, Request::Link { dev: entry.dev, change });
    }
    0
}
