//! Takes stock of every network namespace once the probes are attached: which links exist already, where they are, and
//! the names of the namespaces.
//!
//! One thread enters each namespace, asks for its links and goes on. It holds a namespace only while it is inside, so
//! it delays an end by a moment at most.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    thread,
};

use anyhow::{Context, anyhow};
use rustix::{
    fs::{Mode, OFlags},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::{
    namespaces::{self, Closed, FoundNamespaces, Namespace},
    netlink::{Below, Netlink},
};
use crate::{
    fact::{Netns, NsInode, Stock},
    kernel::kinds,
    text::Text,
};

/// How many namespaces are asked whether they hold a parent, for each namespace whose links have parents elsewhere.
const MAX_ASKED: usize = 256;

/// The inventory's interface to the kernel side.
pub trait KernelView: Send {
    /// The namespace that the tracer's own thread entered last, as the probe on `switch_task_namespaces` saw it.
    /// `None` if that probe is not attached.
    fn entered(&mut self) -> Option<Netns>;

    /// From now on, the tasks of this namespace matter.
    fn watch(&mut self, netns: &Netns);

    /// It contains nothing that matters after all.
    fn unwatch(&mut self, netns: &Netns);
}

/// What was there before the tracer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The links.
    pub stock: Vec<Stock>,
    /// The names of the namespaces.
    pub names: Vec<(Netns, Text)>,
    /// How many namespaces were looked into.
    pub namespaces: usize,
    /// How many could not be.
    pub unseen: usize,
    /// How many of these have an unknown address ([`Netns::ptr`] is 0), because the probe did not see the tracer enter.
    /// Their links are listed, but later facts cannot be joined with them.
    pub unjoined: usize,
    /// Processes whose namespace the tracer may not read.
    pub unreadable: usize,
}

/// Looks into every network namespace, from a thread of its own.
pub fn take(mut view: impl KernelView) -> anyhow::Result<Inventory> {
    thread::scope(|scope| {
        thread::Builder::new()
            .name("inventory".into())
            .spawn_scoped(scope, || Survey::new(&mut view).map(Survey::run))
            .context("no thread could be started to look into the network namespaces; see `ulimit -u`")?
            .join()
            .unwrap_or_else(|_| {
                Err(anyhow!("looking into the network namespaces failed; please report this bug"))
            })
    })
}

/// Inode number of the pid namespace that we are in.
#[must_use]
pub fn own_pidns() -> Option<u32> {
    namespaces::read_link(Path::new("/proc/self/ns/pid"), b"pid").map(|inode| inode.0)
}

/// Inode number of the machine's own network namespace; of the tracer's own, if that cannot be seen.
#[must_use]
pub fn host_netns() -> Option<u32> {
    ["/proc/1/ns/net", "/proc/self/ns/net"]
        .iter()
        .find_map(|link| namespaces::read_link(Path::new(link), b"net"))
        .map(|inode| inode.0)
}

/// The work of the thread.
struct Survey<'a, V> {
    view: &'a mut V,
    found: FoundNamespaces,
    /// The thread's first namespace, to return to.
    home: OwnedFd,
    /// The namespace that the thread is in.
    here: Option<NsInode>,
    /// Where parents are likely to be: the machine's own namespace, then others in which a parent was found.
    likely: Vec<usize>,
    /// Links whose parent is elsewhere: the place of its namespace, its index there, and the place in the stock.
    elsewhere: BTreeMap<usize, Vec<(u32, usize)>>,
    inventory: Inventory,
}

impl<'a, V: KernelView> Survey<'a, V> {
    fn new(view: &'a mut V) -> anyhow::Result<Self> {
        let home =
            rustix::fs::open("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .context("/proc/thread-self/ns/net cannot be opened: is /proc mounted?")?;
        let found = FoundNamespaces::find();
        let inventory = Inventory { unreadable: found.unreadable, ..Inventory::default() };
        let here = namespaces::inode_of(&home);
        Ok(Self { view, found, home, here, likely: vec![0], elsewhere: BTreeMap::new(), inventory })
    }

    fn run(mut self) -> Inventory {
        for place in 0..self.found.all.len() {
            let looked = self.enter(place).and_then(|netns| self.look(place, netns));
            match looked {
                Ok(()) => self.inventory.namespaces += 1,
                Err(Closed::Gone) => {}
                Err(Closed::Refused) => self.inventory.unseen += 1,
            }
        }
        for (place, links) in std::mem::take(&mut self.elsewhere) {
            // If it fails, the parent stays unknown.
            let _ = self.enter(place).and_then(|netns| self.look_at_parents(netns, &links));
        }
        // The thread ends here anyway; this releases the last namespace a moment earlier.
        let _ = move_into_link_name_space(self.home.as_fd(), Some(LinkNameSpaceType::Network));
        self.inventory
    }

    /// Enters a namespace and has it watched.
    fn enter(&mut self, place: usize) -> Result<Netns, Closed> {
        let inode = self.found.all[place].inode;
        let file = self.found.all[place].open()?;
        let moved = move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network));
        drop(file);
        match moved {
            Ok(()) => self.here = Some(inode),
            // Without CAP_SYS_ADMIN, the namespace that we are in can still be looked at.
            Err(_) if self.here == Some(inode) => {}
            Err(_) => return Err(Closed::Refused),
        }
        let seen = moved.ok().and_then(|()| self.view.entered());
        let seen = seen.filter(|netns| netns.ptr != 0 && netns.inode.is_none_or(|seen| seen == inode));
        let netns = Netns {
            ptr: seen.map_or(0, |netns| netns.ptr),
            cookie: seen.and_then(|netns| netns.cookie),
            inode: Some(inode),
        };
        // The first place is the machine's own namespace, which never ends.
        if is_known(&netns) && place != 0 {
            self.view.watch(&netns);
        }
        Ok(netns)
    }

    /// Lists the links of the namespace that the thread has entered.
    fn look(&mut self, place: usize, netns: Netns) -> Result<(), Closed> {
        let listed = Netlink::open().and_then(|mut netlink| {
            let mut links = Vec::new();
            for kind in kinds::all() {
                links.extend(netlink.links(kind.word)?);
            }
            Ok((netlink, links))
        });
        let Ok((mut netlink, links)) = listed else {
            self.unwatch(place, &netns);
            return Err(Closed::Refused);
        };
        if links.is_empty() {
            self.unwatch(place, &netns);
        }
        for link in links {
            let below = link.below;
            let mut parent = None;
            match below {
                Some(Below { ifindex, nsid: None }) => {
                    parent = netlink.link(ifindex).ok().flatten().map(|parent| parent.into_fact(netns));
                }
                Some(Below { ifindex, nsid: Some(nsid) }) => {
                    if let Some(other) = self.namespace_with_id(&mut netlink, nsid) {
                        self.elsewhere.entry(other).or_default().push((ifindex, self.inventory.stock.len()));
                    }
                }
                None => {}
            }
            self.inventory.stock.push(Stock { link: link.into_fact(netns), parent });
        }
        if !is_known(&netns) {
            self.inventory.unjoined += 1;
        }
        self.inventory.names.extend(self.found.all[place].name.clone().map(|name| (netns, name)));
        Ok(())
    }

    /// Fills in the parents that are in the namespace that the thread has entered.
    fn look_at_parents(&mut self, netns: Netns, links: &[(u32, usize)]) -> Result<(), Closed> {
        let mut netlink = Netlink::open().map_err(|_| Closed::Refused)?;
        for &(ifindex, stock) in links {
            let parent = netlink.link(ifindex).ok().flatten();
            self.inventory.stock[stock].parent = parent.map(|parent| parent.into_fact(netns));
        }
        Ok(())
    }

    /// The place of the namespace that has this number in the socket's namespace.
    fn namespace_with_id(&mut self, netlink: &mut Netlink, nsid: i32) -> Option<usize> {
        let all = &self.found.all;
        let others = (0..all.len()).filter(|place| !self.likely.contains(place));
        let mut asked = self.likely.iter().copied().chain(others).take(MAX_ASKED);
        let place = asked.find(|place| has_id(netlink, &all[*place], nsid))?;
        if !self.likely.contains(&place) {
            self.likely.push(place);
        }
        Some(place)
    }

    fn unwatch(&mut self, place: usize, netns: &Netns) {
        if place != 0 && is_known(netns) {
            self.view.unwatch(netns);
        }
    }
}

fn is_known(netns: &Netns) -> bool {
    netns.ptr != 0
}

fn has_id(netlink: &mut Netlink, namespace: &Namespace, nsid: i32) -> bool {
    namespace.open().is_ok_and(|file| netlink.nsid(file.as_fd()).is_ok_and(|id| id == Some(nsid)))
}
