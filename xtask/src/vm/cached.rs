//! Files that are made once and kept, until the code that makes them changes.

use std::fs::{self, File};
use std::path::Path;

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
}

/// Makes the file, unless it was made by the same recipe before. It appears whole or not at all.
pub fn file(path: &Path, recipe: &Recipe, make: impl FnOnce(&File) -> Result<()>) -> Result<()> {
    let note = path.with_extension("recipe");
    if path.exists() && fs::read_to_string(&note).is_ok_and(|made_by| made_by == recipe.0) {
        return Ok(());
    }
    let parent = path.parent().context("a cached file lies in a directory")?;
    fs::create_dir_all(parent)?;
    let draft = tempfile::NamedTempFile::new_in(parent).context("could not make a temporary file")?;
    make(draft.as_file())?;
    draft.persist(path).with_context(|| format!("could not keep {}", path.display()))?;
    fs::write(&note, &recipe.0).with_context(|| format!("could not write {}", note.display()))
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
    fn a_failure_leaves_nothing_behind() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("file.cpio");
        assert!(file(&path, &Recipe::of(&[]), |_| anyhow::bail!("no")).is_err());
        assert_eq!(fs::read_dir(directory.path())?.count(), 0);
        Ok(())
    }
}
