//! `unregister_netdevice_queue(dev, head)`, the body of the inline `unregister_netdevice`: every deletion passes it,
//! and the parent is still linked.

use aya_ebpf::{macros::kprobe, programs::ProbeContext};
use aya_log_ebpf::debug;
use macvlan_trace_common::{Kind, LinkChange, Probe};

use crate::{
    capture::netdev,
    report::hand_over,
    request::{Change, Request},
    state::announced::{DELETED, announce},
};

/// Reports a deletion.
#[kprobe]
pub fn unregister(ctx: ProbeContext) -> u32 {
    let Some(dev) = ctx.arg::<u64>(0) else { return 0 };
    if netdev::is_traced(dev) && netdev::is_registered(dev) && announce(dev, DELETED) {
        debug!(&ctx, "deleted: dev {:x}", dev);
        let change = Change::new(Kind::Link, LinkChange::Deleted, Probe::Unregister);
        hand_over(&ctx, Request::Link { dev, change });
    }
    0
}
