//! The command line of macvlan-trace.
fn main() {}
