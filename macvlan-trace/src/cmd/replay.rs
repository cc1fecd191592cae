//! `macvlan-trace replay`: sends recorded facts through the pipeline again.

use std::{
    fmt,
    io::{self, Write},
    path::PathBuf,
    thread,
};

use anyhow::{Context as _, Result, bail};

use super::screen;
use crate::{
    cli::{ReplayArgs, ViewArgs},
    fact::{Fact, Ktime, What},
    filter::NetnsChoice,
    pipeline::{Pipeline, View},
    record::{Damage, Fault, Item, MAX_SUBJECTS, Recorder, Selection, Source, no_record},
    sink::{Direct, beside::Beside},
    text::Text,
};

/// How many damaged lines of a file are listed; the others are counted.
const NAMED: u64 = 10;
/// So many records of a file are handed to the output at a time.
const RECORDS_AT_ONCE: usize = 64;

/// Writes the output to `out`, and what is wrong with the records to `notes`.
pub fn run(args: &ReplayArgs, out: &mut (impl Write + Send), notes: &mut dyn Write) -> Result<u8> {
    let view = view(args)?;
    let runs = in_order(&args.files)?;
    let mut small = match &args.write {
        Some(_) if runs.len() != 1 => {
            bail!("-w writes a record of one run, and these files are of {}", runs.len())
        }
        Some(path) => Some(Recorder::create(path, None)?),
        None => None,
    };
    for run in runs {
        let format = screen::format(args.view.output, screen::look(args.view.verbose > 0, false));
        let selection = thread::scope(|scope| {
            let written = Direct::new(format, &mut *out);
            let sink = Beside::start(scope, written, run.records_at_once())
                .context("cannot start a thread to write; see `ulimit -u`")?;
            let mut pipeline = Pipeline::new(view.clone(), sink);
            let mut selection = Selection::default();
            let read = for_each_fact(&run, notes, &mut |fact| {
                let before = pipeline.shown();
                let shown = small.is_some().then(|| fact.clone());
                pipeline.take(fact)?;
                if let Some(fact) = shown.filter(|_| pipeline.shown() > before) {
                    selection.add(&fact);
                }
                Ok(())
            });
            // What was told before an error is written.
            let written = pipeline.into_sink().finish();
            read?;
            written?;
            anyhow::Ok(selection)
        })?;
        if let Some(small) = &mut small {
            write_small(&run, selection, small)?;
        }
    }
    Ok(0)
}

/// Writes the facts that the shown events rest on.
fn write_small(run: &Run, mut selection: Selection, small: &mut Recorder) -> Result<()> {
    // A fact may refer to earlier ones, so this repeats until nothing new is found.
    loop {
        let mut is_news = false;
        for_each_fact(run, &mut io::sink(), &mut |fact| {
            is_news |= selection.follow(&fact);
            Ok(())
        })?;
        if selection.is_too_large() {
            bail!(
                "the shown events are about more than {MAX_SUBJECTS} links, namespaces or tasks, too many for -w: show \
                 fewer, with a filter, --since or -c"
            );
        }
        if !is_news {
            break;
        }
    }
    for_each_fact(run, &mut io::sink(), &mut |fact| {
        if selection.keeps(&fact) {
            small.take(&fact)?;
        }
        Ok(())
    })?;
    small.flush().with_context(|| format!("cannot write the record to {}", small.name()))
}

/// The view that the arguments ask for.
fn view(args: &ReplayArgs) -> Result<View> {
    let (since, until) = args.span.bounds();
    Ok(View { since, until, ..args.view.view(namespaces(&args.view)?) })
}

/// The namespaces of a record: by name or number, since their machine may be another one.
fn namespaces(view: &ViewArgs) -> Result<Vec<NetnsChoice>> {
    let find = |asked: &std::ffi::OsString| {
        let name = Text::from(asked.as_encoded_bytes().to_vec());
        if asked.as_encoded_bytes().contains(&b'/') {
            bail!("--netns '{name}': a record knows namespaces by name and inode number, and no path");
        }
        Ok(NetnsChoice { inode: asked.to_str().and_then(|asked| asked.parse().ok()), name: Some(name) })
    };
    view.filter.netns.iter().map(find).collect()
}

/// The segments of one run, in order.
pub struct Run {
    segments: Vec<Segment>,
}

impl Run {
    /// How many records the output is handed at a time: those of a live run, which comes through standard input, one by one.
    fn records_at_once(&self) -> usize {
        if self.segments.iter().any(|segment| segment.source.is_stdin()) { 1 } else { RECORDS_AT_ONCE }
    }
}

struct Segment {
    source: Source,
    number: u32,
}

/// The runs that are recorded in these files, in the order of time.
pub fn in_order(files: &[PathBuf]) -> Result<Vec<Run>> {
    let sources: Vec<_> = files.iter().map(|path| Source::new(path)).collect();
    if let [only] = &sources[..] {
        // Standard input cannot be looked into first.
        if only.is_stdin() {
            return Ok(vec![Run { segments: vec![Segment { source: only.clone(), number: 0 }] }]);
        }
    }
    if sources.iter().any(Source::is_stdin) {
        bail!("`-` stands for one record; other files cannot stand beside it");
    }
    let mut segments = Vec::new();
    for source in sources {
        let header = source.header()?;
        segments.push((header.run_key(), header.segment, source));
    }
    segments.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
    // A segment that is being compressed may have two files.
    segments.dedup_by(|one, other| (&one.0, one.1) == (&other.0, other.1));
    let runs = segments.chunk_by(|one, other| one.0 == other.0);
    let segment =
        |(_, number, source): &(_, u32, Source)| Segment { source: source.clone(), number: *number };
    Ok(runs.map(|run| Run { segments: run.iter().map(segment).collect() }).collect())
}

/// How reading a run went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Files that were read.
    pub files: usize,
    /// Lines that were left out.
    pub damaged: u64,
    /// Segments that are not there.
    pub missing: u32,
    /// Whether the end of the run is there.
    pub is_whole: bool,
}

/// Passes on the facts of a run, in order. Writes missing segments and lines to `notes`, and adds them to the stream as
/// losses, so that verdicts which need a complete stream are less sure.
pub fn for_each_fact(
    run: &Run,
    notes: &mut dyn Write,
    each: &mut impl FnMut(Fact) -> Result<()>,
) -> Result<Reading> {
    let mut state =
        State { notes, each, begun: false, repeats: false, last: Ktime(0), reading: Reading::default() };
    let mut next = 0;
    for Segment { source, number } in &run.segments {
        let missing = number.saturating_sub(next);
        if missing > 0 {
            state.say(format_args!("{}: {} before it are not there", source.name(), segments(missing)));
            state.reading.missing += missing;
            state.lose(0)?;
        }
        // If the segment before was read, the facts that this one repeats are known.
        state.repeats = missing > 0;
        next = number + 1;
        state.read(source)?;
    }
    if !state.reading.is_whole {
        state.say(format_args!("the record ends before the run did"));
        (state.each)(Fact { at: state.last, what: What::End })?;
    }
    Ok(state.reading)
}

/// A run that is being read.
struct State<'a, F> {
    notes: &'a mut dyn Write,
    each: &'a mut F,
    begun: bool,
    /// Whether the facts that a segment repeats are new.
    repeats: bool,
    last: Ktime,
    reading: Reading,
}

impl<F: FnMut(Fact) -> Result<()>> State<'_, F> {
    fn read(&mut self, source: &Source) -> Result<()> {
        let mut damaged = 0;
        let mut is_record = false;
        for item in source.items()? {
            match item {
                Ok(item) => {
                    is_record = true;
                    self.take(item)?;
                }
                Err(Damage { fault: fault @ Fault::Future { .. }, .. }) => {
                    bail!("{} {fault}: use a newer macvlan-trace", source.name());
                }
                Err(damage) => {
                    damaged += 1;
                    if damaged <= NAMED {
                        self.say(format_args!("{}: {damage}; it is left out", source.name()));
                    }
                    self.lose(1)?;
                }
            }
        }
        if damaged > NAMED {
            self.say(format_args!("{}: {damaged} lines are left out in all", source.name()));
        }
        self.reading.damaged += damaged;
        self.reading.files += 1;
        if !is_record {
            bail!("{}", no_record(source));
        }
        Ok(())
    }

    fn take(&mut self, item: Item) -> Result<()> {
        let fact = match item {
            Item::Header(header) => header.begin(),
            Item::Fact(fact) => fact,
            // If the beginning of the run is damaged, the stream begins here.
            Item::Again(fact) if self.repeats || !self.begun => fact,
            Item::Again(_) => return Ok(()),
        };
        // Each header and the line after it hold the beginning, in case one of them is damaged.
        if matches!(fact.what, What::Begin(_)) && std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        self.last = self.last.max(fact.at);
        self.reading.is_whole = matches!(fact.what, What::End);
        (self.each)(fact)
    }

    /// If this fails, there is nobody left to tell.
    fn say(&mut self, what: fmt::Arguments<'_>) {
        let _ = writeln!(self.notes, "note: {what}");
    }

    /// Before the run begins, a loss does not matter.
    fn lose(&mut self, records: u64) -> Result<()> {
        if !self.begun {
            return Ok(());
        }
        (self.each)(Fact { at: self.last, what: What::Lost { records } })
    }
}

fn segments(count: u32) -> String {
    if count == 1 { "1 segment".to_owned() } else { format!("{count} segments") }
}

#[cfg(test)]
mod tests;
