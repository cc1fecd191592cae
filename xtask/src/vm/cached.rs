//! Files and directories that are made once and kept, until the code that makes them changes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::hex::hex;

/// Names how a file is made: another recipe, another file.
pub struct Recipe(String);

impl Recipe {
    /// The recipe is the source text of the code that follows it, and whatever else decides on the outcome.
    pub fn of(texts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for text in texts {
            hash.update(text);
            hash.update([0]);
        }
        Self(hex(&hash.finalize()))
    }

    /// Whether what lies at that path was made by this recipe.
    fn made(&self, path: &Path) -> bool {
        path.exists() && fs::read_to_string(note_of(path)).is_ok_and(|made_by| made_by == self.0)
    }

    /// Notes that it was.
    fn note(&self, path: &Path) -> Result<()> {
        let note = note_of(path);
        fs::write(&note, &self.0).with_context(|| format!("could not write {}", note.display()))
    }
}

fn note_of(path: &Path) -> PathBuf {
    path.with_extension("recipe")
}

/// Makes the file, unless it was made by the same recipe before. It appears whole or not at all.
pub fn file(path: &Path, recipe: &Recipe, make: impl FnOnce(&File) -> Result<()>) -> Result<()> {
    if recipe.made(path) {
        return Ok(());
    }
    let parent = path.parent().context("a cached file lies in a directory")?;
    fs::create_dir_all(parent)?;
    let draft = tempfile::NamedTempFile::new_in(parent).context("could not make a temporary file")?;
    make(draft.as_file())?;
    draft.persist(path).with_context(|| format!("could not keep {}", path.display()))?;
    recipe.note(path)
}

/// The same for a directory.
pub fn directory(path: &Path, recipe: &Recipe, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if recipe.made(path) {
        return Ok(());
    }
    let parent = path.parent().context("a cached directory lies in a directory")?;
    fs::create_dir_all(parent)?;
    let draft = tempfile::tempdir_in(parent).context("could not make a temporary directory")?;
    let made = draft.path().join("made");
    fs::create_dir(&made)?;
    make(&made)?;
    let keep = || -> std::io::Result<()> {
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
        fs::rename(&made, path)
    };
    keep().with_context(|| format!("could not keep {}", path.display()))?;
    recipe.note(path)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_is_made_once_a_recipe() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("file.cpio");
        let mut count = 0;
        let mut make = |recipe: &str| {
            file(&path, &Recipe::of(&[recipe]), |mut out| {
                count += 1;
                Ok(out.write_all(recipe.as_bytes())?)
            })
        };
        make("one")?;
        make("one")?;
        make("two")?;
        assert_eq!(count, 2);
        assert_eq!(fs::read_to_string(&path)?, "two");
        Ok(())
    }

    #[test]
    fn a_directory_is_made_once_a_recipe_and_replaced_whole() -> Result<()> {
        let parent = tempfile::tempdir()?;
        let path = parent.path().join("tool");
        for (recipe, name) in [("one", "a"), ("one", "never"), ("two", "b")] {
            directory(&path, &Recipe::of(&[recipe]), |into| Ok(fs::write(into.join(name), name)?))?;
        }
        let names: Vec<_> =
            fs::read_dir(&path)?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
        assert_eq!(names, ["b"]);
        Ok(())
    }

    #[test]
    fn a_failure_leaves_nothing_behind() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("file.cpio");
        assert!(file(&path, &Recipe::of(&[]), |_| anyhow::bail!("no")).is_err());
        assert_eq!(fs::read_dir(directory.path())?.count(), 0);
        Ok(())
    }
}
