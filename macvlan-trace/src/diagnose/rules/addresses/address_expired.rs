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
                "The lifetime of {} ended, since nobody had renewed it, and the kernel removed it{}{}",
                words::address(case),
                words::after_set(case, None),
                words::setter_ended(case),
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
        testing::story::{
            cast::{kill, link, setup},
            child_of, macvlan, netns, process, running, worker,
        },
    };

    const EXPIRY: &[&str] = &["fib_inetaddr_event", "__inet_del_ifa", "check_lifetime"];
    const NETLINK: &[&str] = &["fib_inetaddr_event", "__inet_insert_ifa", "inet_rtm_newaddr"];

    #[test]
    fn who_had_set_an_address_is_told_with_what_became_of_its_client() {
        let address = Address { ip: [192, 0, 2, 7].into(), prefix: 24 };
        let client = running(process("dhclient", 690), "dhclient macvlan0");
        let script = child_of(process("dhclient-script", 699), &client);
        let ip = running(child_of(child_of(process("ip", 700), &client), &script), "ip addr add");
        let (mut story, link) = link();
        let inside = link.link.netns.unwrap();
        story
            .gets_address(&ip, &link, address, NETLINK)
            // A command and a script end at once: they keep no address.
            .exits(&ip, inside, 0)
            .exits(&script, inside, 0)
            .wait_ms(300_000)
            .sends(&kill(), 9, &client, inside)
            .dies(&client, inside, 9)
            .wait_ms(300_000)
            .loses_address(&worker(), &link, address, EXPIRY);
        let told = story.tell();
        told.last()
            .verdict("address-expired", "certain")
            .nobody()
            .says(
                "/verdict/cause",
                "and the kernel removed it, 10 min after ip (PID 700: ip addr add), called by dhclient-script (PID \
                 699), had set it; dhclient (PID 690), which had called that, was killed by kill (PID 900: kill -9 \
                 812), 5 min before.",
            )
            .steps(&["address_added", "signal", "exit", "address_removed"]);
    }

    #[test]
    fn only_who_was_seen_setting_that_address_last_had_set_it() {
        let address = Address { ip: [192, 0, 2, 7].into(), prefix: 24 };
        let (first, second) = (process("dhclient", 700), process("udhcpc", 710));
        let promoted: &[&str] = &["fib_inetaddr_event", "__inet_del_ifa", "inet_rtm_deladdr"];
        let announced: &[&str] = &["inet6addr_notifier_call_chain", "ipv6_add_addr", "net_rx_action"];
        let elsewhere = macvlan("macvlan1", netns(2), 8);
        for (number, wanted) in [
            (0, None),
            (1, Some("udhcpc (PID 710) had set it")),
            (2, None),
            (3, None),
            (4, None),
            (5, None),
            (6, None),
        ] {
            let (mut story, link) = link();
            match number {
                // It was there before the tracer.
                0 => drop(story.wait_ms(1)),
                // Somebody removed it, and another one set it again.
                1 => {
                    story.gets_address(&first, &link, address, NETLINK);
                    story.loses_address(&setup(), &link, address, &[]);
                    story.gets_address(&second, &link, address, NETLINK);
                }
                // Another address goes, and the kernel announces this one again.
                2 => drop(story.gets_address(&first, &link, address, promoted)),
                // The kernel set it itself, on top of a process.
                3 => drop(story.gets_address(&first, &link, address, announced)),
                4 => drop(story.gets_address(&first, &elsewhere, address, NETLINK)),
                // Records were lost: it may have gone and come again.
                5 => {
                    story.gets_address(&first, &link, address, NETLINK).fact(What::Lost { records: 1 });
                }
                // A move takes all addresses.
                _ => {
                    story.gets_address(&first, &link, address, NETLINK);
                    let place = (link.link.netns.unwrap(), link.link.ifindex);
                    story.moves(&setup(), place, &link.clone().moved_to(netns(3), 7));
                    story.moves(&setup(), (netns(3), 7), &link);
                }
            }
            let told = story.wait_ms(5_000).loses_address(&worker(), &link, address, EXPIRY).tell();
            let last = told.last().verdict("address-expired", "certain");
            match wanted {
                Some(wanted) => {
                    last.says("/verdict/cause", wanted).steps(&["address_added", "address_removed"]);
                }
                None => {
                    last.says("/verdict/cause", "and the kernel removed it.").steps(&["address_removed"]);
                }
            }
        }
    }

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
