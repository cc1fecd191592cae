//! Parents, told in stories.

use serde_json::Value;

use crate::{
    fact::{Link, LinkChange},
    testing::story::{
        Story,
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

// The device that has the address of another one.

/// Another device at the address of one that is gone.
fn successor(of: &Link, name: &str) -> Link {
    Link { dev: of.dev, ..nic(name, netns(0), of.ifindex + 10) }
}

#[test]
fn a_device_at_the_address_of_a_veth_does_not_go_with_the_namespace_of_the_veths_other_end() {
    let veth = nic("par0", netns(0), 5);
    let (init, inside) = (init("sh", 812), netns(1));
    let mut old = macvlan("old", netns(0), 7);
    old.parent = Some(veth.clone());
    let mut story = Story::new();
    story.creates(&setup(), &old);
    story.parent(&setup(), LinkChange::Created, &veth, Some(&nic("peer0", inside, 2)), &[]);
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
    let veth = nic("par0", netns(0), 5);
    let mut link = macvlan("macvlan0", netns(0), 7);
    link.parent = Some(veth.clone());
    let mut story = Story::new();
    story.creates(&setup(), &link);
    story.parent(&setup(), LinkChange::Created, &veth, Some(&nic("peer0", inside, 2)), &[]);
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
