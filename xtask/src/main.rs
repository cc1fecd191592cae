//! `cargo xtask`: builds, tests and shows macvlan-trace.

mod bench;
mod cargo;
mod demo;
mod ebpf;
mod hex;
mod host;
mod process;
mod progress;
mod test;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::vm::{Broken, Failure};
use crate::workspace::Workspace;

/// Builds, tests and shows macvlan-trace
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Test(test::Options),
    Vm(vm::Options),
    Demo(demo::Options),
    Bench(bench::Options),
    Ebpf(ebpf::Options),
}

fn main() -> ExitCode {
    let Options { task } = Options::parse();
    let result = Workspace::find().and_then(|workspace| match task {
        Task::Test(options) => test::main(&options, &workspace).map(|()| 0),
        Task::Vm(options) => vm::main(options, &workspace),
        Task::Demo(options) => demo::main(options, &workspace),
        Task::Bench(options) => bench::main(options, &workspace),
        Task::Ebpf(options) => ebpf::main(&options, &workspace).map(|()| 0),
    });
    match result {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            match error.downcast_ref::<Broken>() {
                Some(Broken { failure: Failure::TimedOut { .. }, .. }) => ExitCode::from(124),
                Some(_) => ExitCode::from(125),
                None => ExitCode::FAILURE,
            }
        }
    }
}
