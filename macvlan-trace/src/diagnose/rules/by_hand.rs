//! Somebody typed it.

use std::fmt::Write as _;

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    enrich::party,
    event::Confidence,
    fact::LinkChange,
};

/// What gives a person another user's rights.
const ELEVATION: [&str; 4] = ["sudo", "su", "doas", "pkexec"];

/// The rule.
pub const RULE: Rule = Rule {
    name: "by-hand",
    page: include_str!("../pages/by-hand.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        let breaks =
            matches!(case.fact.change, LinkChange::Down | LinkChange::Deleted | LinkChange::AddressRemoved);
        let is_service = party::service(task).is_some();
        let elevated = party::called_by(task, &ELEVATION);
        // A terminal, or a login that became root on the way: a daemon has neither.
        let by_hand = task.tty.is_some() || (task.login_uid.is_some() && elevated.is_some());
        if !breaks || is_service || !by_hand {
            return None;
        }
        let mut person = String::new();
        if let Some(uid) = task.login_uid {
            let _ = write!(person, ", logged in as user {uid}");
        }
        if let Some(by) = elevated {
            let _ = write!(person, ", through {}", by.comm);
        }
        if let Some(tty) = &task.tty {
            let _ = write!(person, ", at {tty}");
        }
        Some(Verdict {
            rule: RULE.name,
            cause: format!("{} {}, by hand{person}", words::process_with_command(task), words::deed(case)),
            remedy: (case.fact.change == LinkChange::Down).then(|| {
                format!("If it was a mistake: `ip link set {} up`.", words::plain(&case.fact.link.name))
                    .into()
            }),
            // A script in a terminal looks the same.
            confidence: Confidence::Likely,
            culprit: Some(Culprit::new(task)),
        })
    },
};
