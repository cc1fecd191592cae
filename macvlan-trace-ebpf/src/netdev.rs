//! Captures links, and remembers which of their changes have been reported.

use aya_ebpf::{EbpfContext, helpers::bpf_get_current_pid_tgid};
use macvlan_trace_common::{
    Counter, IFF_UP, IpAddress, KIND_MACVLAN, KIND_MACVTAP, KIND_VETH, KIND_VLAN, Kind, LinkChange,
    LinkState, NetnsRef, Probe,
};

use crate::{
    kread::{field, offset, read, settings},
    maps::{MOVES, Move, OPENS, Open, PENDING, count},
    netns,
    report::{Request, hand_over},
};

/// Bits of [`PENDING`]: a change that a probe has reported and whose effect is still to come.
pub mod pending {
    /// It goes down.
    pub const DOWN: u32 = 1;
    /// It is deleted.
    pub const DELETED: u32 = 2;
}

/// `struct macvlan_dev` (include/linux/if_macvlan.h) is private to a module, so vmlinux's BTF does not describe it.
/// Both pointers are compared with what the device itself says before the mode, which user space knows the place of,
/// is believed.
mod macvlan_dev {
    pub const DEV: u32 = 0;
    pub const LOWERDEV: u32 = 48;
}

/// Where `struct veth_priv` (drivers/net/veth.c), private to a module too, has its `peer`.
const VETH_PEER: u32 = 0;

/// `__LINK_STATE_NOCARRIER` of `enum netdev_state_t`, include/linux/netdevice.h.
const NOCARRIER: u64 = 1 << 2;

/// Devices upon another that are looked at before that is taken for a parent. The verifier follows each of them through
/// all that comes after: with 16 it took 1.1 s of an emulated 7.3 for the five programs that look, with 4 0.4 s.
const MAX_UPPERS: u32 = 4;

/// What kind of record a change of the device is told by; `None` for a device that is none of our business.
#[inline(always)]
pub fn role(dev: u64) -> Option<Kind> {
    if is_traced(dev) {
        Some(Kind::Link)
    } else if is_parent(dev) {
        Some(Kind::Parent)
    } else {
        None
    }
}

/// Whether a traced link stands on the device, or is the first that stands on a device upon it, such as a VLAN or a
/// bond. With more devices upon it than can be looked at, that is assumed.
///
/// To look at all that stands on each would be a loop in a loop, for which the verifier takes seconds.
#[inline(always)]
pub fn is_parent(dev: u64) -> bool {
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
    let kind = kind(dev);
    kind == KIND_MACVLAN || kind == KIND_MACVTAP
}

/// `rtnl_link_ops.kind`, padded with NUL; all NUL for a device without (a NIC).
#[inline(always)]
fn kind(dev: u64) -> [u8; 16] {
    let ops: u64 = read!(dev, dev_link_ops);
    let mut kind = [0; 16];
    // SAFETY: the buffer has 16 bytes. What stands behind the NUL is not copied: it is another string.
    unsafe { crate::kread::string(read!(ops, link_ops_kind), kind.as_mut_ptr(), 16) };
    kind
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

/// Whether the device is a registered one: neither half made nor on its way out.
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

/// Whether the device is unregistered: gone for everybody who does not still refer to it.
#[inline(always)]
pub fn is_unregistered(dev: u64) -> bool {
    read!(dev, dev_reg_state as u8) == LinkState::UNREGISTERED
}

/// Whether `unregister_netdevice_many` has the device already: what it does to it is part of the deletion. A VLAN is
/// closed, and deleted, with the device below it.
#[inline(always)]
pub fn is_dismantled(dev: u64) -> bool {
    let with_lower = kind(dev) == KIND_VLAN && read!(lower(dev), dev_dismantle as u8) == 1;
    with_lower || read!(dev, dev_dismantle as u8) == 1
}

/// Remembers that a change is reported, before it is; whether it was not already.
#[inline(always)]
pub fn announce(dev: u64, change: u32) -> bool {
    let before = announced(dev);
    if before & change != 0 {
        return false;
    }
    if PENDING.insert(dev, before | change, 0).is_err() {
        count(Counter::MapFull);
    }
    true
}

/// What was reported of the device and is still to come.
#[inline(always)]
fn announced(dev: u64) -> u32 {
    // SAFETY: the value is copied at once.
    unsafe { PENDING.get(dev) }.copied().unwrap_or(0)
}

/// Whether a change was reported and is still to come.
#[inline(always)]
pub fn is_announced(dev: u64, change: u32) -> bool {
    announced(dev) & change != 0
}

/// The effect of a change is here; whether the change was reported.
#[inline(always)]
pub fn settle(dev: u64, change: u32) -> bool {
    let before = announced(dev);
    if change == pending::DELETED || before == change {
        // Absent is as good.
        let _ = PENDING.remove(dev);
    } else if before & change != 0 {
        // The entry exists, so there is room.
        let _ = PENDING.insert(dev, before & !change, 0);
    }
    before & change != 0
}

/// A new life, or a new time up, begins: whatever is pending was left over by an effect that the notifier missed.
#[inline(always)]
pub fn forget(dev: u64, change: u32) {
    settle(dev, change);
}

/// The current task begins to move the device to another network namespace.
#[inline(always)]
pub fn move_begins(dev: u64, of: Kind) {
    let mut from = NetnsRef::NONE;
    netns::fill(read!(dev, dev_net), &mut from);
    let entry = Move { dev, from, from_ifindex: read!(dev, dev_ifindex), of, reserved: 0 };
    if MOVES.insert(bpf_get_current_pid_tgid(), entry, 0).is_err() {
        count(Counter::MapFull);
    }
}

/// The current task's move is over.
#[inline(always)]
pub fn move_ends() -> Option<Move> {
    let task = bpf_get_current_pid_tgid();
    // SAFETY: the value is copied at once.
    let entry = unsafe { MOVES.get(task) }.copied();
    // Absent is as good.
    let _ = MOVES.remove(task);
    entry
}

/// Whether the current task is moving the device: what happens to it meanwhile is part of the move.
#[inline(always)]
pub fn is_moving(dev: u64) -> bool {
    // SAFETY: the value is looked at at once.
    unsafe { MOVES.get(bpf_get_current_pid_tgid()) }.is_some_and(|entry| entry.dev == dev)
}

/// The current task begins to set a device up.
#[inline(always)]
pub fn open_begins(dev: u64) {
    let task = bpf_get_current_pid_tgid();
    if let Some(open) = OPENS.get_ptr_mut(task) {
        // SAFETY: the value is this task's own.
        let open = unsafe { &mut *open };
        // A device is not set up within its own setting up: then the first return was missed.
        if open.dev != dev {
            open.inner += 1;
            return;
        }
    }
    if is_traced(dev) && OPENS.insert(task, Open { dev, inner: 0 }, 0).is_err() {
        count(Counter::MapFull);
    }
}

/// The current task has set a device up, or failed to; the device, if it is a traced link.
#[inline(always)]
pub fn open_ends() -> Option<u64> {
    let task = bpf_get_current_pid_tgid();
    let open = OPENS.get_ptr_mut(task)?;
    // SAFETY: the value is this task's own.
    let Open { dev, inner } = unsafe { *open };
    if inner > 0 {
        // SAFETY: as above.
        unsafe { (*open).inner = inner - 1 };
        return None;
    }
    // It is there.
    let _ = OPENS.remove(task);
    Some(dev)
}

/// What a program knows about a change beyond the device itself.
#[derive(Clone, Copy)]
pub struct Change {
    /// Whose change: [`Kind::Link`] or [`Kind::Parent`].
    pub of: Kind,
    pub what: LinkChange,
    pub probe: Probe,
    /// `IFF_*` once the call is done; `None` for those of now.
    pub flags_after: Option<u32>,
    pub moved: Option<Move>,
    /// What a request failed with; 0 for none.
    pub error: u32,
    /// The IP address that it is about.
    pub address: IpAddress,
}

impl Change {
    /// A change that needs no more words.
    pub const fn new(of: Kind, what: LinkChange, probe: Probe) -> Self {
        Self { of, what, probe, flags_after: None, moved: None, error: 0, address: IpAddress::NONE }
    }

    /// It ends up without `IFF_UP`.
    #[inline(always)]
    pub fn down(of: Kind, dev: u64, probe: Probe) -> Self {
        Self { flags_after: Some(flags(dev) & !IFF_UP), ..Self::new(of, LinkChange::Down, probe) }
    }
}

/// Reports a change, in the context of the task that causes it.
#[inline(always)]
pub fn report(ctx: &impl EbpfContext, dev: u64, change: Change) {
    hand_over(ctx, Request::Link { dev, change });
}

/// Describes a device; nothing but zeroes for none.
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
    unsafe { crate::kread::string(read!(driver, driver_name), out.driver.as_mut_ptr(), 16) };
    out.mac = field(read!(dev, dev_addr), 0);
    out.operstate = read!(dev, dev_operstate);
    out.reg_state = read!(dev, dev_reg_state);
    out.mode = 0;
    out.reserved = 0;
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

/// What takes the device's carrier along: the other end of a veth, else the device below; 0 for none.
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
