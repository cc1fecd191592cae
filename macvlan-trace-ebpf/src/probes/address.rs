//! `fib_inetaddr_event(nb, event, ifa)` and `inet6addr_notifier_call_chain(event, ifa)`: the kernel calls them when it adds
//! or removes an IP address. The first is a notifier, the second is exported, so neither is inlined.

use aya_ebpf::{macros::kprobe, programs::ProbeContext};
use aya_log_ebpf::debug;
use macvlan_trace_common::{IpAddress, Kind, LinkChange, Probe};

use crate::{
    capture::netdev,
    kread::read,
    report::hand_over,
    request::{Change, Request},
    state::moves,
};

/// `NETDEV_DOWN`, which is what both chains call a removal.
const REMOVED: u64 = 2;

/// Reports an IPv4 address that a link loses.
#[kprobe]
pub fn inet_address(ctx: ProbeContext) -> u32 {
    let (Some(REMOVED), Some(ifa)) = (ctx.arg::<u64>(1), ctx.arg::<u64>(2)) else { return 0 };
    let dev = read!(read!(ifa, ifa_dev), in_device_dev);
    let [a, b, c, d] = read!(ifa, ifa_local as [u8; 4]);
    let bytes = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let prefix = u32::from(read!(ifa, ifa_prefixlen as u8));
    report(&ctx, dev, Probe::Inet, IpAddress { bytes, len: 4, prefix });
    0
}

/// Reports an IPv6 address that a link loses.
#[kprobe]
pub fn inet6_address(ctx: ProbeContext) -> u32 {
    let (Some(REMOVED), Some(ifa)) = (ctx.arg::<u64>(0), ctx.arg::<u64>(1)) else { return 0 };
    let dev = read!(read!(ifa, ifa6_dev), inet6_dev_dev);
    let address = IpAddress { bytes: read!(ifa, ifa6_addr), len: 16, prefix: read!(ifa, ifa6_prefixlen) };
    report(&ctx, dev, Probe::Inet6, address);
    0
}

#[inline(always)]
fn report(ctx: &ProbeContext, dev: u64, probe: Probe, address: IpAddress) {
    // If a link goes down, moves or is deleted, losing its addresses is part of that.
    if netdev::is_traced(dev)
        && netdev::is_up(dev)
        && netdev::is_registered(dev)
        && !netdev::is_dismantled(dev)
        && !moves::is_moving(dev)
    {
        debug!(ctx, "address removed: dev {:x}", dev);
        let change = Change { address, ..Change::new(Kind::Link, LinkChange::AddressRemoved, probe) };
        hand_over(ctx, Request::Link { dev, change });
    }
}
