//! The link below was set down: what stands on it keeps its flags and carries nothing.

use super::network_manager;
use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    fact::LinkChange,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "parent-down",
    page: include_str!("../pages/parent-down.md"),
    judge: |case| {
        let Cause::ParentChanged(change) = &case.cause else { return None };
        if case.fact.change != LinkChange::ParentDown || change.change != LinkChange::Down {
            return None;
        }
        let (parent, link) = (&change.parent.name, &case.fact.link.name);
        let Cause::Request(task) = &change.by else {
            return Some(Verdict {
                rule: RULE.name,
                cause: format!(
                    "The kernel closed the parent {parent} of {link} by itself; no process did this"
                ),
                remedy: None,
                confidence: Confidence::Likely,
                culprit: None,
            });
        };
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{}{} set the parent {parent} of {link} down",
                words::process_with_command(task),
                words::called_by(task),
            ),
            remedy: Some(
                format!(
                    "`ip link set {} up` where the parent is; and keep whatever restarts it from doing so while links \
                     stand on it{}.",
                    words::plain(parent),
                    network_manager::whence(task, parent)
                )
                .into(),
            ),
            confidence: Confidence::Certain,
            culprit: Some(Culprit::new(task)),
        })
    },
};
