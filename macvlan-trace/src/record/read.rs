//! Reads records: plain or gzipped, whole or damaged.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use flate2::bufread::MultiGzDecoder;

use super::{
    Header,
    line::{self, Damage, Fault, Item},
    segments,
};
use crate::{
    fact::{Begin, Fact, What},
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
}

impl<R: BufRead> Reader<R> {
    /// A reader of this input.
    pub fn new(input: R) -> Self {
        Self { input, number: 0, line: Vec::new(), rest: None, ended: false }
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
                Ok(item) => return Some(Ok(item)),
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
    pub fn new(path: &Path) -> Self {
        Self { path: (path.as_os_str() != "-").then(|| path.to_owned()) }
    }

    /// Whether it can be read only once.
    #[must_use]
    pub fn is_stdin(&self) -> bool {
        self.path.is_none()
    }

    /// Its name for messages.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.path {
            Some(path) => Text::from(path.as_os_str().as_encoded_bytes().to_vec()).to_string(),
            None => "standard input".to_owned(),
        }
    }

    /// Opens it. Refuses a file that is not a record.
    pub fn open(&self) -> Result<Reader<Box<dyn BufRead>>> {
        let file: Box<dyn Read> = match &self.path {
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
        let input: Box<dyn BufRead> = if head.starts_with(GZIP) {
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
