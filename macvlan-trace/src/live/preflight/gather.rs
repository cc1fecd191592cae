//! Reads from the machine what tracing depends on.

use std::{fs, io, path::Path};

use rustix::{
    process::{Resource, geteuid, getrlimit},
    thread::{CapabilitySet, capabilities},
};

use super::{Cgroups, Lockdown, Presence, Surroundings};
use crate::kernel::kinds;

/// The kernel's type information.
const BTF: &str = "/sys/kernel/btf/vmlinux";
/// The perf PMUs; `kprobe` is among them if the kernel was built with CONFIG_KPROBE_EVENTS.
const PMUS: &str = "/sys/bus/event_source/devices";

/// The first user namespace of every machine: `PROC_USER_INIT_INO`.
const FIRST_USERNS: &str = "user:[4026531837]";
/// The first pid namespace of every machine: `PROC_PID_INIT_INO`.
const FIRST_PIDNS: &str = "pid:[4026531836]";

/// Reads a dozen small files. If one cannot be read, its value is unknown; that is not an error.
#[must_use]
pub fn gather() -> Surroundings {
    let uname = rustix::system::uname();
    Surroundings {
        release: uname.release().to_string_lossy().into_owned(),
        machine: uname.machine().to_string_lossy().into_owned(),
        uid: geteuid().as_raw(),
        capabilities: capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective),
        first_userns: is_link_to("/proc/self/ns/user", FIRST_USERNS),
        first_pidns: is_link_to("/proc/self/ns/pid", FIRST_PIDNS),
        btf: presence(BTF),
        kprobes: Path::new(PMUS).is_dir().then(|| Path::new(PMUS).join("kprobe/type").exists()),
        lockdown: fs::read_to_string("/sys/kernel/security/lockdown")
            .map_or(Lockdown::Off, |modes| parse_lockdown(&modes)),
        kptr_restrict: number("/proc/sys/kernel/kptr_restrict"),
        perf_event_paranoid: number("/proc/sys/kernel/perf_event_paranoid"),
        memlock: getrlimit(Resource::Memlock).current,
        seccomp: fs::read_to_string("/proc/self/status").is_ok_and(|status| has_seccomp_filter(&status)),
        selinux: number("/sys/fs/selinux/enforce") == Some(1),
        cgroups: fs::read_to_string("/proc/self/cgroup")
            .map_or(Cgroups::Off, |groups| parse_cgroups(&groups)),
        modules: kinds::all().iter().map(|kind| kind.word).filter(|module| is_loaded(module)).collect(),
    }
}

fn is_loaded(module: &str) -> bool {
    Path::new("/sys/module").join(module).exists()
}

fn is_link_to(link: &str, target: &str) -> Option<bool> {
    fs::read_link(link).ok().map(|is| is == Path::new(target))
}

fn number(path: &str) -> Option<i32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn presence(path: &str) -> Presence {
    match fs::File::open(path) {
        Ok(_) => Presence::Readable,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Presence::Absent,
        Err(_) => Presence::Unreadable,
    }
}

/// Reads `none [integrity] confidentiality`: the mode in brackets is in force.
fn parse_lockdown(modes: &str) -> Lockdown {
    match modes.split_whitespace().find(|mode| mode.starts_with('[')) {
        Some("[integrity]") => Lockdown::Integrity,
        Some("[confidentiality]") => Lockdown::Confidentiality,
        _ => Lockdown::Off,
    }
}

/// Reads `/proc/self/status`: mode 2 is a filter.
fn has_seccomp_filter(status: &str) -> bool {
    status.lines().filter_map(|line| line.strip_prefix("Seccomp:")).any(|mode| mode.trim() == "2")
}

/// Reads `/proc/self/cgroup`: a line a hierarchy, and the unified one has number 0.
fn parse_cgroups(groups: &str) -> Cgroups {
    let unified = groups.lines().any(|line| line.starts_with("0::"));
    let v1 = groups.lines().any(|line| !line.starts_with("0::"));
    match (unified, v1) {
        (true, false) => Cgroups::V2,
        (true, true) => Cgroups::Hybrid,
        (false, true) => Cgroups::V1,
        (false, false) => Cgroups::Off,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_of_lockdown_is_the_one_in_brackets() {
        assert_eq!(parse_lockdown("[none] integrity confidentiality\n"), Lockdown::Off);
        assert_eq!(parse_lockdown("none [integrity] confidentiality\n"), Lockdown::Integrity);
        assert_eq!(parse_lockdown("none integrity [confidentiality]\n"), Lockdown::Confidentiality);
        assert_eq!(parse_lockdown(""), Lockdown::Off);
    }

    #[test]
    fn a_seccomp_filter_is_mode_2() {
        assert!(has_seccomp_filter("Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n"));
        assert!(!has_seccomp_filter("Name:\tx\nSeccomp:\t0\nSeccomp_filters:\t2\n"));
        assert!(!has_seccomp_filter(""));
    }

    #[test]
    fn cgroup_hierarchies_are_told_apart() {
        assert_eq!(parse_cgroups("0::/user.slice\n"), Cgroups::V2);
        assert_eq!(parse_cgroups("8:pids:/\n1:name=systemd:/\n0::/\n"), Cgroups::Hybrid);
        assert_eq!(parse_cgroups("8:pids:/\n1:name=systemd:/\n"), Cgroups::V1);
        assert_eq!(parse_cgroups(""), Cgroups::Off);
    }

    #[test]
    fn this_machine_can_be_looked_at() {
        let here = gather();
        assert!(!here.release.is_empty());
        assert!(!here.machine.is_empty());
    }
}
