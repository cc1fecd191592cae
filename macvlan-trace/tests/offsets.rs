//! The offsets that the program reads from the BTF of real kernels: of this machine's, and of any that lie in the folder
//! that MACVLAN_TRACE_BTF_DIR names, or in target/vm/btf.
//!
//! `cargo xtask test` puts those of its kernels there, and
//! `cargo xtask vm --kernel 6.16 -- cat /sys/kernel/btf/vmlinux > target/vm/btf/6.16` gets another one. The kernel tests
//! make the same comparison on every kernel that they run on.

mod btf;

use std::{
    fs,
    path::{Path, PathBuf},
};

use btf::{Independent, differences};
use macvlan_trace::live::btf::{VMLINUX, of};

/// The files with BTF that are there.
fn kernels() -> Vec<PathBuf> {
    let given = std::env::var_os("MACVLAN_TRACE_BTF_DIR").map(PathBuf::from);
    let folder = given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/vm/btf"));
    let in_folder = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let all = [VMLINUX.into()].into_iter().chain(in_folder.map(|entry| entry.path()));
    all.filter(|path: &PathBuf| path.is_file()).collect()
}

#[test]
fn an_independent_parser_finds_the_same_offsets_in_every_kernel_that_is_here() {
    let kernels = kernels();
    if kernels.is_empty() {
        println!("skipped: there is no {VMLINUX}, and no file in MACVLAN_TRACE_BTF_DIR or target/vm/btf");
    }
    for kernel in kernels {
        let bytes = fs::read(&kernel).unwrap_or_else(|error| panic!("{}: {error}", kernel.display()));
        let independent = Independent::parse(&bytes);
        let resolved = of(bytes).unwrap_or_else(|error| panic!("{}: {error}", kernel.display()));
        let differences = differences(&resolved, &independent);
        assert!(differences.is_empty(), "{}:\n{differences}", kernel.display());
        println!("{}: the same; optional and missing: {:?}", kernel.display(), resolved.unknown);
    }
}
