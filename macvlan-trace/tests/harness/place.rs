//! Places for files, which go with the test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::sh;

/// A folder of its own below /tmp.
pub struct Place(PathBuf);

impl Place {
    pub fn new(name: &str) -> Self {
        let place = Path::new("/tmp").join(name);
        let _ = fs::remove_dir_all(&place);
        fs::create_dir(&place).expect("there is a place for files");
        Self(place)
    }

    /// The same, on a file system in memory with so much room: a size, or a part of all memory in percent.
    pub fn in_memory(name: &str, size: &str) -> Self {
        let place = Self::new(name);
        sh(&format!("mount -t tmpfs -o size={size} tmpfs {}", place.0.display()));
        place
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).stderr(Stdio::null()).status();
        let _ = fs::remove_dir_all(&self.0);
    }
}
