//! The CNI plugin's DHCP daemon sets a pod's link down when the lease ends and cannot be renewed.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    fact::LinkChange,
    sentence::{Part, sentence},
    work::party,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "dhcp-lease-ended",
    page: include_str!("../../pages/dhcp-lease-ended.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        let args = task.args.as_ref()?;
        let is_daemon = party::program(task).is_some_and(|program| program == "dhcp")
            && args.iter().skip(1).take(2).any(|arg| arg.as_bytes() == b"daemon");
        // The daemon runs on the host, and enters the pod's namespace; a pod has a pid namespace of its own.
        let from_outside = task.task.pidns_level == 0;
        (case.fact.change == LinkChange::Down && is_daemon && from_outside).then(|| Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{} set {} down: the CNI plugin's DHCP daemon does so when the lease has ended and the server does not \
                 renew it",
                words::process_with_command(task),
                Part::link(&case.fact.link.name),
            ),
            remedy: Some(
                "See the daemon's log for the lease, and whether the DHCP server can be reached from the parent's \
                 network; then restart the pod, since the daemon has given the lease up; or use the `static` IPAM \
                 plugin"
                    .into(),
            ),
            // The lease itself is not seen.
            confidence: Confidence::Likely,
            culprit: Some(Culprit::new(task)),
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::story::{cast::link, inside, process, running};

    #[test]
    fn the_dhcp_daemon_of_cni_is_told_only_outside_the_pod() {
        let daemon = running(process("dhcp", 901), "/usr/lib/cni/dhcp daemon");
        let in_pod = inside(daemon.clone(), 5, 1, 7);
        for (by, rule) in [(daemon, "dhcp-lease-ended"), (in_pod, "direct")] {
            let (mut story, link) = link();
            story.sets_down(&by, &link).tell().last().is("/verdict/rule", rule).culprit(&by);
        }
    }
}
