//! `macvlan-trace info`: says what records hold.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Result;

use super::replay::{self, Reading};
use crate::{
    event::{Body, Event, EventKind, Record, When},
    fact::{Begin, Fact, What},
    output,
    pipeline::{Pipeline, View},
    sink::Sink,
    text::Text,
};

/// Writes a block for each run to `out`, and what is wrong with the records to `notes`.
pub fn run(files: &[PathBuf], out: &mut impl Write, notes: &mut dyn Write) -> Result<u8> {
    for (number, run) in replay::in_order(files)?.iter().enumerate() {
        if number > 0 {
            writeln!(out).map_err(output::unwritten)?;
        }
        let mut pipeline = Pipeline::new(View::everything(), Counts::default());
        let (mut begin, mut facts) = (Begin::default(), 0_u64);
        let reading = replay::for_each_fact(run, notes, &mut |fact: Fact| {
            match &fact.what {
                What::Begin(run) => begin = Begin::clone(run),
                What::End => {}
                _ => facts += 1,
            }
            Ok(pipeline.take(fact)?)
        })?;
        tell(&begin, facts, &reading, &pipeline.into_sink(), out).map_err(output::unwritten)?;
    }
    Ok(0)
}

/// What a run reported.
#[derive(Default)]
struct Counts {
    span: Option<(When, When)>,
    events: BTreeMap<EventKind, u64>,
    unattributed: u64,
    lost: u64,
    /// Incidents are numbered in order, so the last number is their count.
    incidents: u64,
}

impl Sink for Counts {
    fn record(&mut self, record: Record) -> io::Result<()> {
        let when = record.body.when().clone();
        match &mut self.span {
            Some((_, last)) => *last = when,
            None => self.span = Some((when.clone(), when)),
        }
        let mut count = |event: &Event| {
            *self.events.entry(event.event).or_default() += 1;
            self.incidents = self.incidents.max(event.incident);
        };
        match &record.body {
            Body::Event(event) => count(event),
            Body::Unattributed(event) => {
                count(event);
                self.unattributed += 1;
            }
            Body::Lost(lost) => self.lost = lost.total,
            _ => {}
        }
        Ok(())
    }
}

fn tell(
    begin: &Begin,
    facts: u64,
    reading: &Reading,
    counts: &Counts,
    out: &mut impl Write,
) -> io::Result<()> {
    let known = |text: &str| if text.is_empty() { "-".to_owned() } else { Text::from(text).to_string() };
    let mut row = |name: &str, value: String| writeln!(out, "{name:13}{value}");
    row("host", known(&begin.host.to_lossy()))?;
    row("boot", known(begin.boot_id.as_deref().unwrap_or_default()))?;
    row("kernel", format!("{} ({})", known(&begin.kernel), known(&begin.arch)))?;
    row("tool", format!("macvlan-trace {}", known(&begin.version)))?;
    let without: Vec<_> = begin.hooks.iter().filter(|hook| hook.symbol.is_none()).collect();
    let names: Vec<_> = without.iter().map(|hook| known(&hook.name)).collect();
    let missing = if names.is_empty() { String::new() } else { format!(", without {}", names.join(", ")) };
    row("hooks", format!("{}{missing}", begin.hooks.len() - without.len()))?;
    if let Some((first, last)) = &counts.span {
        row("from", first.rfc3339())?;
        row(
            "to",
            format!(
                "{}{}",
                last.rfc3339(),
                if reading.is_whole { "" } else { ", where the record is cut off" }
            ),
        )?;
    }
    row("files", reading.files.to_string())?;
    row("facts", facts.to_string())?;
    let events: u64 = counts.events.values().sum();
    let kinds: Vec<_> =
        counts.events.iter().map(|(kind, count)| format!("{count} {}", kind.as_str())).collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
    row("events", format!("{events}{kinds}"))?;
    row("incidents", counts.incidents.to_string())?;
    row("unattributed", counts.unattributed.to_string())?;
    row("lost", counts.lost.to_string())?;
    let damage = match (reading.damaged, reading.missing) {
        (0, 0) => "none".to_owned(),
        (lines, 0) => format!("{lines} lines left out"),
        (0, segments) => format!("{segments} segments missing"),
        (lines, segments) => format!("{lines} lines left out, {segments} segments missing"),
    };
    row("damage", damage)
}
