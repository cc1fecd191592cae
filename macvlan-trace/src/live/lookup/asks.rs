//! What a fact makes the tracer ask the machine.

use crate::{
    fact::{LinkChange, Netns, What},
    text::Text,
};

/// The namespaces of a fact whose names people will see. Kernel workers are left out: they act in known namespaces, or
/// in ended ones, whose inode number may belong to another one by now.
pub fn named_in(what: &What) -> impl Iterator<Item = &Netns> {
    let fact = match what {
        What::Link(fact) if !fact.task.kthread => Some(fact),
        _ => None,
    };
    fact.into_iter().flat_map(|fact| {
        let left = fact.from.as_ref().map(|(netns, _)| netns);
        let wanted = fact.wanted.as_ref().and_then(|wanted| wanted.netns.as_ref());
        fact.link.netns.iter().chain(left).chain(wanted)
    })
}

/// The namespace that has ended, if a fact shows it: its last reference dropped, or, even if no probe saw that, the
/// kernel deletes one of its links with it (not with a parent). From now on, its address and inode number may belong to
/// another one.
pub fn torn_down_in(what: &What) -> Option<Netns> {
    match what {
        What::NetnsEnd(end) if end.last => Some(end.netns),
        What::Link(fact) if fact.change == LinkChange::Deleted && fact.task.kthread => {
            let with_parent = fact.parent.as_ref().is_some_and(|parent| !parent.registered);
            fact.home().filter(|_| !with_parent && fact.path.tears_down_netns())
        }
        _ => None,
    }
}

/// The control group that a fact introduces.
pub fn cgroup_in(what: &What) -> Option<&Text> {
    match what {
        What::Task(task) => task.cgroup.path.as_ref(),
        What::Resident(resident) => resident.cgroup.path.as_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fact::{Fact, Link, Wanted},
        testing::story::{Story, macvlan, netns, nic, path, process},
    };

    /// The last fact of a story.
    fn last(tell: impl FnOnce(&mut Story) -> &mut Story) -> Fact {
        let mut story = Story::new();
        tell(&mut story);
        story.into_facts().pop().expect("a fact")
    }

    fn named(what: &What) -> Vec<Netns> {
        named_in(what).copied().collect()
    }

    #[test]
    fn a_process_shows_the_namespace_that_it_works_in_and_a_move_shows_both() {
        let link = macvlan("macvlan0", netns(1), 7);
        let made = last(|story| story.creates(&process("ip", 901), &link));
        assert_eq!(named(&made.what), [netns(1)]);
        let moved = last(|story| story.moves(&process("ip", 901), (netns(0), 7), &link));
        assert_eq!(named(&moved.what), [netns(1), netns(0)]);
        let What::Link(mut refused) = made.what else { panic!("a link") };
        refused.wanted = Some(Wanted { netns: Some(netns(2)), ..Wanted::default() });
        assert_eq!(named(&What::Link(refused)), [netns(1), netns(2)]);
    }

    #[test]
    fn a_worker_shows_no_namespace_since_its_number_may_be_anothers_by_now() {
        let torn = last(|story| story.is_torn_down(&macvlan("macvlan0", netns(1), 7)));
        assert_eq!(named(&torn.what), []);
    }

    #[test]
    fn a_namespace_has_ended_with_its_last_reference_or_when_a_worker_deletes_its_links() {
        let shell = process("sh", 812);
        let dropped = last(|story| story.drops(&shell, netns(1), path::EXIT));
        assert_eq!(torn_down_in(&dropped.what), Some(netns(1)));
        let torn = last(|story| story.is_torn_down(&macvlan("macvlan0", netns(1), 7)));
        assert_eq!(torn_down_in(&torn.what), Some(netns(1)));
        let held = last(|story| story.lets_go(&shell, netns(1), path::UNMOUNT));
        assert_eq!(torn_down_in(&held.what), None);
    }

    #[test]
    fn a_link_that_goes_with_its_parent_says_nothing_of_its_own_namespace() {
        let parent = Link { registered: false, ..nic("veth0", netns(2), 2) };
        let link = macvlan("macvlan0", netns(1), 7).losing_parent(parent);
        let torn = last(|story| story.is_torn_down(&link));
        assert_eq!(torn_down_in(&torn.what), None);
        let by_hand = last(|story| story.deletes(&process("ip", 901), &macvlan("macvlan0", netns(1), 7)));
        assert_eq!(torn_down_in(&by_hand.what), None);
    }

    #[test]
    fn a_task_introduces_its_control_group() {
        let task = process("ip", 901);
        assert_eq!(cgroup_in(&What::Task(Box::new(task.clone()))), task.cgroup.path.as_ref());
        assert_eq!(cgroup_in(&What::Tick), None);
    }
}
