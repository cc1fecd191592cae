//! `switch_task_namespaces(task, new)`: `setns`, `unshare` and the end of a task.

use aya_ebpf::{macros::kprobe, programs::ProbeContext};
use aya_log_ebpf::debug;

use crate::{
    capture::{netns, task},
    kread::read,
    report::hand_over,
    request::Request,
    state::{own, watched},
};

/// Reports a task that enters or leaves a watched network namespace, and notes the one that the tracer itself enters.
#[kprobe]
pub fn switch_namespaces(ctx: ProbeContext) -> u32 {
    let (Some(task), Some(new)) = (ctx.arg::<u64>(0), ctx.arg::<u64>(1)) else { return 0 };
    // A task that ends has no new namespaces; a task that is being made is not current.
    if new == 0 || task != task::current() {
        return 0;
    }
    let from = netns::of_task(task);
    let to: u64 = read!(new, nsproxy_net);
    if task::is_own() {
        own::enter(to);
        return 0;
    }
    if from == to || !(watched::is_watched(from) || watched::is_watched(to)) {
        return 0;
    }
    debug!(&ctx, "netns {:x} to {:x}", from, to);
    hand_over(&ctx, Request::NetnsMove { from, to });
    0
}
