//! The link below has its carrier back.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    fact::LinkChange,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "carrier-back",
    page: include_str!("../pages/carrier-back.md"),
    judge: |case| {
        let Cause::ParentChanged(change) = &case.cause else { return None };
        if change.change != LinkChange::CarrierBack {
            return None;
        }
        let (parent, link) = (&change.parent.name, &case.fact.link.name);
        let (cause, culprit) = match &change.first().by {
            Cause::Request(task) => (
                format!(
                    "{} gave {parent}, the parent of {link}, its carrier back",
                    words::process_with_command(task)
                ),
                Some(Culprit::new(task)),
            ),
            _ => (
                format!(
                    "The parent {parent} of {link} has its carrier back, reported by {}",
                    words::driver(&change.first().parent)
                ),
                None,
            ),
        };
        Some(Verdict { rule: RULE.name, cause, remedy: None, confidence: Confidence::Certain, culprit })
    },
};
