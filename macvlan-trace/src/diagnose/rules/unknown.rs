//! What no rule recognises is said to be unknown.

use crate::{
    correlate::{Case, Cause},
    diagnose::{Verdict, words},
    event::Confidence,
};

/// The name of the verdict.
pub const NAME: &str = "unknown";

/// Its page.
pub const PAGE: &str = include_str!("../pages/unknown.md");

/// The verdict of no rule.
pub fn verdict(case: &Case) -> Verdict {
    let link = &case.fact.link.name;
    let cause = match &case.cause {
        Cause::NamespaceEnded(_) => {
            format!("The network namespace of {link} ended, and what held it last was not seen")
        }
        Cause::ParentDeleted { parent, .. } => {
            format!("The parent {} of {link} was deleted, and by whom was not seen", parent.name)
        }
        _ => format!("The kernel {} by itself, and why was not seen", words::deed(case)),
    };
    Verdict { rule: NAME, cause, remedy: None, confidence: Confidence::Unknown, culprit: None }
}
