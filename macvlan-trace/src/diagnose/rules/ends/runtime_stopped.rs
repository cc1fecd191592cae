//! The container's runtime was told to end, and ended the container for that reason.

use macvlan_trace_common::signal::SIGKILL;

use super::container_stopped;
use crate::{
    correlate::Stop,
    diagnose::{
        Culprit, Rule, Verdict,
        ends::{self, RuntimeStop},
        exit_behind, words,
    },
    event::Confidence,
    kernel::names,
    sentence::{Part, Sentence, sentence},
    work::{manager, runtime},
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "runtime-stopped",
    page: include_str!("../../pages/runtime-stopped.md"),
    judge: |case| {
        let ended = exit_behind(case)?;
        let RuntimeStop { stop, passed_on, by } = ends::stop_of_runtime(ended)?;
        let unit = stop.by.as_deref().and_then(|by| ends::unit_of_managers(&stop.process, by));
        let is_daemons = case.ended_in.as_ref().is_some_and(|container| {
            runtime::stops_its_containers(&stop.process, container.runtime.as_deref())
        });
        let unseen = if unit.is_some() || stop.by.as_deref().is_some_and(manager::is_machines) {
            "; who asked it for that is not seen"
        } else {
            ""
        };
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{}; {} then sent {} to {}, {}{}; {}{}",
                told_to_end(stop, unit.as_deref()),
                words::sender(by),
                names::signal(passed_on.number),
                words::ended_process(case, ended),
                container_stopped::how_it_went(ended, passed_on),
                words::after_up(case, ended.at),
                words::fate(case),
                unseen,
            ),
            remedy: Some(remedy(stop, unit.as_deref(), is_daemons).into()),
            // The tracer cannot see that the one followed from the other.
            confidence: Confidence::Likely,
            culprit: stop.by.as_ref().map(Culprit::new),
        })
    },
};

/// "systemd (PID 1) stopped the unit docker.service: it sent SIGTERM to dockerd (PID 700)".
fn told_to_end(stop: &Stop, unit: Option<&str>) -> Sentence {
    let (process, signal) = (words::process(&stop.process), names::signal(stop.number));
    match (&stop.by, unit) {
        (Some(by), Some(unit)) => sentence!(
            "{} stopped the unit {}: it sent {} to {}",
            words::process(by),
            unit.to_owned(),
            signal,
            process
        ),
        (Some(by), None) => sentence!("{} sent {} to {}", words::who(by), signal, process),
        (None, _) if stop.number == SIGKILL => sentence!("The kernel killed {}", process),
        (None, _) => sentence!("The kernel sent {} to {} for its terminal", signal, process),
    }
}

fn remedy(stop: &Stop, unit: Option<&str>, is_daemons: bool) -> Sentence {
    let comm = &stop.process.task.comm;
    let find_out = match (unit, &stop.by) {
        (Some(unit), Some(by)) => words::see_unit(unit, manager::of_user(by).is_some()),
        (None, Some(by)) if manager::is_machines(by) => match words::pasteable(comm.as_bytes()) {
            Some(comm) => sentence!("see `journalctl _COMM={}`", comm.to_owned()),
            None => sentence!("see the journal"),
        },
        (_, Some(_)) => sentence!("find out why the culprit ends {}", Part::name(comm)),
        (_, None) if stop.number == SIGKILL => sentence!("see `journalctl -k`"),
        (_, None) => {
            sentence!("start it where no terminal ends it, with `systemd-run`, with `setsid`, or in `tmux`")
        }
    };
    let outlives = if is_daemons {
        "; with `\"live-restore\": true` in /etc/docker/daemon.json containers outlive Docker's daemon"
    } else {
        ""
    };
    sentence!("Nothing, if that was wanted; otherwise {}{}", find_out, outlives)
}

#[cfg(test)]
mod tests {
    use crate::{
        fact::Task,
        testing::story::{
            cast::{Container, container_of, docker_service, dockerd, kill, runc, systemd},
            child_of, in_cgroup, init, inside, macvlan, netns, path, process, running, started,
        },
    };

    fn main_process(pid: u32) -> Task {
        in_cgroup(
            init("sh", pid),
            &format!("/system.slice/docker-{}.scope", format!("{pid:x}").repeat(32)[..64].to_owned()),
        )
    }

    #[test]
    fn a_daemon_that_is_stopped_is_why_its_containers_are() {
        for (by, daemon, culprit, cause) in [
            (
                systemd(),
                docker_service(),
                systemd(),
                "systemd (PID 1) stopped the unit docker.service: it sent SIGTERM to dockerd (PID 701); runc (PID \
                 791), called by containerd-shim (PID 790), then sent SIGTERM to the main process sh (PID 812) of \
                 container",
            ),
            (
                kill(),
                dockerd(),
                kill(),
                "kill (PID 900: kill -9 812) sent SIGTERM to dockerd (PID 700); runc (PID 791)",
            ),
        ] {
            let Container { mut story, init, netns: home, link } = container_of(main_process(812));
            let (other, there) = (main_process(0x333), netns(2));
            let second = macvlan("macvlan1", there, 2);
            story.creates(&daemon, &second).wait_ms(100);
            story.sends(&by, 15, &daemon, netns(0)).wait_ms(200);
            story.sends(&runc(), 15, &init, home).sends(&runc(), 15, &other, there).wait_ms(100);
            story.exits(&init, home, 0).exits(&other, there, 0);
            story.drops(&init, home, path::EXIT).is_torn_down(&link);
            story.drops(&other, there, path::EXIT).is_torn_down(&second);
            let told = story.tell();
            let last = told.last();
            last.verdict("runtime-stopped", "likely")
                .culprit(&culprit)
                .says("/verdict/remedy", "\"live-restore\": true")
                .steps(&["signal", "signal", "exit", "netns_end", "deleted"]);
            let gone: Vec<_> =
                told.events().into_iter().filter(|event| event.record["event"] == "deleted").collect();
            gone[0].says("/verdict/cause", cause);
            assert_eq!(gone[0].record["incident"], gone[1].record["incident"], "one stop, one incident");
        }
    }

    #[test]
    fn a_container_that_is_stopped_for_itself_is_not_stopped_with_its_daemon() {
        // The daemon was asked to load its configuration again; long before; the container is younger than that.
        for (number, waited, start) in [(1, 200, None), (15, 40_000, None), (15, 5_000, Some(1_000))] {
            let mut main = main_process(812);
            if let Some(ms) = start {
                main = started(main, 100_000_000_000 + (3_200 + ms) * 1_000_000);
            }
            let Container { mut story, init, netns: home, link } = container_of(main);
            story.sends(&systemd(), number, &docker_service(), netns(0)).wait_ms(waited);
            story.sends(&runc(), 15, &init, home).exits(&init, home, 0);
            story.drops(&init, home, path::EXIT).is_torn_down(&link);
            story.tell().last().verdict("container-stopped", "likely").culprit(&runc());
        }
    }

    #[test]
    fn a_daemon_in_a_container_or_one_that_has_ended_is_not_the_one() {
        let in_a_container =
            Task { cgroup: main_process(0x444).cgroup, ..inside(process("dockerd", 701), 9, 1, 1) };
        for (daemon, ends) in [(in_a_container, false), (docker_service(), true)] {
            let Container { mut story, init, netns: home, link } = container_of(main_process(812));
            story.sends(&systemd(), 15, &daemon, netns(0)).wait_ms(200);
            if ends {
                story.exits_elsewhere(&daemon);
            }
            story.wait_ms(5_000).sends(&runc(), 15, &init, home).exits(&init, home, 0);
            story.drops(&init, home, path::EXIT).is_torn_down(&link);
            story.tell().last().verdict("container-stopped", "likely").culprit(&runc());
        }
    }

    #[test]
    fn what_a_reload_or_a_session_did_before_is_no_reason() {
        let sshd = in_cgroup(running(process("sshd", 790), "sshd -D"), "/system.slice/ssh.service");
        let crio = in_cgroup(running(process("crio", 791), "crio"), "/system.slice/crio.service");
        let by_hand = child_of(running(process("kill", 900), "kill -9 812"), &sshd);
        let by_crio = child_of(running(process("crun", 901), "crun kill"), &crio);
        for (daemon, by, number, rule) in
            [(sshd, by_hand, 9, "container-killed"), (crio, by_crio, 15, "container-stopped")]
        {
            let Container { mut story, init, netns: home, link } = container_of(main_process(812));
            story.sends(&systemd(), 1, &daemon, netns(0)).wait_ms(2_000);
            story.sends(&by, number, &init, home).dies(&init, home, u8::try_from(number).unwrap());
            story.drops(&init, home, path::EXIT).is_torn_down(&link);
            story.tell().last().is("/verdict/rule", rule).culprit(&by);
        }
    }

    #[test]
    fn a_runtime_that_the_kernel_killed_had_no_terminal() {
        let monitor = in_cgroup(running(process("lxc-start", 790), "lxc-start -n web"), "/lxc.monitor.web");
        let main = in_cgroup(child_of(init("init", 812), &monitor), "/lxc.payload.web");
        let Container { mut story, init, netns: home, link } = container_of(main);
        story.kernel_sends(9, &monitor, netns(0)).wait_ms(5);
        story.sends(&monitor, 9, &init, home).dies(&init, home, 9);
        story.drops(&init, home, path::EXIT).is_torn_down(&link);
        story
            .tell()
            .last()
            .verdict("runtime-stopped", "likely")
            .nobody()
            .says("/verdict/cause", "The kernel killed lxc-start (PID 790); lxc-start")
            .says("/verdict/remedy", "see `journalctl -k`");
    }

    #[test]
    fn a_request_that_came_too_early_to_be_the_reason_is_none() {
        let Container { mut story, init, netns: home, link } = container_of(main_process(812));
        story.sends(&systemd(), 15, &dockerd(), netns(0)).wait_ms(100);
        story.sends(&runc(), 15, &init, home).wait_ms(5 * 3_600_000).exits(&init, home, 0);
        story.drops(&init, home, path::EXIT).is_torn_down(&link);
        story.tell().last().is("/verdict/rule", "container-exited");
    }

    #[test]
    fn who_ends_the_program_that_watches_over_a_container_ends_that() {
        let monitor = in_cgroup(running(process("lxc-start", 790), "lxc-start -n web"), "/lxc.monitor.web");
        let main = in_cgroup(child_of(init("init", 812), &monitor), "/lxc.payload.web");
        for number in [15, 9] {
            let Container { mut story, init, netns: home, link } = container_of(main.clone());
            story.sends(&kill(), number, &monitor, netns(0)).wait_ms(5);
            story.sends(&monitor, 9, &init, home).dies(&init, home, 9);
            story.drops(&init, home, path::EXIT).is_torn_down(&link);
            story.tell().last().verdict("runtime-stopped", "likely").culprit(&kill()).says(
                "/verdict/cause",
                "to lxc-start (PID 790); lxc-start (PID 790: lxc-start -n web) then sent SIGKILL to the main process",
            );
        }
    }

    #[test]
    fn a_terminal_that_a_runtime_was_started_in_ends_its_container() {
        let podman = running(process("podman", 790), "podman run -it alpine");
        let Container { mut story, init, netns: home, link } = container_of(main_process(812));
        story.kernel_sends(2, &podman, netns(0)).wait_ms(5);
        story.sends(&podman, 2, &init, home).exits(&init, home, 130);
        story.drops(&init, home, path::EXIT).is_torn_down(&link);
        story.tell().last().verdict("runtime-stopped", "likely").nobody().says(
            "/verdict/cause",
            "The kernel sent SIGINT to podman (PID 790) for its terminal; podman (PID 790: podman run -it alpine) \
             then sent SIGINT to the main process",
        );
    }

    #[test]
    fn who_killed_the_holder_of_a_terminal_is_told_wherever_that_lived() {
        let script = running(process("script", 805), "script -qfc sleep");
        let main = process("sleep", 812);
        let Container { mut story, netns: home, link, .. } = container_of(main.clone());
        story.sends(&kill(), 9, &script, netns(0)).wait_ms(1);
        story.hangs_up(&script, 1, &main, home).dies(&main, home, 1);
        story.drops(&main, home, path::EXIT).is_torn_down(&link);
        story.tell().last().verdict("container-killed", "likely").culprit(&kill()).says(
            "/verdict/cause",
            "script (PID 805: script -qfc sleep), killed by kill (PID 900: kill -9 812), let go of the terminal",
        );
    }
}
