//! How fast a record is replayed, compared with `jq -c .` on the lines that the replay prints.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use flate2::read::MultiGzDecoder;

use crate::cargo::cargo;
use crate::process;
use crate::workspace::Workspace;

/// The record that is repeated.
const RECORD: &str = "macvlan-trace/tests/records/format-1/processes.rec.gz";
/// How many events the long record makes.
const EVENTS: usize = 1_000_000;
/// How often each is timed, in turn.
const ROUNDS: usize = 3;
/// How many bytes of a line come before the part that its checksum covers.
const PREFIX: usize = 18;

/// Measures, and prints a table.
pub fn run(workspace: &Workspace) -> Result<()> {
    process::run(cargo(workspace).args(["build", "--quiet", "--release", "--package", "macvlan-trace"]))?;
    let tracer = workspace.target().join("release/macvlan-trace");
    let long = workspace.target().join("bench/million.rec");
    let events = lengthen(&workspace.root().join(RECORD), &long, &tracer)?;
    let size = fs::metadata(&long)?.len();
    println!("{events} events in a record of {} MB, {ROUNDS} rounds by turns", size / 1_000_000);
    let replay = || {
        let mut command = Command::new(&tracer);
        command.arg("replay").arg(&long).args(["-e", "all", "-o", "json"]);
        command
    };
    let told = long.with_extension("jsonl");
    process::run(replay().stdout(File::create(&told)?))?;
    let jq = || {
        let mut command = Command::new("jq");
        command.args(["-c", "."]).arg(&told);
        command
    };
    let (mut replays, mut jqs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        replays.push(time(&mut replay())?);
        jqs.push(time(&mut jq()).context("jq is needed: apt install jq")?);
    }
    let (replay, jq) = (median(&mut replays), median(&mut jqs));
    println!("replay to JSON  {:6.1} s, {:4} MB at most", replay.0.as_secs_f64(), replay.1 / 1024);
    println!("jq -c .         {:6.1} s, {:4} MB at most", jq.0.as_secs_f64(), jq.1 / 1024);
    println!("ratio           {:6.1}", jq.0.as_secs_f64() / replay.0.as_secs_f64());
    fs::remove_file(told).and_then(|()| fs::remove_file(long)).context("cannot remove the long record")
}

/// Writes a record that repeats the same facts, each time later. Returns how many events it makes.
fn lengthen(short: &Path, long: &Path, tracer: &Path) -> Result<usize> {
    let told =
        process::output(Command::new(tracer).arg("replay").arg(short).args(["-e", "all", "-o", "json"]))?;
    let events = told.lines().filter(|line| line.contains("\"type\":\"event\"")).count();
    if events == 0 {
        bail!("{} tells no event", short.display());
    }
    let lines: Vec<String> =
        BufReader::new(MultiGzDecoder::new(File::open(short)?)).lines().collect::<io::Result<_>>()?;
    let is = |line: &str, what: &str| line.contains(what);
    let (head, facts): (Vec<_>, Vec<_>) = lines.iter().partition(|line| {
        is(line, "\"record\":") || is(line, "{\"Begin\"") || is(line, "\"Watching\"") || is(line, "\"Stock\"")
    });
    let facts: Vec<_> = facts.into_iter().filter(|line| !is(line, "\"what\":\"End\"")).collect();
    let at = |line: &str| -> Option<u64> {
        line.get(PREFIX..)?.strip_prefix("\"at\":")?.split(',').next()?.parse().ok()
    };
    let times = || facts.iter().filter_map(|line| at(line));
    let (Some(first), Some(last)) = (times().min(), times().max()) else { bail!("the record has no facts") };
    let span = last - first + 1_000_000_000;

    fs::create_dir_all(long.parent().context("the long record has no folder")?)?;
    let mut out = BufWriter::new(File::create(long)?);
    for line in &head {
        writeln!(out, "{line}")?;
    }
    let rounds = EVENTS.div_ceil(events);
    for round in 0..rounds {
        for line in &facts {
            let Some(at) = at(line) else { continue };
            let (_, rest) = line[PREFIX..].split_once(',').context("a fact has a time and more")?;
            // A record tells the functions of a path once.
            let rest = match rest.split_once(",\"functions\":") {
                Some((rest, _)) if round > 0 => format!("{rest}}}"),
                _ => rest.to_owned(),
            };
            let fact = format!("\"at\":{},{rest}", at + span * round as u64);
            writeln!(out, "{{\"crc\":\"{:08x}\",{fact}", crc32fast::hash(fact.as_bytes()))?;
        }
    }
    out.flush()?;
    Ok(events * rounds)
}

/// How long a command takes, and the most memory in KiB that it was seen to have.
fn time(command: &mut Command) -> Result<(Duration, u64)> {
    let started = Instant::now();
    let program = command.get_program().display().to_string();
    let mut child =
        command.stdout(Stdio::null()).spawn().with_context(|| format!("cannot start {program}"))?;
    let mut most = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                bail!("{program} failed: {status}");
            }
            return Ok((started.elapsed(), most));
        }
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok());
        most = most.max(peak.unwrap_or(0));
        thread::sleep(Duration::from_millis(10));
    }
}

fn median(times: &mut [(Duration, u64)]) -> (Duration, u64) {
    times.sort_unstable();
    times[times.len() / 2]
}
