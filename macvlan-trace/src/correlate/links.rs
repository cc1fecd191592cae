//! The life of each link. A link keeps its identity through rename, move and new index.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use super::{
    blame::Ended,
    parents::ParentChange,
    rivals::{Deed, History},
};
use crate::{
    fact::{Ktime, Link, LinkChange, LinkFact, Netns, Stock, Task},
    text::Text,
};

/// Links remembered. Beyond that a link's past is unknown, as if the tracer had come later.
const MAX_LINKS: usize = 65_536;
/// Former names remembered for a link, the latest ones.
const MAX_FORMER_NAMES: usize = 8;

/// What is known about a link's life.
#[derive(Clone, Debug)]
pub struct Life {
    /// The same for its whole life.
    pub id: u64,
    /// Names that it had before, oldest first.
    pub former_names: Vec<Text>,
    /// The name that it had when it last came up. Runtimes give a link a passing name before they delete it.
    pub known_as: Text,
    /// When it was created; `None` if that was before the tracer.
    pub created: Option<Ktime>,
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
    /// The change of its parent that took its carrier, until it is back.
    pub carrier_lost: Option<Rc<ParentChange>>,
    /// The end of its container's main process, once somebody has begun to clear the link away after it.
    pub orphaned: Option<(Rc<Ended>, u64)>,
    /// Whether a runtime changed it when it was not known if the main process of its container had ended.
    pub end_unclear: bool,
    /// Who set it up and down.
    pub history: History,
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
#[derive(Default)]
pub struct Links {
    last_id: u64,
    lives: HashMap<u64, Life>,
    /// By the address of the device.
    by_dev: HashMap<u64, u64>,
    /// Links whose device's address is not known yet, by namespace and index.
    by_place: HashMap<(u64, u32), u64>,
}

impl Links {
    /// A link that was there before the tracer.
    pub fn stock(&mut self, stock: &Stock) {
        let Some(netns) = stock.link.netns else { return };
        let id = self.add(&stock.link, stock.parent.as_ref());
        self.by_place.insert((netns.ptr, stock.link.ifindex), id);
    }

    /// The namespaces that links live in.
    pub fn homes(&self) -> impl Iterator<Item = &Netns> {
        self.lives.values().filter_map(|life| life.last.netns.as_ref())
    }

    /// The links that stand on a parent, in the order in which they were first seen.
    pub fn on(&self, parent: &Link) -> Vec<&Life> {
        let mut children: Vec<_> = self
            .lives
            .values()
            .filter(|life| life.parent.as_ref().is_some_and(|known| is_same(known, parent)))
            .collect();
        children.sort_unstable_by_key(|life| life.id);
        children
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

    /// A life, to be added to.
    pub fn life_mut(&mut self, id: u64) -> Option<&mut Life> {
        self.lives.get_mut(&id)
    }

    /// Notes a change; the life up to it, with the change's own new name and place in it.
    pub fn change(&mut self, at: Ktime, fact: &LinkFact, actor: &Rc<Task>) -> Life {
        let id = self.identify(fact);
        let Some(life) = self.lives.get_mut(&id) else { return stranger(fact, id) };
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
                life.end_unclear = false;
                life.history.push(Deed { at, up: true, by: Rc::clone(actor) });
            }
            LinkChange::Down => life.history.push(Deed { at, up: false, by: Rc::clone(actor) }),
            LinkChange::MacChanged => life.former_mac = life.last.mac,
            _ => {}
        }
        if life.last.name != fact.link.name {
            let former = life.last.name.clone();
            life.former_names.retain(|name| *name != former && *name != fact.link.name);
            life.former_names.push(former);
            if life.former_names.len() > MAX_FORMER_NAMES {
                life.former_names.remove(0);
            }
        }
        life.last.clone_from(&fact.link);
        if fact.parent.is_some() {
            life.parent.clone_from(&fact.parent);
        }
        let seen = life.clone();
        match fact.change {
            LinkChange::Down | LinkChange::UnseenDown | LinkChange::Moved => {
                life.up_since = None;
                life.last.flags &= !IFF_UP;
            }
            LinkChange::CarrierBack => life.carrier_lost = None,
            LinkChange::Deleted | LinkChange::UnseenDeleted => {
                self.lives.remove(&id);
                if let Some(dev) = fact.link.dev {
                    self.by_dev.remove(&dev);
                }
            }
            _ => {}
        }
        seen
    }

    /// A parent is somewhere else, or has another name, from now on.
    pub fn parent_is(&mut self, children: &[u64], parent: &Link) {
        for id in children {
            if let Some(life) = self.lives.get_mut(id) {
                life.parent = Some(parent.clone());
            }
        }
    }

    /// The id of the link that a fact is about: by its device, else by the place that a dump has seen it in.
    fn identify(&mut self, fact: &LinkFact) -> u64 {
        let dev = fact.link.dev;
        let place = match fact.from {
            Some((netns, ifindex)) => Some((netns.ptr, ifindex)),
            None => fact.link.netns.map(|netns| (netns.ptr, fact.link.ifindex)),
        };
        let dumped = place.and_then(|place| self.by_place.remove(&place));
        if let Some(&id) = dev.as_ref().and_then(|dev| self.by_dev.get(dev)) {
            // An address that is created again belongs to a new link, whose predecessor's end was lost.
            if fact.change != LinkChange::Created {
                // A dump that came after the probes has seen the same link once more.
                if let Some(double) = dumped.filter(|&double| double != id) {
                    self.lives.remove(&double);
                }
                return id;
            }
            self.lives.remove(&id);
        }
        let id = match dumped {
            Some(id) => id,
            None => self.add(&fact.link, fact.parent.as_ref()),
        };
        if let Some(dev) = dev.filter(|_| self.lives.contains_key(&id)) {
            self.by_dev.insert(dev, id);
        }
        id
    }

    fn add(&mut self, link: &Link, parent: Option<&Link>) -> u64 {
        self.last_id += 1;
        if self.lives.len() < MAX_LINKS {
            self.lives.insert(self.last_id, newborn(self.last_id, link, parent));
        }
        self.last_id
    }
}

const IFF_UP: u32 = macvlan_trace_common::IFF_UP;

/// Whether two descriptions are of one device. The address of its device tells; a dump does not have it, but the place.
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
        former_names: Vec::new(),
        known_as: link.name.clone(),
        created: None,
        creator: None,
        up_since: None,
        last_up: None,
        ups: 0,
        last: link.clone(),
        former_mac: None,
        parent: parent.cloned(),
        carrier_lost: None,
        orphaned: None,
        end_unclear: false,
        history: History::default(),
    }
}

/// A link that there is no room to remember.
fn stranger(fact: &LinkFact, id: u64) -> Life {
    newborn(id, &fact.link, fact.parent.as_ref())
}
