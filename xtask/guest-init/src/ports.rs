//! The virtio-serial ports through which the guest talks to the host.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use guest_init::{Report, port};

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
        // A driver that is built in makes modprobe fail; what counts is whether the ports appear.
        for driver in ["virtio_pci", "virtio_console"] {
            Command::new("/sbin/modprobe")
                .arg(driver)
                .stderr(Stdio::null())
                .status()
                .context("could not run modprobe")?;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let (Some(control), Some(stdout), Some(stderr)) =
                (find(port::CONTROL), find(port::STDOUT), find(port::STDERR))
            {
                return Ok(Self { control: open(&control)?, stdout: open(&stdout)?, stderr: open(&stderr)? });
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

/// The device node of the port with this name, such as vport1p2, once the host has named it.
fn find(name: &str) -> Option<String> {
    fs::read_dir("/sys/class/virtio-ports").ok()?.flatten().find_map(|entry| {
        let found = fs::read_to_string(entry.path().join("name")).ok()?;
        (found.trim_end() == name).then(|| entry.file_name().into_string().ok()).flatten()
    })
}

fn open(node: &str) -> Result<File> {
    let path = format!("/dev/{node}");
    File::options().read(true).write(true).open(&path).with_context(|| format!("could not open {path}"))
}
