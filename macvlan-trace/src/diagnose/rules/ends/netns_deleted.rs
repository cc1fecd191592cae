//! Somebody gave up the last hold on the namespace, and no process had ended in it.

use crate::{
    correlate::{Drop, Leave, NamespaceEnd, Trigger},
    diagnose::{Culprit, Rule, Verdict, end_behind, words},
    event::Confidence,
    sentence::{Part, Sentence, sentence},
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "netns-deleted",
    page: include_str!("../../pages/netns-deleted.md"),
    judge: |case| {
        let end = end_behind(case)?;
        let (task, what, drop) = match &end.trigger {
            Trigger::Unmount(unmount) => (
                &unmount.task,
                sentence!("unmounted the network namespace, whose last hold that was"),
                Drop::Unmount,
            ),
            Trigger::Close(task) => {
                (task, sentence!("closed the last descriptor of the network namespace"), Drop::Close)
            }
            Trigger::Left(leave) => (&leave.task, how_it_left(leave, end), how_it_drops(leave)),
            Trigger::Exit(_) | Trigger::Unknown => return None,
        };
        // Otherwise something else held it a moment longer.
        let itself = end.drop == drop && end.dropper.task.process == task.task.process;
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{} {}; {}",
                words::process_with_command(task),
                what,
                words::fate_of_namespace(case, "by that")
            ),
            remedy: Some("Keep the namespace for as long as the link is needed: a name in /run/netns, or a process in it".into()),
            confidence: if itself && !case.blind { Confidence::Certain } else { Confidence::Likely },
            culprit: Some(Culprit::new(task)),
        })
    },
};

/// How the last reference drops if it is that of a task that leaves.
fn how_it_drops(leave: &Leave) -> Drop {
    if leave.ended { Drop::Exit } else { Drop::Switch }
}

/// How a task that lived in the namespace left it, and what it left behind.
fn how_it_left(leave: &Leave, end: &NamespaceEnd) -> Sentence {
    let left = if leave.ended {
        let thread = Part::Number(leave.task.task.tid.into());
        sentence!("ended its thread {}, the last task that lived in the network namespace", thread)
    } else {
        sentence!("left the network namespace as its last process")
    };
    if end.drop == how_it_drops(leave) {
        return left;
    }
    sentence!(
        "{}, and what still held that, such as a socket, went {} later",
        left,
        words::duration(leave.at, end.at)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::testing::story::{
        cast::{Container, container_of, named},
        child_of, init, macvlan, netns, path, process, running, started, swapper, thread,
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
    fn who_lived_there_and_left_is_the_culprit_and_not_a_child_that_came_and_went() {
        // It goes back to where it came from, and what it had opened there outlives it.
        let (maker, helper) =
            (process("python3", 815), child_of(process("ip", 816), &process("python3", 815)));
        for (path, confidence) in
            [(path::SWITCH, "certain"), (path::SOFTIRQ, "likely"), (path::CLOSE, "certain")]
        {
            let Container { mut story, netns, link, .. } = container_of(maker.clone());
            story.exits(&helper, netns, 0).wait_ms(100).goes(&maker, netns, self::netns(0));
            let dropper = if path == path::SOFTIRQ { swapper() } else { maker.clone() };
            if path != path::SWITCH {
                story.wait_ms(500);
            }
            story.drops(&dropper, netns, path).is_torn_down(&link);
            let told = story.tell();
            let event = told.last().verdict("netns-deleted", confidence).culprit(&maker);
            match confidence {
                "likely" => event
                    .says(
                        "/verdict/cause",
                        "left the network namespace as its last process, and what still held that, such as a \
                         socket, went 501 ms later",
                    )
                    .steps(&["leave", "netns_end", "deleted"]),
                _ => event.is("/victim/init", Value::Null),
            };
        }
    }

    #[test]
    fn a_thread_that_lived_there_and_ended_is_the_culprit_and_not_its_child() {
        let maker = process("python3", 815);
        let (worker, helper) = (thread(maker.clone(), 818), child_of(process("ip", 816), &maker));
        let Container { mut story, netns, link, .. } = container_of(worker.clone());
        story.exits(&helper, netns, 0).wait_ms(100).thread_ends(&worker, netns).drops(
            &worker,
            netns,
            path::EXIT,
        );
        story
            .is_torn_down(&link)
            .tell()
            .last()
            .verdict("netns-deleted", "certain")
            .culprit(&worker)
            .says("/verdict/cause", "python3 (PID 815) ended its thread 818, the last task that lived in")
            .steps(&["netns_end", "deleted"]);
    }

    #[test]
    fn who_made_a_namespace_from_a_watched_one_is_no_visitor_of_it() {
        let maker = process("python3", 815);
        for made in [true, false] {
            let Container { mut story, netns, link, .. } = container_of(process("sh", 700));
            let inner = self::netns(2);
            let _ = link;
            let link = macvlan("macvlan1", inner, 2);
            if made {
                story.unshares(&maker, netns, inner);
            } else {
                story.goes(&maker, netns, inner);
            }
            story.creates(&maker, &link).exits(&process("ip", 816), inner, 0).wait_ms(100);
            story.goes(&maker, inner, netns).drops(&swapper(), inner, path::SOFTIRQ).is_torn_down(&link);
            let told = story.tell();
            if made {
                told.last().verdict("netns-deleted", "likely").culprit(&maker);
            } else {
                told.last().verdict("container-exited", "likely").culprit(&process("ip", 816));
            }
        }
    }

    #[test]
    fn who_lived_there_and_left_others_behind_is_no_culprit() {
        let (maker, heir) = (process("python3", 815), process("sh", 816));
        let Container { mut story, netns, link, .. } = container_of(maker.clone());
        story.goes(&maker, netns, self::netns(0)).wait_ms(100).exits(&heir, netns, 3);
        story.drops(&heir, netns, path::EXIT).is_torn_down(&link);
        story.tell().last().verdict("container-exited", "certain").culprit(&heir);
    }

    #[test]
    fn a_supervisor_that_leaves_after_its_main_process_is_no_culprit() {
        let runtime = process("python3", 815);
        let main = child_of(init("sh", 816), &runtime);
        let Container { mut story, netns, link, .. } = container_of(main.clone());
        story.exits(&main, netns, 3).wait_ms(100).goes(&runtime, netns, self::netns(0));
        story.drops(&runtime, netns, path::SWITCH).is_torn_down(&link);
        story.tell().last().verdict("container-exited", "certain").culprit(&main);
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
