//! A link could not be set up, made or given an address, because another one of the same parent has its hardware address.

use crate::{
    diagnose::{Rule, Verdict, words},
    event::Confidence,
    fact::LinkChange,
    sentence::{Part, sentence},
};

/// `EADDRINUSE`.
const IN_USE: u32 = 98;
/// `EBUSY` and `EADDRINUSE`: what `macvlan_open` and `macvlan_set_mac_address` return for an address that is taken.
const TAKEN: [u32; 2] = [16, IN_USE];

/// The rule.
pub const RULE: Rule = Rule {
    name: "address-in-use",
    page: include_str!("../../pages/address-in-use.md"),
    judge: |case| {
        let error = case.fact.error.filter(|error| TAKEN.contains(error))?;
        let is_it = match case.fact.change {
            LinkChange::UpFailed => true,
            LinkChange::MacFailed => error == IN_USE || case.holder.is_some(),
            // A request can make a link and set it up at once.
            LinkChange::CreateFailed => case.holder.is_some(),
            _ => false,
        };
        if !is_it {
            return None;
        }
        let mac = match (case.fact.change, case.fact.link.mac) {
            (LinkChange::MacFailed, _) => sentence!("that address"),
            (_, Some(mac)) => sentence!("its hardware address {}", Part::Address(words::mac(mac))),
            (_, None) => sentence!("its hardware address"),
        };
        let (holder, remedy, confidence) = match &case.holder {
            Some(holder) if holder.ending => (
                sentence!(
                    "{} has {}, a leftover of a container that is still being torn down",
                    words::holder(holder),
                    mac
                ),
                "Wait until the old container's network namespace is gone before the restart, or give the new link \
                 an address of its own",
                Confidence::Certain,
            ),
            Some(holder) => (
                sentence!("{} has {}", words::holder(holder), mac),
                "Give one of the two another address (`--mac-address`, `address` of `ip link add`)",
                Confidence::Certain,
            ),
            None => (
                sentence!("another link of the same parent has {}, and which was not seen", mac),
                "Look for it with `ip -all netns exec ip -d link show type macvlan`",
                Confidence::Likely,
            ),
        };
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{} {}: {}",
                words::process_with_command(&case.actor),
                words::deed(case),
                holder
            ),
            remedy: Some(remedy.into()),
            confidence,
            // The process that asked did nothing wrong, and the holder had the address first.
            culprit: None,
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::{
        fact::{LinkChange, LinkFact, Wanted, What},
        testing::story::{
            Macvlan, Story,
            cast::{dockerd, ip, link},
            in_cgroup, init, macvlan, netns, process,
        },
    };

    #[test]
    fn an_address_that_is_taken_is_told_with_its_holder() {
        let (mut story, holder) = link();
        let wanting = Macvlan { ..macvlan("macvlan1", netns(0), 8) };
        let by = ip("ip link set macvlan1 up");
        story.creates(&by, &wanting);
        let fact = LinkFact { error: Some(98), ..wanting.fact(LinkChange::UpFailed, &by, &[]) };
        let told = story.fact(What::Link(Box::new(fact))).tell();
        told.last()
            .is("/event", "up_failed")
            .verdict("address-in-use", "certain")
            .nobody()
            .says("/verdict/cause", "macvlan0 has its hardware address 02:00:00:00:00:07");
        drop(holder);
    }

    #[test]
    fn an_address_that_is_wanted_and_taken_is_told_with_the_container_that_has_it() {
        let of = |task, id: &str| in_cgroup(task, &format!("/docker/{}", id.repeat(64)));
        let mut story = Story::new();
        // The third link has the address that the second one has so far, which is not the one that it wants.
        let holder = macvlan("eth0", netns(1), 7);
        let (wanting, bystander) = (macvlan("eth0", netns(2), 8), macvlan("eth0", netns(3), 9));
        story.creates(&dockerd(), &holder).found_in(netns(1), &of(init("sh", 812), "a"));
        story.sets_up(&dockerd(), &holder);
        story.creates(&dockerd(), &bystander).sets_up(&dockerd(), &bystander).creates(&dockerd(), &wanting);
        let wanted = Wanted { mac: holder.link.mac, ..Wanted::default() };
        let fact = LinkFact {
            error: Some(98),
            wanted: Some(wanted),
            ..wanting.fact(LinkChange::MacFailed, &dockerd(), &["netif_set_mac_address"])
        };
        story.acts(&dockerd(), What::Link(Box::new(fact))).wait_ms(5);
        story.deletes(&dockerd(), &wanting);
        let told = story.tell();
        let events = told.events();
        let [.., failed, deleted] = &events[..] else { panic!("{told}") };
        failed
            .is("/event", "mac_failed")
            .is("/wanted/mac", "02:00:00:00:00:07")
            .verdict("address-in-use", "certain")
            .nobody()
            .says(
                "/verdict/cause",
                "could not give eth0 the hardware address 02:00:00:00:00:07 (EADDRINUSE): eth0 of container aaaaaaaaaaaa \
                 has that address",
            )
            .steps(&["holder", "mac_failed"]);
        deleted
            .is("/incident", failed.record["incident"].clone())
            .verdict("address-in-use", "likely")
            .nobody()
            .says("/verdict/cause", "dockerd (PID 700) then gave it up and deleted eth0")
            .steps(&["mac_failed", "deleted"]);
    }

    #[test]
    fn an_address_that_is_refused_for_another_reason_is_not_taken() {
        let (mut story, _holder) = link();
        let (wanting, by) = (macvlan("macvlan1", netns(0), 8), ip("ip link set macvlan1 address"));
        story.creates(&by, &wanting);
        let wanted = Some(Wanted { mac: Some([1, 0, 0, 0, 0, 9]), ..Wanted::default() });
        for error in [16, 99] {
            let fact = wanting.fact(LinkChange::MacFailed, &by, &[]);
            let fact = LinkFact { error: Some(error), wanted: wanted.clone(), ..fact };
            story.fact(What::Link(Box::new(fact))).wait_ms(5);
            story.tell().last().verdict("change-failed", "certain").culprit(&by);
        }
    }

    #[test]
    fn who_gives_a_link_up_that_could_not_start_does_so_for_that_reason() {
        // A person who deletes a link after its failure has called another process for it.
        for (by, deleter, rule) in [
            (dockerd(), dockerd(), "address-in-use"),
            (ip("ip link set macvlan1 up"), process("ip", 999), "self-inflicted"),
        ] {
            let (mut story, _) = link();
            let wanting = macvlan("macvlan1", netns(0), 8);
            let fact = LinkFact { error: Some(98), ..wanting.fact(LinkChange::UpFailed, &by, &[]) };
            story.creates(&by, &wanting).fact(What::Link(Box::new(fact))).wait_ms(5);
            let told = story.deletes(&deleter, &wanting).tell();
            let last = told.last().is("/event", "deleted").is("/verdict/rule", rule);
            if rule == "address-in-use" {
                last.is("/verdict/confidence", "likely")
                    .nobody()
                    .says(
                        "/verdict/cause",
                        "macvlan0 has its hardware address 02:00:00:00:00:07; dockerd (PID 700)",
                    )
                    .says("/verdict/cause", "then gave it up and deleted macvlan1")
                    .steps(&["up_failed", "deleted"]);
            }
        }
    }

    #[test]
    fn a_link_that_came_up_after_all_is_not_given_up() {
        let (mut story, _) = link();
        let (by, wanting) = (dockerd(), macvlan("macvlan1", netns(0), 8));
        let fact = LinkFact { error: Some(98), ..wanting.fact(LinkChange::UpFailed, &by, &[]) };
        story.creates(&by, &wanting).fact(What::Link(Box::new(fact))).sets_up(&by, &wanting);
        story.deletes(&by, &wanting).tell().last().culprit(&by);
    }

    #[test]
    fn a_pod_whose_application_has_crashed_is_no_leftover() {
        let of = |task, digit: &str| in_cgroup(task, &format!("/docker/{}", digit.repeat(64)));
        let (pause, app) = (of(init("pause", 812), "a"), of(init("app", 820), "b"));
        for (ended, words) in
            [(&app, "macvlan0 of container aaaaaaaaaaaa has its hardware"), (&pause, "still being torn down")]
        {
            let holder = macvlan("macvlan0", netns(1), 7);
            let (mut story, by) = (Story::new(), ip("ip link set macvlan1 up"));
            story.creates(&by, &holder).sets_up(&by, &holder);
            story.found_in(netns(1), &pause).exits(ended, netns(1), 1);
            let wanting = macvlan("macvlan1", netns(0), 8);
            let fact = LinkFact { error: Some(98), ..wanting.fact(LinkChange::UpFailed, &by, &[]) };
            story
                .creates(&by, &wanting)
                .fact(What::Link(Box::new(fact)))
                .tell()
                .last()
                .verdict("address-in-use", "certain")
                .says("/verdict/cause", words);
        }
    }

    #[test]
    fn another_failure_is_no_address_in_use() {
        let (mut story, link) = link();
        let by = ip("ip link set macvlan0 up");
        let fact = LinkFact { error: Some(100), ..link.fact(LinkChange::UpFailed, &by, &[]) };
        story
            .fact(What::Link(Box::new(fact)))
            .tell()
            .last()
            .verdict("change-failed", "certain")
            .says("/verdict/cause", "could not set macvlan0 up (ENETDOWN)");
    }
}
