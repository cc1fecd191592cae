//! Reads records: plain or gzipped, whole or damaged.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::mpsc::{Receiver, sync_channel},
    thread, vec,
};

use anyhow::{Context as _, Result, bail};
use flate2::bufread::MultiGzDecoder;

use super::{
    Header, MAX_PATHS,
    line::{self, Damage, Fault, Item, Line, NumberedPath},
    segments,
};
use crate::{
    bounded::Bounded,
    fact::{Begin, Fact, What},
    kernel::path::Path,
    text::Text,
};

/// The length of the longest line: the longest fact is a task with all its arguments.
const MAX_LINE: usize = 1 << 20;
/// How much is read at a time.
const CHUNK: usize = 1 << 16;
/// Within this many lines a record has a header, or the fact that repeats it.
const MAX_HEAD: usize = 64;
const GZIP: &[u8] = &[0x1f, 0x8b];

/// The lines of a record.
pub struct Reader<R> {
    input: R,
    number: u64,
    line: Vec<u8>,
    /// Where the next line begins in a damaged one without its end.
    rest: Option<usize>,
    ended: bool,
    /// What the numbers of paths stand for.
    paths: Bounded<u32, Path, MAX_PATHS>,
}

impl<R: BufRead> Reader<R> {
    /// A reader of this input.
    pub fn new(input: R) -> Self {
        Self { input, number: 0, line: Vec::new(), rest: None, ended: false, paths: Bounded::default() }
    }

    /// Fills `line` with the next line, without its end; `None` at the end of the input, else whether all of it is there.
    fn fill(&mut self) -> io::Result<Option<bool>> {
        if let Some(rest) = self.rest.take() {
            self.line.drain(..rest);
            return Ok(Some(true));
        }
        self.line.clear();
        let read = (&mut self.input).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
            return Ok(Some(true));
        }
        if self.line.len() > MAX_LINE {
            // Too long for a line of a record: skip to its end.
            while !self.line.ends_with(b"\n") {
                self.line.clear();
                if (&mut self.input).take(MAX_LINE as u64).read_until(b'\n', &mut self.line)? == 0 {
                    break;
                }
            }
            self.line.clear();
            return Ok(Some(true));
        }
        Ok(Some(false))
    }

    /// What a line tells.
    fn item(&mut self, line: Line) -> Item {
        match line {
            Line::Item(item) => {
                // Another run counts its paths anew. Its header may be damaged, and so may the beginning after that.
                let begins = match &item {
                    Item::Header(_) => true,
                    Item::Fact(fact) | Item::Again(fact) => matches!(fact.what, What::Begin(_)),
                };
                if begins {
                    self.paths.clear();
                }
                item
            }
            Line::OnPath(mut fact, NumberedPath { number, functions }) => {
                if let Some(functions) = functions {
                    self.paths.insert(number, functions);
                }
                // The line with the functions may be damaged: then the path is unknown.
                if let (Some(path), Some(known)) = (fact.what.path_mut(), self.paths.get_mut(&number)) {
                    *path = known.clone();
                }
                Item::Fact(fact)
            }
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Item, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let fault = match self.fill() {
            Ok(None) => return None,
            Ok(Some(is_whole)) => match line::read(&mut self.line) {
                Ok(line) => return Some(Ok(self.item(line))),
                Err(fault) if is_whole => {
                    self.rest = line::begins_within(&self.line);
                    fault
                }
                Err(_) => Fault::CutOff,
            },
            Err(error) => {
                self.ended = true;
                self.number += 1;
                Fault::Unreadable(error.to_string())
            }
        };
        Some(Err(Damage { line: self.number, fault }))
    }
}

/// Lines of a file that are handed over at a time.
const BATCH: usize = 256;
/// Batches that may wait.
const BATCHES: usize = 4;

/// Reads a file in a thread of its own, while the facts before are being judged.
pub struct Ahead {
    batches: Receiver<Vec<Result<Item, Damage>>>,
    batch: vec::IntoIter<Result<Item, Damage>>,
}

impl Ahead {
    fn of(mut lines: Reader<Box<dyn BufRead + Send>>, at_once: usize) -> io::Result<Self> {
        let (sender, batches) = sync_channel(BATCHES);
        thread::Builder::new().name("reader".to_owned()).spawn(move || {
            loop {
                let batch: Vec<_> = lines.by_ref().take(at_once).collect();
                // Nobody wants more, or there is no more.
                if batch.is_empty() || sender.send(batch).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { batches, batch: Vec::new().into_iter() })
    }
}

impl Iterator for Ahead {
    type Item = Result<Item, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.batch.next() {
                return Some(item);
            }
            self.batch = self.batches.recv().ok()?.into_iter();
        }
    }
}

/// The message for a file that is not a record, with what to do.
#[must_use]
pub fn no_record(source: &Source) -> String {
    format!("{} is no record of macvlan-trace; `macvlan-trace -w FILE` makes one", source.name())
}

/// A file with a record, or standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    path: Option<PathBuf>,
}

impl Source {
    /// A path, or `-` for standard input.
    #[must_use]
    pub fn new(path: &std::path::Path) -> Self {
        Self { path: (path.as_os_str() != "-").then(|| path.to_owned()) }
    }

    /// Whether it can be read only once: standard input, a pipe, a FIFO.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.path.as_ref().is_none_or(|path| {
            fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
        })
    }

    /// Whether there is nothing in it: a segment whose run did not begin.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.path.as_ref().is_some_and(|path| {
            fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0)
        })
    }

    /// Whether it is this file.
    #[must_use]
    pub fn is_file(&self, file: &std::path::Path) -> bool {
        let identity = |path: &std::path::Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
        self.path.as_ref().and_then(|path| identity(path)).is_some_and(|own| identity(file) == Some(own))
    }

    /// Whether it is a file and the other one its compressed form.
    #[must_use]
    pub fn is_compressed_as(&self, other: &Self) -> bool {
        self.path.as_deref().map(segments::compressed) == other.path && other.path.is_some()
    }

    /// Its name for messages.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.path {
            Some(path) => Text::from(path.as_os_str().as_encoded_bytes().to_vec()).to_string(),
            None => "standard input".to_owned(),
        }
    }

    /// Its items in order, read ahead. Refuses a file that is not a record. A stream may come from a live run, so each
    /// line of it is handed over at once.
    pub fn items(&self) -> Result<Ahead> {
        let at_once = if self.is_stream() { 1 } else { BATCH };
        Ahead::of(self.open()?, at_once).context("cannot start a thread to read; see `ulimit -u`")
    }

    fn open(&self) -> Result<Reader<Box<dyn BufRead + Send>>> {
        let file: Box<dyn Read + Send> = match &self.path {
            Some(path) => {
                // A segment may have been compressed since it was listed.
                let file = File::open(path)
                    .or_else(|error| File::open(segments::compressed(path)).map_err(|_| error));
                Box::new(file.with_context(|| format!("cannot open {}", self.name()))?)
            }
            None => Box::new(io::stdin()),
        };
        let mut input = BufReader::with_capacity(CHUNK, file);
        let head = input.fill_buf().with_context(|| format!("cannot read {}", self.name()))?;
        let input: Box<dyn BufRead + Send> = if head.starts_with(GZIP) {
            Box::new(BufReader::with_capacity(CHUNK, MultiGzDecoder::new(input)))
        } else {
            Box::new(input)
        };
        Ok(Reader::new(input))
    }

    /// The first header, by which segments are put in order. Refuses a file that is not a record, and a format of a
    /// later version. If the head of a record is lost, little is known of it.
    pub fn header(&self) -> Result<Header> {
        let mut first = None;
        for item in self.open()?.take(MAX_HEAD) {
            match item {
                Ok(Item::Header(header)) => return Ok(*header),
                Ok(Item::Fact(Fact { at, what: What::Begin(run) })) => return Ok(Header::new(0, at, *run)),
                Ok(Item::Fact(fact) | Item::Again(fact)) => drop(first.get_or_insert(fact.at)),
                Err(Damage { fault: fault @ Fault::Future { .. }, .. }) => {
                    bail!("{} {fault}: use a newer macvlan-trace", self.name());
                }
                Err(_) => {}
            }
        }
        match first {
            Some(at) => Ok(Header::new(0, at, Begin::default())),
            None => bail!("{}", no_record(self)),
        }
    }
}
