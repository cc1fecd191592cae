//! `cargo xtask test`: everything that has to hold before a change is good.

mod transcript;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use guest_init::{COPIES_DIR, System};

use self::transcript::{Counts, Transcript};
use crate::cargo::{GuestBuild, cargo};
use crate::ebpf::{self, Arch};
use crate::host;
use crate::process;
use crate::progress::Progress;
use crate::vm::{Guest, Guests, Job, MirrorOption, Missing, Outcome, Programs, Series, Sinks};
use crate::workspace::Workspace;

/// The kernels on which every test has to pass.
const MATRIX: [&str; 5] = ["5.10", "6.1", "6.12", "6.18", "7"];

/// So many of the matrix have to be there: archives drop old kernels.
const ENOUGH_KERNELS: usize = 4;

/// A guest with all kernel tests may take so long; they take some minutes under emulation.
const GUEST_TIMEOUT: Duration = Duration::from_secs(2400);

/// Two, so that the tracer and what it traces really run at once.
const GUEST_CPUS: u32 = 2;

const HOST_SCRIPT: &str = include_str!("host.sh");

/// Run all checks and tests, the kernel tests among them in virtual machines
///
/// Formatting, lints, unit tests, the eBPF object built anew, and the kernel tests on each kernel of the matrix.
/// With --kernel, --host or a filter only the kernel tests are run.
#[derive(Args)]
pub struct Options {
    /// Only on the kernel of this series; may be given several times
    #[arg(long, value_name = "SERIES")]
    kernel: Vec<Series>,
    /// On this machine's own kernel, as root, in network and mount namespaces of its own
    #[arg(long, conflicts_with = "kernel")]
    host: bool,
    #[command(flatten)]
    mirror: MirrorOption,
    /// Only kernel tests whose name contains this
    filter: Option<String>,
}

/// Runs `cargo xtask test`.
pub fn main(options: Options, workspace: &Workspace) -> Result<()> {
    let everything = options.kernel.is_empty() && !options.host && options.filter.is_none();
    let kernels = match (options.host, options.kernel.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => MATRIX.iter().map(|series| series.parse()).collect::<Result<Vec<Series>>>()?,
        (false, false) => options.kernel.clone(),
    };
    let checks: &[Check] = if everything { &CHECKS } else { &[] };
    let progress = Progress::new(checks.len() + 2 + kernels.len() + usize::from(everything) + 1);
    let mut failures = Vec::new();
    for check in checks {
        progress.step(check.name);
        if let Err(error) = (check.run)(workspace) {
            failures.push(format!("{}: {error:#}", check.name));
        }
    }

    progress.step("eBPF object");
    let object = ebpf::build(workspace, Arch::X86_64, &progress)?;
    if object.warnings > 0 {
        failures.push(format!("eBPF object: the compiler warned {} times", object.warnings));
    }
    if let Err(error) = ebpf::check(workspace, Arch::X86_64) {
        failures.push(format!("eBPF object: {error:#}"));
    }

    progress.step("macvlan-trace and its kernel tests, static");
    let tests = KernelTests::build(workspace, &object.object, options.filter)?;

    if options.host {
        progress.step("kernel tests on this machine's kernel");
        tests.run_on_host()?;
    } else {
        let guests = Guests::new(workspace, options.mirror.url, &progress)?;
        let ready = prepare(&guests, &kernels, options.kernel.is_empty(), &progress, &mut failures);
        if everything {
            progress.step("unit tests");
            if let Err(error) = unit_tests(workspace, &guests, &ready, &tests.programs) {
                failures.push(format!("unit tests: {error:#}"));
            }
        }
        failures.extend(tests.run_in_guests(ready, &kernels, &progress));
    }
    if failures.is_empty() {
        return Ok(());
    }
    bail!("not everything is well\n  {}", failures.join("\n  "))
}

/// What the verifier wants is not what clippy wants: code in one piece, the kernel's C types, packed scratch space.
const VERIFIERS_TASTE: [&str; 5] = [
    "-Aclippy::inline_always",
    "-Aclippy::cast_possible_truncation",
    "-Aclippy::cast_possible_wrap",
    "-Aclippy::cast_sign_loss",
    "-Aclippy::cast_ptr_alignment",
];

/// A check that needs no kernel.
struct Check {
    name: &'static str,
    run: fn(&Workspace) -> Result<()>,
}

const CHECKS: [Check; 3] = [
    Check {
        name: "formatting",
        run: |workspace| process::run(cargo(workspace).args(["fmt", "--all", "--check"])),
    },
    Check {
        name: "lints",
        run: |workspace| {
            process::run(
                cargo(workspace)
                    .args(["clippy", "--quiet", "--workspace", "--exclude", ebpf::PACKAGE, "--all-targets"])
                    .args(["--", "-D", "warnings"]),
            )
        },
    },
    Check {
        name: "lints of the eBPF crate",
        // No clippy knows the eBPF target's core library; the crate is read as one of this machine's, where only
        // a program that cannot unwind may do without std.
        run: |workspace| {
            process::run(
                cargo(workspace)
                    .args([
                        "clippy",
                        "--quiet",
                        "--package",
                        ebpf::PACKAGE,
                        "--target",
                        "x86_64-unknown-linux-gnu",
                    ])
                    .args(["--", "-D", "warnings"])
                    .args(VERIFIERS_TASTE)
                    .env("RUSTFLAGS", "-C panic=abort")
                    .env_remove("CARGO_ENCODED_RUSTFLAGS"),
            )
        },
    },
];

/// The unit tests, those among them that read the types of all these guests' kernels.
fn unit_tests(
    workspace: &Workspace,
    guests: &Guests<'_>,
    ready: &VecDeque<Ready>,
    programs: &Programs,
) -> Result<()> {
    for Ready { guest, .. } in ready {
        guests.keep_types(guest, programs)?;
    }
    process::run(cargo(workspace).args(["test", "--quiet"]).env("MACVLAN_TRACE_BTF_DIR", guests.types()))
}

/// A guest that the kernel tests can run in.
struct Ready {
    series: String,
    guest: Guest,
}

/// Makes a guest of each kernel; notes what went wrong.
fn prepare(
    guests: &Guests<'_>,
    series: &[Series],
    may_lack: bool,
    progress: &Progress,
    failures: &mut Vec<String>,
) -> VecDeque<Ready> {
    let mut ready = VecDeque::new();
    for series in series {
        progress.step(format_args!("kernel {series}"));
        match guests.get(series, System::Small) {
            Ok(guest) => ready.push_back(Ready { series: series.to_string(), guest }),
            Err(error) if may_lack && error.is::<Missing>() => {
                progress.say(format_args!("skipped: {error}"));
            }
            Err(error) => failures.push(format!("kernel {series}: {error:#}")),
        }
    }
    if may_lack && ready.len() < ENOUGH_KERNELS {
        failures.push(format!("only {} kernels are there, and {ENOUGH_KERNELS} are needed", ready.len()));
    }
    ready
}

/// The kernel tests, built.
struct KernelTests {
    programs: Programs,
    executable: PathBuf,
    filter: Option<String>,
}

impl KernelTests {
    fn build(workspace: &Workspace, object: &Path, filter: Option<String>) -> Result<Self> {
        let build = GuestBuild::new(workspace, Some(object));
        let programs = Programs { init: build.binary("guest-init")?, tracer: build.binary("macvlan-trace")? };
        Ok(Self { programs, executable: build.tests("macvlan-trace", "kernel")?, filter })
    }

    /// One at a time: each test wants the machine for itself.
    fn arguments(&self) -> impl Iterator<Item = &str> {
        ["--test-threads=1"].into_iter().chain(self.filter.as_deref())
    }

    /// Runs on this machine, through sudo unless we are root.
    fn run_on_host(&self) -> Result<()> {
        let mut command = if host::is_root() { Command::new("env") } else { Command::new("sudo") };
        if !host::is_root() {
            command.arg("env");
        }
        command
            .arg("MACVLAN_TRACE_TEST_HOST=1")
            .arg("RUST_BACKTRACE=1")
            .arg(format!("MACVLAN_TRACE_BIN={}", self.programs.tracer.display()))
            .args(["unshare", "--mount", "--propagation", "private", "sh", "-c", HOST_SCRIPT, "sh"])
            .arg(&self.executable)
            .args(self.arguments())
            .stdin(Stdio::null());
        let status = command.status().context("could not start the kernel tests")?;
        if !status.success() {
            bail!("the kernel tests failed on this machine's kernel: {status}");
        }
        Ok(())
    }

    /// Runs in each guest, and yields what went wrong.
    fn run_in_guests(&self, ready: VecDeque<Ready>, series: &[Series], progress: &Progress) -> Vec<String> {
        // A guest keeps one processor busy and a bit of another, and waits now and then: one more than there are
        // processors fills them, and five kernels on two of them are through a sixth sooner.
        let at_once = thread::available_parallelism().map_or(1, |cores| cores.get() + 1).min(ready.len());
        progress.step(format_args!("kernel tests in {} guests, {at_once} at a time", ready.len()));
        let queue = Mutex::new(ready);
        let runs = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..at_once {
                scope.spawn(|| {
                    // A guest ends with the thread that started it, so each thread stays for its own.
                    loop {
                        let Some(Ready { series, guest }) = lock(&queue).pop_front() else { break };
                        let run = self.run_in_guest(&guest, series);
                        lock(&runs).push(run);
                    }
                });
            }
        });
        let mut runs = runs.into_inner().unwrap_or_else(PoisonError::into_inner);
        runs.sort_by_key(|run| series.iter().position(|series| series.to_string() == run.series));
        println!("\n{}", Table(&runs));
        runs.iter().filter_map(Run::failure).collect()
    }

    fn run_in_guest(&self, guest: &Guest, series: String) -> Run {
        let started = Instant::now();
        let transcript = Transcript::new(&series, Box::new(io::stdout()));
        let complaints = Transcript::new(&series, Box::new(io::stderr()));
        let outcome = self.job().and_then(|job| {
            guest.run(&self.programs, &job, || {
                Ok(Sinks {
                    stdout: Box::new(transcript.clone()),
                    stderr: Box::new(complaints.clone()),
                    stdin: None,
                })
            })
        });
        Run {
            series,
            release: guest.release().to_owned(),
            outcome,
            counts: transcript.end(),
            took: started.elapsed(),
        }
    }

    fn job(&self) -> Result<Job> {
        let name = self.executable.file_name().and_then(|name| name.to_str());
        let name = name.context("the kernel tests' program has no name")?;
        let command =
            std::iter::once(format!("{COPIES_DIR}/{name}").into()).chain(self.arguments().map(Into::into));
        Ok(Job {
            command: command.collect(),
            environment: vec![
                ("MACVLAN_TRACE_BIN".into(), "/usr/local/bin/macvlan-trace".into()),
                ("RUST_BACKTRACE".into(), "1".into()),
            ],
            terminal: None,
            copies: vec![self.executable.clone()],
            cpus: GUEST_CPUS,
            timeout: GUEST_TIMEOUT,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The kernel tests on one kernel.
struct Run {
    series: String,
    release: String,
    outcome: Result<Outcome>,
    counts: Option<Counts>,
    took: Duration,
}

impl Run {
    fn failure(&self) -> Option<String> {
        let what = match (&self.outcome, self.counts) {
            (Err(error), _) => format!("{error:#}"),
            (Ok(Outcome::Exited(0)), Some(Counts { failed: 0, .. })) => return None,
            (Ok(_), Some(Counts { failed: count @ 1.., .. })) => format!("{count} tests failed"),
            (Ok(outcome), _) => format!("the tests came to no result (status {})", outcome.code()),
        };
        Some(format!("kernel {}: {what}", self.series))
    }
}

/// How the runs went, for people.
struct Table<'a>(&'a [Run]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:8}{:34}{:>8}{:>8}{:>8}{:>9}",
            "kernel", "version", "passed", "failed", "ignored", "seconds"
        )?;
        for Run { series, release, counts, took, .. } in self.0 {
            write!(f, "{series:8}{release:34}")?;
            match counts {
                Some(Counts { passed, failed, ignored }) => write!(f, "{passed:>8}{failed:>8}{ignored:>8}")?,
                None => write!(f, "{:>24}", "no result")?,
            }
            writeln!(f, "{:>9.1}", took.as_secs_f64())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(outcome: Result<Outcome>, counts: Option<Counts>) -> Run {
        Run {
            series: "6.12".into(),
            release: "6.12.1".into(),
            outcome,
            counts,
            took: Duration::from_millis(12_340),
        }
    }

    #[test]
    fn only_a_counted_success_is_one() {
        let good = Counts { passed: 3, failed: 0, ignored: 0 };
        assert_eq!(run(Ok(Outcome::Exited(0)), Some(good)).failure(), None);
        assert!(run(Ok(Outcome::Exited(0)), None).failure().is_some());
        assert!(run(Ok(Outcome::Killed(9)), Some(good)).failure().is_some());
        let bad = run(Ok(Outcome::Exited(101)), Some(Counts { failed: 2, ..good }));
        assert_eq!(bad.failure().as_deref(), Some("kernel 6.12: 2 tests failed"));
    }

    #[test]
    fn the_table_has_a_row_a_kernel() {
        let runs = [
            run(Ok(Outcome::Exited(0)), Some(Counts { passed: 30, failed: 1, ignored: 2 })),
            run(Err(anyhow::anyhow!("gone")), None),
        ];
        let table = Table(&runs).to_string();
        let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["kernel", "version", "passed", "failed", "ignored", "seconds"]);
        assert_eq!(rows[1], ["6.12", "6.12.1", "30", "1", "2", "12.3"]);
        assert_eq!(rows[2], ["6.12", "6.12.1", "no", "result", "12.3"]);
    }

    #[test]
    fn the_matrix_is_of_series() {
        assert!(MATRIX.iter().all(|series| series.parse::<Series>().is_ok()));
    }
}
