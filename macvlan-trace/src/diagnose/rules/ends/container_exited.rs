//! The main process ended by itself, and the namespace with it.

use std::rc::Rc;

use crate::{
    correlate::{Case, Ended},
    diagnose::{Culprit, Rule, Verdict, confidence_of, ends, exit_behind, words},
    event::Confidence,
    fact::ExitStatus,
    sentence::{Sentence, sentence},
};

/// What to do if nothing went wrong.
const STAYS: &str =
    "Give the container a main process that stays, for example `exec sleep infinity` as its last command";

/// The rule.
pub const RULE: Rule = Rule {
    name: "container-exited",
    page: include_str!("../../pages/container-exited.md"),
    judge: |case| {
        let ended = exit_behind(case)?;
        if ends::was_never_started(ended) {
            return Some(never_started(case, ended));
        }
        // A process that exits with code 0 has finished its work.
        let remedy = if ended.status == ExitStatus::Code(0) {
            STAYS.into()
        } else if ended.powered_off {
            "Find out what in the container called `poweroff`, `halt` or `reboot`".into()
        } else {
            words::see_what_it_said(case, "Find out why it failed").into()
        };
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{} {}{}; {}{}",
                words::ended_process(case, ended).capital(),
                words::how_it_ended(ended),
                words::after_up(case, ended.at),
                words::fate(case),
                words::unanswered(ended),
            ),
            remedy: Some(remedy),
            confidence: confidence_of(case, ended),
            culprit: Some(Culprit::ended(ended)),
        })
    },
};

/// The runtime's init failed before it became the container's command.
fn never_started(case: &Case, ended: &Rc<Ended>) -> Verdict {
    let of: Sentence =
        case.ended_in.as_ref().map_or_else(|| "the container".into(), |own| words::container(own).into());
    Verdict {
        rule: RULE.name,
        cause: sentence!(
            "The command of {} could not be started: its runtime's init {} {} before it became the command{}; {}",
            of,
            words::process(&ended.task),
            words::how_it_ended(ended),
            words::after_up(case, ended.at),
            words::fate(case),
        ),
        remedy: Some(
            words::see_why_not_started(case, "Check the command, and whether its image has that program")
                .into(),
        ),
        // A command may give itself such arguments.
        confidence: Confidence::Likely,
        culprit: Some(Culprit::ended(ended)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        fact::What,
        testing::story::{
            Story,
            cast::{Container, container, container_of, dockerd, ip, of_unit, setup},
            child_of, in_cgroup, init, macvlan, netns, path, process, running, swapper,
        },
    };

    #[test]
    fn a_main_process_that_exits_is_the_culprit() {
        for code in [0, 3] {
            let Container { mut story, init, netns, link } = container();
            story.exits(&init, netns, code).drops(&init, netns, path::EXIT).is_torn_down(&link);
            let cause = format!(
                "The main process sh (PID 812) exited with code {code}, 3.2 s after macvlan0 came up; the network \
                 namespace ended with it, and macvlan0 with that."
            );
            story
                .tell()
                .last()
                .is("/event", "deleted")
                .is("/actor/comm", "kworker/u8:2")
                .verdict("container-exited", "certain")
                .culprit(&init)
                .is(
                    "/culprit/exit",
                    json!({"code": code, "signal": null, "core_dumped": false, "sender": null}),
                )
                .is("/victim/init/pid", 812)
                .is("/verdict/cause", cause)
                .steps(&["exit", "netns_end", "deleted"]);
        }
    }

    #[test]
    fn a_crash_is_the_processs_own_fault() {
        let Container { mut story, init, netns, link } = container();
        story.dies(&init, netns, 11).drops(&init, netns, path::EXIT).is_torn_down(&link);
        story
            .tell()
            .last()
            .verdict("container-exited", "certain")
            .culprit(&init)
            .is("/culprit/exit/signal", 11)
            .is("/verdict/remedy", "Find out why it failed.")
            .says("/verdict/cause", "was ended by SIGSEGV, 3.2 s after");
    }

    #[test]
    fn a_container_that_is_powered_off_from_inside_has_ended_by_itself() {
        // `poweroff` in a shell of an LXC container; the same after its monitor has asked for it, as `lxc-stop` does.
        let monitor = of_unit("lxc@web.service", 790);
        for (asked, rule, culprit) in
            [(false, "container-exited", init("init", 812)), (true, "container-stopped", monitor.clone())]
        {
            let Container { mut story, init, netns, link } = container_of(init("init", 812));
            if asked {
                story.sends(&monitor, 30, &init, netns).wait_ms(1_000);
            }
            story.is_powered_off(&init, netns).drops(&init, netns, path::EXIT).is_torn_down(&link);
            story
                .tell()
                .last()
                .verdict(rule, if asked { "likely" } else { "certain" })
                .culprit(&culprit)
                .is("/victim/init/exit/signal", 9)
                .says("/verdict/cause", "was powered off from inside");
        }
    }

    #[test]
    fn a_main_process_that_fails_is_told_with_where_it_said_why() {
        let id = "a".repeat(64);
        let stays = "a main process that stays, for example `exec sleep infinity`";
        for (cgroup, code, remedy) in [
            (format!("/system.slice/docker-{id}.scope"), 0, stays.to_owned()),
            (
                format!("/system.slice/docker-{id}.scope"),
                1,
                format!("Find out why it failed: see `docker logs {id}`."),
            ),
            (format!("/machine.slice/libpod-{id}.scope"), 1, format!("see `podman logs {id}`.")),
            ("/machine.slice/machine-web.scope/payload".to_owned(), 1, "Find out why it failed.".to_owned()),
        ] {
            let main = in_cgroup(init("sh", 812), &cgroup);
            let Container { mut story, netns, link, .. } = container_of(main.clone());
            story.exits(&main, netns, code).drops(&main, netns, path::EXIT).is_torn_down(&link);
            story.tell().last().verdict("container-exited", "certain").says("/verdict/remedy", &remedy);
        }
    }

    #[test]
    fn a_command_that_could_not_be_started_is_told_by_the_arguments_of_the_runtimes_init() {
        let id = "a".repeat(64);
        let group = format!("/system.slice/docker-{id}.scope");
        for (comm, args, code, never) in [
            ("runc:[2:INIT]", "runc init", 1, true),
            ("3", "/usr/bin/crun --systemd-cgroup create --bundle /run/b web", 1, true),
            // It is called so, and had become something else; the other did what it was for.
            ("runc:[2:INIT]", "sh -c false", 1, false),
            ("runc:[2:INIT]", "runc init", 0, false),
            ("runc", "runc list", 1, false),
        ] {
            let main = in_cgroup(running(init(comm, 812), args), &group);
            let Container { mut story, netns, link, .. } = container_of(main.clone());
            story.exits(&main, netns, code).drops(&main, netns, path::EXIT).is_torn_down(&link);
            let told = story.tell();
            let event = told.last().is("/verdict/rule", "container-exited").culprit(&main);
            if never {
                let cause = format!(
                    "The command of container {} could not be started: its runtime's init {comm} (PID 812) exited \
                     with code 1 before it became the command",
                    &id[..12]
                );
                event
                    .verdict("container-exited", "likely")
                    .says("/verdict/cause", &cause)
                    .says("/verdict/remedy", &format!("see `docker inspect -f '{{{{.State.Error}}}}' {id}`"));
            } else {
                event.says("/verdict/cause", "The main process");
            }
        }
    }

    #[test]
    fn a_core_that_was_dumped_is_told() {
        let Container { mut story, init, netns, link } = container();
        story.dumps_core(&init, netns, 11).drops(&init, netns, path::EXIT).is_torn_down(&link);
        story
            .tell()
            .last()
            .verdict("container-exited", "certain")
            .is("/culprit/exit", json!({"code": null, "signal": 11, "core_dumped": true, "sender": null}))
            .is("/verdict/evidence/0/detail", "signal 11, core dumped")
            .says("/verdict/cause", "sh (PID 812) was ended by SIGSEGV and dumped its core, 3.2 s after");
    }

    #[test]
    fn without_a_pid_namespace_the_last_process_is_the_culprit() {
        let shell = process("sh", 815);
        let Container { mut story, netns, link, .. } = container_of(shell.clone());
        story.exits(&process("sleep", 816), netns, 0).wait_ms(10).exits(&shell, netns, 7);
        story.drops(&shell, netns, path::EXIT).is_torn_down(&link);
        story
            .tell()
            .last()
            .verdict("container-exited", "certain")
            .culprit(&shell)
            .says("/verdict/cause", "The last process sh (PID 815) exited with code 7");
    }

    #[test]
    fn without_a_pid_namespace_a_deferred_end_is_likely_the_last_processs() {
        let shell = process("sh", 815);
        let Container { mut story, netns, link, .. } = container_of(shell.clone());
        story.exits(&shell, netns, 7).wait_ms(60).drops(&swapper(), netns, path::SOFTIRQ).is_torn_down(&link);
        story.tell().last().verdict("container-exited", "likely").culprit(&shell);
    }

    #[test]
    fn a_descriptor_that_outlives_the_last_resident_only_puts_the_end_off() {
        let holder = process("holder", 940);
        for (resident, confidence) in [(init("sh", 812), "certain"), (process("sh", 815), "likely")] {
            let Container { mut story, netns, link, .. } = container_of(resident.clone());
            story
                .exits(&resident, netns, 3)
                .wait_ms(5_000)
                .drops(&holder, netns, path::CLOSE)
                .is_torn_down(&link);
            story
                .tell()
                .last()
                .verdict("container-exited", confidence)
                .culprit(&resident)
                .steps(&["exit", "close", "deleted"])
                .is("/verdict/evidence/1/task/comm", "holder");
        }
    }

    #[test]
    fn an_unmount_after_the_main_process_ended_is_cleaning_up_and_that_is_likely() {
        let Container { mut story, init, netns, link } = container();
        story.exits(&init, netns, 0).wait_ms(200).drops(&dockerd(), netns, path::UNMOUNT).is_torn_down(&link);
        let told = story.tell();
        told.last()
            .verdict("container-exited", "likely")
            .culprit(&init)
            .steps(&["exit", "unmount", "deleted"])
            .is("/verdict/evidence/1/task/comm", "dockerd");
    }

    #[test]
    fn what_a_runtime_clears_away_after_an_exit_is_the_exits() {
        let (init, inside) = (init("sh", 812), netns(1));
        let runtime = of_unit("docker.service", 700);
        let link = macvlan("eth0", inside, 2);
        let renamed = link.clone().called("veth12ab");
        let back = renamed.clone().moved_to(netns(0), 9);
        let mut story = Story::new();
        story
            .creates(&runtime, &link)
            .sets_up(&init, &link)
            .wait_ms(3_000)
            .exits(&init, inside, 3)
            .wait_ms(40);
        story.sets_down(&runtime, &link).renames(&runtime, &renamed).moves(&runtime, (inside, 2), &back);
        let told = story.deletes(&runtime, &back).tell();
        let incidents = told.incidents();
        assert!(incidents[2..].iter().all(|number| *number == incidents[2]), "{told}");
        for event in &told.events()[2..] {
            event
                .verdict("container-exited", "likely")
                .is("/culprit/pid", 812)
                .is("/actor/pid", 700)
                .is("/victim/init/exit/code", 3);
        }
    }

    #[test]
    fn a_cni_plugin_that_clears_away_after_a_dead_container_is_not_the_cause() {
        let pod = netns(1);
        let link = macvlan("eth0", pod, 7);
        let main = init("app", 700);
        let mut story = Story::new();
        story.creates(&setup(), &link).sets_up(&setup(), &link).wait_ms(10);
        story.exits(&main, pod, 3).wait_ms(500);
        let plugin = child_of(running(process("macvlan", 901), "/usr/lib/cni/macvlan"), &process("sh", 900));
        let told = story.deletes(&plugin, &link).tell();
        told.last()
            .verdict("container-exited", "likely")
            .culprit(&main)
            .says("/verdict/cause", "macvlan (PID 901) then cleared eth0 away");
    }

    #[test]
    fn a_deletion_by_a_stranger_after_an_exit_is_the_strangers() {
        let (init, inside) = (init("sh", 812), netns(1));
        let link = macvlan("eth0", inside, 2);
        let by = ip("ip -n x link del eth0");
        let mut story = Story::new();
        story.creates(&setup(), &link).wait_ms(3_000).exits(&init, inside, 3).wait_ms(40);
        story.deletes(&by, &link).tell().last().verdict("direct", "certain").culprit(&by);
    }

    #[test]
    fn a_signal_that_no_hook_saw_is_not_ruled_out() {
        for lost in [false, true] {
            let Container { mut story, init, netns, link } = container();
            if lost {
                story.fact(What::Lost { records: 3 })
            } else {
                story.hooked(&["do_exit"])
            };
            story.exits(&init, netns, 0).drops(&init, netns, path::EXIT).is_torn_down(&link);
            story.tell().last().verdict("container-exited", "likely").culprit(&init);
        }
    }
}
