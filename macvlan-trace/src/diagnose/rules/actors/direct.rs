//! A process asked for it.

use crate::{
    correlate::{Case, Cause},
    diagnose::{Remedy, Rule, Verdict, asked, takes_away, words},
    fact::Task,
    sentence::sentence,
    work::party,
};

/// How many callers of the process the command shows.
const MAX_CALLERS: usize = 4;

/// The rule.
pub const RULE: Rule = Rule {
    name: "direct",
    page: include_str!("../../pages/direct.md"),
    judge: |case| {
        let task = match &case.cause {
            Cause::Request(task) => task,
            Cause::ParentChanged(change) => match &change.by {
                Cause::Request(task) => task,
                _ => return None,
            },
            _ => return None,
        };
        Some(Verdict { remedy: remedy(case, task), ..asked(RULE.name, case, task) })
    },
};

/// How to undo the change, and where to look for the one who wanted it.
fn remedy(case: &Case, task: &Task) -> Option<Remedy> {
    if !takes_away(case) {
        return None;
    }
    // A process in a container acts for the container, even if its control group is below a unit.
    let unit = party::service(task)
        .filter(|unit| case.actor_container.is_none() && words::pasteable(unit.as_bytes()).is_some());
    let look =
        unit.map(|unit| sentence!("`systemctl status {}` shows what it belongs to", unit)).or_else(|| {
            callers(task).map(|pids| sentence!("`ps -fp {}` shows who called it, if they still run", pids))
        });
    words::undo_down(case, "", look)
}

/// Process ids of the callers of a process, nearest first, without the machine's own init.
fn callers(task: &Task) -> Option<String> {
    let pids = task.ancestors.iter().map(|ancestor| ancestor.process.tgid).filter(|&pid| pid != 1);
    let pids: Vec<_> = pids.take(MAX_CALLERS).map(|pid| pid.to_string()).collect();
    (!pids.is_empty()).then(|| pids.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        fact::{Address, LinkChange, LinkFact, What},
        testing::story::{
            Story,
            cast::{ip, link},
            child_of, in_cgroup, init, macvlan, netns, path, process, running,
        },
    };

    #[test]
    fn who_asks_for_a_change_is_the_culprit_for_certain() {
        let link = macvlan("macvlan0", netns(0), 7);
        let look = "`systemctl status test.service` shows what it belongs to.";
        let undo =
            "`ip link set macvlan0 up` in its namespace undoes it, but for routes and IPv6 addresses; ";
        for (change, deed, remedy) in [
            (LinkChange::Created, "created macvlan0", Value::Null),
            (LinkChange::Up, "set macvlan0 up", Value::Null),
            (LinkChange::Down, "set macvlan0 down", format!("{undo}{look}").into()),
            (LinkChange::Deleted, "deleted macvlan0", look.into()),
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
                .is("/verdict/remedy", remedy)
                .is("/victim/init", Value::Null);
        }
    }

    #[test]
    fn what_belongs_to_no_unit_is_looked_for_in_who_called_it() {
        let shell = child_of(process("sh", 880), &child_of(process("sshd", 870), &process("init", 1)));
        // Systemd escapes all but letters with a backslash, and a shell eats that.
        for group in ["/", "/system.slice/a\\x2db.service"] {
            let by = in_cgroup(child_of(process("ip", 901), &shell), group);
            let (mut story, link) = link();
            let told = story.deletes(&by, &link).tell();
            told.last()
                .verdict("direct", "certain")
                .is("/verdict/remedy", "`ps -fp 880,870` shows who called it, if they still run.");
        }
    }

    #[test]
    fn a_link_in_a_container_is_set_up_again_there() {
        let in_container = |task| in_cgroup(task, &format!("/docker/{}", "a".repeat(64)));
        let (link, inside) = (macvlan("eth0", netns(1), 2), netns(1));
        let mut story = Story::new();
        story.creates(&ip(""), &link).sets_up(&ip(""), &link);
        story
            .found_in(inside, &in_container(init("sh", 812)))
            .sets_down(&in_container(process("ip", 830)), &link);
        story.tell().last().verdict("direct", "certain").is(
            "/verdict/remedy",
            "`nsenter --target 812 --net ip link set eth0 up` undoes it, but for routes and IPv6 addresses.",
        );
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
    fn the_last_address_of_a_link_is_shown_and_another_is_not() {
        for is_last_address in [true, false] {
            let (mut story, link) = link();
            let by = ip("ip addr del");
            let address = Some(Address { ip: "192.0.2.7".parse().expect("an address"), prefix: 24 });
            let fact =
                LinkFact { address, is_last_address, ..link.fact(LinkChange::AddressRemoved, &by, &[]) };
            let told = story.acts(&by, What::Link(Box::new(fact))).tell();
            let last =
                "removed the address 192.0.2.7/24 of macvlan0, its last one of IPv4, 3.2 s after it came up";
            let cause = told.last().record["verdict"]["cause"].as_str().expect("a cause");
            assert_eq!(cause.contains(last), is_last_address, "{told}");
            // What breaks something is what is shown by default, and what makes an incident.
            assert_eq!(told.settled().len(), usize::from(is_last_address), "{told}");
        }
    }

    #[test]
    fn who_removes_an_address_is_told_with_who_had_set_it_if_that_is_another_one() {
        let address = Address { ip: "192.0.2.7".parse().expect("an address"), prefix: 24 };
        let setter = process("agent", 700);
        for (by, told_of) in [(&ip("ip addr del"), true), (&setter, false)] {
            let (mut story, link) = link();
            story.gets_address(&setter, &link, address, &["inet_rtm_newaddr"]).wait_ms(600_000);
            let told = story.loses_address(by, &link, address, &[]).tell();
            let last = told.last().verdict("direct", "certain").culprit(by);
            let cause = last.record["verdict"]["cause"].as_str().expect("a cause");
            let set = "of macvlan0, 10 min after agent (PID 700) had set it.";
            assert_eq!(cause.ends_with(set), told_of, "{told}");
        }
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
