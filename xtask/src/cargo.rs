//! Builds that xtask asks cargo for.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{Artifact, Message, TargetKind};

use crate::process;
use crate::workspace::Workspace;

/// The target of what runs in guests; named outright, so that the flags below spare build scripts and macros.
const GUEST_TARGET: &str = "x86_64-unknown-linux-gnu";

/// The name of the variable by which macvlan-trace's build takes another eBPF object than the committed one.
const OBJECT_VARIABLE: &str = "MACVLAN_TRACE_BPF_OBJECT";

/// The cargo that started xtask.
pub fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace.root());
    command
}

/// A build for guests: without any shared library, since a guest's libc is older than some hosts'.
pub struct GuestBuild<'a> {
    workspace: &'a Workspace,
    /// The eBPF object to embed, instead of the committed one.
    object: Option<&'a Path>,
}

impl<'a> GuestBuild<'a> {
    /// Builds that embed this eBPF object, or the committed one.
    pub fn new(workspace: &'a Workspace, object: Option<&'a Path>) -> Self {
        Self { workspace, object }
    }

    /// Builds the binary of this name and package.
    pub fn binary(&self, package: &str) -> Result<PathBuf> {
        let mut command = self.command("build");
        command.args(["--package", package, "--bin", package]);
        executable(command, |artifact| artifact.target.is_kind(TargetKind::Bin))
    }

    /// Builds a package's integration tests of this name, and its binaries along with them.
    pub fn tests(&self, package: &str, name: &str) -> Result<PathBuf> {
        let mut command = self.command("test");
        command.args(["--no-run", "--package", package, "--test", name]);
        executable(command, |artifact| artifact.target.is_kind(TargetKind::Test))
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = cargo(self.workspace);
        command
            .args([verb, "--quiet", "--release", "--message-format", "json-render-diagnostics"])
            .args(["--target", GUEST_TARGET])
            .arg("--target-dir")
            .arg(self.workspace.target().join("guest"))
            .env("RUSTFLAGS", "-C target-feature=+crt-static")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove(OBJECT_VARIABLE);
        if let Some(object) = self.object {
            command.env(OBJECT_VARIABLE, object);
        }
        command
    }
}

/// Runs the build, and finds among its messages the program that it made.
fn executable(mut command: Command, wanted: impl Fn(&Artifact) -> bool) -> Result<PathBuf> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start `{}`", process::display(&command)))?;
    let stdout = child.stdout.take().context("cargo has no standard output")?;
    let mut found = None;
    for message in Message::parse_stream(BufReader::new(stdout)) {
        match message.context("could not read cargo's messages")? {
            Message::CompilerArtifact(artifact) if wanted(&artifact) => {
                found = artifact.executable.map(PathBuf::from).or(found);
            }
            _ => {}
        }
    }
    if !child.wait()?.success() {
        bail!("`{}` failed", process::display(&command));
    }
    found.with_context(|| format!("`{}` built no program", process::display(&command)))
}
