//! Builds that xtask asks cargo for.

use std::io::{self, BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{Artifact, Message, TargetKind, diagnostic::DiagnosticLevel};

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

/// A program that cargo has built.
pub struct Built {
    /// The program.
    pub executable: PathBuf,
    /// How many times the compiler warned.
    pub warnings: usize,
}

/// Runs a build, shows what the compiler says, and finds the program among what was made.
pub fn build(mut command: Command, wanted: impl Fn(&Artifact) -> bool) -> Result<Built> {
    let colour = io::stderr().is_terminal();
    let mut child = command
        .args(["--message-format", if colour { "json-diagnostic-rendered-ansi" } else { "json" }])
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start `{}`", process::display(&command)))?;
    let stdout = child.stdout.take().context("cargo has no standard output")?;
    let mut executable = None;
    let mut warnings = 0;
    for message in Message::parse_stream(BufReader::new(stdout)) {
        match message.context("could not read cargo's messages")? {
            Message::CompilerArtifact(artifact) if wanted(&artifact) => {
                executable = artifact.executable.map(PathBuf::from).or(executable);
            }
            Message::CompilerMessage(message) => {
                warnings += usize::from(message.message.level == DiagnosticLevel::Warning);
                eprint!("{}", message.message.rendered.unwrap_or_default());
            }
            _ => {}
        }
    }
    if !child.wait()?.success() {
        bail!("`{}` failed", process::display(&command));
    }
    let executable =
        executable.with_context(|| format!("`{}` built no program", process::display(&command)))?;
    Ok(Built { executable, warnings })
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
        Ok(build(command, |artifact| artifact.target.is_kind(TargetKind::Bin))?.executable)
    }

    /// Builds a package's integration tests of this name, and its binaries along with them.
    pub fn tests(&self, package: &str, name: &str) -> Result<PathBuf> {
        let mut command = self.command("test");
        command.args(["--no-run", "--package", package, "--test", name]);
        Ok(build(command, |artifact| artifact.target.is_kind(TargetKind::Test))?.executable)
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = cargo(self.workspace);
        command
            .args([verb, "--quiet", "--release", "--target", GUEST_TARGET])
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
