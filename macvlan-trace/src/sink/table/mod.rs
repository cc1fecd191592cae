//! The table: for people, as it happens. An incident is a block: its cause, and under it a row for each affected link.

mod grid;
mod incident;
mod look;
mod words;

use jiff::ZonedDateTime;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use self::grid::{Column, Grid, Size};
use self::incident::{Blocks, Closing, Heading};
pub use self::look::Look;
use super::Format;
use crate::event::{Body, Event, EventKind, Incident, Record, Summary, When};

/// How far rows and sentences are indented under the heading of their incident.
const INDENT: u16 = 2;
/// `HH:MM:SS.mmm`.
const TIME: u16 = 12;
/// The longest word of an event.
const EVENT: u16 = 15;
/// Where the words of events, and the lines under a row, begin.
const EVENT_AT: u16 = INDENT + TIME + 2;
/// Wide enough for most pairs of names, such as `macvlan0@enp3s0f1`.
const LINK: u16 = 19;
/// Wide enough for any pair of names: two of `IFNAMSIZ` without its NUL, and the mark between them.
const LONG_LINK: u16 = 31;
/// An inode number.
const NETNS: u16 = 10;
/// Wide enough for most names of namespaces.
const LONG_NETNS: u16 = 15;
/// The largest process id, 2²².
const PID: u16 = 7;
/// `TASK_COMM_LEN` without its NUL.
const COMM: u16 = 15;
/// How much is shown of a container, unit or cgroup.
const PLACE: u16 = 40;
/// The narrowest text that is worth wrapping.
const LEAST_TEXT: u16 = 20;
/// The narrowest last column.
const LEAST_DETAILS: u16 = 7;
/// From this width on a terminal has room for a row.
const NARROW: u16 = 80;
/// From this width on a terminal has room for long names, and for the actor beside the culprit.
const WIDE: u16 = 120;

/// Writes each record as rows and lines for people.
#[derive(Debug)]
pub struct Table {
    look: Look,
    rows: Grid,
    /// Width of the last column; `None` without a limit.
    details: Option<u16>,
    titles_are_due: bool,
    day: Option<Date>,
    incidents: Blocks,
}

impl Table {
    /// A table that looks like this.
    #[must_use]
    pub fn new(look: Look) -> Self {
        let (rows, details) = columns(&look);
        Self { look, rows, details, titles_are_due: true, day: None, incidents: Blocks::default() }
    }
}

impl Format for Table {
    fn write(&mut self, record: &Record, out: &mut Vec<u8>) {
        let text = match &record.body {
            Body::Run(run) => {
                self.day = Some(self.local(&run.when).date());
                let lines = words::opening(run, self.look.stop_hint);
                lines.iter().map(|line| self.paragraph(line)).collect()
            }
            Body::Event(event) | Body::Unattributed(event) => self.event(event),
            Body::Incident(incident) => self.closing(incident),
            Body::Lost(lost) => self.remark(&lost.when, &words::lost(lost)),
            Body::Omitted(omitted) => self.remark(&omitted.when, &words::omitted(omitted)),
            Body::Notice(notice) => self.remark(&notice.when, &words::notice(notice)),
            Body::Summary(summary) => ending(summary),
        };
        out.extend_from_slice(text.as_bytes());
    }
}

/// Whether there is room for long names, and for the actor beside the culprit.
fn is_wide(width: Option<u16>) -> bool {
    width.is_none_or(|width| width >= WIDE)
}

/// The columns of the rows, and the width of the last one.
fn columns(look: &Look) -> (Grid, Option<u16>) {
    let width = look.width;
    let time = if look.zone.is_none() { "TIME UTC" } else { "TIME" };
    // Without an edge, a long name pushes the rest of the row, so a row stays one line.
    let size = if width.is_none() { Size::Push } else { Size::Wrap };
    let long = width.is_some() && is_wide(width);
    // If the terminal is too narrow for a row, names wrap early; numbers and times do not.
    let missing = NARROW.saturating_sub(width.unwrap_or(NARROW));
    let link = if long { LONG_LINK } else { LINK - missing.div_ceil(2).min(7) };
    let mut columns = vec![
        // No column is narrower than 1.
        Column::text("", size(1)).gap(INDENT - 1),
        Column::text(time, size(TIME)),
        Column::text("EVENT", size(EVENT)),
        Column::text("LINK", size(link)),
        Column::text("NETNS", size(if long { LONG_NETNS } else { NETNS })),
    ];
    let taken: u16 = columns.iter().map(Column::width).sum();
    let details = width.map(|width| width.saturating_sub(taken).max(LEAST_DETAILS));
    columns.push(Column::text("DETAILS", details.map_or(Size::Open, Size::Wrap)).gap(0));
    (Grid::new(columns), details)
}

/// What is left of a line.
fn rest(width: Option<u16>, taken: u16) -> Size {
    width.map_or(Size::Open, |width| Size::Wrap(width.saturating_sub(taken).max(LEAST_TEXT)))
}

impl Table {
    /// The lines for an event: the incident's heading if needed, a row, and the lines under the row.
    fn event(&mut self, event: &Event) -> String {
        let mut text = self.titles();
        text += &self.new_day(&event.when);
        text += &self.heading(event);
        let row = self.rows.row(self.cells(event));
        text += &if self.look.color { painted(&row, event.event) } else { row };
        if self.look.stack && event.kernel.stack().next().is_some() {
            let mark = format!("{:1$}↳", "", usize::from(EVENT_AT));
            text += &self.beside(&mark, &words::safe(&event.kernel.stack().collect::<Vec<_>>().join(" ← ")));
        }
        text
    }

    /// The incident, its cause and what to do, as far as the table has not shown them yet.
    fn heading(&mut self, event: &Event) -> String {
        let remedy = match self.incidents.heading(event) {
            Heading::None => return String::new(),
            Heading::Again => return format!("\n{}", self.title(event, "again, ")),
            Heading::Like => {
                let like = event.recurrence.as_ref().map_or_else(String::new, words::recurrence);
                return format!("\n{}", self.title(event, &like));
            }
            Heading::Full { remedy } => event.verdict.remedy.as_ref().filter(|_| remedy),
        };
        let mut text = format!("\n{}", self.title(event, ""));
        text += &self.beside(" ", &words::safe(&event.verdict.cause));
        if let Some(remedy) = remedy {
            text += &self.beside("  fix:", &words::safe(remedy));
        }
        text
    }

    /// The line that closes the block of an incident, and what to do if that is another thing by now. Without a block,
    /// the incident's heading comes first.
    fn closing(&mut self, incident: &Incident) -> String {
        let number = format!("#{}", incident.incident);
        let mut text = String::new();
        let is_new_remedy = match self.incidents.closing(incident) {
            Closing::Open { remedy } => remedy,
            Closing::Again { remedy } => {
                text.push('\n');
                remedy
            }
            Closing::New => {
                text = format!(
                    "\n{}",
                    self.bold(&self.beside(
                        &number,
                        &words::incident(&incident.verdict, incident.culprit.as_ref(), PLACE)
                    ))
                );
                text += &self.beside(" ", &words::safe(&incident.verdict.cause));
                true
            }
        };
        text += &self.beside(&number, &format!("in all: {}", words::outcome(incident)));
        if let Some(remedy) = incident.verdict.remedy.as_ref().filter(|_| is_new_remedy) {
            text += &self.beside("  fix:", &words::safe(remedy));
        }
        text
    }

    /// `#4 container-killed: kill (PID 900), ssh.service`, wrapped.
    fn title(&self, event: &Event, again: &str) -> String {
        let number = format!("#{}", event.incident);
        let words = words::incident(&event.verdict, event.culprit.as_ref(), PLACE);
        self.bold(&self.beside(&number, &format!("{again}{words}")))
    }

    fn bold(&self, title: &str) -> String {
        if !self.look.color {
            return title.to_owned();
        }
        title.lines().flat_map(|line| ["\x1b[1m", line, "\x1b[0m\n"]).collect()
    }

    /// The cells of an event's row.
    fn cells(&self, event: &Event) -> Vec<String> {
        let netns = words::netns(&event.link.netns);
        let netns_width = if is_wide(self.look.width) { LONG_NETNS } else { NETNS };
        vec![
            String::new(),
            self.time(&event.when),
            event.event.as_str().to_owned(),
            words::link(&event.link.name, event.link.parent.as_ref()),
            if self.look.width.is_none() { netns } else { words::keep_start(&netns, netns_width) },
            words::details(event, self.details.unwrap_or(PLACE), is_wide(self.look.width)),
        ]
    }

    /// The titles of the columns, before the first row.
    fn titles(&mut self) -> String {
        if !std::mem::take(&mut self.titles_are_due) {
            return String::new();
        }
        self.rows.header()
    }

    /// A line with a time that is not a row.
    fn remark(&mut self, when: &When, words: &str) -> String {
        self.new_day(when) + &self.beside(&format!("{} ", self.time(when)), words)
    }

    /// Text that wraps beside its lead, not under it.
    fn beside(&self, lead: &str, text: &str) -> String {
        let width = u16::try_from(lead.chars().count()).unwrap_or(EVENT_AT);
        let lead_column = Column::text("", Size::Wrap(width)).gap(1);
        let text_column = Column::text("", rest(self.look.width, lead_column.width())).gap(0);
        Grid::new(vec![lead_column, text_column]).row(vec![lead.to_owned(), text.to_owned()])
    }

    /// Text that wraps.
    fn paragraph(&self, text: &str) -> String {
        Grid::new(vec![Column::text("", rest(self.look.width, 0)).gap(0)]).row(vec![text.to_owned()])
    }

    /// A line that announces a new day, since the times have no date.
    fn new_day(&mut self, when: &When) -> String {
        let day = self.local(when).date();
        match self.day.replace(day) {
            Some(before) if before != day => format!("--- {day} ---\n"),
            _ => String::new(),
        }
    }

    fn time(&self, when: &When) -> String {
        self.local(when).strftime("%H:%M:%S.%3f").to_string()
    }

    fn local(&self, when: &When) -> ZonedDateTime {
        when.time.to_zoned_datetime(self.look.zone.clone().unwrap_or(TimeZone::UTC))
    }
}

/// A row whose event is coloured if it breaks a link.
///
/// comfy-table could do it, but only with a whole terminal library.
fn painted(row: &str, event: EventKind) -> String {
    let color = match event {
        EventKind::Deleted | EventKind::CreateFailed | EventKind::UpFailed => "31",
        kind if kind.breaks() => "33",
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
