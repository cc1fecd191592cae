//! The program that made a link broke it.

use super::network_manager;
use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, takes_away, words},
    event::Confidence,
    sentence::sentence,
    work::{party, runtime},
};

/// Services that make macvtap links for virtual machines, and delete them when those end.
const LIBVIRT: [&str; 2] = ["libvirtd.service", "virtqemud.service"];

/// The rule.
pub const RULE: Rule = Rule {
    name: "self-inflicted",
    page: include_str!("../../pages/self-inflicted.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        let breaks = takes_away(case);
        let creator = case.life.creator.as_ref().filter(|_| breaks)?;
        // A runtime makes links for others, even if it is not known for whom it made this one. The processes of a
        // container do not belong to a service, even if its control group is below a unit.
        if runtime::works_for_one(task) {
            return None;
        }
        let unit = party::service(task).filter(|_| case.actor_container.is_none());
        let same_process = creator.task.process == task.task.process;
        // This excludes two sessions of a login service, and two people.
        let same_service = unit.is_some() && task.tty.is_none() && task.cgroup.path == creator.cgroup.path;
        if !(same_process || same_service) {
            return None;
        }
        let for_guests = unit.as_deref().is_some_and(|unit| LIBVIRT.contains(&unit));
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{}{} {}, which {} had made itself{}",
                words::process_with_command(task),
                unit.map(|unit| sentence!(" of {}", unit)),
                words::deed(case),
                if same_process { "it" } else { "that service" },
                words::age(case, creator),
            ),
            remedy: Some(if for_guests {
                "Nothing, if the guest was to end: libvirt takes its links away then, and a guest's end is not seen \
                 here. See its log in /var/log/libvirt/qemu"
                    .into()
            } else {
                sentence!(
                    "See its log and configuration: a reload that no longer names the link, or a stop of the service, \
                     is the usual reason{}",
                    network_manager::whence(task, &case.fact.link.name)
                )
                .into()
            }),
            // Another part of the service may have made it.
            confidence: if same_process && !for_guests { Confidence::Certain } else { Confidence::Likely },
            culprit: Some(Culprit::new(task)),
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::story::{Story, cast::of_unit, in_cgroup, macvlan, netns, process};

    #[test]
    fn a_service_that_deletes_what_it_made_did_it_to_itself() {
        let link = macvlan("vrrp.51", netns(0), 7);
        let mut story = Story::new();
        story.creates(&of_unit("keepalived.service", 901), &link).wait_ms(3_000);
        story
            .deletes(&of_unit("keepalived.service", 950), &link)
            .tell()
            .last()
            .verdict("self-inflicted", "likely")
            .says("/verdict/cause", "3.0 s after it was created");
    }

    #[test]
    fn what_libvirt_takes_away_may_have_been_a_guests_that_ended() {
        for unit in ["libvirtd.service", "virtqemud.service"] {
            let (link, libvirt) = (macvlan("macvtap0", netns(0), 7), of_unit(unit, 500));
            let mut story = Story::new();
            story.creates(&libvirt, &link).sets_up(&libvirt, &link).wait_ms(3_000).deletes(&libvirt, &link);
            story
                .tell()
                .last()
                .verdict("self-inflicted", "likely")
                .says("/verdict/remedy", "a guest's end is not seen here");
        }
    }

    #[test]
    fn what_a_container_below_a_units_group_does_is_not_the_units_doing() {
        let link = macvlan("eth0", netns(1), 2);
        let group =
            format!("/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{}", "a".repeat(64));
        let app = |pid| in_cgroup(process("app", pid), &group);
        let mut story = Story::new();
        story.creates(&app(901), &link).wait_ms(3_000).deletes(&app(950), &link);
        story.tell().last().verdict("direct", "certain").is("/verdict/remedy", serde_json::Value::Null);
    }

    #[test]
    fn a_manager_that_breaks_its_own_link_is_told_with_where_it_says_why() {
        for (unit, place) in [
            ("NetworkManager.service", "`journalctl -u NetworkManager --grep audit:`"),
            ("systemd-networkd.service", "`networkctl status macvlan0`"),
        ] {
            let link = macvlan("macvlan0", netns(0), 7);
            let manager = of_unit(unit, 500);
            let mut story = Story::new();
            story.creates(&manager, &link).sets_up(&manager, &link).wait_ms(3_000);
            let told = story.sets_down(&manager, &link).deletes(&manager, &link).tell();
            for event in &told.events()[2..] {
                event.verdict("self-inflicted", "certain").says("/verdict/remedy", place);
            }
            assert_eq!(told.events().len(), 4, "{told}");
        }
    }
}
