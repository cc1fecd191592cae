//! Debian's archive, through an apt that shares nothing with this machine's: own sources, lists and cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result};

use super::sources::Mirror;
use crate::process;
use crate::progress::Progress;

/// The suites that between them hold every kernel of the matrix.
const SUITES: &[&str] = &[
    "bullseye",
    "bullseye-updates",
    "bookworm",
    "bookworm-updates",
    "trixie",
    "trixie-updates",
    "trixie-backports",
    "sid",
];

const SECURITY_SUITES: &[&str] = &["bullseye-security", "bookworm-security", "trixie-security"];

/// The suite that the guests' user space comes from.
pub const USERLAND_SUITE: &str = "trixie";

/// Debian's keys, from the package debian-archive-keyring.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A private view of Debian's archive.
pub struct Archive<'a> {
    directory: PathBuf,
    mirror: Option<String>,
    progress: &'a Progress,
    /// The package lists are fetched at most once a run, and only when something is missing.
    fresh: OnceLock<()>,
}

impl<'a> Archive<'a> {
    /// An archive whose state lies in this directory; without a mirror, this machine's own is used.
    pub fn new(directory: PathBuf, mirror: Option<String>, progress: &'a Progress) -> Self {
        Self { directory, mirror, progress, fresh: OnceLock::new() }
    }

    /// The names of all packages that begin with this.
    pub fn package_names(&self, prefix: &str) -> Result<Vec<String>> {
        self.refresh()?;
        let names = process::output(self.apt("apt-cache").args(["pkgnames", prefix]))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// A package of the guests' suite and everything that it needs.
    pub fn with_dependencies(&self, package: &str) -> Result<Vec<String>> {
        self.refresh()?;
        // Simulated on a system without any package, so that nothing counts as installed.
        let plan = process::output(
            self.apt("apt-get").args(["install", "--simulate", "--no-install-recommends"]).args([
                "--target-release",
                USERLAND_SUITE,
                package,
            ]),
        )?;
        Ok(plan
            .lines()
            .filter_map(|line| line.strip_prefix("Inst ")?.split_whitespace().next())
            .map(str::to_owned)
            .collect())
    }

    /// Downloads packages (`name` or `name/suite`) and unpacks them all into one directory.
    pub fn unpack(&self, packages: &[String], into: &Path) -> Result<()> {
        self.refresh()?;
        let downloads =
            tempfile::tempdir_in(&self.directory).context("could not make a download directory")?;
        process::output(self.apt("apt-get").arg("download").args(packages).current_dir(downloads.path()))?;
        fs::create_dir_all(into)?;
        for entry in fs::read_dir(downloads.path())? {
            process::output(Command::new("dpkg-deb").arg("--extract").arg(entry?.path()).arg(into))?;
        }
        Ok(())
    }

    /// Where the packages of the guests' suite are, for another apt than this one: lines as in a sources.list.
    pub fn userland_sources(&self) -> Result<Vec<String>> {
        let mirror = self.mirror()?;
        let line = |uri: &str, suite: &str| format!("deb [signed-by={KEYRING}] {uri} {suite} main");
        let main = ["", "-updates"].map(|part| line(&mirror.main, &format!("{USERLAND_SUITE}{part}")));
        let security = mirror.security.map(|uri| line(&uri, &format!("{USERLAND_SUITE}-security")));
        Ok(main.into_iter().chain(security).collect())
    }

    fn mirror(&self) -> Result<Mirror> {
        match &self.mirror {
            Some(url) => Ok(Mirror::named(url)),
            None => Mirror::of_this_machine(),
        }
    }

    /// Fetches the package lists.
    fn refresh(&self) -> Result<()> {
        if self.fresh.get().is_some() {
            return Ok(());
        }
        let mirror = self.mirror()?;
        self.configure(&mirror)?;
        self.progress.say("fetching the package lists of Debian's archive");
        // A suite that has left the mirror makes this fail, and the others are there all the same.
        if let Err(error) = process::output(self.apt("apt-get").args(["update", "-q"])) {
            let names = process::output(self.apt("apt-cache").args(["pkgnames", "linux-image-"]))?;
            if names.is_empty() {
                return Err(error.context(format!("could not read Debian's archive at {}", mirror.main)));
            }
            self.progress.say(format_args!("a part of Debian's archive is missing: {error:#}"));
        }
        self.fresh.get_or_init(|| ());
        Ok(())
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("--config-file").arg(self.directory.join("apt.conf")).env("LC_ALL", "C");
        command
    }

    fn configure(&self, mirror: &Mirror) -> Result<()> {
        let write = || -> std::io::Result<()> {
            for part in ["lists/partial", "cache/archives/partial", "sources.d"] {
                fs::create_dir_all(self.directory.join(part))?;
            }
            fs::write(self.directory.join("status"), "")?;
            fs::write(self.directory.join("apt.conf"), configuration(&self.directory))?;
            fs::write(self.directory.join("sources.d/debian.sources"), sources(mirror))
        };
        write().with_context(|| format!("could not prepare apt in {}", self.directory.display()))
    }
}

/// Read after this machine's own configuration, whose proxies stay and whose hooks and pins go. A snapshot of the
/// archive is as good as today's: its signature is verified, and it may be old.
fn configuration(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "#clear APT::Update::Post-Invoke;\n\
         #clear APT::Update::Post-Invoke-Success;\n\
         #clear APT::Architectures;\n\
         APT::Architecture \"amd64\";\n\
         APT::Architectures {{ \"amd64\"; }};\n\
         APT::Default-Release \"\";\n\
         APT::Sandbox::User \"root\";\n\
         Acquire::Check-Valid-Until \"false\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::Retries \"3\";\n\
         Dir::State \"{directory}\";\n\
         Dir::State::lists \"{directory}/lists\";\n\
         Dir::State::status \"{directory}/status\";\n\
         Dir::Cache \"{directory}/cache\";\n\
         Dir::Cache::pkgcache \"pkgcache.bin\";\n\
         Dir::Etc::sourcelist \"/dev/null\";\n\
         Dir::Etc::sourceparts \"{directory}/sources.d\";\n\
         Dir::Etc::preferences \"/dev/null\";\n\
         Dir::Etc::preferencesparts \"/dev/null\";\n"
    )
}

fn sources(mirror: &Mirror) -> String {
    let stanza = |uri: &str, suites: &[&str]| {
        format!(
            "Types: deb\nURIs: {uri}\nSuites: {}\nComponents: main\nTargets: Packages\nSigned-By: {KEYRING}\n\n",
            suites.join(" ")
        )
    };
    let security = mirror.security.as_deref().map(|uri| stanza(uri, SECURITY_SUITES));
    stanza(&mirror.main, SUITES) + &security.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_apt_is_told_of_the_mirror_that_the_user_named() -> Result<()> {
        let progress = Progress::new(0);
        let archive = Archive::new(PathBuf::new(), Some("http://a.example/debian/".into()), &progress);
        let start = format!("deb [signed-by={KEYRING}] http://a.example/debian");
        assert_eq!(
            archive.userland_sources()?,
            [
                format!("{start} trixie main"),
                format!("{start} trixie-updates main"),
                format!("{start}-security trixie-security main"),
            ]
        );
        Ok(())
    }

    #[test]
    fn each_archive_gets_its_suites() {
        let mirror = Mirror { main: "http://a.example".into(), security: Some("http://b.example".into()) };
        let text = sources(&mirror);
        let (main, security) = text.split_once("\n\n").expect("two stanzas");
        assert!(
            main.contains("URIs: http://a.example\n") && main.contains(" trixie-backports sid\n"),
            "{main}"
        );
        assert!(security.contains("URIs: http://b.example\nSuites: bullseye-security"), "{security}");
        assert!(!sources(&Mirror { security: None, ..mirror }).contains("-security"));
    }
}
