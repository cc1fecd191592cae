//! `oom_kill_process(oc, message)`: the kernel has run out of memory, and has chosen whom to kill for it. The signal
//! that follows does not say that, and the tracepoint `oom:mark_victim` does not say whose limit was reached.

use aya_ebpf::{macros::kprobe, programs::ProbeContext};
use aya_log_ebpf::debug;

use crate::{capture::netns, kread::read, report::hand_over, request::Request, state::watched};

/// `oom_control.order` if nobody needed memory: somebody asked for a kill by SysRq.
const SYSRQ: u32 = u32::MAX;

/// Reports a process of a watched network namespace that is chosen.
#[kprobe]
pub fn oom_kill(ctx: ProbeContext) -> u32 {
    let Some(oc) = ctx.arg::<u64>(0) else { return 0 };
    let target: u64 = read!(oc, oom_chosen);
    let net = netns::of_task(target);
    if !watched::is_watched(net) || read!(oc, oom_order as u32) == SYSRQ {
        return 0;
    }
    let memcg: u64 = read!(oc, oom_memcg);
    debug!(&ctx, "out of memory: cgroup {:x}", memcg);
    hand_over(&ctx, Request::Oom { net, target, memcg });
    0
}
