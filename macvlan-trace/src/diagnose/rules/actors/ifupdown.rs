//! ifupdown works on the links in /etc/network/interfaces, and on others that it finds.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, runs_on_host, words},
    event::Confidence,
    fact::LinkChange,
    sentence::sentence,
    work::party,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "ifupdown",
    page: include_str!("../../pages/ifupdown.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        let of_unit = party::is_of_unit(task, &["networking.service", "ifup@"]);
        if case.fact.change == LinkChange::Created || !(of_unit || runs_on_host(case, task, &party::IFUPDOWN))
        {
            return None;
        }
        let name = words::plain(&case.fact.link.name);
        // Only ifupdown2 has `ifreload`. It takes all interfaces or none, and sets down those that are not described.
        let remedy = if party::runs(task, &["ifreload"]) {
            sentence!(
                "Run `ifup` with the interfaces that changed instead of `ifreload -a`; or describe {} in \
                 /etc/network/interfaces, so that ifupdown2 knows it",
                name
            )
        } else if party::is_of_unit(task, &["networking.service"]) {
            sentence!(
                "`ifup {}` brings it back, if /etc/network/interfaces describes it; instead of networking.service, \
                 restart only the interfaces that changed, by `ifdown` and `ifup`",
                name
            )
        } else {
            sentence!("`ifup {}` brings it back, if /etc/network/interfaces describes it", name)
        };
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!("{}: ifupdown", words::who_did_what(case, task)),
            remedy: Some(remedy.into()),
            confidence: if of_unit { Confidence::Certain } else { Confidence::Likely },
            culprit: Some(Culprit::new(task)),
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::{
        fact::LinkChange,
        testing::story::{
            cast::{link, of_unit},
            child_of, in_cgroup, process, running,
        },
    };

    #[test]
    fn the_unit_of_ifupdown_is_evidence() {
        let (mut story, link) = link();
        story
            .sets_down(&of_unit("networking.service", 901), &link)
            .tell()
            .last()
            .verdict("ifupdown", "certain");
    }

    #[test]
    fn what_brings_a_link_back_is_a_matter_of_the_program() {
        let second =
            |program: &str| running(process("python3", 901), &format!("/usr/bin/python3 /sbin/{program}"));
        let classic = child_of(running(process("ip", 901), "ip link set"), &process("ifdown", 890));
        let (service, none) = (Some("/system.slice/networking.service"), None);
        let (restart, reload) = ("instead of networking.service, restart only", "instead of `ifreload -a`");
        for (by, unit, remedy) in [
            (
                classic.clone(),
                none,
                "`ifup macvlan0` brings it back, if /etc/network/interfaces describes it.",
            ),
            (classic, service, restart),
            (second("ifdown -a"), none, "`ifup macvlan0` brings it back"),
            (second("ifreload -a"), none, reload),
            (second("ifreload -a"), service, reload),
        ] {
            let (mut story, link) = link();
            let by = unit.map_or_else(|| by.clone(), |unit| in_cgroup(by.clone(), unit));
            story
                .sets_down(&by, &link)
                .tell()
                .last()
                .is("/verdict/rule", "ifupdown")
                .says("/verdict/remedy", remedy);
        }
    }

    #[test]
    fn programs_are_told_by_arguments_and_ancestors_and_never_for_certain() {
        for (ancestor, rule, confidence) in
            [("ifreload", "ifupdown", "likely"), ("cron", "direct", "certain")]
        {
            let (mut story, link) = link();
            let by = running(process("ip", 901), "ip link set macvlan0 down");
            story
                .sets_down(&child_of(by, &process(ancestor, 880)), &link)
                .tell()
                .last()
                .verdict(rule, confidence);
        }
        let (mut story, link) = link();
        let by = running(process("python3", 901), "/usr/bin/python3 /usr/sbin/ifreload -a");
        story.sets_down(&by, &link).tell().last().verdict("ifupdown", "likely");
    }

    #[test]
    fn what_ifdown_has_others_do_is_one_incident_and_says_ifdown() {
        let (mut story, link) = link();
        let ifdown = process("ifdown", 890);
        let client = child_of(process("dhclient", 892), &child_of(process("sh", 891), &ifdown));
        let release = child_of(
            running(process("ip", 902), "ip -4 addr flush dev macvlan0"),
            &child_of(process("dhclient-script", 893), &client),
        );
        let ip = |args, pid| {
            child_of(running(process("ip", pid), args), &child_of(process("sh", pid - 1), &ifdown))
        };
        story.link(&release, LinkChange::AddressRemoved, &link, &[]);
        let told = story
            .sets_down(&ip("ip link set macvlan0 down", 904), &link)
            .deletes(&ip("ip link del macvlan0", 906), &link)
            .tell();
        let events = told.events();
        let broken = &events[events.len() - 3..];
        for event in broken {
            event
                .verdict("ifupdown", "likely")
                .is("/incident", broken[0].record["incident"].clone())
                .says("/verdict/remedy", "`ifup macvlan0`");
        }
        broken[0].says("/verdict/cause", "called by dhclient-script (PID 893)");
        broken[2]
            .culprit(&ip("", 906))
            .says("/verdict/cause", "called by ifdown (PID 890), deleted macvlan0");
    }
}
