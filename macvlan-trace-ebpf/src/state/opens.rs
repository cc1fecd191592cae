//! Which link the current task is setting up.

use aya_ebpf::{bindings::BPF_F_NO_PREALLOC, helpers::bpf_get_current_pid_tgid, macros::map, maps::HashMap};
use macvlan_trace_common::Counter;

use crate::{capture::netdev, counters::count};

/// Links that are being set up, by the thread that does.
#[map]
static OPENS: HashMap<u64, Open> = HashMap::with_max_entries(1_024, BPF_F_NO_PREALLOC);

/// A link that is being set up.
#[derive(Clone, Copy)]
#[repr(C)]
struct Open {
    /// The link's address.
    dev: u64,
    /// How many other devices are being set up by that, one by another: their returns come first.
    inner: u64,
}

/// The current task begins to set a device up.
#[inline(always)]
pub fn begin(dev: u64) {
    let task = bpf_get_current_pid_tgid();
    if let Some(open) = OPENS.get_ptr_mut(task) {
        // SAFETY: the value is this task's own.
        let open = unsafe { &mut *open };
        // A device is not set up within its own setting up: then the first return was missed.
        if open.dev != dev {
            open.inner += 1;
            return;
        }
    }
    if netdev::is_traced(dev) && OPENS.insert(task, Open { dev, inner: 0 }, 0).is_err() {
        count(Counter::MapFull);
    }
}

/// The current task has set a device up, or failed to; the device, if it is a traced link.
#[inline(always)]
pub fn end() -> Option<u64> {
    let task = bpf_get_current_pid_tgid();
    let open = OPENS.get_ptr_mut(task)?;
    // SAFETY: the value is this task's own.
    let Open { dev, inner } = unsafe { *open };
    if inner > 0 {
        // SAFETY: as above.
        unsafe { (*open).inner = inner - 1 };
        return None;
    }
    // It is there.
    let _ = OPENS.remove(task);
    Some(dev)
}
