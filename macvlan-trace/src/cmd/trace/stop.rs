//! The signals that stop a run.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag::{register, register_conditional_shutdown},
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
    /// Begins to listen; for SIGHUP only if it is to open a record's file again. If the first signal `stops` the run,
    /// which a traced command may prevent, a second ends the process at once.
    pub fn listen(reopens: bool, stops: bool) -> Result<Self> {
        let stopping = Arc::default();
        arm(&[SIGINT, SIGTERM], &stopping, stops).context("cannot listen for signals")?;
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

/// Lets these signals end the process if the flag is set; the first one sets it if it `stops` the run. That is done in
/// the handler itself: whatever the run waits for then, it leaves.
fn arm(numbers: &[i32], stopping: &Arc<AtomicBool>, stops: bool) -> io::Result<()> {
    for &number in numbers {
        register_conditional_shutdown(number, 128 + number, Arc::clone(stopping))?;
        if stops {
            register(number, Arc::clone(stopping))?;
        }
    }
    Ok(())
}

/// Waits for the next such signal; for ever, if the run does not handle it.
pub async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use signal_hook::{
        consts::{SIGUSR1, SIGUSR2},
        low_level::raise,
    };

    use super::*;

    #[test]
    fn the_first_signal_makes_the_second_final_unless_a_command_decides() {
        let (alone, beside) = (Arc::default(), Arc::default());
        arm(&[SIGUSR1], &alone, true).unwrap();
        arm(&[SIGUSR2], &beside, false).unwrap();
        raise(SIGUSR1).unwrap();
        raise(SIGUSR2).unwrap();
        assert!(alone.load(Ordering::SeqCst), "even if the run waits for a disk then");
        assert!(!beside.load(Ordering::SeqCst));
    }
}
