//! Somebody gave up the last hold on the namespace, and no process had ended in it.

use crate::{
    correlate::{Drop, Trigger},
    diagnose::{Culprit, Rule, Verdict, end_behind, words},
    event::Confidence,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "netns-deleted",
    page: include_str!("../pages/netns-deleted.md"),
    judge: |case| {
        let end = end_behind(case)?;
        let (task, what, drop) = match &end.trigger {
            Trigger::Unmount(unmount) => {
                (&unmount.task, "unmounted the network namespace, whose last hold that was", Drop::Unmount)
            }
            Trigger::Close(task) => {
                (task, "closed the last descriptor of the network namespace", Drop::Close)
            }
            Trigger::Left(task) => (task, "left the network namespace as its last process", Drop::Switch),
            Trigger::Exit(_) | Trigger::Unknown => return None,
        };
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "{} {what}; {}",
                words::process_with_command(task),
                words::fate(case).replace("with it, ", "by that, ")
            ),
            remedy: Some("Keep the namespace for as long as the link is needed: a name in /run/netns, or a process in it.".into()),
            // Otherwise something else held it a moment longer.
            confidence: if end.drop == drop && !case.blind { Confidence::Certain } else { Confidence::Likely },
            culprit: Some(Culprit::new(task)),
        })
    },
};

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::testing::story::{
        cast::{Container, container_of, named},
        child_of, init, netns, path, process, running, started, swapper,
    };

    #[test]
    fn who_unmounts_a_namespace_is_the_culprit_even_after_visitors() {
        let Container { mut story, netns, link, .. } = named();
        for pid in [920, 921] {
            let visitor = process("true", pid);
            story.goes(&visitor, self::netns(0), netns).exits(&visitor, netns, 0);
        }
        let del = running(process("ip", 930), "ip netns del blue");
        story.drops(&del, netns, path::UNMOUNT).is_torn_down(&link);
        story
            .tell()
            .last()
            .verdict("netns-deleted", "certain")
            .culprit(&del)
            .is("/link/netns/name", "blue")
            .is("/victim/init", Value::Null)
            .says("/verdict/cause", "ip (PID 930: ip netns del blue) unmounted the network namespace")
            .steps(&["unmount", "deleted"]);
    }

    #[test]
    fn what_holds_a_namespace_for_a_moment_after_its_unmount_is_no_culprit() {
        // A visitor had a connection, whose remains hold the namespace.
        let Container { mut story, netns, link, .. } = named();
        let visitor = process("curl", 920);
        let del = running(process("ip", 930), "ip netns del blue");
        story.goes(&visitor, self::netns(0), netns).exits(&visitor, netns, 0).lets_go(
            &del,
            netns,
            path::UNMOUNT,
        );
        story.wait_ms(60_000).drops(&swapper(), netns, path::SOFTIRQ).is_torn_down(&link);
        let told = story.tell();
        told.last().verdict("netns-deleted", "likely").culprit(&del).steps(&[
            "unmount",
            "netns_end",
            "deleted",
        ]);
    }

    #[test]
    fn who_closes_the_last_descriptor_is_the_culprit_if_nobody_lived_there() {
        let Container { mut story, netns, link, .. } = named();
        let visitor = process("true", 920);
        let grandchild = started(child_of(process("sleep", 921), &visitor), 100_000_000_000);
        story.goes(&visitor, self::netns(0), netns).exits(&visitor, netns, 0).exits(&grandchild, netns, 0);
        let holder = process("holder", 940);
        story.drops(&holder, netns, path::CLOSE).is_torn_down(&link);
        story
            .tell()
            .last()
            .verdict("netns-deleted", "certain")
            .culprit(&holder)
            .says("/verdict/cause", "closed the last descriptor")
            .steps(&["close", "deleted"]);
    }

    #[test]
    fn the_last_process_that_goes_elsewhere_is_the_culprit() {
        let shell = process("nsenter", 815);
        let Container { mut story, netns, link, .. } = container_of(shell.clone());
        story.goes(&shell, netns, self::netns(0)).drops(&shell, netns, path::SWITCH).is_torn_down(&link);
        story
            .tell()
            .last()
            .verdict("netns-deleted", "certain")
            .culprit(&shell)
            .says("/verdict/cause", "left the network namespace as its last process")
            .steps(&["netns_end", "deleted"]);
    }

    #[test]
    fn an_unmount_explains_no_end_that_comes_much_later() {
        // It lives on without a name, until it ends.
        let Container { mut story, netns, link, .. } = named();
        let (del, resident) = (running(process("ip", 930), "ip netns del blue"), process("daemon", 920));
        story.lets_go(&del, netns, path::UNMOUNT).wait_ms(3_600_000).exits(&resident, netns, 1);
        story.drops(&resident, netns, path::EXIT).is_torn_down(&link);
        story.tell().last().verdict("container-exited", "certain").culprit(&resident);
    }

    #[test]
    fn who_unmounts_it_hours_after_its_main_process_did_it() {
        let Container { mut story, netns, link, .. } = container_of(init("sh", 812));
        let del = running(process("ip", 930), "ip netns del blue");
        story.exits(&init("sh", 812), netns, 0).wait_ms(10_800_000);
        story.drops(&del, netns, path::UNMOUNT).is_torn_down(&link);
        story.tell().last().verdict("netns-deleted", "certain").culprit(&del);
    }
}
