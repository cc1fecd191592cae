//! Looks up what only the machine knows: links and namespaces that were there before the tracer, names, symbols.
//!
//! The results enter the stream as facts. A fact that explains another one comes before it. Residents of a namespace
//! enter the stream when the ring is empty: the ring may still hold the namespace's end, and then the look at /proc
//! found a resident of its successor.

pub mod containers;
pub mod inventory;
pub mod netns_choice;
pub mod netns_name;
pub mod residents;
pub mod symbols;

mod asks;
mod mountinfo;
mod namespaces;
mod netlink;

use std::{collections::VecDeque, path::Path};

pub use inventory::{Inventory, KernelView};

use self::{
    asks::{cgroup_in, named_in, torn_down_in},
    containers::Containers,
    netns_name::Names,
    residents::Residents,
};
use crate::fact::{Fact, Ktime, Netns, NsInode, What};

/// Asks the machine what facts do not say.
#[derive(Debug)]
pub struct Lookup {
    names: Names,
    containers: Containers,
    residents: Residents,
}

impl Lookup {
    /// A lookup that has asked nothing yet. `root` is the folder that is taken for the machine's root, `host` the
    /// machine's own network namespace; processes are looked at only where /proc has the kernel's own process ids.
    #[must_use]
    pub fn new(root: &Path, host: Option<NsInode>, in_first_pidns: bool) -> Self {
        Self {
            names: Names::default(),
            containers: Containers::new(root),
            residents: Residents::new(host, in_first_pidns),
        }
    }

    /// Puts a fact into the stream, after the facts that explain it.
    pub fn explain(&mut self, fact: Fact, stream: &mut VecDeque<Fact>) {
        let at = fact.at;
        for netns in named_in(&fact.what) {
            if let Some(name) = self.names.look_up_new(netns) {
                stream.push_back(Fact { at, what: What::NetnsName { netns: *netns, name } });
            }
        }
        if let Some(container) = cgroup_in(&fact.what).and_then(|path| self.containers.look_up_new(path)) {
            stream.push_back(Fact { at, what: What::Container(container) });
        }
        match &fact.what {
            What::Link(_) => named_in(&fact.what).for_each(|netns| self.residents.expect_in(netns)),
            What::NetnsMove(change) => self.residents.entered(&change.to),
            What::Exit(exit) => self.residents.left(&exit.netns, exit.task.process.tgid),
            _ => {}
        }
        self.forget_ended(&fact);
        stream.push_back(fact);
    }

    /// If a fact shows the end of a namespace, forgets it: its address may belong to another one from now on.
    pub fn forget_ended(&mut self, fact: &Fact) {
        if let Some(netns) = torn_down_in(&fact.what) {
            self.residents.ended(&netns);
            self.names.ended(&netns);
        }
    }

    /// A namespace holds a link that was there before.
    pub fn expect_in(&mut self, netns: &Netns) {
        self.residents.expect_in(netns);
    }

    /// Time to look again for who lives where.
    pub fn tick(&mut self) {
        self.residents.tick();
    }

    /// Puts the residents that were found into the stream, now that the ring is empty.
    pub fn tell_found(&mut self, at: Ktime, stream: &mut VecDeque<Fact>) {
        for resident in self.residents.take_found() {
            self.explain(Fact { at, what: What::Resident(resident) }, stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fact::{LinkChange, Task},
        testing::story::{Story, in_cgroup, init, macvlan, netns, process, worker},
    };

    const WEB: &str = "9f3c1a2b4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8";

    /// A machine whose Docker knows a container, and on which that container's main process lives in a namespace.
    struct Machine {
        root: tempfile::TempDir,
    }

    impl Machine {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let docker = root.path().join("var/lib/docker/containers").join(WEB);
            std::fs::create_dir_all(&docker).unwrap();
            std::fs::write(docker.join("config.v2.json"), r#"{"Name":"/web"}"#).unwrap();
            Self { root }
        }

        /// The main process of the container, living in that namespace.
        fn has_main_process(&self, pid: u32, netns: Netns) {
            let folder = self.root.path().join("proc").join(pid.to_string());
            std::fs::create_dir_all(folder.join("ns")).unwrap();
            let inode = netns.inode.unwrap().0;
            std::os::unix::fs::symlink(format!("net:[{inode}]"), folder.join("ns/net")).unwrap();
            std::fs::write(folder.join("cgroup"), format!("0::/docker/{WEB}\n")).unwrap();
            std::fs::write(folder.join("stat"), format!("{pid} (sh) S {}7 0\n", "0 ".repeat(18))).unwrap();
            std::fs::write(folder.join("status"), format!("NSpid:\t{pid}\t1\n")).unwrap();
        }

        fn lookup(&self) -> Lookup {
            let proc = self.root.path().join("proc");
            Lookup {
                names: Names::default(),
                containers: Containers::new(self.root.path()),
                residents: Residents::of_proc(Some(NsInode(1)), Some(&proc)),
            }
        }
    }

    /// The stream that the facts of a story become; nobody is told who was found, as while the ring is never empty.
    fn explained(lookup: &mut Lookup, tell: impl FnOnce(&mut Story) -> &mut Story) -> VecDeque<Fact> {
        let mut story = Story::new();
        tell(&mut story);
        let mut stream = VecDeque::new();
        story.into_facts().into_iter().for_each(|fact| lookup.explain(fact, &mut stream));
        stream
    }

    fn kinds(stream: &VecDeque<Fact>) -> Vec<&'static str> {
        let kind = |fact: &Fact| match fact.what {
            What::Task(_) => "task",
            What::Link(_) => "link",
            What::Container(_) => "container",
            What::Resident(_) => "resident",
            What::NetnsEnd(_) => "end",
            _ => "other",
        };
        stream.iter().map(kind).collect()
    }

    fn of_web(pid: u32) -> Task {
        in_cgroup(init("sh", pid), &format!("/docker/{WEB}"))
    }

    #[test]
    fn what_a_runtimes_files_say_of_a_container_stands_before_the_task_and_once() {
        let (machine, link) = (Machine::new(), macvlan("eth0", netns(1), 7));
        let stream = explained(&mut machine.lookup(), |story| {
            story.creates(&of_web(812), &link).sets_up(&of_web(813), &link)
        });
        assert_eq!(kinds(&stream), ["container", "task", "link", "task", "link"]);
        assert!(matches!(&stream[0].what, What::Container(web) if web.name.as_deref() == Some("web")));
        assert_eq!(stream[0].at, stream[1].at);
    }

    #[test]
    fn who_lives_in_a_namespace_is_looked_for_at_a_tick_and_told_when_the_ring_is_empty() {
        let (machine, link) = (Machine::new(), macvlan("eth0", netns(1), 7));
        machine.has_main_process(812, netns(1));
        let mut lookup = machine.lookup();
        let mut stream = explained(&mut lookup, |story| story.creates(&process("ip", 901), &link));
        lookup.tell_found(Ktime(1), &mut stream);
        assert_eq!(kinds(&stream), ["task", "link"], "nobody has looked yet");
        lookup.tick();
        lookup.tell_found(Ktime(2), &mut stream);
        assert_eq!(kinds(&stream), ["task", "link", "container", "resident"]);
        lookup.tick();
        lookup.tell_found(Ktime(3), &mut stream);
        assert_eq!(stream.len(), 4, "it is told once");
    }

    #[test]
    fn whoever_was_found_is_not_told_if_the_end_of_the_namespace_was_still_in_the_ring() {
        let (machine, link) = (Machine::new(), macvlan("eth0", netns(1), 7));
        machine.has_main_process(812, netns(1));
        let mut lookup = machine.lookup();
        explained(&mut lookup, |story| story.creates(&process("ip", 901), &link));
        lookup.tick();
        // These records were written before the look, and are read after it.
        let mut stream = explained(&mut lookup, |story| story.is_torn_down(&link));
        lookup.tell_found(Ktime(1), &mut stream);
        assert!(!kinds(&stream).contains(&"resident"), "{:?}", kinds(&stream));
    }

    #[test]
    fn a_worker_starts_no_search() {
        let (machine, link) = (Machine::new(), macvlan("eth0", netns(1), 7));
        machine.has_main_process(812, netns(1));
        let mut lookup = machine.lookup();
        let mut stream =
            explained(&mut lookup, |story| story.link(&worker(), LinkChange::CarrierLost, &link, &[]));
        lookup.tick();
        lookup.tell_found(Ktime(1), &mut stream);
        assert_eq!(kinds(&stream), ["task", "link"]);
    }
}
