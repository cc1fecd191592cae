//! Decides what a machine can do, only from what was read from it.

use rustix::thread::CapabilitySet;

use super::{Cgroups, Finding, Lockdown, Presence, State, Surroundings};

/// The oldest kernel with the BPF ring buffer and `bpf_ktime_get_boot_ns`.
const OLDEST: (u32, u32) = (5, 8);
/// From this kernel on, maps are not accounted to RLIMIT_MEMLOCK any more.
const NO_MEMLOCK: (u32, u32) = (5, 11);
/// How much memory the maps need there.
const MAPS: u64 = 32 << 20;

/// The capabilities by name.
const NAMES: [(CapabilitySet, &str); 6] = [
    (CapabilitySet::BPF, "CAP_BPF"),
    (CapabilitySet::PERFMON, "CAP_PERFMON"),
    (CapabilitySet::SYS_ADMIN, "CAP_SYS_ADMIN"),
    (CapabilitySet::SYS_PTRACE, "CAP_SYS_PTRACE"),
    (CapabilitySet::SYSLOG, "CAP_SYSLOG"),
    (CapabilitySet::SYS_RESOURCE, "CAP_SYS_RESOURCE"),
];

/// The state of each thing that tracing needs, blocking or not.
#[must_use]
pub fn judge(surroundings: &Surroundings) -> Vec<Finding> {
    vec![
        kernel(surroundings),
        architecture(surroundings),
        btf(surroundings),
        kprobes(surroundings),
        lockdown(surroundings),
        privileges(surroundings),
        locked_memory(surroundings),
        perf_events(surroundings),
        namespaces(surroundings),
        processes(surroundings),
        symbols(surroundings),
        cgroups(surroundings),
        kinds(surroundings),
    ]
}

impl Surroundings {
    /// The wanted capabilities that this process does not have.
    pub(super) fn lacking(&self, wanted: CapabilitySet) -> CapabilitySet {
        let mut has = self.capabilities;
        if has.contains(CapabilitySet::SYS_ADMIN) {
            has |= CapabilitySet::BPF | CapabilitySet::PERFMON | CapabilitySet::SYSLOG;
        }
        wanted - has
    }

    /// What to do about capabilities that are lacking.
    pub(super) fn privileges_remedy(&self, lacking: CapabilitySet) -> String {
        if self.first_userns == Some(false) {
            "run it outside of the rootless container or user namespace".into()
        } else if self.uid == 0 {
            let names: Vec<_> =
                names(lacking).iter().map(|name| name.strip_prefix("CAP_").unwrap_or(name)).collect();
            format!("add --privileged, or --cap-add {}, to the container's options", names.join(","))
        } else {
            "run it as root, as in `sudo macvlan-trace`".into()
        }
    }

    fn is_older_than(&self, version: (u32, u32)) -> Option<bool> {
        version_of(&self.release).map(|release| release < version)
    }
}

fn ok(subject: &'static str, found: impl Into<String>) -> Finding {
    Finding { subject, state: State::Ok, found: found.into(), problem: None, remedy: None }
}

fn wrong(
    subject: &'static str,
    state: State,
    found: impl Into<String>,
    problem: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    Finding {
        subject,
        state,
        found: found.into(),
        problem: Some(problem.into()),
        remedy: Some(remedy.into()),
    }
}

fn kernel(machine: &Surroundings) -> Finding {
    let release = &machine.release;
    match machine.is_older_than(OLDEST) {
        Some(false) => ok("kernel", release),
        Some(true) => wrong(
            "kernel",
            State::Missing,
            release,
            format!("kernel {release} is too old, it has no BPF ring buffer"),
            "use kernel 5.8 or newer",
        ),
        None => wrong(
            "kernel",
            State::Unknown,
            release,
            format!("the kernel's release {release:?} is no version"),
            "make sure that it is 5.8 or newer",
        ),
    }
}

fn architecture(machine: &Surroundings) -> Finding {
    let name = &machine.machine;
    if ["x86_64", "aarch64"].contains(&name.as_str()) {
        ok("architecture", name)
    } else {
        wrong(
            "architecture",
            State::Missing,
            name,
            format!("the probes know the registers of x86_64 and aarch64, not of {name}"),
            "use a machine of one of these",
        )
    }
}

fn btf(machine: &Surroundings) -> Finding {
    const SUBJECT: &str = "BTF";
    let file = "/sys/kernel/btf/vmlinux";
    match machine.btf {
        Presence::Readable => ok(SUBJECT, file),
        Presence::Unreadable => wrong(
            SUBJECT,
            State::Missing,
            "unreadable",
            format!("the kernel's type information (BTF) in {file} cannot be read"),
            "run it as root, and in a container mount the host's /sys",
        ),
        Presence::Absent => wrong(
            SUBJECT,
            State::Missing,
            "absent",
            format!("the kernel's type information (BTF), {file}, does not exist"),
            "mount /sys, or use a kernel built with CONFIG_DEBUG_INFO_BTF, as all recent distributions have",
        ),
    }
}

fn kprobes(machine: &Surroundings) -> Finding {
    const SUBJECT: &str = "kprobes";
    match machine.kprobes {
        Some(true) => ok(SUBJECT, "CONFIG_KPROBE_EVENTS"),
        Some(false) => wrong(
            SUBJECT,
            State::Missing,
            "absent",
            "this kernel has no kprobes",
            "use a kernel built with CONFIG_KPROBE_EVENTS, as all distributions have",
        ),
        None => wrong(
            SUBJECT,
            State::Unknown,
            "unknown",
            "whether this kernel has kprobes cannot be seen without /sys/bus/event_source",
            "mount /sys to know",
        ),
    }
}

fn lockdown(machine: &Surroundings) -> Finding {
    const SUBJECT: &str = "lockdown";
    match machine.lockdown {
        Lockdown::Off => ok(SUBJECT, "off"),
        Lockdown::Integrity => ok(SUBJECT, "integrity, which allows tracing"),
        Lockdown::Confidentiality => wrong(
            SUBJECT,
            State::Missing,
            "confidentiality",
            "kernel lockdown is in confidentiality mode, which forbids kprobes and reading kernel memory",
            "boot with lockdown=integrity or without lockdown",
        ),
    }
}

fn privileges(machine: &Surroundings) -> Finding {
    const SUBJECT: &str = "privileges";
    let lacking = machine.lacking(CapabilitySet::BPF | CapabilitySet::PERFMON);
    let who = if machine.uid == 0 { "root".into() } else { format!("uid {}", machine.uid) };
    if machine.first_userns == Some(false) {
        wrong(
            SUBJECT,
            State::Missing,
            format!("{who} of a user namespace"),
            "this is a user namespace, whose capabilities do not allow tracing the kernel",
            machine.privileges_remedy(lacking),
        )
    } else if lacking.is_empty() {
        ok(SUBJECT, format!("{who}, with CAP_BPF and CAP_PERFMON"))
    } else {
        let names = names(lacking).join(" and ");
        wrong(
            SUBJECT,
            State::Missing,
            format!("{who}, without {names}"),
            format!(
                "tracing the kernel needs {names}, and this process ({who}) lacks {}",
                it_or_them(lacking)
            ),
            machine.privileges_remedy(lacking),
        )
    }
}

fn locked_memory(machine: &Surroundings) -> Finding {
    const SUBJECT: &str = "locked memory";
    let lacking = machine.lacking(CapabilitySet::SYS_RESOURCE);
    match machine.memlock {
        Some(limit)
            if machine.is_older_than(NO_MEMLOCK) == Some(true) && !lacking.is_empty() && limit < MAPS =>
        {
            wrong(
                SUBJECT,
                State::Missing,
                format!("{} KiB", limit >> 10),
                format!(
                    "before kernel 5.11 the probes' maps count as locked memory, and {} KiB of it are allowed",
                    limit >> 10
                ),
                "raise it with `ulimit -l unlimited` (LimitMEMLOCK= of a unit), or give CAP_SYS_RESOURCE",
            )
        }
        _ => ok(SUBJECT, "enough"),
    }
}

fn perf_events(machine: &Surroundings) -> Finding {
    const SUBJECT: &str = "perf events";
    match machine.perf_event_paranoid {
        Some(level) if level > 2 && !machine.lacking(CapabilitySet::SYS_ADMIN).is_empty() => wrong(
            SUBJECT,
            State::Degraded,
            format!("kernel.perf_event_paranoid={level}"),
            format!(
                "with kernel.perf_event_paranoid={level}, the kernels of some distributions refuse probes without \
                 CAP_SYS_ADMIN"
            ),
            "if they are refused, set it to 2 or give CAP_SYS_ADMIN",
        ),
        Some(level) => ok(SUBJECT, format!("kernel.perf_event_paranoid={level}")),
        None => ok(SUBJECT, "no kernel.perf_event_paranoid"),
    }
}

fn namespaces(machine: &Surroundings) -> Finding {
    const SUBJECT: &str = "namespaces";
    let lacking = machine.lacking(CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_PTRACE);
    if lacking.is_empty() {
        return ok(SUBJECT, "all can be looked into");
    }
    let names = names(lacking).join(" and ");
    wrong(
        SUBJECT,
        State::Degraded,
        format!("without {names}"),
        format!(
            "without {names}, links that are there already in other network namespaces are not listed, and less is \
             known about their end"
        ),
        machine.privileges_remedy(lacking),
    )
}

fn processes(machine: &Surroundings) -> Finding {
    const SUBJECT: &str = "processes";
    match machine.first_pidns {
        Some(true) => ok(SUBJECT, "all can be seen"),
        Some(false) => wrong(
            SUBJECT,
            State::Degraded,
            "those of a pid namespace",
            "this is a pid namespace of its own, where network namespaces of other processes are not found at the \
             start",
            "run it on the host, or add --pid=host to the container's options",
        ),
        None => wrong(
            SUBJECT,
            State::Unknown,
            "unknown",
            "there is no /proc of this process, so that network namespaces cannot be found at the start",
            "mount /proc",
        ),
    }
}

fn symbols(machine: &Surroundings) -> Finding {
    const SUBJECT: &str = "symbols";
    let lost = "functions in kernel stacks have no names, and how a namespace or a driver ended is not known";
    let lacking = machine.lacking(CapabilitySet::SYSLOG);
    match machine.kptr_restrict {
        Some(level) if level >= 2 => wrong(
            SUBJECT,
            State::Degraded,
            format!("kernel.kptr_restrict={level}"),
            format!("with kernel.kptr_restrict={level}, {lost}"),
            "set it to 1 with `sysctl kernel.kptr_restrict=1`",
        ),
        _ if !lacking.is_empty() => wrong(
            SUBJECT,
            State::Degraded,
            "without CAP_SYSLOG",
            format!("without CAP_SYSLOG, {lost}"),
            machine.privileges_remedy(lacking),
        ),
        _ => ok(SUBJECT, "/proc/kallsyms"),
    }
}

fn cgroups(machine: &Surroundings) -> Finding {
    const SUBJECT: &str = "cgroups";
    match machine.cgroups {
        Cgroups::V2 => ok(SUBJECT, "v2"),
        Cgroups::V1 => ok(SUBJECT, "v1"),
        Cgroups::Hybrid => ok(SUBJECT, "v1 and v2"),
        Cgroups::Off => wrong(
            SUBJECT,
            State::Degraded,
            "none",
            "there are no control groups, so that units and containers cannot be named",
            "use a kernel built with CONFIG_CGROUPS, and mount /proc",
        ),
    }
}

fn kinds(machine: &Surroundings) -> Finding {
    let found = if machine.modules.is_empty() {
        "no module of one is loaded yet, which is fine".to_owned()
    } else {
        format!("loaded: {}", machine.modules.join(", "))
    };
    ok("kinds of links", found)
}

/// Major and minor number of a release such as `6.12.43+deb13-cloud-amd64`.
fn version_of(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn names(capabilities: CapabilitySet) -> Vec<&'static str> {
    NAMES.iter().filter(|(capability, _)| capabilities.contains(*capability)).map(|(_, name)| *name).collect()
}

fn it_or_them(capabilities: CapabilitySet) -> &'static str {
    if capabilities.bits().is_power_of_two() { "it" } else { "them" }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::capable, *};

    /// The only finding that is not fine.
    fn only(machine: &Surroundings) -> (&'static str, State, String) {
        let findings = judge(machine);
        let wrong: Vec<_> = findings.iter().filter(|finding| finding.state != State::Ok).collect();
        let [finding] = wrong.as_slice() else { panic!("{wrong:?}") };
        (finding.subject, finding.state, finding.sentence())
    }

    fn without(capabilities: CapabilitySet) -> CapabilitySet {
        capable().capabilities - capabilities
    }

    #[test]
    fn on_a_capable_machine_everything_is_fine() {
        for finding in judge(&capable()) {
            assert_eq!(finding.state, State::Ok, "{finding:?}");
            assert_eq!(finding.problem, None);
        }
    }

    #[test]
    fn an_old_kernel_is_refused() {
        for (release, too_old) in [
            ("5.7.19", true),
            ("4.18.0-553.el8.x86_64", true),
            ("5.8.0", false),
            ("5.10.0-35-cloud-amd64", false),
            ("7.3-rc1", false),
            ("6.12+", false),
        ] {
            let finding = kernel(&Surroundings { release: release.into(), ..capable() });
            assert_eq!(finding.is_blocking(), too_old, "{release}");
        }
        let old = Surroundings { release: "5.4.0-216-generic".into(), ..capable() };
        assert_eq!(
            only(&old).2,
            "kernel 5.4.0-216-generic is too old, it has no BPF ring buffer: use kernel 5.8 or newer"
        );
    }

    #[test]
    fn a_release_that_is_no_version_is_not_refused() {
        for release in ["", "linux", "6", "99999999999.1"] {
            let (subject, state, _) = only(&Surroundings { release: release.into(), ..capable() });
            assert_eq!((subject, state), ("kernel", State::Unknown));
        }
    }

    #[test]
    fn another_architecture_is_refused() {
        let machine = Surroundings { machine: "riscv64".into(), ..capable() };
        assert_eq!(
            only(&machine),
            (
                "architecture",
                State::Missing,
                "the probes know the registers of x86_64 and aarch64, not of riscv64: use a machine of one of these"
                    .into()
            )
        );
        assert_eq!(architecture(&Surroundings { machine: "aarch64".into(), ..capable() }).state, State::Ok);
    }

    #[test]
    fn a_kernel_without_type_information_is_refused() {
        let (subject, state, text) = only(&Surroundings { btf: Presence::Absent, ..capable() });
        assert_eq!((subject, state), ("BTF", State::Missing));
        assert_eq!(
            text,
            "the kernel's type information (BTF), /sys/kernel/btf/vmlinux, does not exist: mount /sys, or use a \
             kernel built with CONFIG_DEBUG_INFO_BTF, as all recent distributions have"
        );
        let (_, state, text) = only(&Surroundings { btf: Presence::Unreadable, ..capable() });
        assert_eq!(state, State::Missing);
        assert_eq!(
            text,
            "the kernel's type information (BTF) in /sys/kernel/btf/vmlinux cannot be read: run it as root, and in a \
             container mount the host's /sys"
        );
    }

    #[test]
    fn a_kernel_without_kprobes_is_refused() {
        let (subject, state, text) = only(&Surroundings { kprobes: Some(false), ..capable() });
        assert_eq!((subject, state), ("kprobes", State::Missing));
        assert_eq!(
            text,
            "this kernel has no kprobes: use a kernel built with CONFIG_KPROBE_EVENTS, as all distributions have"
        );
        assert_eq!(only(&Surroundings { kprobes: None, ..capable() }).1, State::Unknown);
    }

    #[test]
    fn lockdown_forbids_tracing_only_for_confidentiality() {
        let integrity = Surroundings { lockdown: Lockdown::Integrity, ..capable() };
        assert!(judge(&integrity).iter().all(|finding| finding.state == State::Ok));
        let machine = Surroundings { lockdown: Lockdown::Confidentiality, ..capable() };
        assert_eq!(
            only(&machine).2,
            "kernel lockdown is in confidentiality mode, which forbids kprobes and reading kernel memory: boot with \
             lockdown=integrity or without lockdown"
        );
    }

    #[test]
    fn a_user_without_capabilities_is_told_which_are_lacking() {
        let user = Surroundings { uid: 1000, capabilities: CapabilitySet::empty(), ..capable() };
        let finding = privileges(&user);
        assert!(finding.is_blocking());
        assert_eq!(
            finding.sentence(),
            "tracing the kernel needs CAP_BPF and CAP_PERFMON, and this process (uid 1000) lacks them: run it as \
             root, as in `sudo macvlan-trace`"
        );
        let half = Surroundings { uid: 1000, capabilities: CapabilitySet::BPF, ..capable() };
        assert_eq!(
            privileges(&half).sentence(),
            "tracing the kernel needs CAP_PERFMON, and this process (uid 1000) lacks it: run it as root, as in `sudo \
             macvlan-trace`"
        );
    }

    #[test]
    fn two_capabilities_are_enough_to_trace() {
        let service = Surroundings {
            uid: 1000,
            capabilities: CapabilitySet::BPF | CapabilitySet::PERFMON,
            ..capable()
        };
        assert!(judge(&service).iter().all(|finding| !finding.is_blocking()));
        let admin = Surroundings { uid: 1000, capabilities: CapabilitySet::SYS_ADMIN, ..capable() };
        assert_eq!(privileges(&admin).state, State::Ok);
    }

    #[test]
    fn root_of_a_container_is_told_the_containers_options() {
        let lacking = CapabilitySet::BPF | CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN;
        let container = Surroundings { capabilities: without(lacking), ..capable() };
        assert_eq!(
            privileges(&container).sentence(),
            "tracing the kernel needs CAP_BPF and CAP_PERFMON, and this process (root) lacks them: add --privileged, \
             or --cap-add BPF,PERFMON, to the container's options"
        );
    }

    #[test]
    fn root_of_a_user_namespace_is_no_root() {
        let rootless = Surroundings { first_userns: Some(false), ..capable() };
        assert_eq!(
            only(&rootless),
            (
                "privileges",
                State::Missing,
                "this is a user namespace, whose capabilities do not allow tracing the kernel: run it outside of the \
                 rootless container or user namespace"
                    .into()
            )
        );
    }

    #[test]
    fn without_the_right_to_look_around_tracing_works_and_shows_less() {
        let machine = Surroundings { capabilities: without(CapabilitySet::SYS_PTRACE), ..capable() };
        assert_eq!(
            only(&machine),
            (
                "namespaces",
                State::Degraded,
                "without CAP_SYS_PTRACE, links that are there already in other network namespaces are not listed, \
                 and less is known about their end: add --privileged, or --cap-add SYS_PTRACE, to the container's \
                 options"
                    .into()
            )
        );
        assert_eq!(
            only(&Surroundings { first_pidns: Some(false), ..capable() }),
            (
                "processes",
                State::Degraded,
                "this is a pid namespace of its own, where network namespaces of other processes are not found at \
                 the start: run it on the host, or add --pid=host to the container's options"
                    .into()
            )
        );
        assert_eq!(only(&Surroundings { first_pidns: None, ..capable() }).1, State::Unknown);
    }

    #[test]
    fn hidden_addresses_cost_names_only() {
        let hidden = Surroundings { kptr_restrict: Some(2), ..capable() };
        assert_eq!(
            only(&hidden),
            (
                "symbols",
                State::Degraded,
                "with kernel.kptr_restrict=2, functions in kernel stacks have no names, and how a namespace or a driver ended is not known: set it to 1 with `sysctl \
                 kernel.kptr_restrict=1`"
                    .into()
            )
        );
        let caps = CapabilitySet::BPF | CapabilitySet::PERFMON;
        assert_eq!(
            symbols(&Surroundings { uid: 1000, capabilities: caps, ..capable() }).sentence(),
            "without CAP_SYSLOG, functions in kernel stacks have no names, and how a namespace or a driver ended is not known: run it as root, as in `sudo macvlan-trace`"
        );
    }

    #[test]
    fn locked_memory_matters_on_old_kernels_without_the_right_to_raise_it() {
        let old = Surroundings {
            release: "5.10.0-35-cloud-amd64".into(),
            memlock: Some(64 << 10),
            capabilities: without(CapabilitySet::SYS_RESOURCE),
            ..capable()
        };
        assert_eq!(
            only(&old),
            (
                "locked memory",
                State::Missing,
                "before kernel 5.11 the probes' maps count as locked memory, and 64 KiB of it are allowed: raise it \
                 with `ulimit -l unlimited` (LimitMEMLOCK= of a unit), or give CAP_SYS_RESOURCE"
                    .into()
            )
        );
        for fine in [
            Surroundings { memlock: None, ..old.clone() },
            Surroundings { capabilities: capable().capabilities, ..old.clone() },
            Surroundings { release: "5.11.0".into(), ..old },
        ] {
            assert_eq!(locked_memory(&fine).state, State::Ok, "{fine:?}");
        }
    }

    #[test]
    fn a_paranoid_distribution_may_want_more() {
        let machine = Surroundings {
            perf_event_paranoid: Some(4),
            uid: 1000,
            capabilities: CapabilitySet::BPF | CapabilitySet::PERFMON,
            ..capable()
        };
        assert_eq!(
            perf_events(&machine).sentence(),
            "with kernel.perf_event_paranoid=4, the kernels of some distributions refuse probes without \
             CAP_SYS_ADMIN: if they are refused, set it to 2 or give CAP_SYS_ADMIN"
        );
        assert_eq!(perf_events(&Surroundings { perf_event_paranoid: Some(4), ..capable() }).state, State::Ok);
    }

    #[test]
    fn a_module_that_is_not_loaded_yet_is_fine() {
        assert_eq!(kinds(&Surroundings { modules: Vec::new(), ..capable() }).state, State::Ok);
    }

    #[test]
    fn every_version_of_cgroups_is_fine() {
        for cgroups in [Cgroups::V1, Cgroups::V2, Cgroups::Hybrid] {
            let machine = Surroundings { cgroups, ..capable() };
            assert!(judge(&machine).iter().all(|finding| finding.state == State::Ok));
        }
        let (subject, state, text) = only(&Surroundings { cgroups: Cgroups::Off, ..capable() });
        assert_eq!((subject, state), ("cgroups", State::Degraded));
        assert_eq!(
            text,
            "there are no control groups, so that units and containers cannot be named: use a kernel built with \
             CONFIG_CGROUPS, and mount /proc"
        );
    }
}
