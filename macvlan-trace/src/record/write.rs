//! Writes a record while the run goes on.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::{
    Header,
    context::Context,
    encode::Encoder,
    line,
    segments::{self, Rotation},
};
use crate::{
    fact::{Fact, What},
    text::Text,
};

/// Repeated facts take at most this fraction of a segment.
const CONTEXT_SHARE: u64 = 4;
/// With so many bytes to write, nothing waits for a flush.
const MAX_PENDING: usize = 1 << 16;

/// Writes a record.
pub struct Recorder {
    path: PathBuf,
    rotation: Option<Rotation>,
    file: File,
    /// The file that is written now.
    segment_path: PathBuf,
    /// Number of the file, where the record rotates.
    number: u32,
    /// Number of the segment in this run.
    segment: u32,
    /// Whether the file was made for this run.
    is_new: bool,
    /// Bytes of whole lines in the file.
    written: u64,
    /// Lines that are not written yet.
    pending: Vec<u8>,
    context: Context,
    /// A tick that has not been written: of several in a row, only the last matters.
    tick: Option<Fact>,
    line: Vec<u8>,
    encoder: Encoder,
    compressing: segments::Compressing,
}

impl Recorder {
    /// Opens the file, and creates it if it does not exist. What an earlier run wrote stays until this one begins: it may
    /// not come to that. An existing file that is no record is refused.
    pub fn create(path: &Path, rotation: Option<Rotation>) -> Result<Self> {
        let number = match rotation {
            Some(_) => {
                segments::clear(path).with_context(|| cannot("write the record to", path))?;
                let segments = segments::list(path).with_context(|| cannot("write the record to", path))?;
                segments.last().map_or(1, |last| last.number + 1)
            }
            None => 0,
        };
        let segment_path = if rotation.is_some() { segments::path_of(path, number) } else { path.to_owned() };
        refuse_foreign(&segment_path)?;
        let is_new = !segment_path.exists();
        let file =
            open(&segment_path, false).with_context(|| cannot("write the record to", &segment_path))?;
        Ok(Self {
            path: path.to_owned(),
            rotation,
            file,
            segment_path,
            number,
            segment: 0,
            is_new,
            written: 0,
            pending: Vec::new(),
            context: Context::default(),
            tick: None,
            line: Vec::new(),
            encoder: Encoder::default(),
            compressing: segments::Compressing::default(),
        })
    }

    /// The record's name for messages.
    #[must_use]
    pub fn name(&self) -> String {
        shown(&self.path)
    }

    /// Takes the next fact. It is written with the next [`Recorder::flush`], or before.
    pub fn take(&mut self, fact: &Fact) -> io::Result<()> {
        match &fact.what {
            What::Begin(run) => {
                self.begin()?;
                self.line.clear();
                line::put_header(&Header::new(self.segment, fact.at, (**run).clone()), &mut self.line);
                self.pending.extend_from_slice(&self.line);
            }
            What::Tick => {
                self.tick = Some(fact.clone());
                return Ok(());
            }
            _ => {}
        }
        // A tick before another fact is redundant, unless that fact has an earlier time.
        if let Some(tick) = self.tick.take().filter(|tick| tick.at > fact.at) {
            self.put_fact(&tick)?;
        }
        self.put_fact(fact)?;
        self.context.note(fact);
        if self.pending.len() >= MAX_PENDING { self.flush() } else { Ok(()) }
    }

    /// Removes what earlier runs left, as far as it is in the way.
    fn begin(&mut self) -> io::Result<()> {
        if let Some(files) = self.rotation.and_then(|rotation| rotation.files) {
            segments::keep(&self.path, files.get())?;
        }
        // A pipe cannot be cut.
        if self.file.metadata()?.is_file() { self.file.set_len(0) } else { Ok(()) }
    }

    fn put_fact(&mut self, fact: &Fact) -> io::Result<()> {
        self.make_line(fact);
        if !self.has_room() {
            self.rotate()?;
            // The new segment does not have its path yet.
            self.make_line(fact);
        }
        self.pending.extend_from_slice(&self.line);
        Ok(())
    }

    fn make_line(&mut self, fact: &Fact) {
        self.line.clear();
        self.encoder.put(fact, &mut self.line);
    }

    /// Writes what was taken.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.pending);
        if written.is_err() {
            // Keeps the file at whole lines; a pipe cannot be truncated.
            let _ = self.file.set_len(self.written);
        } else {
            self.written += self.pending.len() as u64;
        }
        self.pending.clear();
        written
    }

    /// Ends the record: writes what was taken, and waits until every segment but the last is compressed.
    pub fn finish(&mut self) -> io::Result<()> {
        let written = self.flush();
        std::mem::take(&mut self.compressing).finish();
        written
    }

    /// Opens the file again, for example after `logrotate` has moved it.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.flush()?;
        let is_same = match (fs::metadata(&self.segment_path), self.file.metadata()) {
            (Ok(there), Ok(ours)) => (there.dev(), there.ino()) == (ours.dev(), ours.ino()),
            _ => false,
        };
        if is_same {
            return Ok(());
        }
        self.file = open(&self.segment_path, true)?;
        self.begin_segment()
    }

    /// Whether the line fits into the file. An empty file takes any line.
    fn has_room(&self) -> bool {
        let there = self.written + self.pending.len() as u64;
        let size = there + self.line.len() as u64;
        there == 0 || self.rotation.is_none_or(|rotation| size <= rotation.size)
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.flush()?;
        let full = self.segment_path.clone();
        self.number += 1;
        self.segment_path = segments::path_of(&self.path, self.number);
        if let Some(files) = self.rotation.and_then(|rotation| rotation.files) {
            segments::keep(&self.path, files.get() - 1)?;
        }
        self.file = open(&self.segment_path, true)?;
        if full.exists() {
            self.compressing.start(full);
        }
        self.begin_segment()
    }

    /// Writes a header, and the facts that later ones refer to, as far as there is room.
    fn begin_segment(&mut self) -> io::Result<()> {
        self.written = 0;
        self.segment += 1;
        self.encoder.begin_segment();
        let Some((began, run)) = self.context.begin() else { return Ok(()) };
        let header = Header::new(self.segment, *began, run.clone());
        let mut lines = Vec::new();
        // Twice, in case one of them is damaged.
        line::put_header(&header, &mut lines);
        line::put_header(&header, &mut lines);
        let room = self.rotation.map_or(u64::MAX, |rotation| rotation.size / CONTEXT_SHARE);
        // Names, links and residents come first, then the tasks that were seen last.
        let (tasks, there): (Vec<_>, Vec<_>) =
            self.context.facts().partition(|fact| matches!(fact.what, What::Task(_)));
        let mut line = Vec::new();
        for fact in there.into_iter().chain(tasks.into_iter().rev()) {
            line.clear();
            line::put_again(fact, &mut line);
            if (lines.len() + line.len()) as u64 > room {
                break;
            }
            lines.extend_from_slice(&line);
        }
        self.pending = lines;
        self.flush()
    }
}

impl Drop for Recorder {
    /// Leaves no empty file behind if the run never began.
    fn drop(&mut self) {
        if self.is_new && self.written == 0 {
            let _ = fs::remove_file(&self.segment_path);
        }
    }
}

/// Only its owner may read the record: it holds arguments of processes.
fn open(path: &Path, empty: bool) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(empty).mode(0o600).open(path)
}

/// If somebody mistypes a name, they should not lose a file.
fn refuse_foreign(path: &Path) -> Result<()> {
    // To open a FIFO would wait for a writer.
    if !fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        return Ok(());
    }
    let Ok(mut file) = File::open(path) else { return Ok(()) };
    let mut head = Vec::new();
    let read = (&mut file).take(8).read_to_end(&mut head);
    if read.is_ok() && !head.is_empty() && !b"{\"crc\":\"".starts_with(&head[..]) {
        bail!("{} is there already, and is no record: name another file", shown(path));
    }
    Ok(())
}

fn cannot(what: &str, path: &Path) -> String {
    format!("cannot {what} {}", shown(path))
}

fn shown(path: &Path) -> String {
    Text::from(path.as_os_str().as_encoded_bytes().to_vec()).to_string()
}

#[cfg(test)]
mod tests;
