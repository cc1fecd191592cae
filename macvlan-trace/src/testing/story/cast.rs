//! The processes and links in many stories.

use super::{Macvlan, Story, Told, child_of, in_cgroup, init, macvlan, netns, nic, path, process, running};
use crate::{
    fact::{Link, LinkChange, Netns, Task},
    text::Text,
};

/// A container that runs: its main process, its network namespace, its link that is up.
pub struct Container {
    pub story: Story,
    pub init: Task,
    pub netns: Netns,
    pub link: Macvlan,
}

/// A container whose runtime, a process of the host, made the link outside and moved it in.
pub fn container() -> Container {
    container_of(init("sh", 812))
}

/// The same with that main process.
pub fn container_of(init: Task) -> Container {
    let netns = netns(1);
    let (outside, link) = (macvlan("macvlan0", self::netns(0), 7), macvlan("macvlan0", self::netns(0), 7));
    let link = link.moved_to(netns, 2);
    let mut story = Story::new();
    story.creates(&dockerd(), &outside).moves(&dockerd(), (self::netns(0), 7), &link).sets_up(&init, &link);
    story.wait_ms(3_200);
    Container { story, init, netns, link }
}

/// A namespace with a name and a link, without processes.
pub fn named() -> Container {
    let (netns, link) = (netns(1), macvlan("macvlan0", netns(1), 2));
    let mut story = Story::new();
    story.named(netns, "blue").creates(&ip("ip link add"), &link);
    Container { story, init: process("nobody", 1), netns, link }
}

/// A link on eth0 that is up, in the machine's own namespace, and the story so far.
pub fn link() -> (Story, Macvlan) {
    let link = macvlan("macvlan0", netns(0), 7);
    let mut story = Story::new();
    story.creates(&setup(), &link).sets_up(&setup(), &link).wait_ms(3_200);
    (story, link)
}

/// The parent of links, a card with a driver.
pub fn eth0() -> Link {
    Link { driver: Some(Text::from("virtio_net")), ..nic("eth0", netns(0), 2) }
}

/// The output when a task deletes the parent of that link, through that kernel function.
pub fn deletes_parent(by: &Task, through: &str) -> Told {
    deletes_parent_through(by, &[through])
}

/// The same through several functions, innermost first.
pub fn deletes_parent_through(by: &Task, functions: &[&str]) -> Told {
    let (mut story, link) = link();
    let frames: Vec<_> = path::CASCADE.iter().chain(functions).copied().collect();
    story.link(by, LinkChange::Deleted, &link.losing_parent(eth0()), &frames).tell()
}

/// A process that makes a link, and has nothing to do with its end.
pub fn setup() -> Task {
    in_cgroup(process("setup", 600), "/system.slice/setup.service")
}

/// A daemon of a runtime, outside any unit of its own.
pub fn dockerd() -> Task {
    running(process("dockerd", 700), "/usr/bin/dockerd -H fd://")
}

/// The same as a unit of systemd's.
pub fn docker_service() -> Task {
    in_cgroup(running(process("dockerd", 701), "/usr/bin/dockerd -H fd://"), "/system.slice/docker.service")
}

/// What `docker stop`, `docker kill` and a dockerd that ends make containerd's shim call.
pub fn runc() -> Task {
    let shim = in_cgroup(process("containerd-shim", 790), "/system.slice/containerd.service");
    child_of(running(process("runc", 791), "runc --root /run/docker/runtime-runc/moby kill"), &shim)
}

/// The first process of a machine with systemd.
pub fn systemd() -> Task {
    in_cgroup(running(process("systemd", 1), "/sbin/init"), "/init.scope")
}

/// A process that kills the main process of a container.
pub fn kill() -> Task {
    running(process("kill", 900), "kill -9 812")
}

/// `ip` with that command line, called by a shell.
pub fn ip(args: &str) -> Task {
    child_of(running(process("ip", 901), args), &process("bash", 880))
}

/// `ip` in the control group of a unit.
pub fn of_unit(unit: &str, pid: u32) -> Task {
    in_cgroup(running(process("ip", pid), "ip link"), &format!("/system.slice/{unit}"))
}
