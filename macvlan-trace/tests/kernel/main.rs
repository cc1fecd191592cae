//! Tests on a real kernel: the real binary, the real `ip`, as root. `cargo xtask test` runs them in guests; on a
//! machine that can be traced, `cargo xtask test --host` runs them natively.
//!
//! They run one at a time, because each asserts that nothing but its own events happened.

mod actors;
mod addresses;
#[path = "../btf/mod.rs"]
mod btf;
mod cards;
mod cascades;
mod command;
mod containers;
#[path = "../harness/mod.rs"]
mod harness;
mod helpers;
mod kinds;
mod lifecycle;
mod managers;
mod names;
mod namespaces;
mod offsets;
mod parents;
mod paths;
mod random;
mod record;
mod requests;
mod state;
mod stock;
mod storms;
mod taint;
mod verifier;
#[path = "../harness/whole_run.rs"]
mod whole_run;
