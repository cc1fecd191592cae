//! A link could not be made. If a later step of the request failed, the kernel has made the link and undone it.

use crate::{
    correlate::{Case, Cause},
    diagnose::{Remedy, Rule, Verdict, asked, words},
    fact::LinkChange,
    sentence::{Part, Sentence, sentence},
};

/// The name of the rule.
pub const NAME: &str = "creation-failed";

/// The rule.
pub const RULE: Rule = Rule {
    name: NAME,
    page: include_str!("../../pages/creation-failed.md"),
    judge: |case| {
        match &case.cause {
        Cause::CreationFailed(task) => Some(Verdict {
            cause: sentence!(
                "{} asked for {}, which was made and undone: a later step of the same request failed",
                words::who(task),
                Part::link(&case.fact.link.name)
            ),
            remedy: Some(
                "See what the request failed with: mostly an address that was taken as the link was set up, or a name \
                 that was as it was moved"
                    .into(),
            ),
            ..asked(RULE.name, case, task)
        }),
        _ if case.fact.change == LinkChange::CreateFailed => Some(Verdict {
            cause: sentence!("{}{}", words::who_did_what(case, &case.actor), reason(case)),
            remedy: remedy(case),
            ..asked(RULE.name, case, &case.actor)
        }),
        _ => None,
    }
    },
};

/// What the kernel said, and how far the request came.
fn reason(case: &Case) -> Option<Sentence> {
    let said = case.fact.message.as_ref();
    let said = said.map(|said| sentence!("the kernel says \u{201c}{}\u{201d}", Part::name(said)));
    // A device of its own means that the link was there for a moment.
    let undone =
        case.fact.link.dev.map(|_| sentence!("it was made, and a later step of the same request failed"));
    let parts: Vec<_> = said.into_iter().chain(undone).collect();
    (!parts.is_empty()).then(|| sentence!(": {}", Sentence::joined(parts, "; ")))
}

/// What to look at, for the errors that say it (`rtnl_newlink`, `register_netdevice`, `macvlan_common_newlink`).
fn remedy(case: &Case) -> Option<Remedy> {
    let link = words::plain(&case.fact.link.name);
    let parent =
        case.fact.parent.as_ref().map_or_else(|| "PARENT".to_owned(), |parent| words::plain(&parent.name));
    Some(match case.fact.error? {
        // EEXIST
        17 => {
            sentence!("See what has that name: `ip -d link show {}` in the namespace that it was for", link)
                .into()
        }
        // ENODEV
        19 => "See if the parent is in the network namespace of whoever asked: `ip link`".into(),
        // EINVAL
        22 => sentence!(
            "See `ip -d link show {}`: it has to be an Ethernet device, with an MTU of the link's at least",
            parent
        )
        .into(),
        // EADDRNOTAVAIL
        99 => "Give the link a unicast address: the second digit of the first byte is 2, 6, a or e".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::{
        fact::{LinkChange, LinkFact, What},
        testing::story::{Story, cast::link, macvlan, netns, path, process, running},
    };

    #[test]
    fn a_creation_that_fails_is_no_deletion_by_somebody_and_which_step_failed_is_not_said() {
        let add = running(process("ip", 951), "ip link add macvlan0 type macvlan");
        let mut story = Story::new();
        story.link(&add, LinkChange::Deleted, &macvlan("macvlan0", netns(0), 7), path::UNDO);
        story
            .tell()
            .last()
            .verdict("creation-failed", "certain")
            .culprit(&add)
            .says("/verdict/cause", "asked for macvlan0, which was made and undone: a later step");
    }

    #[test]
    fn an_error_is_told_with_what_the_kernel_said() {
        let add = running(process("macvlan", 951), "/opt/cni/bin/macvlan");
        let wanted = macvlan("eth0", netns(1), 0).unmade();
        let failed = |error, message: Option<&str>| {
            let fact = wanted.fact(LinkChange::CreateFailed, &add, &["rtnl_newlink"]);
            let fact = LinkFact { error: Some(error), message: message.map(Into::into), ..fact };
            Story::new().acts(&add, What::Link(Box::new(fact))).tell()
        };
        failed(17, None)
            .last()
            .is("/event", "create_failed")
            .is("/link/name", "eth0")
            .is("/link/parent/name", "eth0")
            .verdict("creation-failed", "certain")
            .culprit(&add)
            .says("/verdict/cause", "macvlan (PID 951) could not make eth0 (EEXIST).")
            .says("/verdict/remedy", "`ip -d link show eth0`");
        failed(95, Some("Can not set that"))
            .last()
            .says("/verdict/cause", "(EOPNOTSUPP): the kernel says \u{201c}Can not set that\u{201d}.");
    }

    #[test]
    fn the_making_the_undoing_and_the_failure_are_one_incident() {
        let add = running(process("ip", 951), "ip link add macvlan1 up type macvlan");
        let (mut story, _holder) = link();
        let made = macvlan("macvlan1", netns(0), 8);
        let up_failed = LinkFact { error: Some(98), ..made.fact(LinkChange::UpFailed, &add, &[]) };
        let wanted = made.clone().unmade().fact(LinkChange::CreateFailed, &add, &["rtnl_newlink"]);
        story
            .creates(&add, &made)
            .fact(What::Link(Box::new(up_failed)))
            .link(&add, LinkChange::Deleted, &made, path::UNDO)
            .fact(What::Link(Box::new(LinkFact { error: Some(98), ..wanted.clone() })));
        // Another wish of the same thread is another incident.
        let told = story.fact(What::Link(Box::new(LinkFact { error: Some(98), ..wanted }))).tell();
        let events = told.events();
        let [.., created, _, deleted, failed, again] = &events[..] else { panic!("{told}") };
        for event in [deleted, failed] {
            event.is("/incident", created.record["incident"].clone());
            event.is("/link/id", created.record["link"]["id"].clone());
        }
        failed.is("/event", "create_failed").verdict("address-in-use", "certain").says(
            "/verdict/cause",
            "could not make macvlan1 (EADDRINUSE): macvlan0 has its hardware address",
        );
        again.verdict("creation-failed", "certain");
        assert_ne!(again.record["incident"], created.record["incident"]);
    }
}
