//! Builds that xtask asks cargo for.

use std::io::{self, BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{Message, diagnostic::DiagnosticLevel};

use crate::process;
use crate::workspace::Workspace;

/// The target of programs for guests. It is named explicitly, so that the flags below do not apply to build scripts and
/// macros.
const GUEST_TARGET: &str = "x86_64-unknown-linux-gnu";

/// The variable that makes macvlan-trace's build use another eBPF object than the committed one.
const OBJECT_VARIABLE: &str = "MACVLAN_TRACE_BPF_OBJECT";

/// The cargo that started xtask.
pub fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace.root());
    command
}

/// The results of a build.
pub struct Built {
    /// The programs, by the names of their targets.
    programs: Vec<(String, PathBuf)>,
    /// How many times the compiler warned.
    pub warnings: usize,
}

impl Built {
    /// The program of this name.
    pub fn program(&self, name: &str) -> Result<&Path> {
        let found = self.programs.iter().find(|(target, _)| target == name);
        Ok(&found.with_context(|| format!("cargo built no program {name}"))?.1)
    }
}

/// Runs a build, shows the compiler's messages, and notes the programs that it made.
pub fn build(mut command: Command) -> Result<Built> {
    let colour = io::stderr().is_terminal();
    let mut child = command
        .args(["--message-format", if colour { "json-diagnostic-rendered-ansi" } else { "json" }])
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start `{}`", process::display(&command)))?;
    let stdout = child.stdout.take().context("cargo has no standard output")?;
    let mut built = Built { programs: Vec::new(), warnings: 0 };
    for message in Message::parse_stream(BufReader::new(stdout)) {
        match message.context("could not read cargo's messages")? {
            Message::CompilerArtifact(artifact) => {
                let program = artifact.executable.map(|path| (artifact.target.name, path.into()));
                built.programs.extend(program);
            }
            Message::CompilerMessage(message) => {
                built.warnings += usize::from(message.message.level == DiagnosticLevel::Warning);
                eprint!("{}", message.message.rendered.unwrap_or_default());
            }
            _ => {}
        }
    }
    if !child.wait()?.success() {
        bail!("`{}` failed", process::display(&command));
    }
    Ok(built)
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
        Ok(build(command)?.program(package)?.to_owned())
    }

    /// Builds a package's integration tests of these names together with its binary. If they were built separately, the
    /// tests' further dependencies would make cargo compile the libraries twice.
    pub fn tests(&self, package: &str, names: &[&str]) -> Result<Built> {
        let mut command = self.command("test");
        command.args(["--no-run", "--package", package]);
        command.args(names.iter().flat_map(|name| ["--test", name]));
        build(command)
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
