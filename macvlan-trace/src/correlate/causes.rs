//! How changes came about: who asked, what ended, which device passed it on.

use std::rc::Rc;

use super::{Cause, Correlator, Ended, Life, blame, netns};
use crate::{
    fact::{Ktime, Link, LinkChange, LinkFact, Netns, Task},
    work::runtime,
};

/// How long after a request for a link failed whoever made it may still give the link up because of that.
const GIVE_UP_NS: u64 = 60_000_000_000;

impl Correlator {
    /// How a change came about.
    pub(super) fn cause(&mut self, at: Ktime, fact: &LinkFact, actor: &Rc<Task>, life: &Life) -> Cause {
        match fact.change {
            LinkChange::UnseenDown | LinkChange::UnseenDeleted => {
                return Cause::Unseen(self.gaps.reason_for(fact.change));
            }
            LinkChange::Deleted => {
                if let Some(cause) = self.cause_of_deletion(at, fact, actor) {
                    return cause;
                }
            }
            // Nothing has happened to the parent then.
            LinkChange::CarrierLost | LinkChange::CarrierBack if fact.path.sets_protodown() => {}
            LinkChange::CarrierLost | LinkChange::CarrierBack => {
                let parent = fact.parent.as_ref();
                if let Some(change) = parent.and_then(|parent| self.parents.carrier(parent, fact.change)) {
                    return Cause::ParentChanged(change);
                }
            }
            _ => {}
        }
        match self.cause_of_act(fact, actor, fact.home()) {
            Cause::Request(by) => self
                .cleanup_of_link(at, fact, life, &by)
                .or_else(|| given_up(at, fact, life, &by))
                .unwrap_or(Cause::Request(by)),
            cause => cause,
        }
    }

    /// How a deletion came about, if nobody asked for this deletion itself.
    fn cause_of_deletion(&mut self, at: Ktime, fact: &LinkFact, actor: &Rc<Task>) -> Option<Cause> {
        let lost_parent = fact.parent.as_ref().filter(|parent| !parent.registered);
        // A parent stays while a link is made on it. `ip link set` also asks for a "new" link, and if it moves a
        // device, the kernel deletes what cannot stay on that device, such as a VXLAN
        // (`vxlan_handle_lowerdev_unregister`).
        if lost_parent.is_none() && fact.path.makes_link() {
            return Some(Cause::CreationFailed(Rc::clone(actor)));
        }
        // Only a kernel worker deletes the links of a namespace that has ended. If another task acts, the namespace lives,
        // even if its address was that of an ended one before.
        if fact.task.kthread {
            if let Some(end) = fact.link.netns.as_ref().and_then(|netns| self.netns.ended(netns)) {
                return Some(Cause::NamespaceEnded(end));
            }
        }
        if let Some(parent) = lost_parent {
            return Some(self.cause_of_parents_deletion(at, fact, actor, parent));
        }
        if let Some(netns) = fact.link.netns.as_ref().filter(|_| fact.task.kthread) {
            if fact.path.tears_down_netns() {
                return Some(Cause::NamespaceEnded(self.netns.end_unseen(at, netns, actor)));
            }
        }
        fact.path.unregisters_kind().then(|| Cause::ModuleUnloaded(Rc::clone(actor)))
    }

    /// How the deletion of a parent came about, with the devices below that took it along.
    fn cause_of_parents_deletion(
        &self,
        at: Ktime,
        fact: &LinkFact,
        actor: &Rc<Task>,
        parent: &Link,
    ) -> Cause {
        // The parent, then what took it along, down to the device whose own deletion began it.
        let mut gone = vec![parent.clone()];
        let mut passed_on = fact.path.deletions_passed_on();
        for below in self.parents.below(parent) {
            let last = gone.last().unwrap_or(parent);
            let of_kind = passed_on.iter().position(|kind| last.is_kind(kind));
            let Some(level) = of_kind else { break };
            passed_on.swap_remove(level);
            gone.push(Link { registered: false, ..below.clone() });
        }
        let first = gone.last().unwrap_or(parent);
        let other_end =
            self.parents.below(first).into_iter().next().filter(|other| other.is_veth() && first.is_veth());
        let mut by = self.cause_of_act(fact, actor, first.netns);
        match by {
            // A veth is deleted with the namespace of its other end.
            Cause::Worker if fact.path.tears_down_netns() => {
                if let Some((other, end)) =
                    other_end.and_then(|other| Some((other, self.netns.ended(other.netns.as_ref()?)?)))
                {
                    by = Cause::NamespaceEnded(end);
                    gone.push(Link { registered: false, ..other.clone() });
                }
            }
            Cause::Request(task) => {
                let homes = [Some(first), other_end].into_iter().flatten().filter_map(|device| device.netns);
                let cleanup = self.cleanup(at, &task, self.parents.orphaned(first), homes, None);
                by = cleanup.unwrap_or(Cause::Request(task));
            }
            _ => {}
        }
        gone.into_iter().rev().fold(by, |by, parent| Cause::ParentDeleted { parent, by: Box::new(by) })
    }

    /// How a change of a parent came about, if another device did not pass it on.
    pub(super) fn cause_of_parents_change(&self, at: Ktime, fact: &LinkFact, actor: &Rc<Task>) -> Cause {
        let comes_up = matches!(fact.change, LinkChange::Up | LinkChange::CarrierBack);
        match self.cause_of_act(fact, actor, fact.home()) {
            Cause::Request(by) if !comes_up => {
                let below = self.devices_below(fact).filter_map(|device| device.netns);
                let homes = fact.home().into_iter().chain(below);
                let known = self.parents.orphaned(&fact.link);
                self.cleanup(at, &by, known, homes, None).unwrap_or(Cause::Request(by))
            }
            // A worker tears the namespace of a device further below down, such as the other end of a bridge's port.
            Cause::Worker if fact.path.tears_down_netns() => self
                .devices_below(fact)
                .find_map(|device| self.netns.ended(device.netns.as_ref()?))
                .map_or(Cause::Worker, Cause::NamespaceEnded),
            cause => cause,
        }
    }

    /// The devices below a parent that changed.
    fn devices_below<'a>(&'a self, fact: &'a LinkFact) -> impl Iterator<Item = &'a Link> {
        let near = fact.parent.as_ref();
        near.into_iter().chain(near.into_iter().flat_map(|near| self.parents.below(near)))
    }

    /// The cause of a task's act on a device: the task's own request, or the end of the device's namespace.
    fn cause_of_act(&self, fact: &LinkFact, actor: &Rc<Task>, home: Option<Netns>) -> Cause {
        if !blame::is_innocent(&fact.task, &fact.path) {
            return Cause::Request(Rc::clone(actor));
        }
        home.and_then(|netns| self.netns.ended(&netns)).map_or(Cause::Worker, Cause::NamespaceEnded)
    }

    /// Whether a runtime clears a link away after the end of its container.
    fn cleanup_of_link(&self, at: Ktime, fact: &LinkFact, life: &Life, by: &Rc<Task>) -> Option<Cause> {
        if matches!(fact.change, LinkChange::Created | LinkChange::Up) || fact.is_refused_change() {
            return None;
        }
        self.cleanup(at, by, life.orphaned.clone(), fact.home(), life.there_since())
    }

    /// Whether somebody who works for a container's runtime clears a device away after the container's end: that which a
    /// runtime is known to clear it away after, or one in one of these namespaces. A device that has been there `since`
    /// then does not belong to who had ended before.
    fn cleanup(
        &self,
        at: Ktime,
        by: &Rc<Task>,
        known: Option<(Rc<Ended>, u64)>,
        homes: impl IntoIterator<Item = Netns>,
        since: Option<Ktime>,
    ) -> Option<Cause> {
        let known = known.filter(|(ended, _)| netns::clears_away(at, ended, by));
        let (ended, generation) = known.or_else(|| {
            let found = homes.into_iter().find_map(|home| self.netns.orphaned(at, &home, by));
            found.filter(|(ended, _)| since.is_none_or(|since| since <= ended.at))
        })?;
        Some(Cause::Cleanup { ended, generation, by: Rc::clone(by) })
    }
}

/// Whether somebody who could not start a link takes it away for that reason: the process whose request failed, or
/// another one that works for a runtime, if that process does.
fn given_up(at: Ktime, fact: &LinkFact, life: &Life, by: &Rc<Task>) -> Option<Cause> {
    let takes_back = matches!(
        fact.change,
        LinkChange::Down | LinkChange::Renamed | LinkChange::Moved | LinkChange::Deleted
    );
    let failed = life.failed.as_ref().filter(|_| takes_back)?;
    let together = failed.actor.task.process == by.task.process
        || [&failed.actor, by].into_iter().all(|task| runtime::works_for_one(task));
    (together && at.0.saturating_sub(failed.at.0) <= GIVE_UP_NS)
        .then(|| Cause::GivenUp { failed: Rc::clone(failed), by: Rc::clone(by) })
}
