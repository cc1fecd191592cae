//! `cargo xtask demo`: the incident, live.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::cargo::GuestBuild;
use crate::host;
use crate::process;
use crate::progress::Progress;
use crate::vm::{self, DEFAULT_SERIES, MirrorOption, Series};
use crate::workspace::Workspace;

const SCRIPT: &str = include_str!("demo.sh");

/// Much more than it takes, even under emulation.
const TIMEOUT_SECONDS: u64 = 120;

/// Show a link break three times, and macvlan-trace naming who broke it
///
/// Runs on this machine's kernel when that can be traced and we are root, in a network namespace of its own;
/// otherwise in a virtual machine.
#[derive(Args)]
pub struct Options {
    /// In a virtual machine with the kernel of this series, even where this machine's would do
    #[arg(long, value_name = "SERIES")]
    kernel: Option<Series>,
    #[command(flatten)]
    mirror: MirrorOption,
}

/// Runs `cargo xtask demo`; yields the exit status.
pub fn main(options: Options, workspace: &Workspace) -> Result<u8> {
    let progress = Progress::new(0);
    progress.say("building macvlan-trace");
    let build = GuestBuild::new(workspace, None);
    let tracer = build.binary("macvlan-trace")?;
    let series = match options.kernel {
        Some(series) => series,
        None => match why_not_here(&tracer)? {
            None => return on_this_machine(&tracer, &progress),
            Some(why) => {
                progress.say(format_args!("not on this machine's kernel: {why}"));
                DEFAULT_SERIES.parse()?
            }
        },
    };
    progress.say(format_args!("in a virtual machine, on a kernel of the series {series}"));
    let command = command("macvlan-trace", "/usr/bin/ip").map(Into::into).to_vec();
    vm::main(vm::Options::small(series, options.mirror, command, TIMEOUT_SECONDS), workspace)
}

/// The traced script, in a network namespace of its own: on a real machine nothing of its network is touched.
fn command<'a>(tracer: &'a str, ip: &'a str) -> [&'a str; 9] {
    [tracer, "--", "unshare", "--net", "sh", "-c", SCRIPT, "demo", ip]
}

/// Why the kernel that xtask itself runs on cannot show it, if so.
fn why_not_here(tracer: &Path) -> Result<Option<String>> {
    if !host::is_root() {
        return Ok(Some("that takes root".into()));
    }
    let check = Command::new(tracer)
        .arg("check")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("could not start macvlan-trace")?;
    Ok((!check.success()).then(|| "`macvlan-trace check` finds that it cannot be traced".into()))
}

fn on_this_machine(tracer: &Path, progress: &Progress) -> Result<u8> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    progress.say(format_args!("on this machine's own kernel, {}", release.trim()));
    let ip = host::find("ip").context("ip is missing: install the package iproute2")?;
    let (tracer, ip) = (tracer.to_string_lossy(), ip.to_string_lossy());
    let [program, arguments @ ..] = command(&tracer, &ip);
    process::run(Command::new(program).args(arguments))?;
    Ok(0)
}
