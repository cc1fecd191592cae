//! ifupdown works through /etc/network/interfaces, and on what it finds beside it.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, runs_on_host, words},
    enrich::party,
    event::Confidence,
    fact::LinkChange,
};

const PROGRAMS: [&str; 4] = ["ifup", "ifdown", "ifreload", "ifquery"];

/// The rule.
pub const RULE: Rule = Rule {
    name: "ifupdown",
    page: include_str!("../pages/ifupdown.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        let of_unit = party::is_of_unit(task, &["networking.service", "ifup@"]);
        if case.fact.change == LinkChange::Created || !(of_unit || runs_on_host(case, task, &PROGRAMS)) {
            return None;
        }
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{}{} {}: ifupdown",
                words::process_with_command(task),
                words::called_by(task),
                words::deed(case)
            ),
            remedy: Some(
                format!(
                    "Run `ifreload` with the interfaces that changed, not with `-a`; or describe {} in \
                     /etc/network/interfaces, so that ifupdown knows it.",
                    case.fact.link.name
                )
                .into(),
            ),
            confidence: if of_unit { Confidence::Certain } else { Confidence::Likely },
            culprit: Some(Culprit::new(task)),
        })
    },
};
