//! Chooses the eBPF object to embed: the committed one, or a fresh one that the tests name in
//! `MACVLAN_TRACE_BPF_OBJECT`. A user needs no eBPF toolchain.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=MACVLAN_TRACE_BPF_OBJECT");
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let object = env::var_os("MACVLAN_TRACE_BPF_OBJECT")
        .map_or_else(|| PathBuf::from(format!("bpf/macvlan-trace.{arch}.bpf.o")), PathBuf::from);
    println!("cargo::rerun-if-changed={}", object.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("macvlan-trace.bpf.o");
    if let Err(error) = fs::copy(&object, &out) {
        println!(
            "cargo::error=cannot embed the eBPF object {}: {error}; there is one for x86_64 in the tree, build \
             another with `cargo xtask ebpf --arch {arch}`",
            object.display()
        );
    }
}
