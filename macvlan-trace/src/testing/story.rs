//! Stories for tests: facts as the kernel and the lookups send them, and the output that they lead to.
//!
//! Facts are the only input. So every story also runs a second time from a copy that went through a record, and the output
//! has to be the same.

pub mod cast;
mod told;

use std::{
    collections::HashSet,
    io::{self, Write},
    iter,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use self::told::Told;
use crate::{
    fact::{
        Address, AddressFact, Ancestor, Begin, Cgroup, Exit, ExitStatus, Fact, Hook, Ktime, Link, LinkChange,
        LinkFact, Netns, NetnsEnd, NetnsMove, NsInode, Oom, Own, ProcessId, Resident, Signal, Stock, Task,
        TaskRef, What,
    },
    pipeline::{Pipeline, View},
    record::{Encoder, Item, Reader},
    sink::{Direct, json::Json},
    text::Text,
};

/// The tracer's own process id, inside its own pid namespace.
pub const OWN_PID: u32 = 4000;
/// Inode number of the first pid namespace.
pub const HOST_PIDNS: NsInode = NsInode(4_026_531_836);
/// How long after boot a story begins.
const BEGIN: u64 = 90_000_000_000;

/// Kernel paths, innermost first.
pub mod path {
    /// A process exits.
    pub const EXIT: &[&str] = &["__put_net", "free_nsproxy", "do_exit", "do_group_exit"];
    /// A process unmounts it.
    pub const UNMOUNT: &[&str] =
        &["netns_put", "evict", "dput", "cleanup_mnt", "task_work_run", "do_syscall_64"];
    /// A process closes its file.
    pub const CLOSE: &[&str] = &["netns_put", "evict", "dput", "__fput", "task_work_run", "do_syscall_64"];
    /// A process goes elsewhere.
    pub const SWITCH: &[&str] = &["__put_net", "free_nsproxy", "switch_task_namespaces", "__x64_sys_setns"];
    /// A socket is freed later, on top of whoever is interrupted.
    pub const SOFTIRQ: &[&str] =
        &["__put_net", "__sk_destruct", "rcu_do_batch", "rcu_core", "handle_softirqs", "do_exit"];
    /// A worker tears a namespace down.
    pub const CLEANUP: &[&str] =
        &["unregister_netdevice_queue", "macvlan_dellink", "default_device_exit_batch", "cleanup_net"];
    /// A request by netlink.
    pub const NETLINK: &[&str] = &["unregister_netdevice_queue", "macvlan_dellink", "rtnl_dellink"];
    /// The parent goes, and its children with it.
    pub const CASCADE: &[&str] =
        &["unregister_netdevice_queue", "macvlan_dellink", "macvlan_device_event", "notifier_call_chain"];
    /// A request for a link that fails after the link was made.
    pub const UNDO: &[&str] =
        &["unregister_netdevice_queue", "macvlan_common_newlink", "rtnl_newlink_create", "rtnl_newlink"];
    /// The driver is unloaded.
    pub const UNLOAD: &[&str] =
        &["unregister_netdevice_queue", "macvlan_dellink", "__rtnl_link_unregister", "rtnl_link_unregister"];
    /// The driver of a card takes its carrier away.
    pub const DRIVER: &[&str] = &["netif_carrier_off", "virtnet_config_changed_work", "process_one_work"];
    /// A link loses its carrier after its parent.
    pub const LINKWATCH: &[&str] =
        &["netif_carrier_off", "macvlan_device_event", "linkwatch_do_dev", "process_one_work"];
}

/// The network namespace with that number; number 0 is the host's.
pub fn netns(number: u32) -> Netns {
    Netns {
        ptr: 0xffff_8880_0000_0000 + u64::from(number) * 0x1000,
        cookie: Some(u64::from(number) + 1),
        inode: Some(NsInode(4_026_531_840 + number)),
    }
}

/// The next namespace at the same address and with the same inode number.
pub fn next_at(netns: Netns) -> Netns {
    Netns { cookie: netns.cookie.map(|cookie| cookie + 1000), ..netns }
}

/// The same, as a kernel without cookies shows it.
pub fn without_cookie(netns: Netns) -> Netns {
    Netns { cookie: None, ..netns }
}

/// A process of the host; its first thread.
pub fn process(comm: &str, pid: u32) -> Task {
    Task {
        task: TaskRef {
            process: ProcessId { tgid: pid, start: Ktime(1_000_000 * u64::from(pid)) },
            tid: pid,
            comm: Text::from(comm),
            kthread: false,
            ns_tgid: Some(pid),
            pidns: Some(HOST_PIDNS),
            pidns_level: 0,
        },
        args: Some(vec![Text::from(comm)]),
        exe: Some(Text::from(format!("/usr/bin/{comm}").as_str())),
        uid: Some(0),
        login_uid: None,
        ancestors: Vec::new(),
        cgroup: Cgroup { id: Some(4711), path: Some(Text::from("/system.slice/test.service")) },
        netns: Some(netns(0)),
        mntns: None,
        tty: None,
    }
}

/// The main process of a container: the init of a pid namespace of its own, whose number is the process id.
pub fn init(comm: &str, pid: u32) -> Task {
    inside(process(comm, pid), pid, 1, 1)
}

/// A process inside the pid namespace of that number and depth, by its id there.
pub fn inside(mut task: Task, pidns: u32, level: u32, pid: u32) -> Task {
    task.task.ns_tgid = Some(pid);
    task.task.pidns = Some(NsInode(4_026_540_000 + pidns));
    task.task.pidns_level = level;
    task
}

/// With that command line.
pub fn running(mut task: Task, args: &str) -> Task {
    task.args = Some(args.split(' ').map(Text::from).collect());
    task
}

/// Started by that process.
pub fn child_of(mut task: Task, parent: &Task) -> Task {
    let nearest = Ancestor { process: parent.task.process, comm: parent.task.comm.clone() };
    task.ancestors = [nearest].into_iter().chain(parent.ancestors.iter().cloned()).collect();
    task
}

/// Started at that time; by default, processes are older than the story.
pub fn started(mut task: Task, at_ns: u64) -> Task {
    task.task.process.start = Ktime(at_ns);
    task
}

/// In that control group.
pub fn in_cgroup(mut task: Task, path: &str) -> Task {
    task.cgroup.path = Some(Text::from(path));
    task
}

/// Another thread of it.
pub fn thread(mut task: Task, tid: u32) -> Task {
    task.task.tid = tid;
    task
}

/// The kernel's thread that tears namespaces down.
pub fn worker() -> Task {
    let mut task = process("kworker/u8:2", 58);
    task.task.kthread = true;
    (task.args, task.exe) = (None, None);
    task
}

/// The idle task, which has process id 0; its flags do not say that it is a kernel thread.
pub fn swapper() -> Task {
    let mut task = process("swapper/0", 0);
    (task.args, task.exe) = (None, None);
    task
}

/// The tracer itself.
pub fn tracer() -> Task {
    process("macvlan-trace", OWN_PID)
}

/// A link that stands on another; the address of its device comes from its index.
#[derive(Clone)]
pub struct Macvlan {
    pub link: Link,
    pub parent: Option<Link>,
}

/// A macvlan link on the host's eth0.
pub fn macvlan(name: &str, netns: Netns, ifindex: u32) -> Macvlan {
    let link = Link {
        dev: Some(0xffff_8881_0000_0000 + u64::from(ifindex) * 0x1000),
        netns: Some(netns),
        ifindex,
        name: Text::from(name),
        kind: Some(Text::from("macvlan")),
        flags: 0x1003,
        operstate: None,
        registered: true,
        mac: Some([2, 0, 0, 0, 0, 7]),
        mode: Some(4),
        protodown: Some(false),
        driver: None,
    };
    Macvlan { link, parent: Some(nic("eth0", self::netns(0), 2)) }
}

/// A link that is no macvlan.
pub fn nic(name: &str, netns: Netns, ifindex: u32) -> Link {
    Link {
        dev: Some(0xffff_8882_0000_0000 + u64::from(ifindex) * 0x1000),
        netns: Some(netns),
        ifindex,
        name: Text::from(name),
        kind: None,
        flags: 0x1003,
        operstate: None,
        registered: true,
        mac: None,
        mode: None,
        protodown: Some(false),
        driver: None,
    }
}

impl Macvlan {
    /// Its parent's deletion has begun.
    pub fn losing_parent(mut self, parent: Link) -> Self {
        self.parent = Some(Link { registered: false, ..parent });
        self
    }

    /// The same device under another name.
    pub fn called(mut self, name: &str) -> Self {
        self.link.name = Text::from(name);
        self
    }

    /// The same device elsewhere.
    pub fn moved_to(mut self, netns: Netns, ifindex: u32) -> Self {
        self.link.netns = Some(netns);
        self.link.ifindex = ifindex;
        self
    }

    /// The same device of another kind.
    pub fn of_kind(mut self, kind: &str) -> Self {
        self.link.kind = Some(kind.into());
        self
    }

    /// As it was wanted, and not made.
    pub fn unmade(mut self) -> Self {
        self.link = Link { dev: None, ifindex: 0, flags: 0, registered: false, ..self.link };
        self
    }

    /// The device at another address.
    pub fn at(mut self, dev: u64) -> Self {
        self.link.dev = Some(dev);
        self
    }

    /// As a dump shows it, without an address.
    fn dumped(&self) -> Stock {
        Stock { link: Link { dev: None, ..self.link.clone() }, parent: self.parent.clone() }
    }

    /// The fact of a change.
    pub fn fact(&self, change: LinkChange, by: &Task, path: &[&str]) -> LinkFact {
        LinkFact {
            task: by.task.clone(),
            change,
            probe: "unregister_netdevice_queue".to_owned(),
            link: self.link.clone(),
            flags_after: self.link.flags & !1,
            parent: self.parent.clone(),
            from: None,
            error: None,
            message: None,
            wanted: None,
            held_by: None,
            address: None,
            is_last_address: false,
            path: path.iter().copied().map(Some).collect(),
        }
    }
}

/// Facts, in order.
pub struct Story {
    at: u64,
    begin: Fact,
    facts: Vec<Fact>,
    /// Tasks whose whole record was sent.
    introduced: HashSet<(ProcessId, u32)>,
}

impl Story {
    pub fn new() -> Self {
        Self { at: BEGIN, begin: begin(&ENDS), facts: Vec::new(), introduced: HashSet::new() }
    }

    /// The tracer has only these hooks.
    pub fn hooked(&mut self, hooks: &[&str]) -> &mut Self {
        self.begin = begin(hooks);
        self
    }

    /// The tracer could not attach this hook.
    pub fn lacks(&mut self, hook: &str) -> &mut Self {
        if let What::Begin(begin) = &mut self.begin.what {
            begin.hooks.push(Hook { name: hook.to_owned(), symbol: None, lost: Some("it".to_owned()) });
        }
        self
    }

    /// The time, in nanoseconds since boot.
    pub fn now(&self) -> u64 {
        self.at
    }

    /// Lets time pass.
    pub fn wait_ms(&mut self, ms: u64) -> &mut Self {
        self.at += ms * 1_000_000;
        self
    }

    /// Lets the next facts have an earlier time, from another CPU: the ring keeps the order in which records were
    /// finished.
    pub fn step_back_ms(&mut self, ms: u64) -> &mut Self {
        self.at -= ms * 1_000_000;
        self
    }

    /// Adds a fact, a millisecond after the one before.
    pub fn fact(&mut self, what: What) -> &mut Self {
        self.at += 1_000_000;
        self.facts.push(Fact { at: Ktime(self.at), what });
        self
    }

    /// Adds a fact in which a task acts.
    pub fn acts(&mut self, by: &Task, what: What) -> &mut Self {
        self.introduce(by);
        self.fact(what)
    }

    /// Sends the complete task before the first record that refers to it.
    fn introduce(&mut self, task: &Task) {
        if self.introduced.insert((task.task.process, task.task.tid)) {
            self.facts.push(Fact { at: Ktime(self.at), what: What::Task(Box::new(task.clone())) });
        }
    }

    /// A link changes; with the path, where that matters.
    pub fn link(&mut self, by: &Task, change: LinkChange, link: &Macvlan, path: &[&str]) -> &mut Self {
        self.introduce(by);
        self.fact(What::Link(Box::new(link.fact(change, by, path))))
    }

    pub fn creates(&mut self, by: &Task, link: &Macvlan) -> &mut Self {
        self.link(by, LinkChange::Created, link, &[])
    }

    pub fn sets_up(&mut self, by: &Task, link: &Macvlan) -> &mut Self {
        self.link(by, LinkChange::Up, link, &[])
    }

    pub fn sets_down(&mut self, by: &Task, link: &Macvlan) -> &mut Self {
        self.link(by, LinkChange::Down, link, &[])
    }

    pub fn deletes(&mut self, by: &Task, link: &Macvlan) -> &mut Self {
        self.link(by, LinkChange::Deleted, link, path::NETLINK)
    }

    /// A worker deletes it with its namespace.
    pub fn is_torn_down(&mut self, link: &Macvlan) -> &mut Self {
        self.link(&worker(), LinkChange::Deleted, link, path::CLEANUP)
    }

    /// It gets another name: `link` has it already.
    pub fn renames(&mut self, by: &Task, link: &Macvlan) -> &mut Self {
        self.link(by, LinkChange::Renamed, link, &[])
    }

    /// It moves: `link` is in its new place, and was at `from` before.
    pub fn moves(&mut self, by: &Task, from: (Netns, u32), link: &Macvlan) -> &mut Self {
        self.introduce(by);
        let fact = LinkFact { from: Some(from), ..link.fact(LinkChange::Moved, by, &[]) };
        self.fact(What::Link(Box::new(fact)))
    }

    /// It gets an address, at somebody's request if the path says so.
    pub fn gets_address(&mut self, by: &Task, link: &Macvlan, address: Address, path: &[&str]) -> &mut Self {
        let LinkFact { task, link, path, .. } = link.fact(LinkChange::Up, by, path);
        self.acts(by, What::Address(Box::new(AddressFact { task, link, address, added: true, path })))
    }

    /// It loses an address while it is up.
    pub fn loses_address(&mut self, by: &Task, link: &Macvlan, address: Address, path: &[&str]) -> &mut Self {
        let lost = link.fact(LinkChange::AddressRemoved, by, path);
        self.acts(by, What::Link(Box::new(LinkFact { address: Some(address), ..lost })))
    }

    /// A parent changes; `other` is the other end, if it is a veth.
    pub fn parent(
        &mut self,
        by: &Task,
        change: LinkChange,
        parent: &Link,
        other: Option<&Link>,
        path: &[&str],
    ) -> &mut Self {
        self.introduce(by);
        let device = Macvlan { link: parent.clone(), parent: other.cloned() };
        self.fact(What::Parent(Box::new(device.fact(change, by, path))))
    }

    /// A parent moves: `parent` is in its new place, and was at `from` before.
    pub fn parent_moves(&mut self, by: &Task, from: (Netns, u32), parent: &Link) -> &mut Self {
        self.introduce(by);
        let device = Macvlan { link: parent.clone(), parent: None };
        let fact = LinkFact { from: Some(from), ..device.fact(LinkChange::Moved, by, &[]) };
        self.fact(What::Parent(Box::new(fact)))
    }

    /// Memory runs out: in a control group, or on the machine.
    pub fn runs_out_of_memory(&mut self, target: &Task, netns: Netns, limit: Option<&str>) -> &mut Self {
        let limit = limit.map(|path| Cgroup { id: Some(4712), path: Some(Text::from(path)) });
        self.introduce(target);
        self.fact(What::Oom(Oom { task: target.task.clone(), target: target.task.clone(), netns, limit }))
    }

    /// Time passes, and the clock ticks.
    pub fn ticks_after_ms(&mut self, ms: u64) -> &mut Self {
        self.wait_ms(ms).fact(What::Tick)
    }

    /// A process of a namespace exits with a code.
    pub fn exits(&mut self, task: &Task, netns: Netns, code: u8) -> &mut Self {
        self.ends_with(task, netns, ExitStatus::Code(code))
    }

    /// A signal ends a process of a namespace.
    pub fn dies(&mut self, task: &Task, netns: Netns, signal: u8) -> &mut Self {
        self.ends_with(task, netns, ExitStatus::Signal(signal))
    }

    /// A signal ends a process of a namespace, and its core is dumped.
    pub fn dumps_core(&mut self, task: &Task, netns: Netns, signal: u8) -> &mut Self {
        self.introduce(task);
        let status = ExitStatus::Signal(signal);
        self.fact(What::Exit(Exit {
            task: task.task.clone(),
            netns,
            status,
            core_dumped: true,
            only_thread: false,
            elsewhere: false,
        }))
    }

    fn ends_with(&mut self, task: &Task, netns: Netns, status: ExitStatus) -> &mut Self {
        self.introduce(task);
        self.fact(What::Exit(Exit {
            task: task.task.clone(),
            netns,
            status,
            core_dumped: false,
            only_thread: false,
            elsewhere: false,
        }))
    }

    /// A process ends on which others depend, in a namespace that is not watched.
    pub fn exits_elsewhere(&mut self, task: &Task) -> &mut Self {
        self.exits(task, netns(0), 0);
        if let Some(Fact { what: What::Exit(exit), .. }) = self.facts.last_mut() {
            exit.elsewhere = true;
        }
        self
    }

    /// A process sends a signal.
    pub fn sends(&mut self, sender: &Task, number: u32, target: &Task, netns: Netns) -> &mut Self {
        self.introduce(sender);
        self.signal(Some(sender.task.clone()), number, target, netns)
    }

    /// A process sends a signal that the other ignores.
    pub fn sends_in_vain(&mut self, sender: &Task, number: u32, target: &Task, netns: Netns) -> &mut Self {
        self.sends(sender, number, target, netns);
        if let Some(Fact { what: What::Signal(signal), .. }) = self.facts.last_mut() {
            signal.ignored = true;
        }
        self
    }

    /// The kernel sends a signal.
    pub fn kernel_sends(&mut self, number: u32, target: &Task, netns: Netns) -> &mut Self {
        self.signal(None, number, target, netns)
    }

    /// The kernel sends a signal of a terminal, in the context of a process.
    pub fn hangs_up(&mut self, by: &Task, number: u32, target: &Task, netns: Netns) -> &mut Self {
        self.introduce(by);
        self.kernel_sends(number, target, netns);
        if let Some(Fact { what: What::Signal(signal), .. }) = self.facts.last_mut() {
            signal.within = Some(by.task.clone());
        }
        self
    }

    /// A process inside the pid namespace of an init powers the namespace off.
    pub fn is_powered_off(&mut self, init: &Task, netns: Netns) -> &mut Self {
        let target = init.task.clone();
        let for_inside = true;
        self.fact(What::Signal(Signal {
            sender: None,
            target,
            netns,
            number: 9,
            ignored: false,
            elsewhere: false,
            for_inside,
            within: None,
        }))
        .dies(init, netns, 9)
    }

    fn signal(&mut self, sender: Option<TaskRef>, number: u32, target: &Task, netns: Netns) -> &mut Self {
        let (target, ignored, for_inside) = (target.task.clone(), false, false);
        let (within, elsewhere) = (None, false);
        self.fact(What::Signal(Signal {
            sender,
            target,
            netns,
            number,
            ignored,
            for_inside,
            within,
            elsewhere,
        }))
    }

    /// A process, with all its threads, goes from one namespace to another.
    pub fn goes(&mut self, task: &Task, from: Netns, to: Netns) -> &mut Self {
        self.switches(task, from, to, true, false)
    }

    /// A thread goes from one namespace to another, and leaves others of its process behind.
    pub fn thread_goes(&mut self, task: &Task, from: Netns, to: Netns) -> &mut Self {
        self.switches(task, from, to, false, false)
    }

    /// A process goes to a namespace that it has just made.
    pub fn unshares(&mut self, task: &Task, from: Netns, to: Netns) -> &mut Self {
        self.switches(task, from, to, true, true)
    }

    fn switches(
        &mut self,
        task: &Task,
        from: Netns,
        to: Netns,
        whole_process: bool,
        made: bool,
    ) -> &mut Self {
        self.introduce(task);
        self.fact(What::NetnsMove(NetnsMove { task: task.task.clone(), from, to, whole_process, made }))
    }

    /// A thread ends in a namespace, and its process lives on elsewhere.
    pub fn thread_ends(&mut self, task: &Task, netns: Netns) -> &mut Self {
        self.exits(task, netns, 0);
        if let Some(Fact { what: What::Exit(exit), .. }) = self.facts.last_mut() {
            exit.only_thread = true;
        }
        self
    }

    /// The last reference to a namespace drops on that path, while the task is current.
    pub fn drops(&mut self, task: &Task, netns: Netns, path: &[&str]) -> &mut Self {
        self.introduce(task);
        let path = path.iter().copied().map(Some).collect();
        self.fact(What::NetnsEnd(NetnsEnd {
            task: task.task.clone(),
            netns,
            whole_process: true,
            last: true,
            path,
        }))
    }

    /// The same, but no symbol is known.
    pub fn drops_namelessly(&mut self, task: &Task, netns: Netns) -> &mut Self {
        self.introduce(task);
        let path = [None; 8].into_iter().collect();
        self.fact(What::NetnsEnd(NetnsEnd {
            task: task.task.clone(),
            netns,
            whole_process: true,
            last: true,
            path,
        }))
    }

    /// The last mount or file of a namespace goes, and something else still holds it.
    pub fn lets_go(&mut self, task: &Task, netns: Netns, path: &[&str]) -> &mut Self {
        self.introduce(task);
        let path = path.iter().copied().map(Some).collect();
        self.fact(What::NetnsEnd(NetnsEnd {
            task: task.task.clone(),
            netns,
            whole_process: true,
            last: false,
            path,
        }))
    }

    /// A link was there before the tracer.
    pub fn stock(&mut self, link: &Macvlan) -> &mut Self {
        self.fact(What::Stock(Box::new(link.dumped())))
    }

    /// A look at /proc finds a process living in a namespace.
    pub fn found_in(&mut self, netns: Netns, task: &Task) -> &mut Self {
        self.resident(netns, task, false)
    }

    /// A look at /proc finds the main process of another container in a namespace.
    pub fn found_sharing(&mut self, netns: Netns, task: &Task) -> &mut Self {
        self.resident(netns, task, true)
    }

    fn resident(&mut self, netns: Netns, task: &Task, shares: bool) -> &mut Self {
        self.fact(What::Resident(Resident {
            netns,
            process: task.task.process,
            comm: task.task.comm.clone(),
            cgroup: task.cgroup.clone(),
            shares,
        }))
    }

    /// A namespace has a name.
    pub fn named(&mut self, netns: Netns, name: &str) -> &mut Self {
        self.fact(What::NetnsName { netns, name: Text::from(name) })
    }

    /// The facts, without the beginning of the run.
    pub fn into_facts(self) -> Vec<Fact> {
        self.facts
    }

    /// The facts, with the beginning of the run.
    pub fn into_stream(self) -> impl Iterator<Item = Fact> {
        iter::once(self.begin).chain(self.facts)
    }

    /// The output, made twice: from the facts, and from a record of them.
    pub fn tell(&self) -> Told {
        let stream = || iter::once(&self.begin).chain(&self.facts);
        let live = tell(stream().cloned());
        let (mut encoder, mut lines) = (Encoder::default(), Vec::new());
        stream().for_each(|fact| encoder.put(fact, &mut lines));
        let items = Reader::new(&lines[..]).map(|item| item.expect("a line that was written can be read"));
        let read: Vec<Fact> = items
            .filter_map(|item| match item {
                Item::Fact(fact) => Some(fact),
                _ => None,
            })
            .collect();
        assert!(
            stream().eq(&read),
            "what was written and read is another: {}",
            String::from_utf8_lossy(&lines)
        );
        let replayed = tell(read.into_iter());
        assert_eq!(live, replayed, "a replay tells something else");
        let records = live.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
        Told::new(records)
    }
}

/// The beginning of a story's run, with these hooks attached.
pub fn begin(hooks: &[&str]) -> Fact {
    let hook = |name: &&str| Hook { name: (*name).to_owned(), symbol: Some((*name).to_owned()), lost: None };
    let begin = Begin {
        version: "0.0.0".to_owned(),
        kernel: "6.12.0".to_owned(),
        arch: "x86_64".to_owned(),
        host: Text::from("host"),
        boot_id: None,
        boot: 0,
        own: Own { ns_tgid: OWN_PID, pidns: Some(HOST_PIDNS) },
        missed_after_ns: Some(30_000_000_000),
        hooks: hooks.iter().map(hook).collect(),
        degraded: Vec::new(),
    };
    Fact { at: Ktime(BEGIN), what: What::Begin(Box::new(begin)) }
}

/// The hooks that see ends and their reasons.
pub const ENDS: [&str; 4] = ["do_exit", "signal_generate", "oom_kill", "switch_namespaces"];

/// The JSON of the whole run.
fn tell(facts: impl Iterator<Item = Fact>) -> String {
    let out = Shared::default();
    let mut pipeline = Pipeline::new(View::default(), Direct::new(Box::new(Json), out.clone()));
    let mut last = Ktime(BEGIN);
    for fact in facts {
        last = last.max(fact.at);
        pipeline.take(fact).expect("memory takes everything");
    }
    pipeline.take(Fact { at: last, what: What::End }).expect("memory takes everything");
    out.text()
}

/// Memory that a sink writes to.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was written.
    pub fn text(&self) -> String {
        String::from_utf8(self.lock().clone()).expect("JSON is UTF-8")
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// SplitMix64: numbers that look random, and are the same in every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).expect("it is less than a usize")
    }

    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}
