//! What the programs keep between each other, where a part of it was missed.

use std::{
    fs::File,
    net::UdpSocket,
    os::fd::{AsFd as _, AsRawFd as _},
    thread,
};

use aya::{
    Pod,
    maps::{HashMap, Map, MapData, loaded_maps},
};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use rustix::{
    net::netdevice::name_to_index,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use crate::harness::{NamedNetns, Parent, Trace, ip, until};

/// How many entries with values of this type a map of the tracer's has that was started last.
fn entries<V: Pod>(map: &str) -> usize {
    let id = loaded_maps()
        .map(|info| info.expect("the maps can be listed"))
        .filter(|info| info.name_as_str() == Some(map))
        .map(|info| info.id())
        .max()
        .expect("there is such a map");
    let map = MapData::from_id(id).and_then(Map::from_map_data).expect("the map is there");
    let map: HashMap<MapData, u64, V> = map.try_into().expect("it has such keys and values");
    map.keys().count()
}

/// What is asked of a link.
enum Wish<'a> {
    Up,
    Down,
    Into(&'a File),
}

/// Has the calling thread ask for a change of a link in the network namespace that it is in; `ip` ends after each.
fn ask(link: &str, wish: &Wish<'_>) {
    const RTM_NEWLINK: u16 = 16;
    const REQUEST_AND_ACK: u16 = 5;
    const IFLA_NET_NS_FD: u16 = 28;
    const IFF_UP: u32 = 1;

    let any = UdpSocket::bind("0.0.0.0:0").expect("a socket can be made");
    let index = name_to_index(any, link).expect("the link is there");
    let (flags, change, netns) = match wish {
        Wish::Up => (IFF_UP, IFF_UP, None),
        Wish::Down => (0, IFF_UP, None),
        Wish::Into(netns) => (0, 0, Some(netns.as_raw_fd())),
    };
    // struct nlmsghdr, struct ifinfomsg, and an attribute.
    let mut message: Vec<u8> = Vec::new();
    for part in [0, u32::from(RTM_NEWLINK) | u32::from(REQUEST_AND_ACK) << 16, 1, 0, 0, index, flags, change]
    {
        message.extend(part.to_ne_bytes());
    }
    if let Some(fd) = netns {
        message.extend((8 | u32::from(IFLA_NET_NS_FD) << 16).to_ne_bytes());
        message.extend(fd.to_ne_bytes());
    }
    let len = u32::try_from(message.len()).expect("it is short");
    message[..4].copy_from_slice(&len.to_ne_bytes());

    let socket = Socket::new(NETLINK_ROUTE).expect("a socket can be made");
    socket.send(&message, 0).expect("the kernel listens");
    let (answer, _) = socket.recv_from_full().expect("the kernel answers");
    assert_eq!(answer[16..20], [0; 4], "the kernel refuses, by this errno");
}

#[test]
fn a_return_that_was_missed_hides_nothing_and_is_forgotten() {
    let _parent = Parent::dummy("par0");
    let there = NamedNetns::add("mt-there");
    ip("link add macvlan0 link par0 type macvlan");
    let mut args = Vec::new();
    for hook in ["change_netns_return", "open_return", "change_flags", "close_many"] {
        args.extend(["--without", hook]);
    }
    let mut trace = Trace::start(&args);
    thread::spawn(|| {
        let netns = File::open("/run/netns/mt-there").expect("it is there");
        ask("macvlan0", &Wish::Into(&netns));
        move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("it can be entered");
        ask("macvlan0", &Wish::Up);
        ask("macvlan0", &Wish::Down);
        assert_eq!(
            (entries::<[u64; 8]>("MOVES"), entries::<[u64; 6]>("ATTEMPTS")),
            (1, 1),
            "both returns were missed"
        );
    })
    .join()
    .expect("the thread does what it has to");
    assert_eq!((entries::<[u64; 8]>("MOVES"), entries::<[u64; 6]>("ATTEMPTS")), (0, 0));
    let unseen = trace.wait_for("the down that nobody asked for", |record| record["type"] == "unattributed");
    assert_eq!(unseen["event"], "down", "{unseen}");
    assert_eq!(unseen["link"]["netns"]["inode"], there.inode(), "{unseen}");
    trace.stop();
}

#[test]
fn a_namespace_whose_end_was_not_seen_is_forgotten() {
    let _parent = Parent::dummy("par0");
    let mut trace = Trace::start(&["-e", "all", "--without", "put_net", "--without", "netns_put"]);
    for takes_its_link_along in [true, false] {
        let netns = NamedNetns::add("mt-there");
        ip("link add macvlan0 link par0 netns mt-there type macvlan");
        ip("-n mt-there link set macvlan0 up");
        trace.wait_for_event("up", "macvlan0");
        assert_eq!(entries::<u32>("NETNS"), 1);
        if !takes_its_link_along {
            ip("-n mt-there link del macvlan0");
        }
        drop(netns);
        until("the namespace is forgotten", || entries::<u32>("NETNS") == 0);
    }
    trace.stop();
}

#[test]
fn a_move_to_where_the_link_is_already_is_none() {
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    let trace = Trace::start(&["-e", "all"]);
    ip(&format!("link set macvlan0 netns {}", std::process::id()));
    trace.stop().nothing();
}
