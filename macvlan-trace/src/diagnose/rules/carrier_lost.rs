//! The link below lost its carrier: a cable, a switch, the other end of a veth.

use crate::{
    correlate::{Cause, has_any},
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    fact::LinkChange,
};

/// What a flap may set off, and nobody watches.
pub const HINT: &str = "foreign-routes-flushed";

/// Its page.
pub const HINT_PAGE: &str = include_str!("../pages/foreign-routes-flushed.md");

/// The rule.
pub const RULE: Rule = Rule {
    name: "carrier-lost",
    page: include_str!("../pages/carrier-lost.md"),
    judge: |case| {
        let Cause::ParentChanged(change) = &case.cause else { return None };
        if change.change != LinkChange::CarrierLost {
            return None;
        }
        let (parent, link) = (&change.parent.name, &case.fact.link.name);
        let first = change.first();
        let Cause::Request(task) = &first.by else {
            // A card's own driver knows; what software put together may have lost it with something further below.
            let is_card = first.parent.driver.is_some() && first.below.is_none();
            let (why, confidence) = if is_card && first.stack.iter().any(Option::is_some) {
                ("no process did this".to_owned(), Confidence::Certain)
            } else {
                ("what happened behind that was not seen".to_owned(), Confidence::Likely)
            };
            return Some(Verdict {
                rule: RULE.name,
                cause: format!(
                    "The parent {parent} of {link} lost its carrier{}, reported by {}; {why}",
                    words::with_below(change),
                    words::driver(&first.parent),
                ),
                remedy: Some(
                    "Look at the cable, the switch port, the bond or the hypervisor behind the parent; where traffic \
                     stays dead once it is back, see `macvlan-trace explain foreign-routes-flushed`."
                        .into(),
                ),
                confidence,
                culprit: None,
            });
        };
        let (how, remedy) = match &first.below {
            Some(other) if has_any(&first.stack, &["veth_close"]) => (
                format!(
                    "set {}, the other end of {}, down, and with that {parent}, the parent of {link},",
                    other.name, first.parent.name
                ),
                Some("Set the other end up again.".into()),
            ),
            _ => (
                format!("acted on {}, and with that {parent}, the parent of {link},", first.parent.name),
                None,
            ),
        };
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{}{} {how} lost its carrier",
                words::process_with_command(task),
                words::called_by(task)
            ),
            remedy,
            confidence: Confidence::Certain,
            culprit: Some(Culprit::new(task)),
        })
    },
};
