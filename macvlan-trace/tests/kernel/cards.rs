//! The cable of the guest's network card, eth0, which is pulled and put back from outside: no process of the guest has
//! anything to do with it.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
};

use crate::harness::{ip, until};

/// Where the guest asks the host.
const PORT: &str = "/dev/virtio-ports/carrier";

/// Pulls the cable of eth0 (`false`) or puts it back (`true`), and returns once that has happened outside; the guest's
/// kernel learns of it a moment later.
///
/// Only the guests of `cargo xtask` have such a cable: on a real machine, where `MACVLAN_TRACE_TEST_HOST` is set, a
/// test that needs it has to return before.
pub fn set_carrier(on: bool) {
    let mut port = File::options().read(true).write(true).open(PORT).unwrap_or_else(|error| {
        panic!("nobody holds this machine's network cable: {PORT}: {error}; is it a guest of cargo xtask?")
    });
    writeln!(port, "{}", if on { "on" } else { "off" }).expect("the host listens");
    let mut answer = String::new();
    BufReader::new(port).read_line(&mut answer).expect("the host answers");
    assert_eq!(answer, "done\n", "the host could not do it");
}

/// Whether this is a guest of `cargo xtask`: nothing in it is anybody's.
pub fn in_guest() -> bool {
    std::env::var_os("MACVLAN_TRACE_TEST_HOST").is_none()
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
