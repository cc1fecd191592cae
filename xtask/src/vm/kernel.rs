//! Debian's kernels: which ones the archive has of a series, and fetching one.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result, anyhow, bail};

use super::archive::Archive;
use super::modules::{self, Choice};
use crate::progress::Progress;

/// The flavour whose kernels are small and boot fast.
const FLAVOUR: &str = "-cloud-amd64";

/// What a person asks for: `6.12`, or `7` for the newest of all 7.x.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series(Vec<u32>);

impl Series {
    fn contains(&self, release: &str) -> bool {
        version(release).starts_with(&self.0)
    }
}

impl FromStr for Series {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.strip_suffix(".x").unwrap_or(text);
        digits
            .split('.')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
            .map_err(|_| anyhow!("{text} is no kernel series: write one as 6.12, or as 7 for the newest 7.x"))
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&parts.join("."))
    }
}

/// A kernel on this machine, ready to boot.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// What `uname -r` prints in the guest.
    pub release: String,
    /// The bootable image.
    pub image: PathBuf,
    /// The initramfs segment that holds those of its modules that were chosen.
    pub modules: PathBuf,
}

/// A series that the archive does not have, or has no longer.
#[derive(Debug)]
pub struct Missing {
    series: Series,
    available: Vec<Series>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let available: Vec<String> = self.available.iter().map(ToString::to_string).collect();
        write!(
            f,
            "Debian's archive has no complete {} cloud kernel; it has {}",
            self.series,
            if available.is_empty() { "none at all".into() } else { available.join(", ") }
        )
    }
}

impl std::error::Error for Missing {}

/// Finds a kernel of the series in the cache, or fetches the newest one that the archive has whole.
pub fn get(
    series: &Series,
    choice: &Choice,
    cache: &Path,
    archive: &Archive<'_>,
    progress: &Progress,
) -> Result<Kernel> {
    let directory = cache.join(series.to_string());
    if !directory.join("release").exists() {
        fetch(series, &directory, archive, progress)?;
    }
    let release = fs::read_to_string(directory.join("release"))
        .with_context(|| format!("the cached kernel in {} is damaged: delete it", directory.display()))?;
    let modules = modules::pack(&directory, &release, choice)?;
    Ok(Kernel { release, image: directory.join("vmlinuz"), modules })
}

/// Unpacks beside the cache and renames: whoever finds the directory finds it whole.
fn fetch(series: &Series, directory: &Path, archive: &Archive<'_>, progress: &Progress) -> Result<()> {
    let candidates = complete_kernels(&archive.package_names("linux-")?);
    let Some(chosen) = candidates.iter().find(|candidate| series.contains(&candidate.release)) else {
        let available: BTreeSet<Series> =
            candidates.iter().map(|candidate| Series(version(&candidate.release)[..2].to_vec())).collect();
        bail!(Missing { series: series.clone(), available: available.into_iter().collect() });
    };
    progress.say(format_args!("kernel {series}: downloading {}", chosen.release));
    let parent = directory.parent().context("a kernel's directory has a parent")?;
    fs::create_dir_all(parent)?;
    let staging = tempfile::tempdir_in(parent).context("could not make a directory for the kernel")?;
    let unpacked = staging.path().join("packages");
    archive.unpack(&chosen.packages, &unpacked)?;
    let release = &chosen.release;
    let image = find_one_of(
        &unpacked,
        &[
            format!("boot/vmlinuz-{release}"),
            format!("usr/lib/modules/{release}/vmlinuz"),
            format!("lib/modules/{release}/vmlinuz"),
        ],
    )?;
    let kernel = staging.path().join("kernel");
    fs::create_dir(&kernel)?;
    fs::rename(image, kernel.join("vmlinuz"))?;
    let packed =
        find_one_of(&unpacked, &[format!("usr/lib/modules/{release}"), format!("lib/modules/{release}")])?;
    let root = kernel.join("modules");
    let modules = modules::directory(&root, release);
    fs::create_dir_all(modules.parent().context("modules lie in a directory")?)?;
    fs::rename(packed, modules)?;
    modules::index(&root, release)?;
    fs::write(kernel.join("release"), release)?;
    fs::rename(&kernel, directory)
        .with_context(|| format!("could not put the kernel into {}", directory.display()))
}

fn find_one_of(directory: &Path, candidates: &[String]) -> Result<PathBuf> {
    candidates
        .iter()
        .map(|candidate| directory.join(candidate))
        .find(|path| path.exists())
        .with_context(|| format!("the kernel's packages hold none of {}", candidates.join(", ")))
}

/// A kernel as the archive has it.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    release: String,
    packages: Vec<String>,
}

/// The kernels of which every part is there, the newest first.
///
/// Up to 6.18 one package holds a kernel. From 6.19 on linux-image-V is an empty shell over linux-binary-V,
/// linux-modules-V and linux-base-V, and the archive drops parts of old versions one by one.
fn complete_kernels(names: &[String]) -> Vec<Candidate> {
    let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let mut kernels: Vec<Candidate> = names
        .iter()
        .filter_map(|name| name.strip_prefix("linux-image-"))
        .filter(|release| release.ends_with(FLAVOUR) && version(release).len() >= 3)
        .filter_map(|release| {
            let whole = vec![format!("linux-image-{release}")];
            let parts = ["binary", "modules", "base"].map(|part| format!("linux-{part}-{release}")).to_vec();
            let split = names.contains(parts[0].as_str());
            let packages = if split { parts } else { whole };
            let complete = packages.iter().all(|package| names.contains(package.as_str()));
            complete.then(|| Candidate { release: (*release).to_owned(), packages })
        })
        .collect();
    kernels.sort_by_cached_key(|kernel| std::cmp::Reverse(numbers(&kernel.release)));
    kernels
}

/// The numbers of a release's version proper: 6, 12, 117 of `6.12.117+deb13-cloud-amd64`.
fn version(release: &str) -> Vec<u32> {
    let end = release.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(release.len());
    release[..end].split('.').filter_map(|number| number.parse().ok()).collect()
}

/// All numbers of a release in order, the revision among them: by these newer releases are greater.
fn numbers(release: &str) -> Vec<u32> {
    let release = release.strip_suffix(FLAVOUR).unwrap_or(release);
    release.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn releases(names: &[&str]) -> Vec<String> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        complete_kernels(&names).into_iter().map(|kernel| kernel.release).collect()
    }

    #[test]
    fn a_series_is_not_a_prefix_of_text() {
        let series: Series = "6.1".parse().expect("a series");
        assert!(series.contains("6.1.0-56-cloud-amd64"));
        assert!(!series.contains("6.12.117+deb13-cloud-amd64"));
        for text in ["7", "7.x"] {
            assert!(text.parse::<Series>().expect("a series").contains("7.3.4+deb13-cloud-amd64"));
        }
        assert!("new".parse::<Series>().is_err());
    }

    #[test]
    fn the_newest_comes_first() {
        assert_eq!(
            releases(&[
                "linux-image-6.1.0-0.deb11.52-cloud-amd64",
                "linux-image-6.1.0-9-cloud-amd64",
                "linux-image-6.1.0-56-cloud-amd64",
                "linux-image-6.12.115+deb13-cloud-amd64",
                "linux-image-6.12.115+deb13.1-cloud-amd64",
                "linux-image-6.12.115+deb12-cloud-amd64",
            ]),
            [
                "6.12.115+deb13.1-cloud-amd64",
                "6.12.115+deb13-cloud-amd64",
                "6.12.115+deb12-cloud-amd64",
                "6.1.0-56-cloud-amd64",
                "6.1.0-9-cloud-amd64",
                "6.1.0-0.deb11.52-cloud-amd64",
            ]
        );
    }

    #[test]
    fn other_packages_are_no_kernels() {
        assert!(
            releases(&[
                "linux-image-6.12-cloud-amd64",
                "linux-image-6.12.117+deb13-amd64",
                "linux-image-6.12.117+deb13-cloud-amd64-dbg",
                "linux-image-6.12.117+deb13-cloud-amd64-unsigned",
                "linux-image-cloud-amd64",
            ])
            .is_empty()
        );
    }

    #[test]
    fn a_split_kernel_counts_only_when_all_its_parts_are_there() {
        let mut names = vec![
            "linux-image-7.3.4+deb13-cloud-amd64",
            "linux-binary-7.3.4+deb13-cloud-amd64",
            "linux-base-7.3.4+deb13-cloud-amd64",
        ];
        assert!(releases(&names).is_empty());
        names.push("linux-modules-7.3.4+deb13-cloud-amd64");
        assert_eq!(releases(&names), ["7.3.4+deb13-cloud-amd64"]);
    }

    #[test]
    fn a_missing_series_is_answered_with_those_that_are_there() {
        let missing =
            Missing { series: Series(vec![6, 4]), available: vec![Series(vec![6, 1]), Series(vec![7, 3])] };
        assert_eq!(missing.to_string(), "Debian's archive has no complete 6.4 cloud kernel; it has 6.1, 7.3");
    }
}
