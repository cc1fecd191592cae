//! The first process of a guest: it makes the surroundings that tests and people expect, runs one command, says
//! how that ended, and turns the machine off.

mod command;
mod machine;
mod ports;

use std::process::Command;

use anyhow::{Context as _, Result};
use guest_init::{REQUEST_PATH, Report, Request};
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
    machine::leave_the_first_root()?;
    machine::mount_everything()?;
    machine::name_the_guest()?;
    Command::new("/bin/busybox").args(["ip", "link", "set", "lo", "up"]).status()?;
    let mut ports = Ports::open()?;
    // The network card: eth0, and down.
    ports::load("virtio_net")?;
    match run_request(&mut ports) {
        Ok(report) => ports.report(&report),
        Err(error) => ports.report(&Report::Failed { why: format!("{error:#}") }),
    }
}

fn run_request(ports: &mut Ports) -> Result<Report> {
    let request = std::fs::read(REQUEST_PATH).context("could not read the request")?;
    let request: Request = serde_json::from_slice(&request).context("could not understand the request")?;
    ports.report(&Report::Started)?;
    command::run(&request, ports)
}
