//! A link could not be set up because another one of the same parent has its hardware address.

use crate::{
    diagnose::{Rule, Verdict, words},
    event::Confidence,
    fact::LinkChange,
};

/// `EBUSY` and `EADDRINUSE`: what `macvlan_open` returns for an address that is taken.
const TAKEN: [u32; 2] = [16, 98];

/// The rule.
pub const RULE: Rule = Rule {
    name: "address-in-use",
    page: include_str!("../pages/address-in-use.md"),
    judge: |case| {
        let error = case.fact.error.filter(|error| TAKEN.contains(error))?;
        if case.fact.change != LinkChange::UpFailed {
            return None;
        }
        let link = &case.fact.link.name;
        let mac = case.fact.link.mac.map_or_else(
            || "its hardware address".to_owned(),
            |mac| format!("its hardware address {}", words::mac(mac)),
        );
        let (holder, remedy, confidence) = match &case.holder {
            Some(holder) if holder.ending => (
                format!(
                    "{} has {mac}, a leftover of a container that is still being torn down",
                    holder.link.name
                ),
                "Wait until the old container's network namespace is gone before the restart, or give the new link \
                 an address of its own.",
                Confidence::Certain,
            ),
            Some(holder) => (
                format!("{} has {mac}", holder.link.name),
                "Give one of the two another address (`--mac-address`, `address` of `ip link add`).",
                Confidence::Certain,
            ),
            None => (
                format!("another link of the same parent has {mac}, and which was not seen"),
                "Look for it with `ip -all netns exec ip -d link show type macvlan`.",
                Confidence::Likely,
            ),
        };
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{} could not set {link} up ({}): {holder}",
                words::process_with_command(&case.actor),
                words::errno(error),
            ),
            remedy: Some(remedy.into()),
            confidence,
            // Who asked did nothing wrong, and who has the address had it first.
            culprit: None,
        })
    },
};
