//! Captures what a netlink request asks for.

use aya_ebpf::helpers::generated;

use crate::kread::{field, offset, read, string};

/// `NLM_F_CREATE`, include/uapi/linux/netlink.h: what the request names is to be made. `ip link set` sends the same
/// request without it.
const CREATE: u16 = 0x400;
/// `NLA_TYPE_MASK`: the type without `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
const TYPE: u32 = 0x3fff;
/// Attributes that are looked at. Programs send about ten for a link.
const MAX_ATTRIBUTES: u32 = 24;
/// The same of those in another attribute: five at most so far.
const MAX_NESTED: u32 = 6;
/// `struct nlmsghdr`, and the `struct ifinfomsg` behind it.
const MESSAGE_HEADER: u64 = 16;
const LINK_HEADER: u64 = 16;

/// `IFLA_*` and `IFLA_INFO_*`, include/uapi/linux/if_link.h.
const IFLA_ADDRESS: u32 = 1;
const IFLA_IFNAME: u32 = 3;
const IFLA_LINK: u32 = 5;
const IFLA_LINKINFO: u32 = 18;
const IFLA_NET_NS_PID: u32 = 19;
const IFLA_NET_NS_FD: u32 = 28;
const IFLA_LINK_NETNSID: u32 = 37;
const IFLA_TARGET_NETNSID: u32 = 46;
pub const IFLA_INFO_KIND: u32 = 1;
pub const IFLA_INFO_DATA: u32 = 2;
/// The mode, in the data of a macvlan or a macvtap.
pub const IFLA_MACVLAN_MODE: u32 = 1;

/// The bytes of an attribute, or several attributes; none if `from` is 0.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Bytes {
    from: u64,
    to: u64,
}

/// Whether the request is to make something.
#[inline(always)]
pub fn creates(message: u64) -> bool {
    field::<u16>(message, 6) & CREATE != 0
}

/// The attributes of a request about a link.
#[inline(always)]
fn attributes(message: u64) -> Bytes {
    let len: u32 = field(message, 0);
    Bytes { from: message + MESSAGE_HEADER + LINK_HEADER, to: message + u64::from(len) }
}

/// The kind of link that a request is about, padded with NUL.
#[inline(always)]
pub fn wanted_kind(message: u64) -> [u8; 16] {
    attributes(message).first::<MAX_ATTRIBUTES>(IFLA_LINKINFO).find(IFLA_INFO_KIND).text()
}

/// What a request asks for: where its attributes are, 0 for one that it does not have; and the devices that these are
/// about.
///
/// This stands in a map, since the verifier does not follow what is in there. It would walk the rest of the program once
/// for each set of attributes that a request may have.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Wanted {
    pub name: Bytes,
    /// `IFLA_LINKINFO`.
    pub info: Bytes,
    pub address: u64,
    /// Index of the parent.
    pub parent: u64,
    /// Set if the parent is in another namespace than the socket.
    pub parent_elsewhere: u64,
    /// Descriptor of the namespace that the link is for.
    pub netns_fd: u64,
    /// Set if the request names that namespace in another way.
    pub netns_otherwise: u64,
    /// The namespace that the link is for.
    pub netns: u64,
    /// The family of the link's kind.
    pub family: u32,
    /// The parent.
    pub lower: u64,
    /// The device that keeps others from the parent.
    pub holder: u64,
}

const NONE: Wanted = Wanted {
    name: Bytes { from: 0, to: 0 },
    info: Bytes { from: 0, to: 0 },
    address: 0,
    parent: 0,
    parent_elsewhere: 0,
    netns_fd: 0,
    netns_otherwise: 0,
    netns: 0,
    family: 0,
    lower: 0,
    holder: 0,
};

/// Reads the attributes of a request.
#[inline(always)]
pub fn read_wanted(message: u64, out: &mut Wanted) {
    *out = NONE;
    let Bytes { from: mut at, to } = attributes(message);
    let mut seen = 0;
    while seen < MAX_ATTRIBUTES && at + 4 <= to {
        let (kind, len) = head(at);
        let (from, end) = (at + 4, at + len);
        match kind {
            IFLA_IFNAME => keep(&mut out.name, Bytes { from, to: end }),
            IFLA_LINKINFO => keep(&mut out.info, Bytes { from, to: end }),
            IFLA_ADDRESS => keep(&mut out.address, from),
            IFLA_LINK => keep(&mut out.parent, from),
            IFLA_LINK_NETNSID => keep(&mut out.parent_elsewhere, from),
            IFLA_NET_NS_FD => keep(&mut out.netns_fd, from),
            IFLA_NET_NS_PID | IFLA_TARGET_NETNSID => keep(&mut out.netns_otherwise, from),
            _ => {}
        }
        at += (len + 3) & !3;
        seen += 1;
    }
}

/// Writes to a map at once, so that the compiler keeps no copy in a register.
#[inline(always)]
pub fn keep<T>(place: &mut T, value: T) {
    // SAFETY: a reference is writable, and what is there needs no drop.
    unsafe { core::ptr::write_volatile(place, value) };
}

/// Reads back from a map.
#[inline(always)]
pub fn kept<T: Copy>(place: &T) -> T {
    // SAFETY: a reference is readable.
    unsafe { core::ptr::read_volatile(place) }
}

/// Type and length of the attribute at an address.
#[inline(always)]
fn head(at: u64) -> (u32, u64) {
    let head: u32 = field(at, 0);
    (head >> 16 & TYPE, u64::from(head & 0xffff))
}

impl Bytes {
    /// The first attribute of a type among these, which are in another one.
    #[inline(always)]
    pub fn find(self, wanted: u32) -> Self {
        self.first::<MAX_NESTED>(wanted)
    }

    /// The first attribute of a type among so many.
    #[inline(always)]
    fn first<const MOST: u32>(self, wanted: u32) -> Self {
        let mut at = self.from;
        let mut seen = 0;
        // Without any the range is empty.
        while seen < MOST && at + 4 <= self.to {
            let (kind, len) = head(at);
            if kind == wanted {
                return Self { from: at + 4, to: at + len };
            }
            at += (len + 3) & !3;
            seen += 1;
        }
        Self { from: 0, to: 0 }
    }

    /// A number or the like; zero without the attribute.
    #[inline(always)]
    pub fn value<T: zerocopy::FromBytes>(self) -> T {
        field(self.from, 0)
    }

    /// A short text, padded with NUL. It need not end with one.
    #[inline(always)]
    pub fn text(self) -> [u8; 16] {
        // As much as the kernel takes for a kind (`MODULE_NAME_LEN`), and a mask for the verifier.
        const ROOM: usize = 64;
        let mut text = [0; ROOM];
        let len = core::hint::black_box(self.to.wrapping_sub(self.from)) as usize & (ROOM - 1);
        // SAFETY: `len` is less than the size of `text`, and the helper checks the address.
        unsafe {
            generated::bpf_probe_read_kernel(text.as_mut_ptr().cast(), len as u32, self.from as *const _);
        }
        let mut short = [0; 16];
        short.copy_from_slice(&text[..16]);
        short[15] = 0;
        short
    }
}

/// The network namespace of the socket that a message came through.
#[inline(always)]
pub fn netns_of(skb: u64) -> u64 {
    let sock: u64 = read!(skb, skb_sk);
    read!(sock, sock_net)
}

/// Copies the kernel's own message about a failed request, `netlink_ext_ack._msg`, padded with NUL.
#[inline(always)]
pub fn fill_message<const SIZE: usize>(extack: u64, out: &mut [u8; SIZE]) {
    *out = [0; SIZE];
    #[allow(clippy::cast_possible_truncation)] // some hundred
    // SAFETY: the field has that many bytes.
    unsafe {
        string(field(extack, offset!(extack_message)), out.as_mut_ptr(), SIZE as u32)
    };
}
