//! Stories from facts alone, and who is blamed for their end.

use serde_json::{Value, json};

use crate::{
    correlate::story::{
        Macvlan, Story, child_of, in_cgroup, init, inside, macvlan, netns, next_at, nic, own, path, process,
        running, started, swapper, thread, tracer, without_cookie, worker,
    },
    fact::{LinkChange, Netns, Task},
};

/// A container that runs: its main process, its network namespace, its link that is up.
struct Container {
    story: Story,
    init: Task,
    netns: Netns,
    link: Macvlan,
}

/// A container whose runtime, a process of the host, has made the link outside and moved it in.
fn container() -> Container {
    container_of(init("sh", 812))
}

/// The same with that main process.
fn container_of(init: Task) -> Container {
    let netns = netns(1);
    let (outside, link) = (macvlan("macvlan0", self::netns(0), 7), macvlan("macvlan0", self::netns(0), 7));
    let link = link.moved_to(netns, 2);
    let mut story = Story::new();
    story.creates(&dockerd(), &outside).moves(&dockerd(), (self::netns(0), 7), &link).sets_up(&init, &link);
    story.wait_ms(3_200);
    Container { story, init, netns, link }
}

fn dockerd() -> Task {
    running(process("dockerd", 700), "/usr/bin/dockerd -H fd://")
}

fn kill() -> Task {
    running(process("kill", 900), "kill -9 812")
}

fn ip(args: &str) -> Task {
    child_of(running(process("ip", 901), args), &process("bash", 880))
}

// Who asks for a change.

#[test]
fn who_asks_for_a_change_is_the_culprit_for_certain() {
    let link = macvlan("macvlan0", netns(0), 7);
    for (change, deed) in [
        (LinkChange::Created, "created macvlan0"),
        (LinkChange::Up, "set macvlan0 up"),
        (LinkChange::Down, "set macvlan0 down"),
        (LinkChange::Deleted, "deleted macvlan0"),
    ] {
        let mut story = Story::new();
        story.link(&ip("ip link del macvlan0"), change, &link, path::NETLINK);
        let told = story.tell();
        let cause = format!("ip (PID 901: ip link del macvlan0), called by bash (PID 880), {deed}.");
        told.last()
            .verdict("direct", "certain")
            .culprit(&ip(""))
            .is("/actor/pid", 901)
            .is("/culprit/ancestors", json!([{"pid": 880, "comm": "bash"}]))
            .is("/verdict/cause", cause)
            .is("/verdict/remedy", Value::Null)
            .is("/victim/init", Value::Null);
    }
}

#[test]
fn a_task_that_was_never_sent_whole_is_named_all_the_same() {
    let link = macvlan("macvlan0", netns(0), 7);
    let mut story = Story::new();
    story.fact(crate::fact::What::Link(Box::new(link.fact(LinkChange::Down, &ip("ip"), &[]))));
    story
        .tell()
        .last()
        .verdict("direct", "certain")
        .is("/culprit/pid", 901)
        .is("/culprit/comm", "ip")
        .is("/culprit/args", Value::Null)
        .is("/culprit/uid", Value::Null)
        .is("/culprit/cgroup/path", Value::Null);
}

#[test]
fn an_effect_that_no_probe_announced_has_no_culprit() {
    let link = macvlan("macvlan0", netns(0), 7);
    for (change, event) in [(LinkChange::UnseenDown, "down"), (LinkChange::UnseenDeleted, "deleted")] {
        let mut story = Story::new();
        story.link(&ip("ip"), change, &link, &[]);
        let told = story.tell();
        told.last()
            .is("/type", "unattributed")
            .is("/event", event)
            .verdict("unattributed", "unknown")
            .nobody()
            .is("/actor/pid", 901)
            .says("/verdict/cause", "no probe saw the request");
        assert_eq!(
            (&told.summary()["events"], &told.summary()["unattributed"]),
            (&json!(0), &json!(1)),
            "{told}"
        );
    }
}

#[test]
fn a_kernel_worker_without_a_known_reason_is_nobodys_fault() {
    let mut story = Story::new();
    story.sets_down(&worker(), &macvlan("macvlan0", netns(0), 7));
    story.tell().last().verdict("unknown", "unknown").nobody().says("/verdict/cause", "why was not seen");
}

// The main process ends.

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
            .is("/culprit/exit", json!({"code": code, "signal": null, "core_dumped": false, "sender": null}))
            .is("/victim/init/pid", 812)
            .is("/verdict/cause", cause)
            .steps(&["exit", "netns_end", "deleted"]);
    }
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
        .says("/verdict/cause", "kill (PID 900: kill -9 812) sent SIGKILL to the main process sh (PID 812)")
        .steps(&["signal", "exit", "netns_end", "deleted"]);
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
            .says("/verdict/cause", "sent SIGTERM to the main process sh (PID 812), which exited with code 0")
            .steps(&["signal", "exit", "netns_end", "deleted"]);
    }
}

/// What `docker stop` and `docker kill` make containerd's shim call.
fn runc() -> Task {
    let shim = in_cgroup(process("containerd-shim", 790), "/system.slice/containerd.service");
    child_of(running(process("runc", 791), "runc --root /run/docker/runtime-runc/moby kill"), &shim)
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
                    "runc (PID 791), called by containerd-shim (PID 790), sent SIGTERM to the main process sh (PID 812), \
                     and SIGKILL 40.0 s later",
                )
                .steps(&["signal", "signal", "exit", "netns_end", "deleted"]);
        }
    }
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
fn a_signal_that_was_handled_long_before_the_exit_is_no_reason_for_it() {
    let Container { mut story, init, netns, link } = container();
    story.sends(&dockerd(), 15, &init, netns).wait_ms(60_000).exits(&init, netns, 0);
    story.drops(&init, netns, path::EXIT).is_torn_down(&link);
    story
        .tell()
        .last()
        .verdict("container-exited", "certain")
        .culprit(&init)
        .is("/culprit/exit/sender", Value::Null);
}

#[test]
fn a_signal_that_the_main_process_ignores_is_no_reason_for_its_end() {
    let Container { mut story, init, netns, link } = container();
    story.sends_in_vain(&kill(), 15, &init, netns).exits(&init, netns, 0);
    story.drops(&init, netns, path::EXIT).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "certain").culprit(&init);
}

#[test]
fn a_signal_from_inside_its_pid_namespace_is_the_containers_own_business() {
    let Container { mut story, init, netns, link } = container();
    let child = inside(process("killall", 830), 812, 1, 9);
    story.sends(&child, 15, &init, netns).exits(&init, netns, 0);
    story.drops(&init, netns, path::EXIT).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "certain").culprit(&init);
}

#[test]
fn a_new_size_of_the_terminal_is_a_reason_only_right_before_the_exit() {
    for (wait, rule) in [(10_000, "container-exited"), (100, "container-stopped")] {
        let Container { mut story, init, netns, link } = container();
        story.sends(&process("tmux", 600), 28, &init, netns).wait_ms(wait).exits(&init, netns, 0);
        story.drops(&init, netns, path::EXIT).is_torn_down(&link);
        story.tell().last().is("/verdict/rule", rule);
    }
}

#[test]
fn a_signal_to_another_process_is_no_reason() {
    let Container { mut story, init, netns, link } = container();
    let child = inside(process("nginx", 840), 812, 1, 7);
    story.sends(&kill(), 15, &child, netns).exits(&init, netns, 0);
    story.drops(&init, netns, path::EXIT).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "certain").culprit(&init);
}

#[test]
fn a_signal_to_an_earlier_process_of_the_same_id_is_no_reason() {
    let Container { mut story, init, netns, link } = container();
    let mut earlier = init.clone();
    earlier.task.process.start.0 -= 1;
    story.sends(&kill(), 15, &earlier, netns).exits(&init, netns, 0);
    story.drops(&init, netns, path::EXIT).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "certain").culprit(&init);
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
        .steps(&["signal", "exit", "netns_end", "deleted"]);
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
        .says("/verdict/cause", "was ended by SIGSEGV, 3.2 s after");
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
fn a_request_to_end_is_not_hidden_by_what_is_sent_after_it() {
    let Container { mut story, init, netns, link } = container();
    story.sends(&dockerd(), 15, &init, netns).wait_ms(500).sends(&process("tmux", 600), 28, &init, netns);
    story.wait_ms(500).exits(&init, netns, 0).drops(&init, netns, path::EXIT).is_torn_down(&link);
    story.tell().last().verdict("container-stopped", "likely").culprit(&dockerd());
}

#[test]
fn who_killed_the_parent_is_behind_the_signal_that_its_death_sends() {
    // `unshare --kill-child`: the kernel sends the signal in the context of the parent that dies.
    let unshare = process("unshare", 811);
    let Container { mut story, init, netns, link } = container_of(child_of(init("sh", 812), &unshare));
    story.sends(&kill(), 9, &unshare, netns).dies(&unshare, netns, 9);
    story.sends(&unshare, 9, &init, netns).dies(&init, netns, 9);
    story.drops(&init, netns, path::EXIT).is_torn_down(&link);
    story.tell().last().verdict("container-killed", "certain").culprit(&kill()).is("/victim/init/pid", 812);
}

// Others that end around it.

#[test]
fn an_inner_main_process_that_dies_with_the_outer_one_is_no_culprit() {
    let inner = inside(process("inner", 850), 850, 2, 1);
    // The order in which the kernel reports them is no matter.
    for outer_first in [true, false] {
        let Container { mut story, init, netns, link } = container();
        if outer_first {
            story.exits(&init, netns, 4).kernel_sends(9, &inner, netns).dies(&inner, netns, 9);
        } else {
            story.kernel_sends(9, &inner, netns).dies(&inner, netns, 9).exits(&init, netns, 4);
        }
        story.drops(&inner, netns, path::EXIT).is_torn_down(&link);
        story.tell().last().verdict("container-exited", "certain").culprit(&init).is("/culprit/exit/code", 4);
    }
}

#[test]
fn of_two_main_processes_in_one_namespace_the_last_one_counts() {
    // A pod: the application ends and is started again, the pause process holds the namespace.
    let pause = init("pause", 812);
    let Container { mut story, netns, link, .. } = container_of(pause.clone());
    story.exits(&init("app", 820), netns, 1).wait_ms(60_000).exits(&init("app", 830), netns, 1);
    story.wait_ms(60_000).sends(&kill(), 15, &pause, netns).exits(&pause, netns, 0);
    story.drops(&pause, netns, path::EXIT).is_torn_down(&link);
    story
        .tell()
        .last()
        .verdict("container-stopped", "likely")
        .culprit(&kill())
        .is("/victim/init/comm", "pause");
}

#[test]
fn a_supervisor_that_ends_after_its_main_process_is_no_culprit() {
    let unshare = process("unshare", 811);
    let Container { mut story, init, netns, link } = container_of(child_of(init("sh", 812), &unshare));
    story.exits(&init, netns, 3).exits(&unshare, netns, 3);
    story.drops(&unshare, netns, path::EXIT).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "certain").culprit(&init).is("/culprit/exit/code", 3);
}

#[test]
fn children_that_die_with_the_main_process_are_no_culprits() {
    let Container { mut story, init, netns, link } = container();
    story.exits(&init, netns, 0);
    for pid in 820..840 {
        let child = child_of(inside(process("worker", pid), 812, 1, pid - 810), &init);
        story.kernel_sends(9, &child, netns).dies(&child, netns, 9);
    }
    let last = inside(process("worker", 839), 812, 1, 29);
    story.drops(&last, netns, path::EXIT).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "certain").culprit(&init);
}

#[test]
fn who_is_interrupted_when_the_namespace_ends_is_no_culprit() {
    let innocent = process("firefox", 1234);
    for current in [swapper(), innocent, worker()] {
        let Container { mut story, init, netns, link } = container();
        story.exits(&init, netns, 3).wait_ms(800).drops(&current, netns, path::SOFTIRQ).is_torn_down(&link);
        let told = story.tell();
        told.last().verdict("container-exited", "certain").culprit(&init).steps(&[
            "exit",
            "netns_end",
            "deleted",
        ]);
        let step = &told.last().record["verdict"]["evidence"][1];
        assert_eq!(step["task"], Value::Null, "a step blames who was interrupted:\n{told}");
    }
}

#[test]
fn who_is_interrupted_is_no_culprit_even_if_nobody_else_is_known() {
    let (link, netns) = (macvlan("macvlan0", netns(1), 2), netns(1));
    let innocent = process("firefox", 1234);
    for current in [swapper(), innocent] {
        let mut story = Story::new();
        story.sets_up(&ip("ip"), &link).drops(&current, netns, path::SOFTIRQ).is_torn_down(&link);
        story.tell().last().verdict("unknown", "unknown").nobody();
    }
}

#[test]
fn a_thread_of_a_living_process_is_never_the_culprit() {
    // A daemon's thread has entered the namespace, and is the last to leave it.
    let visitor = thread(dockerd(), 777);
    let Container { mut story, init, netns, link } = container();
    story.thread_goes(&visitor, self::netns(0), netns).exits(&init, netns, 4);
    story.drops(&visitor, netns, path::EXIT).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "certain").culprit(&init);

    // The same where there is no pid namespace, and where it goes home instead of ending.
    for home in [path::EXIT, path::SWITCH] {
        let resident = process("sh", 815);
        let Container { mut story, netns, link, .. } = container_of(resident.clone());
        story.thread_goes(&visitor, self::netns(0), netns).exits(&resident, netns, 4);
        if home == path::SWITCH {
            story.thread_goes(&visitor, netns, self::netns(0));
        }
        let end = crate::fact::NetnsEnd {
            task: visitor.task.clone(),
            netns,
            whole_process: false,
            last: true,
            stack: home.iter().map(|frame| Some((*frame).to_owned())).collect(),
        };
        story.fact(crate::fact::What::NetnsEnd(end)).is_torn_down(&link);
        story.tell().last().verdict("container-exited", "likely").culprit(&resident);
    }
}

#[test]
fn the_tracer_is_never_the_culprit() {
    // It took stock, and held the namespace's last descriptor for a moment.
    assert_eq!(own().ns_tgid, tracer().task.process.tgid);
    for held in [path::CLOSE, path::SWITCH, path::EXIT, path::UNMOUNT] {
        let Container { mut story, init, netns, link } = container();
        story.exits(&init, netns, 0).drops(&tracer(), netns, held).is_torn_down(&link);
        let told = story.tell();
        told.last().verdict("container-exited", "certain").culprit(&init);
        assert!(!told.to_string().contains("macvlan-trace"), "the tracer stands in the story:\n{told}");

        let (link, netns) = (macvlan("macvlan0", self::netns(1), 2), self::netns(1));
        let mut story = Story::new();
        story.sets_up(&ip("ip"), &link).drops(&tracer(), netns, held).is_torn_down(&link);
        story.tell().last().verdict("unknown", "unknown").nobody();
    }
}

#[test]
fn a_process_that_has_the_tracers_number_in_another_pid_namespace_is_not_the_tracer() {
    let namesake = inside(process("sh", 5555), 812, 1, own().ns_tgid);
    let (link, netns) = (macvlan("macvlan0", netns(1), 2), netns(1));
    let mut story = Story::new();
    story.sets_up(&ip("ip"), &link).drops(&namesake, netns, path::CLOSE).is_torn_down(&link);
    story.tell().last().verdict("netns-deleted", "certain").culprit(&namesake);
}

// Without a pid namespace.

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
fn the_last_process_that_goes_elsewhere_is_the_culprit() {
    let shell = process("nsenter", 815);
    let Container { mut story, netns, link, .. } = container_of(shell.clone());
    story.goes(&shell, netns, self::netns(0)).drops(&shell, netns, path::SWITCH).is_torn_down(&link);
    story
        .tell()
        .last()
        .verdict("netns-deleted", "certain")
        .culprit(&shell)
        .says("/verdict/cause", "left the network namespace as its last process")
        .steps(&["netns_end", "deleted"]);
}

// A namespace with a name, or held by a file.

/// A namespace with a name and a link, in which nobody lives.
fn named() -> Container {
    let (netns, link) = (netns(1), macvlan("macvlan0", netns(1), 2));
    let mut story = Story::new();
    story.named(netns, "blue").creates(&ip("ip link add"), &link);
    Container { story, init: process("nobody", 1), netns, link }
}

#[test]
fn who_unmounts_a_namespace_is_the_culprit_even_after_visitors() {
    let Container { mut story, netns, link, .. } = named();
    for pid in [920, 921] {
        let visitor = process("true", pid);
        story.goes(&visitor, self::netns(0), netns).exits(&visitor, netns, 0);
    }
    let del = running(process("ip", 930), "ip netns del blue");
    story.drops(&del, netns, path::UNMOUNT).is_torn_down(&link);
    story
        .tell()
        .last()
        .verdict("netns-deleted", "certain")
        .culprit(&del)
        .is("/link/netns/name", "blue")
        .is("/victim/init", Value::Null)
        .says("/verdict/cause", "ip (PID 930: ip netns del blue) unmounted the network namespace")
        .steps(&["unmount", "deleted"]);
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
fn what_holds_a_namespace_for_a_moment_after_its_unmount_is_no_culprit() {
    // A visitor had a connection, whose remains hold the namespace.
    let Container { mut story, netns, link, .. } = named();
    let visitor = process("curl", 920);
    let del = running(process("ip", 930), "ip netns del blue");
    story.goes(&visitor, self::netns(0), netns).exits(&visitor, netns, 0).lets_go(&del, netns, path::UNMOUNT);
    story.wait_ms(60_000).drops(&swapper(), netns, path::SOFTIRQ).is_torn_down(&link);
    let told = story.tell();
    told.last().verdict("netns-deleted", "likely").culprit(&del).steps(&["unmount", "netns_end", "deleted"]);
}

#[test]
fn an_unmount_that_turns_out_to_be_the_last_hold_after_all_is_the_reason() {
    // What else held it let go between the probe's look at the count and the drop of the mount's own reference.
    let Container { mut story, netns, link, .. } = named();
    let del = running(process("ip", 930), "ip netns del blue");
    story.lets_go(&del, netns, path::UNMOUNT).wait_ms(100).is_torn_down(&link);
    story
        .tell()
        .last()
        .verdict("netns-deleted", "likely")
        .culprit(&del)
        .steps(&["unmount", "deleted"])
        .is("/verdict/evidence/0/task/pid", 930);
}

#[test]
fn an_end_that_nobody_was_seen_to_bring_about_is_unknown() {
    let Container { mut story, netns, link, .. } = named();
    // A descriptor that is closed while the namespace lives says nothing.
    story.lets_go(&process("lsns", 940), netns, path::CLOSE).wait_ms(100).is_torn_down(&link);
    story.tell().last().verdict("unknown", "unknown").nobody().steps(&["deleted"]);
}

#[test]
fn the_end_of_the_main_process_outranks_the_unmount_where_the_last_reference_was_not_seen() {
    let Container { mut story, init, netns, link } = container();
    story.exits(&init, netns, 3).lets_go(&process("dockerd", 940), netns, path::UNMOUNT).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "likely").culprit(&init).steps(&["exit", "deleted"]);
}

#[test]
fn a_file_that_is_closed_while_others_hold_the_namespace_is_no_reason() {
    let Container { mut story, init, netns, link } = container();
    story.lets_go(&process("lsns", 940), netns, path::CLOSE).wait_ms(60_000).exits(&init, netns, 3);
    story.drops(&init, netns, path::EXIT).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "certain").culprit(&init);
}

#[test]
fn a_container_that_only_visited_a_namespace_is_no_reason_for_its_end() {
    let Container { mut story, netns, link, .. } = named();
    let visitor = process("unshare", 920);
    let inner = started(child_of(init("true", 921), &visitor), 100_000_000_000);
    story.goes(&visitor, self::netns(0), netns).exits(&inner, netns, 0).exits(&visitor, netns, 0);
    let del = running(process("ip", 930), "ip netns del blue");
    story.wait_ms(3_600_000).drops(&del, netns, path::UNMOUNT).is_torn_down(&link);
    story.tell().last().verdict("netns-deleted", "certain").culprit(&del);
}

#[test]
fn a_daemon_that_started_the_container_and_visits_it_makes_it_no_visitor() {
    let daemon = process("podman", 700);
    let Container { mut story, init, netns, link } = container_of(child_of(init("sh", 812), &daemon));
    story.thread_goes(&thread(daemon, 705), self::netns(0), netns).exits(&init, netns, 4);
    story.drops(&swapper(), netns, path::SOFTIRQ).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "certain").culprit(&init);
}

#[test]
fn a_visitor_that_stays_longest_is_no_culprit() {
    let shell = process("sh", 815);
    let Container { mut story, netns, link, .. } = container_of(shell.clone());
    let visitor = process("tcpdump", 990);
    story.goes(&visitor, self::netns(0), netns).exits(&shell, netns, 3).wait_ms(5_000);
    story.exits(&visitor, netns, 0).drops(&visitor, netns, path::EXIT).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "likely").culprit(&shell);
}

#[test]
fn an_unmount_after_the_last_resident_ended_is_cleaning_up() {
    // `docker run --pid=host`
    let shell = process("sh", 815);
    let Container { mut story, netns, link, .. } = container_of(shell.clone());
    story.exits(&shell, netns, 3).wait_ms(200).drops(&dockerd(), netns, path::UNMOUNT).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "likely").culprit(&shell);
}

#[test]
fn many_visitors_after_the_main_process_do_not_make_it_forgotten() {
    let Container { mut story, init, netns, link } = container();
    story.exits(&init, netns, 0);
    for pid in 1000..1100 {
        let visitor = process("ip", pid);
        story.goes(&visitor, self::netns(0), netns).exits(&visitor, netns, 0);
    }
    story.drops(&dockerd(), netns, path::UNMOUNT).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "likely").culprit(&init);
}

#[test]
fn a_name_that_is_learnt_after_the_end_does_not_hide_it() {
    let Container { mut story, init, netns, link } = container();
    story.exits(&init, netns, 0).drops(&init, netns, path::EXIT).named(netns, "blue").is_torn_down(&link);
    story.tell().last().verdict("container-exited", "certain").culprit(&init);
}

#[test]
fn who_closes_the_last_descriptor_is_the_culprit_if_nobody_lived_there() {
    let Container { mut story, netns, link, .. } = named();
    let visitor = process("true", 920);
    let grandchild = started(child_of(process("sleep", 921), &visitor), 100_000_000_000);
    story.goes(&visitor, self::netns(0), netns).exits(&visitor, netns, 0).exits(&grandchild, netns, 0);
    let holder = process("holder", 940);
    story.drops(&holder, netns, path::CLOSE).is_torn_down(&link);
    story
        .tell()
        .last()
        .verdict("netns-deleted", "certain")
        .culprit(&holder)
        .says("/verdict/cause", "closed the last descriptor")
        .steps(&["close", "deleted"]);
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
fn a_path_without_symbols_blames_no_task_that_may_be_innocent() {
    let Container { mut story, netns, link, .. } = named();
    story.drops_namelessly(&process("firefox", 1234), netns).is_torn_down(&link);
    story.tell().last().verdict("unknown", "unknown").nobody();

    let Container { mut story, init, netns, link } = container();
    story.exits(&init, netns, 0).drops_namelessly(&init, netns).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "likely").culprit(&init);
}

// Namespaces whose address and number come again.

#[test]
fn the_next_namespace_with_the_same_address_and_number_has_its_own_story() {
    for cookies in [true, false] {
        let show = |netns| if cookies { netns } else { without_cookie(netns) };
        let (first, second) = (show(netns(1)), show(next_at(netns(1))));
        let mut story = Story::new();
        for (netns, pid, code) in [(first, 812, 11), (second, 913, 12)] {
            let (init, link) = (init("sh", pid), macvlan("macvlan0", netns, 2));
            story.creates(&dockerd(), &link).exits(&init, netns, code);
            story.drops(&init, netns, path::EXIT).is_torn_down(&link);
        }
        let told = story.tell();
        let deleted: Vec<_> = told.events().into_iter().filter(|e| e.record["event"] == "deleted").collect();
        deleted[0].culprit(&init("sh", 812)).is("/culprit/exit/code", 11);
        deleted[1].culprit(&init("sh", 913)).is("/culprit/exit/code", 12);
        assert_ne!(deleted[0].record["incident"], deleted[1].record["incident"], "{told}");
        assert_ne!(deleted[0].record["link"]["id"], deleted[1].record["link"]["id"], "{told}");
    }
}

#[test]
fn a_signal_of_the_namespace_before_is_no_reason_in_the_next_one() {
    let Container { mut story, init, netns, link } = container();
    story.sends(&kill(), 15, &init, netns).exits(&init, netns, 0);
    story.drops(&init, netns, path::EXIT).is_torn_down(&link);
    let (netns, init) = (next_at(netns), self::init("sh", 913));
    let link = macvlan("macvlan1", netns, 2);
    story.creates(&dockerd(), &link).exits(&init, netns, 5);
    story.drops(&init, netns, path::EXIT).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "certain").culprit(&init);
}

#[test]
fn an_end_that_was_lost_is_not_made_up_and_does_not_reach_the_next_namespace() {
    let Container { mut story, init, netns, link } = container();
    story.exits(&init, netns, 0).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "likely").culprit(&init).steps(&["exit", "deleted"]);

    let next = next_at(netns);
    let link = macvlan("macvlan1", next, 2);
    let del = running(process("ip", 930), "ip netns del blue");
    story.creates(&dockerd(), &link).drops(&del, next, path::UNMOUNT).is_torn_down(&link);
    story.tell().last().verdict("netns-deleted", "certain").culprit(&del).is("/victim/init", Value::Null);
}

#[test]
fn who_deletes_a_link_in_a_namespace_at_an_old_address_is_the_culprit() {
    // No record has told yet that another namespace lives there.
    let Container { mut story, init, netns, link } = container();
    story.exits(&init, netns, 0).drops(&init, netns, path::EXIT).is_torn_down(&link);
    let link = macvlan("macvlan1", without_cookie(netns), 2);
    story.deletes(&ip("ip link del macvlan1"), &link);
    story.tell().last().verdict("direct", "certain").culprit(&ip(""));
}

// Parents and modules.

#[test]
fn who_removes_the_parent_is_the_culprit() {
    let mut story = Story::new();
    let del = ip("ip link del eth0");
    for ifindex in 7..10 {
        let link =
            macvlan(&format!("macvlan{ifindex}"), netns(1), ifindex).losing_parent(nic("eth0", netns(0), 2));
        story.link(&del, LinkChange::Deleted, &link, path::CASCADE);
    }
    let told = story.tell();
    for event in told.events() {
        event
            .verdict("parent-deleted", "certain")
            .culprit(&del)
            .is("/link/parent/name", "eth0")
            .is("/link/parent/deleted", true)
            .says("/verdict/cause", "called by bash (PID 880), removed the parent eth0 of macvlan")
            .steps(&["parent_deleted", "deleted"]);
    }
    assert_eq!(told.incidents(), [1, 1, 1], "{told}");
}

#[test]
fn a_parent_that_goes_with_its_namespace_leads_to_who_ended_that() {
    let Container { mut story, init, netns, .. } = container();
    let child = macvlan("child0", self::netns(0), 12).losing_parent(nic("par1", netns, 3));
    story.creates(&dockerd(), &macvlan("child0", self::netns(0), 12));
    story.sends(&kill(), 9, &init, netns).dies(&init, netns, 9).drops(&init, netns, path::EXIT);
    story.link(&worker(), LinkChange::Deleted, &child, path::CASCADE);
    story
        .tell()
        .last()
        .is("/link/name", "child0")
        .verdict("container-killed", "certain")
        .culprit(&kill())
        .says("/verdict/cause", "the parent par1 of child0")
        .is("/victim/init", Value::Null)
        .steps(&["signal", "exit", "netns_end", "parent_deleted", "deleted"]);
}

#[test]
fn a_parent_that_a_worker_removes_for_unknown_reasons_is_nobodys_fault() {
    let mut story = Story::new();
    let child = macvlan("macvlan0", netns(1), 7).losing_parent(nic("eth0", netns(0), 2));
    story.link(&worker(), LinkChange::Deleted, &child, path::CASCADE);
    story
        .tell()
        .last()
        .verdict("unknown", "unknown")
        .nobody()
        .says("/verdict/cause", "The parent eth0 of macvlan0 was deleted, and by whom was not seen");
}

#[test]
fn the_end_of_the_links_own_namespace_comes_before_a_parent_that_goes_with_it() {
    let Container { mut story, init, netns, link } = container();
    let link = link.losing_parent(nic("par1", netns, 3));
    story.exits(&init, netns, 0).drops(&init, netns, path::EXIT).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "certain").culprit(&init).is("/victim/init/pid", 812);
}

#[test]
fn who_unloads_the_driver_is_the_culprit() {
    let rmmod = running(process("rmmod", 950), "rmmod macvlan");
    let mut story = Story::new();
    for ifindex in [7, 8] {
        let link = macvlan("macvlan0", netns(ifindex), ifindex);
        story.link(&rmmod, LinkChange::Deleted, &link, path::UNLOAD);
    }
    let told = story.tell();
    told.last()
        .verdict("module-unloaded", "certain")
        .culprit(&rmmod)
        .says("/verdict/cause", "rmmod (PID 950: rmmod macvlan) unloaded the driver of macvlan0");
    assert_eq!(told.incidents(), [1, 1], "{told}");
}

#[test]
fn a_creation_that_fails_is_no_deletion_by_somebody() {
    let add = running(process("ip", 951), "ip link add macvlan0 type macvlan");
    let mut story = Story::new();
    story.link(&add, LinkChange::Deleted, &macvlan("macvlan0", netns(0), 7), path::UNDO);
    story
        .tell()
        .last()
        .verdict("creation-failed", "certain")
        .culprit(&add)
        .says("/verdict/cause", "asked for macvlan0, which could be made but not set up");
}

// Rules.

#[test]
fn every_rule_has_a_name_of_its_own() {
    let mut names: Vec<_> = super::RULES.iter().map(|rule| rule.name).collect();
    assert!(names.iter().all(|name| *name != "unknown" && !name.is_empty()));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), super::RULES.len());
}

#[test]
fn a_sentence_shows_no_bytes_that_steer_a_terminal() {
    let evil = running(process("\x1b[2J\nx", 901), "a\x1b[31m b\nc");
    let mut story = Story::new();
    story.sets_down(&evil, &macvlan("m\x1b0", netns(0), 7));
    let told = story.tell();
    let cause = told.last().record["verdict"]["cause"].as_str().unwrap().to_owned();
    assert!(!cause.chars().any(char::is_control), "{cause:?}");
}
