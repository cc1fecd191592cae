//! The kernel refused to change a link.

use crate::{
    correlate::{Case, Cause},
    diagnose::{Remedy, Rule, Verdict, asked, words},
    fact::LinkChange,
    sentence::{Part, sentence},
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "change-failed",
    page: include_str!("../../pages/change-failed.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        if !case.fact.is_refused_change() {
            return None;
        }
        let said = case.fact.message.as_ref();
        let said = said.map(|said| sentence!(": the kernel says \u{201c}{}\u{201d}", Part::name(said)));
        Some(Verdict {
            cause: sentence!("{}{}", words::who_did_what(case, task), said),
            remedy: remedy(case),
            ..asked(RULE.name, case, task)
        })
    },
};

/// What to look at, for the errors that say it.
fn remedy(case: &Case) -> Option<Remedy> {
    let wanted = case.fact.wanted.as_ref();
    let name = wanted.and_then(|wanted| wanted.name.as_ref()).unwrap_or(&case.fact.link.name);
    let name = words::plain(name);
    Some(match (case.fact.change, case.fact.error?) {
        // EEXIST, of `dev_change_name`
        (LinkChange::RenameFailed, 17) => {
            sentence!("See what has that name in its namespace: `ip -d link show {}`", name).into()
        }
        // The same, of `__dev_change_net_namespace`
        (LinkChange::MoveFailed, 17) => sentence!(
            "See what has that name where it was to go: `ip -d link show {}` in that namespace",
            name
        )
        .into(),
        // EBUSY, of `dev_change_name`
        (LinkChange::RenameFailed, 16) => {
            "Set the link down before: this kernel renames no link that is up".into()
        }
        // EADDRNOTAVAIL, of `macvlan_set_mac_address`
        (LinkChange::MacFailed, 99) => {
            "Give the link a unicast address: the second digit of the first byte is 2, 6, a or e".into()
        }
        // EOPNOTSUPP, of `dev_set_mac_address` for a driver that sets none
        (LinkChange::MacFailed, 95) => {
            "Leave the address out: a link of this kind has that of its parent".into()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::{
        fact::{LinkChange, LinkFact, Wanted, What},
        testing::story::{
            Told,
            cast::{dockerd, ip, link},
            process,
        },
    };

    fn refused(change: LinkChange, error: u32, wanted: Wanted) -> Told {
        let (mut story, link) = link();
        let by = ip("ip link set macvlan0");
        let fact = LinkFact {
            error: Some(error),
            wanted: Some(wanted),
            message: (error == 17).then(|| "It is there already".into()),
            ..link.fact(change, &by, &[])
        };
        story.fact(What::Link(Box::new(fact))).tell()
    }

    #[test]
    fn what_was_wanted_is_told_with_what_the_kernel_said() {
        let named = |name: &str| Wanted { name: Some(name.into()), ..Wanted::default() };
        let told = refused(LinkChange::RenameFailed, 17, named("eth0"));
        told.last()
            .is("/event", "rename_failed")
            .is("/error", "EEXIST")
            .is("/wanted/name", "eth0")
            .is("/link/name", "macvlan0")
            .verdict("change-failed", "certain")
            .culprit(&ip(""))
            .says(
                "/verdict/cause",
                "could not rename macvlan0 to eth0 (EEXIST): the kernel says \u{201c}It is there",
            )
            .says("/verdict/remedy", "`ip -d link show eth0`");
        refused(LinkChange::MoveFailed, 17, Wanted::default())
            .last()
            .is("/event", "move_failed")
            .verdict("change-failed", "certain")
            .says("/verdict/cause", "could not move macvlan0 to another network namespace (EEXIST)")
            .says("/verdict/remedy", "`ip -d link show macvlan0` in that namespace");
        let mac = Wanted { mac: Some([1, 0, 0, 0, 0, 9]), ..Wanted::default() };
        refused(LinkChange::MacFailed, 99, mac.clone())
            .last()
            .is("/event", "mac_failed")
            .is("/wanted/mac", "01:00:00:00:00:09")
            .verdict("change-failed", "certain")
            .says(
                "/verdict/cause",
                "could not give macvlan0 the hardware address 01:00:00:00:00:09 (EADDRNOTAVAIL)",
            )
            .says("/verdict/remedy", "a unicast address");
        refused(LinkChange::MacFailed, 95, mac)
            .last()
            .verdict("change-failed", "certain")
            .says("/verdict/remedy", "that of its parent");
        refused(LinkChange::UpFailed, 100, Wanted::default())
            .last()
            .verdict("change-failed", "certain")
            .says("/verdict/cause", "could not set macvlan0 up (ENETDOWN).");
    }

    #[test]
    fn who_takes_a_link_away_that_could_not_be_moved_gives_it_up() {
        // Another process that has nothing to do with it deletes the link for reasons of its own.
        for (deleter, rule) in [(dockerd(), "change-failed"), (process("ip", 999), "direct")] {
            let (mut story, link) = link();
            let by = dockerd();
            let fact = LinkFact { error: Some(17), ..link.fact(LinkChange::MoveFailed, &by, &[]) };
            story.acts(&by, What::Link(Box::new(fact))).wait_ms(5);
            let told = story.deletes(&deleter, &link).tell();
            let last = told.last().is("/event", "deleted").is("/verdict/rule", rule);
            if rule == "change-failed" {
                last.says("/verdict/cause", "then gave it up and deleted macvlan0")
                    .steps(&["move_failed", "deleted"]);
            }
        }
    }
}
