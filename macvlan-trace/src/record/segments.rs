//! The files of a record that rotates: `FILE.000001.gz`, `FILE.000002`, …, whose names sort by time.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    num::NonZeroUsize,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use flate2::{Compression, write::GzEncoder};

/// Digits of a segment's number.
const DIGITS: usize = 6;
/// What is added to the name of a segment while it is being compressed.
const PARTLY: &str = ".gz.part";

/// When to begin another file of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The largest size of a segment in bytes.
    pub size: u64,
    /// The largest number of segments; the oldest are removed. `None` for any number.
    pub files: Option<NonZeroUsize>,
}

/// A segment on disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// Its number.
    pub number: u32,
    /// Its file.
    pub path: PathBuf,
}

/// The path of a segment before it is compressed.
pub fn path_of(base: &Path, number: u32) -> PathBuf {
    with_suffix(base, &format!(".{number:0DIGITS$}"))
}

/// All segments of a record, oldest first.
pub fn list(base: &Path) -> io::Result<Vec<Segment>> {
    named(base, |name| Some(name))
}

/// Removes what a tracer that was killed had compressed of a segment; the segment itself is still there.
pub fn clear(base: &Path) -> io::Result<()> {
    let parts = named(base, |name| name.strip_suffix(PARTLY.as_bytes()))?;
    parts.iter().try_for_each(|part| remove(&part.path))
}

/// The files whose name, or that part of it, is a segment's; sorted.
fn named(base: &Path, part: impl Fn(&[u8]) -> Option<&[u8]>) -> io::Result<Vec<Segment>> {
    let folder = base.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = base.file_name() else { return Ok(Vec::new()) };
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file = entry.file_name();
        let number = part(file.as_encoded_bytes()).and_then(|file| number_in(file, name.as_encoded_bytes()));
        if let Some(number) = number {
            segments.push(Segment { number, path: entry.path() });
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

/// Removes a file, unless somebody else has.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Held while segments are removed, and while a compressed file replaces a plain one: a removed segment must not come
/// back.
static ORDER: Mutex<()> = Mutex::new(());

/// Removes the oldest segments until no more than `files` are left.
pub fn keep(base: &Path, files: usize) -> io::Result<()> {
    let _order = ORDER.lock().unwrap_or_else(PoisonError::into_inner);
    let segments = list(base)?;
    segments[..segments.len().saturating_sub(files)].iter().try_for_each(|segment| remove(&segment.path))
}

/// Segments that are being compressed.
#[derive(Default)]
pub struct Compressing(Vec<JoinHandle<io::Result<()>>>);

impl Compressing {
    /// Compresses a segment in a thread of its own. If that fails, the segment stays as it is; both can be read.
    pub fn start(&mut self, path: PathBuf) {
        self.0.retain(|thread| !thread.is_finished());
        // Without a thread, the file only takes more room.
        self.0.extend(thread::Builder::new().name("compress".to_owned()).spawn(move || compress(&path)));
    }

    /// Waits until all are compressed: a process that ends sooner leaves half of one behind.
    pub fn finish(self) {
        for thread in self.0 {
            // The segment that could not be compressed is there as it was.
            let _ = thread.join();
        }
    }
}

/// Compresses a segment. Only its owner may read the outcome, as it was before.
fn compress(path: &Path) -> io::Result<()> {
    let (partly, done) = (with_suffix(path, PARTLY), compressed(path));
    // A file that is there may have other rights.
    remove(&partly)?;
    let file = File::options().write(true).create_new(true).mode(0o600).open(&partly)?;
    let mut out = GzEncoder::new(file, Compression::default());
    let copied = File::open(path).and_then(|mut plain| io::copy(&mut plain, &mut out));
    if let Err(error) = copied.and_then(|_| out.finish()) {
        fs::remove_file(&partly)?;
        return Err(error);
    }
    let _order = ORDER.lock().unwrap_or_else(PoisonError::into_inner);
    if !path.exists() {
        return fs::remove_file(&partly);
    }
    fs::rename(&partly, &done)?;
    fs::remove_file(path)
}

/// The path of a segment once it is compressed.
pub fn compressed(path: &Path) -> PathBuf {
    with_suffix(path, ".gz")
}

fn number_in(file: &[u8], base: &[u8]) -> Option<u32> {
    let rest = file.strip_prefix(base)?.strip_prefix(b".")?;
    let digits = rest.strip_suffix(b".gz").unwrap_or(rest);
    let is_number = digits.len() >= DIGITS && digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut whole = OsString::from(path);
    whole.push(suffix);
    PathBuf::from(whole)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_its_own_segments_belong_to_a_record() {
        let number = |name: &str| number_in(name.as_bytes(), b"r.rec");
        assert_eq!(number("r.rec.000007"), Some(7));
        assert_eq!(number("r.rec.1000007.gz"), Some(1_000_007));
        for other in
            ["r.rec", "r.rec.7", "r.rec.00000x", "r.rec.000007.gz.part", "s.rec.000007", "r.rec.000007.bak"]
        {
            assert_eq!(number(other), None, "{other}");
        }
    }

    #[test]
    fn only_its_owner_may_read_a_compressed_segment() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_of(&folder.path().join("r.rec"), 1);
        let partly = with_suffix(&path, PARTLY);
        fs::write(&path, "arguments of processes").unwrap();
        // Another tracer was killed here, and had been less careful.
        fs::write(&partly, "half").unwrap();
        let mut compressing = Compressing::default();
        compressing.start(path.clone());
        compressing.finish();
        let mode = fs::metadata(compressed(&path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!path.exists() && !partly.exists(), "it was waited for");
    }

    #[test]
    fn half_a_compressed_segment_goes_and_the_segment_stays() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["r.rec.000001", "r.rec.000001.gz.part", "r.rec.gz.part", "s.rec.000001.gz.part"];
        for name in names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        clear(&folder.path().join("r.rec")).unwrap();
        let there = names.map(|name| folder.path().join(name).exists());
        assert_eq!(there, [true, false, true, true]);
    }

    #[test]
    fn the_oldest_segments_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("r.rec");
        for name in ["r.rec.000002", "r.rec.000001.gz", "r.rec.000010", "other"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        keep(&base, 2).unwrap();
        let numbers: Vec<_> = list(&base).unwrap().into_iter().map(|segment| segment.number).collect();
        assert_eq!(numbers, [2, 10]);
        assert!(folder.path().join("other").exists());
    }
}
