//! The tools that make eBPF: a Rust compiler with a core library for it, bpf-linker, and LLVM's strip.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::host;
use crate::process;
use crate::progress::Progress;
use crate::workspace::Workspace;

/// The compiler's target: BPF is little-endian where the machine is.
pub const TARGET: &str = "bpfel-unknown-none";

/// The linker's version; its own releases follow LLVM's.
const LINKER_VERSION: &str = "0.13.0";

/// Debian's compiler for the web, which comes with a core library for eBPF as well.
const DEBIAN_RUST: [&str; 3] = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// A compiler and where its core library for eBPF comes from.
enum Compiler {
    /// Debian's, with a ready-made core library.
    Debian,
    /// rustup's nightly, which builds the core library from its sources.
    Nightly,
}

/// Everything that is needed to build an eBPF object.
pub struct Toolchain {
    compiler: Compiler,
    /// The compiler's version.
    pub rustc_version: String,
    /// The compiler's LLVM.
    pub llvm_version: String,
    /// The linker's version.
    pub linker_version: String,
    linker: PathBuf,
    strip: PathBuf,
}

impl Toolchain {
    /// Uses the tools of this machine, and installs the rest: first the compiler, then a linker with the same LLVM.
    pub fn find(workspace: &Workspace, progress: &Progress) -> Result<Self> {
        let compiler = Compiler::find(progress)?;
        let verbose = process::output(compiler.rustc().arg("-vV"))?;
        let llvm_version = field(&verbose, "LLVM version")
            .context("this Rust compiler does not say which LLVM it uses, and the linker has to match")?
            .to_owned();
        let (llvm_major, _) = llvm_version.split_once('.').unwrap_or((&llvm_version, ""));
        let linker = find_linker(workspace, llvm_major, progress)?;
        Ok(Self {
            rustc_version: number(&verbose),
            linker_version: number(&process::output(Command::new(&linker).arg("--version"))?),
            strip: find_llvm(llvm_major, progress)?.join("bin/llvm-strip"),
            llvm_version,
            compiler,
            linker,
        })
    }

    /// `cargo build` for eBPF with these compiler flags.
    pub fn cargo_build(&self, flags: &[String]) -> Command {
        let mut command = match self.compiler {
            Compiler::Debian => {
                let mut command = Command::new(DEBIAN_CARGO);
                command.env("CARGO", DEBIAN_CARGO).env("RUSTC", DEBIAN_RUSTC).arg("build");
                command
            }
            Compiler::Nightly => {
                let mut command = Command::new("rustup");
                command.env_remove("CARGO").env_remove("RUSTC").args([
                    "run",
                    "nightly",
                    "cargo",
                    "build",
                    "-Z",
                    "build-std=core",
                ]);
                command
            }
        };
        command
            .args(["--release", "--target", TARGET])
            // Debian's compiler is a stable one, and eBPF needs a few unstable features.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &self.linker)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            .env_remove("RUSTFLAGS")
            .env_remove("RUSTUP_TOOLCHAIN");
        command
    }

    /// Copies an object without DWARF, which only the linker needs; BTF stays.
    pub fn strip(&self, object: &Path, into: &Path) -> Result<()> {
        process::output(Command::new(&self.strip).arg("--strip-debug").arg("-o").arg(into).arg(object))?;
        Ok(())
    }
}

impl Compiler {
    fn find(progress: &Progress) -> Result<Self> {
        let ready = [Self::Debian, Self::Nightly].into_iter().find(Self::can_build_core);
        if let Some(compiler) = ready {
            return Ok(compiler);
        }
        if host::is_debian() {
            host::install(&DEBIAN_RUST, progress)?;
            if Self::Debian.can_build_core() {
                return Ok(Self::Debian);
            }
        }
        bail!(
            "no Rust compiler here can build eBPF: install a nightly with `rustup toolchain install nightly \
             --component rust-src`, or on Debian the packages {}",
            DEBIAN_RUST.join(" ")
        )
    }

    fn can_build_core(&self) -> bool {
        let core = match self {
            Self::Debian => format!("lib/rustlib/{TARGET}/lib"),
            Self::Nightly => "lib/rustlib/src/rust/library/core".into(),
        };
        process::output(self.rustc().args(["--print", "sysroot"]))
            .is_ok_and(|sysroot| Path::new(sysroot.trim()).join(core).exists())
    }

    fn rustc(&self) -> Command {
        match self {
            Self::Debian => Command::new(DEBIAN_RUSTC),
            Self::Nightly => {
                let mut command = Command::new("rustup");
                command.args(["run", "nightly", "rustc"]);
                command
            }
        }
    }
}

/// The linker built for this LLVM, by an earlier run or now. One on PATH may contain another LLVM, and would refuse the
/// compiler's output with an unhelpful message.
fn find_linker(workspace: &Workspace, llvm_major: &str, progress: &Progress) -> Result<PathBuf> {
    let root = workspace.target().join(format!("tools/bpf-linker-{LINKER_VERSION}-llvm-{llvm_major}"));
    let linker = root.join("bin/bpf-linker");
    if linker.exists() {
        return Ok(linker);
    }
    let llvm = find_llvm(llvm_major, progress)?;
    progress.say(format_args!("building bpf-linker {LINKER_VERSION} for LLVM {llvm_major}, once"));
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The linker's own work is small, most is done in LLVM. Without optimisation it builds in less than half the time.
    cargo
        .args(["install", "bpf-linker", "--debug", "--quiet", "--locked", "--version", LINKER_VERSION])
        .args(["--no-default-features", "--features", &format!("llvm-{llvm_major}")])
        .arg("--root")
        .arg(&root)
        .env("LLVM_PREFIX", &llvm)
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    process::run(&mut cargo).context("could not build bpf-linker")?;
    Ok(linker)
}

/// Where this LLVM with its headers is installed.
fn find_llvm(major: &str, progress: &Progress) -> Result<PathBuf> {
    if let Some(prefix) = installed_llvm(major) {
        return Ok(prefix);
    }
    host::install(&[&format!("llvm-{major}-dev")], progress)?;
    installed_llvm(major)
        .with_context(|| format!("llvm-{major}-dev is installed, but there is no llvm-config"))
}

fn installed_llvm(major: &str) -> Option<PathBuf> {
    [format!("llvm-config-{major}"), "llvm-config".into()]
        .iter()
        .filter_map(|name| host::find(name))
        .chain([PathBuf::from(format!("/usr/lib/llvm-{major}/bin/llvm-config"))])
        .filter_map(|config| process::output(Command::new(config).args(["--version", "--prefix"])).ok())
        .find_map(|answer| {
            let (version, prefix) = answer.split_once('\n')?;
            version.split('.').next().is_some_and(|found| found == major).then(|| prefix.trim().into())
        })
}

/// What follows the program's name in the first line of its `--version`.
fn number(version: &str) -> String {
    let line = version.lines().next().unwrap_or_default();
    line.split_once(' ').map_or(line, |(_, number)| number).to_owned()
}

/// A field of `rustc -vV`.
fn field<'a>(verbose: &'a str, name: &str) -> Option<&'a str> {
    verbose
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find_map(|(key, value)| (key == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_names_its_llvm() {
        let verbose = "rustc 1.96.0 (ac68faa20 2026-05-25)\nbinary: rustc\nLLVM version: 22.1.8\n";
        assert_eq!(field(verbose, "LLVM version"), Some("22.1.8"));
        assert_eq!(field(verbose, "release"), None);
        assert_eq!(number(verbose), "1.96.0 (ac68faa20 2026-05-25)");
    }
}
