//! Something in one container changed a link of another one.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    fact::LinkChange,
    sentence::sentence,
    work::runtime,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "wrong-target",
    page: include_str!("../../pages/wrong-target.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        let (own, victim) = (case.actor_container.as_ref()?, case.owner.as_ref()?);
        let breaks = matches!(case.fact.change, LinkChange::Down | LinkChange::Deleted);
        // It is the job of a runtime or network plugin to work on others' links, even if it runs in a container itself.
        if runtime::works_for_one(task) {
            return None;
        }
        // The containers of a pod share its links.
        let same_pod =
            own.pod.as_ref().zip(victim.pod.as_ref()).is_some_and(|(own, other)| own.uid == other.uid);
        // So do containers of Podman's pods and those with `network_mode: service:`. Their paths name no pod, but they live
        // in the namespace that another container owns.
        let shares = same_pod || case.actor_lives_there;
        (breaks && own.id != victim.id && !shares).then(|| Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{} in {} {}, which belongs to {}{}",
                words::process_with_command(task),
                words::container(own),
                words::deed(case),
                words::container(victim),
                words::age(case, task),
            ),
            remedy: Some(
                "Find out what the culprit's container was told to work on: a controller or network plugin that mixes \
                 up names or indexes is the usual reason"
                    .into(),
            ),
            // It may have meant it.
            confidence: Confidence::Likely,
            culprit: Some(Culprit::new(task)),
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::{
        fact::Task,
        testing::story::{
            Story, cast::setup, child_of, in_cgroup, init, inside, macvlan, netns, process, running, started,
        },
    };

    #[test]
    fn what_one_container_does_to_anothers_link_is_the_wrong_target() {
        let group = |digit: &str| format!("/system.slice/docker-{}.scope", digit.repeat(64));
        let owner = in_cgroup(init("sh", 812), &group("b"));
        for (of, rule) in [("a", "wrong-target"), ("b", "direct")] {
            let link = macvlan("eth0", netns(1), 7);
            // A container's main process does not work for the runtime, although the shim is its parent.
            let shim = process("containerd-shim", 700);
            let by =
                in_cgroup(child_of(running(process("controller", 901), "controller"), &shim), &group(of));
            let mut story = Story::new();
            story.creates(&setup(), &link).sets_up(&setup(), &link).found_in(netns(1), &owner);
            story.deletes(&by, &link).tell().last().is("/verdict/rule", rule).culprit(&by);
        }
    }

    #[test]
    fn what_a_container_does_to_the_link_that_it_shares_is_its_own_business() {
        let group =
            |task, digit: &str| in_cgroup(task, &format!("/machine.slice/libpod-{}.scope", digit.repeat(64)));
        let in_pod = |task: Task| Task { netns: Some(netns(1)), ..task };
        let infra = in_pod(group(init("catatonit", 812), "b"));
        let app = in_pod(group(started(init("app", 830), 89_000_000_000), "a"));
        let ip = started(running(process("ip", 901), "ip link set eth0 down"), 91_000_000_000);
        let own = child_of(in_pod(group(inside(ip.clone(), 830, 1, 7), "a")), &app);
        // One that goes in for it, from the same container.
        let visitor = in_pod(group(ip, "a"));
        for (by, goes_in, rule) in [(&own, false, "direct"), (&visitor, true, "wrong-target")] {
            let link = macvlan("eth0", netns(1), 7);
            let mut story = Story::new();
            story.creates(&setup(), &link).sets_up(&setup(), &link).found_in(netns(1), &infra);
            // crun has the application's main process join the namespace of the pod as it starts.
            story.goes(&app, netns(0), netns(1)).wait_ms(2_000);
            if goes_in {
                story.goes(by, netns(0), netns(1));
            }
            story.sets_down(by, &link).tell().last().is("/verdict/rule", rule).culprit(by);
        }
    }
}
