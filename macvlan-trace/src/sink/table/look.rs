//! What the table's surroundings allow.

use std::env;
use std::io::{IsTerminal as _, stdout};

use jiff::tz::TimeZone;

/// How the table looks; found once, since columns keep their widths for the whole run.
#[derive(Clone, Debug)]
pub struct Look {
    /// Columns of the terminal; `None` for output that has no edge.
    pub width: Option<u16>,
    /// Whether the words of events have colours.
    pub color: bool,
    /// The zone of the times; `None` if it is not known, which gives UTC.
    pub zone: Option<TimeZone>,
    /// Whether the kernel's path stands under each row.
    pub stack: bool,
    /// Whether the opening line says how to stop.
    pub stop_hint: bool,
}

impl Look {
    /// What fits standard output, without the kernel's path and with the hint.
    ///
    /// `COLUMNS`, where it is set, counts more than the terminal's own width, and gives a width to output that is
    /// no terminal.
    #[must_use]
    pub fn of_stdout() -> Self {
        let terminal = stdout().is_terminal();
        let columns = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        Self {
            width: columns.or_else(|| terminal.then(terminal_width).flatten()).filter(|&width| width > 0),
            color: terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            zone: TimeZone::try_system().ok(),
            stack: false,
            stop_hint: true,
        }
    }
}

/// The width of the terminal behind standard output; `None` where it does not tell, as on a serial line.
fn terminal_width() -> Option<u16> {
    rustix::termios::tcgetwinsize(stdout()).ok().map(|size| size.ws_col)
}
