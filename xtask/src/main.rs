//! `cargo xtask`: builds, tests and shows macvlan-trace.
fn main() {}
