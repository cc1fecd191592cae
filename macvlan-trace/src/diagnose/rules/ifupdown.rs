//! ifupdown works through /etc/network/interfaces, and on what it finds beside it.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, runs_on_host, words},
    enrich::party,
    event::Confidence,
    fact::LinkChange,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "ifupdown",
    page: include_str!("../pages/ifupdown.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        let of_unit = party::is_of_unit(task, &["networking.service", "ifup@"]);
        if case.fact.change == LinkChange::Created || !(of_unit || runs_on_host(case, task, &party::IFUPDOWN))
        {
            return None;
        }
        let link = &case.fact.link.name;
        let remedy = if !of_unit && party::runs(task, &["ifup", "ifdown"]) {
            format!("`ifup {}` brings it back, if /etc/network/interfaces describes it.", words::plain(link))
        } else {
            format!(
                "Run `ifreload` with the interfaces that changed, not with `-a`; or describe {link} in \
                 /etc/network/interfaces, so that ifupdown knows it."
            )
        };
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{}{} {}: ifupdown",
                words::process_with_command(task),
                words::called_by(task),
                words::deed(case)
            ),
            remedy: Some(remedy.into()),
            confidence: if of_unit { Confidence::Certain } else { Confidence::Likely },
            culprit: Some(Culprit::new(task)),
        })
    },
};
