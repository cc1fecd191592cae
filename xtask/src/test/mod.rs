//! `cargo xtask test`: everything that has to hold before a change is good.

mod guests;
mod suite;
mod transcript;

use std::collections::{BTreeSet, VecDeque};
use std::panic::resume_unwind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use self::guests::Ready;
use self::suite::{KERNEL, MATRIX, SUITES, Suite};
use crate::cargo::{Built, GuestBuild, cargo};
use crate::ebpf::{self, Arch};
use crate::host;
use crate::process;
use crate::progress::Progress;
use crate::vm::{Guest, Guests, Image, MirrorOption, Missing, Programs, Series};
use crate::workspace::Workspace;

/// So many of the matrix have to be there: archives drop old kernels.
const ENOUGH_KERNELS: usize = 4;

/// The package under test, and its binary.
const TRACER: &str = "macvlan-trace";

/// The integration test that needs no kernel, but optimised code: else it tries only a part.
const YEAR: &str = "year";

const HOST_SCRIPT: &str = include_str!("host.sh");

/// Run all checks and tests, the kernel tests among them in virtual machines
///
/// Formatting, lints, unit tests, the eBPF object built anew, the kernel tests on each kernel of the matrix, and the
/// tests with the software that people run. With --kernel, --host or a filter only the tests that need a kernel of their
/// own are run.
#[derive(Args)]
pub struct Options {
    /// Only on the kernel of this series; may be given several times
    #[arg(long, value_name = "SERIES")]
    kernel: Vec<Series>,
    /// Only the kernel tests (small), or only those with Docker, Podman, NetworkManager and their like (real)
    #[arg(long, value_enum)]
    image: Option<Image>,
    /// On this machine's own kernel, as root, in network and mount namespaces of its own
    #[arg(long, conflicts_with_all = ["kernel", "image"])]
    host: bool,
    #[command(flatten)]
    mirror: MirrorOption,
    /// Only tests whose name contains this
    filter: Option<String>,
}

impl Options {
    /// Whether nothing was asked for in particular. Without the real image, the rest is still everything that is quick.
    fn wants_all(&self) -> bool {
        self.kernel.is_empty() && !self.host && self.filter.is_none() && self.image != Some(Image::Real)
    }
}

/// Runs `cargo xtask test`.
///
/// What waits for nothing else goes on at the same time: the checks, what guests are made of, and what is built for them.
pub fn main(options: &Options, workspace: &Workspace) -> Result<()> {
    let checks: &[Check] = if options.wants_all() { &CHECKS } else { &[] };
    let progress =
        Progress::new(checks.len() + 4 + usize::from(options.wants_all()) - usize::from(options.host));
    let failures = Failures::default();
    if options.host {
        let tests = Tests::build(workspace, options, &progress, &failures)?;
        progress.step("kernel tests on this machine's kernel");
        tests.run_on_host()?;
        return failures.into_result();
    }
    let guests = Guests::new(workspace, options.mirror.url.clone(), &progress)?;
    thread::scope(|scope| {
        scope.spawn(|| {
            for check in checks {
                progress.step(check.name);
                failures.note(check.name, (check.run)(workspace));
            }
        });
        // With a filter only the tests, once they are built, can say which guests are needed.
        let all = || prepare(&guests, options, &progress, &failures, |_| Ok(true));
        let early = options.filter.is_none().then(|| scope.spawn(all));
        let tests = Tests::build(workspace, options, &progress, &failures)?;
        let ready = match early {
            Some(guests) => guests.join().unwrap_or_else(|panic| resume_unwind(panic))?,
            None => prepare(&guests, options, &progress, &failures, |suite| tests.has_any(suite))?,
        };
        if options.wants_all() {
            let (kernels, programs) = (ready.iter().map(|ready| ready.guest.clone()), tests.programs.clone());
            let kernels: Vec<Guest> = kernels.collect();
            let year = tests.built.program(YEAR)?.to_owned();
            let (guests, progress, failures) = (&guests, &progress, &failures);
            scope.spawn(move || {
                progress.step("unit tests");
                failures.note("unit tests", unit_tests(workspace, guests, &kernels, &programs));
                failures.note("a year of a machine", process::run(&mut Command::new(year)));
            });
        }
        progress.step(format_args!(
            "tests in {} guests, {} at a time",
            ready.len(),
            guests::at_once(ready.len())
        ));
        for failure in tests.run_in_guests(ready) {
            failures.add(failure);
        }
        anyhow::Ok(())
    })?;
    failures.into_result()
}

/// What went wrong so far: everything is tried all the same.
#[derive(Default)]
struct Failures(Mutex<Vec<String>>);

impl Failures {
    fn add(&self, failure: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
    }

    fn note(&self, what: &str, result: Result<()>) {
        if let Err(error) = result {
            self.add(format!("{what}: {error:#}"));
        }
    }

    fn into_result(self) -> Result<()> {
        let failures = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        if failures.is_empty() {
            return Ok(());
        }
        bail!("not everything is well\n  {}", failures.join("\n  "))
    }
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

const CHECKS: [Check; 4] = [
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
        name: "lints of the tests that need a kernel",
        // To cargo, these are no tests unless they are named.
        run: |workspace| {
            let names = SUITES.iter().flat_map(|suite| ["--test", suite.program]);
            process::run(
                cargo(workspace)
                    .args(["clippy", "--quiet", "--package", TRACER])
                    .args(names)
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
    kernels: &[Guest],
    programs: &Programs,
) -> Result<()> {
    for guest in kernels {
        guests.keep_types(guest, programs)?;
    }
    process::run(cargo(workspace).args(["test", "--quiet"]).env("MACVLAN_TRACE_BTF_DIR", guests.types()))
}

/// Makes the guests of all suites that are wanted, one a kernel; notes what went wrong.
fn prepare(
    guests: &Guests<'_>,
    options: &Options,
    progress: &Progress,
    failures: &Failures,
    is_wanted: impl Fn(&Suite) -> Result<bool>,
) -> Result<VecDeque<Ready>> {
    progress.step("kernels and what runs on them");
    let may_lack = options.kernel.is_empty();
    let mut ready = VecDeque::new();
    let mut failed = false;
    for suite in SUITES.iter().filter(|suite| options.image.is_none_or(|image| image == suite.image)) {
        if !is_wanted(suite)? {
            continue;
        }
        let kernels = if may_lack {
            suite.kernels.iter().map(|series| series.parse()).collect::<Result<Vec<Series>>>()?
        } else {
            options.kernel.clone()
        };
        for series in kernels {
            let name = format!("{series} {}", suite.name).trim_end().to_owned();
            match guests.get(&series, suite.system) {
                Ok(guest) => ready.push_back(Ready { name, guest, suite }),
                Err(error) if may_lack && error.is::<Missing>() => {
                    progress.say(format_args!("skipped: {error}"));
                }
                Err(error) => {
                    failures.add(format!("kernel {name}: {error:#}"));
                    failed = true;
                }
            }
        }
    }
    let of_matrix = ready.iter().filter(|ready| ready.suite.kernels == MATRIX).count();
    if options.wants_all() && of_matrix < ENOUGH_KERNELS {
        failures.add(format!("only {of_matrix} kernels are there, and {ENOUGH_KERNELS} are needed"));
    }
    if ready.is_empty() && !failed {
        bail!("no test has such a name")
    }
    Ok(ready)
}

/// The tests that need a kernel of their own, built.
struct Tests {
    programs: Programs,
    built: Built,
    filter: Option<String>,
}

impl Tests {
    fn build(
        workspace: &Workspace,
        options: &Options,
        progress: &Progress,
        failures: &Failures,
    ) -> Result<Self> {
        progress.step("eBPF object");
        let object = ebpf::build(workspace, Arch::X86_64, progress)?;
        if object.warnings > 0 {
            failures.add(format!("eBPF object: the compiler warned {} times", object.warnings));
        }
        failures.note("eBPF object", ebpf::check(workspace, Arch::X86_64));

        progress.step("macvlan-trace and the tests that need a kernel, static");
        let build = GuestBuild::new(workspace, Some(&object.object));
        let mut names: BTreeSet<&str> = SUITES.iter().map(|suite| suite.program).collect();
        names.extend(options.wants_all().then_some(YEAR));
        let built = build.tests(TRACER, &Vec::from_iter(names))?;
        let programs =
            Programs { init: build.binary("guest-init")?, tracer: built.program(TRACER)?.to_owned() };
        Ok(Self { programs, built, filter: options.filter.clone() })
    }

    fn executable(&self, suite: &Suite) -> Result<&Path> {
        self.built.program(suite.program)
    }

    /// Which tests of a suite are asked for.
    fn selection(&self, suite: &Suite) -> Vec<&str> {
        let skipped = suite.skip.iter().flat_map(|name| ["--skip", name]);
        skipped.chain(self.filter.as_deref()).collect()
    }

    /// Which tests of a suite to run: whatever is asked for, what holds for all of them together comes last.
    fn arguments(&self, suite: &Suite) -> Vec<&str> {
        let mut selection = self.selection(suite);
        selection.extend(self.filter.as_ref().map(|_| LAST));
        selection
    }

    /// Whether the selection holds a test.
    fn has_any(&self, suite: &Suite) -> Result<bool> {
        let mut list = Command::new(self.executable(suite)?);
        let names = process::output(list.args(self.selection(suite)).args(["--list", "--format", "terse"]))?;
        Ok(!names.trim_ascii().is_empty())
    }

    /// Runs the kernel tests on this machine, through sudo unless we are root.
    fn run_on_host(&self) -> Result<()> {
        let suite = &KERNEL;
        let mut command = if host::is_root() { Command::new("env") } else { Command::new("sudo") };
        if !host::is_root() {
            command.arg("env");
        }
        command
            .arg("MACVLAN_TRACE_TEST_HOST=1")
            .arg("RUST_BACKTRACE=1")
            .arg(format!("MACVLAN_TRACE_BIN={}", self.programs.tracer.display()))
            .args(["unshare", "--mount", "--propagation", "private", "sh", "-c", HOST_SCRIPT, "sh"])
            .arg(self.executable(suite)?)
            .args(ONE_AT_A_TIME)
            .args(self.arguments(suite))
            .stdin(Stdio::null());
        let status = command.status().context("could not start the kernel tests")?;
        if !status.success() {
            bail!("the kernel tests failed on this machine's kernel: {status}");
        }
        Ok(())
    }
}

/// The module of tests about all tests of a boot.
const LAST: &str = "whole_run::";

/// Each test wants the machine for itself.
const ONE_AT_A_TIME: [&str; 1] = ["--test-threads=1"];
