//! The command that runs while the tracer traces.

use std::{ffi::OsString, os::unix::process::ExitStatusExt as _, process::ExitStatus};

use anyhow::{Context as _, Result};
use tokio::process::Child;

use crate::text::Text;

/// The command, if there is one.
pub struct Command(Option<Child>);

impl Command {
    /// Starts it, with our own three streams.
    pub fn start(line: &[OsString]) -> Result<Self> {
        let Some((program, args)) = line.split_first() else { return Ok(Self(None)) };
        tokio::process::Command::new(program)
            .args(args)
            .spawn()
            .map(|child| Self(Some(child)))
            .with_context(|| format!("cannot start {}", Text::from(program.as_encoded_bytes().to_vec())))
    }

    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Waits for its end, and returns the status to exit with; waits for ever if there is no command.
    pub async fn wait(&mut self) -> Result<u8> {
        match &mut self.0 {
            Some(child) => child.wait().await.map(status_of).context("cannot wait for the command"),
            None => std::future::pending().await,
        }
    }

    /// Passes SIGTERM on to it; false if there is no command.
    pub fn terminate(&self) -> bool {
        let Some(child) = &self.0 else { return false };
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // It may just have ended; then `wait` returns.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        true
    }
}

/// The command's own status, or 128 plus the signal that ended it, as in a shell.
fn status_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_commands_or_its_signals() {
        assert_eq!(status_of(ExitStatus::from_raw(0)), 0);
        assert_eq!(status_of(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(status_of(ExitStatus::from_raw(15)), 143);
    }
}
