//! Memory ran out, and the kernel killed the main process.

use crate::diagnose::{Culprit, Rule, Verdict, confidence_of, exit_behind, words};

/// The rule.
pub const RULE: Rule = Rule {
    name: "out-of-memory",
    page: include_str!("../pages/out-of-memory.md"),
    judge: |case| {
        let ended = exit_behind(case)?;
        let oom = ended.oom.as_ref()?;
        let place = match &oom.limit {
            Some(limit) => match &limit.path {
                // The container's name says more than the path that has its id.
                Some(_)
                    if limit.path == ended.task.cgroup.path && words::container_of(case, ended).is_some() =>
                {
                    "in its control group, whose limit was reached,".to_owned()
                }
                Some(path) => format!("in the control group {path}, whose limit was reached,"),
                None => "in a control group whose limit was reached".to_owned(),
            },
            None => "on the machine".to_owned(),
        };
        let killed = if oom.chosen { "killed" } else { "killed, with another process of its group," };
        Some(Verdict {
            rule: RULE.name,
            cause: format!(
                "Memory ran out {place} and the kernel {killed} {}{}; {}",
                words::ended_process(case, ended),
                words::after_up(case, ended.at),
                words::fate(case),
            ),
            remedy: Some(
                "Give the container more memory (`docker run --memory`, `MemoryMax=`, the pod's limits), or find out \
                 what uses it up."
                    .into(),
            ),
            confidence: confidence_of(case, ended),
            culprit: Some(Culprit::ended(ended)),
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::correlate::story::{Story, init, macvlan, netns, process};

    #[test]
    fn memory_that_ran_out_comes_before_the_signal_that_it_sent() {
        for (limit, words) in [
            (
                Some("/mt.slice/web.scope"),
                "in the control group /mt.slice/web.scope, whose limit was reached",
            ),
            (None, "on the machine"),
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
                .steps(&["oom", "signal", "exit", "netns_end", "deleted"]);
        }
    }

    #[test]
    fn a_shortage_that_killed_somebody_else_does_not_explain_a_clean_exit() {
        let (init, netns) = (init("sh", 812), netns(1));
        let link = macvlan("macvlan0", netns, 2);
        let mut story = Story::new();
        story.creates(&init, &link).wait_ms(100);
        story.runs_out_of_memory(&process("child", 830), netns, None).wait_ms(5).exits(&init, netns, 137);
        story
            .drops(&init, netns, &["__put_net", "do_exit"])
            .is_torn_down(&link)
            .tell()
            .last()
            .verdict("container-exited", "certain")
            .culprit(&init);
    }
}
