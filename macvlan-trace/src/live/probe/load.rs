//! Loads the programs, and attaches each to the first of its hook's symbols that this kernel has.

use std::{collections::HashMap, io, process};

use anyhow::{Context as _, Result, anyhow, bail};
use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    maps::{Array, HashMap as BpfHashMap, MapData, PerCpuArray, ProgramArray, RingBuf},
    programs::{KProbe, ProgramError, RawTracePoint},
};
use aya_log::EbpfLogger;
use macvlan_trace_common::{Counter, Settings};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use zerocopy::IntoBytes as _;

use super::catalog::{Attach, HOOKS, Hook};
use crate::{
    fact,
    kernel::kinds,
    live::btf::Resolved,
    live::lookup::{
        KernelView,
        inventory::{self, own_pidns},
    },
    output::messages::Messages,
    work,
};

/// The compiled kernel side.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/macvlan-trace.bpf.o"));

/// The attached programs. Dropping it detaches them.
pub struct Probes {
    ebpf: Ebpf,
    /// Where each hook is attached.
    pub hooks: Vec<fact::Hook>,
    /// Why a hook is not attached and what is not seen without it, one sentence each.
    pub degraded: Vec<String>,
    symbols: HashMap<u16, &'static str>,
    log: bool,
}

/// Loads and attaches everything; `log` lets the programs write to aya-log.
///
/// The hooks named in `without` are left out, as if this kernel did not have them.
pub fn start(resolved: &Resolved, log: bool, without: &[String]) -> Result<Probes> {
    let Some(changeupper) = resolved.changeupper.filter(|_| resolved.missing.is_empty()) else {
        bail!(
            "this kernel's type information lacks {}: this version of macvlan-trace does not know the kernel, \
             please report it with the output of `macvlan-trace check`",
            resolved.missing.join(", ")
        );
    };
    raise_memlock();

    let settings = Settings {
        own_tgid: process::id(),
        own_pidns: own_pidns().unwrap_or(0),
        changeupper,
        host_netns: inventory::host_netns().unwrap_or(0),
        macvlan_mode: resolved.macvlan_mode,
    };
    let log_level = if log { u8::MAX } else { 0 };
    let mut ebpf = loader()?
        // The programs have no relocations against the kernel's types: their offsets are handed down.
        .btf(None)
        .override_global("OFFSETS", resolved.offsets.as_bytes(), true)
        .override_global("SETTINGS", settings.as_bytes(), true)
        .override_global(aya_log::LEVEL, &log_level, false)
        .verifier_log_level(VerifierLogLevel::DISABLE)
        .load(OBJECT)
        .context("the kernel refused the maps of the probes")?;

    name_kinds(&mut ebpf)?;
    install_reporter(&mut ebpf)?;
    name_programs(&mut ebpf)?;
    let mut hooks = Vec::new();
    let mut degraded = Vec::new();
    let mut symbols = HashMap::new();
    for hook in HOOKS {
        let outcome = if without.iter().any(|name| name == hook.program) {
            Err(anyhow!("the probe {} is left out on request", hook.program))
        } else {
            match attach(&mut ebpf, hook) {
                Err(error) if hook.required => return Err(error),
                outcome => outcome,
            }
        };
        if let Err(error) = &outcome {
            degraded.push(hook.degradation(format_args!("{error:#}")));
        }
        let symbol = outcome.ok();
        if let (Some(probe), Some(symbol)) = (hook.probe, symbol) {
            symbols.insert(probe as u16, symbol);
        }
        hooks.push(fact::Hook {
            name: hook.program.to_owned(),
            symbol: symbol.map(str::to_owned),
            lost: symbol.is_none().then(|| hook.unseen.to_owned()),
        });
    }
    Ok(Probes { ebpf, hooks, degraded, symbols, log })
}

/// Tells the programs which kinds of links they trace.
fn name_kinds(ebpf: &mut Ebpf) -> Result<()> {
    let map = ebpf.map_mut("KINDS").context("the eBPF object has no map KINDS")?;
    let mut map = BpfHashMap::<_, [u8; 16], u32>::try_from(map).context("the map KINDS is no hash map")?;
    for kind in kinds::all() {
        map.insert(kind.padded, kind.family as u32, 0)
            .context("the kernel did not take the kinds of links")?;
    }
    Ok(())
}

/// Loads the program that the hooks hand over to, and puts it where they find it. It has to be there before the first
/// of them is attached.
fn install_reporter(ebpf: &mut Ebpf) -> Result<()> {
    let refused = "the kernel refused the program that sends the records";
    let program: &mut KProbe = ebpf
        .program_mut("report")
        .context("the eBPF object has no program report")?
        .try_into()
        .context(refused)?;
    program.load().context(refused)?;
    let program = program.fd().and_then(|fd| Ok(fd.try_clone()?)).context(refused)?;
    // The map stays where it is: a program array without a descriptor is emptied.
    let map = ebpf.map_mut("REPORT").context("the eBPF object has no map REPORT")?;
    let mut map = ProgramArray::try_from(map).context("the map REPORT is no program array")?;
    map.set(0, &program, 0).context(refused)
}

/// Tells the kernel side the names of programs on whose processes others depend.
fn name_programs(ebpf: &mut Ebpf) -> Result<()> {
    /// Bytes of `task_struct.comm`, the last of which is its end.
    const COMM: usize = 16;
    let map = ebpf.map_mut("PROGRAMS").context("the eBPF object has no map PROGRAMS")?;
    let mut map: BpfHashMap<_, [u8; COMM], u32> =
        BpfHashMap::try_from(map).context("the map PROGRAMS is no hash map")?;
    for name in work::others_depend_on() {
        let mut comm = [0; COMM];
        let kept = name.len().min(COMM - 1);
        comm[..kept].copy_from_slice(&name.as_bytes()[..kept]);
        map.insert(comm, 0, 0).context("the kernel refused the name of a program")?;
    }
    Ok(())
}

/// Loads one program and attaches it. Returns the symbol that it is attached to.
fn attach(ebpf: &mut Ebpf, hook: &Hook) -> Result<&'static str> {
    let program = ebpf.program_mut(hook.program).ok_or_else(|| {
        anyhow!("the eBPF object has no program {}: it was built from other sources", hook.program)
    })?;
    let refused = || format!("the kernel refused the probe {}", hook.program);
    match hook.attach {
        Attach::Kprobe | Attach::Kretprobe => {
            let program: &mut KProbe = program.try_into().with_context(refused)?;
            program.load().with_context(refused)?;
            first_present(hook, |symbol| program.attach(symbol, 0).map(drop))
        }
        Attach::RawTracepoint => {
            let program: &mut RawTracePoint = program.try_into().with_context(refused)?;
            program.load().with_context(refused)?;
            first_present(hook, |symbol| program.attach(symbol).map(drop))
        }
    }
}

/// Tries a hook's symbols in order; "not there" means the next one, anything else is an error.
fn first_present(
    hook: &Hook,
    mut attach: impl FnMut(&'static str) -> Result<(), ProgramError>,
) -> Result<&'static str> {
    for &symbol in hook.symbols {
        match attach(symbol) {
            Ok(()) => return Ok(symbol),
            Err(error) if is_absent(&error) => {}
            Err(error) => {
                return Err(error).with_context(|| format!("the kernel refused a probe on {symbol}"));
            }
        }
    }
    bail!(hook.absence())
}

/// Whether the kernel has no such symbol (ENOENT, or EINVAL and EADDRNOTAVAIL on some versions).
fn is_absent(error: &ProgramError) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::InvalidInput | io::ErrorKind::AddrNotAvailable
            );
        }
        source = error.source();
    }
    false
}

impl Probes {
    /// The ring of records; can be taken once.
    pub fn take_ring(&mut self) -> Result<RingBuf<MapData>> {
        let map = self.ebpf.take_map("RECORDS").context("the eBPF object has no map RECORDS")?;
        RingBuf::try_from(map).context("the map RECORDS is no ring buffer")
    }

    /// The inventory's interface to the kernel side's maps.
    pub fn take_view(&mut self) -> Result<MapView> {
        let own = self.ebpf.take_map("OWN_NETNS").context("the eBPF object has no map OWN_NETNS")?;
        let netns = self.ebpf.take_map("NETNS").context("the eBPF object has no map NETNS")?;
        Ok(MapView {
            own: Array::try_from(own).context("the map OWN_NETNS is no array")?,
            netns: BpfHashMap::try_from(netns).context("the map NETNS is no hash map")?,
        })
    }

    /// The per-CPU counters; can be taken once.
    pub fn take_counters(&mut self) -> Result<Counters> {
        let map = self.ebpf.take_map("COUNTERS").context("the eBPF object has no map COUNTERS")?;
        Ok(Counters(PerCpuArray::try_from(map).context("the map COUNTERS is no per-CPU array")?))
    }

    /// The kernel function that a record's probe sits on.
    #[must_use]
    pub fn symbols(&self) -> HashMap<u16, &'static str> {
        self.symbols.clone()
    }

    /// The programs' log, to be flushed to these messages, if they write one; can be taken once.
    pub fn take_log(&mut self, messages: Messages) -> Result<Option<ProbeLog>> {
        if !self.log {
            return Ok(None);
        }
        EbpfLogger::init_with_logger(&mut self.ebpf, Lines(messages))
            .map(Some)
            .context("cannot read the probes' log")
    }
}

/// What the programs log.
pub type ProbeLog = EbpfLogger<Lines>;

/// Says log lines among the other messages.
pub struct Lines(Messages);

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.say(format_args!("[{}] {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}

/// What the kernel side counts.
pub struct Counters(PerCpuArray<MapData, u64>);

impl Counters {
    /// The sum over all CPUs.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.0.get(&(counter as u32), 0).map_or(0, |values| values.iter().sum())
    }

    /// Records that the kernel could not hand over.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.get(Counter::RingFull) + self.get(Counter::Nested)
    }
}

/// The inventory's view of the maps.
pub struct MapView {
    own: Array<MapData, [u64; 3]>,
    netns: BpfHashMap<MapData, u64, u32>,
}

impl KernelView for MapView {
    fn entered(&mut self) -> Option<fact::Netns> {
        let [ptr, cookie, inode] = self.own.get(&0, 0).ok()?;
        let inode = u32::try_from(inode & u64::from(u32::MAX)).ok()?;
        (ptr != 0).then(|| fact::Netns {
            ptr,
            cookie: (cookie != 0).then_some(cookie),
            inode: (inode != 0).then_some(fact::NsInode(inode)),
        })
    }

    fn watch(&mut self, netns: &fact::Netns) {
        // If the map is full, records lack evidence, and verdicts claim less.
        let _ = self.netns.insert(netns.ptr, 0, 0);
    }

    fn unwatch(&mut self, netns: &fact::Netns) {
        // It may have ended, and be removed from the map already.
        let _ = self.netns.remove(&netns.ptr);
    }
}

/// Makes aya's loader while the process cannot open files.
///
/// When it is made, it reads and parses the types of the whole kernel (`Btf::from_sys_fs`, aya 0.14). The programs need
/// none of them, and it goes on without them if it cannot read them. Nothing else runs yet that would need a
/// descriptor.
fn loader() -> Result<EbpfLoader<'static>> {
    let limit = getrlimit(Resource::Nofile);
    let refused = "cannot set the limit of open files";
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }).context(refused)?;
    let loader = EbpfLoader::new();
    setrlimit(Resource::Nofile, limit).context(refused)?;
    Ok(loader)
}

/// Before 5.11 maps are accounted to RLIMIT_MEMLOCK, which is 64 KiB by default. Without the right to raise it the
/// maps may still fit; if not, loading says so.
fn raise_memlock() {
    let _ = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None });
}
