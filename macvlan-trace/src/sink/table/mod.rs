//! The table: for people, one row an event, at the moment it happens.

mod grid;
mod look;
mod words;

use std::collections::HashSet;
use std::io::{self, Write};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use self::grid::{Column, Grid, Size};
pub use self::look::Look;
use super::Sink;
use crate::event::{Body, Event, EventKind, Record, Summary, When};

/// `HH:MM:SS.mmm`.
const TIME: u16 = 12;
/// The longest word of an event.
const EVENT: u16 = 7;
/// Most pairs of names, such as `macvlan0@enp3s0f1`.
const LINK: u16 = 19;
/// The largest process id, 2²².
const PID: u16 = 7;
/// `TASK_COMM_LEN` without its NUL.
const COMM: u16 = 15;
/// Where the words of events begin, and what stands under a row.
const EVENT_AT: u16 = TIME + 2;
/// How much is shown of a container, unit or cgroup where it has no column.
const PLACE: u16 = 40;
/// The narrowest text that is worth wrapping.
const LEAST_TEXT: u16 = 20;

/// Writes each record as rows and lines for people.
#[derive(Debug)]
pub struct Table<W> {
    out: W,
    look: Look,
    layout: Layout,
    rows: Grid,
    header_is_due: bool,
    day: Option<Date>,
    /// Rules whose remedy has been shown.
    advised: HashSet<String>,
}

impl<W: Write> Table<W> {
    /// Writes to `out`.
    pub fn new(out: W, look: Look) -> Self {
        let layout = Layout::of(look.width);
        let rows = layout.rows(look.width);
        Self { out, look, layout, rows, header_is_due: true, day: None, advised: HashSet::new() }
    }
}

impl<W: Write> Sink for Table<W> {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        let text = match &record.body {
            Body::Run(run) => {
                self.day = self.local(&run.when).map(|time| time.date());
                let lines = words::opening(run, self.look.stop_hint);
                lines.iter().map(|line| self.paragraph(line)).collect()
            }
            Body::Event(event) => self.event(event),
            Body::Unattributed(event) => self.remark(&event.when, &words::unattributed(event)),
            Body::Lost(lost) => self.remark(&lost.when, &words::lost(lost)),
            Body::Notice(notice) => self.remark(&notice.when, &words::notice(notice)),
            Body::Summary(summary) => ending(summary),
        };
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

/// Where the cgroup and the cause of an event stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// In columns, each row on one line: the output has no edge.
    OneLine,
    /// In columns, wrapped: the terminal is wide.
    Columns,
    /// Under the row: the terminal is narrow.
    Under,
}

impl Layout {
    /// From here on a terminal has room for the cause in a column.
    const WIDE: u16 = 160;
    /// From here on a terminal has room for a row.
    const NARROW: u16 = 80;

    fn of(width: Option<u16>) -> Self {
        match width {
            None => Self::OneLine,
            Some(Self::WIDE..) => Self::Columns,
            Some(_) => Self::Under,
        }
    }

    /// The columns.
    fn rows(self, width: Option<u16>) -> Grid {
        let size = if self == Self::OneLine { Size::Push } else { Size::Wrap };
        // On a terminal that is too narrow even so, names wrap early; numbers and times do not.
        let missing = Self::NARROW.saturating_sub(width.unwrap_or(Self::NARROW));
        let mut columns = vec![
            Column::text("TIME", size(TIME)),
            Column::text("EVENT", size(EVENT)),
            Column::text("LINK", size(LINK - missing.div_ceil(2).min(7))),
            Column::text("NETNS", size(self.netns())),
            Column::number("PID", size(PID)),
            Column::text("COMM", size(COMM - (missing / 2).min(7))),
        ];
        if let Some(cgroup) = self.cgroup() {
            columns.push(Column::text("CGROUP", size(cgroup)));
            let taken = columns.iter().map(Column::width).sum();
            columns.push(Column::text("WHY", rest(width, taken)).gap(0));
        } else if let Some(last) = columns.last_mut() {
            *last = last.gap(0);
        }
        Grid::new(columns)
    }

    /// Width of NETNS: an inode number, and more where there is room.
    fn netns(self) -> u16 {
        if self == Self::Under { 10 } else { 12 }
    }

    /// Width of CGROUP; `None` where it has no column.
    fn cgroup(self) -> Option<u16> {
        (self != Self::Under).then_some(24)
    }
}

/// What is left of a line.
fn rest(width: Option<u16>, taken: u16) -> Size {
    width.map_or(Size::Open, |width| Size::Wrap(width.saturating_sub(taken).max(LEAST_TEXT)))
}

impl<W> Table<W> {
    /// A row, and what stands under it.
    fn event(&mut self, event: &Event) -> String {
        let mut text = self.header();
        text += &self.new_day(&event.when);
        let row = self.rows.row(self.cells(event));
        text += &if self.look.color { painted(&row, event.event) } else { row };
        if self.layout == Layout::Under {
            text += &self.beside("", &words::place_and_cause(event, PLACE));
        }
        // Advice that comes back with every event is noise.
        if let Some(remedy) = &event.verdict.remedy {
            if self.advised.insert(event.verdict.rule.clone()) {
                text += &self.under('→', &words::safe(remedy));
            }
        }
        if self.look.stack && !event.kernel.stack.is_empty() {
            text += &self.under('↳', &words::safe(&event.kernel.stack.join(" ← ")));
        }
        text
    }

    /// The cells of an event's row.
    fn cells(&self, event: &Event) -> Vec<String> {
        let culprit = event.culprit.as_ref();
        let one_line = self.layout == Layout::OneLine;
        let netns = words::netns(&event.link.netns);
        let mut cells = vec![
            self.time(&event.when),
            event.event.as_str().to_owned(),
            words::link(&event.link.name, event.link.parent.as_ref()),
            if one_line { netns } else { words::keep_start(&netns, self.layout.netns()) },
            words::known(culprit.map(|task| task.pid)),
            words::known(culprit.map(|task| &task.comm)),
        ];
        if let Some(width) = self.layout.cgroup() {
            let place = words::known(culprit.map(words::place));
            cells.push(words::keep_end(&place, if one_line { PLACE } else { width }));
            cells.push(words::safe(&event.verdict.cause));
        }
        cells
    }

    /// The header, before the first row.
    fn header(&mut self) -> String {
        if !std::mem::take(&mut self.header_is_due) {
            return String::new();
        }
        let mut header = self.rows.header();
        if self.look.zone.is_none() {
            header = header.replacen("TIME    ", "TIME UTC", 1);
        }
        if self.layout == Layout::Under {
            header += &self.beside("", "CGROUP: WHY");
        }
        header
    }

    /// A line with a time that is no row.
    fn remark(&mut self, when: &When, words: &str) -> String {
        self.new_day(when) + &self.beside(&self.time(when), words)
    }

    /// Text under a row, behind a mark.
    fn under(&self, mark: char, text: &str) -> String {
        let indent = usize::from(EVENT_AT);
        self.beside(&format!("{:indent$}{mark}", ""), text)
    }

    /// Text that wraps beside its lead, not under it.
    fn beside(&self, lead: &str, text: &str) -> String {
        let lead_width = u16::try_from(lead.chars().count()).unwrap_or(EVENT_AT).max(EVENT_AT - 1);
        let lead_column = Column::text("", Size::Wrap(lead_width)).gap(1);
        let text_column = Column::text("", rest(self.look.width, lead_column.width())).gap(0);
        Grid::new(vec![lead_column, text_column]).row(vec![lead.to_owned(), text.to_owned()])
    }

    /// Text that wraps.
    fn paragraph(&self, text: &str) -> String {
        Grid::new(vec![Column::text("", rest(self.look.width, 0)).gap(0)]).row(vec![text.to_owned()])
    }

    /// A line that says that a new day has begun, since the times have no date.
    fn new_day(&mut self, when: &When) -> String {
        let Some(day) = self.local(when).map(|time| time.date()) else { return String::new() };
        match self.day.replace(day) {
            Some(before) if before != day => format!("--- {day} ---\n"),
            _ => String::new(),
        }
    }

    fn time(&self, when: &When) -> String {
        words::known(self.local(when).map(|time| time.strftime("%H:%M:%S.%3f").to_string()))
    }

    fn local(&self, when: &When) -> Option<ZonedDateTime> {
        let time: Timestamp = when.time.parse().ok()?;
        Some(time.to_zoned_datetime(self.look.zone.clone().unwrap_or(TimeZone::UTC)))
    }
}

/// A row whose event has a colour, if it is one that breaks a link.
///
/// comfy-table could do it, but brings a whole terminal library along for that.
fn painted(row: &str, event: EventKind) -> String {
    let color = match event {
        EventKind::Deleted => "31",
        EventKind::Down => "33",
        _ => return row.to_owned(),
    };
    let word = event.as_str();
    match row.split_at_checked(usize::from(EVENT_AT)) {
        Some((time, rest)) if rest.starts_with(word) => {
            format!("{time}\x1b[{color}m{word}\x1b[0m{}", &rest[word.len()..])
        }
        _ => row.to_owned(),
    }
}

/// The last lines: the totals, and who did what.
fn ending(summary: &Summary) -> String {
    let mut text = format!("\n{}\n", words::totals(summary));
    if summary.culprits.is_empty() {
        return text;
    }
    let grid = Grid::new(vec![
        Column::number("COUNT", Size::Push(6)),
        Column::text("EVENT", Size::Push(EVENT)),
        Column::number("PID", Size::Push(PID)),
        Column::text("COMM", Size::Push(COMM)),
        Column::text("CGROUP", Size::Open).gap(0),
    ]);
    text += &grid.header();
    for culprit in &summary.culprits {
        text += &grid.row(vec![
            culprit.count.to_string(),
            culprit.event.as_str().to_owned(),
            words::known(culprit.pid),
            words::known(culprit.comm.as_ref()),
            words::keep_end(&words::known(culprit.cgroup.as_ref()), PLACE),
        ]);
    }
    text
}

#[cfg(test)]
mod tests;
