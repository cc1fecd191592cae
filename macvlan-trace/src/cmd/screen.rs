//! What standard output allows a table.

use std::env;
use std::io::{IsTerminal as _, stdout};

use jiff::tz::TimeZone;

use crate::sink::table::Look;

/// What fits standard output, without the kernel's path and with the hint.
///
/// `COLUMNS`, where it is set, counts more than the terminal's own width, and gives a width to output that is no terminal.
#[must_use]
pub fn look() -> Look {
    let terminal = stdout().is_terminal();
    let columns = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    Look {
        width: columns.or_else(|| terminal.then(terminal_width).flatten()).filter(|&width| width > 0),
        color: terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        zone: TimeZone::try_system().ok(),
        stack: false,
        stop_hint: true,
    }
}

/// The width of the terminal behind standard output; `None` where it does not tell, as on a serial line.
fn terminal_width() -> Option<u16> {
    rustix::termios::tcgetwinsize(stdout()).ok().map(|size| size.ws_col)
}
