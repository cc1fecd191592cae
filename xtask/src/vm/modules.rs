//! The kernel modules that the guests can load, packed for the initramfs.

use std::collections::BTreeSet;
use std::fs;
use std::io::BufWriter;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::cached::{self, Recipe};
use super::initramfs::Segment;
use crate::host;
use crate::process;

/// Which of a kernel's modules a guest gets; what these need comes along. Those that a kernel has built in, or does not
/// have, are passed over.
pub struct Choice {
    /// The file that they are packed into.
    name: &'static str,
    /// By name.
    modules: &'static [&'static str],
    /// And all in these directories.
    directories: &'static [&'static str],
}

/// For the small guest: what tests and people ask for.
pub const SMALL: Choice = Choice { name: "modules.cpio", modules: WANTED, directories: &[] };

/// For the real guest: also what container runtimes filter and translate with.
pub const REAL: Choice = Choice {
    name: "modules-real.cpio",
    modules: WANTED,
    directories: &[
        "kernel/net/bridge/netfilter/",
        "kernel/net/ipv4/netfilter/",
        "kernel/net/ipv6/netfilter/",
        "kernel/net/netfilter/",
    ],
};

const WANTED: &[&str] = &[
    // The link kinds that macvlan-trace is about, and those that it must leave alone.
    "macvlan",
    "macvtap",
    "ipvlan",
    "ipvtap",
    "veth",
    "dummy",
    "tun",
    "tap",
    "bridge",
    "8021q",
    "bonding",
    "team",
    "team_mode_activebackup",
    "vrf",
    "vxlan",
    "ifb",
    "nlmon",
    "macsec",
    "wireguard",
    // The guest's own devices.
    "virtio_pci",
    "virtio_console",
    "virtio_net",
    "virtio_blk",
    "virtio_rng",
    // What `ss` and container runtimes use.
    "tcp_diag",
    "udp_diag",
    "unix_diag",
    "af_packet_diag",
    "netlink_diag",
    "overlay",
    "br_netfilter",
    "loop",
];

/// Where the modules of a release lie below a root.
pub fn directory(root: &Path, release: &str) -> PathBuf {
    root.join("usr/lib/modules").join(release)
}

/// Makes depmod's index of a tree of modules, which Debian's packages lack.
pub fn index(root: &Path, release: &str) -> Result<()> {
    // Old versions of depmod look into /lib, new ones into /usr/lib.
    if !root.join("lib").exists() {
        symlink("usr/lib", root.join("lib"))?;
    }
    let depmod = host::find("depmod").context("depmod is missing: install the package kmod")?;
    process::output(Command::new(depmod).arg("--basedir").arg(root).arg(release))?;
    Ok(())
}

/// The initramfs segment with the chosen modules of the kernel in this directory. It is made only once.
pub fn pack(directory: &Path, release: &str, choice: &Choice) -> Result<PathBuf> {
    let segment = directory.join(choice.name);
    let recipe = Recipe::of(&[include_str!("modules.rs"), include_str!("initramfs.rs")]);
    cached::file(&segment, &recipe, |out| {
        let all = self::directory(&directory.join("modules"), release);
        let staging = tempfile::tempdir_in(directory).context("could not make a directory for modules")?;
        let few = self::directory(staging.path(), release);
        for module in select(&fs::read_to_string(all.join("modules.dep"))?, choice) {
            let from = all.join(&module);
            let to = few.join(&module);
            fs::create_dir_all(to.parent().context("a module lies in a directory")?)?;
            fs::copy(&from, &to).with_context(|| format!("could not copy {}", from.display()))?;
            if to.extension().is_some_and(|extension| extension == "xz") {
                // Unpacking once here is cheaper than at every load under emulation.
                process::output(Command::new("xz").arg("--decompress").arg(&to))?;
            }
        }
        for list in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
            fs::copy(all.join(list), few.join(list)).with_context(|| format!("the kernel has no {list}"))?;
        }
        index(staging.path(), release)?;
        let mut archive = Segment::new(BufWriter::new(out));
        archive.tree(&few, &format!("usr/lib/modules/{release}"))?;
        archive.finish()?;
        Ok(())
    })?;
    Ok(segment)
}

/// The files of the wanted modules and of all that they depend on, from modules.dep:
/// `kernel/drivers/net/macvtap.ko: kernel/drivers/net/macvlan.ko kernel/drivers/net/tap.ko`, dependencies complete.
fn select(modules_dep: &str, choice: &Choice) -> BTreeSet<String> {
    let chosen = |file: &str| {
        choice.modules.contains(&name(file))
            || choice.directories.iter().any(|directory| file.starts_with(directory))
    };
    modules_dep
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(file, _)| chosen(file))
        .flat_map(|(file, needs)| std::iter::once(file).chain(needs.split_whitespace()))
        .map(str::to_owned)
        .collect()
}

fn name(file: &str) -> &str {
    let base = file.rsplit('/').next().unwrap_or(file);
    base.split_once(".ko").map_or(base, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_with_what_they_need() {
        let modules_dep = "kernel/drivers/net/macvtap.ko.xz: kernel/drivers/net/macvlan.ko.xz kernel/drivers/net/tap.ko.xz\n\
                           kernel/drivers/net/macvlan.ko.xz:\n\
                           kernel/drivers/net/tap.ko.xz:\n\
                           kernel/net/netfilter/x_tables.ko.xz:\n\
                           kernel/fs/xfs/xfs.ko.xz: kernel/lib/libcrc32c.ko.xz\n";
        let choice = Choice {
            name: "some",
            modules: &["macvtap", "not_in_this_kernel"],
            directories: &["kernel/net/netfilter/"],
        };
        let selected = select(modules_dep, &choice);
        assert_eq!(
            selected.into_iter().collect::<Vec<_>>(),
            [
                "kernel/drivers/net/macvlan.ko.xz",
                "kernel/drivers/net/macvtap.ko.xz",
                "kernel/drivers/net/tap.ko.xz",
                "kernel/net/netfilter/x_tables.ko.xz",
            ]
        );
    }
}
