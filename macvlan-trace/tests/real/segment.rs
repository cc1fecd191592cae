//! A network segment: `up0` here, `srv0` with 192.168.2.1 in the network namespace `server`, where a DHCP server can be
//! put.

use std::process::{Child, Command, Stdio};

use crate::harness::{NamedNetns, Parent, ip};

/// The segment; it goes with the test.
pub struct Segment {
    // The veth pair goes before the namespace of its other end.
    _near: Parent,
    _far: NamedNetns,
}

impl Segment {
    /// Makes it.
    pub fn new() -> Self {
        let far = NamedNetns::add("server");
        ip("link add up0 type veth peer name srv0 netns server");
        ip("link set up0 up");
        ip("-n server link set srv0 up");
        ip("-n server addr add 192.168.2.1/24 dev srv0");
        Self { _near: Parent("up0"), _far: far }
    }

    /// Starts a server at the other end.
    pub fn serve(command: &str) -> Daemon {
        Daemon::start(&format!("ip netns exec server {command}"))
    }
}

/// A daemon that stays in the foreground, and goes with the test.
pub struct Daemon(Child);

impl Daemon {
    /// Starts it.
    pub fn start(command: &str) -> Self {
        let mut words = command.split_whitespace();
        let mut daemon = Command::new(words.next().expect("a program"));
        daemon.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(daemon.spawn().unwrap_or_else(|error| panic!("{command}: {error}")))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
