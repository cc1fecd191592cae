//! The table of hooks. A hook is one row here and one file in macvlan-trace-ebpf/src/probes.

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// At the entry of a kernel function.
    Kprobe,
    /// At its return.
    Kretprobe,
    /// At a raw tracepoint.
    RawTracepoint,
}

/// One hook.
#[derive(Clone, Copy, Debug)]
pub struct Hook {
    /// Name of the eBPF program.
    pub program: &'static str,
    /// How it is attached.
    pub attach: Attach,
    /// Where: the first that this kernel has. Presence decides, never a version.
    pub symbols: &'static [&'static str],
    /// The wire's number of this hook, if its records say which probe they come from.
    pub probe: Option<Probe>,
    /// Whether nothing works without it.
    pub required: bool,
    /// What is lost without it, as half a sentence.
    pub without: &'static str,
}

use Attach::{Kprobe, Kretprobe, RawTracepoint};
use macvlan_trace_common::Probe;

/// What moves a link to another network namespace, the worker before its wrapper: `dev_change_net_namespace` is the
/// worker up to 5.12 and a wrapper afterwards.
const CHANGE_NETNS: &[&str] =
    &["__dev_change_net_namespace", "netif_change_net_namespace", "dev_change_net_namespace"];

/// The hooks, in the order in which they are attached: what explains a change comes before what reports it.
///
/// `unregister_netdevice()` is a static inline; `unregister_netdevice_queue` is its body. From 6.15 on `do_setlink`
/// calls `netif_change_flags`, and `dev_change_flags` is a wrapper around it that only the ioctl and sysfs pass.
pub const HOOKS: &[Hook] = &[
    Hook {
        program: "switch_namespaces",
        attach: Kprobe,
        symbols: &["switch_task_namespaces"],
        probe: None,
        required: false,
        without: "who entered or left a network namespace, and with it the processes that were there before the tracer",
    },
    Hook {
        program: "do_exit",
        attach: Kprobe,
        symbols: &["do_exit"],
        probe: None,
        required: false,
        without: "which process of a network namespace ended, and how",
    },
    Hook {
        program: "signal_generate",
        attach: RawTracepoint,
        symbols: &["signal_generate"],
        probe: None,
        required: false,
        without: "who sent the signal that ended a container's main process",
    },
    Hook {
        program: "oom_kill",
        attach: Kprobe,
        symbols: &["oom_kill_process"],
        probe: None,
        required: false,
        without: "that a process was killed for want of memory, and whose limit was reached",
    },
    Hook {
        program: "put_net",
        attach: Kprobe,
        symbols: &["__put_net"],
        probe: None,
        required: false,
        without: "which process dropped the last reference to a network namespace",
    },
    Hook {
        program: "netns_put",
        attach: Kprobe,
        symbols: &["netns_put"],
        probe: None,
        required: false,
        without: "who unmounted a network namespace or closed the last descriptor of it",
    },
    Hook {
        program: "change_netns",
        attach: Kprobe,
        symbols: CHANGE_NETNS,
        probe: Some(Probe::ChangeNetns),
        required: true,
        without: "moves to another network namespace, which would look like downs",
    },
    Hook {
        program: "change_netns_return",
        attach: Kretprobe,
        symbols: CHANGE_NETNS,
        probe: None,
        required: true,
        without: "moves to another network namespace, which would look like downs",
    },
    Hook {
        program: "unregister",
        attach: Kprobe,
        symbols: &["unregister_netdevice_queue"],
        probe: Some(Probe::Unregister),
        required: true,
        without: "who deleted a link",
    },
    Hook {
        program: "change_flags",
        attach: Kprobe,
        symbols: &["netif_change_flags", "dev_change_flags"],
        probe: Some(Probe::ChangeFlags),
        required: true,
        without: "who asked for a link to be set down",
    },
    Hook {
        program: "close_many",
        attach: Kprobe,
        symbols: &["__dev_close_many"],
        probe: Some(Probe::Close),
        required: false,
        without: "links that the kernel closes without a request: they come out as unattributed",
    },
    Hook {
        program: "open",
        attach: Kprobe,
        symbols: &["__dev_open"],
        probe: Some(Probe::Open),
        required: false,
        without: "links that could not be set up",
    },
    Hook {
        program: "open_return",
        attach: Kretprobe,
        symbols: &["__dev_open"],
        probe: None,
        required: false,
        without: "links that could not be set up",
    },
    Hook {
        program: "inet_address",
        attach: Kprobe,
        symbols: &["fib_inetaddr_event"],
        probe: Some(Probe::Inet),
        required: false,
        without: "IPv4 addresses that a link loses while it stays up",
    },
    Hook {
        program: "inet6_address",
        attach: Kprobe,
        symbols: &["inet6addr_notifier_call_chain"],
        probe: Some(Probe::Inet6),
        required: false,
        without: "IPv6 addresses that a link loses while it stays up",
    },
    Hook {
        program: "carrier_off",
        attach: Kprobe,
        symbols: &["netif_carrier_off"],
        probe: Some(Probe::CarrierOff),
        required: false,
        without: "links that lose their carrier",
    },
    Hook {
        program: "carrier_on",
        attach: Kprobe,
        symbols: &["netif_carrier_on"],
        probe: Some(Probe::CarrierOn),
        required: false,
        without: "links that have their carrier back",
    },
    Hook {
        program: "free_netdev",
        attach: Kprobe,
        symbols: &["free_netdev"],
        probe: None,
        required: false,
        without: "deleted links that something still refers to",
    },
    Hook {
        program: "rtnetlink_event",
        attach: Kprobe,
        symbols: &["rtnetlink_event"],
        probe: Some(Probe::Notifier),
        required: true,
        without: "links created, up and renamed, and the proof that nothing was missed",
    },
];
