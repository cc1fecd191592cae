//! `do_exit(code)`: the last moment at which a task's memory, namespaces and cgroup can all be read.

use aya_ebpf::{macros::kprobe, programs::ProbeContext};
use aya_log_ebpf::debug;

use crate::{
    capture::{netns, task},
    kread::read,
    report::hand_over,
    request::Request,
    state::{attempts, moves, programs, watched},
};

/// What `do_coredump` adds to the code of a process whose core it has written.
const CORE_DUMPED: u32 = 0x80;

/// Reports the end of a process that lives in a watched network namespace, or of a thread that lives there while its
/// process lives elsewhere; and that of a process on which others depend, wherever it lives. For any task, forgets what a
/// missed return has left behind: the next task with its id has nothing to do with that.
#[kprobe]
pub fn do_exit(ctx: ProbeContext) -> u32 {
    moves::forget();
    attempts::forget();
    let current = task::current();
    let net = netns::of_task(current);
    let elsewhere = !watched::is_watched(net);
    if elsewhere && !programs::matters(&task::name(current)) {
        return 0;
    }
    let Some(code) = ctx.arg::<u32>(0) else { return 0 };
    // Only the thread that dumped the core knows that; the others had to end first.
    let only_thread = code & CORE_DUMPED == 0 && !task::ends_process(current);
    if only_thread && (elsewhere || net == netns::of_task(read!(current, task_leader))) {
        return 0;
    }
    debug!(&ctx, "exit: code {:x}", code);
    hand_over(&ctx, Request::Exit { net, code, only_thread, elsewhere });
    0
}
