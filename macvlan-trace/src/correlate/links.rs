//! The life of each link. A link keeps its identity through rename, move and new index.

use std::collections::HashMap;

use crate::{
    fact::{Ktime, LinkChange, LinkFact, Netns, Stock},
    text::Text,
};

/// Links remembered. Beyond that a link's past is unknown, as if the tracer had come later.
const MAX_LINKS: usize = 65_536;
/// Former names remembered for a link, the latest ones.
const MAX_FORMER_NAMES: usize = 8;

/// What is known about a link's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// The same for its whole life.
    pub id: u64,
    /// Its name before the change at hand, where that is a rename.
    pub name: Text,
    /// Names that it had before, oldest first.
    pub former_names: Vec<Text>,
    /// When it was created; `None` if that was before the tracer.
    pub created: Option<Ktime>,
    /// When it last came up; `None` if that was before the tracer, or it is down.
    pub up_since: Option<Ktime>,
    /// How often it came up.
    pub ups: u64,
    /// Where it is.
    pub netns: Option<Netns>,
    /// Its index there.
    pub ifindex: u32,
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
        let id = self.add(stock.link.name.clone(), Some(netns), stock.link.ifindex);
        self.by_place.insert((netns.ptr, stock.link.ifindex), id);
    }

    /// The namespaces that links live in.
    pub fn homes(&self) -> impl Iterator<Item = &Netns> {
        self.lives.values().filter_map(|life| life.netns.as_ref())
    }

    /// Notes a change; the life up to it, with the change's own new name and place in it.
    pub fn change(&mut self, at: Ktime, fact: &LinkFact) -> Life {
        let id = self.identify(fact);
        let Some(life) = self.lives.get_mut(&id) else { return stranger(fact, id) };
        match fact.change {
            LinkChange::Created => life.created = Some(at),
            LinkChange::Up => {
                life.up_since = Some(at);
                life.ups += 1;
            }
            _ => {}
        }
        if life.name != fact.link.name {
            let former = std::mem::replace(&mut life.name, fact.link.name.clone());
            life.former_names.retain(|name| *name != former && *name != fact.link.name);
            life.former_names.push(former);
            if life.former_names.len() > MAX_FORMER_NAMES {
                life.former_names.remove(0);
            }
        }
        life.netns = fact.link.netns;
        life.ifindex = fact.link.ifindex;
        let seen = life.clone();
        match fact.change {
            LinkChange::Down | LinkChange::UnseenDown | LinkChange::Moved => life.up_since = None,
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

    /// The id of the link that a fact is about: by its device, else by the place that a dump has seen it in.
    fn identify(&mut self, fact: &LinkFact) -> u64 {
        let dev = fact.link.dev;
        if let Some(&id) = dev.as_ref().and_then(|dev| self.by_dev.get(dev)) {
            // An address that is created again belongs to a new link, whose predecessor's end was lost.
            if fact.change != LinkChange::Created {
                return id;
            }
            self.lives.remove(&id);
        }
        let place = match fact.from {
            Some((netns, ifindex)) => Some((netns.ptr, ifindex)),
            None => fact.link.netns.map(|netns| (netns.ptr, fact.link.ifindex)),
        };
        let id = match place.and_then(|place| self.by_place.remove(&place)) {
            Some(id) => id,
            None => self.add(fact.link.name.clone(), fact.link.netns, fact.link.ifindex),
        };
        if let Some(dev) = dev.filter(|_| self.lives.contains_key(&id)) {
            self.by_dev.insert(dev, id);
        }
        id
    }

    fn add(&mut self, name: Text, netns: Option<Netns>, ifindex: u32) -> u64 {
        self.last_id += 1;
        if self.lives.len() < MAX_LINKS {
            let id = self.last_id;
            self.lives.insert(
                id,
                Life {
                    id,
                    name,
                    former_names: Vec::new(),
                    created: None,
                    up_since: None,
                    ups: 0,
                    netns,
                    ifindex,
                },
            );
        }
        self.last_id
    }
}

/// A link that there is no room to remember.
fn stranger(fact: &LinkFact, id: u64) -> Life {
    Life {
        id,
        name: fact.link.name.clone(),
        former_names: Vec::new(),
        created: None,
        up_since: None,
        ups: 0,
        netns: fact.link.netns,
        ifindex: fact.link.ifindex,
    }
}
