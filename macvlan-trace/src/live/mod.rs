//! Everything that needs a live machine. It makes the stream of facts, and does not know how they are used.

pub mod btf;
pub mod clock;
pub mod decode;
pub mod lookup;
pub mod preflight;
pub mod probe;

mod ring;

use std::{collections::VecDeque, path::PathBuf, time::Duration};

use anyhow::Result;
use tokio::time::{Interval, MissedTickBehavior, interval};

use self::{
    clock::{Clocks, now},
    lookup::{
        Inventory, Lookup,
        inventory::{self, host_netns, own_pidns},
    },
    preflight::Surroundings,
    probe::Probes,
    ring::Ring,
};
use crate::{
    fact::{Begin, Fact, NsInode, Own, Watching, What},
    output::messages::Messages,
    text::Text,
};

/// How often the tracer reads the loss counters and searches for residents.
const TICK: Duration = Duration::from_millis(500);
/// How many facts between the first hook and the stock are held back until the stock is in the stream.
const MAX_EARLY: usize = 1024;

/// What a live run needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Show the probes' log.
    pub log: bool,
    /// After how long a deleted link is missed; `None` for never.
    pub missed_after: Option<Duration>,
    /// Hooks to leave out.
    pub without: Vec<String>,
    /// The folder that holds the runtimes' files, in place of the machine's root.
    pub state_root: PathBuf,
}

/// The stream of facts of this machine, as they happen.
pub struct Live {
    ring: Ring,
    lookup: Lookup,
    clocks: Clocks,
    tick: Interval,
    /// A tick is due, and enters the stream once the ring is empty.
    tick_is_due: bool,
    /// Facts that are next.
    next: VecDeque<Fact>,
    /// Dropping them detaches them.
    probes: Probes,
}

impl Live {
    /// Attaches the hooks and takes stock. The probes' log goes to the messages.
    pub fn start(settings: &Settings, messages: Messages) -> Result<Self> {
        let surroundings = preflight::gather();
        preflight::refuse(&surroundings)?;
        let resolved = btf::of_this_kernel()?;
        let mut probes = probe::start(&resolved, settings.log, &settings.without)
            .map_err(|error| preflight::explain(error, &surroundings))?;
        let in_first_pidns = surroundings.first_pidns != Some(false);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first look is made below.
        tick.reset();
        let mut live = Self {
            ring: Ring::of(&mut probes, messages)?,
            lookup: Lookup::new(&settings.state_root, host_netns().map(NsInode), in_first_pidns),
            clocks: Clocks::read(),
            tick,
            tick_is_due: false,
            next: VecDeque::new(),
            probes,
        };
        let begin = live.begin(settings, &surroundings, &resolved);
        live.push(What::Begin(Box::new(begin)));
        let inventory = inventory::take(live.probes.take_view()?)?;
        live.take_stock(inventory);
        Ok(live)
    }

    /// The fact that describes the run.
    fn begin(&self, settings: &Settings, surroundings: &Surroundings, resolved: &btf::Resolved) -> Begin {
        let mut degraded = self.probes.degraded.clone();
        degraded.extend(
            preflight::judge(surroundings)
                .iter()
                .filter(|finding| finding.state == preflight::State::Degraded)
                .map(preflight::Finding::sentence),
        );
        if !resolved.unknown.is_empty() {
            degraded.push(format!(
                "this kernel's types lack {}, so what these say is unknown",
                resolved.unknown.join(", ")
            ));
        }
        let uname = rustix::system::uname();
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        let nanoseconds = |limit: Duration| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        Begin {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: uname.release().to_string_lossy().into_owned(),
            arch: uname.machine().to_string_lossy().into_owned(),
            host: Text::from(uname.nodename().to_bytes().to_vec()),
            boot_id: boot_id.map(|id| id.trim().to_owned()),
            boot: self.clocks.boot(),
            own: Own { ns_tgid: std::process::id(), pidns: own_pidns().map(NsInode) },
            missed_after_ns: settings.missed_after.map(nanoseconds),
            hooks: self.probes.hooks.clone(),
            degraded,
        }
    }

    /// Puts the links and residents that were there before into the stream, before any change of them.
    fn take_stock(&mut self, inventory: Inventory) {
        for (netns, name) in inventory.names {
            self.push(What::NetnsName { netns, name });
        }
        for link in inventory.stock {
            if let Some(netns) = &link.link.netns {
                self.lookup.expect_in(netns);
            }
            self.push(What::Stock(Box::new(link)));
        }
        self.lookup.tick();
        let mut early = Vec::new();
        let emptied = loop {
            match self.ring.next() {
                None => break true,
                Some(fact) => {
                    self.lookup.forget_ended(&fact);
                    early.push(fact);
                }
            }
            if early.len() >= MAX_EARLY {
                break false;
            }
        };
        if emptied {
            self.lookup.tell_found(now(), &mut self.next);
        }
        self.push(What::Watching(Watching { unseen: inventory.unseen, unjoined: inventory.unjoined }));
        self.next.extend(self.ring.missing(now()));
        for fact in early {
            self.lookup.explain(fact, &mut self.next);
        }
    }

    fn push(&mut self, what: What) {
        self.next.push_back(Fact { at: now(), what });
    }

    /// Waits until there may be another fact.
    pub async fn ready(&mut self) -> Result<()> {
        tokio::select! {
            ready = self.ring.ready() => ready?,
            _ = self.tick.tick() => self.look(),
        }
        self.next.extend(self.clocks.stepped());
        Ok(())
    }

    /// Does at once what a tick does.
    pub fn look(&mut self) {
        self.lookup.tick();
        self.next.extend(self.ring.counted(now()));
        self.tick_is_due = true;
    }

    /// The next fact; `None` if there is none now.
    pub fn try_next(&mut self) -> Option<Fact> {
        if self.next.is_empty() {
            self.read();
        }
        self.next.pop_front()
    }

    fn read(&mut self) {
        if let Some(fact) = self.ring.next() {
            let at = fact.at;
            self.lookup.explain(fact, &mut self.next);
            self.next.extend(self.ring.missing(at));
            return;
        }
        self.lookup.tell_found(now(), &mut self.next);
        if std::mem::take(&mut self.tick_is_due) {
            self.push(What::Tick);
        }
    }

    /// The last facts: losses after the last record, which no gap shows, and the end.
    pub fn end(&mut self) -> impl Iterator<Item = Fact> + use<> {
        let at = now();
        self.ring.counted(at).chain([Fact { at, what: What::End }])
    }
}
