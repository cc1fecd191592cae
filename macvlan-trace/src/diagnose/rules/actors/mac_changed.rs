//! The hardware address changed after the link was made.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    fact::LinkChange,
    sentence::{Part, sentence},
    work::runtime,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "mac-changed",
    page: include_str!("../../pages/mac-changed.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        if case.fact.change != LinkChange::MacChanged {
            return None;
        }
        // Runtimes set the address of a link that they have just made.
        let own = runtime::works_for_one(task)
            || case.life.creator.as_ref().is_some_and(|creator| creator.task.process == task.task.process);
        let address = |mac| Part::Address(words::mac(mac));
        let from = case.life.former_mac.map(|mac| sentence!(" from {}", address(mac)));
        let to = case.fact.link.mac.map(|mac| sentence!(" to {}", address(mac)));
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{} changed the hardware address of {}{}{}{}",
                words::process_with_command(task),
                Part::link(&case.fact.link.name),
                from,
                to,
                words::age(case, task),
            ),
            remedy: (!own).then(|| {
                "Where udev did it: `MACAddressPolicy=none` for the link in a file of /etc/systemd/network, and give \
                 the link its address when it is made"
                    .into()
            }),
            confidence: Confidence::Certain,
            culprit: Some(Culprit::new(task)),
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::{
        fact::LinkChange,
        testing::story::cast::{dockerd, ip, link, of_unit},
    };

    #[test]
    fn a_manager_that_changes_an_address_is_told_by_its_unit() {
        let (mut story, mut link) = link();
        link.link.mac = Some([2, 0, 0, 0, 0, 9]);
        let told =
            story.link(&of_unit("NetworkManager.service", 901), LinkChange::MacChanged, &link, &[]).tell();
        told.last().verdict("network-manager", "certain");
    }

    #[test]
    fn a_runtime_that_sets_the_address_of_its_own_link_is_left_in_peace() {
        for (by, has_remedy) in [(dockerd(), false), (ip("udev-worker"), true)] {
            let (mut story, mut link) = link();
            link.link.mac = Some([2, 0, 0, 0, 0, 9]);
            story.link(&by, LinkChange::MacChanged, &link, &[]);
            let told = story.tell();
            let event = told.last().is("/verdict/rule", "mac-changed").culprit(&by);
            assert_eq!(event.record["verdict"]["remedy"].is_string(), has_remedy, "{told}");
        }
    }

    #[test]
    fn a_hardware_address_that_changes_is_told_with_the_one_before() {
        let (mut story, mut link) = link();
        link.link.mac = Some([2, 0, 0, 0, 0, 9]);
        story
            .link(&ip("ip link set macvlan0 address 02:00:00:00:00:09"), LinkChange::MacChanged, &link, &[])
            .tell()
            .last()
            .verdict("mac-changed", "certain")
            .says(
                "/verdict/cause",
                "from 02:00:00:00:00:07 to 02:00:00:00:00:09, 3.2 s after setup (PID 600) created it",
            );
    }
}
