//! Which devices matter, besides the traced links.

use aya_ebpf::{macros::map, maps::HashMap};
use macvlan_trace_common::{Counter, Kind};

use crate::{capture::netdev, counters::count};

/// Devices somewhere below a traced link, by address, until they are freed. A look at the devices above does not find
/// every link: there may be many on each, and many storeys. The value means nothing.
#[map]
static PARENTS: HashMap<u64, u32> = HashMap::with_max_entries(16_384, 0);

/// The kind of record for a change of the device; `None` for a device that does not matter.
#[inline(always)]
pub fn role(dev: u64) -> Option<Kind> {
    if netdev::is_traced(dev) {
        Some(Kind::Link)
    } else if is_parent(dev) {
        Some(Kind::Parent)
    } else {
        None
    }
}

/// Whether the device is below a traced link, as far as that was seen or shows.
#[inline(always)]
pub fn is_parent(dev: u64) -> bool {
    // SAFETY: only presence is asked.
    unsafe { PARENTS.get(dev) }.is_some() || netdev::carries_traced(dev)
}

/// From now on, the device matters.
#[inline(always)]
pub fn mark(dev: u64) {
    if PARENTS.insert(dev, 0, 0).is_err() {
        count(Counter::MapFull);
    }
}

/// The device is freed.
#[inline(always)]
pub fn forget(dev: u64) {
    // It need not be in there.
    let _ = PARENTS.remove(dev);
}
