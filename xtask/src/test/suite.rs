//! What is tested where.

use guest_init::System;

use crate::vm::Image;

/// Tests that run in one kind of guest.
#[derive(Debug)]
pub struct Suite {
    /// What stands behind the kernel's series where it is not the small guest.
    pub name: &'static str,
    /// The image of the guest.
    pub image: Image,
    /// The guest.
    pub system: System,
    /// The integration tests of macvlan-trace.
    pub program: &'static str,
    /// Those among them that are for another kind of guest, by the beginnings of their names.
    pub skip: &'static [&'static str],
    /// Virtual processors. Two, so that the tracer and what it traces really run at once; one where daemons with many
    /// threads run, which wait for each other's locks when several guests share few real processors.
    pub cpus: u32,
    /// The kernels on which all of them have to pass.
    pub kernels: &'static [&'static str],
}

/// The matrix of kernels.
pub const MATRIX: &[&str] = &["5.10", "6.1", "6.12", "6.18", "7"];

/// The software that people run sees the same kernel's functions as the small guest; an old and a new one show whether
/// it gets by.
const REAL_MATRIX: &[&str] = &["6.1", "7"];

/// The tests that need no more than a kernel.
pub const KERNEL: Suite = Suite {
    name: "",
    image: Image::Small,
    system: System::Small,
    program: "kernel",
    skip: &[],
    cpus: 2,
    kernels: MATRIX,
};

/// All that there is, what takes longest first.
pub const SUITES: [Suite; 3] = [
    Suite {
        name: "real",
        image: Image::Real,
        system: System::Disk,
        program: "real",
        skip: &["nspawn::", "systemd::"],
        cpus: 1,
        kernels: REAL_MATRIX,
    },
    // A unit of systemd's is what tells a manager or a runtime, so they are tried under it, and Docker both ways.
    Suite {
        name: "systemd",
        image: Image::Real,
        system: System::Systemd,
        program: "real",
        skip: &[
            "article::",
            "cni::",
            "dhcp::",
            "docker_links::",
            "ifupdown::",
            "lxc::",
            "podman::",
            "terminal::",
        ],
        cpus: 1,
        kernels: REAL_MATRIX,
    },
    KERNEL,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::Series;

    #[test]
    fn the_matrix_is_of_series() {
        let mut kernels = SUITES.iter().flat_map(|suite| suite.kernels);
        assert!(kernels.all(|series| series.parse::<Series>().is_ok()));
    }
}
