//! Chooses the format for standard output, and adapts it to the terminal.

use std::env;
use std::io::{IsTerminal as _, stdout};

use jiff::tz::TimeZone;

use crate::cli::Output;
use crate::sink::Format;
use crate::sink::json::Json;
use crate::sink::table::{Look, Table};

/// The format that was asked for.
#[must_use]
pub fn format(output: Output, look: Look) -> Box<dyn Format> {
    match output {
        Output::Json => Box::new(Json),
        Output::Table => Box::new(Table::new(look)),
    }
}

/// The look that fits standard output. `stack` shows the kernel's path under each row. If `stoppable`, the opening line
/// tells a person at a terminal about Ctrl-C.
///
/// If `COLUMNS` is set, it overrides the terminal's own width, and gives a width to output that is not a terminal.
#[must_use]
pub fn look(stack: bool, stoppable: bool) -> Look {
    let terminal = stdout().is_terminal();
    let columns = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    Look {
        width: columns.or_else(|| terminal.then(terminal_width).flatten()).filter(|&width| width > 0),
        color: terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        zone: TimeZone::try_system().ok(),
        stack,
        stop_hint: stoppable && terminal,
    }
}

/// The width of the terminal on standard output; `None` if it does not say, as on a serial line.
fn terminal_width() -> Option<u16> {
    rustix::termios::tcgetwinsize(stdout()).ok().map(|size| size.ws_col)
}
