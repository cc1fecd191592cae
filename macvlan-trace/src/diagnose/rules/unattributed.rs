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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        fact::LinkChange,
        testing::story::{
            Story,
            cast::{eth0, ip, link},
            macvlan, netns,
        },
    };

    #[test]
    fn an_effect_that_no_probe_announced_has_no_culprit() {
        let link = macvlan("macvlan0", netns(0), 7);
        for (change, event) in [(LinkChange::UnseenDown, "down"), (LinkChange::UnseenDeleted, "deleted")] {
            let mut story = Story::new();
            story.link(&ip("ip"), change, &link, &[]);
            let told = story.tell();
            told.last()
                .is("/type", "unattributed")
                .is("/event", event)
                .verdict("unattributed", "unknown")
                .nobody()
                .is("/actor/pid", 901)
                .says("/verdict/cause", "no probe saw the request");
            assert_eq!(
                (&told.summary()["events"], &told.summary()["unattributed"]),
                (&json!(0), &json!(1)),
                "{told}"
            );
        }
    }

    #[test]
    fn a_parent_that_goes_down_and_nobody_was_seen_asking_is_unattributed() {
        let (mut story, _) = link();
        let told = story.parent(&ip("ip"), LinkChange::UnseenDown, &eth0(), None, &[]).tell();
        told.last().is("/type", "unattributed").is("/event", "parent_down").nobody();
    }
}
