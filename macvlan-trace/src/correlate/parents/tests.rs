//! Parents, told in stories.

use serde_json::Value;

use crate::{
    fact::{Link, LinkChange, LinkFact, What},
    testing::story::{
        Macvlan, Story,
        cast::{Container, container, dockerd, eth0, ip, kill, setup},
        init, macvlan, netns, nic, path, worker,
    },
    text::Text,
};

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
fn the_end_of_the_links_own_namespace_comes_before_a_parent_that_goes_with_it() {
    let Container { mut story, init, netns, link } = container();
    let link = link.losing_parent(nic("par1", netns, 3));
    story.exits(&init, netns, 0).drops(&init, netns, path::EXIT).is_torn_down(&link);
    story.tell().last().verdict("container-exited", "certain").culprit(&init).is("/victim/init/pid", 812);
}

/// The same device as one of that kind.
fn of_kind(kind: &str, device: Link) -> Link {
    Link { kind: Some(Text::from(kind)), ..device }
}

#[test]
fn a_vlan_on_a_veth_goes_with_the_namespace_of_the_other_end() {
    let (init, inside) = (init("sh", 812), netns(1));
    let (veth, peer) = (of_kind("veth", nic("w7", netns(0), 5)), of_kind("veth", nic("w8", inside, 2)));
    let vlan = of_kind("vlan", nic("v7", netns(0), 6));
    let mut link = macvlan("mv7", netns(0), 7);
    link.parent = Some(vlan.clone());
    // Without the notifier of 8021q, the VLAN went by itself, in a namespace of which nothing is known.
    let by_itself = ["unregister_netdevice_queue", "macvlan_dellink", "macvlan_device_event", "cleanup_net"];
    let with_veth = [&by_itself[..3], &["vlan_device_event", "cleanup_net"]].concat();
    for (way, culprit) in [(&with_veth[..], true), (&by_itself[..], false)] {
        let mut story = Story::new();
        story.creates(&setup(), &link);
        story.parent(&setup(), LinkChange::Created, &vlan, Some(&veth), &[]);
        story.parent(&setup(), LinkChange::Created, &veth, Some(&peer), &[]);
        story.wait_ms(1_000).exits(&init, inside, 3).drops(&init, inside, path::EXIT).wait_ms(2);
        let told =
            story.link(&worker(), LinkChange::Deleted, &link.clone().losing_parent(vlan.clone()), way).tell();
        if culprit {
            told.last()
                .verdict("container-exited", "certain")
                .culprit(&init)
                .says("/verdict/cause", "with that w8, w7 and v7, the parent of mv7")
                .steps(&[
                    "exit",
                    "netns_end",
                    "parent_deleted",
                    "parent_deleted",
                    "parent_deleted",
                    "deleted",
                ]);
        } else {
            told.last().nobody();
        }
    }
}

#[test]
fn a_device_that_is_deleted_takes_along_what_stands_on_what_stands_on_it() {
    let vlan = of_kind("vlan", nic("p0.10", netns(0), 5));
    let vxlan = of_kind("vxlan", nic("vx0", netns(0), 6));
    let mut link = macvlan("mv0", netns(1), 7);
    link.parent = Some(vxlan.clone());
    let by = ip("ip link del p0.10");
    let alone = ["unregister_netdevice_queue", "macvlan_dellink", "macvlan_device_event", "rtnl_dellink"];
    let along = [&alone[..3], &["vxlan_netdevice_event", "rtnl_dellink"]].concat();
    for (way, said) in [
        (&along[..], "removed p0.10, and with that vx0, the parent of mv0, which went with it"),
        (&alone[..], "removed the parent vx0 of mv0"),
    ] {
        let mut story = Story::new();
        story.creates(&setup(), &link);
        story.parent(&setup(), LinkChange::Created, &vxlan, Some(&vlan), &[]);
        story.link(&by, LinkChange::Deleted, &link.clone().losing_parent(vxlan.clone()), way);
        story.tell().last().verdict("parent-deleted", "certain").culprit(&by).says("/verdict/cause", said);
    }
}

#[test]
fn a_bridge_that_loses_its_last_port_leads_to_who_ended_the_namespace_behind_it() {
    let (init, inside, killer) = (init("sh", 812), netns(1), ip("kill -9 812"));
    let bridge = of_kind("bridge", nic("br0", netns(0), 4));
    let (port, peer) = (of_kind("veth", nic("v0", netns(0), 5)), of_kind("veth", nic("v1", inside, 2)));
    let mut link = macvlan("mv0", netns(0), 7);
    link.parent = Some(bridge.clone());
    let mut story = Story::new();
    story.creates(&setup(), &link).sets_up(&setup(), &link);
    story.parent(&setup(), LinkChange::Created, &bridge, Some(&port), &[]);
    // The other end goes into the namespace only now.
    let before = Link { netns: Some(netns(0)), ifindex: 6, ..peer.clone() };
    story.parent(&setup(), LinkChange::Created, &port, Some(&before), &[]);
    let moved = LinkFact {
        from: Some((netns(0), 6)),
        ..Macvlan { link: peer, parent: Some(port.clone()) }.fact(LinkChange::Moved, &setup(), &[])
    };
    story.fact(What::Parent(Box::new(moved)));
    story.wait_ms(1_000).sends(&killer, 9, &init, inside).dies(&init, inside, 9).drops(
        &init,
        inside,
        path::EXIT,
    );
    let way = ["netif_carrier_off", "br_stp_disable_port", "dev_close_many", "cleanup_net"];
    story.parent(&worker(), LinkChange::CarrierLost, &bridge, Some(&port), &way).wait_ms(1);
    story
        .link(&worker(), LinkChange::CarrierLost, &link, path::LINKWATCH)
        .tell()
        .last()
        .is("/event", "carrier_lost")
        .verdict("container-killed", "certain")
        .culprit(&killer)
        .says("/verdict/cause", "with that the bridge br0, the parent of mv0, lost its last port v0");
}

#[test]
fn a_parent_that_a_runtime_clears_away_after_its_container_leads_to_who_ended_that() {
    for (by, rule, incidents) in
        [(dockerd(), "container-killed", 1), (ip("ip link del"), "parent-deleted", 2)]
    {
        let Container { mut story, init: outer, netns: outside, .. } = container();
        let (eth0, elsewhere) = (of_kind("veth", nic("eth0", outside, 2)), netns(5));
        let mut link = macvlan("mv0", elsewhere, 7);
        link.parent = Some(eth0.clone());
        story.creates(&setup(), &link).sets_up(&setup(), &link).wait_ms(1_000);
        story.sends(&kill(), 9, &outer, outside).dies(&outer, outside, 9).wait_ms(20);
        // A runtime takes the link of a container back to the host, and deletes it there.
        let taken = Link { netns: Some(netns(0)), ifindex: 30, flags: 0x1002, name: "veth07".into(), ..eth0 };
        story.parent_moves(&by, (outside, 2), &taken).wait_ms(5);
        let told = story.link(&by, LinkChange::Deleted, &link.losing_parent(taken), path::CASCADE).tell();
        let events: Vec<_> =
            told.events().into_iter().filter(|event| event.record["link"]["name"] == "mv0").collect();
        let [.., down, deleted] = &events[..] else { panic!("{told}") };
        assert_eq!(down.record["event"], "parent_down");
        let same = usize::from(down.record["incident"] != deleted.record["incident"]) + 1;
        assert_eq!(same, incidents, "{told}");
        deleted.is("/verdict/rule", rule);
        if incidents == 1 {
            let who = "dockerd (PID 700) then cleared the parent veth07 of mv0 away";
            deleted.culprit(&kill()).says("/verdict/cause", who).is("/verdict/confidence", "likely");
            down.culprit(&kill()).is("/verdict/rule", rule);
        } else {
            deleted.culprit(&by);
        }
    }
}

#[test]
fn a_veth_that_goes_with_the_namespace_of_its_other_end_leads_to_who_ended_that() {
    let (init, inside) = (init("sh", 812), netns(1));
    let (veth, peer) = (of_kind("veth", nic("par0", netns(0), 5)), of_kind("veth", nic("peer0", inside, 2)));
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

// The device that has the address of another one.

/// Another device at the address of one that is gone.
fn successor(of: &Link, name: &str) -> Link {
    Link { dev: of.dev, ..nic(name, netns(0), of.ifindex + 10) }
}

#[test]
fn a_device_at_the_address_of_a_veth_does_not_go_with_the_namespace_of_the_veths_other_end() {
    let veth = of_kind("veth", nic("par0", netns(0), 5));
    let (init, inside) = (init("sh", 812), netns(1));
    let mut old = macvlan("old", netns(0), 7);
    old.parent = Some(veth.clone());
    let mut story = Story::new();
    story.creates(&setup(), &old);
    story.parent(&setup(), LinkChange::Created, &veth, Some(&of_kind("veth", nic("peer0", inside, 2))), &[]);
    story.deletes(&setup(), &old).exits(&init, inside, 3).drops(&init, inside, path::EXIT);
    // A dummy in a namespace whose end is not seen.
    let dummy = Link { dev: veth.dev, ..nic("par1", netns(2), 5) };
    let mut new = macvlan("new", netns(0), 8);
    new.parent = Some(dummy.clone());
    story.creates(&setup(), &new);
    let path = &["unregister_netdevice_queue", "macvlan_dellink", "macvlan_device_event", "cleanup_net"];
    story
        .link(&worker(), LinkChange::Deleted, &new.losing_parent(dummy), path)
        .tell()
        .last()
        .is("/link/name", "new")
        .nobody();
}

#[test]
fn a_veth_that_was_moved_goes_with_the_namespace_of_its_other_end_all_the_same() {
    let (init, inside) = (init("sh", 812), netns(1));
    let veth = of_kind("veth", nic("par0", netns(0), 5));
    let mut link = macvlan("macvlan0", netns(0), 7);
    link.parent = Some(veth.clone());
    let mut story = Story::new();
    story.creates(&setup(), &link);
    story.parent(&setup(), LinkChange::Created, &veth, Some(&of_kind("veth", nic("peer0", inside, 2))), &[]);
    let moved = Link { netns: Some(netns(3)), ifindex: 9, ..veth };
    story.parent_moves(&setup(), (netns(0), 5), &moved);
    story.exits(&init, inside, 3).drops(&init, inside, path::EXIT);
    let path = &["unregister_netdevice_queue", "macvlan_dellink", "macvlan_device_event", "cleanup_net"];
    story
        .link(&worker(), LinkChange::Deleted, &link.losing_parent(moved), path)
        .tell()
        .last()
        .verdict("container-exited", "certain")
        .culprit(&init);
}

#[test]
fn a_device_at_the_address_of_another_one_has_not_its_past() {
    let (ip, old) = (ip("ip link set eth0 down"), eth0());
    let new = successor(&old, "eth1");
    // A worker sets a VLAN down for what lies below it, which nobody was seen setting down.
    let vlan = nic("vlan7", netns(0), 20);
    let mut link = macvlan("macvlan0", netns(0), 7);
    link.parent = Some(vlan.clone());
    let path = ["netif_change_flags", "vlan_dev_work", "process_one_work"];
    let told = |below: &Link| {
        let mut story = Story::new();
        story.creates(&setup(), &link).parent(&ip, LinkChange::Down, &old, None, &[]);
        story.parent(&worker(), LinkChange::Down, &vlan, Some(below), &path).tell()
    };
    told(&old).last().is("/event", "parent_down").culprit(&ip);
    told(&new).last().is("/event", "parent_down").nobody();
}

#[test]
fn a_carrier_that_comes_back_is_told_although_another_device_came_up_at_the_parents_address() {
    let (ip, old) = (ip("ip link set eth0 up"), eth0());
    let new = successor(&old, "eth1");
    let told = |parent: &Link| {
        let mut link = macvlan("macvlan0", netns(0), 7);
        link.parent = Some(parent.clone());
        let mut story = Story::new();
        story.creates(&setup(), &link).parent(&ip, LinkChange::Up, &old, None, &[]);
        story.link(&ip, LinkChange::CarrierBack, &link, &["netif_carrier_on", "dev_open"]).tell()
    };
    told(&old).last().is("/event", "parent_up");
    told(&new).last().is("/event", "carrier_back");
}

#[test]
fn a_link_that_another_one_stands_on_is_its_parent() {
    let (by, macvlan0) = (ip("ip link set macvlan0 down"), macvlan("macvlan0", netns(0), 7));
    let mut on_it = macvlan("ipvlan0", netns(0), 8).of_kind("ipvlan");
    on_it.parent = Some(macvlan0.link.clone());
    let beside = macvlan("macvlan1", netns(0), 9);
    let mut story = Story::new();
    for link in [&macvlan0, &beside, &on_it] {
        story.creates(&by, link).sets_up(&by, link);
    }
    let told = story.sets_down(&by, &macvlan0).tell();
    let [.., down, parent_down] = &told.events()[..] else { panic!("{told}") };
    down.is("/event", "down").is("/link/name", "macvlan0");
    parent_down
        .is("/event", "parent_down")
        .is("/link/name", "ipvlan0")
        .is("/link/parent/name", "macvlan0")
        .verdict("parent-down", "certain")
        .culprit(&by);
    assert_eq!(told.events().len(), 8, "{told}");
}
