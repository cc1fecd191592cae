//! What the current task asks of which link, until it is known how that went.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, macros::map, maps::HashMap};
use macvlan_trace_common::{Counter, LinkChange};

use crate::{capture::netdev, counters::count};

/// Requests about links, by the thread that makes them.
#[map]
static ATTEMPTS: HashMap<u64, Attempt> = HashMap::with_max_entries(1_024, 0);

/// A request about a link of a traced kind.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Attempt {
    /// The link.
    pub dev: u64,
    /// What it is if it fails.
    pub failure: LinkChange,
    /// Zero.
    pub reserved: [u16; 3],
    /// What is wanted.
    pub wanted: Wanted,
}

/// What a request asks for, by where that is described; 0 for what it does not have.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Wanted {
    /// The `struct sockaddr` with a hardware address.
    pub address: u64,
    /// A name.
    pub name: u64,
    /// A network namespace.
    pub netns: u64,
    /// Where the kernel leaves a message if it refuses.
    pub extack: u64,
}

impl Wanted {
    /// Nothing in particular.
    pub const NONE: Self = Self { address: 0, name: 0, netns: 0, extack: 0 };
}

/// The current task begins to ask something of a device.
///
/// Doing these things to a link of a traced kind does them to no other one but its parent, which gets the hardware address
/// of a link in passthru mode (`macvlan_set_mac_address`), and whose failure is the link's. So if the task already has
/// another entry, a missed return probe left it behind.
#[inline(always)]
pub fn begin(dev: u64, failure: LinkChange, wanted: Wanted) {
    if netdev::is_traced(dev) {
        let attempt = Attempt { dev, failure, reserved: [0; 3], wanted };
        if ATTEMPTS.insert(bpf_get_current_pid_tgid(), attempt, 0).is_err() {
            count(Counter::MapFull);
        }
    } else if current().is_some_and(|attempt| netdev::lower(attempt.dev) != dev) {
        forget();
    }
}

/// The current task has done this, or failed to; what it asked, if it is about a traced link.
#[inline(always)]
pub fn end(failure: LinkChange) -> Option<Attempt> {
    let attempt = current().filter(|attempt| attempt.failure as u16 == failure as u16);
    forget();
    attempt
}

#[inline(always)]
fn current() -> Option<Attempt> {
    // SAFETY: the value is copied at once.
    unsafe { ATTEMPTS.get(bpf_get_current_pid_tgid()) }.copied()
}

/// The current task asks for nothing.
#[inline(always)]
pub fn forget() {
    // It need not be in there.
    let _ = ATTEMPTS.remove(bpf_get_current_pid_tgid());
}
