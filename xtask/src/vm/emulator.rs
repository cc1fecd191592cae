//! QEMU, from Debian's packages and with their own libraries, unpacked rather than installed: what this machine has
//! installed, or cannot install beside it, does not matter.
//!
//! The version matters: before 8.1 QEMU may translate an instruction while another virtual processor patches it, and
//! keep the half-patched one. A kernel that attaches kprobes patches itself all the time, and then jumps to nowhere.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::archive::{Archive, USERLAND_SUITE};
use super::cached::{self, Recipe};
use crate::progress::Progress;

/// An unpacked QEMU.
#[derive(Debug, Clone)]
pub struct Emulator {
    root: PathBuf,
}

impl Emulator {
    /// The one in the cache; it is made only once.
    pub fn get(cache: &Path, archive: &Archive<'_>, progress: &Progress) -> Result<Self> {
        let root = cache.join("qemu");
        let recipe = Recipe::of(&[include_str!("emulator.rs"), USERLAND_SUITE]);
        cached::directory(&root, &recipe, |into| {
            progress.say("downloading QEMU");
            let packages = archive.with_dependencies("qemu-system-x86")?;
            archive.unpack(
                &packages.iter().map(|name| format!("{name}/{USERLAND_SUITE}")).collect::<Vec<_>>(),
                into,
            )
        })?;
        Ok(Self { root })
    }

    /// The emulator of an x86_64 machine, without arguments.
    pub fn command(&self) -> Command {
        let libraries = self.root.join("usr/lib/x86_64-linux-gnu");
        // The packages' own loader: their C library may be newer than this machine's.
        let mut command = Command::new(self.root.join("usr/lib64/ld-linux-x86-64.so.2"));
        command
            .arg("--library-path")
            .arg(&libraries)
            .arg(self.root.join("usr/bin/qemu-system-x86_64"))
            .env("QEMU_MODULE_DIR", libraries.join("qemu"));
        for firmware in ["usr/share/qemu", "usr/share/seabios"] {
            command.arg("-L").arg(self.root.join(firmware));
        }
        command
    }
}
