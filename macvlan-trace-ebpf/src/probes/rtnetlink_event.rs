//! `rtnetlink_event(nb, event, info)`: a notifier that sees every change of every device, in the context of the task
//! that causes it. It reports changes that need no probe of their own. It is also the independent check: it reports an
//! effect that no probe has announced as unseen.

use aya_ebpf::{macros::kprobe, programs::ProbeContext};
use aya_log_ebpf::debug;
use macvlan_trace_common::{Kind, LinkChange, Probe};

use crate::{
    capture::netdev,
    kread::{read, settings},
    report::hand_over,
    request::{Change, Request},
    state::{
        announced::{DELETED, DOWN, announce, forget, settle},
        moves, parents, watched,
    },
};

/// `enum netdev_cmd`, include/linux/netdevice.h; these have kept their numbers since 5.0.
const NETDEV_UP: u64 = 1;
const NETDEV_DOWN: u64 = 2;
const NETDEV_UNREGISTER: u64 = 6;
const NETDEV_CHANGEADDR: u64 = 8;
const NETDEV_GOING_DOWN: u64 = 10;
const NETDEV_CHANGENAME: u64 = 11;

/// Reports links created, up, renamed and with another hardware address, and the effects that nobody announced.
#[kprobe]
pub fn rtnetlink_event(ctx: ProbeContext) -> u32 {
    let (Some(event), Some(info)) = (ctx.arg::<u64>(1), ctx.arg::<u64>(2)) else { return 0 };
    let (dev, what) = if event == u64::from(settings().changeupper) {
        // A macvlan is complete once it is joined to its parent, which is this event.
        if read!(info, changeupper_linking as u8) != 1 {
            return 0;
        }
        (read!(info, changeupper_upper), LinkChange::Created)
    } else {
        let what = match event {
            NETDEV_UP => LinkChange::Up,
            NETDEV_CHANGEADDR => LinkChange::MacChanged,
            NETDEV_GOING_DOWN => LinkChange::Down,
            NETDEV_CHANGENAME => LinkChange::Renamed,
            NETDEV_DOWN => LinkChange::UnseenDown,
            NETDEV_UNREGISTER => {
                // A namespace that ends always loses its loopback device, so this misses no end.
                watched::forget_ended(read!(read!(info, notifier_dev), dev_net));
                LinkChange::UnseenDeleted
            }
            _ => return 0,
        };
        (read!(info, notifier_dev), what)
    };
    let Some(of) = parents::role(dev) else { return 0 };
    // Of a parent, the news is the device that has joined it, such as a port of a bridge.
    let dev = match (what, of) {
        (LinkChange::Created, Kind::Parent) => read!(info, notifier_dev),
        _ => dev,
    };
    let mut change = Change::new(of, what, Probe::Notifier);
    let news = match what {
        // Traced links have a hook of their own for this, which sees the first of several that are closed at once.
        // Parents are closed together: 8021q closes all VLANs on a NIC with it.
        LinkChange::Down => {
            change = Change::down(of, netdev::flags(dev), Probe::Notifier);
            of == Kind::Parent
                && netdev::is_registered(dev)
                && !netdev::is_dismantled(dev)
                && !moves::is_moving(dev)
                && announce(dev, DOWN)
        }
        // Effects of a deletion and of a move are not downs; a move unregisters a device that stays registered.
        LinkChange::UnseenDown => {
            netdev::is_registered(dev)
                && !netdev::is_dismantled(dev)
                && !moves::is_moving(dev)
                && !settle(dev, DOWN)
        }
        LinkChange::UnseenDeleted | LinkChange::Renamed | LinkChange::MacChanged if of == Kind::Parent => {
            false
        }
        LinkChange::UnseenDeleted => netdev::is_unregistering(dev) && !settle(dev, DELETED),
        LinkChange::Created => {
            forget(dev, DELETED);
            true
        }
        LinkChange::Up => {
            forget(dev, DOWN);
            true
        }
        _ => true,
    };
    if news {
        debug!(&ctx, "netdev event {}: dev {:x}", event, dev);
        hand_over(&ctx, Request::Link { dev, change });
    }
    0
}
