//! Tests with the software that people run: the real binary watches what Docker, Podman, the CNI plugins, NetworkManager
//! and their like do to a link. `cargo xtask test` runs them in guests that have all of it.
//!
//! They run one at a time, and leave no link behind. What is in the modules `nspawn` and `systemd` needs systemd as the
//! first process.

mod article;
mod cni;
mod containerd;
mod dhcp;
mod docker;
mod docker_links;
mod dockerd;
#[path = "../harness/mod.rs"]
mod harness;
mod ifupdown;
mod lxc;
mod nspawn;
mod podman;
mod segment;
mod systemd;
mod terminal;
#[path = "../harness/whole_run.rs"]
mod whole_run;
