//! Explains in words why the kernel refused a program, a map or a probe.

use std::{error::Error, io};

use aya::programs::ProgramError;
use rustix::{io::Errno, thread::CapabilitySet};

use super::Surroundings;

/// Why the kernel refused, and what to do, as half a sentence; `None` if the error does not come from the kernel or
/// speaks for itself.
#[must_use]
pub fn explain_load_error(error: &(dyn Error + 'static), surroundings: &Surroundings) -> Option<String> {
    let code = find::<io::Error>(error).and_then(Errno::from_io_error)?;
    let loading = matches!(find::<ProgramError>(error), Some(ProgramError::LoadError { .. }));
    reason(code, loading, surroundings)
}

/// The same for an error number; `loading` if it is about a program, which the verifier can refuse.
fn reason(code: Errno, loading: bool, surroundings: &Surroundings) -> Option<String> {
    Some(match code {
        // The verifier says so, too.
        Errno::ACCESS if loading && !surroundings.selinux => not_understood(),
        Errno::PERM | Errno::ACCESS => not_allowed(surroundings),
        Errno::NOENT | Errno::ADDRNOTAVAIL => {
            "this kernel has no such function, tracepoint or feature; `macvlan-trace check` lists what it has"
                .into()
        }
        Errno::NOSYS => "this kernel has no bpf(): use one built with CONFIG_BPF_SYSCALL".into(),
        Errno::NOMEM => {
            "the kernel has no memory left for it: free some, or raise `ulimit -l` or the memory limit of \
                         the cgroup"
                .into()
        }
        Errno::MFILE => "this process may not open more files: raise `ulimit -n`".into(),
        Errno::NFILE => "the machine may not open more files: raise `sysctl fs.file-max`".into(),
        Errno::NOSPC => "a limit of the kernel is reached: end other tracing tools, and try again".into(),
        Errno::INVAL | Errno::TOOBIG | Errno::OPNOTSUPP => not_understood(),
        _ => return None,
    })
}

fn not_understood() -> String {
    "this kernel does not accept it, which is a bug of macvlan-trace: please report it with the output of \
     `macvlan-trace check`"
        .into()
}

fn not_allowed(surroundings: &Surroundings) -> String {
    let lacking = surroundings.lacking(CapabilitySet::BPF | CapabilitySet::PERFMON);
    if !lacking.is_empty() || surroundings.first_userns == Some(false) {
        return format!("this process lacks the privileges: {}", surroundings.privileges_remedy(lacking));
    }
    if let Some(level) = surroundings.perf_event_paranoid.filter(|&level| level > 2) {
        if !surroundings.lacking(CapabilitySet::SYS_ADMIN).is_empty() {
            return format!(
                "with kernel.perf_event_paranoid={level}, this kernel wants CAP_SYS_ADMIN for probes: give it, or set \
                 `sysctl kernel.perf_event_paranoid=2`"
            );
        }
    }
    let policy = match (surroundings.selinux, surroundings.seccomp) {
        (true, _) => "most likely SELinux's",
        (false, true) => "most likely the seccomp filter of a container or service",
        (false, false) => "such as kernel lockdown, a security module or a container's",
    };
    format!(
        "a policy forbids tracing although the privileges are there, {policy}: run it on the host outside of \
         containers and services, or find the denial with `journalctl -k` and allow it"
    )
}

/// The first of a type in a chain of errors.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::{super::tests::capable, *};

    fn explain(code: Errno, surroundings: &Surroundings) -> Option<String> {
        let error = Err::<(), _>(io::Error::from(code)).context("inner").context("outer").unwrap_err();
        explain_load_error(error.as_ref(), surroundings)
    }

    #[test]
    fn a_refusal_as_root_is_a_policys() {
        let end = ": run it on the host outside of containers and services, or find the denial with `journalctl -k` \
                   and allow it";
        let start = "a policy forbids tracing although the privileges are there, ";
        for (machine, policy) in [
            (capable(), "such as kernel lockdown, a security module or a container's"),
            (
                Surroundings { seccomp: true, ..capable() },
                "most likely the seccomp filter of a container or service",
            ),
            (Surroundings { selinux: true, seccomp: true, ..capable() }, "most likely SELinux's"),
        ] {
            for code in [Errno::PERM, Errno::ACCESS] {
                assert_eq!(explain(code, &machine), Some(format!("{start}{policy}{end}")));
            }
        }
    }

    #[test]
    fn a_paranoid_kernel_wants_more_than_the_two_capabilities() {
        let two = CapabilitySet::BPF | CapabilitySet::PERFMON;
        let machine =
            Surroundings { perf_event_paranoid: Some(3), uid: 1000, capabilities: two, ..capable() };
        assert_eq!(
            explain(Errno::ACCESS, &machine).unwrap(),
            "with kernel.perf_event_paranoid=3, this kernel wants CAP_SYS_ADMIN for probes: give it, or set `sysctl \
             kernel.perf_event_paranoid=2`"
        );
    }

    #[test]
    fn a_refusal_without_privileges_is_no_policys() {
        let user = Surroundings { uid: 1000, capabilities: CapabilitySet::empty(), ..capable() };
        assert_eq!(
            explain(Errno::PERM, &user).unwrap(),
            "this process lacks the privileges: run it as root, as in `sudo macvlan-trace`"
        );
        let rootless = Surroundings { first_userns: Some(false), ..capable() };
        assert_eq!(
            explain(Errno::PERM, &rootless).unwrap(),
            "this process lacks the privileges: run it outside of the rootless container or user namespace"
        );
    }

    #[test]
    fn a_program_that_the_verifier_refuses_is_our_bug() {
        for code in [Errno::ACCESS, Errno::INVAL, Errno::TOOBIG] {
            let text = reason(code, true, &capable()).unwrap();
            assert!(text.contains("please report it"), "{text}");
        }
        let text = reason(Errno::PERM, true, &capable()).unwrap();
        assert!(text.contains("policy"), "{text}");
        let selinux = Surroundings { selinux: true, ..capable() };
        let text = reason(Errno::ACCESS, true, &selinux).unwrap();
        assert!(text.contains("SELinux"), "{text}");
    }

    #[test]
    fn each_error_number_has_a_remedy() {
        for (code, remedy) in [
            (Errno::NOENT, "macvlan-trace check"),
            (Errno::ADDRNOTAVAIL, "macvlan-trace check"),
            (Errno::NOSYS, "CONFIG_BPF_SYSCALL"),
            (Errno::NOMEM, "ulimit -l"),
            (Errno::MFILE, "ulimit -n"),
            (Errno::NFILE, "fs.file-max"),
            (Errno::NOSPC, "end other tracing tools"),
            (Errno::INVAL, "please report it"),
            (Errno::OPNOTSUPP, "please report it"),
        ] {
            let text = explain(code, &capable()).unwrap();
            assert!(text.contains(remedy), "{code:?}: {text}");
        }
    }

    #[test]
    fn other_errors_speak_for_themselves() {
        assert_eq!(explain(Errno::PIPE, &capable()), None);
        assert_eq!(explain_load_error(&io::Error::other("no number"), &capable()), None);
        assert_eq!(explain_load_error(anyhow::anyhow!("text").as_ref(), &capable()), None);
    }
}
