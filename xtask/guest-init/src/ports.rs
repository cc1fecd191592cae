//! The virtio-serial ports through which the guest talks to the host.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use guest_init::{PORTS_DIR, Report, port};

use crate::drivers;

/// All ports; the command uses the one for the network cards.
const NAMES: [&str; 4] = [port::CONTROL, port::STDOUT, port::STDERR, port::CARDS];

/// How long the kernel may take to announce the ports once the driver is there; it takes some ten milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// The open ports.
pub struct Ports {
    control: File,
    /// The command's standard output, or both directions of its terminal.
    pub stdout: File,
    /// The command's standard error.
    pub stderr: File,
}

impl Ports {
    /// Loads the drivers, which are modules on most kernels, and opens the ports.
    pub fn open() -> Result<Self> {
        drivers::load("virtio_pci")?;
        drivers::load("virtio_console")?;
        fs::create_dir_all(PORTS_DIR).with_context(|| format!("could not make {PORTS_DIR}"))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            link_names()?;
            if NAMES.iter().all(|name| path(name).exists()) {
                return Ok(Self {
                    control: open(port::CONTROL)?,
                    stdout: open(port::STDOUT)?,
                    stderr: open(port::STDERR)?,
                });
            }
            if Instant::now() > deadline {
                bail!("the kernel showed no virtio-serial ports: has it virtio_pci and virtio_console?");
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Tells the host.
    pub fn report(&mut self, report: &Report) -> Result<()> {
        let mut line = serde_json::to_vec(report).context("could not write a report")?;
        line.push(b'\n');
        self.control.write_all(&line).context("could not report to the host")
    }
}

/// Links the device nodes, such as vport1p2, under the names that the host has given by now.
fn link_names() -> Result<()> {
    for port in fs::read_dir("/sys/class/virtio-ports").into_iter().flatten().flatten() {
        let Ok(name) = fs::read_to_string(port.path().join("name")) else { continue };
        match symlink(Path::new("..").join(port.file_name()), path(name.trim_end())) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("could not link the port {name}"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn path(name: &str) -> PathBuf {
    Path::new(PORTS_DIR).join(name)
}

fn open(name: &str) -> Result<File> {
    let path = path(name);
    File::options()
        .read(true)
        .write(true)
        .open(&path)
        .with_context(|| format!("could not open {}", path.display()))
}
