//! The command line of macvlan-trace: reads it, starts what it asks for, maps errors to exit codes.

use std::{
    io::{self, Write as _, stdout},
    process::ExitCode,
};

use macvlan_trace::{
    cli::{Cli, Verb},
    cmd, output,
};

/// Exit status for a wrong command line, the same as clap's.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::of_process();
    let outcome = match &cli.verb {
        Some(Verb::Check) => cmd::check::run(&mut stdout().lock()).map(|capable| u8::from(!capable)),
        Some(Verb::Explain { rule }) => {
            cmd::explain::run(rule.as_deref(), &mut stdout().lock()).map(|()| 0).map_err(output::unwritten)
        }
        Some(Verb::Replay(args)) => {
            cmd::replay::run(args, &mut io::BufWriter::new(stdout()), &mut io::stderr())
        }
        Some(Verb::Info { files }) => cmd::info::run(files, &mut stdout().lock(), &mut io::stderr()),
        None => match cmd::trace::Options::of(cli) {
            Ok(options) => cmd::trace::run(options),
            Err(error) => {
                say(&error);
                return ExitCode::from(USAGE);
            }
        },
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        // The reader has closed the pipe, as `head` does; that is not a failure.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

/// If standard error is gone, there is nobody to tell, and the exit status says it.
fn say(error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "error: {error:#}");
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
