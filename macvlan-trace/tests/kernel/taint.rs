//! Tracing leaves no mark on the kernel.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read as _},
    os::unix::fs::OpenOptionsExt as _,
};

use rustix::fs::OFlags;

use crate::harness::{Container, NamedNetns, Parent, Trace, in_guest, ip};

/// What shows that a kernel was not content with something.
#[derive(Debug, Default, PartialEq, Eq)]
struct Marks {
    /// /proc/sys/kernel/tainted; bit 9 says that it warned.
    tainted: u64,
    /// The warnings in its log.
    warnings: Vec<String>,
}

impl Marks {
    fn read() -> Self {
        let tainted = fs::read_to_string("/proc/sys/kernel/tainted").expect("it can be read");
        let warnings = log().into_iter().filter(|line| line.contains("WARNING")).collect();
        Self { tainted: tainted.trim().parse().expect("a number"), warnings }
    }
}

/// The lines of the kernel's log.
fn log() -> Vec<String> {
    let wait_for_none = OFlags::NONBLOCK.bits().cast_signed();
    let mut log =
        File::options().read(true).custom_flags(wait_for_none).open("/dev/kmsg").expect("we are root");
    let mut lines = Vec::new();
    // Each read is a line, of 8 KiB at most.
    let mut line = [0; 8192];
    loop {
        match log.read(&mut line) {
            Ok(len) => lines.push(String::from_utf8_lossy(&line[..len]).into_owned()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return lines,
            // It was written over in the meantime; the next one is there.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) => panic!("/dev/kmsg: {error}"),
        }
    }
}

#[test]
fn the_kernel_has_nothing_to_warn_of() {
    // It warns of a thing once. So in a guest all that was traced since it booted counts; what others did on a machine
    // does not.
    let before = if in_guest() { Marks::default() } else { Marks::read() };
    let parent = Parent::dummy("par0");
    let named = NamedNetns::add("mt-there");
    let mut trace = Trace::start(&["-e", "all"]);
    // Each of the maps is used: a link moves, goes up, goes down and is deleted, in namespaces that end.
    let mut container = Container::with_link("macvlan0", &parent, "read line; exit 3");
    ip("link add macvlan1 link par0 netns mt-there type macvlan");
    for change in ["up", "down"] {
        ip(&format!("-n mt-there link set macvlan1 {change}"));
    }
    container.go();
    container.wait();
    trace.wait_for_event("deleted", "macvlan0");
    drop(named);
    trace.wait_for_event("deleted", "macvlan1");
    // Its programs are gone before the kernel is asked.
    let stream = trace.end();
    for event in ["created", "moved", "up", "deleted"] {
        stream.one(event, "macvlan0");
    }
    for event in ["created", "up", "down", "deleted"] {
        stream.one(event, "macvlan1");
    }
    assert_eq!(Marks::read(), before, "marks on the kernel, and those before");
}
