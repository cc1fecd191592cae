//! Raw tracepoint `signal:signal_generate(sig, info, task, group, result)`: who signals whom, in the sender's context.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use aya_log_ebpf::debug;
use macvlan_trace_common::{Kind, SignalRecord, signal};

use crate::{
    capture::{
        netlink::{keep, kept},
        netns, task,
    },
    kread::{field_or, offset, read},
    lane::{TRACEPOINT, occupy},
    request::Signalled,
    state::{programs, watched},
};

/// `TRACE_SIGNAL_DELIVERED` and `TRACE_SIGNAL_IGNORED`, include/trace/events/signal.h.
const DELIVERED: i32 = 0;
const IGNORED: i32 = 1;
/// `SEND_SIG_NOINFO` and `SEND_SIG_PRIV`, include/linux/sched/signal.h: values that stand for an info.
const SEND_SIG_NOINFO: u64 = 0;
const SEND_SIG_PRIV: u64 = 1;
/// `si_code` of what a process sends: `SI_USER`, `SI_QUEUE`, `SI_TKILL`.
const SENT_BY_PROCESS: [i32; 3] = [0, -1, -6];
/// Signals of the kernel itself that end a process from outside: `SIGHUP`, `SIGINT`, `SIGQUIT` from a terminal,
/// `SIGKILL` from the OOM killer or a dying pid namespace.
const FROM_KERNEL: [i32; 4] = [1, 2, 3, 9];

/// Reports a signal to a process of a watched network namespace, from another process or from the kernel; from another
/// process also one that is ignored. The init of a pid namespace ignores what it has no handler for (`sig_task_ignored`),
/// and runtimes ask before they kill, with whatever signal the image names.
///
/// Of a program on which others depend, such as a container's runtime, reports what ends it, wherever it runs.
#[raw_tracepoint]
pub fn signal_generate(ctx: RawTracePointContext) -> i32 {
    let target: u64 = ctx.arg(2);
    let net = netns::of_task(target);
    let signal: i32 = ctx.arg(0);
    let elsewhere = !watched::is_watched(net);
    if elsewhere && !(signal::ends(signal as u32) && programs::matters(&task::name(target))) {
        return 0;
    }
    let result: i32 = ctx.arg(4);
    let ignored = result == IGNORED;
    if result != DELIVERED && !ignored {
        return 0;
    }
    let info: u64 = ctx.arg(1);
    let from_process = match info {
        SEND_SIG_NOINFO => true,
        SEND_SIG_PRIV => false,
        _ => {
            let code: i32 = field_or(info, offset!(siginfo_code), 1);
            code == SENT_BY_PROCESS[0] || code == SENT_BY_PROCESS[1] || code == SENT_BY_PROCESS[2]
        }
    };
    let sender = task::current();
    let to_itself = read!(sender, task_tgid as u32) == read!(target, task_tgid as u32);
    let matters = if from_process {
        !to_itself
    } else {
        !ignored
            && (signal == FROM_KERNEL[0]
                || signal == FROM_KERNEL[1]
                || signal == FROM_KERNEL[2]
                || signal == FROM_KERNEL[3])
    };
    if !matters {
        return 0;
    }
    debug!(&ctx, "signal {}", signal);
    let Some(lane) = occupy(TRACEPOINT) else { return 0 };
    // In registers, each combination of these would have the verifier follow all that captures the task anew.
    keep(
        &mut lane.signal,
        Signalled {
            number: signal.unsigned_abs(),
            from_kernel: u16::from(!from_process),
            ignored: u8::from(ignored),
            elsewhere: u8::from(elsewhere),
        },
    );
    lane.send_task(TRACEPOINT);
    let signal = kept(&lane.signal);
    let record = lane.buffer.record::<SignalRecord>();
    netns::fill(net, &mut record.netns);
    task::fill_ref(target, &mut record.target);
    record.signal = signal.number;
    record.from_kernel = signal.from_kernel;
    record.ignored = signal.ignored;
    record.elsewhere = signal.elsewhere;
    lane.send(Kind::Signal, TRACEPOINT, sender, size_of::<SignalRecord>());
    lane.release();
    0
}
