//! A DHCP client of the host worked on a link that is not its own.

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
    name: "dhcp-client",
    page: include_str!("../../pages/dhcp-client.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        let of_unit = party::is_of_unit(task, &["dhcpcd.service", "dhcpcd@", "dhclient@"]);
        if case.fact.change == LinkChange::Created
            || !(of_unit || runs_on_host(case, task, &party::DHCP_CLIENTS))
            // A client that ifupdown called does ifupdown's work.
            || party::called_by(task, &party::IFUPDOWN).is_some()
        {
            return None;
        }
        let is_dhcpcd =
            party::is_of_unit(task, &["dhcpcd"]) || party::runs(task, &["dhcpcd", "dhcpcd-run-hooks"]);
        let remedy = if is_dhcpcd {
            let name = &case.fact.link.name;
            let links = if words::is_by_chance(name) { "veth*".to_owned() } else { words::plain(name) };
            sentence!(
                "Have dhcpcd leave it alone: `denyinterfaces {}` in /etc/dhcpcd.conf, and restart it",
                links
            )
        } else {
            sentence!("Start the client for the interfaces that need it only, as in `dhclient eth0`")
        };
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!("{}: a DHCP client", words::who_did_what(case, task)),
            remedy: Some(remedy.into()),
            // Anybody can take the name of a program, but no process can take that of a unit.
            confidence: if of_unit { Confidence::Certain } else { Confidence::Likely },
            culprit: Some(Culprit::new(task)),
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::story::{
        cast::{link, of_unit},
        child_of, inside, process, running,
    };

    #[test]
    fn the_unit_of_a_client_is_evidence() {
        let (mut story, link) = link();
        story
            .sets_down(&of_unit("dhcpcd.service", 901), &link)
            .tell()
            .last()
            .verdict("dhcp-client", "certain");
    }

    #[test]
    fn a_name_by_chance_is_denied_by_how_it_begins() {
        for (name, denied) in
            [("veth918345f", "`denyinterfaces veth*`"), ("mv-web", "`denyinterfaces mv-web`")]
        {
            let (mut story, link) = link();
            let told = story.sets_down(&of_unit("dhcpcd.service", 901), &link.called(name)).tell();
            told.last().verdict("dhcp-client", "certain").says("/verdict/remedy", denied);
        }
    }

    #[test]
    fn a_clients_script_is_a_hint() {
        let (mut story, link) = link();
        let by = running(process("ip", 901), "ip link set macvlan0 down");
        let by = child_of(by, &process("dhclient-script", 880));
        story.sets_down(&by, &link).tell().last().verdict("dhcp-client", "likely");
    }

    #[test]
    fn a_client_in_a_container_is_the_containers_own_business() {
        let (mut story, link) = link();
        let by = inside(process("dhclient", 901), 5, 1, 7);
        story.sets_down(&by, &link).tell().last().verdict("direct", "certain").culprit(&by);
    }
}
