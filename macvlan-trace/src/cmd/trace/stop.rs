//! The signals that stop a run.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, Result};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag::register_conditional_shutdown,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for the signals that stop a run, and for SIGHUP.
pub struct Stops {
    /// Ctrl-C.
    pub interrupt: Signal,
    /// SIGTERM.
    pub terminate: Signal,
    /// SIGHUP, if the run handles it.
    pub hangup: Option<Signal>,
    /// Whether the run has been told to stop.
    stopping: Arc<AtomicBool>,
}

impl Stops {
    /// Begins to listen; for SIGHUP only if it is to open a record's file again.
    pub fn listen(reopens: bool) -> Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        for number in [SIGINT, SIGTERM] {
            // In the handler itself: whatever the run waits for then, it leaves.
            register_conditional_shutdown(number, 128 + number, Arc::clone(&stopping))
                .context("cannot listen for signals")?;
        }
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?,
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            hangup: reopens
                .then(|| signal(SignalKind::hangup()).context("cannot listen for SIGHUP"))
                .transpose()?,
            stopping,
        })
    }

    /// From now on, either signal ends the process at once.
    pub fn are_final(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }
}

/// Waits for the next such signal; for ever, if the run does not handle it.
pub async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
