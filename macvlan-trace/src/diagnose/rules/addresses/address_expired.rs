//! The kernel removed an address whose lifetime had ended.

use crate::{
    correlate::Cause,
    diagnose::{Rule, Verdict, words},
    event::Confidence,
    fact::LinkChange,
    sentence::sentence,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "address-expired",
    page: include_str!("../../pages/address-expired.md"),
    judge: |case| {
        let by_itself = matches!(case.cause, Cause::Worker) && case.fact.change == LinkChange::AddressRemoved;
        (by_itself && case.fact.path.ends_lifetimes()).then(|| Verdict {
            rule: RULE.name,
            cause: sentence!(
                "The lifetime of {} ended, since nobody had renewed it, and the kernel removed it",
                words::address(case)
            ),
            remedy: Some(
                sentence!(
                    "See whether the DHCP client that keeps the address still runs, or the router that announces its \
                     prefix; {} sets it without a lifetime",
                    words::set_address_again(case)
                )
                .into(),
            ),
            confidence: Confidence::Certain,
            // No process did it; whoever should have renewed it was not seen failing to.
            culprit: None,
        })
    },
};

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use crate::{
        fact::{Address, LinkChange, LinkFact, What},
        testing::story::{cast::link, worker},
    };

    #[test]
    fn an_address_whose_lifetime_ended_is_nobodys_doing() {
        for (path, rule, confidence) in [
            (
                &["inet6addr_notifier_call_chain", "ipv6_del_addr", "addrconf_verify_work"][..],
                "address-expired",
                "certain",
            ),
            (&["fib_inetaddr_event", "__inet_del_ifa", "check_lifetime"], "address-expired", "certain"),
            (
                &["inet6addr_notifier_call_chain", "ipv6_del_addr", "addrconf_dad_work"],
                "address-duplicate",
                "likely",
            ),
            (&["fib_inetaddr_event", "__inet_del_ifa", "process_one_work"], "unknown", "unknown"),
        ] {
            let (mut story, link) = link();
            let ip: IpAddr = [192, 0, 2, 7].into();
            let fact = LinkFact {
                address: Some(Address { ip, prefix: 24 }),
                ..link.fact(LinkChange::AddressRemoved, &worker(), path)
            };
            story.creates(&worker(), &link).fact(What::Link(Box::new(fact)));
            let told = story.tell();
            let last = told.last().verdict(rule, confidence).nobody();
            if rule == "address-expired" {
                last.says("/verdict/cause", "The lifetime of the address 192.0.2.7/24 of macvlan0 ended").says(
                    "/verdict/remedy",
                    "`ip addr replace 192.0.2.7/24 dev macvlan0` in its namespace sets it without a lifetime",
                );
            }
        }
    }
}
