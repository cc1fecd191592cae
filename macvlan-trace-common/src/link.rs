//! What happens to links.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Header, NetnsRef, link_kind::padded};

/// Return addresses of a kernel stack.
pub const MAX_STACK: usize = 24;
/// `rtnl_link_ops.kind` of a veth, padded.
pub const KIND_VETH: [u8; 16] = padded("veth");
/// `rtnl_link_ops.kind` of a VLAN, padded.
pub const KIND_VLAN: [u8; 16] = padded("vlan");
/// `rtnl_link_ops.kind` of a VRF, padded.
pub const KIND_VRF: [u8; 16] = padded("vrf");
/// `IFF_UP`: the link is administratively up.
pub const IFF_UP: u32 = 1;

/// What happened to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum LinkChange {
    /// It was made and joined to its parent. For a parent: it carries the link of the record before.
    Created = 1,
    /// It was set up.
    Up = 2,
    /// It was set down.
    Down = 3,
    /// It got another name.
    Renamed = 4,
    /// It went to another network namespace.
    Moved = 5,
    /// It was deleted.
    Deleted = 6,
    /// It went down, and no probe saw who asked.
    UnseenDown = 7,
    /// It was deleted, and no probe saw who asked.
    UnseenDeleted = 8,
    /// It lost its carrier.
    CarrierLost = 9,
    /// It has its carrier back.
    CarrierBack = 10,
    /// It could not be set up.
    UpFailed = 11,
    /// Its hardware address was set.
    MacChanged = 12,
    /// It lost an IP address while it stayed up.
    AddressRemoved = 13,
    /// It could not be made.
    CreateFailed = 14,
    /// It could not get another hardware address.
    MacFailed = 15,
    /// It could not go to another network namespace.
    MoveFailed = 16,
    /// It could not get another name.
    RenameFailed = 17,
    /// It got an IP address.
    AddressAdded = 18,
    /// It lost an IP address as it went down, or while it was down.
    AddressDropped = 19,
}

/// The hook that sent a record; user space knows which symbol it sits on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Probe {
    /// `unregister_netdevice_queue`.
    Unregister = 1,
    /// `netif_change_flags`, or `dev_change_flags` before 6.15.
    ChangeFlags = 2,
    /// `__dev_close_many`.
    Close = 3,
    /// `__dev_change_net_namespace`, or `dev_change_net_namespace` before 5.13.
    ChangeNetns = 4,
    /// `rtnetlink_event`.
    Notifier = 5,
    /// `netif_carrier_off`.
    CarrierOff = 6,
    /// `netif_carrier_on`.
    CarrierOn = 7,
    /// `__dev_open`.
    Open = 8,
    /// `fib_inetaddr_event`.
    Inet = 9,
    /// `inet6addr_notifier_call_chain`.
    Inet6 = 10,
    /// `rtnl_newlink`.
    NewLink = 11,
    /// `netif_set_mac_address`, or `dev_set_mac_address` before 6.15.
    SetMac = 12,
    /// `netif_change_name`, or `dev_change_name` before 6.15.
    ChangeName = 13,
}

/// A link at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LinkState {
    /// Address of the `struct net_device`: its identity while it lives; 0 for no link.
    pub dev: u64,
    /// The namespace that it is in.
    pub netns: NetnsRef,
    /// Its index in that namespace.
    pub ifindex: u32,
    /// `IFF_*`.
    pub flags: u32,
    /// Its name, padded with NUL.
    pub name: [u8; 16],
    /// `rtnl_link_ops.kind`, padded with NUL; all NUL for a device without (a NIC).
    pub kind: [u8; 16],
    /// Name of the driver of the hardware, padded with NUL; all NUL for a device that software made.
    pub driver: [u8; 16],
    /// Hardware address; all zero if unknown.
    pub mac: [u8; 6],
    /// RFC 2863 state, `IF_OPER_*`.
    pub operstate: u8,
    /// `NETREG_*`: 1 is registered, 2 is unregistering.
    pub reg_state: u8,
    /// `enum macvlan_mode`: 1 private, 2 vepa, 4 bridge, 8 passthru, 16 source; 0 if unknown or no macvlan.
    pub mode: u32,
    /// `net_device.proto_down`: 1 if a daemon keeps its carrier down by design, 0 if not; [`LinkState::UNKNOWN`] if this
    /// kernel has no such field.
    pub proto_down: u32,
}

/// [`Kind::Link`](crate::Kind::Link): something happened to a link of a traced kind, in the context of the task that
/// made the call. [`Kind::Parent`](crate::Kind::Parent): the same for a device that carries such links.
///
/// Tail: `stack` × `u64`, the kernel path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LinkRecord {
    /// Names the current task.
    pub header: Header,
    /// One of [`LinkChange`].
    pub change: u16,
    /// One of [`Probe`].
    pub probe: u16,
    /// `IFF_*` after the call.
    pub flags_after: u32,
    /// The link; before the change, except where it was created, renamed, moved or given an address.
    pub link: LinkState,
    /// The link below it; of a veth that carries links, its other end.
    pub parent: LinkState,
    /// Where a moved link came from.
    pub from: NetnsRef,
    /// The index that a moved link had there; 0 unless moved.
    pub from_ifindex: u32,
    /// The error of a failed request, `errno`; 0 for none.
    pub error: u32,
    /// The address that was removed or added.
    pub address: IpAddress,
    /// Return addresses in the tail, innermost first.
    pub stack: u32,
    /// Zero.
    pub reserved: u32,
}

/// Bytes of the kernel's own message about a failed request; the rest is cut. The longest of a link's creation have
/// about 80.
pub const MAX_MESSAGE: usize = 128;

/// [`Kind::NotMade`](crate::Kind::NotMade): a request for a link of a traced kind failed.
///
/// Tail: `change.stack` × `u64`, as in a [`LinkRecord`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NotMadeRecord {
    /// The link as it was wanted, without an address of its own: its namespace is unknown if the request names one that
    /// cannot be looked up, its name is empty if the kernel was to choose it.
    pub change: LinkRecord,
    /// The device that keeps others from the parent; without an address if there is none.
    pub holder: LinkState,
    /// The kernel's own message, `netlink_ext_ack._msg`, padded with NUL; all NUL for none.
    pub message: [u8; MAX_MESSAGE],
}

/// [`Kind::Failed`](crate::Kind::Failed): a request to change a link of a traced kind failed.
///
/// Tail: `change.stack` × `u64`, as in a [`LinkRecord`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FailedRecord {
    /// The link as it stays.
    pub change: LinkRecord,
    /// The namespace that was wanted; all zero if none was.
    pub netns: NetnsRef,
    /// The name that was wanted, padded with NUL; all NUL if none was.
    pub name: [u8; 16],
    /// The hardware address that was wanted; all zero if none was.
    pub mac: [u8; 6],
    /// Zero.
    pub reserved: u16,
    /// The kernel's own message, `netlink_ext_ack._msg`, padded with NUL; all NUL for none.
    pub message: [u8; MAX_MESSAGE],
}

/// An IP address of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IpAddress {
    /// The address, in network byte order, padded with NUL.
    pub bytes: [u8; 16],
    /// How many of the bytes count: 4 or 16; 0 for no address.
    pub len: u16,
    /// Whether the link has another address of that family: [`Self::LAST`], or 0 if it has, or if that is not known.
    pub last: u16,
    /// Length of the prefix in bits.
    pub prefix: u32,
}

impl IpAddress {
    /// No address.
    pub const NONE: Self = Self { bytes: [0; 16], len: 0, last: 0, prefix: 0 };
    /// The link has no other address of that family, but for link-local ones of IPv6.
    pub const LAST: u16 = 1;
}

/// [`Kind::Freed`](crate::Kind::Freed): nothing refers to a deleted link any more, and its memory is freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FreedRecord {
    /// Names the task that frees it, which means nothing.
    pub header: Header,
    /// Address of the `struct net_device`.
    pub dev: u64,
}

impl LinkState {
    /// No link.
    pub const NONE: Self = Self {
        dev: 0,
        netns: NetnsRef::NONE,
        ifindex: 0,
        flags: 0,
        name: [0; 16],
        kind: [0; 16],
        driver: [0; 16],
        mac: [0; 6],
        operstate: 0,
        reg_state: 0,
        mode: 0,
        proto_down: Self::UNKNOWN,
    };
    /// The value of a field that this kernel lacks.
    pub const UNKNOWN: u32 = u32::MAX;
    /// `NETREG_REGISTERED`.
    pub const REGISTERED: u8 = 1;
    /// `NETREG_UNREGISTERING`.
    pub const UNREGISTERING: u8 = 2;
    /// `NETREG_UNREGISTERED`.
    pub const UNREGISTERED: u8 = 3;
}

const _: () = assert!(size_of::<LinkState>() == 104 && size_of::<LinkRecord>() == 80 + 8 + 208 + 64);
const _: () = assert!(size_of::<FailedRecord>() == size_of::<LinkRecord>() + 24 + 24 + MAX_MESSAGE);
const _: () = assert!(size_of::<NotMadeRecord>() == size_of::<LinkRecord>() + 104 + MAX_MESSAGE);
