//! The life of each link. A link keeps its identity when it is renamed, moved or given a new index.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
};

use super::{
    Case,
    addresses::Addresses,
    blame::Ended,
    owners::Home,
    parents::ParentChange,
    rivals::{Deed, History},
};
use crate::{
    bounded::Bounded,
    fact::{Ktime, Link, LinkChange, LinkFact, Netns, Stock, Task},
    text::Text,
};

/// Links remembered. If a link was forgotten, its past is unknown, as if it were older than the tracer.
const MAX_LINKS: usize = 65_536;
/// Former names remembered for a link, the latest ones.
const MAX_FORMER_NAMES: usize = 8;
/// Namespaces remembered for a link, the latest.
const MAX_HOMES: usize = 8;

/// What is known about a link's life.
#[derive(Clone, Debug)]
pub struct Life {
    /// The same for its whole life.
    pub id: u64,
    /// The name that it had up to this change.
    pub name_before: Text,
    /// Names that it had before, oldest first.
    pub former_names: Vec<Text>,
    /// The name that it had when it last came up. Runtimes give a link a temporary name before they delete it.
    pub known_as: Text,
    /// When it was created; `None` if that was before the tracer.
    pub created: Option<Ktime>,
    /// When it came to the namespace in which it is, if it was seen moving there.
    pub arrived: Option<Ktime>,
    /// Who created it.
    pub creator: Option<Rc<Task>>,
    /// When it last came up; `None` if that was before the tracer, or it is down.
    pub up_since: Option<Ktime>,
    /// When it last came up, even if it is down by now.
    pub last_up: Option<Ktime>,
    /// How often it came up.
    pub ups: u64,
    /// The link as it was last seen.
    pub last: Link,
    /// Its hardware address before the last change of it.
    pub former_mac: Option<[u8; 6]>,
    /// The link below it, as it was last seen.
    pub parent: Option<Link>,
    /// The change of its parent that took its carrier away; `None` once the carrier is back.
    pub carrier_lost: Option<Rc<ParentChange>>,
    /// The end of its container's main process, and the namespace's generation, once a runtime has begun to clear the
    /// link away.
    pub orphaned: Option<(Rc<Ended>, u64)>,
    /// The last request for it that failed, while nobody has set it up since.
    pub failed: Option<Rc<Case>>,
    /// Whether a runtime changed it while the tracer could not know if the main process of its container had ended.
    pub end_unclear: bool,
    /// Who set it up and down.
    pub history: History,
    /// Its addresses, with who set them.
    pub addresses: Addresses,
    /// The namespaces that it lived in, latest last.
    pub homes: Vec<Rc<Home>>,
}

impl Life {
    /// Since when it has been in its namespace, if that was seen.
    #[must_use]
    pub fn there_since(&self) -> Option<Ktime> {
        self.arrived.or(self.created)
    }

    /// Notes that it is in a namespace.
    pub fn enter_home(&mut self, home: &Rc<Home>) {
        if self.homes.last().is_some_and(|last| last.generation == home.generation) {
            return;
        }
        self.homes.retain(|known| known.generation != home.generation);
        if self.homes.len() >= MAX_HOMES {
            self.homes.remove(0);
        }
        self.homes.push(Rc::clone(home));
    }

    /// Whether a fact is about this link, by where it was before the change. A created link cannot be one whose device
    /// is known. It can be one from a dump, which is known only by its place.
    fn is_of(&self, fact: &LinkFact, netns: Option<&Netns>, ifindex: u32) -> bool {
        let same_device = match (self.last.dev, fact.link.dev) {
            (Some(known), Some(dev)) => known == dev && fact.change != LinkChange::Created,
            _ => true,
        };
        let same_netns = self.last.netns.is_none_or(|known| netns.is_none_or(|netns| known.is(netns)));
        same_device && same_netns && self.last.ifindex == ifindex
    }
}

/// How many links a parent carried, and in how many network namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Siblings {
    /// Links.
    pub links: usize,
    /// Network namespaces.
    pub namespaces: usize,
}

/// All links.
///
/// The record of a deletion may be lost. Then the link is forgotten as soon as another link has its device's address or
/// its place, or another namespace has the address of its namespace.
#[derive(Default)]
pub struct Links {
    last_id: u64,
    lives: Bounded<u64, Life, MAX_LINKS>,
    /// By the address of the device; links of a dump have none yet.
    by_dev: HashMap<u64, u64>,
    /// By the address of the namespace, and the index there.
    by_place: BTreeMap<(u64, u32), u64>,
    /// Addresses of links that others stand on, such as an ipvlan on a macvlan. There are hardly any.
    carriers: Bounded<u64, (), MAX_LINKS>,
}

impl Links {
    /// A link that was there before the tracer.
    pub fn stock(&mut self, stock: &Stock) {
        let Some(netns) = stock.link.netns else { return };
        self.forget_former(&netns);
        // A dump that is made after the probes are attached also lists links that the probes have reported.
        if !self.by_place.contains_key(&(netns.ptr, stock.link.ifindex)) {
            self.add(&stock.link, stock.parent.as_ref());
        }
    }

    /// The namespaces that links live in.
    pub fn homes(&self) -> impl Iterator<Item = &Netns> {
        self.lives.iter().filter_map(|(_, life)| life.last.netns.as_ref())
    }

    /// Whether any link, or the parent of one, is in a namespace.
    pub fn refer_to(&self, netns: &Netns) -> bool {
        let is_there = |link: &Link| link.netns.is_some_and(|known| known.is(netns));
        self.lives.iter().any(|(_, life)| is_there(&life.last) || life.parent.as_ref().is_some_and(is_there))
    }

    /// The links that stand on a parent, in the order in which they were first seen.
    pub fn on(&self, parent: &Link) -> Vec<&Life> {
        let mut children: Vec<_> = self
            .lives
            .iter()
            .map(|(_, life)| life)
            .filter(|life| life.parent.as_ref().is_some_and(|known| is_same(known, parent)))
            .collect();
        children.sort_unstable_by_key(|life| life.id);
        children
    }

    /// Whether other links stand on a link.
    pub fn carries(&self, link: &Link) -> bool {
        link.dev.is_some_and(|dev| self.carriers.get(&dev).is_some())
    }

    /// How many links stand on a parent, this one included.
    pub fn siblings(&self, parent: &Link, of: &Life) -> Siblings {
        let others = self.on(parent).into_iter().filter(|life| life.id != of.id);
        let (mut links, mut homes) = (1, HashSet::from([of.last.netns.map(|netns| netns.ptr)]));
        for other in others {
            links += 1;
            homes.insert(other.last.netns.map(|netns| netns.ptr));
        }
        Siblings { links, namespaces: homes.len() }
    }

    /// A life, to be changed.
    pub fn life_mut(&mut self, id: u64) -> Option<&mut Life> {
        self.lives.get_mut(&id)
    }

    /// The life of a link that is known, to be changed.
    pub fn find_mut(&mut self, link: &Link) -> Option<&mut Life> {
        let by_dev = link.dev.and_then(|dev| self.by_dev.get(&dev));
        let id = by_dev.or_else(|| self.by_place.get(&place(link)?))?;
        let life = self.lives.get_mut(id)?;
        let is_there = life.last.netns.is_none_or(|known| link.netns.is_none_or(|netns| known.is(&netns)));
        (is_there && life.last.ifindex == link.ifindex).then_some(life)
    }

    /// Forgets who set which address, since it may have gone and come again unseen.
    pub fn forget_setters(&mut self) {
        for life in self.lives.values_mut() {
            life.addresses.clear();
        }
    }

    /// Notes a change. Returns the life up to the change, with the new name and place.
    pub fn change(&mut self, at: Ktime, fact: &LinkFact, actor: &Rc<Task>) -> Life {
        let id = self.identify(fact);
        let life = self.lives.get_or_insert_with(id, || newborn(id, &fact.link, fact.parent.as_ref()));
        match fact.change {
            LinkChange::Created => {
                life.created = Some(at);
                life.creator = Some(Rc::clone(actor));
            }
            LinkChange::Up => {
                life.up_since = Some(at);
                life.last_up = Some(at);
                life.ups += 1;
                life.known_as.clone_from(&fact.link.name);
                life.orphaned = None;
                life.failed = None;
                life.end_unclear = false;
                life.history.push(Deed { at, up: true, by: Rc::clone(actor) });
            }
            LinkChange::Down => life.history.push(Deed { at, up: false, by: Rc::clone(actor) }),
            LinkChange::MacChanged => life.former_mac = life.last.mac,
            _ => {}
        }
        life.name_before.clone_from(&life.last.name);
        if life.last.name != fact.link.name {
            let former = life.last.name.clone();
            life.former_names.retain(|name| *name != former && *name != fact.link.name);
            life.former_names.push(former);
            if life.former_names.len() > MAX_FORMER_NAMES {
                life.former_names.remove(0);
            }
        }
        let before = std::mem::replace(&mut life.last, fact.link.clone());
        if fact.parent.is_some() {
            life.parent.clone_from(&fact.parent);
        }
        let seen = life.clone();
        if let Some(dev) =
            fact.parent.as_ref().filter(|parent| parent.family().is_some()).and_then(|it| it.dev)
        {
            self.carriers.insert(dev, ());
        }
        match fact.change {
            LinkChange::Down | LinkChange::UnseenDown | LinkChange::Moved => {
                life.up_since = None;
                life.last.flags &= !IFF_UP;
            }
            LinkChange::CarrierBack => life.carrier_lost = None,
            _ => {}
        }
        match (fact.change, fact.address) {
            (LinkChange::AddressRemoved, Some(address)) => life.addresses.remove(address),
            // The kernel flushes them (`__dev_change_net_namespace`).
            (LinkChange::Moved, _) => life.addresses.clear(),
            _ => {}
        }
        self.unlist(id, &before);
        match fact.change {
            LinkChange::Deleted | LinkChange::UnseenDeleted => self.forget(id),
            _ => self.list(id, &fact.link),
        }
        seen
    }

    /// The life of a link that was wanted and not made: nothing more can happen to it.
    pub fn unborn(&mut self, fact: &LinkFact) -> Life {
        self.last_id += 1;
        newborn(self.last_id, &fact.link, fact.parent.as_ref())
    }

    /// A parent has moved or has another name.
    pub fn parent_is(&mut self, children: &[u64], parent: &Link) {
        for id in children {
            if let Some(life) = self.lives.get_mut(id) {
                life.parent = Some(parent.clone());
            }
        }
    }

    /// How many were pushed out by others.
    pub fn evicted(&self) -> u64 {
        self.lives.evicted()
    }

    /// The id of the link that a fact is about: by its device, else by the place in which a dump listed it. If another
    /// link was known by either, it is gone.
    fn identify(&mut self, fact: &LinkFact) -> u64 {
        let (netns, ifindex) = match fact.from {
            Some((netns, ifindex)) => (Some(netns), ifindex),
            None => (fact.link.netns, fact.link.ifindex),
        };
        for netns in [&netns, &fact.link.netns].into_iter().flatten() {
            self.forget_former(netns);
        }
        let by_dev = fact.link.dev.and_then(|dev| self.by_dev.get(&dev)).copied();
        let by_place = netns.and_then(|netns| self.by_place.get(&(netns.ptr, ifindex))).copied();
        let mut found = None;
        for id in [by_dev, by_place].into_iter().flatten() {
            let is_it = |life: &Life| life.is_of(fact, netns.as_ref(), ifindex);
            if found.is_none() && self.lives.get(&id).is_some_and(is_it) {
                found = Some(id);
            } else if found != Some(id) {
                self.forget(id);
            }
        }
        found.unwrap_or_else(|| self.add(&fact.link, fact.parent.as_ref()))
    }

    /// Forgets links of the namespace that had the address before, if no deletion was seen: the kernel frees a
    /// namespace after its links.
    fn forget_former(&mut self, netns: &Netns) {
        let there = || self.by_place.range((netns.ptr, 0)..=(netns.ptr, u32::MAX)).map(|(_, id)| *id);
        let is_former = |id: &u64| {
            self.lives.get(id).and_then(|life| life.last.netns).is_some_and(|known| !known.is(netns))
        };
        // All links at this address are in one namespace.
        if there().next().is_some_and(|first| is_former(&first)) {
            let former: Vec<_> = there().filter(is_former).collect();
            for id in former {
                self.forget(id);
            }
        }
    }

    fn add(&mut self, link: &Link, parent: Option<&Link>) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        if let Some((oldest, life)) = self.lives.insert(id, newborn(id, link, parent)) {
            self.unlist(oldest, &life.last);
        }
        self.list(id, link);
        id
    }

    fn forget(&mut self, id: u64) {
        if let Some(life) = self.lives.remove(&id) {
            if let Some(dev) = life.last.dev {
                self.carriers.remove(&dev);
            }
            self.unlist(id, &life.last);
        }
    }

    /// Indexes a link by its device and by its place. If another link was there before, it is gone.
    fn list(&mut self, id: u64, link: &Link) {
        let by_dev = link.dev.and_then(|dev| self.by_dev.insert(dev, id));
        let by_place = place(link).and_then(|place| self.by_place.insert(place, id));
        for former in [by_dev, by_place].into_iter().flatten().filter(|former| *former != id) {
            self.forget(former);
        }
    }

    /// Removes a link from the indexes.
    fn unlist(&mut self, id: u64, link: &Link) {
        if let Some(dev) = link.dev.filter(|dev| self.by_dev.get(dev) == Some(&id)) {
            self.by_dev.remove(&dev);
        }
        if let Some(place) = place(link).filter(|place| self.by_place.get(place) == Some(&id)) {
            self.by_place.remove(&place);
        }
    }
}

/// The address of a link's namespace, and its index there.
fn place(link: &Link) -> Option<(u64, u32)> {
    link.netns.map(|netns| (netns.ptr, link.ifindex))
}

const IFF_UP: u32 = macvlan_trace_common::IFF_UP;

/// Whether both describe one device, by its address; a dump has no address, so then by its place.
fn is_same(one: &Link, other: &Link) -> bool {
    match (one.dev, other.dev) {
        (Some(one), Some(other)) => one == other,
        _ => {
            one.ifindex == other.ifindex
                && one.netns.is_some_and(|netns| other.netns.is_some_and(|other| other.ptr == netns.ptr))
        }
    }
}

fn newborn(id: u64, link: &Link, parent: Option<&Link>) -> Life {
    Life {
        id,
        name_before: link.name.clone(),
        former_names: Vec::new(),
        known_as: link.name.clone(),
        created: None,
        arrived: None,
        creator: None,
        up_since: None,
        last_up: None,
        ups: 0,
        last: link.clone(),
        former_mac: None,
        parent: parent.cloned(),
        carrier_lost: None,
        orphaned: None,
        failed: None,
        end_unclear: false,
        history: History::default(),
        addresses: Addresses::default(),
        homes: Vec::new(),
    }
}
