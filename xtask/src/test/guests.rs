//! Runs tests in guests, several at a time, and says how it went.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use guest_init::COPIES_DIR;

use super::suite::Suite;
use super::transcript::{Counts, Transcript};
use super::{ONE_AT_A_TIME, Tests};
use crate::vm::{Guest, Job, Outcome, Sinks};

/// A guest with all its tests may take so long; they take some minutes under emulation.
const GUEST_TIMEOUT: Duration = Duration::from_secs(2400);

/// A guest that the tests of a suite can run in.
pub struct Ready {
    /// The kernel's series and what the suite is called.
    pub name: String,
    /// The guest.
    pub guest: Guest,
    /// The tests.
    pub suite: &'static Suite,
}

/// How many of these guests run at a time.
///
/// A guest keeps one processor busy and a bit of another, and waits now and then: one more than there are processors
/// fills them, and five kernels on two of them are through a sixth sooner.
pub fn at_once(guests: usize) -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get() + 1).min(guests)
}

impl Tests {
    /// Runs in each guest, and yields what went wrong.
    pub fn run_in_guests(&self, ready: VecDeque<Ready>) -> Vec<String> {
        let order: Vec<String> = ready.iter().map(|ready| ready.name.clone()).collect();
        let workers = at_once(ready.len());
        let queue = Mutex::new(ready);
        let runs = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    // A guest ends with the thread that started it, so each thread stays for its own.
                    loop {
                        let Some(ready) = lock(&queue).pop_front() else { break };
                        let run = self.run_in_guest(ready);
                        lock(&runs).push(run);
                    }
                });
            }
        });
        let mut runs = runs.into_inner().unwrap_or_else(PoisonError::into_inner);
        runs.sort_by_key(|run| order.iter().position(|name| *name == run.name));
        println!("\n{}", Table(&runs));
        runs.iter().filter_map(Run::failure).collect()
    }

    fn run_in_guest(&self, Ready { name, guest, suite }: Ready) -> Run {
        let started = Instant::now();
        let transcript = Transcript::new(&name, Box::new(io::stdout()));
        let complaints = Transcript::new(&name, Box::new(io::stderr()));
        let outcome = self.job(suite).and_then(|job| {
            guest.run(&self.programs, &job, || {
                Ok(Sinks {
                    stdout: Box::new(transcript.clone()),
                    stderr: Box::new(complaints.clone()),
                    stdin: None,
                })
            })
        });
        Run {
            name,
            release: guest.release().to_owned(),
            outcome,
            counts: transcript.end(),
            took: started.elapsed(),
        }
    }

    fn job(&self, suite: &Suite) -> Result<Job> {
        let executable = self.executable(suite)?;
        let name = executable.file_name().and_then(|name| name.to_str());
        let name = name.context("the tests' program has no name")?;
        let arguments = ONE_AT_A_TIME.into_iter().chain(self.arguments(suite));
        let command = std::iter::once(format!("{COPIES_DIR}/{name}").into()).chain(arguments.map(Into::into));
        Ok(Job {
            command: command.collect(),
            environment: vec![
                ("MACVLAN_TRACE_BIN".into(), "/usr/local/bin/macvlan-trace".into()),
                ("RUST_BACKTRACE".into(), "1".into()),
            ],
            terminal: None,
            copies: vec![executable.to_owned()],
            cpus: suite.cpus,
            timeout: GUEST_TIMEOUT,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The tests of a suite on one kernel.
struct Run {
    name: String,
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
        Some(format!("kernel {}: {what}", self.name))
    }
}

/// How the runs went, for people.
struct Table<'a>(&'a [Run]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:16}{:34}{:>8}{:>8}{:>8}{:>9}",
            "kernel", "version", "passed", "failed", "ignored", "seconds"
        )?;
        for Run { name, release, counts, took, .. } in self.0 {
            write!(f, "{name:16}{release:34}")?;
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
            name: "6.12 real".into(),
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
        assert_eq!(bad.failure().as_deref(), Some("kernel 6.12 real: 2 tests failed"));
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
        assert_eq!(rows[1], ["6.12", "real", "6.12.1", "30", "1", "2", "12.3"]);
        assert_eq!(rows[2], ["6.12", "real", "6.12.1", "no", "result", "12.3"]);
    }
}
