//! Breaks links at random and knows the root of each break: stacks of devices that nobody chose, and one deed or end
//! somewhere below.
//!
//! What must follow is worked out from the stack alone, so a case of several steps needs no test of its own: a link on a
//! VLAN on one end of a veth pair, whose other end is in a container that is killed; a link on a bridge that loses its
//! only port with that container.
//!
//! The seed stands in the message of a failure; `MACVLAN_TRACE_SEED` repeats it, and `MACVLAN_TRACE_ROUNDS` asks for more.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    process::{Command, Stdio},
};

use fastrand::Rng;
use serde_json::Value;

use crate::harness::{Container, NamedNetns, Watch, ip, ip_path, run, until};

/// How many stacks are built and broken unless somebody asks for more.
const ROUNDS: u32 = 12;

/// The namespace with a name, into which something may go.
const NAMED: &str = "rnd";

#[test]
fn whatever_breaks_below_a_link_leads_to_its_root() {
    let seed = asked("MACVLAN_TRACE_SEED").unwrap_or_else(of_this_kernel);
    let rounds = asked("MACVLAN_TRACE_ROUNDS").unwrap_or(ROUNDS.into());
    let mut rng = Rng::with_seed(seed);
    Watch::ready();
    for round in 0..rounds {
        let stack = Stack::any(&mut rng);
        let deed = stack.any_deed(&mut rng);
        println!("seed {seed}, round {round}: {stack}; {deed:?}");
        let built = stack.build();
        let mut watch = Watch::start();
        let root = built.suffer(&stack, deed);
        let wanted = stack.broken_by(deed);
        let mut missing = wanted.clone();
        while !missing.is_empty() {
            let is_missing = |record: &Value| {
                let link = record["link"]["name"].as_str();
                link.and_then(|link| missing.get(link)).is_some_and(|event| record["event"] == **event)
            };
            let record = watch.wait_for(&format!("one of {missing:?}"), is_missing);
            missing.remove(record["link"]["name"].as_str().expect("a name"));
        }
        let stream = watch.stop();
        drop(built);
        let mut told = BTreeMap::new();
        for event in stream.all() {
            let name = event.value("/link/name").as_str().expect("a name").to_owned();
            let event = event
                .is("/culprit/pid", root)
                .holds("one is sure of it, or it is likely", |record| {
                    record["verdict"]["confidence"] == "certain"
                        || record["verdict"]["confidence"] == "likely"
                })
                .holds("a step is the root's", |record| {
                    let steps = record["verdict"]["evidence"].as_array().cloned().unwrap_or_default();
                    steps.iter().any(|step| step["task"]["pid"] == root)
                });
            let what = event.value("/event").as_str().expect("an event").to_owned();
            assert!(told.insert(name, what).is_none(), "a link broke twice; the stream:\n{stream}");
        }
        assert_eq!(told, wanted, "seed {seed}, round {round}: {stack}; {deed:?}; the stream:\n{stream}");
        let incidents: BTreeSet<_> =
            stream.all().iter().map(|event| event.value("/incident").as_u64()).collect();
        assert_eq!(incidents.len(), 1, "one root, one incident; the stream:\n{stream}");
    }
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Each kernel gets other stacks, and the same each time.
fn of_this_kernel() -> u64 {
    let release = rustix::system::uname().release().to_owned();
    release.to_bytes().iter().fold(7, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add((*byte).into()))
}

/// Where something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Host,
    /// The namespace with a name.
    Named,
    /// The container.
    Inside,
}

/// What the stack stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    Dummy,
    /// One end of a veth pair; the other end is there.
    Veth(Place),
    /// A bridge with a veth as its only port; the other end is there.
    Bridge(Place),
}

/// A base, VLANs on it, and links on the topmost device or on the base.
#[derive(Clone, Debug)]
struct Stack {
    base: Base,
    vlans: usize,
    links: Vec<Link>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    /// How many VLANs are below it.
    storey: usize,
    place: Place,
}

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// Deletes a link.
    DeleteLink(usize),
    /// Sets a link down.
    DownLink(usize),
    /// Deletes the device of a storey; the base is number 0.
    DeleteDevice(usize),
    /// Sets it down.
    DownDevice(usize),
    /// Deletes the other end of the base's veth pair.
    DeletePeer,
    /// Sets it down.
    DownPeer,
    /// Deletes the namespace with a name.
    DeleteNetns,
    /// Kills the container's main process.
    Kill,
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {} VLANs, links", self.base, self.vlans)?;
        self.links.iter().try_for_each(|link| write!(f, " on {} in {:?},", link.storey, link.place))
    }
}

impl Stack {
    fn any(rng: &mut Rng) -> Self {
        const PLACES: [Place; 3] = [Place::Host, Place::Named, Place::Inside];
        let place = |rng: &mut Rng| PLACES[rng.usize(..PLACES.len())];
        let base = match rng.u8(..5) {
            0 => Base::Dummy,
            1 | 2 => Base::Veth(place(rng)),
            _ => Base::Bridge(place(rng)),
        };
        let vlans = rng.usize(..3);
        let links =
            (0..rng.usize(1..=3)).map(|_| Link { storey: rng.usize(..=vlans), place: place(rng) }).collect();
        Self { base, vlans, links }
    }

    /// Where the other end of the base's veth pair is.
    fn peer(&self) -> Option<Place> {
        match self.base {
            Base::Veth(place) | Base::Bridge(place) => Some(place),
            Base::Dummy => None,
        }
    }

    fn has_in(&self, place: Place) -> bool {
        self.peer() == Some(place) || self.links.iter().any(|link| link.place == place)
    }

    /// Something that breaks at least one link.
    fn any_deed(&self, rng: &mut Rng) -> Deed {
        let mut deeds = Vec::new();
        for link in 0..self.links.len() {
            deeds.extend([Deed::DeleteLink(link), Deed::DownLink(link)]);
        }
        for storey in 0..=self.vlans {
            deeds.extend([Deed::DeleteDevice(storey), Deed::DownDevice(storey)]);
        }
        // The longest chains are what this is for.
        for _ in 0..3 {
            if self.peer().is_some() {
                deeds.extend([Deed::DeletePeer, Deed::DownPeer]);
            }
            if self.has_in(Place::Named) {
                deeds.push(Deed::DeleteNetns);
            }
            if self.has_in(Place::Inside) {
                deeds.push(Deed::Kill);
            }
        }
        deeds.retain(|deed| !self.broken_by(*deed).is_empty());
        deeds[rng.usize(..deeds.len())]
    }

    /// Which links break by a deed, and what is told of each.
    fn broken_by(&self, deed: Deed) -> BTreeMap<String, String> {
        let is_bridge = matches!(self.base, Base::Bridge(_));
        let end_of = |gone: Place, link: &Link| {
            if link.place == gone {
                return Some("deleted");
            }
            (self.peer() == Some(gone)).then_some(if is_bridge { "carrier_lost" } else { "deleted" })
        };
        let what = |number: usize, link: &Link| match deed {
            Deed::DeleteLink(one) => (one == number).then_some("deleted"),
            Deed::DownLink(one) => (one == number).then_some("down"),
            Deed::DeleteDevice(storey) => (link.storey >= storey).then_some("deleted"),
            // A VLAN goes down with the device below it (`vlan_device_event`).
            Deed::DownDevice(storey) => (link.storey >= storey).then_some("parent_down"),
            Deed::DeletePeer if is_bridge => Some("carrier_lost"),
            Deed::DeletePeer => Some("deleted"),
            Deed::DownPeer => Some("carrier_lost"),
            Deed::DeleteNetns => end_of(Place::Named, link),
            Deed::Kill => end_of(Place::Inside, link),
        };
        let broken = self.links.iter().enumerate();
        broken.filter_map(|(number, link)| Some((name(number), what(number, link)?.to_owned()))).collect()
    }

    /// Makes it. Everything is up, and has its carrier.
    fn build(&self) -> Built {
        let built = Built { _named: NamedNetns::add(NAMED), container: Container::start("read line") };
        match self.base {
            Base::Dummy => {
                ip("link add rnd0 type dummy");
            }
            Base::Veth(place) => {
                ip("link add rnd0 type veth peer name rndpeer");
                built.give("rndpeer", place);
            }
            Base::Bridge(place) => {
                ip("link add rnd0 type bridge");
                ip("link add rndport type veth peer name rndpeer");
                ip("link set rndport master rnd0 up");
                built.give("rndpeer", place);
            }
        }
        ip("link set rnd0 up");
        for vlan in 1..=self.vlans {
            ip(&format!("link add rnd{vlan} link rnd{} type vlan id {vlan}", vlan - 1));
            ip(&format!("link set rnd{vlan} up"));
        }
        for (number, link) in self.links.iter().enumerate() {
            let name = name(number);
            ip(&format!("link add {name} link rnd{} type macvlan", link.storey));
            built.give(&name, link.place);
        }
        for (number, link) in self.links.iter().enumerate() {
            built.until_it_runs(&name(number), link.place);
        }
        built
    }
}

/// What a link is called.
fn name(number: usize) -> String {
    format!("rndmv{number}")
}

/// A stack that there is. It goes with the round.
struct Built {
    _named: NamedNetns,
    container: Container,
}

impl Built {
    /// Brings a device to its place, and sets it up there.
    fn give(&self, device: &str, place: Place) {
        match place {
            Place::Host => {}
            Place::Named => {
                ip(&format!("link set {device} netns {NAMED}"));
            }
            Place::Inside => {
                ip(&format!("link set {device} netns {}", self.container.pid));
            }
        }
        self.ip_in(place, &format!("link set {device} up"));
    }

    /// Waits until a link has its carrier: a bridge's port has to learn of it first.
    fn until_it_runs(&self, link: &str, place: Place) {
        let show = format!("-o link show {link}");
        until("the link runs", || self.ip_in(place, &show).contains("LOWER_UP"));
    }

    /// `ip` in a place, which has to succeed; what it says.
    fn ip_in(&self, place: Place, args: &str) -> String {
        let words = self.words(place, args);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        run(words[0], &words[1..])
    }

    /// The command line that runs `ip` in a place.
    fn words(&self, place: Place, args: &str) -> Vec<String> {
        let enter = match place {
            Place::Host => None,
            Place::Named => Some(format!("--net=/run/netns/{NAMED}")),
            Place::Inside => Some(format!("--net=/proc/{}/ns/net", self.container.pid)),
        };
        let enter = enter.map(|netns| ["nsenter".to_owned(), netns]);
        enter.into_iter().flatten().chain([ip_path()]).chain(args.split(' ').map(str::to_owned)).collect()
    }

    /// Somebody does it; their process id.
    fn suffer(&self, stack: &Stack, deed: Deed) -> u32 {
        let at_peer = stack.peer().unwrap_or(Place::Host);
        match deed {
            Deed::DeleteLink(link) => self.at(stack.links[link].place, &format!("link del {}", name(link))),
            Deed::DownLink(link) => {
                self.at(stack.links[link].place, &format!("link set {} down", name(link)))
            }
            Deed::DeleteDevice(storey) => self.at(Place::Host, &format!("link del rnd{storey}")),
            Deed::DownDevice(storey) => self.at(Place::Host, &format!("link set rnd{storey} down")),
            Deed::DeletePeer => self.at(at_peer, "link del rndpeer"),
            Deed::DownPeer => self.at(at_peer, "link set rndpeer down"),
            Deed::DeleteNetns => self.at(Place::Host, &format!("netns del {NAMED}")),
            Deed::Kill => does(&["kill".to_owned(), "-9".to_owned(), self.container.pid.to_string()]),
        }
    }

    /// Somebody calls `ip` in a place.
    fn at(&self, place: Place, args: &str) -> u32 {
        does(&self.words(place, args))
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        for device in ["rndport", "rnd2", "rnd1", "rnd0"] {
            let _ = Command::new(ip_path()).args(["link", "del", device]).stderr(Stdio::null()).status();
        }
    }
}

/// A process that does something, which has to succeed; its id.
fn does(words: &[String]) -> u32 {
    let mut child = Command::new(&words[0]).args(&words[1..]).spawn().expect("it can be started");
    let status = child.wait().expect("it ends");
    assert!(status.success(), "{words:?}: {status}");
    child.id()
}
