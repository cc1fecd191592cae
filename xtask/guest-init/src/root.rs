//! Leaves the kernel's first root, the initramfs, for an ordinary one: `pivot_root` cannot leave the first one, and
//! container runtimes need it.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use guest_init::{COPIES_DIR, REQUEST_PATH};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, mount_move, unmount,
};
use rustix::process::{chdir, chroot};

use crate::drivers;

/// The disk of the guests that have one.
const DISK: &str = "/dev/vda";

/// Where it is mounted first.
const DISK_ROOT: &str = "/disk";

/// Files of the initramfs that belong to a run or to its kernel.
const OF_THIS_RUN: [&str; 5] =
    [COPIES_DIR, "/usr/lib/modules", "/usr/local/bin/macvlan-trace", "/init", REQUEST_PATH];

/// How long the kernel may take to announce the disk once the driver is there.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes the initramfs an ordinary root, as `switch_root` does: puts a mount of it on top of it.
pub fn leave_the_first() -> Result<()> {
    mount_bind("/", "/mnt")
        .and_then(|()| make_root("/mnt"))
        .context("could not make the initramfs an ordinary root")
}

/// Makes the disk the root, with all of the initramfs that belongs to this run.
pub fn enter_the_disk() -> Result<()> {
    fs::create_dir_all(DISK_ROOT)?;
    mount("proc", "/proc", "proc", MountFlags::empty(), None).context("could not mount /proc")?;
    mount("devtmpfs", "/dev", "devtmpfs", MountFlags::empty(), None).context("could not mount /dev")?;
    drivers::load("virtio_pci")?;
    drivers::load("virtio_blk")?;
    let deadline = Instant::now() + PATIENCE;
    while !Path::new(DISK).exists() {
        if Instant::now() > deadline {
            bail!("the kernel showed no disk: has it virtio_pci and virtio_blk?");
        }
        sleep(Duration::from_millis(5));
    }
    mount(DISK, DISK_ROOT, "ext4", MountFlags::empty(), None).context("could not mount the disk")?;
    for path in OF_THIS_RUN {
        share(path).with_context(|| format!("could not bring {path} to the disk"))?;
    }
    unmount("/dev", UnmountFlags::empty())?;
    unmount("/proc", UnmountFlags::empty())?;
    make_root(DISK_ROOT).context("could not make the disk the root")
}

/// Shows a file or directory of the initramfs in the same place of the disk.
fn share(path: &str) -> Result<()> {
    let there = Path::new(DISK_ROOT).join(path.trim_start_matches('/'));
    if Path::new(path).is_dir() {
        fs::create_dir_all(&there)?;
    } else if !there.exists() {
        fs::write(&there, "")?;
    }
    mount_bind(path, &there)?;
    Ok(())
}

fn make_root(mounted: &str) -> rustix::io::Result<()> {
    chdir(mounted)?;
    mount_move(".", "/")?;
    chroot(".")?;
    chdir("/")?;
    // As systemd does on ordinary machines: mounts made in one namespace appear in the others.
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC)
}
