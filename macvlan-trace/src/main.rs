//! The command line of macvlan-trace: reads it, starts what it asks for, maps errors to exit codes.

use std::{
    io::{self, stdout},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use macvlan_trace::{
    cli::{Cli, Output, Verb},
    cmd,
    filter::Filter,
    run::{self, Options},
    sink::{
        Sink,
        json::Json,
        table::{Look, Table},
    },
};

/// Status of a command line that cannot work, as clap's own.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::of_process();
    let outcome = match &cli.verb {
        Some(Verb::Check) => cmd::check::run(&mut stdout().lock()).map(|capable| u8::from(!capable)),
        Some(Verb::Explain { rule }) => {
            cmd::explain::run(rule.as_deref(), &mut stdout().lock()).map(|()| 0).map_err(Into::into)
        }
        None => match Filter::from_cli(&cli) {
            Ok(filter) => trace(cli, filter),
            Err(error) => {
                eprintln!("error: {error:#}");
                return ExitCode::from(USAGE);
            }
        },
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        // The reader has seen enough, as `head` has; that is no failure.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn trace(cli: Cli, filter: Filter) -> Result<u8> {
    let sink: Box<dyn Sink> = match cli.output {
        Output::Json => Box::new(Json::new(stdout())),
        Output::Table => {
            let look =
                Look { stack: cli.verbose > 0, stop_hint: cli.command.is_empty(), ..Look::of_stdout() };
            Box::new(Table::new(stdout(), look))
        }
    };
    let options = Options {
        filter,
        count: cli.count.map(std::num::NonZero::get),
        timeout: cli.timeout,
        command: cli.command,
        log: cli.verbose > 1,
        missed_after: cli.missed_after.0,
        without: cli.without,
        state_root: cli.state_root,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot set up the waiting for events")?;
    runtime.block_on(run::trace(options, sink)).map(|outcome| outcome.code())
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
