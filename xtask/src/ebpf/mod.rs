//! `cargo xtask ebpf`: the eBPF object that is committed beside its loader, so that whoever builds macvlan-trace
//! needs a stable compiler and nothing else.

#[cfg(test)]
mod layers;
mod stamp;
mod toolchain;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

pub use self::stamp::PACKAGE;
use self::stamp::{Stamp, hash_object, hash_sources};
use self::toolchain::Toolchain;
use crate::cargo;
use crate::progress::Progress;
use crate::workspace::Workspace;

/// The linker makes BTF out of debug information.
const FLAGS: [&str; 2] = ["-Cdebuginfo=2", "-Clink-arg=--btf"];

/// Build the eBPF object that is committed beside its loader
#[derive(Args)]
pub struct Options {
    /// Only compare: fail when the committed object was built from other sources
    #[arg(long)]
    check: bool,
    /// The machine that the object is for: probes read arguments from its registers
    #[arg(long, value_enum, default_value_t = Arch::X86_64)]
    arch: Arch,
}

/// A machine that macvlan-trace runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Arch {
    /// Intel's and AMD's.
    #[value(name = "x86_64")]
    X86_64,
    /// Arm's.
    #[value(name = "aarch64")]
    Aarch64,
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        })
    }
}

/// Runs `cargo xtask ebpf`.
pub fn main(options: &Options, workspace: &Workspace) -> Result<()> {
    let Options { check: only_check, arch } = *options;
    if only_check {
        check(workspace, arch)?;
        println!("the committed eBPF object for {arch} is that of these sources");
        return Ok(());
    }
    let progress = Progress::new(0);
    let committed = committed_object(workspace, arch);
    let built = build(workspace, arch, &progress)?;
    let directory = committed.parent().context("the object lies in a directory")?;
    fs::create_dir_all(directory).with_context(|| format!("could not make {}", directory.display()))?;
    fs::copy(&built.object, &committed)
        .with_context(|| format!("could not write {}", committed.display()))?;
    let stamp_path = stamp_path(&committed);
    fs::write(&stamp_path, built.stamp.to_string())
        .with_context(|| format!("could not write {}", stamp_path.display()))?;
    println!("wrote {} ({} bytes) and its stamp", committed.display(), fs::metadata(&committed)?.len());
    Ok(())
}

/// Fails if the committed object was not built from these sources. Needs no compiler.
pub fn check(workspace: &Workspace, arch: Arch) -> Result<()> {
    let object = committed_object(workspace, arch);
    let stamp = Stamp::read(&stamp_path(&object))?;
    let remedy = format!("build it again with `cargo xtask ebpf --arch {arch}` and commit it");
    if stamp.sources != hash_sources(workspace, &flags(arch).each_ref().map(String::as_str))? {
        bail!("the committed eBPF object for {arch} was built from other sources: {remedy}");
    }
    if stamp.object != hash_object(&object)? {
        bail!("the committed eBPF object for {arch} is not the one that its stamp describes: {remedy}");
    }
    Ok(())
}

/// A freshly built object.
pub struct Built {
    /// Its path, below target/.
    pub object: PathBuf,
    /// How many times the compiler warned.
    pub warnings: usize,
    /// Where it comes from.
    stamp: Stamp,
}

/// Builds the object from its sources.
pub fn build(workspace: &Workspace, arch: Arch, progress: &Progress) -> Result<Built> {
    let toolchain = Toolchain::find(workspace, progress)?;
    let directory = workspace.target().join("ebpf");
    // Sources are hashed before the build: a change during it makes the object stale, not unnoticed.
    let flags = flags(arch);
    let sources = hash_sources(workspace, &flags.each_ref().map(String::as_str))?;
    let all_flags: Vec<String> = flags.into_iter().chain(path_flags(workspace)).collect();
    let mut command = toolchain.cargo_build(&all_flags);
    command
        .args(["--quiet", "--package", PACKAGE, "--target-dir"])
        .arg(&directory)
        .current_dir(workspace.root());
    let built = cargo::build(command)?;
    let object = directory.join(format!("macvlan-trace.{arch}.bpf.o"));
    toolchain.strip(built.program(PACKAGE)?, &object)?;
    let stamp = Stamp {
        sources,
        object: hash_object(&object)?,
        tools: BTreeMap::from([
            ("bpf-linker".into(), toolchain.linker_version),
            ("llvm".into(), toolchain.llvm_version),
            ("rustc".into(), toolchain.rustc_version),
        ]),
    };
    Ok(Built { object, warnings: built.warnings, stamp })
}

/// The flags that affect the object's code.
fn flags(arch: Arch) -> [String; 3] {
    let [debug, btf] = FLAGS.map(String::from);
    [debug, btf, format!("--cfg=bpf_target_arch=\"{arch}\"")]
}

/// Removes this machine's directories from line information, so that everybody builds the same object.
fn path_flags(workspace: &Workspace) -> Vec<String> {
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let mut flags = vec![format!("--remap-path-prefix={}=", workspace.root().display())];
    flags.extend(cargo_home.map(|home| format!("--remap-path-prefix={}=/cargo", home.display())));
    flags
}

fn committed_object(workspace: &Workspace, arch: Arch) -> PathBuf {
    workspace.root().join(format!("macvlan-trace/bpf/macvlan-trace.{arch}.bpf.o"))
}

fn stamp_path(object: &Path) -> PathBuf {
    object.with_extension("o.stamp")
}
