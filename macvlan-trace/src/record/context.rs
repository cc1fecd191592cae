//! What later facts refer to: each segment repeats it, so that it can be read without those before it.

use std::collections::{HashMap, HashSet};

use crate::fact::{Begin, Fact, Ktime, LinkChange, Stock, TaskRef, What};

/// Of each sort, so many are repeated, the latest.
const MAX: usize = 256;

/// What is known of a run so far.
#[derive(Debug, Default)]
pub struct Context {
    begin: Option<(Ktime, Begin)>,
    watching: Option<Fact>,
    facts: HashMap<Key, (u64, Fact)>,
    /// Counts what was noted or referred to, so that the latest are known.
    last: u64,
}

/// What makes a fact take the place of an earlier one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Key {
    Name(u64),
    Resident(u64),
    Link(u64),
    Place(u64, u32),
    Container(u64),
    Task(u32, Ktime, u32),
}

impl Key {
    fn of(task: &TaskRef) -> Self {
        Self::Task(task.process.tgid, task.process.start, task.tid)
    }
}

impl Context {
    /// Notes a fact, if later ones may refer to it.
    pub fn note(&mut self, fact: &Fact) {
        for task in fact.what.tasks() {
            self.last += 1;
            if let Some((noted, _)) = self.facts.get_mut(&Key::of(task)) {
                *noted = self.last;
            }
        }
        match &fact.what {
            What::Begin(begin) => self.begin = Some((fact.at, Begin::clone(begin))),
            What::Watching(_) => self.watching = Some(fact.clone()),
            What::Clock { boot } => {
                if let Some((_, begin)) = &mut self.begin {
                    begin.boot = *boot;
                }
            }
            What::Task(task) => self.keep(Key::of(&task.task), fact.clone()),
            What::NetnsName { netns, .. } => self.keep(Key::Name(netns.ptr), fact.clone()),
            What::Resident(resident) => self.keep(Key::Resident(resident.netns.ptr), fact.clone()),
            What::Container(container) => self.keep(Key::Container(hash(&container.id)), fact.clone()),
            What::Stock(stock) => {
                if let Some(netns) = &stock.link.netns {
                    self.keep(Key::Place(netns.ptr, stock.link.ifindex), fact.clone());
                }
            }
            What::Link(link) => {
                // The device is known now: what a dump had said of it is no longer needed.
                let place = link.from.or(link.link.netns.map(|netns| (netns, link.link.ifindex)));
                if let Some((netns, ifindex)) = place {
                    self.facts.remove(&Key::Place(netns.ptr, ifindex));
                }
                let Some(dev) = link.link.dev else { return };
                if matches!(link.change, LinkChange::Deleted | LinkChange::UnseenDeleted) {
                    self.facts.remove(&Key::Link(dev));
                    return;
                }
                let mut seen = link.link.clone();
                if link.change == LinkChange::Down {
                    seen.flags = link.flags_after;
                }
                let stock = Stock { link: seen, parent: link.parent.clone() };
                self.keep(Key::Link(dev), Fact { at: fact.at, what: What::Stock(Box::new(stock)) });
            }
            What::NetnsEnd(end) if end.last => {
                self.facts.remove(&Key::Name(end.netns.ptr));
                self.facts.remove(&Key::Resident(end.netns.ptr));
            }
            _ => {}
        }
    }

    /// The run as it stands; `None` if it has not begun.
    pub fn begin(&self) -> Option<&(Ktime, Begin)> {
        self.begin.as_ref()
    }

    /// What a segment repeats, in an order in which it can be read.
    pub fn facts(&self) -> impl Iterator<Item = &Fact> {
        let mut facts: Vec<_> = self.facts.iter().collect();
        facts.sort_unstable_by_key(|(key, (noted, _))| (order(key), *noted));
        facts.into_iter().map(|(_, (_, fact))| fact).chain(&self.watching)
    }

    fn keep(&mut self, key: Key, fact: Fact) {
        self.last += 1;
        self.facts.insert(key, (self.last, fact));
        // Once in a while, all that is too much goes at once.
        if self.facts.len() > 2 * 6 * MAX {
            self.forget();
        }
    }

    /// Forgets all but the latest of each sort.
    fn forget(&mut self) {
        let mut order_of: Vec<_> =
            self.facts.iter().map(|(key, (noted, _))| (order(key), *noted, *key)).collect();
        order_of.sort_unstable_by_key(|(sort, noted, _)| (*sort, std::cmp::Reverse(*noted)));
        let mut stay = HashSet::new();
        for of_sort in order_of.chunk_by(|one, other| one.0 == other.0) {
            stay.extend(of_sort.iter().take(MAX).map(|(.., key)| *key));
        }
        self.facts.retain(|key, _| stay.contains(key));
    }
}

/// Names before links, links before who lives beside them.
fn order(key: &Key) -> u8 {
    match key {
        Key::Name(_) => 0,
        Key::Place(..) => 1,
        Key::Link(_) => 2,
        Key::Container(_) => 3,
        Key::Resident(_) => 4,
        Key::Task(..) => 5,
    }
}

fn hash(id: &str) -> u64 {
    use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
    BuildHasherDefault::<DefaultHasher>::default().hash_one(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::story::{Story, macvlan, netns, process, worker};

    fn noted(story: Story) -> Context {
        let mut context = Context::default();
        story.into_stream().for_each(|fact| context.note(&fact));
        context
    }

    #[test]
    fn what_is_there_is_repeated_as_it_was_last_seen() {
        let (ip, link) = (process("ip", 901), macvlan("macvlan0", netns(1), 7));
        let mut story = Story::new();
        story
            .named(netns(1), "blue")
            .creates(&ip, &link)
            .sets_down(&ip, &link)
            .creates(&ip, &macvlan("b", netns(1), 8));
        story.deletes(&ip, &macvlan("b", netns(1), 8));
        let context = noted(story);
        let facts: Vec<_> = context.facts().collect();
        assert_eq!(facts.len(), 3, "the name, the link, the task: {facts:?}");
        assert!(matches!(&facts[0].what, What::NetnsName { .. }));
        assert!(
            matches!(&facts[1].what, What::Stock(stock) if !stock.link.is_up() && stock.link.dev.is_some())
        );
        assert!(matches!(&facts[2].what, What::Task(task) if **task == ip));
    }

    #[test]
    fn what_has_ended_is_not_repeated() {
        let mut story = Story::new();
        story.named(netns(1), "blue").found_in(netns(1), &process("sh", 812));
        story.drops(&worker(), netns(1), &[]);
        assert!(noted(story).facts().all(|fact| matches!(fact.what, What::Task(_))));
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let mut story = Story::new();
        for pid in 1..=20_000 {
            story.sets_up(&process("ip", pid), &macvlan("macvlan0", netns(1), pid));
        }
        let context = noted(story);
        assert!(context.facts.len() <= 2 * 6 * MAX, "{}", context.facts.len());
        let last = |fact: &&Fact| matches!(&fact.what, What::Task(task) if task.task.process.tgid == 20_000);
        assert!(context.facts().any(|fact| last(&fact)));
    }

    #[test]
    fn a_clock_that_was_set_stays_set() {
        let mut story = Story::new();
        story.fact(What::Clock { boot: 77 });
        assert_eq!(noted(story).begin().map(|(_, begin)| begin.boot), Some(77));
    }
}
