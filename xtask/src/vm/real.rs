//! The disk of the real guest: Debian with the software that people run, started by nobody but the tests.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::archive::{Archive, USERLAND_SUITE};
use super::cached::{self, Recipe};
use crate::host::{self, Tool};
use crate::process;
use crate::progress::Progress;

const BUILD: &str = include_str!("real/build.sh");

const TOOLS: [Tool; 2] =
    [Tool { program: "mmdebstrap", package: "mmdebstrap" }, Tool { program: "mke2fs", package: "e2fsprogs" }];

/// What is installed besides the least that Debian consists of. Recommended packages are not.
const PACKAGES: &[&str] = &[
    // The machine.
    "busybox-static",
    "dbus",
    "iproute2",
    "kmod",
    "net-tools",
    "procps",
    "python3-minimal",
    "systemd",
    "systemd-sysv",
    "udev",
    "util-linux",
    // Containers.
    "aardvark-dns",
    "conmon",
    "containerd",
    "containernetworking-plugins",
    "crun",
    "docker-cli",
    "docker-compose",
    "docker.io",
    "iptables",
    "lxc",
    "netavark",
    "nftables",
    "podman",
    "runc",
    "systemd-container",
    // Managers of links.
    "dhcpcd-base",
    "dnsmasq-base",
    "ifupdown",
    "isc-dhcp-client",
    "network-manager",
];

/// The disk's image. It is made only once, as root.
pub fn disk(cache: &Path, archive: &Archive<'_>, progress: &Progress) -> Result<PathBuf> {
    let directory = cache.join("real");
    let recipe = Recipe::of(&[include_str!("real.rs"), BUILD, USERLAND_SUITE]);
    cached::directory(&directory, &recipe, |into| {
        host::install(&host::missing_packages(&TOOLS), progress)?;
        progress.say("real guest: installing Debian into a disk image");
        let mut words = ["sh", "-c", BUILD, "sh"].map(str::to_owned).to_vec();
        words.push(image(into).display().to_string());
        words.push(USERLAND_SUITE.to_owned());
        words.push(PACKAGES.join(","));
        words.extend(archive.userland_sources()?);
        process::output(&mut host::as_root(&words))?;
        Ok(())
    })?;
    Ok(image(&directory))
}

fn image(directory: &Path) -> PathBuf {
    directory.join("disk.ext4")
}
