//! A case that no rule recognises is unknown.

use crate::{
    correlate::{Case, Cause},
    diagnose::{Verdict, words},
    event::Confidence,
    sentence::{Part, sentence},
};

/// The name of the verdict.
pub const NAME: &str = "unknown";

/// Its page.
pub const PAGE: &str = include_str!("../../pages/unknown.md");

/// The verdict of no rule.
pub fn verdict(case: &Case) -> Verdict {
    let cause = match &case.cause {
        Cause::NamespaceEnded(_) => {
            let link = Part::link(&case.fact.link.name);
            sentence!("The network namespace of {} ended, and what held it last was not seen", link)
        }
        Cause::ParentDeleted { .. } => {
            sentence!("{} was deleted, and by whom was not seen", words::lost_parent(case)).capital()
        }
        _ => sentence!("The kernel {} by itself, and why was not seen", words::deed(case)),
    };
    Verdict {
        rule: NAME,
        cause,
        remedy: Some(
            "Let it happen again while the whole life of the links is traced (`macvlan-trace -e all`); \
             `macvlan-trace check` says what cannot be seen here"
                .into(),
        ),
        confidence: Confidence::Unknown,
        culprit: None,
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        fact::LinkChange,
        testing::story::{Story, macvlan, netns, nic, path, worker},
    };

    #[test]
    fn a_kernel_worker_without_a_known_reason_is_nobodys_fault() {
        let mut story = Story::new();
        story.sets_down(&worker(), &macvlan("macvlan0", netns(0), 7));
        story.tell().last().verdict("unknown", "unknown").nobody().says("/verdict/cause", "why was not seen");
    }

    #[test]
    fn a_parent_that_a_worker_removes_for_unknown_reasons_is_nobodys_fault() {
        let mut story = Story::new();
        let child = macvlan("macvlan0", netns(1), 7).losing_parent(nic("eth0", netns(0), 2));
        story.link(&worker(), LinkChange::Deleted, &child, path::CASCADE);
        story
            .tell()
            .last()
            .verdict("unknown", "unknown")
            .nobody()
            .says("/verdict/cause", "The parent eth0 of macvlan0 was deleted, and by whom was not seen")
            .says("/verdict/remedy", "`macvlan-trace -e all`");
    }
}
