//! Something in one container changed a link of another one.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    enrich::runtime,
    event::Confidence,
    fact::LinkChange,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "wrong-target",
    page: include_str!("../pages/wrong-target.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        let (own, victim) = (case.actor_container.as_ref()?, case.owner.as_ref()?);
        let breaks = matches!(case.fact.change, LinkChange::Down | LinkChange::Deleted);
        // A runtime or network plugin that runs in a container itself works on others' links by trade.
        if runtime::works_for_one(task) {
            return None;
        }
        // The containers of a pod share its links.
        let same_pod =
            own.pod.as_ref().zip(victim.pod.as_ref()).is_some_and(|(own, other)| own.uid == other.uid);
        (breaks && own.id != victim.id && !same_pod).then(|| Verdict {
            rule: RULE.name,
            cause: format!(
                "{} in {} {}, which belongs to {}{}",
                words::process_with_command(task),
                words::container(own),
                words::deed(case),
                words::container(victim),
                words::age(case, task),
            ),
            remedy: Some(
                "Find out what the culprit's container was told to work on: a controller or network plugin that mixes \
                 up names or indexes is the usual reason."
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
    use crate::correlate::story::{
        Story, cast::setup, child_of, in_cgroup, init, macvlan, netns, process, running,
    };

    #[test]
    fn what_one_container_does_to_anothers_link_is_the_wrong_target() {
        let group = |digit: &str| format!("/system.slice/docker-{}.scope", digit.repeat(64));
        let owner = in_cgroup(init("sh", 812), &group("b"));
        for (of, rule) in [("a", "wrong-target"), ("b", "direct")] {
            let link = macvlan("eth0", netns(1), 7);
            // A container's main process has the runtime's shim for its parent, and does not work for it.
            let shim = process("containerd-shim", 700);
            let by =
                in_cgroup(child_of(running(process("controller", 901), "controller"), &shim), &group(of));
            let mut story = Story::new();
            story.creates(&setup(), &link).sets_up(&setup(), &link).found_in(netns(1), &owner);
            story.deletes(&by, &link).tell().last().is("/verdict/rule", rule).culprit(&by);
        }
    }
}
