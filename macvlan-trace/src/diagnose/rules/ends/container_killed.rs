//! A signal from outside ended the main process.

use macvlan_trace_common::signal::{SIGHUP, SIGKILL};

use crate::{
    correlate::{Case, Ended, Terminal},
    diagnose::{Culprit, Rule, Verdict, confidence_of, ended_by, ends, exit_behind, is_own_fault, words},
    event::Confidence,
    kernel::names,
    sentence::{Part, sentence},
    work::{manager, runtime},
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "container-killed",
    page: include_str!("../../pages/container-killed.md"),
    judge: |case| {
        let ended = exit_behind(case).filter(|ended| !ended.powered_off)?;
        let number = ended_by(ended.status)?;
        let (victim, signal) = (words::ended_process(case, ended), names::signal(u32::from(number)));
        let sender = ended.kill.as_ref().filter(|kill| kill.fatal).map(|kill| kill.sender.as_ref());
        let find_out = |what| words::find_out_who(case, what);
        let (cause, culprit, confidence, remedy) = match sender {
            Some(Some(sender)) => {
                match ends::unit_of_managers(&ended.task, sender) {
                    // It may have stopped the unit, or somebody may have asked it for this signal.
                    Some(unit) => (
                        sentence!(
                            "{} sent {} to {} of the unit {}",
                            words::process(sender),
                            signal,
                            victim,
                            unit.clone()
                        ),
                        Some(Culprit::new(sender)),
                        Confidence::Likely,
                        sentence!(
                            "Find out why the unit was ended: {}",
                            words::see_unit(&unit, manager::of_user(sender).is_some())
                        ),
                    ),
                    None => (
                        sentence!("{} sent {} to {}", words::sender(sender), signal, victim),
                        Some(Culprit::new(sender)),
                        confidence_of(case, ended),
                        find_out(if runtime::serves_clients(sender) {
                            "Find out who asked the runtime to end the container"
                        } else {
                            "Find out why the culprit ends the container"
                        }),
                    ),
                }
            }
            // When an init ends, the kernel kills all others in its pid namespace and in those inside it
            // (zap_pid_ns_processes). This case does not show who ended the outer one.
            Some(None) if u32::from(number) == SIGKILL && ended.task.task.pidns_level > 1 => (
                sentence!(
                    "The kernel sent {} to {}, as it does when the container around it ends",
                    signal,
                    victim
                ),
                None,
                Confidence::Likely,
                "Find out who or what ended the container around it".into(),
            ),
            Some(None) if terminal_of(ended).is_some() => return lost_terminal(case, ended),
            Some(None) => (
                sentence!("The kernel sent {} to {}", signal, victim),
                Some(Culprit::ended(ended)),
                Confidence::Likely,
                "Find out why the kernel did that: see `journalctl -k`".into(),
            ),
            // The process's own fault: that is an exit, not a kill.
            None if is_own_fault(number) => return None,
            None => (
                sentence!("{} ended {}; who sent it was not seen", signal, victim),
                None,
                Confidence::Unknown,
                find_out("Find out who ended it"),
            ),
        };
        let core = if ended.core_dumped { ", which dumped its core" } else { "" };
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{}{}{}; {}{}",
                cause,
                core,
                words::after_up(case, ended.at),
                words::fate(case),
                sender.flatten().map(|sender| words::client_unseen(sender)),
            ),
            remedy: Some(remedy.into()),
            confidence,
            culprit,
        })
    },
};

/// The terminal for which the kernel sent the signal that ended a process.
fn terminal_of(ended: &Ended) -> Option<&Terminal> {
    ended.kill.as_ref()?.terminal.as_ref()
}

/// Its terminal was closed, or somebody typed Ctrl-C or Ctrl-\ into it.
fn lost_terminal(case: &Case, ended: &Ended) -> Option<Verdict> {
    let (kill, terminal) = (ended.kill.as_ref()?, terminal_of(ended)?);
    let (victim, signal) = (words::ended_process(case, ended), names::signal(kill.number));
    let which = match &ended.task.tty {
        Some(tty) => sentence!("the terminal {} of {}", Part::name(tty), victim),
        None => sentence!("the terminal of {}", victim),
    };
    let killed = terminal.killed_by.as_ref();
    let killed = killed.map(|killer| sentence!(", killed by {},", words::sender(killer)));
    let what = match (&terminal.by, kill.number) {
        (Some(by), SIGHUP) => {
            sentence!("{}{} let go of {}", words::process_with_command(by), killed, which)
        }
        (None, SIGHUP) => sentence!("{} was closed, by whom was not seen", which).capital(),
        (Some(by), _) => {
            sentence!("{} had {} sent through {}", words::process_with_command(by), signal.clone(), which)
        }
        (None, 3) => sentence!("Somebody typed Ctrl-\\ into {}", which),
        (None, _) => sentence!("Somebody typed Ctrl-C into {}", which),
    };
    let core = if ended.core_dumped { ", which dumped its core" } else { "" };
    Some(Verdict {
        rule: RULE.name,
        cause: sentence!(
            "{}, for which the kernel sent it {}{}{}; {}",
            what,
            signal,
            core,
            words::after_up(case, ended.at),
            words::fate(case),
        ),
        remedy: Some(
            "Start it where no terminal ends it: with `systemd-run`, with `setsid`, or in `tmux`".into(),
        ),
        // A process group that is left stopped without a parent gets SIGHUP, too.
        confidence: Confidence::Likely,
        culprit: terminal.killed_by.as_ref().or(terminal.by.as_ref()).map(Culprit::new),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::story::{
        cast::{Container, container, container_of, kill, of_unit},
        child_of, in_cgroup, init, inside, path, process, running,
    };

    #[test]
    fn a_terminal_that_is_closed_or_typed_into_is_told_and_not_the_kernel() {
        let script = running(process("script", 805), "script -qfc unshare -n sleep 600");
        let main = process("sleep", 812);
        for (by, number, culprit, cause) in [
            (
                Some(&script),
                1,
                Some(&script),
                "script (PID 805: script -qfc unshare -n sleep 600) let go of the terminal of the last process sleep",
            ),
            (
                None,
                1,
                None,
                "The terminal of the last process sleep (PID 812) was closed, by whom was not seen",
            ),
            (None, 2, None, "Somebody typed Ctrl-C into the terminal of the last process sleep (PID 812)"),
            (None, 3, None, "Somebody typed Ctrl-\\ into the terminal of the last process sleep (PID 812)"),
        ] {
            let Container { mut story, netns, link, .. } = container_of(main.clone());
            match by {
                Some(by) => story.hangs_up(by, number, &main, netns),
                None => story.kernel_sends(number, &main, netns),
            };
            story.dies(&main, netns, u8::try_from(number).unwrap());
            story.drops(&main, netns, path::EXIT).is_torn_down(&link);
            let told = story.tell();
            let event = told
                .last()
                .verdict("container-killed", "likely")
                .says("/verdict/cause", cause)
                .says("/verdict/remedy", "`systemd-run`");
            match culprit {
                Some(culprit) => event.culprit(culprit),
                None => event.nobody(),
            };
        }
    }

    #[test]
    fn who_killed_the_process_that_had_the_terminal_is_the_culprit_where_that_is_seen() {
        let (script, main) = (process("script", 805), process("sleep", 812));
        let Container { mut story, netns, link, .. } = container_of(main.clone());
        story.sends(&kill(), 9, &script, netns).dies(&script, netns, 9).hangs_up(&script, 1, &main, netns);
        story.dies(&main, netns, 1).drops(&main, netns, path::EXIT).is_torn_down(&link);
        story.tell().last().verdict("container-killed", "likely").culprit(&kill()).says(
            "/verdict/cause",
            "script (PID 805), killed by kill (PID 900: kill -9 812), let go of the terminal",
        );
    }

    #[test]
    fn a_hangup_that_a_process_sends_is_no_terminals() {
        let Container { mut story, netns, link, init } = container();
        story.sends(&kill(), 1, &init, netns).dies(&init, netns, 1);
        story.drops(&init, netns, path::EXIT).is_torn_down(&link);
        story.tell().last().verdict("container-killed", "certain").culprit(&kill());
    }

    #[test]
    fn who_kills_the_main_process_is_the_culprit() {
        let Container { mut story, init, netns, link } = container();
        story.sends(&kill(), 9, &init, netns).dies(&init, netns, 9);
        story.drops(&init, netns, path::EXIT).is_torn_down(&link);
        story
            .tell()
            .last()
            .verdict("container-killed", "certain")
            .culprit(&kill())
            .is("/culprit/exit", Value::Null)
            .is("/victim/init/pid", 812)
            .is("/victim/init/exit/signal", 9)
            .is("/victim/init/exit/sender/pid", 900)
            .says(
                "/verdict/cause",
                "kill (PID 900: kill -9 812) sent SIGKILL to the main process sh (PID 812)",
            )
            .steps(&["signal", "exit", "netns_end", "deleted"]);
    }

    #[test]
    fn who_kills_the_last_process_is_the_culprit() {
        let shell = process("sh", 815);
        let Container { mut story, netns, link, .. } = container_of(shell.clone());
        story.sends(&kill(), 9, &shell, netns).dies(&shell, netns, 9);
        story.drops(&shell, netns, path::EXIT).is_torn_down(&link);
        story
            .tell()
            .last()
            .verdict("container-killed", "certain")
            .culprit(&kill())
            .is("/victim/init/exit/signal", 9);
    }

    #[test]
    fn a_stop_that_has_to_use_force_is_the_one_who_uses_it() {
        let shim = process("containerd-shim", 750);
        let Container { mut story, init, netns, link } = container_of(child_of(init("sh", 812), &shim));
        story
            .sends(&shim, 15, &init, netns)
            .wait_ms(10_000)
            .sends(&kill(), 9, &init, netns)
            .dies(&init, netns, 9);
        story.drops(&init, netns, path::EXIT).is_torn_down(&link);
        story.tell().last().verdict("container-killed", "certain").culprit(&kill());
    }

    #[test]
    fn an_agent_in_a_container_kills_on_its_own_account() {
        let Container { mut story, init, netns, link } = container();
        let group = format!("/system.slice/docker-{}.scope", "c".repeat(64));
        let agent = in_cgroup(
            child_of(running(process("agent", 901), "agent --kill"), &process("containerd-shim", 790)),
            &group,
        );
        story
            .sends_in_vain(&agent, 15, &init, netns)
            .wait_ms(100)
            .sends(&agent, 9, &init, netns)
            .dies(&init, netns, 9);
        story.drops(&init, netns, path::EXIT).is_torn_down(&link);
        story
            .tell()
            .last()
            .verdict("container-killed", "certain")
            .culprit(&agent)
            .says("/verdict/cause", "agent --kill");
    }

    #[test]
    fn who_asked_a_monitor_to_kill_its_container_is_not_seen() {
        // `lxc-stop --kill` asks it through a socket. The agent of an unrelated name acts on its own account, and so does
        // who takes the monitor's name inside a container.
        let monitor = running(process("lxc-start", 790), "[lxc monitor] /var/lib/lxc web");
        let imposter = in_cgroup(monitor.clone(), &format!("/docker/{}", "c".repeat(64)));
        for (killer, asked) in [(&monitor, true), (&process("agent", 790), false), (&imposter, false)] {
            let main = child_of(init("init", 812), killer);
            let Container { mut story, netns, link, .. } = container_of(main.clone());
            story.sends(killer, 9, &main, netns).dies(&main, netns, 9);
            story.drops(&main, netns, path::EXIT).is_torn_down(&link);
            let told = story.tell();
            let event = told.last().verdict("container-killed", "certain").culprit(killer);
            let unseen = "; who asked the runtime for it is not seen.";
            let cause = event.record["verdict"]["cause"].as_str().unwrap();
            assert_eq!(cause.ends_with(unseen), asked, "{told}");
            event.is(
                "/verdict/remedy",
                if asked {
                    "Find out who asked the runtime to end the container."
                } else {
                    "Find out why the culprit ends the container."
                },
            );
        }
    }

    #[test]
    fn a_core_that_was_dumped_after_other_threads_ended_is_told() {
        // Where one of several threads crashes, the others end before it has dumped the core.
        let Container { mut story, init, netns, link } = container();
        story.sends(&kill(), 6, &init, netns).dies(&init, netns, 6).wait_ms(400).dumps_core(&init, netns, 6);
        story.drops(&init, netns, path::EXIT).is_torn_down(&link);
        story
            .tell()
            .last()
            .verdict("container-killed", "certain")
            .culprit(&kill())
            .is("/victim/init/exit/core_dumped", true)
            .says("/verdict/cause", "sent SIGABRT to the main process sh (PID 812), which dumped its core")
            .steps(&["signal", "exit", "netns_end", "deleted"]);
    }

    #[test]
    fn what_the_kernel_kills_is_its_own_culprit_and_that_is_likely() {
        let Container { mut story, init, netns, link } = container();
        story.kernel_sends(9, &init, netns).dies(&init, netns, 9);
        story.drops(&init, netns, path::EXIT).is_torn_down(&link);
        story
            .tell()
            .last()
            .verdict("container-killed", "likely")
            .culprit(&init)
            .is("/culprit/exit", json!({"code": null, "signal": 9, "core_dumped": false, "sender": null}))
            .says("/verdict/cause", "The kernel sent SIGKILL to the main process sh (PID 812)")
            .is("/verdict/remedy", "Find out why the kernel did that: see `journalctl -k`.")
            .steps(&["signal", "exit", "netns_end", "deleted"]);
    }

    #[test]
    fn a_killer_that_was_not_seen_is_not_guessed() {
        let Container { mut story, init, netns, link } = container();
        // One was seen that sent something else.
        story.sends(&kill(), 15, &init, netns).dies(&init, netns, 9);
        story.drops(&init, netns, path::EXIT).is_torn_down(&link);
        story
            .tell()
            .last()
            .verdict("container-killed", "unknown")
            .nobody()
            .is("/victim/init/pid", 812)
            .says("/verdict/cause", "SIGKILL ended the main process sh (PID 812); who sent it was not seen");
    }

    #[test]
    fn a_sidecar_that_ends_with_a_container_is_not_the_one_that_lost_its_link() {
        let id = |digit: &str| digit.repeat(64);
        let of = |task, digit| in_cgroup(task, &format!("/docker/{}", id(digit)));
        let (web, sidecar) = (of(init("web", 812), "a"), of(init("sidecar", 830), "b"));
        let Container { mut story, netns, link, .. } = container_of(web.clone());
        story.found_in(netns, &web).sends(&kill(), 9, &web, netns).dies(&web, netns, 9).wait_ms(20);
        story.sends(&kill(), 15, &sidecar, netns).exits(&sidecar, netns, 0).wait_ms(100);
        story
            .deletes(&of_unit("docker.service", 701), &link)
            .tell()
            .last()
            .verdict("container-killed", "likely")
            .culprit(&kill())
            .is("/victim/init/pid", 812)
            .is("/victim/container/id", id("a"));
    }

    #[test]
    fn a_container_inside_another_one_that_ends_does_not_kill_itself() {
        let inner = inside(process("pause", 850), 850, 2, 1);
        let Container { mut story, netns, link, .. } = container_of(inner.clone());
        story.kernel_sends(9, &inner, netns).dies(&inner, netns, 9);
        story.drops(&inner, netns, path::EXIT).is_torn_down(&link);
        story
            .tell()
            .last()
            .verdict("container-killed", "likely")
            .nobody()
            .says("/verdict/cause", "as it does when the container around it ends")
            .is("/verdict/remedy", "Find out who or what ended the container around it.");
    }
}
