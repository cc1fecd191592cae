//! A container runtime or its network plugin took the link away, and no exit or signal came first.

use crate::{
    correlate::{Case, Cause},
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    fact::{Container, LinkChange, Task},
    sentence::sentence,
    work::{party, runtime},
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "runtime-teardown",
    page: include_str!("../../pages/runtime-teardown.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        // Only a link that had been up is being taken out: runtimes also rename and move a link when they put it in.
        let comes_back = case.life.last_up.is_some() && case.life.up_since.is_none();
        match case.fact.change {
            LinkChange::Down | LinkChange::Deleted => {}
            LinkChange::Renamed | LinkChange::Moved if comes_back => {}
            _ => return None,
        }
        let (who, log, confidence) = if let Some(unit) = runtime::unit(task) {
            (
                sentence!("{} of {}", words::called_by(task), unit.clone()),
                sentence!("the log of {}", unit),
                Confidence::Certain,
            )
        } else {
            let (customer, itself) = customer(case, task)?;
            let who = if itself { "which" } else { "a program of the runtime that" };
            (
                sentence!(", {} had made it for {},", who, words::container(customer)),
                sentence!("its log"),
                Confidence::Likely,
            )
        };
        let (came_first, confidence) = if case.blind {
            ("whether that is due to the end of a main process is not known", Confidence::Likely)
        } else {
            ("no end of a main process came first", confidence)
        };
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{}{} {}{}, and {}; who asked the runtime for it is not seen",
                words::process_with_command(task),
                who,
                words::deed(case),
                words::age(case, task),
                came_first,
            ),
            remedy: Some(
                sentence!(
                    "See {} at this moment for who asked for it: a `network disconnect`, a CNI DEL, a pod's sandbox \
                     that is replaced",
                    log
                )
                .into(),
            ),
            confidence,
            culprit: Some(Culprit::new(task)),
        })
    },
};

/// The container for which a process made the link that it now takes away, and whether it was that process itself.
/// Outside any unit, that act shows that a process is a runtime, whatever its name is. Podman has no daemon, so each time
/// another process of its helper netavark does it.
fn customer<'a>(case: &'a Case, task: &Task) -> Option<(&'a Container, bool)> {
    let creator = case.life.creator.as_deref()?;
    let itself = creator.task.process == task.task.process;
    let same_program = || {
        [creator, task].into_iter().all(runtime::works_for_one)
            && party::program(creator).is_some()
            && party::program(creator) == party::program(task)
    };
    let own = case.actor_container.as_ref().map(|container| &container.id);
    let victim = case.victim.as_ref().filter(|victim| own != Some(&victim.id))?;
    (itself || same_program()).then_some((victim, itself))
}

#[cfg(test)]
mod tests {
    use crate::{
        fact::{Task, What},
        testing::story::{
            Story,
            cast::{link, of_unit, setup},
            in_cgroup, init, macvlan, netns, process, running, started,
        },
    };

    #[test]
    fn the_unit_of_a_runtime_is_evidence() {
        let (mut story, link) = link();
        let told = story.sets_down(&of_unit("containerd.service", 901), &link).tell();
        told.last().verdict("runtime-teardown", "certain");
    }

    #[test]
    fn what_a_container_does_to_its_own_link_is_not_its_runtimes_doing() {
        let below = [
            "systemd-nspawn@web.service/payload/system.slice",
            &format!("docker.service/{}", "a".repeat(64)),
        ];
        for path in below {
            let (inside, own) = (netns(1), macvlan("eth0", netns(1), 2));
            let networkd = in_cgroup(init("networkd", 812), &format!("/system.slice/{path}"));
            let mut story = Story::new();
            story.creates(&setup(), &own).found_in(inside, &networkd).sets_down(&networkd, &own);
            story.tell().last().verdict("direct", "certain").culprit(&networkd);
        }
    }

    #[test]
    fn a_runtime_that_acts_long_after_an_exit_acts_on_its_own() {
        let (init, inside) = (init("sh", 812), netns(1));
        let runtime = of_unit("containerd.service", 700);
        let link = macvlan("eth0", inside, 2);
        let mut story = Story::new();
        story.creates(&setup(), &link).wait_ms(3_000).exits(&init, inside, 3).wait_ms(600_000);
        story
            .deletes(&runtime, &link)
            .tell()
            .last()
            .verdict("runtime-teardown", "likely")
            .culprit(&runtime)
            .says("/verdict/cause", "whether that is due to the end of a main process is not known");
    }

    #[test]
    fn whether_a_main_process_had_ended_before_the_tracer_started_is_not_known() {
        let (link, runtime) = (macvlan("eth0", netns(1), 2), of_unit("containerd.service", 700));
        for found in [false, true] {
            let mut story = Story::new();
            story.stock(&link);
            if found {
                let main = in_cgroup(init("sh", 812), &format!("/docker/{}", "a".repeat(64)));
                story.found_in(netns(1), &main);
            }
            let told = story.deletes(&runtime, &link).tell();
            told.last().verdict("runtime-teardown", if found { "certain" } else { "likely" });
        }
    }

    #[test]
    fn who_made_a_link_for_a_container_and_takes_it_away_is_a_runtime_by_its_deeds() {
        let inside = netns(1);
        let main = in_cgroup(init("sh", 812), &format!("/docker/{}", "a".repeat(64)));
        let daemon = in_cgroup(running(process("anything", 700), "anything --daemon"), "/");
        let (outside, link) = (macvlan("veth1", netns(0), 7), macvlan("eth0", inside, 2));
        let back = macvlan("veth2", netns(0), 9).at(outside.link.dev.unwrap());
        for found in [true, false] {
            let mut story = Story::new();
            story.creates(&daemon, &outside);
            let moved = link.clone().at(outside.link.dev.unwrap());
            story.moves(&daemon, (netns(0), 7), &moved).sets_up(&daemon, &moved);
            if found {
                story.found_in(inside, &main);
            }
            story.wait_ms(3_000).sets_down(&daemon, &moved).moves(&daemon, (inside, 2), &back);
            let told = story.deletes(&daemon, &back).tell();
            if found {
                told.last().verdict("runtime-teardown", "likely").culprit(&daemon).says(
                    "/verdict/cause",
                    "which had made it for container aaaaaaaaaaaa, deleted eth0, by then called veth2, 3.0 s after it was \
                     created, and no end",
                );
                // Down, moved back to the host, deleted there: one rule an incident.
                for event in &told.events()[3..] {
                    event.is("/verdict/rule", "runtime-teardown");
                }
            } else {
                // For all that is known, it is its own; a program by a runtime's name gets the benefit of the doubt.
                told.last().verdict("self-inflicted", "certain");
            }
        }
    }

    #[test]
    fn a_sidecar_that_ends_is_not_the_container() {
        let (inside, id) = (netns(1), |digit: &str| digit.repeat(64));
        let of = |task: Task, id: String| in_cgroup(task, &format!("/system.slice/docker-{id}.scope"));
        let (main, sidecar) = (of(init("app", 812), id("a")), of(init("proxy", 830), id("b")));
        // As /proc has it, the main process started at a hundredth of a second.
        let found = started(main.clone(), 810_000_000);
        let runtime = of_unit("docker.service", 700);
        let link = macvlan("eth0", inside, 2);
        for (ending, rule) in [(&main, "container-exited"), (&sidecar, "runtime-teardown")] {
            let mut story = Story::new();
            story.creates(&setup(), &link).found_in(inside, &found).wait_ms(3_000).exits(ending, inside, 0);
            story.wait_ms(40).deletes(&runtime, &link).tell().last().is("/verdict/rule", rule);
        }
    }

    #[test]
    fn what_was_not_seen_is_not_ruled_out() {
        let runtime = of_unit("containerd.service", 700);
        for lost in [false, true] {
            let (mut story, link) = link();
            if lost {
                story.fact(What::Lost { records: 3 })
            } else {
                story.hooked(&["unregister"])
            };
            let told = story.deletes(&runtime, &link).tell();
            told.last()
                .verdict("runtime-teardown", "likely")
                .says("/verdict/cause", "whether that is due to the end of a main process is not known");
        }
    }

    #[test]
    fn a_container_that_has_no_pid_namespace_may_have_ended() {
        let (inside, runtime) = (netns(1), of_unit("containerd.service", 700));
        let link = macvlan("eth0", inside, 2);
        let main = in_cgroup(process("sh", 812), &format!("/docker/{}", "a".repeat(64)));
        for found in [true, false] {
            let mut story = Story::new();
            story.creates(&setup(), &link);
            if found {
                story.found_in(inside, &main);
            }
            story.wait_ms(3_000).exits(&main, inside, 3).wait_ms(100).deletes(&runtime, &link);
            let told = story.tell();
            if found {
                told.last().verdict("container-exited", "likely").culprit(&main);
            } else {
                told.last().verdict("runtime-teardown", "likely").culprit(&runtime);
            }
        }
    }
}
