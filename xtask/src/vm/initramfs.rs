//! Segments of an initramfs: the kernel unpacks several cpio archives that follow one another.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use cpio::newc::{Builder, ModeFileType, trailer};

/// One archive under construction. Paths have no leading slash; their parents are made as needed, since the
/// kernel drops, without a word, what lies in a directory that it has not seen.
pub struct Segment<W: Write> {
    out: W,
    directories: BTreeSet<String>,
    inodes: u32,
}

impl<W: Write> Segment<W> {
    /// An empty segment.
    pub fn new(out: W) -> Self {
        Self { out, directories: BTreeSet::new(), inodes: 0 }
    }

    /// A directory that everybody may enter.
    pub fn directory(&mut self, path: &str) -> Result<()> {
        if path.is_empty() || self.directories.contains(path) {
            return Ok(());
        }
        self.parent(path)?;
        self.directories.insert(path.to_owned());
        self.entry(path, ModeFileType::Directory, 0o755, 0, &mut io::empty())
    }

    /// A file with this content.
    pub fn bytes(&mut self, path: &str, permissions: u32, content: &[u8]) -> Result<()> {
        self.parent(path)?;
        self.entry(path, ModeFileType::Regular, permissions, content.len() as u64, &mut &*content)
    }

    /// A copy of a file of this machine, with its permissions.
    pub fn file(&mut self, path: &str, source: &Path) -> Result<()> {
        let why = || format!("could not copy {}", source.display());
        let mut file = File::open(source).with_context(why)?;
        let metadata = file.metadata().with_context(why)?;
        let permissions = metadata.permissions().mode() & 0o7777;
        self.parent(path)?;
        self.entry(path, ModeFileType::Regular, permissions, metadata.len(), &mut file).with_context(why)
    }

    /// A symbolic link.
    pub fn link(&mut self, path: &str, target: &str) -> Result<()> {
        self.parent(path)?;
        self.entry(path, ModeFileType::Symlink, 0o777, target.len() as u64, &mut target.as_bytes())
    }

    /// A copy of whatever lies there on this machine, all that is below included.
    pub fn tree(&mut self, source: &Path, path: &str) -> Result<()> {
        let metadata =
            fs::symlink_metadata(source).with_context(|| format!("could not copy {}", source.display()))?;
        if metadata.is_symlink() {
            let target = fs::read_link(source)?;
            return self.link(path, text(target.as_os_str().as_bytes())?);
        }
        if metadata.is_file() {
            return self.file(path, source);
        }
        if !metadata.is_dir() {
            bail!("could not copy {}: it is no file, directory or link", source.display());
        }
        self.directory(path)?;
        let mut entries: Vec<_> = fs::read_dir(source)
            .and_then(Iterator::collect::<io::Result<Vec<_>>>)
            .with_context(|| format!("could not list {}", source.display()))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            self.tree(&entry.path(), &format!("{path}/{}", text(name.as_bytes())?))?;
        }
        Ok(())
    }

    /// Ends the segment.
    pub fn finish(self) -> Result<W> {
        let mut out = trailer(self.out).context("could not end the archive")?;
        out.flush()?;
        Ok(out)
    }

    fn parent(&mut self, path: &str) -> Result<()> {
        match path.rsplit_once('/') {
            Some((parent, _)) => self.directory(parent),
            None => Ok(()),
        }
    }

    fn entry(
        &mut self,
        path: &str,
        kind: ModeFileType,
        permissions: u32,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<()> {
        let size = u32::try_from(size).with_context(|| format!("{path} is too large for an initramfs"))?;
        self.inodes += 1;
        let entry = Builder::new(path).ino(self.inodes).nlink(1).mode(permissions).set_mode_file_type(kind);
        let mut writer = entry.write(&mut self.out, size);
        let copied = io::copy(&mut content.take(u64::from(size)), &mut writer)?;
        if copied != u64::from(size) {
            bail!("{path} became shorter while it was copied");
        }
        writer.finish()?;
        Ok(())
    }
}

fn text(name: &[u8]) -> Result<&str> {
    std::str::from_utf8(name)
        .with_context(|| format!("the name {} is not UTF-8", String::from_utf8_lossy(name).escape_debug()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use cpio::newc;

    use super::*;

    /// Names, modes and contents, up to the trailer.
    fn read(mut archive: &[u8]) -> Vec<(String, u32, String)> {
        let mut entries = Vec::new();
        loop {
            let mut reader = newc::Reader::new(&mut archive).expect("an entry");
            let entry = reader.entry().clone();
            if entry.is_trailer() {
                return entries;
            }
            let mut content = String::new();
            reader.read_to_string(&mut content).expect("text");
            reader.finish().expect("padding");
            entries.push((entry.name().to_owned(), entry.mode(), content));
        }
    }

    fn entry(name: &str, mode: u32, content: &str) -> (String, u32, String) {
        (name.into(), mode, content.into())
    }

    #[test]
    fn parents_come_before_their_files_and_once() -> Result<()> {
        let mut segment = Segment::new(Vec::new());
        segment.bytes("a/b/one", 0o644, b"1")?;
        segment.bytes("a/b/two", 0o755, b"22")?;
        segment.link("a/three", "b/one")?;
        assert_eq!(
            read(&segment.finish()?),
            [
                entry("a", 0o040_755, ""),
                entry("a/b", 0o040_755, ""),
                entry("a/b/one", 0o100_644, "1"),
                entry("a/b/two", 0o100_755, "22"),
                entry("a/three", 0o120_777, "b/one"),
            ]
        );
        Ok(())
    }

    #[test]
    fn trees_keep_links_and_permissions() -> Result<()> {
        let source = tempfile::tempdir()?;
        fs::create_dir(source.path().join("inner"))?;
        let file = source.path().join("inner/run");
        fs::write(&file, "#!")?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o4711))?;
        symlink("inner/run", source.path().join("link"))?;
        let mut segment = Segment::new(Vec::new());
        segment.tree(source.path(), "mnt/copy")?;
        assert_eq!(
            read(&segment.finish()?)[1..],
            [
                entry("mnt/copy", 0o040_755, ""),
                entry("mnt/copy/inner", 0o040_755, ""),
                entry("mnt/copy/inner/run", 0o104_711, "#!"),
                entry("mnt/copy/link", 0o120_777, "inner/run"),
            ]
        );
        Ok(())
    }

    #[test]
    fn segments_follow_one_another_on_the_boundary_that_the_kernel_expects() -> Result<()> {
        let mut segment = Segment::new(Vec::new());
        segment.bytes("odd", 0o644, b"12345")?;
        assert_eq!(segment.finish()?.len() % 4, 0);
        Ok(())
    }
}
