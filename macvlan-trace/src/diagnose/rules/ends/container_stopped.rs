//! The main process was asked to end, and did so by itself, or was killed by the runtime that had asked.

use crate::{
    correlate::{Case, Ended, Kill},
    diagnose::{
        Culprit, Rule, Verdict,
        ends::{self, UnitStop},
        exit_behind, words,
    },
    event::Confidence,
    kernel::names,
    sentence::{Sentence, sentence},
    work::{manager, runtime},
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "container-stopped",
    page: include_str!("../../pages/container-stopped.md"),
    judge: |case| {
        let ended = exit_behind(case)?;
        if let Some(stop) = ends::stop_of_unit(ended) {
            return stopped_unit(case, ended, &stop);
        }
        let asked = if ends::is_by_itself(ended) {
            ended.kill.as_ref()
        } else {
            ended.asked.as_ref().or_else(|| stop_of_pod(case, ended))
        }?;
        let sender = asked.sender.as_ref()?;
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{} sent {} to {}, {}{}; {}{}",
                words::sender(sender),
                names::signal(asked.number),
                words::ended_process(case, ended),
                how_it_went(ended, asked),
                words::after_up(case, ended.at),
                words::fate(case),
                words::client_unseen(sender),
            ),
            remedy: Some(
                words::find_out_who(
                    case,
                    "Nothing, if the stop was wanted; otherwise find out who asked for it",
                )
                .into(),
            ),
            // The tracer cannot see that it exited because of the signal.
            confidence: Confidence::Likely,
            culprit: Some(Culprit::new(sender)),
        })
    },
};

/// A service manager stopped the unit that the process belonged to.
fn stopped_unit(case: &Case, ended: &Ended, stop: &UnitStop) -> Option<Verdict> {
    let sender = stop.asked.sender.as_ref()?;
    Some(Verdict {
        rule: RULE.name,
        cause: sentence!(
            "{} stopped the unit {}: it sent {} to {}, {}{}; {}; who asked it for that is not seen",
            words::process(sender),
            stop.unit.clone(),
            names::signal(stop.asked.number),
            words::ended_process(case, ended),
            how_it_went(ended, stop.asked),
            words::after_up(case, ended.at),
            words::fate(case),
        ),
        remedy: Some(
            sentence!(
                "Nothing, if the stop was wanted; otherwise {}",
                words::see_unit(&stop.unit, manager::of_user(sender).is_some())
            )
            .into(),
        ),
        // The same signal may have been sent for another reason (`systemctl kill`).
        confidence: Confidence::Likely,
        culprit: Some(Culprit::new(sender)),
    })
}

/// What came of a request to end: "which exited with code 0 900 ms later", "and SIGKILL 10.0 s later".
pub fn how_it_went(ended: &Ended, asked: &Kill) -> Sentence {
    let waited = words::duration(asked.at, ended.at);
    let Some(kill) = ended.kill.as_ref().filter(|kill| !ends::is_by_itself(ended) && kill.at != asked.at)
    else {
        return sentence!("which {} {} later", words::how_it_ended(ended), waited);
    };
    let signal = names::signal(kill.number);
    let other = kill.sender.as_ref().filter(|by| {
        asked.sender.as_ref().is_none_or(|asker| asker.task.process != by.task.process)
            && !runtime::is_sent_by_one(by)
    });
    match other {
        Some(other) => sentence!(
            "and {}, which watches over it, sent {} {} later, for whoever asked it through its socket, which is not seen",
            words::process(other),
            signal,
            waited
        ),
        None => sentence!("and {} {} later", signal, waited),
    }
}

/// A runtime's SIGKILL to the process that only holds a pod's namespaces. The runtime never asks that process to end
/// (containerd's `StopPodSandbox`): it has asked the pod's own containers before.
fn stop_of_pod<'a>(case: &Case, ended: &'a Ended) -> Option<&'a Kill> {
    let container = case.ended_in.as_ref()?;
    let holds_a_pod =
        container.name.is_none() && container.pod.as_ref().is_some_and(|pod| pod.name.is_some());
    let kill = ended.kill.as_ref().filter(|kill| holds_a_pod && kill.fatal)?;
    kill.sender.as_deref().is_some_and(runtime::is_sent_by_one).then_some(kill)
}

#[cfg(test)]
mod tests {
    use crate::{
        fact::{self, Pod, What},
        testing::story::{
            cast::{Container, container, container_of, dockerd, kill, runc, systemd},
            child_of, in_cgroup, init, path, process, running,
        },
    };

    #[test]
    fn who_asks_the_main_process_to_end_is_the_likely_culprit() {
        for wait in [1, 30_000] {
            let Container { mut story, init, netns, link } = container();
            story.sends(&dockerd(), 15, &init, netns).wait_ms(wait).exits(&init, netns, 0);
            story.drops(&init, netns, path::EXIT).is_torn_down(&link);
            story
                .tell()
                .last()
                .verdict("container-stopped", "likely")
                .culprit(&dockerd())
                .is("/victim/init/exit/code", 0)
                .is("/victim/init/exit/sender/comm", "dockerd")
                .says(
                    "/verdict/cause",
                    "sent SIGTERM to the main process sh (PID 812), which exited with code 0",
                )
                .steps(&["signal", "exit", "netns_end", "deleted"]);
        }
    }

    #[test]
    fn who_stops_a_container_is_the_culprit_and_not_who_cleans_up_behind_it() {
        let shim = process("containerd-shim", 750);
        let Container { mut story, init, netns, link } = container_of(child_of(init("sh", 812), &shim));
        story.sends(&kill(), 15, &init, netns).wait_ms(900).exits(&init, netns, 143).exits(&shim, netns, 0);
        story.drops(&dockerd(), netns, path::UNMOUNT).is_torn_down(&link);
        story
            .tell()
            .last()
            .verdict("container-stopped", "likely")
            .culprit(&kill())
            .steps(&["signal", "exit", "unmount", "deleted"]);
    }

    #[test]
    fn a_runtime_that_kills_what_does_not_heed_its_request_has_stopped_it() {
        for (asks, waited, rule) in [
            (runc(), 40_000, "container-stopped"),
            (kill(), 10_000, "container-killed"),
            (runc(), 900_000, "container-killed"),
        ] {
            let Container { mut story, init, netns, link } = container();
            story
                .sends_in_vain(&asks, 15, &init, netns)
                .wait_ms(waited)
                .sends(&runc(), 9, &init, netns)
                .dies(&init, netns, 9);
            story.drops(&init, netns, path::EXIT).is_torn_down(&link);
            let told = story.tell();
            told.last()
                .is("/verdict/rule", rule)
                .culprit(&runc())
                .says("/verdict/cause", "who asked the runtime for it is not seen");
            if rule == "container-stopped" {
                told.last()
                    .verdict("container-stopped", "likely")
                    .says(
                        "/verdict/cause",
                        "runc (PID 791), called by containerd-shim (PID 790), sent SIGTERM to the main process \
                         sh (PID 812), and SIGKILL 40.0 s later",
                    )
                    .steps(&["signal", "signal", "exit", "netns_end", "deleted"]);
            }
        }
    }

    #[test]
    fn a_runtimes_request_that_ends_a_process_by_itself_is_a_stop() {
        let Container { mut story, netns, link, .. } = container();
        let resident = process("nginx", 830);
        story.sends(&runc(), 15, &resident, netns).dies(&resident, netns, 15);
        story.drops(&resident, netns, path::EXIT).is_torn_down(&link);
        story
            .tell()
            .last()
            .verdict("container-stopped", "likely")
            .culprit(&runc())
            .says("/verdict/cause", "which was ended by SIGTERM 1 ms later")
            .steps(&["signal", "exit", "netns_end", "deleted"]);
    }

    #[test]
    fn what_a_monitor_kills_after_another_program_asked_has_been_stopped() {
        // `lxc-stop` sends SIGPWR itself, and asks the container's monitor through its socket for the rest.
        let monitor = running(process("lxc-start", 790), "[lxc monitor] /var/lib/lxc web");
        let lxc_stop = running(process("lxc-stop", 905), "lxc-stop -t 2 -n web");
        for (asker, killer, rule) in [
            (Some(&lxc_stop), &monitor, "container-stopped"),
            (None, &monitor, "container-killed"),
            // A person asked, or a person killed.
            (Some(&kill()), &monitor, "container-killed"),
            (Some(&lxc_stop), &kill(), "container-killed"),
        ] {
            let main = child_of(init("init", 812), &monitor);
            let Container { mut story, netns, link, .. } = container_of(main.clone());
            if let Some(asker) = asker {
                story.sends_in_vain(asker, 30, &main, netns);
            }
            story.wait_ms(2_000).sends(killer, 9, &main, netns).dies(&main, netns, 9);
            story.drops(&main, netns, path::EXIT).is_torn_down(&link);
            let told = story.tell();
            let event = told.last().is("/verdict/rule", rule);
            if rule == "container-stopped" {
                event.culprit(&lxc_stop).steps(&["signal", "signal", "exit", "netns_end", "deleted"]).says(
                    "/verdict/cause",
                    "lxc-stop (PID 905: lxc-stop -t 2 -n web) sent SIGPWR to the main process init (PID 812), and \
                     lxc-start (PID 790), which watches over it, sent SIGKILL 2.0 s later, for whoever asked it \
                     through its socket, which is not seen",
                );
            } else {
                event.culprit(killer);
            }
        }
    }

    #[test]
    fn a_unit_that_systemd_stops_is_told_with_its_name() {
        let user =
            in_cgroup(process("systemd", 1100), "/user.slice/user-1000.slice/user@1000.service/init.scope");
        let of_machine = "/system.slice/web.service";
        let of_user = "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service";
        for (manager, group, status) in [
            (systemd(), of_machine, "`systemctl status web.service` and `journalctl -u web.service`"),
            (user, of_user, "`systemctl --user status web.service` and `journalctl --user -u web.service`"),
        ] {
            let main = in_cgroup(process("sleep", 812), group);
            for heeds in [true, false] {
                let Container { mut story, netns, link, .. } = container_of(main.clone());
                story.sends(&manager, 15, &main, netns).wait_ms(1);
                if !heeds {
                    story.wait_ms(90_000).sends(&manager, 9, &main, netns);
                }
                story.dies(&main, netns, if heeds { 15 } else { 9 });
                story.drops(&main, netns, path::EXIT).is_torn_down(&link);
                let went = if heeds { "which was ended by SIGTERM" } else { "and SIGKILL 90.0 s later" };
                let cause = format!(
                    "systemd (PID {}) stopped the unit web.service: it sent SIGTERM to the last process sleep (PID \
                     812), {went}",
                    manager.task.process.tgid
                );
                story
                    .tell()
                    .last()
                    .verdict("container-stopped", "likely")
                    .culprit(&manager)
                    .says("/verdict/cause", &cause)
                    .says("/verdict/cause", "; who asked it for that is not seen.")
                    .says("/verdict/remedy", status);
            }
        }
    }

    #[test]
    fn what_systemd_did_not_ask_to_end_it_has_not_stopped() {
        // `systemctl kill -s KILL`, or the watchdog; and somebody who only has the unit's process as a target.
        for (by, number, rule, confidence) in [
            (systemd(), 9, "container-killed", "likely"),
            (systemd(), 6, "container-killed", "likely"),
            (kill(), 15, "container-killed", "certain"),
        ] {
            let main = in_cgroup(process("sleep", 812), "/system.slice/web.service");
            let Container { mut story, netns, link, .. } = container_of(main.clone());
            story.sends(&by, number, &main, netns).dies(&main, netns, u8::try_from(number).unwrap());
            story.drops(&main, netns, path::EXIT).is_torn_down(&link);
            let told = story.tell();
            let event = told.last().verdict(rule, confidence).culprit(&by);
            if by.task.process.tgid == 1 {
                event
                    .says("/verdict/cause", "of the unit web.service")
                    .says("/verdict/remedy", "`systemctl status web.service`");
            }
        }
    }

    #[test]
    fn a_request_that_was_handled_long_before_is_no_stop() {
        for (waited, rule) in [(20_000, "container-stopped"), (300_000, "container-killed")] {
            let Container { mut story, init, netns, link } = container();
            story
                .sends(&runc(), 3, &init, netns)
                .wait_ms(waited)
                .sends(&runc(), 9, &init, netns)
                .dies(&init, netns, 9);
            story.drops(&init, netns, path::EXIT).is_torn_down(&link);
            story.tell().last().is("/verdict/rule", rule).culprit(&runc());
        }
    }

    #[test]
    fn a_runtimes_request_counts_for_as_long_as_runtimes_wait() {
        for (number, waited, rule, confidence) in [
            // SIGTERM and systemd's SIGRTMIN+3 ask for nothing else; an image may name SIGWINCH.
            (15, 50_000, "container-stopped", "likely"),
            (37, 60_000, "container-stopped", "likely"),
            (28, 5_000, "container-stopped", "likely"),
            (28, 60_000, "container-exited", "certain"),
            // SIGHUP is for a new configuration.
            (1, 5_000, "container-exited", "certain"),
        ] {
            let Container { mut story, init, netns, link } = container();
            story.sends(&runc(), number, &init, netns).wait_ms(waited).exits(&init, netns, 0);
            story.drops(&init, netns, path::EXIT).is_torn_down(&link);
            story.tell().last().verdict(rule, confidence);
        }
    }

    #[test]
    fn any_signal_that_a_runtime_sends_before_it_kills_was_a_request() {
        for (number, rule) in [(10, "container-stopped"), (1, "container-killed")] {
            let Container { mut story, init, netns, link } = container();
            story.sends_in_vain(&runc(), number, &init, netns).wait_ms(10_000).sends(
                &runc(),
                9,
                &init,
                netns,
            );
            story.dies(&init, netns, 9).drops(&init, netns, path::EXIT).is_torn_down(&link);
            story.tell().last().is("/verdict/rule", rule).culprit(&runc());
        }
    }

    #[test]
    fn a_runtimes_kill_of_what_holds_a_pod_is_how_pods_are_stopped() {
        let id = "a".repeat(64);
        let uid = "d9a6bd5b_7d1e_4a38_8e83_2f9a0f5b0c11";
        let group = format!("/kubepods.slice/kubepods-pod{uid}.slice/cri-containerd-{id}.scope");
        for (name, by, rule) in [
            (None, runc(), "container-stopped"),
            // One of its containers, and somebody who is no runtime.
            (Some("app"), runc(), "container-killed"),
            (None, kill(), "container-killed"),
        ] {
            let pause = in_cgroup(init("pause", 812), &group);
            let Container { mut story, netns, link, .. } = container_of(pause.clone());
            let pod = Pod {
                uid: None,
                qos: None,
                namespace: Some("shop".to_owned()),
                name: Some("web-0".to_owned()),
            };
            story.found_in(netns, &pause).fact(What::Container(fact::Container {
                id: id.clone(),
                user: None,
                runtime: Some("containerd".to_owned()),
                name: name.map(str::to_owned),
                pod: Some(pod),
            }));
            story.sends(&by, 9, &pause, netns).dies(&pause, netns, 9);
            story.drops(&pause, netns, path::EXIT).is_torn_down(&link);
            story.tell().last().is("/verdict/rule", rule).culprit(&by).says(
                "/verdict/remedy",
                "see `kubectl get events --namespace shop --field-selector involvedObject.name=web-0`.",
            );
        }
    }
}
