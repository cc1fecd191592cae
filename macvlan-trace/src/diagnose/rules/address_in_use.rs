//! A link could not be set up, or not made, because another one of the same parent has its hardware address.

use crate::{
    diagnose::{Rule, Verdict, words},
    event::Confidence,
    fact::LinkChange,
};

/// `EBUSY` and `EADDRINUSE`: what `macvlan_open` returns for an address that is taken.
const TAKEN: [u32; 2] = [16, 98];

/// The rule.
pub const RULE: Rule = Rule {
    name: "address-in-use",
    page: include_str!("../pages/address-in-use.md"),
    judge: |case| {
        let _ = case.fact.error.filter(|error| TAKEN.contains(error))?;
        // A request can make a link and set it up at once.
        let made_in_vain = case.fact.change == LinkChange::CreateFailed && case.holder.is_some();
        if case.fact.change != LinkChange::UpFailed && !made_in_vain {
            return None;
        }
        let mac = case.fact.link.mac.map_or_else(
            || "its hardware address".to_owned(),
            |mac| format!("its hardware address {}", words::mac(mac)),
        );
        let (holder, remedy, confidence) = match &case.holder {
            Some(holder) if holder.ending => (
                format!(
                    "{} has {mac}, a leftover of a container that is still being torn down",
                    holder.link.name
                ),
                "Wait until the old container's network namespace is gone before the restart, or give the new link \
                 an address of its own.",
                Confidence::Certain,
            ),
            Some(holder) => (
                format!("{} has {mac}", holder.link.name),
                "Give one of the two another address (`--mac-address`, `address` of `ip link add`).",
                Confidence::Certain,
            ),
            None => (
                format!("another link of the same parent has {mac}, and which was not seen"),
                "Look for it with `ip -all netns exec ip -d link show type macvlan`.",
                Confidence::Likely,
            ),
        };
        Some(Verdict {
            rule: RULE.name,
            cause: format!("{} {}: {holder}", words::process_with_command(&case.actor), words::deed(case)),
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
        fact::{LinkChange, LinkFact, What},
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
        for (ended, words) in [(&app, "macvlan0 has its hardware"), (&pause, "still being torn down")] {
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
            .verdict("direct", "certain")
            .says("/verdict/cause", "could not set macvlan0 up (ENETDOWN)");
    }
}
