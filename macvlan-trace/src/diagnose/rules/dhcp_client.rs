//! A DHCP client of the host worked on a link that was none of its business.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, runs_on_host, words},
    enrich::party,
    event::Confidence,
    fact::LinkChange,
};

const PROGRAMS: [&str; 5] = ["dhcpcd", "dhclient", "dhclient-script", "dhcpcd-run-hooks", "udhcpc"];

/// The rule.
pub const RULE: Rule = Rule {
    name: "dhcp-client",
    page: include_str!("../pages/dhcp-client.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        let of_unit = party::is_of_unit(task, &["dhcpcd.service", "dhcpcd@", "dhclient@"]);
        if case.fact.change == LinkChange::Created || !(of_unit || runs_on_host(case, task, &PROGRAMS)) {
            return None;
        }
        let link = words::plain(&case.fact.link.name);
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{}{} {}: a DHCP client",
                words::process_with_command(task),
                words::called_by(task),
                words::deed(case)
            ),
            remedy: Some(
                format!(
                    "Have the client leave it alone: `denyinterfaces {link}` in /etc/dhcpcd.conf, or start dhclient \
                     for the interfaces that need it only."
                )
                .into(),
            ),
            // The name of a program can be anybody's; that of a unit cannot.
            confidence: if of_unit { Confidence::Certain } else { Confidence::Likely },
            culprit: Some(Culprit::new(task)),
        })
    },
};
