//! Somebody told the kernel to keep the carrier of the link down.

use crate::{
    correlate::Cause,
    diagnose::{Rule, Verdict, asked, words},
    fact::LinkChange,
    sentence::{Part, sentence},
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "protodown",
    page: include_str!("../../pages/protodown.md"),
    judge: |case| {
        let link = Part::link(&case.fact.link.name);
        let name = words::plain(&case.fact.link.name);
        let set = case.fact.path.sets_protodown();
        match (case.fact.change, &case.cause) {
            (LinkChange::CarrierLost, Cause::Request(task)) if set => Some(Verdict {
                cause: sentence!(
                    "{} set protodown on {}, which keeps its carrier down by design",
                    words::who(task),
                    link
                ),
                remedy: Some(
                    sentence!(
                        "Nothing, on a backup of a VRRP daemon; otherwise `ip link set {} protodown off` in its \
                         namespace",
                        name
                    )
                    .into(),
                ),
                ..asked(RULE.name, case, task)
            }),
            (LinkChange::CarrierBack, Cause::Request(task)) if set => Some(Verdict {
                cause: sentence!("{} cleared protodown of {}", words::who(task), link),
                ..asked(RULE.name, case, task)
            }),
            (LinkChange::CarrierBack, cause) if case.fact.link.protodown == Some(true) => {
                let task = match cause {
                    Cause::Request(task) => Some(task),
                    Cause::ParentChanged(change) => match &change.first().by {
                        Cause::Request(task) => Some(task),
                        _ => None,
                    },
                    _ => None,
                };
                Some(Verdict {
                    cause: sentence!(
                        "{} carries again since its parent does, although protodown is still on: the kernel does not \
                         keep it down",
                        link
                    ),
                    remedy: Some(
                        sentence!("If it has to be down, `ip link set {} protodown off`, and then on again", name)
                            .into(),
                    ),
                    culprit: task.map(crate::diagnose::Culprit::new),
                    ..asked(RULE.name, case, &case.actor)
                })
            }
            _ => None,
        }
    },
};

#[cfg(test)]
mod tests {
    use crate::{
        fact::LinkChange,
        testing::story::{
            Macvlan,
            cast::{eth0, ip, link},
            worker,
        },
    };

    const OFF: &[&str] = &["netif_carrier_off", "dev_change_proto_down", "do_setlink.isra.0", "rtnl_newlink"];
    const ON: &[&str] = &["netif_carrier_on", "netif_change_proto_down", "do_setlink.isra.0", "rtnl_newlink"];
    const DRIVER: &[&str] = &["netif_carrier_on", "virtnet_config_changed_work", "process_one_work"];
    const FOLLOWS: &[&str] =
        &["netif_carrier_on", "macvlan_device_event", "linkwatch_do_dev", "process_one_work"];

    #[test]
    fn who_sets_protodown_takes_the_carrier_away_by_design() {
        let (mut story, link) = link();
        let (on, off) = (ip("ip link set macvlan0 protodown on"), ip("ip link set macvlan0 protodown off"));
        // The parent had a flap before, which has nothing to do with it.
        story.parent(&worker(), LinkChange::CarrierLost, &eth0(), None, DRIVER);
        let told = story.link(&on, LinkChange::CarrierLost, &link, OFF).tell();
        told.last()
            .is("/event", "carrier_lost")
            .verdict("protodown", "certain")
            .culprit(&on)
            .says("/verdict/cause", "set protodown on macvlan0, which keeps its carrier down by design")
            .says("/verdict/remedy", "`ip link set macvlan0 protodown off`");
        let told = story.link(&off, LinkChange::CarrierBack, &link, ON).tell();
        told.last().verdict("protodown", "certain").culprit(&off).says("/verdict/cause", "cleared protodown");
    }

    #[test]
    fn a_flap_of_the_parent_brings_the_carrier_back_in_spite_of_protodown() {
        let (mut story, link) = link();
        story.link(&ip("ip link set macvlan0 protodown on"), LinkChange::CarrierLost, &link, OFF);
        let mut flap = |link: &Macvlan| {
            story.parent(&worker(), LinkChange::CarrierBack, &eth0(), None, DRIVER).wait_ms(1);
            story.link(&worker(), LinkChange::CarrierBack, link, FOLLOWS).tell()
        };
        let set = |protodown| {
            let mut link = link.clone();
            link.link.protodown = Some(protodown);
            link
        };
        flap(&set(true))
            .last()
            .is("/event", "carrier_back")
            .is("/link/protodown", true)
            .verdict("protodown", "certain")
            .nobody()
            .says("/verdict/cause", "although protodown is still on");
        // It was cleared while the link had its carrier, which changed nothing that anybody saw.
        flap(&set(false)).last().is("/link/protodown", false).verdict("carrier-back", "likely");
    }
}
