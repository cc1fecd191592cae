//! `cargo xtask bench`: what tracing and replaying cost, as ratios within one run.

mod replay;

use anyhow::Result;
use clap::Args;

use crate::vm::{self, DEFAULT_SERIES, MirrorOption, Series};
use crate::workspace::Workspace;

const SCRIPT: &str = include_str!("tracing.sh");

/// Much more than it takes, even under emulation.
const TIMEOUT_SECONDS: u64 = 1200;

/// Measure what tracing costs, in a virtual machine, or how fast a record is replayed
///
/// Four loads with the tracer and without it by turns: processes, signals and visits to a namespace that are of no
/// interest to it, and links that are. Takes a few minutes; let the machine do nothing else meanwhile.
#[derive(Args)]
pub struct Options {
    /// The kernel series, such as 5.10; 7 means the newest 7.x
    #[arg(long, value_name = "SERIES", default_value = DEFAULT_SERIES)]
    kernel: Series,
    #[command(flatten)]
    mirror: MirrorOption,
    /// Tell a record of a million events again, beside `jq -c .` reading its lines, on this machine
    #[arg(long, conflicts_with = "kernel")]
    replay: bool,
}

/// Runs `cargo xtask bench`; yields the exit status.
pub fn main(options: Options, workspace: &Workspace) -> Result<u8> {
    if options.replay {
        return replay::run(workspace).map(|()| 0);
    }
    let command = ["sh", "-c", SCRIPT].map(Into::into).to_vec();
    vm::main(vm::Options::small(options.kernel, options.mirror, command, TIMEOUT_SECONDS), workspace)
}
