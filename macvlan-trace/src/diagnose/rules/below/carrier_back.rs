//! The link below has its carrier back.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    fact::LinkChange,
    sentence::{Part, sentence},
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "carrier-back",
    page: include_str!("../../pages/carrier-back.md"),
    judge: |case| {
        let Cause::ParentChanged(change) = &case.cause else { return None };
        if change.change != LinkChange::CarrierBack {
            return None;
        }
        let (parent, link) = (Part::device(&change.parent.name), Part::link(&case.fact.link.name));
        let (cause, culprit, confidence) = match &change.first().by {
            Cause::Request(task) => (
                sentence!(
                    "{} gave {}, the parent of {}, its carrier back",
                    words::process_with_command(task),
                    parent,
                    link
                ),
                Some(Culprit::new(task)),
                Confidence::Certain,
            ),
            _ => (
                sentence!(
                    "The parent {} of {} has its carrier back, reported by {}",
                    parent,
                    link,
                    words::driver(&change.first().parent)
                ),
                None,
                // As for a loss: a worker may act for a process.
                Confidence::Likely,
            ),
        };
        Some(Verdict { rule: RULE.name, cause, remedy: None, confidence, culprit })
    },
};

#[cfg(test)]
mod tests {
    use crate::{
        fact::{LinkChange, Task},
        testing::story::{
            Told,
            cast::{eth0, ip, link},
            worker,
        },
    };

    const NOTIFIER: &[&str] =
        &["netif_carrier_on", "macvlan_device_event", "__dev_notify_flags", "do_setlink"];
    const LINKWATCH: &[&str] =
        &["netif_carrier_on", "macvlan_device_event", "linkwatch_do_dev", "process_one_work"];

    /// What is told when the parent has its carrier back, and then the link.
    fn comes_back(by: &Task, path: &[&str]) -> Told {
        let (mut story, link) = link();
        story.parent(by, LinkChange::CarrierBack, &eth0(), None, path).wait_ms(1);
        story.link(&worker(), LinkChange::CarrierBack, &link, LINKWATCH).tell()
    }

    #[test]
    fn a_carrier_that_a_driver_reports_to_be_back_blames_nobody_and_is_likely() {
        let path = &["netif_carrier_on", "virtnet_config_changed_work", "process_one_work"];
        comes_back(&worker(), path)
            .last()
            .is("/event", "carrier_back")
            .verdict("carrier-back", "likely")
            .nobody()
            .says("/verdict/cause", "has its carrier back, reported by its driver virtio_net");
    }

    #[test]
    fn who_sets_the_other_end_up_gave_the_carrier_back() {
        let by = ip("ip link set peer0 up");
        comes_back(&by, &["netif_carrier_on", "veth_open", "__dev_open", "do_setlink"])
            .last()
            .verdict("carrier-back", "certain")
            .culprit(&by)
            .says("/verdict/cause", "gave eth0, the parent of macvlan0, its carrier back");
    }

    #[test]
    fn a_carrier_that_comes_with_the_parent_is_no_event_of_its_own() {
        let (mut story, link) = link();
        let by = ip("ip link set eth0 up");
        story.parent(&by, LinkChange::Up, &eth0(), None, &[]).link(
            &by,
            LinkChange::CarrierBack,
            &link,
            NOTIFIER,
        );
        let told = story.tell();
        told.last().is("/event", "parent_up").verdict("direct", "certain").is("/culprit/comm", "ip");
        assert_eq!(told.events().len(), 3, "{told}");
    }
}
