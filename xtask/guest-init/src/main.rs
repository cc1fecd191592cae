//! The first process of a guest: it makes the surroundings that tests and people expect, runs one command, says how
//! that ended, and turns the machine off. If systemd is to be the first process, this one starts it in its place, and
//! does the rest as a service.

mod command;
mod drivers;
mod machine;
mod ports;
mod root;

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};
use guest_init::{REQUEST_PATH, Report, Request, System};
use rustix::process::getpid;
use rustix::system::{RebootCommand, reboot};

use crate::ports::Ports;

fn main() {
    if let Err(error) = run() {
        // The console: the host shows its tail when the guest ends without a word on the control port.
        println!("guest-init: {error:#}");
    }
    if let Err(error) = reboot(RebootCommand::PowerOff) {
        println!("guest-init: could not turn the guest off: {error}");
    }
}

fn run() -> Result<()> {
    let request = read_request();
    if getpid().is_init() {
        boot(request.as_ref().map_or(System::Small, |request| request.system))?;
    }
    let mut ports = Ports::open()?;
    // The network card: eth0, and down.
    drivers::load("virtio_net")?;
    let report = request.and_then(|request| {
        ports.report(&Report::Started)?;
        command::run(&request, &mut ports)
    });
    ports.report(&report.unwrap_or_else(|error| Report::Failed { why: format!("{error:#}") }))
}

fn read_request() -> Result<Request> {
    let request = std::fs::read(REQUEST_PATH).context("could not read the request")?;
    serde_json::from_slice(&request).context("could not understand the request")
}

/// Sets the machine up. If systemd is to do that, this process becomes systemd.
fn boot(system: System) -> Result<()> {
    match system {
        System::Small => root::leave_the_first()?,
        System::Disk => root::enter_the_disk()?,
        System::Systemd => {
            root::enter_the_disk()?;
            return Err(Command::new("/sbin/init").exec()).context("could not start systemd");
        }
    }
    machine::mount_everything()?;
    machine::name_the_guest()?;
    Command::new("/bin/busybox").args(["ip", "link", "set", "lo", "up"]).status()?;
    Ok(())
}
