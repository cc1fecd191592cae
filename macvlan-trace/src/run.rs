//! The live run: attaches, takes stock, reads the ring until it is told to stop.

use std::{
    ffi::OsString, io, os::unix::process::ExitStatusExt as _, path::PathBuf, process::ExitStatus,
    time::Duration,
};

use anyhow::{Context as _, Result};
use aya::maps::{MapData, RingBuf};
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    io::unix::AsyncFd,
    process::Child,
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval_at, sleep_until},
};

use macvlan_trace_common::Counter;

use crate::{
    correlate::{Own, Settings, tears_namespaces_down},
    event::{Body, Run, Stock, StockLink},
    fact::{Fact, Ktime, LinkChange, Netns, NsInode, What},
    filter::Filter,
    live::btf,
    live::decode::{Decoder, Symbols},
    live::lookup::{
        containers::Containers,
        inventory::{self, Inventory},
        netns_name,
        residents::Residents,
        symbols,
    },
    live::preflight,
    live::probe::{self, Counters, ProbeLog, Probes},
    pipeline::Pipeline,
    publish::{self, Clock, record},
    sink::Sink,
    text::Text,
};

/// How many records are taken from the ring before anything else gets its turn.
const DRAIN: usize = 1024;
/// How often the loss counters are read.
const TICK: Duration = Duration::from_millis(500);
/// How long a traced command's namespaces may take to go after it has ended.
const TEARDOWN: Duration = Duration::from_secs(5);
/// How often that is looked at.
const TEARDOWN_TICK: Duration = Duration::from_millis(20);

/// What to trace, and how long.
pub struct Options {
    /// Which events to show.
    pub filter: Filter,
    /// Stop after that many events.
    pub count: Option<u64>,
    /// Stop after that time.
    pub timeout: Option<Duration>,
    /// Run this command, and stop when it has ended.
    pub command: Vec<OsString>,
    /// Show the probes' log.
    pub log: bool,
    /// After how long a deleted link is missed; `None` for never.
    pub missed_after: Option<Duration>,
    /// Hooks to leave out.
    pub without: Vec<String>,
    /// The folder that holds the runtimes' files, in place of the machine's root.
    pub state_root: PathBuf,
}

/// How a run ended.
pub enum Outcome {
    /// It was told to.
    Stopped,
    /// The traced command ended.
    Command(ExitStatus),
}

impl Outcome {
    /// The status to leave with: the command's own, or 128 and the signal that ended it, as a shell has it.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Command(status) => {
                let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
                u8::try_from(code).unwrap_or(1)
            }
        }
    }
}

/// Traces.
pub async fn trace(options: Options, sink: Box<dyn Sink>) -> Result<Outcome> {
    let surroundings = preflight::gather();
    preflight::refuse(&surroundings)?;
    let resolved = btf::of_this_kernel()?;
    let mut probes = probe::start(&resolved, options.log, &options.without)
        .map_err(|error| preflight::explain(error, &surroundings))?;

    let clock = clock();
    let missed_after = options.missed_after.filter(|_| options.command.is_empty());
    let settings = Settings {
        own: Own { ns_tgid: std::process::id(), pidns: inventory::own_pidns().map(NsInode) },
        missed_after_ns: missed_after.map(|limit| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX)),
    };
    let ring = probes.take_ring()?;
    // SAFETY: the ring owns its descriptor and keeps it open for as long as it lives, and the result owns the ring.
    let ring = unsafe { AsyncFd::register(ring) }.context("cannot wait for the ring of records")?;
    // Before the first record, which tells others that we are at work: they may stop us from then on.
    let stops = Stops::listen()?;
    let mut tracer = Tracer {
        ring,
        clock,
        counters: probes.take_counters()?,
        log: probes.take_log()?,
        decoder: Decoder::new(probes.symbols()),
        symbols: KernelSymbols(symbols::Symbols::new()),
        names: netns_name::Names::default(),
        containers: Containers::new(&options.state_root),
        residents: Residents::new(
            inventory::host_netns().map(NsInode),
            surroundings.first_pidns != Some(false),
        ),
        pipeline: Pipeline::new(settings, clock, options.filter, options.count, sink),
        reported_lost: 0,
        reported_unkept: false,
    };
    let inventory = inventory::take(probes.take_view()?)?;
    tracer.begin(&surroundings, &probes, &resolved, inventory)?;

    let outcome = tracer.run(&options.command, options.timeout, stops).await?;
    // What did not fit into the ring at the end leaves no gap in what follows: nothing does.
    tracer.report_counted()?;
    // Detaching takes the kernel a second: nobody has to wait for it to read the summary.
    tracer.pipeline.finish(now())?;
    Ok(outcome)
}

/// The signals that stop a run.
struct Stops {
    interrupt: Signal,
    terminate: Signal,
}

impl Stops {
    fn listen() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?,
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
        })
    }
}

/// A run under way.
struct Tracer {
    clock: Clock,
    ring: AsyncFd<RingBuf<MapData>>,
    counters: Counters,
    log: Option<ProbeLog>,
    decoder: Decoder,
    symbols: KernelSymbols,
    names: netns_name::Names,
    containers: Containers,
    residents: Residents,
    pipeline: Pipeline,
    reported_lost: u64,
    reported_unkept: bool,
}

impl Tracer {
    /// Writes the first record, and feeds what was there before into the stream.
    fn begin(
        &mut self,
        surroundings: &preflight::Surroundings,
        probes: &Probes,
        resolved: &btf::Resolved,
        inventory: Inventory,
    ) -> Result<()> {
        let at = now();
        let mut stock = Stock {
            links: inventory.stock.len(),
            namespaces: 0,
            unseen_namespaces: inventory.unseen,
            watched: Vec::new(),
        };
        let attached = probes.states.iter().filter(|probe| probe.symbol.is_some());
        let hooks = attached.map(|probe| probe.hook.clone()).collect();
        self.pipeline.take(Fact { at, what: What::Hooks(hooks) })?;
        for (netns, name) in inventory.names {
            self.pipeline.take(Fact { at, what: What::NetnsName { netns, name } })?;
        }
        let mut homes = std::collections::HashSet::new();
        for link in inventory.stock {
            homes.insert(link.link.netns.map(|netns| netns.inode));
            if let Some(netns) = &link.link.netns {
                self.residents.expect_in(netns);
            }
            stock.watched.push(StockLink {
                name: link.link.name.clone(),
                ifindex: link.link.ifindex,
                kind: link.link.kind.clone().unwrap_or_default(),
                netns: publish::netns(link.link.netns.as_ref(), self.pipeline.known()),
                up: link.link.flags & macvlan_trace_common::IFF_UP != 0,
                parent: link.parent.as_ref().map(publish::event_parent),
            });
            self.pipeline.take(Fact { at, what: What::Stock(Box::new(link)) })?;
        }
        stock.namespaces = homes.len();
        let mut degraded = probes.degraded.clone();
        degraded.extend(
            preflight::judge(surroundings)
                .iter()
                .filter(|finding| finding.state == preflight::State::Degraded)
                .map(preflight::Finding::sentence),
        );
        if inventory.unjoined > 0 {
            degraded.push(format!(
                "the addresses of {} network namespaces are not known, so events of the links in them do not know \
                 their past",
                inventory.unjoined
            ));
        }
        if !resolved.unknown.is_empty() {
            degraded.push(format!(
                "this kernel's types lack {}: what they tell is unknown",
                resolved.unknown.join(", ")
            ));
        }
        let uname = rustix::system::uname();
        let run = Run {
            when: self.clock.when(at),
            tool: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: uname.release().to_string_lossy().into_owned(),
            host: Text::from(uname.nodename().to_bytes().to_vec()),
            boot_id: std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
                .ok()
                .map(|id| id.trim().to_owned()),
            boot_time: self.clock.boot_time(),
            probes: probes.states.clone(),
            degraded,
            stock,
        };
        let early = self.find_residents()?;
        self.pipeline.begin(&record(Body::Run(Box::new(run))))?;
        report_lost(&mut self.pipeline, &mut self.reported_lost, self.decoder.gaps(), at)?;
        for fact in early {
            self.feed(fact)?;
        }
        Ok(())
    }

    /// Whose the namespaces are that were found, before anything that happens in them is told; what has happened since
    /// the hooks were attached comes back, to be told after that.
    fn find_residents(&mut self) -> Result<Vec<Fact>> {
        self.residents.tick();
        let mut early = Vec::new();
        while early.len() < DRAIN {
            let Some(fact) = self.read()? else {
                self.tell_residents()?;
                break;
            };
            if let Some(netns) = torn_down_here(&fact.what) {
                self.residents.ended(&netns);
            }
            early.push(fact);
        }
        Ok(early)
    }

    /// Reads the ring until something says stop.
    async fn run(
        &mut self,
        command: &[OsString],
        timeout: Option<Duration>,
        mut stops: Stops,
    ) -> Result<Outcome> {
        // The first look has been made.
        let mut tick = interval_at(Instant::now() + TICK, TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A time that no clock reaches is none.
        let mut deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut child = spawn(command)?;
        let mut more = false;

        loop {
            tokio::select! {
                ready = self.ring.readable_mut() => {
                    let mut guard = ready.context("cannot wait for the ring of records")?;
                    // Before the ring is read: what comes in meanwhile makes it ready again.
                    guard.clear_ready();
                    drop(guard);
                    more = self.drain()?;
                }
                () = std::future::ready(()), if more => more = self.drain()?,
                _ = tick.tick() => more = self.tick()?,
                status = wait(&mut child) => {
                    let status = status.context("cannot wait for the command")?;
                    self.settle().await?;
                    return Ok(Outcome::Command(status));
                }
                _ = stops.interrupt.recv() => {
                    // A command that we run got it too, and decides by itself whether it ends.
                    if child.is_none() {
                        while self.drain()? {}
                        return Ok(Outcome::Stopped);
                    }
                }
                _ = stops.terminate.recv() => {
                    match child.as_ref().and_then(Child::id) {
                        Some(pid) => forward_sigterm(pid),
                        None => {
                            while self.drain()? {}
                            return Ok(Outcome::Stopped);
                        }
                    }
                }
                () = until(deadline) => {
                    while self.drain()? {}
                    self.pipeline.close();
                    deadline = None;
                }
            }
            // A command that runs goes on, unseen, and its status is ours.
            if self.pipeline.is_closed() && child.is_none() {
                return Ok(Outcome::Stopped);
            }
        }
    }

    /// Takes what is in the ring, but not so much that nobody could stop us; whether there may be more.
    fn drain(&mut self) -> Result<bool> {
        for _ in 0..DRAIN {
            let Some(fact) = self.read()? else {
                if let Some(log) = &mut self.log {
                    log.flush();
                }
                self.tell_residents()?;
                return Ok(false);
            };
            let at = fact.at;
            self.feed(fact)?;
            let gaps = self.decoder.gaps();
            report_lost(&mut self.pipeline, &mut self.reported_lost, gaps, at)?;
        }
        Ok(true)
    }

    /// Tells who was found living in a namespace, now that the ring is empty.
    fn tell_residents(&mut self) -> Result<()> {
        for resident in self.residents.take_found() {
            self.feed(Fact { at: now(), what: What::Resident(resident) })?;
        }
        Ok(())
    }

    /// The next fact in the ring; records of a kind that is not known are passed over.
    fn read(&mut self) -> Result<Option<Fact>> {
        while let Some(item) = self.ring.get_mut().next() {
            if let Some(fact) = self.decoder.decode(&item, &mut self.symbols)? {
                return Ok(Some(fact));
            }
        }
        Ok(None)
    }

    /// Gives a fact to the pipeline, after what only the machine can tell about it.
    fn feed(&mut self, fact: Fact) -> Result<()> {
        let at = fact.at;
        for netns in named_here(&fact.what) {
            if let Some(name) = self.names.of_new(netns) {
                self.pipeline.take(Fact { at, what: What::NetnsName { netns: *netns, name } })?;
            }
        }
        if let Some(container) = cgroup_here(&fact.what).and_then(|path| self.containers.of_new(path)) {
            self.pipeline.take(Fact { at, what: What::Container(container) })?;
        }
        match &fact.what {
            What::Link(_) => named_here(&fact.what).for_each(|netns| self.residents.expect_in(netns)),
            What::NetnsMove(change) => self.residents.entered(&change.to),
            What::Exit(exit) => self.residents.left(&exit.netns, exit.task.process.tgid),
            _ => {}
        }
        if let Some(netns) = torn_down_here(&fact.what) {
            self.residents.ended(&netns);
            self.names.ended(&netns);
        }
        Ok(self.pipeline.take(fact)?)
    }

    /// What has to be looked at even if nothing happens; whether there may be more in the ring.
    fn tick(&mut self) -> Result<bool> {
        // Whoever is found is told once the ring is empty, in case that the namespace's end is in there.
        self.residents.tick();
        let more = self.drain()?;
        if !more {
            self.pipeline.take(Fact { at: now(), what: What::Tick })?;
        }
        self.report_counted()?;
        Ok(more)
    }

    /// Says what the kernel side could neither hand over nor remember.
    fn report_counted(&mut self) -> Result<()> {
        report_lost(&mut self.pipeline, &mut self.reported_lost, self.counters.lost(), now())?;
        let unkept = self.counters.get(Counter::MapFull);
        if unkept > 0 && !self.reported_unkept {
            self.reported_unkept = true;
            self.pipeline.notice(
                now(),
                "There are more links or network namespaces than the kernel side can remember: from here on some \
                 events may come out as unattributed, or without the reason for a namespace's end."
                    .to_owned(),
            )?;
        }
        Ok(())
    }

    /// Waits until the namespaces of a command that has ended are gone too.
    async fn settle(&mut self) -> Result<()> {
        let deadline = Instant::now() + TEARDOWN;
        loop {
            if self.tick()? {
                continue;
            }
            if self.pipeline.known().in_teardown() == 0 || Instant::now() >= deadline {
                return Ok(());
            }
            tokio::time::sleep(TEARDOWN_TICK).await;
        }
    }
}

/// Says that records were lost, as soon as either the gaps in the sequence or the kernel's own count tell.
fn report_lost(pipeline: &mut Pipeline, reported: &mut u64, lost: u64, at: Ktime) -> Result<()> {
    if lost > *reported {
        let records = lost - *reported;
        *reported = lost;
        pipeline.take(Fact { at, what: What::Lost { records } })?;
    }
    Ok(())
}

/// The namespaces that a fact shows to people. Kernel workers act in namespaces that are known, or that have ended: then
/// the inode number may be another one's by now.
fn named_here(what: &What) -> impl Iterator<Item = &Netns> {
    let (one, other) = match what {
        What::Link(fact) if !fact.task.kthread => {
            (fact.link.netns.as_ref(), fact.from.as_ref().map(|(netns, _)| netns))
        }
        _ => (None, None),
    };
    one.into_iter().chain(other)
}

/// The namespace that has ended, as a fact shows: by the drop of its last reference, which need not have been seen, or by
/// a link of its that the kernel deletes with it, and not with a parent. Its address and its inode number may be another
/// one's from now on.
fn torn_down_here(what: &What) -> Option<Netns> {
    match what {
        What::NetnsEnd(end) if end.last => Some(end.netns),
        What::Link(fact) if fact.change == LinkChange::Deleted && fact.task.kthread => {
            let with_parent = fact.parent.as_ref().is_some_and(|parent| !parent.registered);
            fact.home().filter(|_| !with_parent && tears_namespaces_down(&fact.stack))
        }
        _ => None,
    }
}

/// The control group that a fact introduces.
fn cgroup_here(what: &What) -> Option<&Text> {
    match what {
        What::Task(task) => task.cgroup.path.as_ref(),
        What::Resident(resident) => resident.cgroup.path.as_ref(),
        _ => None,
    }
}

/// Starts the command, with our own three streams.
fn spawn(command: &[OsString]) -> Result<Option<Child>> {
    let Some((program, args)) = command.split_first() else { return Ok(None) };
    tokio::process::Command::new(program)
        .args(args)
        .spawn()
        .map(Some)
        .with_context(|| format!("cannot start {}", Text::from(program.as_encoded_bytes().to_vec())))
}

/// The end of the command; never, without one.
async fn wait(child: &mut Option<Child>) -> io::Result<ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn forward_sigterm(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended in between, and then we hear of it.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

fn now() -> Ktime {
    let time = clock_gettime(ClockId::Boottime);
    Ktime(u64::try_from(nanoseconds(time)).unwrap_or(0))
}

fn clock() -> Clock {
    Clock::new(nanoseconds(clock_gettime(ClockId::Realtime)) - nanoseconds(clock_gettime(ClockId::Boottime)))
}

fn nanoseconds(time: rustix::time::Timespec) -> i128 {
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

/// The kernel's symbols, loaded when the first address has to be named.
struct KernelSymbols(symbols::Symbols);

impl Symbols for KernelSymbols {
    fn resolve(&mut self, address: u64) -> Option<String> {
        self.0.resolve(address).map(str::to_owned)
    }
}
