//! Where this kernel keeps its fields, read from its own type information.
//!
//! eBPF programs written in Rust have no relocations, so user space looks the offsets up and hands them down. Parsing
//! all of vmlinux's BTF takes 120 ms in an emulated guest. One pass that notes where each type begins, and then looks
//! only into the wanted ones, takes 15.

mod fields;
mod parse;

pub use fields::{FIELDS, Field, Place, Resolved, resolve};
pub use parse::{Btf, BtfError};

/// Where the kernel shows its type information.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Resolves this kernel's offsets.
pub fn of_this_kernel() -> anyhow::Result<Resolved> {
    use anyhow::Context as _;
    let bytes = std::fs::read(VMLINUX).with_context(|| {
        format!("cannot read the kernel's type information {VMLINUX}: use a kernel built with CONFIG_DEBUG_INFO_BTF")
    })?;
    of(bytes).with_context(|| format!("{VMLINUX} is not the BTF that is expected"))
}

/// Resolves the offsets of the kernel that has this type information.
pub fn of(bytes: Vec<u8>) -> Result<Resolved, BtfError> {
    Ok(resolve(&Btf::parse(bytes, &fields::names())?))
}
