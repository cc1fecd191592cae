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
