//! A process asked for it.

use crate::{
    correlate::Cause,
    diagnose::{Rule, asked},
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "direct",
    page: include_str!("../pages/direct.md"),
    judge: |case| {
        let task = match &case.cause {
            Cause::Request(task) => task,
            Cause::ParentChanged(change) => match &change.by {
                Cause::Request(task) => task,
                _ => return None,
            },
            _ => return None,
        };
        Some(asked(RULE.name, case, task))
    },
};

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        correlate::story::{
            Story,
            cast::{ip, link},
            macvlan, netns, path, process, running,
        },
        fact::{Address, LinkChange, LinkFact, What},
    };

    #[test]
    fn who_asks_for_a_change_is_the_culprit_for_certain() {
        let link = macvlan("macvlan0", netns(0), 7);
        for (change, deed) in [
            (LinkChange::Created, "created macvlan0"),
            (LinkChange::Up, "set macvlan0 up"),
            (LinkChange::Down, "set macvlan0 down"),
            (LinkChange::Deleted, "deleted macvlan0"),
        ] {
            let mut story = Story::new();
            story.link(&ip("ip link del macvlan0"), change, &link, path::NETLINK);
            let told = story.tell();
            let cause = format!("ip (PID 901: ip link del macvlan0), called by bash (PID 880), {deed}.");
            told.last()
                .verdict("direct", "certain")
                .culprit(&ip(""))
                .is("/actor/pid", 901)
                .is("/culprit/ancestors", json!([{"pid": 880, "comm": "bash"}]))
                .is("/verdict/cause", cause)
                .is("/verdict/remedy", Value::Null)
                .is("/victim/init", Value::Null);
        }
    }

    #[test]
    fn how_old_a_link_was_is_told_with_who_created_it() {
        let (mut story, link) = link();
        let told = story.sets_down(&ip(""), &link).wait_ms(1_000).deletes(&ip(""), &link).tell();
        let [.., down, deleted] = &told.events()[..] else { panic!("{told}") };
        down.says(
            "/verdict/cause",
            "set macvlan0 down, 3.2 s after it came up, 3.2 s after setup (PID 600) created it.",
        );
        deleted.says("/verdict/cause", "deleted macvlan0, 4.2 s after setup (PID 600) created it.");
    }

    #[test]
    fn an_address_that_was_removed_is_told() {
        let (mut story, link) = link();
        let by = ip("ip addr del");
        let address = Some(Address { ip: "192.0.2.7".parse().expect("an address"), prefix: 24 });
        let fact = LinkFact { address, ..link.fact(LinkChange::AddressRemoved, &by, &[]) };
        let told = story.fact(What::Link(Box::new(fact))).tell();
        told.last()
            .is("/event", "address_removed")
            .says("/verdict/cause", "removed the address 192.0.2.7/24 of macvlan0");
    }

    #[test]
    fn a_name_alone_is_nobody() {
        for comm in ["dockerd", "NetworkManager", "dhcpcd", "iwd"] {
            let (mut story, link) = link();
            let by = running(process(comm, 901), "ip link del macvlan0");
            story.deletes(&by, &link).tell().last().verdict("direct", "certain").culprit(&by);
        }
    }
}
