//! The link below lost its carrier: a cable, a switch, the other end of a veth.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Remedy, Rule, Verdict, words},
    event::Confidence,
    fact::{Link, LinkChange},
    sentence::{Part, sentence},
};

/// What may follow a flap. The tracer does not watch it.
pub const HINT: &str = "foreign-routes-flushed";

/// Its page.
pub const HINT_PAGE: &str = include_str!("../../pages/foreign-routes-flushed.md");

/// The rule.
pub const RULE: Rule = Rule {
    name: "carrier-lost",
    page: include_str!("../../pages/carrier-lost.md"),
    judge: |case| {
        let Cause::ParentChanged(change) = &case.cause else { return None };
        if change.change != LinkChange::CarrierLost {
            return None;
        }
        let (parent, link) = (Part::device(&change.parent.name), Part::link(&case.fact.link.name));
        let first = change.first();
        if matches!(first.by, Cause::NamespaceEnded(_)) {
            return None;
        }
        let Cause::Request(task) = &first.by else {
            return Some(Verdict {
                rule: RULE.name,
                cause: sentence!(
                    "The parent {} of {} lost its carrier{}, reported by {}; no process was seen behind that",
                    parent,
                    link,
                    words::with_below(change),
                    words::driver(&first.parent),
                ),
                remedy: Some(
                    "Look at the cable, the switch port, the bond or the hypervisor behind the parent; where traffic \
                     stays dead once it is back, see `macvlan-trace explain foreign-routes-flushed`"
                        .into(),
                ),
                // A worker or an interrupt may report it because of a process: `ethtool --negotiate` makes the worker
                // of phylib do it (`phy_state_machine`), and a process that switches a virtual function off talks to
                // the card's firmware.
                confidence: Confidence::Likely,
                culprit: None,
            });
        };
        let acted_on = Part::device(&first.parent.name);
        let set_up = |device: &Link| {
            let command = sentence!("`ip link set {} up` where that is", words::plain(&device.name));
            Some(Remedy::undo(command, None))
        };
        let (how, remedy) = match &first.below {
            _ if first.change == LinkChange::Down => {
                (sentence!("set {} down", acted_on), set_up(&first.parent))
            }
            Some(other) if first.path.closes_veth() => (
                sentence!("set {}, the other end of {}, down", Part::device(&other.name), acted_on),
                Some(Remedy::undo("Set the other end up again", None)),
            ),
            // A bond or a bridge has a carrier as long as one of its ports has. Only the first port is known.
            Some(below) if !below.is_up() => (
                sentence!("acted on {}, below which {} is down", acted_on, Part::device(&below.name)),
                set_up(below),
            ),
            _ => (sentence!("acted on {}", acted_on), None),
        };
        // Of several ports, another one may have been the last.
        let by_port = change.follows.is_some() && change.parent.has_ports();
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{} {}, and with that {}, the parent of {}, lost its carrier",
                words::who(task),
                how,
                parent,
                link
            ),
            remedy,
            confidence: if by_port { Confidence::Likely } else { Confidence::Certain },
            culprit: Some(Culprit::new(task)),
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::{
        fact::{Link, LinkChange},
        testing::story::{
            Story,
            cast::{eth0, ip, link, setup},
            macvlan, netns, nic,
            path::{DRIVER, LINKWATCH},
            worker,
        },
        text::Text,
    };

    const VETH_CLOSE: &[&str] = &["netif_carrier_off", "veth_close", "__dev_close_many", "do_setlink"];

    #[test]
    fn a_lost_carrier_that_a_driver_reports_blames_nobody_and_does_not_rule_a_process_out() {
        // A virtual function may bear the name of the card's own driver, and whoever has the card negotiate anew
        // (`ethtool --negotiate`) has the worker of phylib do it.
        let phylib: &[&str] =
            &["netif_carrier_off", "phy_link_change", "phy_state_machine", "process_one_work"];
        for (driver, path) in
            [("virtio_net", DRIVER), ("ixgbevf", DRIVER), ("mlx5_core", DRIVER), ("r8169", phylib)]
        {
            let (mut story, link) = link();
            let card = Link { driver: Some(Text::from(driver)), ..eth0() };
            story.parent(&worker(), LinkChange::CarrierLost, &card, None, path).wait_ms(1);
            story
                .link(&worker(), LinkChange::CarrierLost, &link, LINKWATCH)
                .tell()
                .last()
                .is("/event", "carrier_lost")
                .verdict("carrier-lost", "likely")
                .nobody()
                .says("/verdict/cause", &format!("its driver {driver}; no process was seen behind that"))
                .steps(&["parent_carrier_lost", "carrier_lost"]);
        }
    }

    #[test]
    fn who_sets_the_other_end_down_took_the_carrier() {
        let (mut story, link) = link();
        let peer = nic("peer0", netns(0), 4);
        let by = ip("ip link set peer0 down");
        story.parent(&by, LinkChange::CarrierLost, &eth0(), Some(&peer), VETH_CLOSE).wait_ms(40);
        story
            .link(&worker(), LinkChange::CarrierLost, &link, LINKWATCH)
            .tell()
            .last()
            .verdict("carrier-lost", "certain")
            .culprit(&by)
            .says("/verdict/cause", "set peer0, the other end of eth0, down");
    }

    #[test]
    fn a_vlan_that_loses_its_carrier_leads_to_the_card_below() {
        let vlan = Link { driver: None, kind: Some(Text::from("vlan")), ..nic("eth0.10", netns(0), 5) };
        let mut link = macvlan("macvlan0", netns(0), 7);
        link.parent = Some(vlan.clone());
        for (by, path, culprit) in
            [(worker(), DRIVER, false), (ip("ip link set peer0 down"), VETH_CLOSE, true)]
        {
            let mut story = Story::new();
            story.creates(&setup(), &link).wait_ms(1_000);
            story.parent(&by, LinkChange::CarrierLost, &eth0(), None, path).wait_ms(1);
            story.parent(&worker(), LinkChange::CarrierLost, &vlan, Some(&eth0()), LINKWATCH).wait_ms(1);
            let told = story.link(&worker(), LinkChange::CarrierLost, &link, LINKWATCH).tell();
            let last = told.last().steps(&["parent_carrier_lost", "parent_carrier_lost", "carrier_lost"]);
            if culprit {
                last.verdict("carrier-lost", "certain")
                    .culprit(&by)
                    .says("/verdict/cause", "acted on eth0, and with that eth0.10");
            } else {
                last.verdict("carrier-lost", "likely")
                    .nobody()
                    .says("/verdict/cause", "with eth0 below it, reported by its driver virtio_net");
            }
        }
    }

    #[test]
    fn a_bond_whose_carrier_went_in_a_worker_is_only_likely_nobodys_doing() {
        let bond = Link { driver: None, kind: Some(Text::from("bond")), ..nic("bond0", netns(0), 5) };
        let mut link = macvlan("macvlan0", netns(0), 7);
        link.parent = Some(bond.clone());
        let mut story = Story::new();
        story.creates(&setup(), &link).wait_ms(1_000);
        story.parent(&worker(), LinkChange::CarrierLost, &bond, None, DRIVER).wait_ms(1);
        let told = story.link(&worker(), LinkChange::CarrierLost, &link, LINKWATCH).tell();
        told.last().verdict("carrier-lost", "likely").nobody();
    }

    #[test]
    fn who_sets_the_only_port_of_a_bond_down_is_told_with_the_port() {
        let bond = Link { driver: None, kind: Some(Text::from("bond")), ..nic("bond0", netns(0), 5) };
        let mut link = macvlan("macvlan0", netns(0), 7);
        link.parent = Some(bond.clone());
        let by = ip("ip link set eth0 down");
        let path = &["netif_carrier_off", "bond_3ad_set_carrier", "bond_netdev_event", "dev_close_many"];
        for (flags, cause) in [
            (
                0x1002,
                "acted on bond0, below which eth0 is down, and with that bond0, the parent of macvlan0, lost",
            ),
            // Another port of it may be what was set down.
            (0x1003, "acted on bond0, and with that bond0, the parent of macvlan0, lost"),
        ] {
            let port = Link { flags, ..eth0() };
            let mut story = Story::new();
            story.creates(&setup(), &link).wait_ms(1_000);
            story.parent(&by, LinkChange::CarrierLost, &bond, Some(&port), path).wait_ms(1);
            let told = story.link(&worker(), LinkChange::CarrierLost, &link, LINKWATCH).tell();
            told.last().verdict("carrier-lost", "certain").culprit(&by).says("/verdict/cause", cause);
        }
    }

    #[test]
    fn a_carrier_whose_path_has_no_names_blames_nobody_and_is_not_certain() {
        let (mut story, link) = link();
        story.parent(&ip("ip addr"), LinkChange::CarrierLost, &eth0(), None, &[]).wait_ms(1);
        let told = story.link(&worker(), LinkChange::CarrierLost, &link, LINKWATCH).tell();
        told.last().verdict("carrier-lost", "likely").nobody();
    }

    #[test]
    fn an_interrupted_process_is_innocent_of_a_lost_carrier() {
        let (mut story, link) = link();
        let path = &["netif_carrier_off", "e1000_watchdog", "call_timer_fn", "handle_softirqs"];
        story.parent(&ip("ip addr"), LinkChange::CarrierLost, &eth0(), None, path).wait_ms(1);
        story
            .link(&worker(), LinkChange::CarrierLost, &link, LINKWATCH)
            .tell()
            .last()
            .verdict("carrier-lost", "likely")
            .nobody();
    }

    #[test]
    fn a_lost_carrier_whose_reason_was_not_seen_is_unknown() {
        let (mut story, link) = link();
        story
            .link(&worker(), LinkChange::CarrierLost, &link, LINKWATCH)
            .tell()
            .last()
            .verdict("unknown", "unknown")
            .nobody();
    }
}
