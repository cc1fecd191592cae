//! Joins related facts: the exit or signal that ended a namespace with the deletion that followed in a kernel worker,
//! the deletion of a parent with those of its links, the changes of a link that was renamed and moved.
//!
//! It joins them by namespace, link and process, never only because they are close in time.

mod addresses;
mod blame;
mod causes;
mod gaps;
mod incidents;
mod links;
mod netns;
mod overdue;
mod owners;
mod parents;
mod rivals;
mod stops;
mod tasks;
#[cfg(test)]
mod tests;

use std::rc::Rc;

pub use addresses::Setter;
pub use blame::{
    Cause, Chosen, Drop, Ended, Kill, Leave, NamespaceEnd, OutOfMemory, Terminal, Trigger, Unmount,
};
pub use gaps::Gap;
pub use links::{Life, Siblings};
pub use overdue::{Awaited, Remark};
pub use parents::ParentChange;
pub use rivals::Rivals;
pub use stops::Stop;

use macvlan_trace_common::IFF_UP;

use owners::Home;

use crate::fact::{
    Cgroup, Container, Fact, Ktime, Link, LinkChange, LinkFact, Netns, Own, ProcessId, Task, TaskRef, What,
};
use crate::work::{party, runtime};

/// How long after a parent lost its carrier a network manager may still react to that.
const REACTION_NS: u64 = 60_000_000_000;

/// The hooks that see ends of processes and their reasons.
const ENDS: [&str; 4] = ["do_exit", "signal_generate", "oom_kill", "switch_namespaces"];

/// One change of a link, with everything that explains it.
#[derive(Clone, Debug)]
pub struct Case {
    /// When.
    pub at: Ktime,
    /// The change.
    pub fact: LinkFact,
    /// The task that executed the kernel function.
    pub actor: Rc<Task>,
    /// The link's life up to here.
    pub life: Life,
    /// How it came about.
    pub cause: Cause,
    /// Cases with one cause share a number.
    pub incident: u64,
    /// Whether other links may still join that, after a pause.
    pub may_grow: bool,
    /// If the parent was deleted: the links on it.
    pub siblings: Siblings,
    /// The fight between two managers, if the change is a round of one.
    pub rivals: Option<Rivals>,
    /// The loss of its parent's carrier that a service of the machine may have reacted to.
    pub reaction: Option<Rc<ParentChange>>,
    /// Who holds the address that a failed request needed.
    pub holder: Option<Holder>,
    /// Who had set the address that the link loses.
    pub setter: Option<Setter>,
    /// The generation of the namespace in which the link was, which tells it apart from others at the same address.
    pub home: Option<u64>,
    /// The container that lost the link: the last owner of a namespace in which it lived.
    pub victim: Option<Container>,
    /// Other containers that live in the namespace which makes the link that container's.
    pub shared_with: Vec<Container>,
    /// The container of the process whose end caused the change.
    pub ended_in: Option<Container>,
    /// The container that owns the namespace in which the link is, and lives in it.
    pub owner: Option<Container>,
    /// Process id of the main process that lives in the namespace in which the link is.
    pub main_pid: Option<u32>,
    /// The container that owns the namespace that the link moved to.
    pub arrived_in: Option<Container>,
    /// The container that the actor runs in.
    pub actor_container: Option<Container>,
    /// Whether the tracer may have missed, or cannot interpret, an earlier end or signal. If so, a verdict that needs
    /// to exclude one is not certain.
    pub blind: bool,
    /// Whether the actor lives in the network namespace in which the link was: it is in there, and the tracer did not
    /// see it come in.
    pub actor_lives_there: bool,
}

/// Who holds a hardware address that another link of the same parent wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The link, or the parent itself.
    pub link: Link,
    /// The container that it belongs to.
    pub container: Option<Container>,
    /// Whether its namespace, or the main process of its namespace, has ended: then it is a leftover.
    pub ending: bool,
}

/// Keeps what later facts need, and turns changes of links into cases.
pub struct Correlator {
    own: Own,
    tasks: tasks::Tasks,
    links: links::Links,
    parents: parents::Parents,
    netns: netns::Namespaces,
    owners: owners::Owners,
    stops: stops::Stops,
    incidents: incidents::Incidents,
    overdue: overdue::Overdue,
    gaps: gaps::Gaps,
    /// The link whose creation was undone last, and the thread that had asked for it. That request has yet to fail.
    undone: Option<((ProcessId, u32), Life)>,
    /// Whether every hook in [`ENDS`] is attached.
    sees_ends: bool,
    /// When records were lost for the last time.
    lost: Option<Ktime>,
}

impl Default for Correlator {
    /// A correlator that has seen no fact.
    fn default() -> Self {
        Self {
            own: Own::default(),
            tasks: tasks::Tasks::default(),
            links: links::Links::default(),
            parents: parents::Parents::default(),
            netns: netns::Namespaces::default(),
            owners: owners::Owners::default(),
            stops: stops::Stops::default(),
            incidents: incidents::Incidents::default(),
            overdue: overdue::Overdue::default(),
            gaps: gaps::Gaps::default(),
            undone: None,
            sees_ends: true,
            lost: None,
        }
    }
}

impl Correlator {
    /// Takes a fact, and returns its cases: one for a change of a link, one for each link on a parent that changed.
    pub fn take(&mut self, fact: Fact) -> Vec<Case> {
        let at = fact.at;
        self.netns.forget_ended(at, |netns| self.links.refer_to(netns));
        match fact.what {
            What::Task(task) => {
                self.owners.touch(&task.cgroup);
                self.tasks.learn(*task);
            }
            What::Link(link) if link.change == LinkChange::CreateFailed => {
                return vec![self.not_made(at, *link)];
            }
            What::Link(link) => {
                let carried = self.links.carries(&link.link).then(|| link.clone());
                let mut cases: Vec<_> = self.link(at, *link).into_iter().collect();
                if let Some(link) = carried {
                    cases.extend(self.parent(at, &link));
                }
                return cases;
            }
            What::Parent(parent) => return self.parent(at, &parent),
            What::Address(fact) => self.address(at, &fact),
            What::Exit(exit) if exit.elsewhere => self.stops.ends(at, exit.task.process),
            What::Exit(exit) if exit.only_thread => {
                let task = self.tasks.whole(&exit.task);
                self.netns.thread_ends(at, &exit, task);
            }
            What::Exit(exit) => {
                let task = self.tasks.whole(&exit.task);
                let container = self.container(&task.cgroup);
                let stops = &self.stops;
                let behind = |kill: &Kill| stops.behind(kill, &task, container.as_ref());
                self.netns.exit(at, &exit, Rc::clone(&task), behind);
                self.note_resident(at, &exit.netns, &task, true);
                if let Some(home) = self.netns.home(&exit.netns, false) {
                    home.note_gone(exit.task.process);
                }
            }
            What::Signal(signal) => {
                let sender = signal.sender.as_ref().map(|sender| self.tasks.whole(sender));
                if stops::concerns(&signal) {
                    let process = self.tasks.process(&signal.target);
                    self.stops.note(at, signal.number, sender.as_ref(), process);
                }
                if signal.elsewhere {
                    return Vec::new();
                }
                let within = signal.within.as_ref().map(|within| self.tasks.whole(within));
                let target = self.tasks.whole(&signal.target);
                let killed_by = within.as_ref().and_then(|by| self.stops.who_ended(at, by.task.process));
                let may_end = netns::may_end(signal.number, sender.as_deref());
                self.netns.signal(at, &signal, sender, within, killed_by);
                self.note_resident(at, &signal.netns, &target, false);
                if may_end {
                    if let Some(home) = self.netns.home(&signal.netns, false) {
                        home.note_asked(at, signal.target.process);
                    }
                }
            }
            What::Oom(oom) => self.netns.out_of_memory(at, oom),
            What::NetnsMove(change) if self.is_own(&change.task) => {}
            What::NetnsMove(change) => {
                let task = self.tasks.whole(&change.task);
                self.netns.moved(at, &change, task);
            }
            What::NetnsEnd(end) => {
                let task = self.tasks.whole(&end.task);
                let own = self.is_own(&end.task);
                self.netns.end(at, &end, task, own);
            }
            What::Freed { dev } => self.overdue.freed(dev),
            What::Begin(begin) => {
                self.own = begin.own;
                self.overdue.begin(&begin);
                self.gaps.begin(&begin);
                self.sees_ends = ENDS.iter().all(|hook| begin.has_hook(hook));
            }
            What::Stock(stock) => self.links.stock(&stock),
            What::NetnsName { netns, name } => self.netns.name(&netns, name),
            What::Container(container) => self.owners.learn(container),
            What::Resident(resident) => {
                if let Some(home) = self.netns.home(&resident.netns, false) {
                    self.owners.note_found(at, &home, &resident);
                }
            }
            What::Lost { .. } => {
                self.overdue.lost();
                self.links.forget_setters();
                self.lost = Some(at);
            }
            What::Full => self.gaps.full(),
            What::Watching(_) | What::Tick | What::Clock { .. } | What::End => {}
        }
        Vec::new()
    }

    /// Whether a task is the tracer's own.
    fn is_own(&self, task: &TaskRef) -> bool {
        task.ns_tgid == Some(self.own.ns_tgid) && task.pidns == self.own.pidns
    }

    /// Remarks on what has not happened in time.
    pub fn remarks(&mut self, at: Ktime) -> Vec<Remark> {
        self.overdue.remarks(at)
    }

    /// The name that people know a namespace by.
    #[must_use]
    pub fn netns_name(&self, netns: &Netns) -> Option<&crate::text::Text> {
        self.netns.name_of(netns)
    }

    /// The container of a control group.
    #[must_use]
    pub fn container(&self, cgroup: &Cgroup) -> Option<Container> {
        self.owners.of_cgroup(cgroup)
    }

    /// How many entries were dropped because of a limit, by kind.
    #[must_use]
    pub fn evicted(&self) -> [(&'static str, u64); 8] {
        [
            ("tasks", self.tasks.evicted()),
            ("links", self.links.evicted()),
            ("parents", self.parents.evicted()),
            ("namespaces", self.netns.evicted()),
            ("containers", self.owners.evicted()),
            ("stopped runtimes", self.stops.evicted()),
            ("incidents", self.incidents.evicted()),
            ("deleted links", self.overdue.evicted()),
        ]
    }

    /// How many links are in namespaces that have ended, or whose main process has: the kernel has yet to delete them.
    #[must_use]
    pub fn in_teardown(&self) -> usize {
        self.links.homes().filter(|netns| self.netns.is_ending(netns)).count()
    }

    /// The case of a changed link; `None` if the change is part of another one that already has its cases.
    fn link(&mut self, at: Ktime, fact: LinkFact) -> Option<Case> {
        let actor = self.tasks.whole(&fact.task);
        let arrives = matches!(fact.change, LinkChange::Created | LinkChange::Up | LinkChange::Moved);
        if let Some(netns) = fact.link.netns.as_ref().filter(|_| arrives && !fact.task.kthread) {
            self.netns.mark_alive(netns);
        }
        let mut life = self.links.change(at, &fact, &actor);
        let same_mac = fact.change == LinkChange::MacChanged && life.former_mac == fact.link.mac;
        let told_already = match fact.change {
            LinkChange::CarrierBack => fact.link.protodown != Some(true) && self.came_with_its_parent(&fact),
            // A link that takes over that its parent has no carrier, as that comes up, was dead before.
            LinkChange::CarrierLost => {
                let parent = fact.parent.as_ref();
                let lost = parent.and_then(|parent| self.parents.carrier(parent, fact.change));
                lost.is_none() && self.came_with_its_parent(&fact)
            }
            _ => false,
        };
        if same_mac || told_already {
            return None;
        }
        let cause = self.cause(at, &fact, &actor, &life).of_link_since(life.there_since());
        match &cause {
            Cause::Request(by) if self.end_is_unclear(at, &fact, &life, by) => {
                life.end_unclear = true;
                if let Some(life) = self.links.life_mut(life.id) {
                    life.end_unclear = true;
                }
            }
            Cause::CreationFailed(_) => {
                self.undone = Some(((fact.task.process, fact.task.tid), life.clone()));
            }
            Cause::Cleanup { ended, generation, .. } => {
                if let Some(life) = self.links.life_mut(life.id) {
                    life.orphaned = Some((Rc::clone(ended), *generation));
                }
            }
            Cause::ParentChanged(change) if fact.change == LinkChange::CarrierLost => {
                if let Some(life) = self.links.life_mut(life.id) {
                    life.carrier_lost = Some(Rc::clone(change));
                }
            }
            _ => {}
        }
        if fact.change != LinkChange::Down {
            life.history = rivals::History::default();
        }
        let needs_mac = matches!(fact.change, LinkChange::UpFailed | LinkChange::MacFailed);
        let holder = needs_mac.then(|| self.holder(&fact, &life)).flatten();
        let mut case = self.case(at, fact, actor, life, cause);
        case.holder = holder;
        if case.fact.error.is_some() {
            let mut failed = case.clone();
            // A chain of failures would grow for as long as somebody tries.
            failed.life.failed = None;
            if let Some(life) = self.links.life_mut(case.life.id) {
                life.failed = Some(Rc::new(failed));
            }
        }
        match case.fact.change {
            LinkChange::Created | LinkChange::Renamed => self.overdue.link_appeared(&case),
            LinkChange::Deleted => self.overdue.deleted(&case),
            _ => {}
        }
        Some(case)
    }

    /// The case of a link that could not be made. If it was made and undone, it is that link.
    fn not_made(&mut self, at: Ktime, mut fact: LinkFact) -> Case {
        let actor = self.tasks.whole(&fact.task);
        let thread = (fact.task.process, fact.task.tid);
        let is_it = |(by, life): &((ProcessId, u32), Life)| {
            *by == thread && (life.last.name == fact.link.name || !fact.link.has_chosen_name())
        };
        let undone = self.undone.take().filter(is_it).map(|(_, life)| life);
        let mut holder = None;
        if let Some(life) = &undone {
            fact.link = life.last.clone();
            // The parent had room for it.
            fact.held_by = None;
            holder = self.holder(&fact, life);
        }
        let life = undone.unwrap_or_else(|| self.links.unborn(&fact));
        let cause = Cause::Request(Rc::clone(&actor));
        Case { holder, ..self.case(at, fact, actor, life, cause) }
    }

    /// The cases of a changed parent: one for each link on it that the change concerns.
    fn parent(&mut self, at: Ktime, fact: &LinkFact) -> Vec<Case> {
        let what = match fact.change {
            LinkChange::Down | LinkChange::UnseenDown | LinkChange::Moved => Some(LinkChange::ParentDown),
            LinkChange::Up => Some(LinkChange::ParentUp),
            LinkChange::CarrierLost | LinkChange::CarrierBack => None,
            _ => {
                if let Some(below) = &fact.parent {
                    self.parents.stands_on(&fact.link, below);
                }
                return Vec::new();
            }
        };
        let actor = self.tasks.whole(&fact.task);
        let by = match fact.change {
            LinkChange::UnseenDown => Cause::Unseen(self.gaps.reason_for(fact.change)),
            // A path without names does not show whether an interrupt runs on top of the process.
            LinkChange::CarrierLost | LinkChange::CarrierBack if !fact.path.has_names() => Cause::Worker,
            _ => self.cause_of_parents_change(at, fact, &actor),
        };
        let passed_on = fact.parent.as_ref().filter(|_| fact.path.takes_vlans_along());
        let by = match passed_on.and_then(|below| self.parents.passed_on(at, below, fact.change)) {
            Some(change) if matches!(by, Cause::Worker) => change.by.clone(),
            _ => by,
        };
        let below = fact.parent.as_ref().filter(|_| matches!(by, Cause::Worker));
        // The change at the start of the chain, so that the chain never has more than two.
        let follows = below
            .and_then(|below| self.parents.change_below(at, &fact.link, below, fact.change))
            .map(|change| change.follows.clone().unwrap_or(change));
        if let Some(from) = fact.from {
            self.parents.moves(from, &fact.link);
        }
        if let Some(below) = &fact.parent {
            self.parents.stands_on(&fact.link, below);
        }
        if let Cause::Cleanup { ended, generation, .. } = &by {
            self.parents.clear_away(&fact.link, Rc::clone(ended), *generation);
        }
        let change = self.parents.change(ParentChange {
            id: 0,
            at,
            change: fact.change,
            parent: fact.link.clone(),
            below: fact.parent.clone(),
            by,
            follows,
            path: fact.path.clone(),
        });
        // A change of carrier becomes an event when the links themselves report it, if it lasts.
        let Some(what) = what else { return Vec::new() };
        let cause = match change.by {
            Cause::Unseen(ref gap) => Cause::Unseen(gap.clone()),
            _ => Cause::ParentChanged(change),
        };
        self.children(fact, what == LinkChange::ParentDown)
            .into_iter()
            .map(|mut life| {
                life.history = rivals::History::default();
                let fact = LinkFact {
                    change: what,
                    flags_after: life.last.flags,
                    link: life.last.clone(),
                    parent: Some(fact.link.clone()),
                    from: None,
                    ..fact.clone()
                };
                self.case(at, fact, Rc::clone(&actor), life, cause.clone())
            })
            .collect()
    }

    /// The links that a change of their parent concerns. Also updates what they know of the parent.
    fn children(&mut self, fact: &LinkFact, down: bool) -> Vec<Life> {
        let seen_before = match fact.from {
            Some((netns, ifindex)) => Link { netns: Some(netns), ifindex, ..fact.link.clone() },
            None => fact.link.clone(),
        };
        let mut children: Vec<Life> = self.links.on(&seen_before).into_iter().cloned().collect();
        let ids: Vec<u64> = children.iter().map(|life| life.id).collect();
        let flags = if down { fact.link.flags & !IFF_UP } else { fact.link.flags };
        self.links.parent_is(&ids, &Link { flags, ..fact.link.clone() });
        if fact.change == LinkChange::Moved {
            // If the parent was down before, the move breaks nothing.
            children.retain(|life| life.parent.as_ref().is_none_or(Link::is_up));
        }
        children
    }

    fn case(&mut self, at: Ktime, fact: LinkFact, actor: Rc<Task>, mut life: Life, cause: Cause) -> Case {
        let reaction = match &cause {
            Cause::Request(task) if fact.change == LinkChange::Down && party::service(task).is_some() => {
                life.carrier_lost.clone().filter(|lost| at.0.saturating_sub(lost.at.0) <= REACTION_NS)
            }
            _ => None,
        };
        let key = incidents::Key::of(&actor, &fact, &life, &cause, reaction.as_deref());
        let parent = fact
            .parent
            .as_ref()
            .filter(|_| matches!(cause, Cause::ParentDeleted { .. } | Cause::ParentChanged(_)));
        let links = &self.links;
        let errand = matches!(cause, Cause::Request(_))
            .then(|| incidents::Errand::of(at, &actor, &fact, key))
            .flatten();
        let incident = self.incidents.of(key, errand, at, || match parent {
            Some(parent) => links.siblings(parent, &life),
            None => Siblings::default(),
        });
        let rivals = match cause {
            Cause::Request(_) if fact.change == LinkChange::Down => life.history.rivals(),
            _ => None,
        };
        let setter = self.setter(&fact, &life.addresses);
        let home = fact.home().and_then(|netns| self.netns.home(&netns, fact.task.kthread));
        let [victim, owner, arrived_in] = self.owners_of(at, &fact, &mut life, home.as_ref());
        let shared_with = self.owners.sharing_link(at, &life.homes, self.lost);
        let ended_in = cause.exit().and_then(|ended| self.container(&ended.task.cgroup));
        let main_pid = home.as_ref().and_then(|home| home.main_pid());
        let actor_container = self.container(&actor.cgroup);
        // An end or a signal may be among the lost records: a runtime waits that long for an answer to its request.
        let lost_lately = self.lost.is_some_and(|lost| at.0.saturating_sub(lost.0) <= netns::STOPPING_NS);
        let blind = !self.sees_ends || lost_lately || life.end_unclear;
        let actor_lives_there = fact.home().zip(actor.netns).is_some_and(|(home, own)| {
            (home.ptr, home.inode) == (own.ptr, own.inode) && !self.netns.is_visitor(&home, &actor)
        });
        Case {
            at,
            fact,
            actor,
            life,
            cause,
            incident: incident.number,
            may_grow: incident.may_grow,
            siblings: incident.siblings,
            rivals,
            reaction,
            holder: None,
            setter,
            home: home.map(|home| home.generation),
            victim,
            shared_with,
            ended_in,
            owner,
            main_pid,
            arrived_in,
            actor_container,
            blind,
            actor_lives_there,
        }
    }

    /// The container that a link belonged to before a change, the one that lives in the link's namespace (`home`), and
    /// the one that it has moved to.
    fn owners_of(
        &mut self,
        at: Ktime,
        fact: &LinkFact,
        life: &mut Life,
        home: Option<&Rc<Home>>,
    ) -> [Option<Container>; 3] {
        if let Some(home) = home {
            life.enter_home(home);
        }
        let owner = home.and_then(|home| self.owners.living_in(home));
        let victim = self.owners.of_link(&life.homes);
        let after = fact.from.and(fact.link.netns);
        let arrived = after.and_then(|netns| self.netns.home(&netns, fact.task.kthread));
        if let Some(home) = &arrived {
            life.enter_home(home);
        }
        if let Some(known) = self.links.life_mut(life.id) {
            known.homes.clone_from(&life.homes);
            if fact.change == LinkChange::Moved {
                known.arrived = Some(at);
            }
        }
        [victim, owner, arrived.and_then(|home| self.owners.of_namespace(&home))]
    }

    /// Notes that a process which lives in a namespace ends or gets a signal there.
    fn note_resident(&mut self, at: Ktime, netns: &Netns, task: &Task, ended: bool) {
        if self.netns.is_visitor(netns, task) {
            return;
        }
        if let Some(home) = self.netns.home(netns, false) {
            home.note_seen(at, task, ended);
        }
    }

    /// Whether the carrier of a link changed because its parent came up in the same call. Then `parent_up` is the event.
    fn came_with_its_parent(&self, fact: &LinkFact) -> bool {
        let parent_up = fact.parent.as_ref().and_then(|parent| self.parents.up(parent));
        parent_up.is_some_and(|up| match &up.by {
            Cause::Request(task) => task.task.process == fact.task.process && task.task.tid == fact.task.tid,
            _ => false,
        }) && fact.path.sets_up()
    }

    /// Whether a runtime may be clearing away after an end that does not count as the main process's: it was long ago,
    /// or the container has no pid namespace, so nobody knows which process was the main one.
    fn end_is_unclear(&mut self, at: Ktime, fact: &LinkFact, life: &Life, by: &Task) -> bool {
        let Some(home) = fact.home().filter(|_| runtime::works_for_one(by)) else { return false };
        match self.netns.home(&home, false).and_then(|home| home.owner_has_ended()) {
            Some(ended) => ended,
            // If the link is older than the tracer, somebody may have lived there before.
            None => self.netns.may_have_lost_its_main(at, &home) || life.created.is_none(),
        }
    }

    /// Who holds the address that a link wanted: another link of the same parent that is up, or the parent.
    fn holder(&self, fact: &LinkFact, life: &Life) -> Option<Holder> {
        let (parent, mac) = (fact.parent.as_ref()?, fact.needed_mac()?);
        if parent.mac == Some(mac) {
            return Some(Holder { link: parent.clone(), container: None, ending: false });
        }
        let sibling = self
            .links
            .on(parent)
            .into_iter()
            .find(|other| other.id != life.id && other.last.mac == Some(mac) && other.last.is_up())?;
        let ending = sibling.last.netns.as_ref().is_some_and(|netns| self.netns.is_orphaned(netns));
        let container = self.owners.of_link(&sibling.homes);
        Some(Holder { link: sibling.last.clone(), container, ending })
    }
}
