//! Joins the facts of one story: the exit or signal that ended a namespace and the deletion that followed it in a
//! kernel worker, the parent that went and its children, the link that was renamed and moved on its way.
//!
//! Joined by namespace, link and process, never by closeness in time alone.

mod blame;
mod links;
mod netns;
mod owners;
#[cfg(test)]
pub(crate) mod story;
mod tasks;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, rc::Rc};

pub use blame::{Cause, Drop, Ended, Kill, NamespaceEnd, Trigger};
pub use links::Life;

use crate::fact::{Cgroup, Container, Fact, Ktime, LinkChange, LinkFact, Netns, ProcessId, Task, What};

/// A task, by the id that the tracer has inside its own pid namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// Process id there.
    pub ns_tgid: u32,
    /// Inode number of the namespace.
    pub pidns: Option<crate::fact::NsInode>,
}

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
    /// The container that lost the link: the last that owned a namespace in which it lived.
    pub victim: Option<Container>,
    /// The container that owns the namespace that the link moved to.
    pub arrived_in: Option<Container>,
    /// The container that the actor runs in.
    pub actor_container: Option<Container>,
}

/// Keeps what later facts need, and turns changes of links into cases.
pub struct Correlator {
    own: Own,
    tasks: tasks::Tasks,
    links: links::Links,
    netns: netns::Namespaces,
    owners: owners::Owners,
    incidents: Incidents,
}

impl Correlator {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(own: Own) -> Self {
        Self {
            own,
            tasks: tasks::Tasks::default(),
            links: links::Links::default(),
            netns: netns::Namespaces::default(),
            owners: owners::Owners::default(),
            incidents: Incidents::default(),
        }
    }

    /// Takes one fact in; a case where it is a change of a link.
    pub fn take(&mut self, fact: Fact) -> Option<Case> {
        let at = fact.at;
        match fact.what {
            What::Task(task) => self.tasks.learn(*task),
            What::Link(link) => return Some(self.case(at, *link)),
            What::Exit(exit) => {
                let task = self.tasks.whole(&exit.task);
                self.netns.exit(at, &exit, Rc::clone(&task));
                self.seen_in(&exit.netns, &task, true);
            }
            What::Signal(signal) => {
                let sender = signal.sender.as_ref().map(|sender| self.tasks.whole(sender));
                self.netns.signal(at, &signal, sender);
                let target = self.tasks.whole(&signal.target);
                self.seen_in(&signal.netns, &target, false);
            }
            What::NetnsMove(change) => self.netns.entered(at, &change),
            What::NetnsEnd(end) => {
                let task = self.tasks.whole(&end.task);
                let own = end.task.ns_tgid == Some(self.own.ns_tgid) && end.task.pidns == self.own.pidns;
                self.netns.end(at, &end, task, own);
            }
            What::Stock(stock) => self.links.stock(&stock),
            What::NetnsName { netns, name } => self.netns.name(&netns, name),
            What::Container(container) => self.owners.learn(container),
            What::Resident(resident) => {
                if let Some(generation) = self.netns.generation(&resident.netns, false) {
                    self.owners.lives(generation, &resident);
                }
            }
            What::Lost { .. } | What::Parent(_) | What::Oom(_) | What::Freed { .. } | What::Tick => {}
        }
        None
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

    /// Links in namespaces that have ended, or whose main process has: the kernel has still to delete them.
    #[must_use]
    pub fn in_teardown(&self) -> usize {
        self.links.homes().filter(|netns| self.netns.is_ending(netns)).count()
    }

    fn case(&mut self, at: Ktime, fact: LinkFact) -> Case {
        let actor = self.tasks.whole(&fact.task);
        let life = self.links.change(at, &fact);
        let (victim, arrived_in) = self.owners_of(&fact, &life);
        let cause = self.cause(at, &fact, &actor);
        let incident = self.incidents.of(&actor, &life, &cause);
        let actor_container = self.container(&actor.cgroup);
        Case { at, fact, actor, life, cause, incident, victim, arrived_in, actor_container }
    }

    /// The container that a link belonged to before a change, and the one that it has moved to.
    fn owners_of(&mut self, fact: &LinkFact, life: &Life) -> (Option<Container>, Option<Container>) {
        let before = fact.from.map(|(netns, _)| netns).or(fact.link.netns);
        if let Some(home) = before.and_then(|netns| self.netns.generation(&netns, fact.task.kthread)) {
            self.owners.link_in(life.id, home);
        }
        let victim = self.owners.of_link(life.id);
        let after = fact.from.and(fact.link.netns);
        let arrived = after.and_then(|netns| self.netns.generation(&netns, fact.task.kthread));
        if let Some(home) = arrived {
            self.owners.link_in(life.id, home);
        }
        if matches!(fact.change, LinkChange::Deleted | LinkChange::UnseenDeleted) {
            self.owners.link_gone(life.id);
        }
        (victim, arrived.and_then(|home| self.owners.of_namespace(home)))
    }

    /// A process that lives in a namespace ends or is signalled there.
    fn seen_in(&mut self, netns: &Netns, task: &Task, ended: bool) {
        if self.netns.is_visitor(netns, task) {
            return;
        }
        if let Some(generation) = self.netns.generation(netns, false) {
            self.owners.acts(generation, task, ended);
        }
    }

    /// How a change came about.
    fn cause(&mut self, at: Ktime, fact: &LinkFact, actor: &Rc<Task>) -> Cause {
        if matches!(fact.change, LinkChange::UnseenDown | LinkChange::UnseenDeleted) {
            return Cause::Unseen;
        }
        if fact.change == LinkChange::Deleted {
            if blame::undoes_creation(&fact.stack) {
                return Cause::CreationFailed(Rc::clone(actor));
            }
            // A task that deletes links of a namespace while tearing it down is a kernel worker; one that is not acts
            // on a namespace that lives, even if the address was an ended one's before.
            let torn_down = fact.task.kthread && blame::tears_namespaces_down(&fact.stack);
            if fact.task.kthread {
                if let Some(end) = fact.link.netns.as_ref().and_then(|netns| self.netns.ended(netns)) {
                    return Cause::NamespaceEnded(end);
                }
            }
            if let Some(parent) = fact.parent.as_ref().filter(|parent| !parent.registered) {
                let by = match parent.netns.as_ref() {
                    Some(netns) if fact.task.kthread => {
                        self.netns.ended(netns).map_or(Cause::Worker, Cause::NamespaceEnded)
                    }
                    _ => Cause::Request(Rc::clone(actor)),
                };
                return Cause::ParentDeleted { parent: parent.clone(), by: Box::new(by) };
            }
            if let Some(netns) = fact.link.netns.as_ref().filter(|_| torn_down) {
                return Cause::NamespaceEnded(self.netns.end_unseen(at, netns, actor));
            }
            if blame::unloads_module(&fact.stack) {
                return Cause::ModuleUnloaded(Rc::clone(actor));
            }
        }
        if fact.task.kthread { Cause::Worker } else { Cause::Request(Rc::clone(actor)) }
    }
}

/// Numbers incidents: what has one cause has one number.
#[derive(Default)]
struct Incidents {
    last: u64,
    open: HashMap<IncidentKey, u64>,
}

/// What makes two cases one incident.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum IncidentKey {
    /// The end of a namespace.
    Namespace(u64),
    /// The end of a parent, by its device and index, and who removed it.
    Parent(Option<u64>, u32, ProcessId),
    /// A module, and who unloaded it.
    Module(ProcessId),
    /// A link since it last came up, and who works on it.
    Link(u64, u64, ProcessId),
}

/// Incidents that may still grow; the oldest is forgotten first.
const MAX_OPEN_INCIDENTS: usize = 4096;

impl Incidents {
    fn of(&mut self, actor: &Task, life: &Life, cause: &Cause) -> u64 {
        let process = actor.task.process;
        let key = match (cause.namespace_end(), cause) {
            (Some(end), _) => IncidentKey::Namespace(end.generation),
            (None, Cause::ParentDeleted { parent, .. }) => {
                IncidentKey::Parent(parent.dev, parent.ifindex, process)
            }
            (None, Cause::ModuleUnloaded(_)) => IncidentKey::Module(process),
            (None, _) => IncidentKey::Link(life.id, life.ups, process),
        };
        if let Some(&number) = self.open.get(&key) {
            return number;
        }
        if self.open.len() >= MAX_OPEN_INCIDENTS {
            let oldest = self.last.saturating_sub(MAX_OPEN_INCIDENTS as u64 / 2);
            self.open.retain(|_, number| *number > oldest);
        }
        self.last += 1;
        self.open.insert(key, self.last);
        self.last
    }
}
