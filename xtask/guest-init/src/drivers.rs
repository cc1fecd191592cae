//! Drivers of the guest's devices, which are modules on most kernels.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

/// Loads a driver. One that is built in makes modprobe fail: what counts is whether its device appears.
pub fn load(driver: &str) -> Result<()> {
    let modprobe = Command::new("/sbin/modprobe").arg(driver).stderr(Stdio::null()).status();
    modprobe.context("could not run modprobe")?;
    Ok(())
}
