//! `__dev_close_many(head)`: every way to set a link down calls it, also `dev_close` inside the kernel. A down that the
//! probe on the flags has reported, or that is part of a deletion or a move, is not an event of its own.

use aya_ebpf::{macros::kprobe, programs::ProbeContext};
use aya_log_ebpf::debug;
use macvlan_trace_common::{Kind, Probe};

use crate::{
    capture::netdev,
    kread::{field, offset},
    report::hand_over,
    request::{Change, Request},
    state::{
        announced::{DOWN, announce},
        moves,
    },
};

/// Reports a link that the kernel closes without anybody's request to set it down.
///
/// Only the first of the list is looked at: lists of several are those of deletions, which are reported elsewhere, and
/// of drivers that close what stands on them, such as 8021q, whose links are not of a traced kind. If these are parents,
/// the notifier sees each of them, and reports it.
#[kprobe]
pub fn close_many(ctx: ProbeContext) -> u32 {
    let Some(head) = ctx.arg::<u64>(0) else { return 0 };
    let first: u64 = field(head, 0);
    if first == 0 || first == head {
        return 0;
    }
    let dev = first - u64::from(offset!(dev_close_list));
    if netdev::is_traced(dev)
        && netdev::is_up(dev)
        && netdev::is_registered(dev)
        && !netdev::is_dismantled(dev)
        && !moves::is_moving(dev)
        && announce(dev, DOWN)
    {
        debug!(&ctx, "closed: dev {:x}", dev);
        let change = Change::down(Kind::Link, netdev::flags(dev), Probe::Close);
        hand_over(&ctx, Request::Link { dev, change });
    }
    0
}
