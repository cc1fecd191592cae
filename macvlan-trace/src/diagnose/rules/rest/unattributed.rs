//! Only the effect was seen.

use crate::{
    correlate::{Cause, Gap},
    diagnose::{Rule, Verdict, words},
    event::Confidence,
    sentence::{Part, sentence},
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "unattributed",
    page: include_str!("../../pages/unattributed.md"),
    judge: |case| {
        let Cause::Unseen(gap) = &case.cause else { return None };
        let (why, remedy) = match gap {
            Gap::Hook(name) => (
                Some(sentence!(", since the probe {} is not attached", Part::name(name))),
                sentence!("See why the probe is not attached: `macvlan-trace check`"),
            ),
            Gap::FullMap => (
                Some(sentence!(", perhaps since the probes had no room to note it")),
                sentence!(
                    "Look at the events of {} just before: the request may be one of them. Then start macvlan-trace \
                     again, which gives the probes room",
                    Part::link(&case.life.known_as)
                ),
            ),
            Gap::Unknown => (
                None,
                sentence!(
                    "If it comes again, please report it with the output of `macvlan-trace check`: a probe is missing"
                ),
            ),
        };
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!(
                "Something {} while {} was current, and no probe saw the request{}; {} may or may not be responsible",
                words::deed(case),
                words::process(&case.actor),
                why,
                words::process(&case.actor),
            ),
            remedy: Some(remedy.into()),
            confidence: Confidence::Unknown,
            culprit: None,
        })
    },
};

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        fact::{LinkChange, What},
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
                .says(
                    "/verdict/cause",
                    "no probe saw the request; ip (PID 901) may or may not be responsible",
                )
                .says("/verdict/remedy", "If it comes again, please report it");
            assert_eq!(
                (&told.summary()["events"], &told.summary()["unattributed"]),
                (&json!(0), &json!(1)),
                "{told}"
            );
        }
    }

    #[test]
    fn a_full_map_may_have_hidden_the_request_and_is_nothing_to_report() {
        let link = macvlan("macvlan0", netns(0), 7);
        let mut story = Story::new();
        let told = story.fact(What::Full).link(&ip("ip"), LinkChange::UnseenDown, &link, &[]).tell();
        told.last()
            .verdict("unattributed", "unknown")
            .says("/verdict/cause", "saw the request, perhaps since the probes had no room to note it;")
            .says("/verdict/remedy", "Look at the events of macvlan0 just before");
        assert!(!told.last().record["verdict"]["remedy"].to_string().contains("report"), "{told}");
    }

    #[test]
    fn a_missing_probe_is_named_where_it_would_have_seen_the_request() {
        let link = macvlan("macvlan0", netns(0), 7);
        for (hook, change, is_why) in [
            ("close_many", LinkChange::UnseenDown, true),
            ("unregister", LinkChange::UnseenDeleted, true),
            ("close_many", LinkChange::UnseenDeleted, false),
            ("free_netdev", LinkChange::UnseenDown, false),
        ] {
            let mut story = Story::new();
            let told = story.lacks(hook).link(&ip("ip"), change, &link, &[]).tell();
            let cause = told.last().record["verdict"]["cause"].to_string();
            let why = format!("saw the request, since the probe {hook} is not attached;");
            assert_eq!(cause.contains(&why), is_why, "{told}");
            let remedy = told.last().record["verdict"]["remedy"].to_string();
            assert_eq!(remedy.contains("report"), !is_why, "{told}");
        }
    }

    #[test]
    fn a_parent_that_goes_down_and_nobody_was_seen_asking_is_unattributed() {
        let (mut story, _) = link();
        let told = story.parent(&ip("ip"), LinkChange::UnseenDown, &eth0(), None, &[]).tell();
        told.last().is("/type", "unattributed").is("/event", "parent_down").nobody();
    }
}
