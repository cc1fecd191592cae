//! The stamp beside a committed object: which sources and which tools made it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use sha2::{Digest as _, Sha256};

use crate::hex::hex;
use crate::workspace::{self, Workspace};

/// The crate that becomes the object.
pub const PACKAGE: &str = "macvlan-trace-ebpf";

/// The crates of this workspace whose sources are in the object.
const SOURCES: [&str; 2] = [PACKAGE, "macvlan-trace-common"];

/// Where an object comes from. `sources` and `object` are what `--check` compares; the rest is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Hash of the sources, the versions that they were built with, and the compiler's flags.
    pub sources: String,
    /// Hash of the object itself.
    pub object: String,
    /// What built it, as name and version.
    pub tools: BTreeMap<String, String>,
}

impl Stamp {
    /// Reads a stamp.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is no stamp", path.display()))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut fields: BTreeMap<String, String> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let sources = fields.remove("sources")?;
        let object = fields.remove("object")?;
        Some(Self { sources, object, tools: fields })
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Written by `cargo xtask ebpf`, compared by `cargo xtask ebpf --check`.")?;
        writeln!(f, "sources: {}\nobject: {}", self.sources, self.object)?;
        self.tools.iter().try_for_each(|(name, version)| writeln!(f, "{name}: {version}"))
    }
}

/// The hash of everything in this checkout that affects the object.
pub fn hash_sources(workspace: &Workspace, flags: &[&str]) -> Result<String> {
    let mut hash = Sha256::new();
    let mut add = |name: &str, content: &[u8]| {
        // The lengths keep adjacent parts apart.
        for part in [name.as_bytes(), content] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    };
    for package in SOURCES {
        for file in source_files(&workspace.root().join(package))? {
            let content = fs::read(&file).with_context(|| format!("could not read {}", file.display()))?;
            let name = file.strip_prefix(workspace.root()).unwrap_or(&file);
            add(&name.to_string_lossy(), &content);
        }
    }
    for dependency in pinned_dependencies(workspace)? {
        add("dependency", dependency.as_bytes());
    }
    for flag in flags {
        add("flag", flag.as_bytes());
    }
    Ok(hex(&hash.finalize()))
}

/// The hash of a built object.
pub fn hash_object(object: &Path) -> Result<String> {
    let content = fs::read(object).with_context(|| format!("could not read {}", object.display()))?;
    Ok(hex(&Sha256::digest(content)))
}

/// A crate's manifest and all Rust files below src, in a fixed order.
pub fn source_files(package: &Path) -> Result<Vec<PathBuf>> {
    let mut files = vec![package.join("Cargo.toml")];
    let mut directories = vec![package.join("src")];
    while let Some(directory) = directories.pop() {
        let entries =
            fs::read_dir(&directory).with_context(|| format!("could not list {}", directory.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Name and version of each crate that is compiled into the object, or whose macros write parts of it, as
/// Cargo.lock pins them. What build scripts need does not count.
fn pinned_dependencies(workspace: &Workspace) -> Result<BTreeSet<String>> {
    let metadata = workspace::metadata(
        MetadataCommand::new()
            .current_dir(workspace.root())
            .other_options(["--filter-platform", "x86_64-unknown-linux-gnu"].map(String::from)),
    )?;
    let Some(root) = metadata.packages.iter().find(|package| package.name.as_str() == PACKAGE) else {
        bail!("the workspace has no crate {PACKAGE}");
    };
    let mut reached = BTreeSet::new();
    let mut waiting = vec![&root.id];
    while let Some(id) = waiting.pop() {
        if reached.insert(id.clone()) {
            waiting.extend(normal_dependencies(&metadata, id));
        }
    }
    Ok(metadata
        .packages
        .iter()
        .filter(|package| package.source.is_some() && reached.contains(&package.id))
        .map(|package| format!("{} {}", package.name, package.version))
        .collect())
}

fn normal_dependencies<'a>(metadata: &'a Metadata, id: &'a PackageId) -> impl Iterator<Item = &'a PackageId> {
    metadata
        .resolve
        .iter()
        .flat_map(|resolve| &resolve.nodes)
        .filter(move |node| node.id == *id)
        .flat_map(|node| &node.deps)
        .filter(|dependency| dependency.dep_kinds.iter().any(|info| info.kind == DependencyKind::Normal))
        .map(|dependency| &dependency.pkg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp {
            sources: "0a".into(),
            object: "0b".into(),
            tools: BTreeMap::from([("rustc".into(), "1.96.0 (abc 2026-05-25): a build".into())]),
        }
    }

    #[test]
    fn a_stamp_reads_back_as_it_was_written() {
        assert_eq!(Stamp::parse(&stamp().to_string()), Some(stamp()));
    }

    #[test]
    fn a_stamp_without_its_hashes_is_none() {
        assert_eq!(Stamp::parse("# comment\nsources: 0a\n"), None);
    }

    #[test]
    fn every_source_and_every_flag_counts() -> Result<()> {
        let workspace = Workspace::find()?;
        let plain = hash_sources(&workspace, &["-O"])?;
        assert_eq!(plain, hash_sources(&workspace, &["-O"])?);
        assert_ne!(plain, hash_sources(&workspace, &["-O", "-g"])?);
        assert_ne!(hash_sources(&workspace, &["ab", "c"])?, hash_sources(&workspace, &["a", "bc"])?);
        Ok(())
    }

    #[test]
    fn sources_are_found_below_src() -> Result<()> {
        let package = tempfile::tempdir()?;
        fs::create_dir_all(package.path().join("src/probes"))?;
        for file in ["Cargo.toml", "src/main.rs", "src/probes/do_exit.rs", "src/notes.txt", "README.md"] {
            fs::write(package.path().join(file), "")?;
        }
        let found = source_files(package.path())?;
        let expected =
            ["Cargo.toml", "src/main.rs", "src/probes/do_exit.rs"].map(|file| package.path().join(file));
        assert_eq!(found, expected);
        Ok(())
    }

    #[test]
    fn the_pinned_crates_are_those_of_the_object() -> Result<()> {
        let pinned = pinned_dependencies(&Workspace::find()?)?;
        assert!(pinned.iter().any(|name| name.starts_with("aya-ebpf ")), "{pinned:?}");
        // A dependency of build scripts and of user space alone.
        assert!(!pinned.iter().any(|name| name.starts_with("anyhow ")), "{pinned:?}");
        Ok(())
    }
}
