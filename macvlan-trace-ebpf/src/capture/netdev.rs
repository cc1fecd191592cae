//! Captures links and the devices below them.

use macvlan_trace_common::{IFF_UP, KIND_VETH, KIND_VLAN, KIND_VRF, LinkState};

use crate::{
    capture::netns,
    kinds,
    kread::{field, field_or, offset, read, settings, short_string, string},
};

/// `struct macvlan_dev` (include/linux/if_macvlan.h) is private to a module, so vmlinux's BTF does not describe it.
/// User space knows where the mode is. It is used only if both pointers here agree with the device's own.
mod macvlan_dev {
    pub const DEV: u32 = 0;
    pub const LOWERDEV: u32 = 48;
}

/// Where `struct veth_priv` (drivers/net/veth.c), private to a module too, has its `peer`.
const VETH_PEER: u32 = 0;

/// `__LINK_STATE_NOCARRIER` of `enum netdev_state_t`, include/linux/netdevice.h.
const NOCARRIER: u64 = 1 << 2;

/// How many devices on another one are looked at; if there are more, it is taken for a parent. The verifier follows
/// each of them through the rest of the program: on an emulated 7.3, the five programs that look took it 1.1 s with 16,
/// and 0.4 s with 4.
const MAX_UPPERS: u32 = 4;

/// How many VLANs on each other are looked at.
const MAX_VLANS: u32 = 2;

/// `NETDEV_HASHENTRIES`, include/linux/netdevice.h, unless the kernel is built for machines with hardly any memory.
const INDEX_HEADS: u32 = 256;
/// How many devices of one chain are looked at: enough for some thousand in a namespace.
const MAX_CHAIN: u32 = 16;

/// Whether a traced link is on the device, or is the first one on a device on it, such as a VLAN or a bond. Also true
/// if there are more devices on it than can be looked at.
///
/// Looking at all devices on each would be a loop in a loop, for which the verifier takes seconds.
#[inline(always)]
pub fn carries_traced(dev: u64) -> bool {
    let mut node: u64 = read!(dev, dev_upper);
    let mut seen = 0;
    while seen < MAX_UPPERS {
        if node == 0 || node == dev + u64::from(offset!(dev_upper)) {
            return false;
        }
        let upper = read!(adjacent(node), adjacent_dev);
        if is_traced(upper) || is_traced(first(upper, offset!(dev_upper))) {
            return true;
        }
        node = field(node, 0);
        seen += 1;
    }
    true
}

/// The first device of a device's list of others; 0 for none.
#[inline(always)]
fn first(dev: u64, list: u32) -> u64 {
    let first: u64 = field(dev, list);
    if first == 0 || first == dev + u64::from(list) {
        return 0;
    }
    read!(adjacent(first), adjacent_dev)
}

/// The `struct netdev_adjacent` of an element of a list of devices.
#[inline(always)]
fn adjacent(node: u64) -> u64 {
    node - u64::from(offset!(adjacent_list))
}

/// Whether the device is one that is traced.
#[inline(always)]
pub fn is_traced(dev: u64) -> bool {
    kinds::is_traced(&kind(dev))
}

/// `rtnl_link_ops.kind`, padded with NUL; all NUL for a device without (a NIC).
#[inline(always)]
pub fn kind(dev: u64) -> [u8; 16] {
    let ops: u64 = read!(dev, dev_link_ops);
    short_string(read!(ops, link_ops_kind))
}

/// `IFF_*` of the device.
#[inline(always)]
pub fn flags(dev: u64) -> u32 {
    read!(dev, dev_flags)
}

/// Whether the device is administratively up.
#[inline(always)]
pub fn is_up(dev: u64) -> bool {
    flags(dev) & IFF_UP != 0
}

/// The device of that index in a namespace; 0 for none, and if it is far behind in its chain.
#[inline(always)]
pub fn of_index(net: u64, ifindex: u32) -> u64 {
    let heads: u64 = read!(net, net_index_head);
    // `dev_index_hash`, net/core/dev.h.
    let mut node: u64 = field(heads + u64::from(ifindex % INDEX_HEADS) * 8, 0);
    let mut seen = 0;
    while seen < MAX_CHAIN && node != 0 {
        let dev = node - u64::from(offset!(dev_index_node));
        if read!(dev, dev_ifindex as u32) == ifindex {
            return dev;
        }
        node = field(node, 0);
        seen += 1;
    }
    0
}

/// The device that keeps others from standing on this one, or may: its master, which is the first in the list
/// (`__netdev_adjacent_dev_insert`), else the first device on it that takes all its packets, as links of the traced kinds do;
/// 0 for none. A VRF is a master that leaves the packets alone.
#[inline(always)]
pub fn holder(dev: u64) -> u64 {
    let mut node: u64 = read!(dev, dev_upper);
    let mut seen = 0;
    while seen < MAX_UPPERS && node != 0 && node != dev + u64::from(offset!(dev_upper)) {
        let upper = read!(adjacent(node), adjacent_dev);
        let kind = kind(upper);
        let is_master = read!(adjacent(node), adjacent_master as u8) == 1 && kind != KIND_VRF;
        if is_master || kinds::is_traced(&kind) {
            return upper;
        }
        node = field(node, 0);
        seen += 1;
    }
    0
}

/// Whether the device has its carrier.
#[inline(always)]
pub fn has_carrier(dev: u64) -> bool {
    read!(dev, dev_state as u64) & NOCARRIER == 0
}

/// Whether the device below is up and stays.
#[inline(always)]
pub fn stands_on_working(dev: u64) -> bool {
    let lower = lower(dev);
    lower != 0 && is_up(lower) && is_registered(lower) && !is_dismantled(lower)
}

/// Whether the device is registered: neither half made nor being deleted.
#[inline(always)]
pub fn is_registered(dev: u64) -> bool {
    read!(dev, dev_reg_state as u8) == LinkState::REGISTERED
}

/// Whether the device is being unregistered. `netdev_wait_allrefs` repeats the notification every second while
/// somebody holds on to a device that is unregistered already.
#[inline(always)]
pub fn is_unregistering(dev: u64) -> bool {
    read!(dev, dev_reg_state as u8) == LinkState::UNREGISTERING
}

/// Whether the device is unregistered: only those that still refer to it can use it.
#[inline(always)]
pub fn is_unregistered(dev: u64) -> bool {
    read!(dev, dev_reg_state as u8) == LinkState::UNREGISTERED
}

/// Whether `unregister_netdevice_many` is already deleting the device: further changes are part of that. A VLAN is
/// closed, and deleted, with the device below it, which may be a VLAN itself.
#[inline(always)]
pub fn is_dismantled(dev: u64) -> bool {
    let mut deleted = dev;
    let mut vlans = 0;
    while vlans < MAX_VLANS && kind(deleted) == KIND_VLAN && read!(deleted, dev_dismantle as u8) == 0 {
        deleted = lower(deleted);
        vlans += 1;
    }
    read!(deleted, dev_dismantle as u8) == 1
}

/// Describes a device; all zero for none.
#[inline(always)]
pub fn fill(dev: u64, out: &mut LinkState) {
    out.dev = dev;
    netns::fill(read!(dev, dev_net), &mut out.netns);
    out.ifindex = read!(dev, dev_ifindex);
    out.flags = flags(dev);
    out.name = read!(dev, dev_name);
    out.kind = kind(dev);
    let device: u64 = read!(dev, dev_parent);
    let driver: u64 = read!(device, device_driver);
    out.driver = [0; 16];
    // SAFETY: the field has 16 bytes.
    unsafe { string(read!(driver, driver_name), out.driver.as_mut_ptr(), 16) };
    out.mac = field(read!(dev, dev_addr), 0);
    out.operstate = read!(dev, dev_operstate);
    out.reg_state = read!(dev, dev_reg_state);
    out.mode = 0;
    out.proto_down = match field_or(dev, offset!(dev_proto_down), u8::MAX) {
        u8::MAX => LinkState::UNKNOWN,
        set => u32::from(set),
    };
}

/// The device below; 0 for none. It is linked from `netdev_upper_dev_link` on, and until `macvlan_dellink` has
/// called `unregister_netdevice_queue`.
#[inline(always)]
pub fn lower(dev: u64) -> u64 {
    first(dev, offset!(dev_lower))
}

/// The other end of a veth; 0 for anything else.
#[inline(always)]
pub fn peer(dev: u64) -> u64 {
    if kind(dev) != KIND_VETH {
        return 0;
    }
    let peer: u64 = field(dev + u64::from(offset!(dev_priv)), VETH_PEER);
    if kind(peer) == KIND_VETH { peer } else { 0 }
}

/// The device whose carrier this one follows: the other end of a veth, else the device below; 0 for none.
#[inline(always)]
pub fn beneath(dev: u64) -> u64 {
    let peer = peer(dev);
    if peer == 0 { lower(dev) } else { peer }
}

/// `enum macvlan_mode` of the link; 0 if it cannot be trusted.
#[inline(always)]
pub fn mode(dev: u64, lower: u64) -> u32 {
    let private = dev + u64::from(offset!(dev_priv));
    let own: u64 = field(private, macvlan_dev::DEV);
    let below: u64 = field(private, macvlan_dev::LOWERDEV);
    if lower == 0 || own != dev || below != lower {
        return 0;
    }
    field(private, settings().macvlan_mode)
}
