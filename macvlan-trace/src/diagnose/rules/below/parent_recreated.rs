//! A Wi-Fi daemon deleted the parent in order to make a new one.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    sentence::sentence,
    work::party,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "parent-recreated",
    page: include_str!("../../pages/parent-recreated.md"),
    judge: |case| {
        let (Cause::ParentDeleted { .. }, Cause::Request(task)) = (&case.cause, case.cause.root()) else {
            return None;
        };
        party::is_of_unit(task, &["iwd.service", "wpa_supplicant.service", "wpa_supplicant@"]).then(|| Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{} of {} deleted {}, as it does to make it anew",
                words::process_with_command(task),
                party::unit(task),
                words::lost_parent(case),
            ),
            remedy: Some(
                "For iwd: `UseDefaultInterface=true` under `[General]` in /etc/iwd/main.conf; and start it before \
                 anything that makes links on its interface"
                    .into(),
            ),
            // It has not made the new parent yet.
            confidence: Confidence::Likely,
            culprit: Some(Culprit::new(task)),
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::story::{
        cast::{deletes_parent, of_unit},
        process,
    };

    #[test]
    fn the_unit_of_a_wifi_daemon_tells_it_and_its_name_does_not() {
        for (by, rule, confidence) in [
            (of_unit("iwd.service", 700), "parent-recreated", "likely"),
            (process("iwd", 700), "parent-deleted", "certain"),
        ] {
            let told = deletes_parent(&by, "rtnl_dellink");
            told.last().verdict(rule, confidence).culprit(&by);
        }
    }
}
