//! `netif_carrier_off(dev)` and `netif_carrier_on(dev)`: drivers, the other end of a veth and macvlan itself call them,
//! in a process, a kernel worker or an interrupt.

use aya_ebpf::{macros::kprobe, programs::ProbeContext};
use aya_log_ebpf::debug;
use macvlan_trace_common::{Kind, LinkChange, Probe};

use crate::{
    capture::netdev,
    report::hand_over,
    request::{Change, Request},
    state::{
        announced::{self, DOWN},
        moves, parents,
    },
};

/// Reports a carrier that is lost.
#[kprobe]
pub fn carrier_off(ctx: ProbeContext) -> u32 {
    // Most calls change nothing.
    if let Some(dev) = ctx.arg::<u64>(0).filter(|&dev| netdev::has_carrier(dev)) {
        report(&ctx, dev, LinkChange::CarrierLost, Probe::CarrierOff);
    }
    0
}

/// Reports a carrier that is back.
#[kprobe]
pub fn carrier_on(ctx: ProbeContext) -> u32 {
    if let Some(dev) = ctx.arg::<u64>(0).filter(|&dev| !netdev::has_carrier(dev)) {
        report(&ctx, dev, LinkChange::CarrierBack, Probe::CarrierOn);
    }
    0
}

#[inline(always)]
fn report(ctx: &ProbeContext, dev: u64, what: LinkChange, probe: Probe) {
    if !netdev::is_registered(dev) || netdev::is_dismantled(dev) || moves::is_moving(dev) {
        return;
    }
    let Some(of) = parents::role(dev) else { return };
    let news = match of {
        // If the parent is deleted or goes down, the link's loss is part of that.
        Kind::Link => what == LinkChange::CarrierBack || netdev::stands_on_working(dev),
        // A driver drops the carrier of a device that it closes, and sets that of a device that it opens.
        _ => netdev::is_up(dev) && !announced::is_announced(dev, DOWN),
    };
    if news {
        debug!(ctx, "carrier: dev {:x}, change {}", dev, what as u16);
        hand_over(ctx, Request::Link { dev, change: Change::new(of, what, probe) });
    }
}
