//! The guest's network cards: the cable of eth0 is pulled and put back from outside, and a second card plugged in and
//! pulled out. No process of the guest has anything to do with it.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
};

use crate::harness::{in_guest, ip, until};

/// Where the guest asks the host.
const PORT: &str = "/dev/virtio-ports/cards";

/// Pulls the cable of eth0 (`false`) or puts it back (`true`), and returns once that has happened outside; the guest's
/// kernel learns of it a moment later.
///
/// Only the guests of `cargo xtask` have such a cable: on a real machine, where `MACVLAN_TRACE_TEST_HOST` is set, a
/// test that needs it has to return before.
pub fn set_carrier(on: bool) {
    ask(if on { "carrier on" } else { "carrier off" });
}

/// A card that is plugged in while the guest runs; it is pulled out with the test.
pub struct Plugged;

impl Plugged {
    /// What the guest calls it.
    pub const NAME: &str = "eth1";

    /// Plugs it in.
    pub fn new() -> Self {
        ask("plug");
        until("the second card is there", Self::is_there);
        Self
    }

    fn is_there() -> bool {
        Path::new("/sys/class/net").join(Self::NAME).exists()
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        ask("unplug");
        until("the second card is gone", || !Self::is_there());
    }
}

/// Has the host do something, and returns once that is done.
fn ask(wish: &str) {
    let mut port = File::options().read(true).write(true).open(PORT).unwrap_or_else(|error| {
        panic!("nobody holds this machine's network cards: {PORT}: {error}; is it a guest of cargo xtask?")
    });
    writeln!(port, "{wish}").expect("the host listens");
    let mut answer = String::new();
    BufReader::new(port).read_line(&mut answer).expect("the host answers");
    assert_eq!(answer, "done\n", "the host could not do it");
}

#[test]
fn the_cable_can_be_pulled_and_put_back() {
    if !in_guest() {
        return; // Nobody holds a real machine's cable.
    }
    let carrier = || fs::read_to_string("/sys/class/net/eth0/carrier").expect("eth0 is up");
    ip("link set eth0 up");
    until("eth0 has a carrier", || carrier() == "1\n");
    set_carrier(false);
    until("it is lost", || carrier() == "0\n");
    set_carrier(true);
    until("it is back", || carrier() == "1\n");
    ip("link set eth0 down");
}
