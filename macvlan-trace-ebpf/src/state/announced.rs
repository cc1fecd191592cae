//! Which changes of a device were announced and have not taken effect yet.

use aya_ebpf::{macros::map, maps::HashMap};
use macvlan_trace_common::Counter;

use crate::counters::count;

/// It goes down.
pub const DOWN: u32 = 1;
/// It is deleted.
pub const DELETED: u32 = 2;

/// Devices with a change that was reported and whose effect has not been seen yet, by address: [`DOWN`], [`DELETED`].
#[map]
static PENDING: HashMap<u64, u32> = HashMap::with_max_entries(65_536, 0);

/// Notes a change before it is reported. Returns whether it was not announced already.
#[inline(always)]
pub fn announce(dev: u64, change: u32) -> bool {
    let before = pending(dev);
    if before & change != 0 {
        return false;
    }
    if PENDING.insert(dev, before | change, 0).is_err() {
        count(Counter::MapFull);
    }
    true
}

/// The announced changes of the device.
#[inline(always)]
fn pending(dev: u64) -> u32 {
    // SAFETY: the value is copied at once.
    unsafe { PENDING.get(dev) }.copied().unwrap_or(0)
}

/// Whether a change is announced.
#[inline(always)]
pub fn is_announced(dev: u64, change: u32) -> bool {
    pending(dev) & change != 0
}

/// The effect of a change has come. Returns whether the change was announced.
#[inline(always)]
pub fn settle(dev: u64, change: u32) -> bool {
    let before = pending(dev);
    if change == DELETED || before == change {
        // It need not be in there.
        let _ = PENDING.remove(dev);
    } else if before & change != 0 {
        // The entry exists, so there is room.
        let _ = PENDING.insert(dev, before & !change, 0);
    }
    before & change != 0
}

/// The device is new, or came up again: if an announcement is left, the notifier missed its effect.
#[inline(always)]
pub fn forget(dev: u64, change: u32) {
    settle(dev, change);
}
