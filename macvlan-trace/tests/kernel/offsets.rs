//! The offsets of the running kernel.

use std::{fs, path::Path};

use btf_rs::Btf;
use macvlan_trace::live::btf::{VMLINUX, of, of_this_kernel};

use crate::{
    btf::{Independent, differences},
    harness::{Parent, ip},
};

#[test]
fn an_independent_parser_finds_the_same_offsets() {
    let bytes = fs::read(VMLINUX).expect("the kernel shows its types");
    let resolved = of_this_kernel().expect("the kernel's types can be read");
    assert_eq!(resolved, of(bytes.clone()).expect("the kernel's types can be read"));
    let differences = differences(&resolved, &Independent::parse(&bytes));
    assert!(differences.is_empty(), "{differences}");
    println!("optional and missing here: {:?}", resolved.unknown);
}

#[test]
fn a_macvlans_mode_is_where_the_module_says() {
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    let module = Path::new("/sys/kernel/btf/macvlan");
    if !module.exists() {
        println!("skipped: this kernel shows no types of modules");
        return;
    }
    let kernel = Independent::parse(&fs::read(VMLINUX).expect("the kernel shows its types"));
    let module = Btf::from_split_file(module, &kernel.0).expect("btf-rs takes the module's types");
    let theirs = Independent(module).offsets("macvlan_dev", "mode");
    let ours = of_this_kernel().expect("the kernel's types can be read").macvlan_mode;
    assert_eq!(theirs, [ours]);
}
