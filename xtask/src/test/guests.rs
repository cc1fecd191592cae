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
use super::transcript::{Counts, Ending, Failed, Transcript};
use super::{LAST, ONE_AT_A_TIME, Tests};
use crate::vm::{Guest, Job, Outcome, Sinks};

/// A guest with all its tests may take so long; they take some minutes under emulation.
const GUEST_TIMEOUT: Duration = Duration::from_secs(2400);

/// How many failed tests of a guest are run once more, each of them in a guest that runs nothing else.
///
/// A guest is emulated on processors that others use too, and a test with real daemons can come to a timeout of theirs.
/// A machine that stands still for a moment takes several with it, in each guest that runs just then. What fails twice is a failure. What does not is listed, with the output of its failure above, to be looked into.
const RUN_AGAIN: usize = 6;

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
        let (outcome, result) = self.in_guest(&name, &guest, suite, &self.arguments(suite));
        let mut run = Run {
            release: guest.release().to_owned(),
            outcome,
            counts: result.counts,
            failed: result.failed,
            unsteady: Vec::new(),
            took: started.elapsed(),
            name,
        };
        if run.counts.is_some_and(|counts| counts.failed == run.failed.len() && counts.failed <= RUN_AGAIN) {
            for failed in std::mem::take(&mut run.failed) {
                if failed.test.starts_with(LAST) {
                    run.failed.push(failed);
                    continue;
                }
                let name = format!("{} again", run.name);
                let (outcome, result) = self.in_guest(&name, &guest, suite, &["--exact", &failed.test]);
                run.ran_again(failed, &outcome, result.counts);
            }
        }
        run
    }

    fn in_guest(
        &self,
        name: &str,
        guest: &Guest,
        suite: &Suite,
        arguments: &[&str],
    ) -> (Result<Outcome>, Ending) {
        let transcript = Transcript::new(name, Box::new(io::stdout()));
        let complaints = Transcript::new(name, Box::new(io::stderr()));
        let outcome = self.job(suite, arguments).and_then(|job| {
            guest.run(&self.programs, &job, || {
                Ok(Sinks {
                    stdout: Box::new(transcript.clone()),
                    stderr: Box::new(complaints.clone()),
                    stdin: None,
                })
            })
        });
        (outcome, transcript.end())
    }

    fn job(&self, suite: &Suite, arguments: &[&str]) -> Result<Job> {
        let executable = self.executable(suite)?;
        let name = executable.file_name().and_then(|name| name.to_str());
        let name = name.context("the tests' program has no name")?;
        let arguments = ONE_AT_A_TIME.iter().chain(arguments);
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
    /// The tests that failed.
    failed: Vec<Failed>,
    /// Those that passed when they were run again.
    unsteady: Vec<Failed>,
    took: Duration,
}

impl Run {
    /// Notes how a failed test went when it was run again.
    fn ran_again(&mut self, failed: Failed, outcome: &Result<Outcome>, counts: Option<Counts>) {
        let passed = matches!(outcome, Ok(Outcome::Exited(0)))
            && matches!(counts, Some(Counts { passed: 1, failed: 0, .. }));
        if let (true, Some(all)) = (passed, &mut self.counts) {
            all.failed -= 1;
            all.passed += 1;
            self.unsteady.push(failed);
        } else {
            self.failed.push(failed);
        }
    }

    fn failure(&self) -> Option<String> {
        let what = match (&self.outcome, self.counts) {
            (Err(error), _) => format!("{error:#}"),
            (Ok(Outcome::Exited(0)), Some(Counts { failed: 0, .. })) => return None,
            (Ok(Outcome::Exited(_)), Some(Counts { failed: 0, .. })) if !self.unsteady.is_empty() => {
                return None;
            }
            (Ok(_), Some(Counts { failed: count @ 1.., .. })) => {
                let tests: Vec<&str> = self.failed.iter().map(|failed| failed.test.as_str()).collect();
                format!("{count} tests failed: {}", tests.join(", "))
            }
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
        for run in self.0 {
            for Failed { test, why } in &run.failed {
                writeln!(f, "kernel {}: {test} failed: {why}", run.name)?;
            }
            for Failed { test, why } in &run.unsteady {
                writeln!(f, "kernel {}: {test} failed, and passed when it was run again: {why}", run.name)?;
            }
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
            failed: Vec::new(),
            unsteady: Vec::new(),
            took: Duration::from_millis(12_340),
        }
    }

    fn failed(test: &str) -> Failed {
        Failed { test: test.into(), why: format!("no {test}") }
    }

    const PASSED: Option<Counts> = Some(Counts { passed: 1, failed: 0, ignored: 0 });

    #[test]
    fn what_passes_when_it_is_run_again_is_no_failure_and_is_listed() {
        let bad = Counts { passed: 3, failed: 2, ignored: 0 };
        let mut run = run(Ok(Outcome::Exited(101)), Some(bad));
        run.ran_again(failed("a::one"), &Ok(Outcome::Exited(0)), PASSED);
        run.ran_again(
            failed("a::other"),
            &Ok(Outcome::Exited(101)),
            Some(Counts { passed: 0, failed: 1, ignored: 0 }),
        );
        assert_eq!(run.failure().as_deref(), Some("kernel 6.12 real: 1 tests failed: a::other"));
        let other = run.failed.remove(0);
        run.ran_again(other, &Ok(Outcome::Exited(0)), PASSED);
        assert_eq!(run.failure(), None);
        let table = Table(&[run]).to_string();
        assert!(
            table.ends_with(
                "kernel 6.12 real: a::other failed, and passed when it was run again: no a::other\n"
            ),
            "{table}"
        );
    }

    #[test]
    fn a_test_that_did_not_run_again_has_not_passed() {
        let bad = Counts { passed: 3, failed: 1, ignored: 0 };
        let mut run = run(Ok(Outcome::Exited(101)), Some(bad));
        let nothing_ran = Some(Counts { passed: 0, failed: 0, ignored: 0 });
        run.ran_again(failed("a::one"), &Ok(Outcome::Exited(0)), nothing_ran);
        run.ran_again(failed("a::one"), &Ok(Outcome::Exited(0)), None);
        assert!(run.failure().is_some());
        let table = Table(&[run]).to_string();
        assert!(table.ends_with("kernel 6.12 real: a::one failed: no a::one\n"), "{table}");
    }

    #[test]
    fn only_a_counted_success_is_one() {
        let good = Counts { passed: 3, failed: 0, ignored: 0 };
        assert_eq!(run(Ok(Outcome::Exited(0)), Some(good)).failure(), None);
        assert!(run(Ok(Outcome::Exited(0)), None).failure().is_some());
        assert!(run(Ok(Outcome::Killed(9)), Some(good)).failure().is_some());
        let mut bad = run(Ok(Outcome::Exited(101)), Some(Counts { failed: 2, ..good }));
        bad.failed = ["a::one", "a::other"].map(failed).into();
        assert_eq!(bad.failure().as_deref(), Some("kernel 6.12 real: 2 tests failed: a::one, a::other"));
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
