//! Only the effect was seen.

use crate::{
    correlate::Cause,
    diagnose::{Rule, Verdict, words},
    event::Confidence,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "unattributed",
    page: include_str!("../pages/unattributed.md"),
    judge: |case| {
        matches!(case.cause, Cause::Unseen).then(|| Verdict {
            rule: RULE.name,
            cause: format!(
                "Something {} while {} was current, and no probe saw the request; it may or may not be responsible",
                words::deed(case),
                words::process(&case.actor)
            ),
            remedy: Some("Please report this with the output of `macvlan-trace check`: a probe is missing.".into()),
            confidence: Confidence::Unknown,
            culprit: None,
        })
    },
};
