//! `__dev_change_net_namespace(dev, net, pattern, …)`, or `dev_change_net_namespace` before 5.13: a link moves to another
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
    state::{
        attempts::Wanted,
        moves::{self, Move},
        parents,
    },
};

/// Remembers where the link, the parent of one, or the other end of a parent comes from: that takes the parent along
/// when its namespace ends.
#[kprobe]
pub fn change_netns(ctx: ProbeContext) -> u32 {
    let (Some(dev), Some(to), Some(name)) = (ctx.arg::<u64>(0), ctx.arg::<u64>(1), ctx.arg::<u64>(2)) else {
        return 0;
    };
    if let Some(of) = parents::role(dev) {
        moves::begin(dev, of, to, name);
    } else if parents::is_parent(netdev::peer(dev)) {
        moves::begin(dev, Kind::Parent, to, name);
    } else {
        moves::forget();
    }
    0
}

/// Reports the move, or that a link could not be moved.
#[kretprobe]
pub fn change_netns_return(ctx: RetProbeContext) -> u32 {
    let Some(entry) = moves::end() else { return 0 };
    let Move { dev, of, to: netns, name, .. } = entry;
    let result: i32 = ctx.ret();
    let change = if result == 0 {
        Change { moved: Some(entry), ..Change::new(of, LinkChange::Moved, Probe::ChangeNetns) }
    } else if of as u16 == Kind::Link as u16 {
        Change {
            error: result.unsigned_abs(),
            wanted: Wanted { name, netns, ..Wanted::NONE },
            ..Change::new(of, LinkChange::MoveFailed, Probe::ChangeNetns)
        }
    } else {
        return 0;
    };
    debug!(&ctx, "moved: dev {:x}, {}", dev, result);
    hand_over(&ctx, Request::Link { dev, change });
    0
}
