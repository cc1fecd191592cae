//! The device below went away: it was unplugged, its bus removed it, or the owner of a tap closed it.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    sentence::{Part, sentence},
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "parent-unplugged",
    page: include_str!("../../pages/parent-unplugged.md"),
    judge: |case| {
        let (first, lost) = (&case.cause.deleted().first()?.name, words::lost_device(case));
        let (cause, culprit, confidence) = match case.cause.root() {
            Cause::Request(task) if case.fact.path.closes_tun() => {
                // The kernel closes the descriptors of a process that ends (`exit_files`). Somebody may have ended it.
                let (how, confidence) = if case.fact.path.exits() {
                    (
                        sentence!("ended with {} open, and that took away", Part::device(first)),
                        Confidence::Likely,
                    )
                } else {
                    (sentence!("closed"), Confidence::Certain)
                };
                (
                    sentence!(
                        "{} {} {}: a tap or tun device lives only as long as its descriptor",
                        words::process_with_command(task),
                        how,
                        lost
                    ),
                    Some(Culprit::new(task)),
                    confidence,
                )
            }
            // Software can also cut the power of a hub or a slot, and then the same worker removes the device.
            Cause::Worker if case.fact.path.releases_device() => (
                sentence!(
                    "{} was unplugged or taken away by its bus; no process was seen to ask for it",
                    words::lost_parent(case)
                )
                .capital(),
                None,
                Confidence::Likely,
            ),
            _ => return None,
        };
        Some(Verdict {
            rule: RULE.name,
            cause,
            remedy: Some(
                "Make the link again when the parent is back; a tap can be made to stay (`ip tuntap add`)"
                    .into(),
            ),
            confidence,
            culprit,
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::{
        fact::LinkChange,
        testing::story::{
            cast::{deletes_parent, eth0, link},
            path, process, worker,
        },
    };

    #[test]
    fn a_tap_goes_with_its_descriptor() {
        let by = process("qemu", 701);
        let told = deletes_parent(&by, "tun_chr_close");
        told.last()
            .verdict("parent-unplugged", "certain")
            .culprit(&by)
            .says("/verdict/cause", "qemu (PID 701) closed eth0, the parent of macvlan0");
    }

    #[test]
    fn who_ended_the_owner_of_a_tap_is_not_seen() {
        let (mut story, link) = link();
        let by = process("qemu", 701);
        let end = ["tun_chr_close", "__fput", "task_work_run", "do_exit", "do_group_exit", "get_signal"];
        let frames: Vec<_> = path::CASCADE.iter().chain(&end).copied().collect();
        let told = story.link(&by, LinkChange::Deleted, &link.losing_parent(eth0()), &frames).tell();
        told.last().verdict("parent-unplugged", "likely").culprit(&by).says(
            "/verdict/cause",
            "qemu (PID 701) ended with eth0 open, and that took away eth0, the parent of macvlan0",
        );
    }

    #[test]
    fn a_card_that_is_unplugged_is_nobodys_doing() {
        deletes_parent(&worker(), "usb_disconnect").last().verdict("parent-unplugged", "likely").nobody();
    }
}
