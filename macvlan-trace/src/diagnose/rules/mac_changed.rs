//! The hardware address changed after the link was made.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    fact::LinkChange,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "mac-changed",
    page: include_str!("../pages/mac-changed.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        if case.fact.change != LinkChange::MacChanged {
            return None;
        }
        let from = case.life.former_mac.map_or_else(String::new, |mac| format!(" from {}", words::mac(mac)));
        let to = case.fact.link.mac.map_or_else(String::new, |mac| format!(" to {}", words::mac(mac)));
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{} changed the hardware address of {}{from}{to}{}",
                words::process_with_command(task),
                case.fact.link.name,
                words::after_created(case),
            ),
            remedy: Some(
                "Where udev did it: `MACAddressPolicy=none` for the link in a file of /etc/systemd/network, and give \
                 the link its address when it is made."
                    .into(),
            ),
            confidence: Confidence::Certain,
            culprit: Some(Culprit::new(task)),
        })
    },
};
