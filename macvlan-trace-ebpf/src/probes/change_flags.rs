//! `netif_change_flags(dev, flags, extack)`, or `dev_change_flags` before 6.15: what rtnetlink, the ioctl and sysfs
//! call to set a link down. Clearing `IFF_UP` cannot fail, so the entry is enough.

use aya_ebpf::{macros::kprobe, programs::ProbeContext};
use aya_log_ebpf::debug;
use macvlan_trace_common::{IFF_UP, Probe};

use crate::{
    capture::netdev,
    report::hand_over,
    request::{Change, Request},
    state::{
        announced::{DOWN, announce},
        parents,
    },
};

/// Reports a link, or the parent of one, that is set down.
#[kprobe]
pub fn change_flags(ctx: ProbeContext) -> u32 {
    let (Some(dev), Some(flags)) = (ctx.arg::<u64>(0), ctx.arg::<u32>(1)) else { return 0 };
    if flags & IFF_UP != 0 || !netdev::is_up(dev) {
        return 0;
    }
    let Some(of) = parents::role(dev) else { return 0 };
    if announce(dev, DOWN) {
        debug!(&ctx, "down: dev {:x}, flags {:x}", dev, flags);
        let change = Change::down(of, netdev::flags(dev), Probe::ChangeFlags);
        hand_over(&ctx, Request::Link { dev, change });
    }
    0
}
