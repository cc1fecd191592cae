//! What this machine needs, and how to install it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};

use crate::process;
use crate::progress::Progress;

/// A program and the Debian package that holds it.
#[derive(Clone, Copy)]
pub struct Tool {
    /// The program's name.
    pub program: &'static str,
    /// The package's name on Debian and Ubuntu.
    pub package: &'static str,
}

/// The packages of those programs that this machine lacks.
pub fn missing_packages(tools: &[Tool]) -> Vec<&'static str> {
    tools.iter().filter(|tool| find(tool.program).is_none()).map(|tool| tool.package).collect()
}

static INSTALLING: Mutex<()> = Mutex::new(());

/// Installs Debian packages; on other systems, says that the user has to.
pub fn install(packages: &[&str], progress: &Progress) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !is_debian() {
        bail!(
            "this machine lacks {list} (the names of Debian's packages), and xtask installs by itself on Debian \
             only: install them (Ubuntu: `sudo apt-get install {list}`), then run this again"
        );
    }
    // Only one dpkg can run at a time.
    let _turn = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    progress.say(format_args!("installing {list}"));
    let command = install_command(packages);
    if process::output(&mut as_root(&command)).is_err() {
        // The package lists are missing or old, as on every fresh container image.
        process::output(&mut as_root(&["apt-get", "update", "-q"].map(String::from)))
            .context("apt could not fetch its package lists")?;
        process::output(&mut as_root(&command)).with_context(|| format!("apt could not install {list}"))?;
    }
    Ok(())
}

fn install_command(packages: &[&str]) -> Vec<String> {
    // Installed packages must not be removed: rustc-web, for one, conflicts with other compilers.
    ["apt-get", "install", "-q", "-y", "--no-remove", "--no-install-recommends"]
        .iter()
        .chain(packages)
        .map(ToString::to_string)
        .collect()
}

/// A command as root: itself when we are root, through sudo otherwise.
pub fn as_root(words: &[String]) -> Command {
    let mut command = if is_root() { Command::new("env") } else { Command::new("sudo") };
    if is_root() {
        command.arg("DEBIAN_FRONTEND=noninteractive");
    } else {
        command.args(["env", "DEBIAN_FRONTEND=noninteractive"]);
    }
    command.args(words);
    command
}

/// Whether xtask itself runs as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether this is Debian itself; derivatives have other archives.
pub fn is_debian() -> bool {
    fs::read_to_string("/etc/os-release").is_ok_and(|text| names_debian(&text))
}

fn names_debian(os_release: &str) -> bool {
    os_release.lines().any(|line| line.strip_prefix("ID=").is_some_and(|id| id.trim_matches('"') == "debian"))
}

/// The program's path, looked up on PATH and where administration tools lie, which a user's PATH often lacks.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_is_told_from_its_derivatives() {
        assert!(names_debian("PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n"));
        assert!(!names_debian("ID=ubuntu\nID_LIKE=debian\n"));
    }

    #[test]
    fn programs_are_found_by_name() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }
}
