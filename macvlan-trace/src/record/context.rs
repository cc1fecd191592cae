//! Keeps the facts that later ones refer to. Each segment repeats them, so it can be read without the segments before
//! it.

use std::hash::Hash;

use crate::{
    bounded::Bounded,
    fact::{Begin, Fact, Ktime, LinkChange, ProcessId, Resident, Stock, TaskRef, What},
};

/// How many facts of each kind are repeated: the latest.
const MAX: usize = 256;

/// What is known of a run so far.
#[derive(Debug, Default)]
pub struct Context {
    begin: Option<(Ktime, Begin)>,
    watching: Option<Fact>,
    /// By the address of the namespace.
    names: Bounded<u64, Fact, MAX>,
    /// Links known only from a dump, by the address of their namespace and the index there.
    places: Bounded<(u64, u32), Fact, MAX>,
    /// By the address of the device.
    links: Bounded<u64, Fact, MAX>,
    containers: Bounded<String, Fact, MAX>,
    /// The owners of namespaces, by the address of the namespace: of several in turn, the latest.
    owners: Bounded<u64, Fact, MAX>,
    /// Who shares a namespace with its owner, by the address of the namespace, and the process.
    sharers: Bounded<(u64, u32), Fact, MAX>,
    tasks: Bounded<(ProcessId, u32), Fact, MAX>,
}

impl Context {
    /// Notes a fact, if later ones may refer to it.
    pub fn note(&mut self, fact: &Fact) {
        for task in fact.what.tasks() {
            self.tasks.get_mut(&key(task));
        }
        match &fact.what {
            What::Begin(begin) => self.begin = Some((fact.at, Begin::clone(begin))),
            What::Watching(_) => self.watching = Some(fact.clone()),
            What::Clock { boot } => {
                if let Some((_, begin)) = &mut self.begin {
                    begin.boot = *boot;
                }
            }
            What::Task(task) => drop(self.tasks.insert(key(&task.task), fact.clone())),
            What::NetnsName { netns, .. } => drop(self.names.insert(netns.ptr, fact.clone())),
            What::Resident(resident) => {
                // The end of the namespace that was at this address before may be lost.
                let netns = resident.netns;
                self.forget_residents(|old| old.netns.ptr == netns.ptr && !old.netns.is(&netns));
                if resident.shares {
                    self.sharers.insert((netns.ptr, resident.process.tgid), fact.clone());
                } else {
                    self.owners.insert(netns.ptr, fact.clone());
                }
            }
            // The owner of a namespace is needed until its links are gone, those who share it while they live.
            What::Exit(exit) => drop(self.sharers.remove(&(exit.netns.ptr, exit.task.process.tgid))),
            What::Container(container) => drop(self.containers.insert(container.id.clone(), fact.clone())),
            What::Stock(stock) => {
                if let Some(netns) = &stock.link.netns {
                    self.places.insert((netns.ptr, stock.link.ifindex), fact.clone());
                }
            }
            What::Link(link) => {
                // The device is known now, so the dump's description is no longer needed.
                let place = link.from.or(link.link.netns.map(|netns| (netns, link.link.ifindex)));
                if let Some((netns, ifindex)) = place {
                    self.places.remove(&(netns.ptr, ifindex));
                }
                let Some(dev) = link.link.dev else { return };
                if matches!(link.change, LinkChange::Deleted | LinkChange::UnseenDeleted) {
                    self.links.remove(&dev);
                    return;
                }
                let mut seen = link.link.clone();
                if link.change == LinkChange::Down {
                    seen.flags = link.flags_after;
                }
                let stock = Stock { link: seen, parent: link.parent.clone() };
                self.links.insert(dev, Fact { at: fact.at, what: What::Stock(Box::new(stock)) });
            }
            What::NetnsEnd(end) if end.last => {
                self.names.remove(&end.netns.ptr);
                self.forget_residents(|resident| resident.netns.is(&end.netns));
            }
            _ => {}
        }
    }

    fn forget_residents(&mut self, is_over: impl Fn(&Resident) -> bool) {
        let is_over = |fact: &Fact| matches!(&fact.what, What::Resident(resident) if is_over(resident));
        let owners = self.owners.iter().filter(|(_, fact)| is_over(fact)).map(|(key, _)| *key);
        for over in owners.collect::<Vec<_>>() {
            self.owners.remove(&over);
        }
        let sharers = self.sharers.iter().filter(|(_, fact)| is_over(fact)).map(|(key, _)| *key);
        for over in sharers.collect::<Vec<_>>() {
            self.sharers.remove(&over);
        }
    }

    /// The fact that began the run; `None` if it has not begun.
    pub fn begin(&self) -> Option<&(Ktime, Begin)> {
        self.begin.as_ref()
    }

    /// The facts that a segment repeats, in a readable order: names before links, links before residents.
    pub fn facts(&self) -> impl Iterator<Item = &Fact> {
        facts(&self.names)
            .chain(facts(&self.places))
            .chain(facts(&self.links))
            .chain(facts(&self.containers))
            .chain(facts(&self.owners))
            .chain(facts(&self.sharers))
            .chain(facts(&self.tasks))
            .chain(&self.watching)
    }
}

fn facts<K: Hash + Eq>(all: &Bounded<K, Fact, MAX>) -> impl Iterator<Item = &Fact> {
    all.iter().map(|(_, fact)| fact)
}

fn key(task: &TaskRef) -> (ProcessId, u32) {
    (task.process, task.tid)
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

    /// The process ids of the residents that are repeated.
    fn residents(context: &Context) -> Vec<u32> {
        let of_resident = |fact: &Fact| match &fact.what {
            What::Resident(resident) => Some(resident.process.tgid),
            _ => None,
        };
        context.facts().filter_map(of_resident).collect()
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
    fn of_those_who_share_a_namespace_only_the_living_are_repeated() {
        let (web, app, log) = (process("web", 812), process("app", 830), process("log", 840));
        let mut story = Story::new();
        story.found_in(netns(1), &web).found_sharing(netns(1), &app).found_sharing(netns(1), &log);
        story.exits(&app, netns(1), 0).exits(&web, netns(1), 0);
        assert_eq!(residents(&noted(story)), [812, 840], "the links of its owner are still there");
    }

    #[test]
    fn of_those_who_own_a_namespace_in_turn_the_latest_is_repeated() {
        let mut story = Story::new();
        story.found_in(netns(1), &process("web", 812)).exits(&process("web", 812), netns(1), 0);
        story.found_in(netns(1), &process("db", 813)).found_sharing(netns(1), &process("app", 830));
        story.found_in(netns(2), &process("log", 700));
        assert_eq!(residents(&noted(story)), [813, 700, 830]);
    }

    #[test]
    fn those_who_share_namespaces_push_out_no_owner() {
        let mut story = Story::new();
        story.found_in(netns(1), &process("pause", 812));
        for pid in 1..=2000 {
            story.found_sharing(netns(1), &process("app", 10_000 + pid));
        }
        let repeated = residents(&noted(story));
        assert_eq!((repeated[0], repeated.len()), (812, MAX + 1));
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let mut story = Story::new();
        for pid in 1..=20_000 {
            story.sets_up(&process("ip", pid), &macvlan("macvlan0", netns(1), pid));
        }
        let context = noted(story);
        assert_eq!((context.tasks.len(), context.links.len()), (MAX, MAX));
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
