//! Who is behind the end of a network namespace, told in stories.

use serde_json::Value;

use crate::testing::story::{
    OWN_PID, Story,
    cast::{Container, container, container_of, dockerd, ip, kill, named, of_unit},
    child_of, init, inside, macvlan, netns, next_at, nic, path, process, running, started, swapper, thread,
    tracer, without_cookie, worker,
};
use crate::{correlate::Correlator, fact::LinkChange};

// The signal that a process ended by.

#[test]
fn a_signal_that_was_handled_long_before_the_exit_may_or_may_not_be_the_reason_for_it() {
    let Container { mut story, init, netns, link } = container();
    story.sends(&kill(), 15, &init, netns).wait_ms(60_000).exits(&init, netns, 0);
    story.drops(&init, netns, path::EXIT).is_torn_down(&link);
    story
        .tell()
        .last()
        .verdict("container-exited", "likely")
        .culprit(&init)
        .is("/culprit/exit/sender", Value::Null)
        .says("/verdict/cause", "; kill (PID 900: kill -9 812) had sent it SIGTERM 60.0 s before.")
        .steps(&["signal", "exit", "netns_end", "deleted"]);
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

// Others that end around the main process.

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
fn a_main_process_that_ends_after_one_that_it_has_isolated_is_no_supervisor() {
    // `bwrap` or `unshare --pid` as an entrypoint's step.
    let Container { mut story, init, netns, link } = container();
    let step = child_of(inside(process("step", 850), 850, 2, 1), &init);
    story.exits(&step, netns, 0).wait_ms(100).exits(&init, netns, 3);
    story.drops(&init, netns, path::EXIT).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "certain").culprit(&init).is("/culprit/exit/code", 3);
}

#[test]
fn a_pid_namespace_that_has_the_number_of_an_earlier_one_is_another_one() {
    let app = |pid, start| started(inside(process("app", pid), 820, 1, 1), start);
    let (first, second) = (app(820, 1), app(840, 120_000_000_000));
    let Container { mut story, netns, link, .. } = container_of(first.clone());
    story.exits(&first, netns, 1).wait_ms(60_000).exits(&second, netns, 7);
    story.drops(&second, netns, path::EXIT).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "certain").culprit(&second);
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
fn whoever_unmounts_after_an_end_may_have_had_a_reason_of_its_own() {
    for (unmounts_first, confidence) in [(true, "certain"), (false, "likely")] {
        let Container { mut story, init, netns, link } = container();
        let runtime = of_unit("containerd.service", 790);
        if unmounts_first {
            story.lets_go(&runtime, netns, path::UNMOUNT).wait_ms(60_000).exits(&init, netns, 3);
        } else {
            story.exits(&init, netns, 3).wait_ms(100).lets_go(&runtime, netns, path::UNMOUNT);
        }
        // A socket was still being freed.
        story.wait_ms(10).drops(&swapper(), netns, path::SOFTIRQ).is_torn_down(&link);
        story.tell().last().verdict("container-exited", confidence).culprit(&init);
    }
}

// Those that outlive the main process.

#[test]
fn who_kills_a_visitor_that_outlived_the_main_process_ended_the_namespace() {
    let (visitor, later) = (process("sleep", 820), running(process("kill", 905), "kill -9 820"));
    for socket in [false, true] {
        let Container { mut story, init, netns, link } = container();
        story.goes(&visitor, self::netns(0), netns).wait_ms(100);
        story.sends(&kill(), 9, &init, netns).dies(&init, netns, 9).wait_ms(500);
        let younger = macvlan("macvlan1", netns, 3);
        story.creates(&ip("ip link add"), &younger).wait_ms(500);
        story.sends(&later, 9, &visitor, netns).dies(&visitor, netns, 9);
        if socket {
            story.drops(&swapper(), netns, path::SOFTIRQ);
        } else {
            story.drops(&visitor, netns, path::EXIT);
        }
        story.is_torn_down(&link).is_torn_down(&younger);
        let told = story.tell();
        let events = told.events();
        let [older, younger] = &events[events.len() - 2..] else { panic!("two links were deleted") };
        let sure = if socket { "likely" } else { "certain" };
        older.is("/link/name", "macvlan0").verdict("container-killed", sure).culprit(&later).steps(&[
            "signal",
            "exit",
            "signal",
            "exit",
            "netns_end",
            "deleted",
        ]);
        let steps = ["signal", "exit", "netns_end", "deleted"];
        younger.verdict("container-killed", sure).culprit(&later).steps(&steps);
    }
}

#[test]
fn a_visitor_that_leaves_long_after_the_main_process_ended_the_namespace() {
    let visitor = process("bash", 820);
    for (wait, rule) in [(60_000, "container-exited"), (600_000, "netns-deleted")] {
        let Container { mut story, init, netns, link } = container();
        story.goes(&visitor, self::netns(0), netns).exits(&init, netns, 3).wait_ms(wait);
        story.goes(&visitor, netns, self::netns(0)).drops(&visitor, netns, path::SWITCH).is_torn_down(&link);
        let told = story.tell();
        told.last().verdict(rule, "certain");
        if rule == "netns-deleted" {
            told.last().culprit(&visitor).steps(&["exit", "netns_end", "deleted"]);
        }
    }
}

#[test]
fn a_visit_after_the_main_process_has_ended_explains_no_end_that_a_descriptor_puts_off() {
    let (visitor, holder) = (process("true", 820), process("holder", 940));
    let Container { mut story, init, netns, link } = container();
    story
        .exits(&init, netns, 3)
        .wait_ms(5_000)
        .goes(&visitor, self::netns(0), netns)
        .exits(&visitor, netns, 0);
    story.wait_ms(5_000).drops(&holder, netns, path::CLOSE).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "certain").culprit(&init);
}

#[test]
fn a_link_that_came_after_the_main_process_had_ended_did_not_go_with_it() {
    let holder = process("holder", 940);
    for moved in [false, true] {
        let Container { mut story, init, netns, link } = container();
        let outside = macvlan("macvlan1", self::netns(0), 9);
        let younger = if moved { outside.clone().moved_to(netns, 3) } else { macvlan("macvlan1", netns, 3) };
        if moved {
            story.creates(&ip("ip link add"), &outside);
        }
        story.exits(&init, netns, 3).wait_ms(500);
        if moved {
            story.moves(&ip("ip link set"), (self::netns(0), 9), &younger);
        } else {
            story.creates(&ip("ip link add"), &younger);
        }
        story.wait_ms(500).drops(&holder, netns, path::CLOSE).is_torn_down(&link).is_torn_down(&younger);
        let told = story.tell();
        let events = told.events();
        let [older, younger] = &events[events.len() - 2..] else { panic!("two links were deleted") };
        older.verdict("container-exited", "certain").culprit(&init);
        younger.verdict("netns-deleted", "certain").culprit(&holder).steps(&["close", "deleted"]);
    }
}

#[test]
fn a_runtime_that_removes_a_link_younger_than_the_end_does_not_clear_away_after_that() {
    let runtime = dockerd();
    let Container { mut story, init, netns, .. } = container();
    let younger = macvlan("macvlan1", netns, 3);
    story.exits(&init, netns, 3).wait_ms(500).creates(&ip("ip link add"), &younger).wait_ms(500);
    story.deletes(&runtime, &younger);
    story.tell().last().verdict("direct", "certain").culprit(&runtime);
}

// Whoever drops the last reference.

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
            path: home.iter().copied().map(Some).collect(),
        };
        story.fact(crate::fact::What::NetnsEnd(end)).is_torn_down(&link);
        story.tell().last().verdict("container-exited", "likely").culprit(&resident);
    }
}

#[test]
fn the_tracer_is_never_the_culprit() {
    // It took stock, and held the namespace's last descriptor for a moment.
    assert_eq!(OWN_PID, tracer().task.process.tgid);
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
    let namesake = inside(process("sh", 5555), 812, 1, OWN_PID);
    let (link, netns) = (macvlan("macvlan0", netns(1), 2), netns(1));
    let mut story = Story::new();
    story.sets_up(&ip("ip"), &link).drops(&namesake, netns, path::CLOSE).is_torn_down(&link);
    story.tell().last().verdict("netns-deleted", "certain").culprit(&namesake);
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

#[test]
fn an_unmount_after_the_last_resident_ended_is_cleaning_up() {
    // `docker run --pid=host`
    let shell = process("sh", 815);
    let Container { mut story, netns, link, .. } = container_of(shell.clone());
    story.exits(&shell, netns, 3).wait_ms(200).drops(&dockerd(), netns, path::UNMOUNT).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "likely").culprit(&shell);
}

#[test]
fn a_name_that_is_learnt_after_the_end_does_not_hide_it() {
    let Container { mut story, init, netns, link } = container();
    story.exits(&init, netns, 0).drops(&init, netns, path::EXIT).named(netns, "blue").is_torn_down(&link);
    story.tell().last().verdict("container-exited", "certain").culprit(&init);
}

// A last reference that was not seen to drop, and mounts and files that were not the last.

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

// Visitors.

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
fn a_main_process_that_joins_the_namespace_made_for_it_lives_there() {
    // As crun does: its first process enters what Podman or a network plugin has prepared, and becomes the container.
    for (age_ns, rule) in [(50_000_000, "container-exited"), (3_600_000_000_000, "netns-deleted")] {
        let inside = netns(1);
        let link = macvlan("eth0", inside, 2);
        let runtime = of_unit("podman.service", 700);
        // A story begins 90 s after boot.
        let start = 4_090_000_000_000;
        let main = started(init("sh", 812), start);
        let mut story = Story::new();
        story.wait_ms(4_000_000).creates(&runtime, &link).wait_ms(age_ns / 1_000_000);
        story.goes(&main, netns(0), inside).wait_ms(3_000).exits(&main, inside, 3).wait_ms(40);
        story
            .drops(&runtime, inside, &["netns_put", "cleanup_mnt", "task_work_run"])
            .is_torn_down(&link)
            .tell()
            .last()
            .is("/verdict/rule", rule);
    }
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

// What is forgotten.

/// How many ended namespaces are remembered after a story.
fn remembered(story: Story) -> usize {
    let mut correlator = Correlator::default();
    story.into_facts().into_iter().for_each(|fact| drop(correlator.take(fact)));
    assert_eq!(correlator.netns.evicted(), 0);
    correlator.netns.ended.len()
}

/// A container has ended, and its link or another's parent is still there.
fn ended(wait_ms: u64) -> Container {
    let mut container = container();
    let Container { story, init, netns, .. } = &mut container;
    story.exits(init, *netns, 0).drops(init, *netns, path::EXIT).ticks_after_ms(wait_ms);
    container
}

#[test]
fn a_namespace_that_has_ended_is_forgotten_once_nothing_is_left_in_it() {
    let Container { mut story, link, .. } = ended(0);
    story.is_torn_down(&link).ticks_after_ms(119_000);
    assert_eq!(remembered(story), 1, "its runtime may be clearing away");

    let Container { mut story, link, .. } = ended(0);
    story.is_torn_down(&link).ticks_after_ms(121_000);
    assert_eq!(remembered(story), 0);

    // Another one has its address.
    let Container { mut story, link, .. } = ended(0);
    story.is_torn_down(&link).creates(&ip("ip"), &macvlan("m", next_at(netns(1)), 9));
    assert_eq!(remembered(story), 0);
}

#[test]
fn a_namespace_whose_links_the_kernel_deletes_late_is_remembered_that_long() {
    let Container { mut story, init, link, .. } = ended(3_000_000);
    story.is_torn_down(&link).tell().last().verdict("container-exited", "certain").culprit(&init);

    let Container { story, .. } = ended(3_000_000);
    assert_eq!(remembered(story), 1);
    let Container { mut story, link, .. } = ended(3_000_000);
    story.is_torn_down(&link).ticks_after_ms(121_000);
    assert_eq!(remembered(story), 0);
}

#[test]
fn a_namespace_is_remembered_as_long_as_a_parent_is_left_in_it() {
    let Container { mut story, init, netns, link } = container();
    let (child, parent) = (macvlan("child0", self::netns(0), 12), nic("par1", netns, 3));
    let mut standing = child.clone();
    standing.parent = Some(parent.clone());
    story.creates(&dockerd(), &standing).exits(&init, netns, 0).drops(&init, netns, path::EXIT);
    story.is_torn_down(&link).ticks_after_ms(3_000_000);
    story.link(&worker(), LinkChange::Deleted, &child.losing_parent(parent), path::CASCADE);
    story.tell().last().is("/link/name", "child0").verdict("container-exited", "certain").culprit(&init);
}
