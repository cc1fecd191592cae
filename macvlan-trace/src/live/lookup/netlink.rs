//! Asks the network namespace that the calling thread is in about its links.
//!
//! It reads attributes as bytes: the name of a link need not be UTF-8, and crates with typed messages fail on such a
//! link.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

use netlink_packet_core::{
    Emitable, NLA_HEADER_SIZE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
    NetlinkBuffer, NetlinkHeader, NlasIterator,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use crate::{fact, kernel::kinds, text::Text};

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWNSID: u16 = 88;
const RTM_GETNSID: u16 = 90;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
const IFLA_LINKINFO: u16 = 18;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_PROTO_DOWN: u16 = 39;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_MACVLAN_MODE: u16 = 1;
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;

const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;

/// Length of `struct ifinfomsg`.
const IFINFOMSG: usize = 16;
/// Length of `struct rtgenmsg` with its padding.
const RTGENMSG: usize = 4;
/// Length of `struct nlmsghdr`.
const NLMSGHDR: usize = 16;

/// The kernel's datagrams are up to 32 KiB long.
const BUFFER: usize = 64 << 10;
/// How often a dump is repeated if changes have interrupted it. Links that are still missing were made meanwhile, and
/// the probes have seen that.
const MAX_REPEATS: u32 = 3;

/// A netlink socket, which asks about the network namespace in which it was made.
///
/// The kernel frees it after an RCU grace period; until then it keeps the namespace alive.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

/// A link as a message describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Index in the namespace.
    pub ifindex: u32,
    /// Name.
    pub name: Text,
    /// Kind; `None` for a NIC.
    pub kind: Option<Text>,
    /// `IFF_*`.
    pub flags: u32,
    /// Hardware address.
    pub mac: Option<[u8; 6]>,
    /// `enum macvlan_mode`, for a link that has one.
    pub mode: Option<u32>,
    /// Whether protodown is set.
    pub protodown: Option<bool>,
    /// The link below it, if it has one.
    pub below: Option<Below>,
}

/// Where the link below another one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Below {
    /// Index in its namespace.
    pub ifindex: u32,
    /// Its namespace, by its number in this one; `None` for the same namespace.
    pub nsid: Option<i32>,
}

impl Link {
    /// The link as a fact.
    pub fn into_fact(self, netns: fact::Netns) -> fact::Link {
        fact::Link {
            dev: None,
            netns: Some(netns),
            ifindex: self.ifindex,
            name: self.name,
            kind: self.kind,
            flags: self.flags,
            operstate: None,
            registered: true,
            mac: self.mac,
            mode: self.mode,
            protodown: self.protodown,
            driver: None,
        }
    }
}

impl Netlink {
    /// Opens a socket in the namespace that the calling thread is in.
    pub fn open() -> io::Result<Self> {
        let socket = Socket::new(NETLINK_ROUTE)?;
        // The kernel's answer is there as soon as the request is sent.
        socket.set_non_blocking(true)?;
        Ok(Self { socket, sequence: 0, buffer: Vec::with_capacity(BUFFER) })
    }

    /// Every link of a kind.
    ///
    /// As with `ip link`, the kernel gives a number to the namespace of a link below in another namespace, if it has
    /// none yet.
    pub fn links(&mut self, kind: &str) -> io::Result<Vec<Link>> {
        let mut links: Vec<Link> = Vec::new();
        for _ in 0..=MAX_REPEATS {
            links.clear();
            let torn = self.ask(RTM_GETLINK, NLM_F_DUMP, &links_request(kind), |message, payload| {
                // A kernel that does not know the kind, because its module is not loaded, lists all.
                let link = parse_link(payload).filter(|link| {
                    message == RTM_NEWLINK && link.kind.as_ref().is_some_and(|is| *is == kind.into())
                });
                links.extend(link.filter(|link| links.iter().all(|other| other.ifindex != link.ifindex)));
            })?;
            if !torn {
                break;
            }
        }
        Ok(links)
    }

    /// One link.
    pub fn link(&mut self, ifindex: u32) -> io::Result<Option<Link>> {
        let mut body = vec![0; IFINFOMSG];
        body[4..8].copy_from_slice(&ifindex.to_ne_bytes());
        attribute(&mut body, IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
        let mut link = None;
        self.ask(RTM_GETLINK, 0, &body, |message, payload| {
            if message == RTM_NEWLINK {
                link = parse_link(payload);
            }
        })?;
        Ok(link)
    }

    /// The number of another namespace in this one, if it has one.
    pub fn nsid(&mut self, other: BorrowedFd<'_>) -> io::Result<Option<i32>> {
        let mut body = vec![0; RTGENMSG];
        attribute(&mut body, NETNSA_FD, &other.as_raw_fd().to_ne_bytes());
        let mut nsid = None;
        self.ask(RTM_GETNSID, 0, &body, |message, payload| {
            if message == RTM_NEWNSID {
                let attributes = payload.get(RTGENMSG..).unwrap_or_default();
                nsid = find(attributes, NETNSA_NSID).and_then(i32_of).filter(|id| *id >= 0);
            }
        })?;
        Ok(nsid)
    }

    /// Sends a request, and passes each message of the answer on: its type and its payload. Returns whether a change
    /// interrupted the answer.
    fn ask(
        &mut self,
        kind: u16,
        flags: u16,
        body: &[u8],
        mut each: impl FnMut(u16, &[u8]),
    ) -> io::Result<bool> {
        self.sequence += 1;
        self.socket.send_to(&request(kind, flags, self.sequence, body), &SocketAddr::new(0, 0), 0)?;
        let mut torn = false;
        loop {
            self.buffer.clear();
            let (_, from) = self.socket.recv_from(&mut self.buffer, 0)?;
            // Anyone with CAP_NET_ADMIN in the namespace could write to us; the kernel is number 0.
            if from.port_number() != 0 {
                continue;
            }
            let mut rest = self.buffer.as_slice();
            while !rest.is_empty() {
                let message = NetlinkBuffer::new_checked(rest).map_err(|_| malformed())?;
                if message.sequence_number() == self.sequence {
                    torn |= message.flags() & NLM_F_DUMP_INTR != 0;
                    match message.message_type() {
                        NLMSG_DONE | NLMSG_ERROR => return status(message.payload()).map(|()| torn),
                        kind => each(kind, message.payload()),
                    }
                    if flags & NLM_F_DUMP != NLM_F_DUMP {
                        return Ok(torn);
                    }
                }
                let length = usize::try_from(message.length()).map_err(|_| malformed())?.next_multiple_of(4);
                rest = rest.get(length..).unwrap_or_default();
            }
        }
    }
}

/// Reads the first word of `NLMSG_ERROR` and `NLMSG_DONE`: 0, or a negative error number.
fn status(payload: &[u8]) -> io::Result<()> {
    match payload.get(..4).and_then(i32_of) {
        Some(code) if code < 0 => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        _ => Ok(()),
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the kernel sent a netlink message that does not end")
}

fn request(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    // Requests are a few dozen bytes long.
    header.length = u32::try_from(NLMSGHDR + body.len()).unwrap_or(u32::MAX);
    header.message_type = kind;
    header.flags = NLM_F_REQUEST | flags;
    header.sequence_number = sequence;
    let mut message = vec![0; NLMSGHDR];
    header.emit(&mut message);
    message.extend_from_slice(body);
    message
}

/// Asks for the links of a kind, without their counters.
fn links_request(kind: &str) -> Vec<u8> {
    let mut info = Vec::new();
    attribute(&mut info, IFLA_INFO_KIND, kind.as_bytes());
    let mut body = vec![0; IFINFOMSG];
    attribute(&mut body, IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
    attribute(&mut body, IFLA_LINKINFO, &info);
    body
}

fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    // Values are a few bytes long.
    let length = u16::try_from(NLA_HEADER_SIZE + value.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The attributes, up to the first broken one.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(|nla| {
        let nla = nla.ok()?;
        let (kind, length) = (nla.kind(), usize::from(nla.length()));
        Some((kind, nla.into_inner().get(NLA_HEADER_SIZE..length)?))
    })
}

fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(is, value)| (is == kind).then_some(value))
}

fn u32_of(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_ne_bytes)
}

fn i32_of(value: &[u8]) -> Option<i32> {
    value.try_into().ok().map(i32::from_ne_bytes)
}

/// The bytes up to the terminating zero.
fn text_of(value: &[u8]) -> Text {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    Text::from(value[..end].to_vec())
}

/// Reads the payload of `RTM_NEWLINK`; `None` if it is too short to be one.
fn parse_link(payload: &[u8]) -> Option<Link> {
    let ifindex = u32_of(payload.get(4..8)?)?;
    let mut link = Link { ifindex, flags: u32_of(payload.get(8..12)?)?, ..Link::default() };
    let (mut below, mut nsid) = (None, None);
    for (kind, value) in attributes(payload.get(IFINFOMSG..)?) {
        match kind {
            IFLA_IFNAME => link.name = text_of(value),
            IFLA_ADDRESS => link.mac = value.try_into().ok(),
            IFLA_LINK => below = u32_of(value).filter(|index| *index != 0),
            IFLA_PROTO_DOWN => link.protodown = value.first().map(|set| *set != 0),
            IFLA_LINK_NETNSID => nsid = i32_of(value),
            IFLA_LINKINFO => {
                link.kind = find(value, IFLA_INFO_KIND).map(text_of);
                let data = find(value, IFLA_INFO_DATA).unwrap_or_default();
                link.mode = find(data, IFLA_MACVLAN_MODE).and_then(u32_of);
            }
            _ => {}
        }
    }
    let kind = link.kind.as_ref().map_or(&b""[..], Text::as_bytes);
    link.mode = link.mode.and_then(|mode| kinds::mode(kind, mode));
    // The kernel leaves out an index equal to the link's own: then the link below is in another namespace, or there is
    // none.
    let below = below.or(nsid.map(|_| ifindex)).filter(|below| nsid.is_some() || *below != ifindex);
    link.below = below.map(|ifindex| Below { ifindex, nsid });
    Some(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The payload of a link message, of attributes.
    fn message(ifindex: u32, flags: u32, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = vec![0; IFINFOMSG];
        out[4..8].copy_from_slice(&ifindex.to_ne_bytes());
        out[8..12].copy_from_slice(&flags.to_ne_bytes());
        for (kind, value) in attributes {
            attribute(&mut out, *kind, value);
        }
        out
    }

    fn info(kind: &str, mode: u32) -> Vec<u8> {
        let (mut data, mut out) = (Vec::new(), Vec::new());
        attribute(&mut data, IFLA_MACVLAN_MODE, &mode.to_ne_bytes());
        attribute(&mut out, IFLA_INFO_KIND, kind.as_bytes());
        attribute(&mut out, IFLA_INFO_DATA | 0x8000, &data);
        out
    }

    #[test]
    fn a_macvlan_link_is_read_whole() {
        let payload = message(
            7,
            0x1043,
            &[
                (IFLA_IFNAME, b"macvlan0\0"),
                (IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]),
                (IFLA_LINK, &2_u32.to_ne_bytes()),
                (IFLA_LINKINFO | 0x8000, &info("macvlan\0", 4)),
                (IFLA_PROTO_DOWN, &[1]),
            ],
        );
        let expected = Link {
            ifindex: 7,
            name: "macvlan0".into(),
            kind: Some("macvlan".into()),
            flags: 0x1043,
            mac: Some([2, 0, 0, 0, 0, 1]),
            mode: Some(4),
            protodown: Some(true),
            below: Some(Below { ifindex: 2, nsid: None }),
        };
        assert_eq!(parse_link(&payload), Some(expected));
    }

    #[test]
    fn a_name_that_is_not_utf8_does_not_lose_the_link() {
        let link = parse_link(&message(7, 0, &[(IFLA_IFNAME, b"mv\xff\x1b\0")])).unwrap();
        assert_eq!(link.name, Text::from(b"mv\xff\x1b".to_vec()));
    }

    #[test]
    fn a_parent_in_another_namespace_may_have_the_same_index() {
        let nsid = 0_i32.to_ne_bytes();
        let link = parse_link(&message(7, 0, &[(IFLA_LINK_NETNSID, &nsid)])).unwrap();
        assert_eq!(link.below, Some(Below { ifindex: 7, nsid: Some(0) }));
        let link =
            parse_link(&message(7, 0, &[(IFLA_LINK, &7_u32.to_ne_bytes()), (IFLA_LINK_NETNSID, &nsid)]))
                .unwrap();
        assert_eq!(link.below, Some(Below { ifindex: 7, nsid: Some(0) }));
    }

    #[test]
    fn a_nic_has_nothing_below_and_no_mode() {
        let link = parse_link(&message(2, 0, &[(IFLA_IFNAME, b"eth0\0")])).unwrap();
        assert_eq!((link.below, link.kind, link.mode), (None, None, None));
        let link = parse_link(&message(3, 0, &[(IFLA_LINKINFO, &info("ipvlan\0", 1))])).unwrap();
        assert_eq!(link.mode, None);
    }

    #[test]
    fn broken_messages_are_bounded() {
        assert_eq!(parse_link(&[]), None);
        assert_eq!(parse_link(&[0; 15]), None);
        let whole = message(7, 0, &[(IFLA_IFNAME, b"macvlan0\0"), (IFLA_LINKINFO, &info("macvlan\0", 4))]);
        for length in 0..whole.len() {
            let _ = parse_link(&whole[..length]);
        }
        let mut lying = whole.clone();
        lying[IFINFOMSG] = 0xff;
        assert_eq!(parse_link(&lying).unwrap().name, Text::default());
        lying[IFINFOMSG] = 0;
        assert_eq!(parse_link(&lying).unwrap().name, Text::default());
    }

    #[test]
    fn an_error_of_the_kernel_is_an_error() {
        assert!(status(&0_i32.to_ne_bytes()).is_ok());
        assert!(status(&[]).is_ok());
        assert_eq!(status(&(-19_i32).to_ne_bytes()).unwrap_err().raw_os_error(), Some(19));
        assert!(status(&i32::MIN.to_ne_bytes()).is_err());
    }

    #[test]
    fn the_loopback_device_answers() {
        let mut netlink = Netlink::open().unwrap();
        let lo = netlink.link(1).unwrap().unwrap();
        assert_eq!((lo.name, lo.kind), ("lo".into(), None));
        assert_eq!(netlink.link(u32::MAX >> 1).unwrap_err().raw_os_error(), Some(19));
        assert!(netlink.links("no such kind").unwrap().is_empty());
        let own = std::fs::File::open("/proc/self/ns/net").unwrap();
        netlink.nsid(std::os::fd::AsFd::as_fd(&own)).unwrap();
    }
}
