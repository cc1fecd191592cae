//! Who lives in a network namespace: the main process of the container that it belongs to, found in /proc.
//!
//! As long as a container neither ends nor gets a signal, nothing else shows that it owns a namespace. The first look
//! for the residents of a namespace comes at the next tick after its first fact, and others follow for half a minute,
//! since a runtime often makes the links before the process. Other containers may share the namespace: they come in
//! later, so a look follows whenever somebody enters it. One pass over /proc serves all namespaces that are due.
//! The passes open no namespace, so they hold none.

use std::{
    collections::HashMap,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::namespaces::read_link;
use crate::{
    bounded::Bounded,
    cgroup::{ContainerId, place_of},
    fact::{Cgroup, Ktime, Netns, NsInode, ProcessId, Resident},
    text::Text,
};

/// How many looks a namespace gets; the pauses between them double each time.
const MAX_LOOKS: u32 = 7;
/// If processes keep coming in, looks are this many ticks apart, whatever the namespaces: `ip netns exec` and the health
/// checks of containers run all the time.
const REST: u32 = 20;
/// How many looks follow when somebody came in: at the first, a container may still be starting.
const LOOKS_AT_ENTRY: u32 = 2;
/// How many containers may share a namespace with its owner: no more are told.
const MAX_OTHERS: usize = 64;
/// How many namespaces are remembered.
const MAX_REMEMBERED: usize = 16_384;

/// The namespaces whose residents are wanted.
#[derive(Debug)]
pub struct Residents {
    /// The machine's own, which belongs to no container.
    host: Option<NsInode>,
    /// `None` where /proc shows other process ids than the kernel's side reports.
    proc: Option<PathBuf>,
    /// By the address of the namespace.
    searches: Bounded<u64, Search, MAX_REMEMBERED>,
    /// Residents that were found but not returned yet.
    found: Vec<Resident>,
    /// Ticks until the next look at namespaces that somebody entered.
    rest: u32,
}

/// How far the search for a namespace's residents has come.
#[derive(Debug)]
struct Search {
    netns: Netns,
    looks: u32,
    /// Ticks until the next look.
    pause: u32,
    /// Looks that are left since somebody came in.
    entered: u32,
    /// The process id of the resident that was found.
    found: Option<u32>,
    /// Those of the main processes of other containers.
    others: Vec<u32>,
}

impl Search {
    fn new(netns: Netns) -> Self {
        Self { netns, looks: 0, pause: 0, entered: 0, found: None, others: Vec::new() }
    }

    /// Whether to look at this tick; `rested` if somebody who came in is a reason to.
    fn is_due(&mut self, rested: bool) -> bool {
        let mut due = false;
        if self.found.is_none() && self.looks < MAX_LOOKS {
            if self.pause == 0 {
                self.pause = 1 << self.looks;
                self.looks += 1;
                due = true;
            }
            self.pause -= 1;
        }
        due |= rested && self.entered > 0;
        self.entered = self.entered.saturating_sub(u32::from(due));
        due
    }

    /// Keeps what a look has found, and returns what was not known.
    fn keep(&mut self, found: Vec<Process>) -> Vec<Resident> {
        self.others.retain(|pid| found.iter().any(|process| process.pid == *pid));
        let known = |pid| self.found == Some(pid) || self.others.contains(&pid);
        let fresh: Vec<_> =
            found.into_iter().filter(|process| !process.is_exiting && !known(process.pid)).collect();
        let mut residents = Vec::with_capacity(fresh.len());
        for process in fresh {
            let shares = self.found.is_some();
            if shares && self.others.len() >= MAX_OTHERS {
                break;
            }
            if shares {
                self.others.push(process.pid);
            } else {
                self.found = Some(process.pid);
            }
            residents.push(process.into_fact(self.netns, shares));
        }
        residents
    }
}

impl Residents {
    /// A search without namespaces; `host` is the machine's own one. In a pid namespace other than the first, /proc has
    /// other process ids than the kernel side reports, so there is no search at all.
    #[must_use]
    pub fn new(host: Option<NsInode>, in_first_pidns: bool) -> Self {
        Self::of_proc(host, in_first_pidns.then_some(Path::new("/proc")))
    }

    pub(super) fn of_proc(host: Option<NsInode>, proc: Option<&Path>) -> Self {
        Self {
            host,
            proc: proc.map(Path::to_owned),
            searches: Bounded::default(),
            found: Vec::new(),
            rest: 0,
        }
    }

    /// Searches for the residents of a namespace that holds a watched link. Repeated calls are cheap.
    pub fn expect_in(&mut self, netns: &Netns) {
        // Facts cannot be joined with a namespace whose address is unknown.
        if self.proc.is_none() || netns.inode.is_none() || netns.inode == self.host || netns.ptr == 0 {
            return;
        }
        let search = self.searches.get_or_insert_with(netns.ptr, || Search::new(*netns));
        if !search.netns.is(netns) {
            *search = Search::new(*netns);
        }
    }

    /// A process came into a namespace, perhaps to live there: looks at it again soon.
    pub fn entered(&mut self, netns: &Netns) {
        if let Some(search) = self.searches.get_mut(&netns.ptr) {
            search.entered = LOOKS_AT_ENTRY;
        }
    }

    /// A process of a namespace has ended. If it is the resident that was found, another one may live there now or
    /// later: without a process that holds a pod's namespace, its containers take over from each other. Those that
    /// share the namespace live on.
    pub fn left(&mut self, netns: &Netns, process: u32) {
        self.found.retain(|found| found.netns.ptr != netns.ptr || found.process.tgid != process);
        let Some(search) = self.searches.get_mut(&netns.ptr) else { return };
        search.others.retain(|other| *other != process);
        if search.found == Some(process) {
            let others = std::mem::take(&mut search.others);
            *search = Search { others, ..Search::new(*netns) };
        }
    }

    /// A namespace has ended: its inode number may belong to another one from now on.
    pub fn ended(&mut self, netns: &Netns) {
        self.searches.remove(&netns.ptr);
        self.found.retain(|resident| resident.netns.ptr != netns.ptr);
    }

    /// Looks for those that are due.
    pub fn tick(&mut self) {
        self.rest = self.rest.saturating_sub(1);
        let rested = self.rest == 0;
        if rested && self.searches.iter().any(|(_, search)| search.entered > 0) {
            self.rest = REST;
        }
        let mut due = Vec::new();
        for search in self.searches.values_mut() {
            if search.is_due(rested) {
                due.push(search.netns);
            }
        }
        if due.is_empty() {
            return;
        }
        let Some(proc) = &self.proc else { return };
        let mut processes = Processes::find(proc);
        for netns in due {
            let found = netns.inode.map(|inode| processes.mains_of(inode)).unwrap_or_default();
            if let Some(search) = self.searches.get_mut(&netns.ptr) {
                self.found.extend(search.keep(found));
            }
        }
    }

    /// How many namespaces were pushed out by others.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.searches.evicted()
    }

    /// The residents that were found. Call this once all earlier records are read: if they contain the end of a
    /// namespace, the search may have found a resident of its successor.
    pub fn take_found(&mut self) -> Vec<Resident> {
        std::mem::take(&mut self.found)
    }
}

/// The processes of the machine.
struct Processes {
    proc: PathBuf,
    /// Process id and network namespace.
    all: Vec<(u32, NsInode)>,
    /// Those that were looked at; `None` for one of no container.
    read: HashMap<u32, Option<Process>>,
}

/// A process of a container.
#[derive(Clone)]
struct Process {
    pid: u32,
    comm: Text,
    start: Ktime,
    cgroup: Text,
    container: ContainerId,
    /// Whether it is the init of a pid namespace inside the one that /proc shows.
    is_init: bool,
    /// Whether it is about to end. Its end may have been told already.
    is_exiting: bool,
}

impl Processes {
    /// Reads one link for each process; skips those that end meanwhile.
    fn find(proc: &Path) -> Self {
        let entries = fs::read_dir(proc).into_iter().flatten().filter_map(Result::ok);
        let all = entries.filter_map(|entry| {
            let pid = str::from_utf8(entry.file_name().as_bytes()).ok()?.parse().ok()?;
            Some((pid, read_link(&entry.path().join("ns/net"), b"net")?))
        });
        Self { proc: proc.to_owned(), all: all.collect(), read: HashMap::new() }
    }

    /// The main processes of the containers that live in a namespace, first that of its owner: of each container the
    /// oldest init of a pid namespace. Without one, its oldest process, if it has no older one elsewhere: `ip netns exec`
    /// takes only a process into a namespace, not its container.
    fn mains_of(&mut self, netns: NsInode) -> Vec<Process> {
        let mut inside = self.containers_processes(|lives_in| lives_in == netns);
        inside.sort_by_key(|process| (!process.is_init, process.start, process.pid));
        let mut mains: Vec<Process> = Vec::new();
        for process in inside {
            if mains.iter().all(|main| main.container != process.container) {
                mains.push(process);
            }
        }
        if mains.iter().any(|main| !main.is_init) {
            let elsewhere = self.containers_processes(|lives_in| lives_in != netns);
            let is_elder = |main: &Process, other: &Process| {
                other.container == main.container && other.start < main.start
            };
            mains.retain(|main| main.is_init || !elsewhere.iter().any(|other| is_elder(main, other)));
        }
        mains
    }

    /// The processes of containers in some namespaces.
    fn containers_processes(&mut self, in_one: impl Fn(NsInode) -> bool) -> Vec<Process> {
        let Self { proc, all, read } = self;
        all.iter()
            .filter(|(_, lives_in)| in_one(*lives_in))
            .filter_map(|&(pid, _)| read.entry(pid).or_insert_with(|| Process::read(proc, pid)).clone())
            .collect()
    }
}

impl Process {
    /// Reads a process, if it belongs to a container.
    fn read(proc: &Path, pid: u32) -> Option<Self> {
        let folder = proc.join(pid.to_string());
        let cgroup = cgroup_in(&fs::read(folder.join("cgroup")).ok()?)?;
        let container = place_of(&cgroup).container?;
        let (comm, start, is_exiting) = stat_in(&fs::read(folder.join("stat")).ok()?)?;
        let is_init = is_init_in(&fs::read(folder.join("status")).ok()?);
        Some(Self { pid, comm, start, cgroup, container, is_init, is_exiting })
    }

    fn into_fact(self, netns: Netns, shares: bool) -> Resident {
        Resident {
            netns,
            process: ProcessId { tgid: self.pid, start: self.start },
            comm: self.comm,
            cgroup: Cgroup { id: None, path: Some(self.cgroup) },
            shares,
        }
    }
}

/// The path in /proc/PID/cgroup: that of the unified hierarchy, or, where the process is at its root because
/// controllers live in v1 hierarchies, that of one of those.
fn cgroup_in(content: &[u8]) -> Option<Text> {
    let paths = content.split(|&byte| byte == b'\n').filter_map(|line| {
        let mut fields = line.splitn(3, |&byte| byte == b':');
        let unified = fields.next()? == b"0";
        Some((unified, fields.nth(1)?))
    });
    // The unified one stands last.
    let (_, path) = paths.filter(|(_, path)| *path != b"/").max_by_key(|(unified, _)| *unified)?;
    Some(Text::from(path.to_vec()))
}

/// `PF_EXITING` of include/linux/sched.h: `do_exit` sets it (in `exit_signals`) after the hook there has reported the end.
const PF_EXITING: u32 = 0x4;

/// Name and start in /proc/PID/stat, and whether the process is exiting. The name is in brackets and may hold any byte,
/// brackets too.
fn stat_in(content: &[u8]) -> Option<(Text, Ktime, bool)> {
    let open = content.iter().position(|&byte| byte == b'(')?;
    let close = content.iter().rposition(|&byte| byte == b')')?;
    let comm = Text::from(content.get(open + 1..close)?.to_vec());
    // After the brackets come the fields from the third on; the ninth has the flags, the 22nd is the start, in ticks
    // since boot.
    let mut fields = str::from_utf8(&content[close + 1..]).ok()?.split_ascii_whitespace();
    let flags: u32 = fields.nth(6)?.parse().ok()?;
    let ticks: u64 = fields.nth(12)?.parse().ok()?;
    let start =
        u128::from(ticks) * 1_000_000_000 / u128::from(rustix::param::clock_ticks_per_second().max(1));
    Some((comm, Ktime(u64::try_from(start).ok()?), flags & PF_EXITING != 0))
}

/// Whether /proc/PID/status has several ids, and the last one, that in the innermost pid namespace, is 1.
fn is_init_in(content: &[u8]) -> bool {
    let line = content.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"NSpid:"));
    let ids = line.and_then(|line| str::from_utf8(line).ok()).unwrap_or_default();
    let ids: Vec<_> = ids.split_ascii_whitespace().collect();
    ids.len() > 1 && ids.last() == Some(&"1")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const WEB: &str = "9f3c1a2b4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8";
    const DB: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    const HOST: NsInode = NsInode(1);
    const BLUE: Netns = Netns { ptr: 7, cookie: Some(7), inode: Some(NsInode(7)) };

    /// A machine's /proc.
    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        /// A process; it started as many ticks after boot as its id says.
        fn has(&self, pid: u32, netns: u32, cgroup: &str, ids: &str) -> &Self {
            let folder = self.0.path().join(pid.to_string());
            fs::create_dir_all(folder.join("ns")).unwrap();
            symlink(format!("net:[{netns}]"), folder.join("ns/net")).unwrap();
            fs::write(folder.join("cgroup"), format!("0::{cgroup}\n")).unwrap();
            fs::write(folder.join("stat"), format!("{pid} (a) b) S {}{pid} 0\n", "0 ".repeat(18))).unwrap();
            fs::write(folder.join("status"), format!("Name:\ta\nNSpid:\t{ids}\nNSpgid:\t1\n")).unwrap();
            self
        }

        fn residents(&self) -> Residents {
            Residents::of_proc(Some(HOST), Some(self.0.path()))
        }

        /// Process ids of those found at the next tick.
        fn found(&self) -> Vec<u32> {
            let mut residents = self.residents();
            residents.expect_in(&BLUE);
            residents.tick();
            residents.take_found().iter().map(|resident| resident.process.tgid).collect()
        }
    }

    fn docker(id: &str) -> String {
        format!("/system.slice/docker-{id}.scope")
    }

    #[test]
    fn the_init_of_a_container_is_its_resident() {
        let machine = Machine::new();
        machine.has(50, 7, &docker(WEB), "50\t9").has(60, 7, &docker(WEB), "60\t1").has(
            70,
            7,
            &docker(DB),
            "70\t1",
        );
        machine.has(10, 1, "/init.scope", "10").has(11, 7, "/system.slice/docker.service", "11");
        machine.has(80, 8, &docker(DB), "80\t1");
        let mut residents = machine.residents();
        residents.expect_in(&BLUE);
        residents.tick();
        let found = residents.take_found();
        assert_eq!(found.len(), 2);
        let start = Ktime(60 * 1_000_000_000 / rustix::param::clock_ticks_per_second());
        assert_eq!(found[0].process, ProcessId { tgid: 60, start });
        assert_eq!((found[0].netns, &found[0].comm), (BLUE, &Text::from("a) b")));
        assert_eq!(found[0].cgroup.path, Some(Text::from(docker(WEB).as_str())));
        assert_eq!(found.iter().map(|found| found.shares).collect::<Vec<_>>(), [false, true]);
        assert_eq!(found[1].process.tgid, 70, "another container shares its namespace");
        assert!(residents.take_found().is_empty(), "it is told once");
    }

    #[test]
    fn a_container_without_a_pid_namespace_is_told_by_its_oldest_process() {
        let machine = Machine::new();
        machine.has(50, 7, &docker(WEB), "50").has(40, 7, &docker(WEB), "40").has(30, 8, &docker(DB), "30");
        assert_eq!(machine.found(), [40]);
    }

    #[test]
    fn a_visitor_from_a_container_is_no_resident() {
        let machine = Machine::new();
        machine.has(40, 8, &docker(WEB), "40\t1").has(50, 7, &docker(WEB), "50\t12");
        assert_eq!(machine.found(), [0; 0]);
        // A process of the host is none either.
        machine.has(20, 7, "/user.slice/user-0.slice/session-1.scope", "20").has(21, 7, "/", "21");
        assert_eq!(machine.found(), [0; 0]);
    }

    #[test]
    fn the_machines_own_namespace_has_no_resident() {
        let machine = Machine::new();
        machine.has(40, 1, &docker(WEB), "40\t1");
        let mut residents = machine.residents();
        residents.expect_in(&Netns { inode: Some(HOST), ..BLUE });
        residents.expect_in(&Netns { inode: None, ..BLUE });
        residents.tick();
        assert!(residents.searches.is_empty() && residents.take_found().is_empty());
    }

    #[test]
    fn a_process_that_comes_after_its_link_is_found_later_and_nobody_is_looked_for_for_ever() {
        let machine = Machine::new();
        let mut residents = machine.residents();
        residents.expect_in(&BLUE);
        let mut looks = Vec::new();
        for tick in 0..200 {
            let before = residents.searches.get(&BLUE.ptr).unwrap().looks;
            residents.tick();
            residents.expect_in(&BLUE);
            if residents.searches.get(&BLUE.ptr).unwrap().looks > before {
                looks.push(tick);
            }
        }
        assert_eq!(looks, [0, 1, 3, 7, 15, 31, 63]);

        let mut residents = machine.residents();
        residents.expect_in(&BLUE);
        residents.tick();
        machine.has(40, 7, &docker(WEB), "40\t1");
        residents.tick();
        assert_eq!(residents.take_found().len(), 1);
        residents.tick();
        assert!(residents.take_found().is_empty());
    }

    #[test]
    fn a_namespace_that_somebody_enters_is_looked_at_at_the_next_tick() {
        // Before the looks are over, after them, and after visits at every tick.
        for (ticks, visits) in [(5, false), (200, false), (200, true)] {
            let machine = Machine::new();
            let mut residents = machine.residents();
            residents.expect_in(&BLUE);
            for _ in 0..ticks {
                residents.tick();
                if visits {
                    residents.entered(&BLUE);
                }
            }
            machine.has(40, 7, &docker(WEB), "40\t1");
            residents.entered(&BLUE);
            (0..=if visits { REST } else { 0 }).for_each(|_| residents.tick());
            assert_eq!(residents.take_found().len(), 1);
        }
    }

    #[test]
    fn a_container_that_comes_in_later_is_told_once_and_again_for_each_start() {
        let machine = Machine::new();
        machine.has(40, 7, &docker(WEB), "40\t1");
        let mut residents = machine.residents();
        residents.expect_in(&BLUE);
        residents.tick();
        assert_eq!(residents.take_found().len(), 1);
        // At the first look, it is only about to start.
        residents.entered(&BLUE);
        residents.tick();
        machine.has(50, 7, &docker(DB), "50\t1");
        let told = |residents: &mut Residents| {
            (0..=REST).for_each(|_| residents.tick());
            residents.take_found().iter().map(|found| (found.process.tgid, found.shares)).collect::<Vec<_>>()
        };
        assert_eq!(told(&mut residents), [(50, true)]);
        residents.entered(&BLUE);
        assert_eq!(told(&mut residents), []);
        fs::remove_dir_all(machine.0.path().join("50")).unwrap();
        machine.has(60, 7, &docker(DB), "60\t1");
        residents.left(&BLUE, 50);
        residents.entered(&BLUE);
        assert_eq!(told(&mut residents), [(60, true)]);
    }

    #[test]
    fn who_shares_a_namespace_is_known_still_after_its_owner_has_ended() {
        let machine = Machine::new();
        machine.has(40, 7, &docker(WEB), "40\t1").has(50, 7, &docker(DB), "50\t1");
        let mut residents = machine.residents();
        let told = |residents: &mut Residents| {
            residents.tick();
            residents.take_found().iter().map(|found| (found.process.tgid, found.shares)).collect::<Vec<_>>()
        };
        residents.expect_in(&BLUE);
        assert_eq!(told(&mut residents), [(40, false), (50, true)]);
        fs::remove_dir_all(machine.0.path().join("40")).unwrap();
        residents.left(&BLUE, 40);
        assert_eq!(told(&mut residents), []);
        machine.has(60, 7, &docker(WEB), "60\t1");
        assert_eq!(told(&mut residents), [(60, false)]);
    }

    #[test]
    fn whoever_has_ended_is_not_told_any_more() {
        let machine = Machine::new();
        machine.has(40, 7, &docker(WEB), "40\t1").has(50, 7, &docker(DB), "50\t1");
        let mut residents = machine.residents();
        residents.expect_in(&BLUE);
        residents.tick();
        residents.left(&BLUE, 50);
        assert_eq!(residents.take_found().iter().map(|found| found.process.tgid).collect::<Vec<_>>(), [40]);
        // It is exiting, and its end has been read.
        let stat = machine.0.path().join("50/stat");
        fs::write(stat, format!("50 (a) R {}4194564 {}50 0\n", "0 ".repeat(5), "0 ".repeat(12))).unwrap();
        residents.entered(&BLUE);
        residents.tick();
        assert!(residents.take_found().is_empty());
    }

    #[test]
    fn health_checks_in_many_containers_do_not_make_it_look_at_every_tick() {
        let machine = Machine::new();
        let all: Vec<_> =
            (0..200).map(|n| Netns { ptr: 1000 + n, cookie: Some(n), inode: Some(NsInode(7)) }).collect();
        machine.has(40, 7, &docker(WEB), "40\t1");
        let mut residents = machine.residents();
        for netns in &all {
            residents.expect_in(netns);
        }
        residents.tick();
        assert_eq!(residents.take_found().len(), all.len());
        let mut passes = 0;
        for tick in 0..600 {
            // Each is entered every 60 ticks.
            all.iter().skip(tick % 60).step_by(60).for_each(|netns| residents.entered(netns));
            let rest = residents.rest;
            residents.tick();
            passes += u32::from(residents.rest > rest);
        }
        assert_eq!(passes, 600 / REST);
    }

    #[test]
    fn of_very_many_in_one_namespace_some_are_told_once() {
        let machine = Machine::new();
        for pid in 100..200 {
            machine.has(pid, 7, &docker(&format!("{pid:064x}")), &format!("{pid}\t1"));
        }
        let mut residents = machine.residents();
        residents.expect_in(&BLUE);
        for told in [1 + MAX_OTHERS, 0] {
            residents.entered(&BLUE);
            (0..=REST).for_each(|_| residents.tick());
            assert_eq!(residents.take_found().len(), told);
        }
    }

    #[test]
    fn whoever_was_found_in_a_namespace_that_had_ended_is_not_told() {
        let machine = Machine::new();
        machine.has(40, 7, &docker(WEB), "40\t1");
        let mut residents = machine.residents();
        let next = Netns { ptr: 8, ..BLUE };
        residents.expect_in(&BLUE);
        residents.expect_in(&next);
        residents.tick();
        residents.ended(&BLUE);
        let told: Vec<_> = residents.take_found().into_iter().map(|resident| resident.netns).collect();
        assert_eq!(told, [next]);
    }

    #[test]
    fn whoever_lives_there_after_it_is_looked_for_again() {
        let machine = Machine::new();
        machine.has(40, 7, &docker(WEB), "40\t1");
        let mut residents = machine.residents();
        let found = |residents: &mut Residents| {
            residents.tick();
            residents.take_found().iter().map(|resident| resident.process.tgid).collect::<Vec<_>>()
        };
        residents.expect_in(&BLUE);
        assert_eq!(found(&mut residents), [40]);
        fs::remove_dir_all(machine.0.path().join("40")).unwrap();
        machine.has(50, 7, &docker(DB), "50\t1");
        residents.left(&BLUE, 41);
        assert_eq!(found(&mut residents), [0; 0], "another process is no reason to look");
        residents.left(&BLUE, 40);
        assert_eq!(found(&mut residents), [50]);
    }

    #[test]
    fn nobody_is_looked_for_where_process_ids_are_others() {
        let mut residents = Residents::new(Some(HOST), false);
        residents.expect_in(&BLUE);
        residents.tick();
        assert!(residents.searches.is_empty() && residents.take_found().is_empty());
    }

    #[test]
    fn the_next_namespace_at_an_address_is_looked_for_too() {
        let machine = Machine::new();
        machine.has(40, 7, &docker(WEB), "40\t1");
        let mut residents = machine.residents();
        let found = |residents: &mut Residents| {
            residents.tick();
            residents.take_found().len()
        };
        residents.expect_in(&BLUE);
        assert_eq!(found(&mut residents), 1);
        // Without cookies, the two look the same until the end of the first is reported.
        let next = Netns { cookie: None, ..BLUE };
        residents.expect_in(&next);
        assert_eq!(found(&mut residents), 0);
        residents.ended(&BLUE);
        residents.expect_in(&next);
        assert_eq!(found(&mut residents), 1);
        // Where there are, it can, even if that end was not seen.
        residents.ended(&next);
        residents.expect_in(&BLUE);
        assert_eq!(found(&mut residents), 1);
        residents.expect_in(&Netns { cookie: Some(8), ..BLUE });
        assert_eq!(found(&mut residents), 1);
    }

    #[test]
    fn half_a_process_is_passed_over() {
        let machine = Machine::new();
        machine.has(40, 7, &docker(WEB), "40\t1");
        let folder = machine.0.path().join("40");
        for (file, content) in
            [("cgroup", &b""[..]), ("cgroup", b"0:"), ("stat", b"40 (a"), ("stat", b")("), ("stat", b"")]
        {
            let whole = fs::read(folder.join(file)).unwrap();
            fs::write(folder.join(file), content).unwrap();
            assert_eq!(machine.found(), [0; 0], "{file}");
            fs::write(folder.join(file), whole).unwrap();
        }
        assert_eq!(machine.found(), [40]);
        fs::remove_file(folder.join("status")).unwrap();
        assert_eq!(machine.found(), [0; 0]);
    }

    #[test]
    fn the_cgroup_is_that_of_the_hierarchy_that_is_used() {
        let path = |content: &str| cgroup_in(content.as_bytes());
        assert_eq!(path("0::/a\n"), Some(Text::from("/a")));
        assert_eq!(path("9:name=systemd:/s\n8:pids:/docker/x\n0::/a:b\n"), Some(Text::from("/a:b")));
        assert_eq!(path("9:name=systemd:/\n8:pids:/docker/x\n0::/\n"), Some(Text::from("/docker/x")));
        assert_eq!(path("0::/\n"), None);
    }

    #[test]
    fn the_tests_own_machine_can_be_looked_at() {
        let found = Processes::find(Path::new("/proc"));
        assert!(found.all.iter().any(|(pid, _)| *pid == std::process::id()));
    }
}
