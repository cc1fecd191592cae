//! A machine whose kernel reuses what it can: addresses, inode numbers, process ids.

use std::collections::{HashSet, VecDeque};

use macvlan_trace::{
    fact::{
        Ancestor, Begin, Cgroup, Exit, ExitStatus, Fact, Hook, Ktime, Link, LinkChange, LinkFact, Netns,
        NetnsEnd, NsInode, Oom, Own, ProcessId, Signal, Task, TaskRef, What,
    },
    text::Text,
};

/// Process ids go up to here, and begin again.
const PID_MAX: u32 = 32_768;
/// The first process id that is free after the start.
const FIRST_PID: u32 = 1000;
const FIRST_PIDNS: NsInode = NsInode(4_026_531_836);

/// The hooks that see ends, what brings them about, and what they leave.
const HOOKS: [&str; 5] = ["do_exit", "signal_generate", "oom_kill", "switch_namespaces", "free_netdev"];

/// Kernel paths, innermost first.
pub mod path {
    /// A process exits.
    pub const EXIT: &[&str] = &["__put_net", "free_nsproxy", "do_exit", "do_group_exit"];
    /// A process unmounts it.
    pub const UNMOUNT: &[&str] =
        &["netns_put", "evict", "dput", "cleanup_mnt", "task_work_run", "do_syscall_64"];
    /// A worker tears a namespace down.
    pub const CLEANUP: &[&str] =
        &["unregister_netdevice_queue", "macvlan_dellink", "default_device_exit_batch", "cleanup_net"];
    /// A request by netlink.
    pub const NETLINK: &[&str] = &["unregister_netdevice_queue", "macvlan_dellink", "rtnl_dellink"];
}

/// Things that are given out again, the one that came back last first.
struct Pool {
    next: u64,
    step: u64,
    free: Vec<u64>,
}

impl Pool {
    fn new(first: u64, step: u64) -> Self {
        Self { next: first, step, free: Vec::new() }
    }

    fn take(&mut self) -> u64 {
        self.free.pop().unwrap_or_else(|| {
            self.next += self.step;
            self.next - self.step
        })
    }
}

/// The machine, and what its kernel has told so far.
pub struct Machine {
    pub now: u64,
    facts: VecDeque<Fact>,
    /// Facts that do not arrive, while some are being lost.
    lost: Option<u64>,
    /// The task that was sent whole last.
    sent: Option<Task>,
    nets: Pool,
    inodes: Pool,
    devices: Pool,
    cookies: u64,
    indexes: u32,
    last_pid: u32,
    pids: HashSet<u32>,
    pub host: Netns,
    pub eth0: Link,
    pub worker: Task,
}

impl Machine {
    pub fn new() -> Self {
        let host = Netns { ptr: 0xffff_ffff_8200_0000, cookie: Some(1), inode: Some(NsInode(4_026_531_840)) };
        let mut worker = task("kworker/u8:2", 58, 1, None, "/");
        worker.task.kthread = true;
        worker.args = None;
        let mut machine = Self {
            now: 90_000_000_000,
            facts: VecDeque::new(),
            lost: None,
            sent: None,
            nets: Pool::new(0xffff_8880_0000_0000, 0x1000),
            inodes: Pool::new(4_026_532_000, 1),
            devices: Pool::new(0xffff_8881_0000_0000, 0x1000),
            cookies: 1,
            indexes: 10,
            last_pid: FIRST_PID,
            pids: HashSet::new(),
            host,
            eth0: link(0xffff_8882_0000_2000, host, 2, "eth0"),
            worker,
        };
        let hook =
            |name: &&str| Hook { name: (*name).to_owned(), symbol: Some((*name).to_owned()), lost: None };
        machine.tells(What::Begin(Box::new(Begin {
            own: Own { ns_tgid: 500, pidns: Some(FIRST_PIDNS) },
            missed_after_ns: Some(30_000_000_000),
            hooks: HOOKS.iter().map(hook).collect(),
            ..Begin::default()
        })));
        machine
    }

    /// What has been told since the last time.
    pub fn take_facts(&mut self) -> VecDeque<Fact> {
        std::mem::take(&mut self.facts)
    }

    pub fn waits(&mut self, ns: u64) {
        self.now += ns;
        self.tells(What::Tick);
    }

    /// Tells something, a millisecond after what came before.
    pub fn tells(&mut self, what: What) {
        self.now += 1_000_000;
        match &mut self.lost {
            Some(lost) => *lost += 1,
            None => self.facts.push_back(Fact { at: Ktime(self.now), what }),
        }
    }

    /// What is told meanwhile does not arrive, if it is lost.
    pub fn loses_if(&mut self, is_lost: bool, tells: impl FnOnce(&mut Self)) {
        if !is_lost {
            return tells(self);
        }
        self.lost = Some(0);
        tells(self);
        let records = self.lost.take().unwrap_or_default();
        self.sent = None;
        self.tells(What::Lost { records });
    }

    /// A new process: its id is the next one that is free.
    pub fn starts(&mut self, comm: &str, parent: &Task, cgroup: &str) -> Task {
        loop {
            self.last_pid = if self.last_pid + 1 < PID_MAX { self.last_pid + 1 } else { FIRST_PID };
            if self.pids.insert(self.last_pid) {
                break;
            }
        }
        task(comm, self.last_pid, self.now, Some(parent), cgroup)
    }

    /// A new process that is the first of a pid namespace of its own.
    pub fn starts_init(&mut self, comm: &str, parent: &Task, cgroup: &str, netns: Netns) -> Task {
        let mut init = self.starts(comm, parent, cgroup);
        init.task.ns_tgid = Some(1);
        init.task.pidns = Some(NsInode(u32::try_from(self.inodes.take()).unwrap()));
        init.task.pidns_level = 1;
        init.netns = Some(netns);
        init
    }

    /// A process is gone, whether or not its end was told: its ids are another one's from now on.
    pub fn reaps(&mut self, task: &Task) {
        self.pids.remove(&task.task.process.tgid);
        if let Some(pidns) = task.task.pidns.filter(|_| task.task.pidns_level > 0) {
            self.inodes.free.push(u64::from(pidns.0));
        }
    }

    pub fn makes_netns(&mut self) -> Netns {
        self.cookies += 1;
        let inode = u32::try_from(self.inodes.take()).unwrap();
        Netns { ptr: self.nets.take(), cookie: Some(self.cookies), inode: Some(NsInode(inode)) }
    }

    /// A namespace is gone.
    pub fn frees_netns(&mut self, netns: Netns) {
        self.nets.free.push(netns.ptr);
        self.inodes.free.extend(netns.inode.map(|inode| u64::from(inode.0)));
    }

    /// A new link on eth0, in the machine's own namespace.
    pub fn makes_link(&mut self, by: &Task, name: &str) -> Link {
        let link = link(self.devices.take(), self.host, self.next_index(), name);
        self.changes(by, LinkChange::Created, &link, &[]);
        link
    }

    pub fn next_index(&mut self) -> u32 {
        self.indexes += 1;
        self.indexes
    }

    pub fn changes(&mut self, by: &Task, change: LinkChange, link: &Link, path: &[&str]) {
        self.introduces(by);
        let fact = self.change(by, change, link, path);
        self.tells(What::Link(Box::new(fact)));
    }

    /// The link is there already, and was elsewhere before.
    pub fn moves(&mut self, by: &Task, from: (Netns, u32), link: &Link) {
        self.introduces(by);
        let fact = LinkFact { from: Some(from), ..self.change(by, LinkChange::Moved, link, &[]) };
        self.tells(What::Link(Box::new(fact)));
    }

    fn change(&self, by: &Task, change: LinkChange, link: &Link, path: &[&str]) -> LinkFact {
        LinkFact {
            task: by.task.clone(),
            change,
            probe: "rtnetlink_event".to_owned(),
            link: link.clone(),
            flags_after: link.flags & !1,
            parent: Some(self.eth0.clone()),
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

    /// A link is deleted, and its memory freed.
    pub fn deletes(&mut self, by: &Task, link: &Link, path: &[&str]) {
        self.changes(by, LinkChange::Deleted, link, path);
        let dev = link.dev.unwrap();
        self.tells(What::Freed { dev });
        self.devices.free.push(dev);
    }

    pub fn signals(&mut self, sender: &Task, number: u32, target: &Task) {
        self.introduces(sender);
        self.tells(What::Signal(Signal {
            sender: Some(sender.task.clone()),
            target: target.task.clone(),
            netns: target.netns.unwrap(),
            number,
            ignored: false,
            for_inside: false,
            within: None,
            elsewhere: false,
        }));
    }

    pub fn runs_out_of_memory(&mut self, target: &Task) {
        self.introduces(target);
        self.tells(What::Oom(Oom {
            task: target.task.clone(),
            target: target.task.clone(),
            netns: target.netns.unwrap(),
            limit: Some(target.cgroup.clone()),
        }));
    }

    pub fn exits(&mut self, task: &Task, status: ExitStatus) {
        self.introduces(task);
        let netns = task.netns.unwrap();
        self.tells(What::Exit(Exit {
            task: task.task.clone(),
            netns,
            status,
            core_dumped: false,
            only_thread: false,
            elsewhere: false,
        }));
    }

    pub fn drops(&mut self, by: &Task, netns: Netns, path: &[&str]) {
        self.introduces(by);
        self.tells(What::NetnsEnd(NetnsEnd {
            task: by.task.clone(),
            netns,
            whole_process: true,
            last: true,
            path: path.iter().copied().map(Some).collect(),
        }));
    }

    /// A task is sent whole when it is not the one that was sent last.
    fn introduces(&mut self, task: &Task) {
        if self.sent.as_ref() != Some(task) {
            self.sent = Some(task.clone());
            self.tells(What::Task(Box::new(task.clone())));
        }
    }
}

/// A process of the host.
pub fn task(comm: &str, pid: u32, start: u64, parent: Option<&Task>, cgroup: &str) -> Task {
    let nearest =
        parent.map(|parent| Ancestor { process: parent.task.process, comm: parent.task.comm.clone() });
    let others = parent.into_iter().flat_map(|parent| parent.ancestors.iter().cloned());
    Task {
        task: TaskRef {
            process: ProcessId { tgid: pid, start: Ktime(start) },
            tid: pid,
            comm: Text::from(comm),
            kthread: false,
            ns_tgid: Some(pid),
            pidns: Some(FIRST_PIDNS),
            pidns_level: 0,
        },
        args: Some(vec![Text::from(comm), Text::from("--some"), Text::from("argument")]),
        exe: Some(Text::from("/usr/bin/program")),
        uid: Some(0),
        login_uid: None,
        ancestors: nearest.into_iter().chain(others).collect(),
        cgroup: Cgroup { id: Some(u64::from(pid)), path: Some(Text::from(cgroup)) },
        netns: Some(Netns {
            ptr: 0xffff_ffff_8200_0000,
            cookie: Some(1),
            inode: Some(NsInode(4_026_531_840)),
        }),
        mntns: None,
        tty: None,
    }
}

fn link(dev: u64, netns: Netns, ifindex: u32, name: &str) -> Link {
    Link {
        dev: Some(dev),
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
    }
}

/// SplitMix64: numbers that look random, and are the same in every run.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    /// An index into so many.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap()
    }
}
