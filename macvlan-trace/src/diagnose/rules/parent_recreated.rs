//! A Wi-Fi daemon made the parent anew, and deleted the old one first.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    enrich::party,
    event::Confidence,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "parent-recreated",
    page: include_str!("../pages/parent-recreated.md"),
    judge: |case| {
        let Cause::ParentDeleted { parent, by } = &case.cause else { return None };
        let Cause::Request(task) = &**by else { return None };
        party::is_of_unit(task, &["iwd.service", "wpa_supplicant.service", "wpa_supplicant@"]).then(|| Verdict {
            rule: RULE.name,
            cause: format!(
                "{} of {} deleted the parent {} of {}, as it does to make it anew",
                words::process_with_command(task),
                party::unit(task).unwrap_or_default(),
                parent.name,
                case.fact.link.name,
            ),
            remedy: Some(
                "For iwd: `UseDefaultInterface=true` under `[General]` in /etc/iwd/main.conf; and start it before \
                 anything that makes links on its interface."
                    .into(),
            ),
            // That it makes the parent anew is not seen yet.
            confidence: Confidence::Likely,
            culprit: Some(Culprit::new(task)),
        })
    },
};
