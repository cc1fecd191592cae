//! How the table looks.

use jiff::tz::TimeZone;

/// How the table looks. Decided once, since columns keep their widths for the whole run.
#[derive(Clone, Debug)]
pub struct Look {
    /// Columns of the terminal; `None` for output that has no edge.
    pub width: Option<u16>,
    /// Whether the words of events have colours.
    pub color: bool,
    /// The time zone; `None` if it is not known, which means UTC.
    pub zone: Option<TimeZone>,
    /// Whether the kernel's path stands under each row.
    pub stack: bool,
    /// Whether the opening line says how to stop.
    pub stop_hint: bool,
}
