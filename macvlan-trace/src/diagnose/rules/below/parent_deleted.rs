//! The link below was deleted, and the kernel deleted the links on it.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    sentence::{Part, sentence},
};

/// What to do.
pub(super) const REMEDY: &str = "Create the link again once its parent is back; keep whatever restarts the network from \
                                 deleting a parent in use";

/// The rule.
pub const RULE: Rule = Rule {
    name: "parent-deleted",
    page: include_str!("../../pages/parent-deleted.md"),
    judge: |case| {
        let devices = case.cause.deleted();
        let (false, Cause::Request(task)) = (devices.is_empty(), case.cause.root()) else { return None };
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!("{} removed {}, which went with it", words::who(task), words::lost_parent(case),),
            remedy: Some(match devices[..] {
                [_] => REMEDY.into(),
                _ => {
                    let devices = devices.iter().map(|device| Part::device(&device.name));
                    sentence!(
                        "Make {} again, in this order; keep whatever restarts the network from deleting a device in use",
                        words::list(devices.chain([Part::link(&case.fact.link.name)])),
                    )
                    .into()
                }
            }),
            confidence: Confidence::Certain,
            culprit: Some(Culprit::new(task)),
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::{
        fact::LinkChange,
        testing::story::{
            Story,
            cast::{deletes_parent_through, eth0, ip, link},
            macvlan, netns, nic, path,
        },
    };

    #[test]
    fn who_removes_the_parent_is_the_culprit() {
        let mut story = Story::new();
        let del = ip("ip link del eth0");
        for ifindex in 7..10 {
            let link = macvlan(&format!("macvlan{ifindex}"), netns(1), ifindex).losing_parent(nic(
                "eth0",
                netns(0),
                2,
            ));
            story.link(&del, LinkChange::Deleted, &link, path::CASCADE);
        }
        let told = story.tell();
        for event in told.events() {
            event
                .verdict("parent-deleted", "certain")
                .culprit(&del)
                .is("/link/parent/name", "eth0")
                .is("/link/parent/deleted", true)
                .says("/verdict/cause", "called by bash (PID 880), removed the parent eth0 of macvlan")
                .steps(&["parent_deleted", "deleted"]);
        }
        assert_eq!(told.incidents(), [1, 1, 1], "{told}");
    }

    #[test]
    fn who_deletes_the_link_before_its_parent_deleted_the_link() {
        let (mut story, link) = link();
        let del = ip("ip link del macvlan0");
        let told = story.deletes(&del, &link).parent(&del, LinkChange::Down, &eth0(), None, &[]).tell();
        told.last().verdict("direct", "certain").culprit(&del).is("/link/parent/deleted", false);
    }

    #[test]
    fn a_parent_that_a_request_for_a_move_deletes_is_no_creation_that_failed() {
        let moves = ip("ip link set card0 netns other");
        let path = ["vxlan_netdevice_event", "__dev_change_net_namespace", "do_setlink", "rtnl_newlink"];
        let told = deletes_parent_through(&moves, &path);
        told.last().verdict("parent-deleted", "certain").culprit(&moves);
    }
}
