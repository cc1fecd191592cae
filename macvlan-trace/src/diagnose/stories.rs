//! One story a rule, and stories in which the obvious answer is wrong.

use serde_json::Value;

use crate::{
    correlate::story::{
        Macvlan, Story, child_of, in_cgroup, init, inside, macvlan, netns, nic, path, process, running,
        started, worker,
    },
    fact::{Address, Link, LinkChange, LinkFact, Task, What},
    text::Text,
};

const VETH_CLOSE: &[&str] = &["netif_carrier_off", "veth_close", "__dev_close_many", "do_setlink"];
const LINKWATCH: &[&str] =
    &["netif_carrier_off", "macvlan_device_event", "linkwatch_do_dev", "process_one_work"];
const NOTIFIER: &[&str] = &["netif_carrier_on", "macvlan_device_event", "__dev_notify_flags", "do_setlink"];
const DRIVER: &[&str] = &["netif_carrier_off", "virtnet_config_changed_work", "process_one_work"];

fn ip(args: &str) -> Task {
    child_of(running(process("ip", 901), args), &process("bash", 880))
}

/// `ip` in the control group of a unit.
fn of_unit(unit: &str, pid: u32) -> Task {
    in_cgroup(running(process("ip", pid), "ip link"), &format!("/system.slice/{unit}"))
}

/// Who makes the link, and has nothing to do with its end.
fn setup() -> Task {
    in_cgroup(process("setup", 600), "/system.slice/setup.service")
}

fn eth0() -> Link {
    Link { driver: Some(Text::from("virtio_net")), ..nic("eth0", netns(0), 2) }
}

/// A link on eth0 that is up, in the machine's own namespace, and the story so far.
fn link() -> (Story, Macvlan) {
    let link = macvlan("macvlan0", netns(0), 7);
    let mut story = Story::new();
    story.creates(&setup(), &link).sets_up(&setup(), &link).wait_ms(3_200);
    (story, link)
}

// Parents.

#[test]
fn a_parent_that_goes_down_is_an_event_of_each_child_and_one_incident() {
    let mut story = Story::new();
    for index in [7, 8] {
        let link = macvlan(&format!("macvlan{index}"), netns(0), index);
        story.creates(&ip("ip link add"), &link);
    }
    let stranger = Macvlan { parent: Some(nic("eth1", netns(0), 3)), ..macvlan("other", netns(0), 9) };
    story.creates(&ip("ip link add"), &stranger).wait_ms(10);
    let told = story.parent(&ip("ip link set eth0 down"), LinkChange::Down, &eth0(), None, &[]).tell();
    let events = told.events();
    let downs: Vec<_> = events.iter().filter(|event| event.record["event"] == "parent_down").collect();
    let names: Vec<_> = downs.iter().map(|event| event.record["link"]["name"].clone()).collect();
    assert_eq!(names, ["macvlan7", "macvlan8"], "{told}");
    assert_eq!(downs[0].record["incident"], downs[1].record["incident"], "{told}");
    told.last().verdict("parent-down", "certain").is("/culprit/comm", "ip").steps(&["parent_down"]);
}

#[test]
fn a_stock_link_is_found_by_the_place_of_its_parent() {
    let mut story = Story::new();
    story.stock(&macvlan("macvlan0", netns(1), 7)).wait_ms(10);
    story
        .parent(&ip("ip link set eth0 down"), LinkChange::Down, &eth0(), None, &[])
        .tell()
        .last()
        .is("/event", "parent_down")
        .is("/link/name", "macvlan0")
        .is("/link/netns/inode", 4_026_531_841_u32)
        .verdict("parent-down", "certain");
}

#[test]
fn a_parent_that_goes_down_and_nobody_was_seen_asking_is_unattributed() {
    let (mut story, _) = link();
    let told = story.parent(&ip("ip"), LinkChange::UnseenDown, &eth0(), None, &[]).tell();
    told.last().is("/type", "unattributed").is("/event", "parent_down").nobody();
}

#[test]
fn a_parent_that_moves_breaks_its_children_only_if_it_was_up() {
    for (flags, wanted) in [(0x1003, 1), (0x1002, 0)] {
        let mut child = macvlan("macvlan0", netns(0), 7);
        child.parent = Some(Link { flags, ..eth0() });
        let moved = Link { netns: Some(netns(1)), ifindex: 5, flags: 0x1002, ..eth0() };
        let mut story = Story::new();
        story.creates(&ip("ip link add"), &child).wait_ms(5);
        let mover = ip("ip link set eth0 netns x");
        let device = Macvlan { link: moved, parent: None };
        let fact = LinkFact { from: Some((netns(0), 2)), ..device.fact(LinkChange::Moved, &mover, &[]) };
        let told = story.fact(What::Parent(Box::new(fact))).tell();
        let events = told.events();
        let downs = events.iter().filter(|event| event.record["event"] == "parent_down").count();
        assert_eq!(downs, wanted, "{told}");
        if wanted == 1 {
            told.last().verdict("parent-moved", "certain").is("/culprit/comm", "ip").steps(&["parent_moved"]);
        }
    }
}

#[test]
fn a_carrier_that_comes_with_the_parent_is_no_event_of_its_own() {
    let (mut story, link) = link();
    let by = ip("ip link set eth0 up");
    story.parent(&by, LinkChange::Up, &eth0(), None, &[]).link(&by, LinkChange::CarrierBack, &link, NOTIFIER);
    let told = story.tell();
    told.last().is("/event", "parent_up").verdict("direct", "certain").is("/culprit/comm", "ip");
    assert_eq!(told.events().len(), 3, "{told}");
}

#[test]
fn a_parent_that_is_deleted_is_told_by_who_did_it_and_how() {
    let of_iwd = of_unit("iwd.service", 700);
    for (by, how, rule, confidence) in [
        (&of_iwd, "rtnl_dellink", "parent-recreated", "likely"),
        (&process("iwd", 700), "rtnl_dellink", "parent-deleted", "certain"),
        (&process("qemu", 701), "tun_chr_close", "parent-unplugged", "certain"),
        (&worker(), "usb_disconnect", "parent-unplugged", "certain"),
        (&process("rmmod", 702), "__x64_sys_delete_module", "driver-reloaded", "certain"),
    ] {
        let (mut story, link) = link();
        let frames: Vec<_> = path::CASCADE.iter().copied().chain([how]).collect();
        story.link(by, LinkChange::Deleted, &link.losing_parent(eth0()), &frames);
        let told = story.tell();
        told.last().verdict(rule, confidence);
        if by.task.kthread {
            told.last().nobody()
        } else {
            told.last().culprit(by)
        };
    }
}

#[test]
fn a_parent_under_several_namespaces_is_told_as_shared() {
    let mut story = Story::new();
    let children = [1, 2].map(|number| macvlan(&format!("macvlan{number}"), netns(number), 6 + number));
    for child in &children {
        story.creates(&setup(), child);
    }
    let by = ip("ip link del eth0");
    for child in children {
        story.link(&by, LinkChange::Deleted, &child.losing_parent(eth0()), path::CASCADE);
    }
    let told = story.tell();
    for deleted in &told.events()[2..] {
        deleted.verdict("shared-parent-deleted", "certain").culprit(&by);
        deleted.says("/verdict/cause", "eth0, the parent of 2 links in 2 network namespaces");
    }
}

// Carriers.

#[test]
fn a_lost_carrier_is_nobodys_doing_where_a_driver_reports_it() {
    let (mut story, link) = link();
    story.parent(&worker(), LinkChange::CarrierLost, &eth0(), None, DRIVER).wait_ms(1);
    story
        .link(&worker(), LinkChange::CarrierLost, &link, LINKWATCH)
        .tell()
        .last()
        .is("/event", "carrier_lost")
        .verdict("carrier-lost", "certain")
        .nobody()
        .says("/verdict/cause", "its driver virtio_net; no process did this")
        .steps(&["parent_carrier_lost", "carrier_lost"]);
}

#[test]
fn a_vlan_that_loses_its_carrier_leads_to_the_card_below() {
    let vlan = Link { driver: None, kind: Some(Text::from("vlan")), ..nic("eth0.10", netns(0), 5) };
    let mut link = macvlan("macvlan0", netns(0), 7);
    link.parent = Some(vlan.clone());
    for (by, path, culprit) in [(worker(), DRIVER, false), (ip("ip link set peer0 down"), VETH_CLOSE, true)] {
        let mut story = Story::new();
        story.creates(&setup(), &link).wait_ms(1_000);
        story.parent(&by, LinkChange::CarrierLost, &eth0(), None, path).wait_ms(1);
        story.parent(&worker(), LinkChange::CarrierLost, &vlan, Some(&eth0()), LINKWATCH).wait_ms(1);
        let told = story.link(&worker(), LinkChange::CarrierLost, &link, LINKWATCH).tell();
        let last = told.last().verdict("carrier-lost", "certain");
        last.steps(&["parent_carrier_lost", "parent_carrier_lost", "carrier_lost"]);
        if culprit {
            last.culprit(&by).says("/verdict/cause", "acted on eth0, and with that eth0.10");
        } else {
            last.nobody().says("/verdict/cause", "with eth0 below it, reported by its driver virtio_net");
        }
    }
}

#[test]
fn a_bond_whose_carrier_went_in_a_worker_is_only_likely_nobodys_doing() {
    let bond = Link { driver: None, kind: Some(Text::from("bond")), ..nic("bond0", netns(0), 5) };
    let mut link = macvlan("macvlan0", netns(0), 7);
    link.parent = Some(bond.clone());
    let mut story = Story::new();
    story.creates(&setup(), &link).wait_ms(1_000);
    story.parent(&worker(), LinkChange::CarrierLost, &bond, None, DRIVER).wait_ms(1);
    let told = story.link(&worker(), LinkChange::CarrierLost, &link, LINKWATCH).tell();
    told.last().verdict("carrier-lost", "likely").nobody();
}

#[test]
fn a_veth_that_goes_with_the_namespace_of_its_other_end_leads_to_who_ended_that() {
    let (init, inside) = (init("sh", 812), netns(1));
    let veth = Link { kind: Some(Text::from("veth")), ..nic("par0", netns(0), 5) };
    let peer = Link { kind: Some(Text::from("veth")), ..nic("peer0", inside, 2) };
    let mut link = macvlan("macvlan0", netns(0), 7);
    link.parent = Some(veth.clone());
    let mut story = Story::new();
    story.creates(&setup(), &link).parent(&setup(), LinkChange::Created, &veth, Some(&peer), &[]);
    story.wait_ms(1_000).exits(&init, inside, 3).drops(&init, inside, &["__put_net", "do_exit"]).wait_ms(2);
    let path = &["unregister_netdevice_queue", "macvlan_dellink", "macvlan_device_event", "cleanup_net"];
    story
        .link(&worker(), LinkChange::Deleted, &link.losing_parent(veth), path)
        .tell()
        .last()
        .verdict("container-exited", "certain")
        .culprit(&init);
}

#[test]
fn a_carrier_whose_path_has_no_names_blames_nobody_and_is_not_certain() {
    let (mut story, link) = link();
    story.parent(&ip("ip addr"), LinkChange::CarrierLost, &eth0(), None, &[]).wait_ms(1);
    let told = story.link(&worker(), LinkChange::CarrierLost, &link, LINKWATCH).tell();
    told.last().verdict("carrier-lost", "likely").nobody();
}

#[test]
fn an_interrupted_process_is_innocent_of_a_lost_carrier() {
    let (mut story, link) = link();
    let path = &["netif_carrier_off", "e1000_watchdog", "call_timer_fn", "handle_softirqs"];
    story.parent(&ip("ip addr"), LinkChange::CarrierLost, &eth0(), None, path).wait_ms(1);
    story
        .link(&worker(), LinkChange::CarrierLost, &link, LINKWATCH)
        .tell()
        .last()
        .verdict("carrier-lost", "certain")
        .nobody();
}

#[test]
fn who_sets_the_other_end_down_took_the_carrier() {
    let (mut story, link) = link();
    let peer = nic("peer0", netns(0), 4);
    let by = ip("ip link set peer0 down");
    story.parent(&by, LinkChange::CarrierLost, &eth0(), Some(&peer), VETH_CLOSE).wait_ms(40);
    story
        .link(&worker(), LinkChange::CarrierLost, &link, LINKWATCH)
        .tell()
        .last()
        .verdict("carrier-lost", "certain")
        .culprit(&by)
        .says("/verdict/cause", "set peer0, the other end of eth0, down");
}

#[test]
fn a_lost_carrier_whose_reason_was_not_seen_is_unknown() {
    let (mut story, link) = link();
    story
        .link(&worker(), LinkChange::CarrierLost, &link, LINKWATCH)
        .tell()
        .last()
        .verdict("unknown", "unknown")
        .nobody();
}

#[test]
fn a_manager_that_reacts_to_a_lost_carrier_is_the_second_step_of_one_incident() {
    let (mut story, link) = link();
    story.parent(&worker(), LinkChange::CarrierLost, &eth0(), None, DRIVER).wait_ms(1);
    story.link(&worker(), LinkChange::CarrierLost, &link, LINKWATCH).wait_ms(900);
    let told = story.sets_down(&of_unit("NetworkManager.service", 500), &link).tell();
    let incidents = told.incidents();
    assert_eq!(incidents[2], incidents[3], "{told}");
    told.last()
        .verdict("network-manager", "certain")
        .says("/verdict/cause", "903 ms after its parent eth0 had lost its carrier")
        .steps(&["parent_carrier_lost", "down"]);
}

// Memory.

#[test]
fn memory_that_ran_out_comes_before_the_signal_that_it_sent() {
    for (limit, words) in [
        (Some("/mt.slice/web.scope"), "in the control group /mt.slice/web.scope, whose limit was reached"),
        (None, "on the machine"),
    ] {
        let (init, netns) = (init("java", 812), netns(1));
        let link = macvlan("macvlan0", netns, 2);
        let mut story = Story::new();
        story.creates(&init, &link).sets_up(&init, &link).wait_ms(3_000);
        story.runs_out_of_memory(&init, netns, limit).kernel_sends(9, &init, netns).dies(&init, netns, 9);
        story
            .drops(&init, netns, &["__put_net", "do_exit"])
            .is_torn_down(&link)
            .tell()
            .last()
            .verdict("out-of-memory", "certain")
            .culprit(&init)
            .says("/verdict/cause", words)
            .steps(&["oom", "signal", "exit", "netns_end", "deleted"]);
    }
}

#[test]
fn a_shortage_that_killed_somebody_else_does_not_explain_a_clean_exit() {
    let (init, netns) = (init("sh", 812), netns(1));
    let link = macvlan("macvlan0", netns, 2);
    let mut story = Story::new();
    story.creates(&init, &link).wait_ms(100);
    story.runs_out_of_memory(&process("child", 830), netns, None).wait_ms(5).exits(&init, netns, 137);
    story
        .drops(&init, netns, &["__put_net", "do_exit"])
        .is_torn_down(&link)
        .tell()
        .last()
        .verdict("container-exited", "certain")
        .culprit(&init);
}

// Runtimes.

#[test]
fn what_a_runtime_clears_away_after_an_exit_is_the_exits() {
    let (init, inside) = (init("sh", 812), netns(1));
    let runtime = of_unit("docker.service", 700);
    let link = macvlan("eth0", inside, 2);
    let renamed = link.clone().called("veth12ab");
    let back = renamed.clone().moved_to(netns(0), 9);
    let mut story = Story::new();
    story.creates(&runtime, &link).sets_up(&init, &link).wait_ms(3_000).exits(&init, inside, 3).wait_ms(40);
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
fn a_deletion_by_a_stranger_after_an_exit_is_the_strangers() {
    let (init, inside) = (init("sh", 812), netns(1));
    let link = macvlan("eth0", inside, 2);
    let by = ip("ip -n x link del eth0");
    let mut story = Story::new();
    story.creates(&setup(), &link).wait_ms(3_000).exits(&init, inside, 3).wait_ms(40);
    story.deletes(&by, &link).tell().last().verdict("direct", "certain").culprit(&by);
}

#[test]
fn a_runtime_that_acts_long_after_an_exit_acts_on_its_own() {
    let (init, inside) = (init("sh", 812), netns(1));
    let runtime = of_unit("containerd.service", 700);
    let link = macvlan("eth0", inside, 2);
    let mut story = Story::new();
    story.creates(&setup(), &link).wait_ms(3_000).exits(&init, inside, 3).wait_ms(600_000);
    story.deletes(&runtime, &link).tell().last().verdict("runtime-teardown", "certain").culprit(&runtime);
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
                "which had made it for container aaaaaaaaaaaa, deleted eth0, by then called veth2, and no end",
            );
        } else {
            // For all that is known, it is its own; a program by a runtime's name gets the benefit of the doubt.
            told.last().verdict("self-inflicted", "certain");
        }
    }
}

#[test]
fn a_daemon_is_blamed_for_its_restart_only_if_the_link_is_older() {
    let link = macvlan("eth0", netns(0), 2);
    let daemon = |start| {
        in_cgroup(started(running(process("dockerd", 700), "dockerd"), start), "/system.slice/docker.service")
    };
    for (start, rule) in [(95_000_000_000, "daemon-restarted"), (80_000_000_000, "runtime-teardown")] {
        let mut story = Story::new();
        story.creates(&setup(), &link).wait_ms(10_000);
        story.deletes(&daemon(start), &link).tell().last().is("/verdict/rule", rule);
    }
}

// Managers.

#[test]
fn units_tell_managers_apart() {
    for (unit, rule, confidence) in [
        ("NetworkManager.service", "network-manager", "certain"),
        ("systemd-networkd.service", "network-manager", "certain"),
        ("dhcpcd.service", "dhcp-client", "certain"),
        ("networking.service", "ifupdown", "certain"),
        ("containerd.service", "runtime-teardown", "certain"),
        ("cron.service", "direct", "certain"),
        ("docker-9f3.scope/system.slice/NetworkManager.service", "direct", "certain"),
    ] {
        let (mut story, link) = link();
        story.sets_down(&of_unit(unit, 901), &link).tell().last().verdict(rule, confidence);
    }
}

#[test]
fn programs_are_told_by_arguments_and_ancestors_and_never_for_certain() {
    let ancestors = [("ifreload", "ifupdown"), ("dhclient-script", "dhcp-client"), ("cron", "direct")];
    for (ancestor, rule) in ancestors {
        let (mut story, link) = link();
        let by = child_of(running(process("ip", 901), "ip link set macvlan0 down"), &process(ancestor, 880));
        story.sets_down(&by, &link).tell().last().is("/verdict/rule", rule);
    }
    let (mut story, link) = link();
    let by = running(process("python3", 901), "/usr/bin/python3 /usr/sbin/ifreload -a");
    story.sets_down(&by, &link).tell().last().verdict("ifupdown", "likely");
}

#[test]
fn the_dhcp_daemon_of_cni_is_told_only_outside_the_pod() {
    let daemon = running(process("dhcp", 901), "/usr/lib/cni/dhcp daemon");
    let in_pod = inside(daemon.clone(), 5, 1, 7);
    for (by, rule) in [(daemon, "dhcp-lease-ended"), (in_pod, "direct")] {
        let (mut story, link) = link();
        story.sets_down(&by, &link).tell().last().is("/verdict/rule", rule).culprit(&by);
    }
}

#[test]
fn what_one_container_does_to_anothers_link_is_the_wrong_target() {
    let group = |digit: &str| format!("/system.slice/docker-{}.scope", digit.repeat(64));
    let owner = in_cgroup(init("sh", 812), &group("b"));
    for (of, rule) in [("a", "wrong-target"), ("b", "direct")] {
        let link = macvlan("eth0", netns(1), 7);
        // A container's main process has the runtime's shim for its parent, and does not work for it.
        let shim = process("containerd-shim", 700);
        let by = in_cgroup(child_of(running(process("controller", 901), "controller"), &shim), &group(of));
        let mut story = Story::new();
        story.creates(&setup(), &link).sets_up(&setup(), &link).found_in(netns(1), &owner);
        story.deletes(&by, &link).tell().last().is("/verdict/rule", rule).culprit(&by);
    }
}

#[test]
fn a_link_that_moves_is_told_to_be_elsewhere() {
    let (mut story, link) = link();
    let by = ip("ip link set macvlan0 netns x");
    story.moves(&by, (netns(0), 7), &link.moved_to(netns(1), 2));
    story.tell().last().verdict("moved", "certain").culprit(&by);
}

#[test]
fn what_ifdown_has_others_do_is_one_incident_and_says_ifdown() {
    let (mut story, link) = link();
    let ifdown = process("ifdown", 890);
    let client = child_of(process("dhclient", 892), &child_of(process("sh", 891), &ifdown));
    let release = child_of(
        running(process("ip", 902), "ip -4 addr flush dev macvlan0"),
        &child_of(process("dhclient-script", 893), &client),
    );
    let ip =
        |args, pid| child_of(running(process("ip", pid), args), &child_of(process("sh", pid - 1), &ifdown));
    story.link(&release, LinkChange::AddressRemoved, &link, &[]);
    let told = story
        .sets_down(&ip("ip link set macvlan0 down", 904), &link)
        .deletes(&ip("ip link del macvlan0", 906), &link)
        .tell();
    let events = told.events();
    let broken = &events[events.len() - 3..];
    for event in broken {
        event
            .verdict("ifupdown", "likely")
            .is("/incident", broken[0].record["incident"].clone())
            .says("/verdict/remedy", "`ifup macvlan0`");
    }
    broken[0].says("/verdict/cause", "called by dhclient-script (PID 893)");
    broken[2].culprit(&ip("", 906)).says("/verdict/cause", "called by ifdown (PID 890), deleted macvlan0");
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
fn a_name_alone_is_nobody() {
    for comm in ["dockerd", "NetworkManager", "dhcpcd", "iwd"] {
        let (mut story, link) = link();
        let by = running(process(comm, 901), "ip link del macvlan0");
        story.deletes(&by, &link).tell().last().verdict("direct", "certain").culprit(&by);
    }
}

#[test]
fn a_fight_is_told_with_its_rounds_and_its_period() {
    let (mut story, link) = link();
    let (inside, outside) = (of_unit("a.service", 901), of_unit("b.service", 902));
    for _ in 0..3 {
        story.sets_up(&inside, &link).wait_ms(1_000).sets_down(&outside, &link).wait_ms(3_000);
    }
    let told = story.tell();
    let downs: Vec<_> = told.events().into_iter().filter(|event| event.record["event"] == "down").collect();
    downs[0].is("/verdict/rule", "direct");
    downs[2]
        .verdict("two-managers", "certain")
        .culprit(&outside)
        .says("/verdict/cause", "3 times, once in 4.0 s")
        .steps(&["up", "down", "up", "down", "up", "down"]);
}

#[test]
fn rounds_a_day_apart_are_no_fight() {
    let (mut story, link) = link();
    for _ in 0..3 {
        story.sets_up(&of_unit("a.service", 901), &link).wait_ms(1_000);
        story.sets_down(&of_unit("b.service", 902), &link).wait_ms(86_400_000);
    }
    let told = story.tell();
    assert!(told.events().iter().all(|event| event.record["verdict"]["rule"] == "direct"), "{told}");
}

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

#[test]
fn a_manager_that_sets_the_parent_down_is_told_with_where_it_says_why() {
    let (mut story, _) = link();
    let manager = of_unit("systemd-networkd.service", 500);
    let told = story.parent(&manager, LinkChange::Down, &eth0(), None, &[]).tell();
    told.last().verdict("parent-down", "certain").says("/verdict/remedy", "`networkctl status eth0`");
}

#[test]
fn a_person_is_told_by_a_terminal_and_a_daemon_has_none() {
    let (mut story, link) = link();
    let mut by = child_of(ip("ip link set macvlan0 down"), &process("sudo", 870));
    (by.tty, by.login_uid) = (Some(Text::from("pts0")), Some(1000));
    by = in_cgroup(by, "/user.slice/user-1000.slice/session-3.scope");
    story
        .sets_down(&by, &link)
        .tell()
        .last()
        .verdict("by-hand", "likely")
        .says("/verdict/cause", "by hand, logged in as user 1000, through sudo, at pts0");
    let (mut story, link) = self::link();
    story
        .sets_down(&in_cgroup(by, "/system.slice/cron.service"), &link)
        .tell()
        .last()
        .verdict("direct", "certain");
}

// Requests that fail, and other changes.

#[test]
fn an_address_that_is_taken_is_told_with_its_holder() {
    let (mut story, holder) = link();
    let wanting = Macvlan { ..macvlan("macvlan1", netns(0), 8) };
    let by = ip("ip link set macvlan1 up");
    story.creates(&by, &wanting);
    let fact = LinkFact { error: Some(98), ..wanting.fact(LinkChange::UpFailed, &by, &[]) };
    let told = story.fact(What::Link(Box::new(fact))).tell();
    told.last()
        .is("/event", "up_failed")
        .verdict("address-in-use", "certain")
        .nobody()
        .says("/verdict/cause", "macvlan0 has its hardware address 02:00:00:00:00:07");
    drop(holder);
}

#[test]
fn another_failure_is_no_address_in_use() {
    let (mut story, link) = link();
    let by = ip("ip link set macvlan0 up");
    let fact = LinkFact { error: Some(100), ..link.fact(LinkChange::UpFailed, &by, &[]) };
    story
        .fact(What::Link(Box::new(fact)))
        .tell()
        .last()
        .verdict("direct", "certain")
        .says("/verdict/cause", "could not set macvlan0 up (ENETDOWN)");
}

#[test]
fn changes_of_addresses_are_told_with_them() {
    let (mut story, link) = link();
    let by = ip("ip addr del");
    let address = Some(Address { ip: "192.0.2.7".parse().expect("an address"), prefix: 24 });
    let fact = LinkFact { address, ..link.fact(LinkChange::AddressRemoved, &by, &[]) };
    let told = story.fact(What::Link(Box::new(fact))).tell();
    told.last()
        .is("/event", "address_removed")
        .says("/verdict/cause", "removed the address 192.0.2.7/24 of macvlan0");

    let (mut story, mut link) = self::link();
    link.link.mac = Some([2, 0, 0, 0, 0, 9]);
    story
        .link(&by, LinkChange::MacChanged, &link, &[])
        .tell()
        .last()
        .verdict("mac-changed", "certain")
        .says("/verdict/cause", "from 02:00:00:00:00:07 to 02:00:00:00:00:09, 3.2 s after it was created");
}

// What does not happen.

#[test]
fn a_deleted_link_is_missed_once_and_only_if_it_stays_away() {
    let (mut story, link) = link();
    let other = macvlan("macvlan1", netns(0), 8);
    story.creates(&ip("ip"), &other).deletes(&ip("ip"), &link).deletes(&ip("ip"), &other).wait_ms(1_000);
    story.creates(&ip("ip"), &macvlan("macvlan1", netns(0), 9));
    let told = story.ticks_after_ms(28_000).ticks_after_ms(2_000).ticks_after_ms(60_000).tell();
    let notices = told.notices();
    assert_eq!(notices.len(), 1, "{told}");
    assert_eq!(notices[0]["rule"], "not-recreated", "{told}");
    assert!(
        notices[0]["message"]
            .as_str()
            .is_some_and(|text| text.starts_with("macvlan0 was deleted 31.0 s ago"))
    );
}

#[test]
fn memory_that_is_not_freed_is_told_where_frees_are_seen() {
    for (hooks, freed, wanted) in [
        (&["free_netdev"][..], false, true),
        (&["free_netdev"], true, false),
        (&["unregister"], false, false),
    ] {
        let (mut story, link) = link();
        story.fact(What::Hooks(hooks.iter().map(ToString::to_string).collect())).deletes(&ip("ip"), &link);
        if freed {
            story.fact(What::Freed { dev: link.link.dev.expect("it has an address") });
        }
        let told = story.ticks_after_ms(5_000).ticks_after_ms(6_000).ticks_after_ms(6_000).tell();
        let leaks = told.notices().iter().filter(|notice| notice["rule"] == "reference-leak").count();
        assert_eq!(leaks, usize::from(wanted), "{hooks:?}, {freed}: {told}");
    }
}

#[test]
fn what_is_to_be_pasted_is_harmless() {
    let (mut story, link) = link();
    let link = link.called("$(reboot)");
    let told = story.sets_down(&of_unit("NetworkManager.service", 901), &link).tell();
    let remedy = told.last().record["verdict"]["remedy"].clone();
    assert!(remedy.as_str().is_some_and(|text| text.contains("interface-name:LINK")), "{remedy}");
    assert_ne!(remedy, Value::Null);
}
