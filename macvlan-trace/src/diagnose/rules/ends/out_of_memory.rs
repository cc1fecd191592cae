//! Memory ran out, and the kernel killed the main process, or a child that it needed.

use crate::{
    correlate::Chosen,
    diagnose::{Culprit, Rule, Verdict, confidence_of, exit_behind, words},
    event::Confidence,
    sentence::{Part, sentence},
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "out-of-memory",
    page: include_str!("../../pages/out-of-memory.md"),
    judge: |case| {
        let ended = exit_behind(case)?;
        let oom = ended.oom.as_ref()?;
        let place = match &oom.limit {
            Some(limit) => match &limit.path {
                // The container's name says more than the path with its id.
                Some(_) if limit.path == ended.task.cgroup.path && case.ended_in.is_some() => {
                    sentence!("in its control group, whose limit was reached,")
                }
                Some(path) => {
                    sentence!("in the control group {}, whose limit was reached,", Part::name(path))
                }
                None => sentence!("in a control group whose limit was reached"),
            },
            None => sentence!("on the machine"),
        };
        let ended_process = words::ended_process(case, ended);
        let killed = match &oom.chosen {
            Chosen::Itself => sentence!("killed {}", ended_process),
            Chosen::Another => sentence!("killed, with another process of its group, {}", ended_process),
            Chosen::Descendant(child) => sentence!(
                "killed {}, after which {} {}",
                words::process(child),
                ended_process,
                words::how_it_ended(ended)
            ),
        };
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!(
                "Memory ran out {} and the kernel {}{}; {}",
                place,
                killed,
                words::after_up(case, ended.at),
                words::fate(case),
            ),
            remedy: Some(
                if oom.limit.is_some() {
                    "Give the container more memory (`docker run --memory`, `MemoryMax=`, the pod's limits), or find \
                     out what uses it up"
                } else {
                    "Find out what uses the machine's memory up: `journalctl -k --grep oom` lists what ran; a limit \
                     of its own keeps that from taking others along"
                }
                .into(),
            ),
            confidence: match oom.chosen {
                // It may have failed for another reason.
                Chosen::Descendant(_) => Confidence::Likely,
                Chosen::Itself | Chosen::Another => confidence_of(case, ended),
            },
            culprit: Some(Culprit::ended(ended)),
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::story::{Story, child_of, init, macvlan, netns, process};

    #[test]
    fn memory_that_ran_out_comes_before_the_signal_that_it_sent() {
        for (limit, words, remedy) in [
            (
                Some("/mt.slice/web.scope"),
                "in the control group /mt.slice/web.scope, whose limit was reached",
                "Give the container more memory",
            ),
            (None, "on the machine", "Find out what uses the machine's memory up"),
        ] {
            let (init, netns) = (init("java", 812), netns(1));
            let link = macvlan("macvlan0", netns, 2);
            let mut story = Story::new();
            story.creates(&init, &link).sets_up(&init, &link).wait_ms(3_000);
            story.runs_out_of_memory(&init, netns, limit).kernel_sends(9, &init, netns).dies(&init, netns, 9);
            story
                .drops(&init, netns, &["__put_net", "do_exit"])
                .is_torn_down(&link)
                .tell()
                .last()
                .verdict("out-of-memory", "certain")
                .culprit(&init)
                .says("/verdict/cause", words)
                .says("/verdict/remedy", remedy)
                .steps(&["oom", "signal", "exit", "netns_end", "deleted"]);
        }
    }

    #[test]
    fn a_shortage_explains_the_failure_of_who_started_its_victim_and_no_clean_exit() {
        let init = init("npm", 812);
        let (child, stranger) = (child_of(process("node", 830), &init), process("postgres", 840));
        for (killed, code, rule, confidence) in [
            (&child, 137, "out-of-memory", "likely"),
            (&child, 0, "container-exited", "certain"),
            (&stranger, 137, "container-exited", "certain"),
        ] {
            let netns = netns(1);
            let link = macvlan("macvlan0", netns, 2);
            let mut story = Story::new();
            story.creates(&init, &link).wait_ms(100);
            story
                .runs_out_of_memory(killed, netns, None)
                .kernel_sends(9, killed, netns)
                .dies(killed, netns, 9);
            story.wait_ms(5).exits(&init, netns, code).drops(&init, netns, &["__put_net", "do_exit"]);
            let told = story.is_torn_down(&link).tell();
            told.last().verdict(rule, confidence).culprit(&init);
            if rule == "out-of-memory" {
                told.last()
                    .says(
                        "/verdict/cause",
                        "killed node (PID 830), after which the main process npm (PID 812) exited",
                    )
                    .steps(&["oom", "exit", "netns_end", "deleted"]);
            }
        }
    }
}
