//! `fib_inetaddr_event(nb, event, ifa)` and `inet6addr_notifier_call_chain(event, ifa)`: the kernel calls them when it adds
//! or removes an IP address. The first is a notifier, the second is exported, so neither is inlined.

use aya_ebpf::{macros::kprobe, programs::ProbeContext};
use aya_log_ebpf::debug;
use macvlan_trace_common::{IpAddress, Kind, LinkChange, MISSING, Probe};

use crate::{
    capture::netdev,
    kread::{field, offset, read},
    report::hand_over,
    request::{Change, Request},
    state::moves,
};

/// `NETDEV_UP`, which is what both chains call an address that a link gets (`__inet_insert_ifa`, `ipv6_add_addr`).
const ADDED: u64 = 1;
/// `NETDEV_DOWN`, which is what they call a removal.
const REMOVED: u64 = 2;

/// How many IPv6 addresses of a link are looked at.
const MAX_ADDRESSES: u32 = 8;

/// Reports an IPv4 address that a link gets or loses.
#[kprobe]
pub fn inet_address(ctx: ProbeContext) -> u32 {
    let (Some(event), Some(ifa)) = (ctx.arg::<u64>(1), ctx.arg::<u64>(2)) else { return 0 };
    let device = read!(ifa, ifa_dev);
    let dev = read!(device, in_device_dev);
    let [a, b, c, d] = read!(ifa, ifa_local as [u8; 4]);
    let bytes = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let prefix = u32::from(read!(ifa, ifa_prefixlen as u8));
    report(&ctx, event, dev, Probe::Inet, IpAddress { bytes, len: 4, last: is_last(device, ifa), prefix });
    0
}

/// Reports an IPv6 address that a link gets or loses.
#[kprobe]
pub fn inet6_address(ctx: ProbeContext) -> u32 {
    let (Some(event), Some(ifa)) = (ctx.arg::<u64>(0), ctx.arg::<u64>(1)) else { return 0 };
    let device = read!(ifa, ifa6_dev);
    let dev = read!(device, inet6_dev_dev);
    let bytes = read!(ifa, ifa6_addr);
    let address =
        IpAddress { bytes, len: 16, last: is_last6(device, ifa, bytes), prefix: read!(ifa, ifa6_prefixlen) };
    report(&ctx, event, dev, Probe::Inet6, address);
    0
}

/// Whether an `in_device` has no other IPv4 address. `__inet_del_ifa` unlinks one before it tells of it.
#[inline(always)]
fn is_last(device: u64, ifa: u64) -> u16 {
    if device == 0 || offset!(in_device_addrs) == MISSING || offset!(ifa_next) == MISSING {
        return 0;
    }
    let first: u64 = read!(device, in_device_addrs);
    let other = if first == ifa { read!(first, ifa_next) } else { first };
    if other == 0 { IpAddress::LAST } else { 0 }
}

/// Whether an `inet6_dev` has no other IPv6 address than link-local ones. `ipv6_del_addr` unlinks one before it tells of
/// it, `addrconf_ifdown` after.
#[inline(always)]
fn is_last6(device: u64, ifa: u64, bytes: [u8; 16]) -> u16 {
    if offset!(inet6_dev_addrs) == MISSING || offset!(ifa6_node) == MISSING || is_link_local(bytes) {
        return 0;
    }
    let head = device + u64::from(offset!(inet6_dev_addrs));
    let mut node: u64 = field(head, 0);
    for _ in 0..MAX_ADDRESSES {
        if node == head {
            return IpAddress::LAST;
        }
        if node == 0 {
            break;
        }
        let other = node - u64::from(offset!(ifa6_node));
        if other != ifa && !is_link_local(read!(other, ifa6_addr)) {
            return 0;
        }
        node = field(node, 0);
    }
    0
}

/// fe80::/10.
#[inline(always)]
fn is_link_local(bytes: [u8; 16]) -> bool {
    bytes[0] == 0xfe && bytes[1] & 0xc0 == 0x80
}

#[inline(always)]
fn report(ctx: &ProbeContext, event: u64, dev: u64, probe: Probe, address: IpAddress) {
    let what = match event {
        ADDED => LinkChange::AddressAdded,
        REMOVED if netdev::is_up(dev) => LinkChange::AddressRemoved,
        REMOVED => LinkChange::AddressDropped,
        _ => return,
    };
    // Link-local ones come and go with the link itself.
    if what as u16 != LinkChange::AddressRemoved as u16 && address.len == 16 && is_link_local(address.bytes) {
        return;
    }
    // If a link moves or is deleted, losing its addresses is part of that.
    if netdev::is_traced(dev)
        && netdev::is_registered(dev)
        && !netdev::is_dismantled(dev)
        && !moves::is_moving(dev)
    {
        debug!(ctx, "address: dev {:x}, change {}", dev, what as u16);
        hand_over(
            ctx,
            Request::Link { dev, change: Change { address, ..Change::new(Kind::Link, what, probe) } },
        );
    }
}
