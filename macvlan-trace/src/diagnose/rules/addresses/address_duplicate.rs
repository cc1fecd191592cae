//! Another host answered for an address, and the kernel removed it.

use crate::{
    correlate::Cause,
    diagnose::{Rule, Verdict, words},
    event::Confidence,
    fact::LinkChange,
    sentence::sentence,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "address-duplicate",
    page: include_str!("../../pages/address-duplicate.md"),
    judge: |case| {
        let by_itself = matches!(case.cause, Cause::Worker) && case.fact.change == LinkChange::AddressRemoved;
        (by_itself && case.fact.path.detects_duplicates()).then(|| Verdict {
            rule: RULE.name,
            cause: sentence!(
                "The kernel removed {}, since somebody else on that network has it (duplicate address detection){}",
                words::address(case),
                words::after_set(case, None),
            ),
            remedy: Some(
                "Look for the other one with `ip neigh` on a neighbour, among links with the same hardware address \
                 first; give one of the two another address"
                    .into(),
            ),
            // The answer of the other host is not seen.
            confidence: Confidence::Likely,
            culprit: None,
        })
    },
};
