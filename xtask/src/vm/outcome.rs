//! How a guest's run ended.

use std::fmt;
use std::time::Duration;

use guest_init::Report;

/// What became of the command in the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It ended by itself, with this status.
    Exited(i32),
    /// This signal ended it.
    Killed(i32),
    /// Whoever read our output has gone away, so the guest was stopped.
    NobodyListens,
}

impl Outcome {
    /// The exit status that stands for it, as shells count.
    pub fn code(&self) -> u8 {
        match self {
            Self::Exited(code) => u8::try_from(*code & 0xff).unwrap_or(u8::MAX),
            Self::Killed(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
            Self::NobodyListens => 0,
        }
    }
}

/// Why there is no outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The time was up.
    TimedOut {
        /// How long the guest was given.
        limit: Duration,
        /// Whether the command had started by then.
        started: bool,
    },
    /// The guest did not say that it had booted, long after it should have.
    NeverBooted {
        /// How long it was waited for.
        patience: Duration,
    },
    /// The kernel panicked.
    Panicked,
    /// The guest's init gave up.
    Init(String),
    /// The guest went away without a word.
    Vanished {
        /// What QEMU complained about.
        complaint: String,
        /// Whether the command had started by then.
        started: bool,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { limit, started: true } => {
                write!(f, "the command had not ended after {} s", limit.as_secs())
            }
            Self::TimedOut { limit, started: false } => {
                write!(f, "the guest had not booted after {} s", limit.as_secs())
            }
            Self::NeverBooted { patience } => {
                write!(f, "the guest hung: it had not booted after {} s", patience.as_secs())
            }
            Self::Panicked => write!(f, "the guest's kernel panicked"),
            Self::Init(why) => write!(f, "the guest could not run the command: {why}"),
            Self::Vanished { complaint, .. } if complaint.is_empty() => {
                write!(f, "the guest turned itself off before the command had ended")
            }
            Self::Vanished { complaint, .. } => write!(f, "QEMU gave up: {complaint}"),
        }
    }
}

/// A run without an outcome, and what the guest's kernel last had to say.
#[derive(Debug)]
pub struct Broken {
    /// What happened.
    pub failure: Failure,
    /// The tail of the guest's console.
    pub console: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)?;
        if !self.console.is_empty() {
            write!(f, "; its console ends with:\n{}", self.console)?;
        }
        Ok(())
    }
}

impl std::error::Error for Broken {}

impl Broken {
    /// Whether QEMU itself gave up, or the guest hung, before the command had started: nothing of it was seen yet.
    pub fn is_stillborn(&self) -> bool {
        match &self.failure {
            Failure::Vanished { complaint, started: false } => !complaint.is_empty(),
            Failure::NeverBooted { .. } => true,
            _ => false,
        }
    }
}

/// A report that ends the run, as an outcome.
pub fn of_report(report: Report) -> Option<Result<Outcome, Failure>> {
    match report {
        Report::Started => None,
        Report::Exited { code } => Some(Ok(Outcome::Exited(code))),
        Report::Killed { signal } => Some(Ok(Outcome::Killed(signal))),
        Report::Failed { why } => Some(Err(Failure::Init(why))),
    }
}

/// The failure of a guest that went away, judged by its console and by QEMU's complaint.
pub fn of_silence(console: &str, complaint: &str, started: bool) -> Failure {
    if console.contains("Kernel panic - not syncing") {
        Failure::Panicked
    } else {
        // A warning is none: for one, QEMU warns of the network card's loose cable at every start.
        let errors: Vec<&str> = complaint.lines().filter(|line| !line.contains("warning: ")).collect();
        Failure::Vanished { complaint: errors.join("; "), started }
    }
}

/// The last lines of a console, without what would move the cursor of the terminal that shows them.
pub fn tail(console: &str, lines: usize) -> String {
    let clean: Vec<String> = console
        .lines()
        .map(|line| line.chars().filter(|c| !c.is_control() || *c == '\t').collect::<String>())
        .filter(|line| !line.trim().is_empty())
        .collect();
    clean[clean.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_counted_as_shells_do() {
        assert_eq!(Outcome::Exited(3).code(), 3);
        assert_eq!(Outcome::Killed(9).code(), 137);
    }

    #[test]
    fn a_panic_is_recognised_on_the_console() {
        let console =
            "[    1.0] Kernel panic - not syncing: Attempted to kill init!\r\n[    1.1] Kernel Offset\r\n";
        assert_eq!(of_silence(console, "", true), Failure::Panicked);
        let broken = Broken { failure: Failure::Panicked, console: tail(console, 1) };
        assert_eq!(
            broken.to_string(),
            "the guest's kernel panicked; its console ends with:\n[    1.1] Kernel Offset"
        );
    }

    #[test]
    fn qemus_complaint_is_passed_on_in_one_line_without_warnings() {
        let failure =
            of_silence("", "qemu: warning: nic has no peer\nqemu: no such device\nqemu: bye\n", true);
        assert_eq!(failure.to_string(), "QEMU gave up: qemu: no such device; qemu: bye");
    }

    #[test]
    fn only_a_guest_that_never_began_may_be_started_again() {
        let is_stillborn = |failure| Broken { failure, console: String::new() }.is_stillborn();
        assert!(is_stillborn(of_silence("", "qemu: aborted", false)));
        assert!(!is_stillborn(of_silence("", "qemu: aborted", true)));
        assert!(!is_stillborn(of_silence("", "", false)));
        let limit = Duration::from_secs(300);
        assert!(is_stillborn(Failure::NeverBooted { patience: limit }));
        // Whoever allows less time than that gets no more.
        assert!(!is_stillborn(Failure::TimedOut { limit, started: false }));
    }
}
