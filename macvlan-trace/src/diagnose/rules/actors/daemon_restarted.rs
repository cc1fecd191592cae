//! A container runtime has just started, and breaks the links of what was running before.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    fact::LinkChange,
    sentence::{Period, sentence},
    work::runtime,
};

/// How long after its start a daemon may still be cleaning up what it finds.
const SETTLING_NS: u64 = 30_000_000_000;

/// The rule.
pub const RULE: Rule = Rule {
    name: "daemon-restarted",
    page: include_str!("../../pages/daemon-restarted.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        if !matches!(case.fact.change, LinkChange::Down | LinkChange::Deleted) {
            return None;
        }
        let unit = runtime::unit(task)?;
        let started = runtime::daemon_start(task)?;
        let is_older = case.life.created.is_none_or(|created| created < started);
        let age = case.at.0.saturating_sub(started.0);
        (is_older && age <= SETTLING_NS).then(|| Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{} of {}, which had started {} before, {}, which was older{}",
                words::process_with_command(task),
                unit,
                Period(age),
                words::deed(case),
                if case.blind { "; whether a main process had ended before is not known" } else { "" },
            ),
            remedy: Some(
                "Let containers outlive their daemon (Docker: `\"live-restore\": true` in /etc/docker/daemon.json; not \
                 with Swarm), or restart them with it"
                    .into(),
            ),
            // The tracer cannot see that it did so because of its start.
            confidence: Confidence::Likely,
            culprit: Some(Culprit::new(task)),
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::story::{
        Story, cast::setup, in_cgroup, init, macvlan, netns, process, running, started,
    };

    #[test]
    fn a_daemon_is_blamed_for_its_restart_only_if_the_link_is_older() {
        let link = macvlan("eth0", netns(0), 2);
        let daemon = |start| {
            in_cgroup(
                started(running(process("dockerd", 700), "dockerd"), start),
                "/system.slice/docker.service",
            )
        };
        for (start, rule) in [(95_000_000_000, "daemon-restarted"), (80_000_000_000, "runtime-teardown")] {
            let mut story = Story::new();
            story.creates(&setup(), &link).wait_ms(10_000);
            story.deletes(&daemon(start), &link).tell().last().is("/verdict/rule", rule);
        }
    }

    #[test]
    fn a_container_that_may_have_ended_without_its_daemon_is_not_forgotten() {
        let (link, inside) = (macvlan("eth0", netns(1), 2), netns(1));
        let main = in_cgroup(init("sh", 812), &format!("/docker/{}", "a".repeat(64)));
        let daemon = started(running(process("dockerd", 700), "dockerd"), 290_000_000_000);
        let mut story = Story::new();
        story.creates(&setup(), &link).found_in(inside, &main).exits(&main, inside, 0).wait_ms(210_000);
        story
            .deletes(&in_cgroup(daemon, "/system.slice/docker.service"), &link)
            .tell()
            .last()
            .verdict("daemon-restarted", "likely")
            .says("/verdict/cause", "whether a main process had ended before is not known");
    }
}
