//! Checks whether this machine can be traced, before anything is loaded. So the user gets a sentence that says what is
//! missing and what to do about it, instead of the kernel's error number.
//!
//! [`gather`] reads a few small files, [`judge`] decides from that alone, and [`explain`] covers what shows only when
//! the kernel refuses.

mod gather;
mod judge;
mod refusal;

use rustix::thread::CapabilitySet;

pub use gather::gather;
pub use judge::judge;
pub use refusal::explain_load_error;

/// What tracing depends on, as read from the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// Release of the kernel.
    pub release: String,
    /// Architecture, as the kernel calls it.
    pub machine: String,
    /// Effective user id.
    pub uid: u32,
    /// Effective capabilities.
    pub capabilities: CapabilitySet,
    /// Whether this is the machine's first user namespace, where capabilities count; `None` if that cannot be seen.
    pub first_userns: Option<bool>,
    /// Whether this is the machine's first pid namespace, where all processes can be seen.
    pub first_pidns: Option<bool>,
    /// The kernel's type information.
    pub btf: Presence,
    /// Whether the kernel takes kprobes; `None` if that cannot be seen.
    pub kprobes: Option<bool>,
    /// Kernel lockdown.
    pub lockdown: Lockdown,
    /// `kernel.kptr_restrict`.
    pub kptr_restrict: Option<i32>,
    /// `kernel.perf_event_paranoid`.
    pub perf_event_paranoid: Option<i32>,
    /// Bytes that may be locked in memory; `None` for any number.
    pub memlock: Option<u64>,
    /// Whether a seccomp filter is in force for this process.
    pub seccomp: bool,
    /// Whether SELinux enforces its policy.
    pub selinux: bool,
    /// Control groups.
    pub cgroups: Cgroups,
    /// The modules of traced kinds of links that are loaded; a kernel that has one built in does not say so.
    pub modules: Vec<&'static str>,
}

/// Whether a file is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It can be read.
    Readable,
    /// It exists and cannot be read.
    Unreadable,
    /// It does not exist.
    Absent,
}

/// Mode of kernel lockdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lockdown {
    /// Not in force, or not in the kernel.
    Off,
    /// Nobody may change the kernel; reading it is allowed, which is all that tracing does.
    Integrity,
    /// Nobody may read it either.
    Confidentiality,
}

/// The control group hierarchies that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cgroups {
    /// Only the unified one.
    V2,
    /// Only those of version 1.
    V1,
    /// Both.
    Hybrid,
    /// None.
    Off,
}

/// The state of a thing that tracing needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// Tracing works, and shows less.
    Degraded,
    /// Tracing does not work.
    Missing,
    /// It cannot be seen from here.
    Unknown,
}

/// The state of one thing, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The thing.
    pub subject: &'static str,
    /// Its state.
    pub state: State,
    /// What was found, in a few words.
    pub found: String,
    /// What is wrong, as the first half of a sentence; `None` if nothing is.
    pub problem: Option<String>,
    /// What to do about it, as the second half.
    pub remedy: Option<String>,
}

impl Finding {
    /// Whether it makes tracing impossible.
    #[must_use]
    pub fn is_blocking(&self) -> bool {
        self.state == State::Missing
    }

    /// What is wrong and what to do, in one sentence; what is there, if nothing is wrong.
    #[must_use]
    pub fn sentence(&self) -> String {
        match (&self.problem, &self.remedy) {
            (Some(problem), Some(remedy)) => format!("{problem}: {remedy}"),
            (Some(problem), None) => problem.clone(),
            (None, _) => self.found.clone(),
        }
    }
}

/// Fails if this machine cannot be traced, with a line for each thing that is missing.
pub fn refuse(surroundings: &Surroundings) -> anyhow::Result<()> {
    let missing: Vec<String> =
        judge(surroundings).iter().filter(|finding| finding.is_blocking()).map(Finding::sentence).collect();
    if missing.is_empty() { Ok(()) } else { Err(anyhow::Error::msg(missing.join("\n"))) }
}

/// Explains a refusal of the kernel in a sentence, with what to do; errors that do not come from the kernel stay as
/// they are.
#[must_use]
pub fn explain(error: anyhow::Error, surroundings: &Surroundings) -> anyhow::Error {
    match explain_load_error(error.as_ref(), surroundings) {
        // The chain below holds the error number that the reason explains.
        Some(reason) => anyhow::anyhow!("{error}: {reason}"),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine on which everything works.
    pub fn capable() -> Surroundings {
        Surroundings {
            release: "6.12.43+deb13-cloud-amd64".into(),
            machine: "x86_64".into(),
            uid: 0,
            capabilities: CapabilitySet::from_bits_retain((1 << 41) - 1),
            first_userns: Some(true),
            first_pidns: Some(true),
            btf: Presence::Readable,
            kprobes: Some(true),
            lockdown: Lockdown::Off,
            kptr_restrict: Some(0),
            perf_event_paranoid: Some(2),
            memlock: Some(8 << 20),
            seccomp: false,
            selinux: false,
            cgroups: Cgroups::V2,
            modules: vec!["macvlan"],
        }
    }

    #[test]
    fn a_capable_machine_is_not_refused() {
        refuse(&capable()).unwrap();
    }

    #[test]
    fn each_thing_that_is_missing_is_a_line() {
        let refused =
            refuse(&Surroundings { btf: Presence::Absent, kprobes: Some(false), ..capable() }).unwrap_err();
        let text = refused.to_string();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("BTF") && text.contains("kprobes"), "{text}");
    }

    #[test]
    fn an_explained_error_says_what_and_why_without_a_number() {
        let denied = std::io::Error::from_raw_os_error(1);
        let error = anyhow::Error::new(denied).context("the kernel refused the probe do_exit");
        let text = format!("{:#}", explain(error, &capable()));
        assert!(text.starts_with("the kernel refused the probe do_exit: "), "{text}");
        assert!(!text.contains("os error"), "{text}");
        let other = explain(anyhow::anyhow!("no such thing").context("outer"), &capable());
        assert_eq!(format!("{other:#}"), "outer: no such thing");
    }
}
