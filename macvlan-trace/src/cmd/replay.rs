//! `macvlan-trace replay`: sends recorded facts through the pipeline again.

use std::{
    fmt,
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context as _, Result, bail};

use super::screen;
use crate::{
    cli::{ReplayArgs, ViewArgs},
    fact::{Fact, Ktime, What},
    filter::NetnsChoice,
    output::{self, beside::Beside},
    pipeline::{Pipeline, View},
    record::{Damage, Fault, Item, MAX_SUBJECTS, Recorder, Selection, Source, no_record},
    sink::Direct,
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
        Some(path) => {
            refuse_inputs(&runs, path)?;
            Some(Recorder::create(path, None)?)
        }
        None => None,
    };
    for run in runs {
        let format = screen::format(args.view.output, screen::look(args.view.verbose > 0, false));
        let (selection, read, written) = thread::scope(|scope| {
            let written = Direct::new(format, &mut *out);
            let sink = Beside::start(scope, written, run.records_at_once())
                .context("cannot start a thread to write; see `ulimit -u`")?;
            let mut pipeline = Pipeline::new(view.clone(), sink);
            let mut selection = Selection::default();
            let read = for_each_fact(&run, notes, &mut |fact| {
                if pipeline.sink().has_failed() && small.is_none() {
                    bail!("nobody takes what is told");
                }
                let before = pipeline.shown();
                let shown = small.is_some().then(|| fact.clone());
                pipeline.take(fact)?;
                if let Some(fact) = shown.filter(|_| pipeline.shown() > before) {
                    selection.add(&fact);
                }
                Ok(())
            });
            // What was told before an error is written.
            anyhow::Ok((selection, read, pipeline.into_sink().finish()))
        })?;
        if let Some(small) = small.as_mut().filter(|_| read.is_ok()) {
            write_small(&run, selection, small)?;
        }
        // If nobody took what was told, the reading stopped for that.
        written.map_err(output::unwritten)?;
        read?;
    }
    Ok(0)
}

/// A small record needs several looks at its input, and must not be its input.
fn refuse_inputs(runs: &[Run], out: &Path) -> Result<()> {
    for Segment { source, .. } in runs.iter().flat_map(|run| &run.segments) {
        if source.is_stream() {
            bail!(
                "-w reads the record several times, and {} can be read only once: name a file",
                source.name()
            );
        }
        if source.is_file(out) {
            bail!("{} is what is replayed: name another file for -w", source.name());
        }
    }
    Ok(())
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
    /// How many records the output is handed at a time: those of a stream, which may come from a live run, one by one.
    fn records_at_once(&self) -> usize {
        if self.segments.iter().any(|segment| segment.source.is_stream()) { 1 } else { RECORDS_AT_ONCE }
    }
}

struct Segment {
    source: Source,
    /// Its number in the run, as far as it is known before it is read.
    number: Option<u32>,
}

/// The runs that are recorded in these files, in the order of time.
pub fn in_order(files: &[PathBuf]) -> Result<Vec<Run>> {
    let mut sources: Vec<_> = files.iter().map(|path| Source::new(path)).collect();
    if let [only] = &sources[..] {
        // A stream cannot be looked into first.
        if only.is_stream() {
            return Ok(vec![Run { segments: vec![Segment { source: only.clone(), number: None }] }]);
        }
    }
    if let Some(stream) = sources.iter().find(|source| source.is_stream()) {
        bail!("{} can be read only once: no other file can stand beside it", stream.name());
    }
    if sources.iter().any(|source| !source.is_empty()) {
        sources.retain(|source| !source.is_empty());
    }
    let mut segments = Vec::new();
    for source in sources {
        segments.push((source.header()?, source));
    }
    segments.sort_by_key(|(header, source)| (header.run_key(), header.segment, source.name()));
    let mut runs = Vec::new();
    for run in segments.chunk_by(|(one, _), (other, _)| one.run_key() == other.run_key()) {
        let began = run.first().map(|(header, _)| header.began_at());
        let mut segments: Vec<Segment> = Vec::new();
        for (header, source) in run {
            let same = segments.last().filter(|last| last.number == Some(header.segment));
            match same {
                // A segment that is being compressed has two files for a moment.
                Some(last) if last.source.is_compressed_as(source) => {}
                Some(last) => bail!(
                    "{} and {} are the same part of one run: name one of them",
                    last.source.name(),
                    source.name()
                ),
                None => segments.push(Segment { source: source.clone(), number: Some(header.segment) }),
            }
        }
        runs.push((began, Run { segments }));
    }
    runs.sort_by_key(|(began, _)| *began);
    Ok(runs.into_iter().map(|(_, run)| run).collect())
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
    let mut state = State {
        notes,
        each,
        source: String::new(),
        run: None,
        segment: None,
        begun: false,
        repeats: false,
        lost_segments: false,
        last: Ktime(0),
        reading: Reading::default(),
    };
    for Segment { source, number } in &run.segments {
        state.source = source.name();
        if let Some(number) = number {
            state.begin_segment(*number);
        }
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
    /// The file that is being read.
    source: String,
    /// The run, as its headers tell it.
    run: Option<(Option<String>, Ktime)>,
    /// Number of the segment that is being read.
    segment: Option<u32>,
    begun: bool,
    /// Whether the facts that a segment repeats are new.
    repeats: bool,
    last: Ktime,
    /// Whether segments are missing that the stream does not tell of yet.
    lost_segments: bool,
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

    /// Notes which segments are not there. A segment has two headers.
    fn begin_segment(&mut self, number: u32) {
        let next = match self.segment {
            Some(current) if current == number => return,
            current => current.map_or(0, |current| current + 1),
        };
        self.segment = Some(number);
        let missing = number.saturating_sub(next);
        // If the segment before was read, the facts that this one repeats are known.
        self.repeats = missing > 0;
        if missing > 0 {
            let are = if missing == 1 {
                "1 segment before it is"
            } else {
                &format!("{missing} segments before it are")
            };
            let source = self.source.clone();
            self.say(format_args!("{source}: {are} not there"));
            self.reading.missing += missing;
            self.lost_segments = true;
        }
    }

    fn take(&mut self, item: Item) -> Result<()> {
        let fact = match item {
            Item::Header(header) => {
                let key = header.run_key();
                if self.run.get_or_insert_with(|| key.clone()) != &key {
                    bail!("{} holds more than one run: give each a file of its own", self.source);
                }
                self.begin_segment(header.segment);
                header.begin()
            }
            Item::Fact(fact) => fact,
            // If the beginning of the run is damaged, the stream begins here.
            Item::Again(fact) if self.repeats || !self.begun => fact,
            Item::Again(_) => return Ok(()),
        };
        // Each header and the line after it hold the beginning, in case one of them is damaged.
        if matches!(fact.what, What::Begin(_)) && std::mem::replace(&mut self.begun, true) {
            return self.lose_segments();
        }
        self.last = self.last.max(fact.at);
        self.reading.is_whole = matches!(fact.what, What::End);
        (self.each)(fact)?;
        self.lose_segments()
    }

    /// What was in the segments that are not there is lost. How much that is, nobody knows.
    fn lose_segments(&mut self) -> Result<()> {
        if self.begun && std::mem::take(&mut self.lost_segments) { self.lose(0) } else { Ok(()) }
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

#[cfg(test)]
mod tests;
