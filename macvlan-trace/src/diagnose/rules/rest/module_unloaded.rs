//! The driver was unloaded; live links do not keep it.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    kernel::kinds::{self, Family},
    sentence::{Part, Sentence, sentence},
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "module-unloaded",
    page: include_str!("../../pages/module-unloaded.md"),
    judge: |case| {
        let Cause::ModuleUnloaded(task) = &case.cause else { return None };
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{} unloaded the driver of {}, which deletes all its links",
                words::process_with_command(task),
                Part::link(&case.fact.link.name)
            ),
            remedy: Some(
                sentence!(
                    "Do not unload {} while links exist: the kernel does not refuse it",
                    listed(case.fact.link.family())
                )
                .into(),
            ),
            confidence: Confidence::Certain,
            culprit: Some(Culprit::new(task)),
        })
    },
};

/// The modules of a family of links: `macvlan or macvtap`.
fn listed(family: Option<Family>) -> Sentence {
    match family {
        Some(family) => Sentence::joined(kinds::words(family), " or "),
        None => "the driver".into(),
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        fact::LinkChange,
        testing::story::{Story, cast::deletes_parent, macvlan, netns, path, process, running},
    };

    #[test]
    fn who_unloads_the_driver_is_the_culprit() {
        let rmmod = running(process("rmmod", 950), "rmmod macvlan");
        let mut story = Story::new();
        for ifindex in [7, 8] {
            let link = macvlan("macvlan0", netns(ifindex), ifindex);
            story.link(&rmmod, LinkChange::Deleted, &link, path::UNLOAD);
        }
        let told = story.tell();
        told.last()
            .verdict("module-unloaded", "certain")
            .culprit(&rmmod)
            .says("/verdict/cause", "rmmod (PID 950: rmmod macvlan) unloaded the driver of macvlan0");
        assert_eq!(told.incidents(), [1, 1], "{told}");
    }

    #[test]
    fn the_driver_that_is_unloaded_may_be_that_of_the_parent() {
        let rmmod = running(process("rmmod", 950), "rmmod dummy");
        let told = deletes_parent(&rmmod, "rtnl_link_unregister");
        told.last().verdict("driver-reloaded", "certain").culprit(&rmmod);
    }
}
