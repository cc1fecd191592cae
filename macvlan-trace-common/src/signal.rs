//! Numbers of signals, include/uapi/asm-generic/signal.h: the same on every machine that this is for.

/// A terminal is closed; also a request to read a configuration anew.
pub const SIGHUP: u32 = 1;
/// Ctrl-C.
pub const SIGINT: u32 = 2;
/// Ctrl-\\.
pub const SIGQUIT: u32 = 3;
/// A process gives itself up; also how systemd ends a service whose watchdog it no longer hears from.
pub const SIGABRT: u32 = 6;
/// The signal that no process can handle or ignore.
pub const SIGKILL: u32 = 9;
/// A request to end.
pub const SIGTERM: u32 = 15;
/// A stopped process goes on.
pub const SIGCONT: u32 = 18;
/// A request to an init of LXC's to end.
pub const SIGPWR: u32 = 30;

/// Whether a signal ends a process, or asks it to end, unless it usually means something else.
#[inline(always)]
#[must_use]
pub const fn ends(signal: u32) -> bool {
    const ENDS: u32 = 1 << SIGHUP | 1 << SIGINT | 1 << SIGQUIT | 1 << SIGKILL | 1 << SIGTERM;
    signal < u32::BITS && ENDS & 1 << signal != 0
}
