//! Sets up what a freshly booted kernel lacks: mounts and a host name.

use std::fs;

use anyhow::{Context as _, Result};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use rustix::process::umask;
use rustix::system::sethostname;

/// The host name of every guest.
const HOSTNAME: &str = "guest";

struct Mount {
    kind: &'static str,
    target: &'static str,
    flags: MountFlags,
    data: Option<&'static std::ffi::CStr>,
}

impl Mount {
    const fn new(kind: &'static str, target: &'static str, flags: MountFlags) -> Self {
        Self { kind, target, flags, data: None }
    }

    const fn with(self, data: &'static std::ffi::CStr) -> Self {
        Self { data: Some(data), ..self }
    }
}

const SEALED: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);
const PRIVATE: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

const MOUNTS: [Mount; 11] = [
    Mount::new("proc", "/proc", SEALED),
    Mount::new("sysfs", "/sys", SEALED),
    Mount::new("cgroup2", "/sys/fs/cgroup", SEALED),
    Mount::new("bpf", "/sys/fs/bpf", SEALED).with(c"mode=700"),
    Mount::new("tracefs", "/sys/kernel/tracing", SEALED),
    Mount::new("securityfs", "/sys/kernel/security", SEALED),
    Mount::new("devtmpfs", "/dev", MountFlags::NOSUID).with(c"mode=755"),
    Mount::new("devpts", "/dev/pts", MountFlags::NOSUID.union(MountFlags::NOEXEC))
        .with(c"gid=5,mode=620,ptmxmode=666"),
    Mount::new("tmpfs", "/dev/shm", PRIVATE).with(c"mode=1777"),
    Mount::new("tmpfs", "/run", PRIVATE).with(c"mode=755"),
    Mount::new("tmpfs", "/tmp", PRIVATE).with(c"mode=1777"),
];

/// Mounts the file systems that an ordinary machine has.
pub fn mount_everything() -> Result<()> {
    umask(Mode::empty());
    for Mount { kind, target, flags, data } in MOUNTS {
        // The kernel makes the directories in sysfs and devtmpfs; if one is missing, the kernel lacks the feature.
        if let Err(error) = fs::create_dir_all(target) {
            println!("guest-init: no {target} for {kind}: {error}");
            continue;
        }
        match mount(kind, target, kind, flags, data) {
            Ok(()) | Err(Errno::NODEV) => {}
            Err(error) => return Err(error).with_context(|| format!("could not mount {kind} on {target}")),
        }
    }
    // As with udev: opening the node loads its driver.
    fs::create_dir_all("/dev/net").context("could not make /dev/net")?;
    mknodat(CWD, "/dev/net/tun", FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(10, 200))
        .context("could not make /dev/net/tun")?;
    umask(Mode::WGRP | Mode::WOTH);
    for (link, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ] {
        rustix::fs::symlink(target, link).with_context(|| format!("could not link {link}"))?;
    }
    Ok(())
}

/// Sets the host name.
pub fn name_the_guest() -> Result<()> {
    sethostname(HOSTNAME.as_bytes()).context("could not set the host name")
}
