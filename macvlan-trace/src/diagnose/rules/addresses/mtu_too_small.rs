//! Somebody set an MTU that is too small for IPv6, and the kernel took IPv6 from the links.

use std::net::IpAddr;

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    fact::LinkChange,
    sentence::{Part, sentence},
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "mtu-too-small",
    page: include_str!("../../pages/mtu-too-small.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        let is_v6 = case.fact.address.is_some_and(|address| matches!(address.ip, IpAddr::V6(_)));
        if case.fact.change != LinkChange::AddressRemoved || !is_v6 || !case.fact.path.sets_mtu() {
            return None;
        }
        let link = Part::link(&case.fact.link.name);
        let parent = case.fact.parent.as_ref().filter(|_| case.fact.path.reaches_children());
        let (device, of) = match parent {
            Some(parent) => {
                (&parent.name, sentence!("{}, the parent of {},", Part::device(&parent.name), link))
            }
            None => (&case.fact.link.name, link.into()),
        };
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{} set the MTU of {} below 1280, the least for IPv6, and with that the kernel removed {}",
                words::who(task),
                of,
                words::address(case),
            ),
            remedy: Some(
                sentence!(
                    "`ip link set {} mtu 1500` where that is, or whatever it had; then the MTU of {} and its IPv6 \
                     addresses again: {}",
                    words::plain(device),
                    words::plain(&case.fact.link.name),
                    words::set_address_again(case),
                )
                .into(),
            ),
            confidence: Confidence::Certain,
            culprit: Some(Culprit::new(task)),
        })
    },
};

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use crate::{
        fact::{Address, LinkChange, LinkFact, What},
        testing::story::{
            Story,
            cast::{ip, setup},
            macvlan, netns,
        },
    };

    #[test]
    fn one_mtu_of_a_parent_that_takes_ipv6_from_two_links_is_one_incident() {
        let own = ["inet6addr_notifier_call_chain", "addrconf_ifdown", "addrconf_notify", "dev_set_mtu"];
        let of_parent = [&own[..], &["macvlan_device_event", "dev_set_mtu", "do_setlink"]].concat();
        let (v6, v4): (IpAddr, IpAddr) = ("fd00::2".parse().unwrap(), [192, 0, 2, 7].into());
        for (path, address, rule, said) in [
            (&of_parent[..], v6, "mtu-too-small", "set the MTU of eth0, the parent of macvlan2, below 1280"),
            (&own[..], v6, "mtu-too-small", "set the MTU of macvlan2 below 1280"),
            (&of_parent[..], v4, "direct", "removed the address"),
        ] {
            let (mut story, by) = (Story::new(), ip("ip link set eth0 mtu 1200"));
            for number in [1, 2] {
                let link = macvlan(&format!("macvlan{number}"), netns(number), 6 + number);
                let fact = LinkFact {
                    address: Some(Address { ip: address, prefix: 64 }),
                    ..link.fact(LinkChange::AddressRemoved, &by, path)
                };
                story.creates(&setup(), &link).fact(What::Link(Box::new(fact)));
            }
            let told = story.tell();
            let removed: Vec<_> = told
                .events()
                .into_iter()
                .filter(|event| event.record["event"] == "address_removed")
                .collect();
            removed[1].verdict(rule, "certain").culprit(&by).says("/verdict/cause", said);
            let incidents = [0, 1].map(|number| removed[number].record["incident"].clone());
            assert_eq!(incidents[0], incidents[1], "{told}");
        }
    }
}
