//! The table of hooks. A hook is one row here and one file in macvlan-trace-ebpf/src/probes.

use std::fmt::Display;

use macvlan_trace_common::Probe;

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
    /// Whether it is required.
    pub required: bool,
    /// What macvlan-trace does not see without it: the end of a sentence.
    pub unseen: &'static str,
}

impl Hook {
    /// Why it is not attached if this kernel has none of its symbols, and what to do if it is required.
    #[must_use]
    pub fn absence(&self) -> String {
        let absent = match self.symbols {
            [symbol] => format!("this kernel has no {symbol}"),
            symbols => format!("this kernel has neither {}", symbols.join(" nor ")),
        };
        if self.required {
            format!(
                "{absent}, and without that macvlan-trace cannot see {}: use a distribution's kernel, or report this \
                 one",
                self.unseen
            )
        } else {
            absent
        }
    }

    /// The sentence for a run without it.
    #[must_use]
    pub fn degradation(&self, why: impl Display) -> String {
        format!("{why}, so macvlan-trace does not see {}", self.unseen)
    }
}

use Attach::{Kprobe, Kretprobe, RawTracepoint};

/// The function that moves a link to another network namespace, before its wrapper: `dev_change_net_namespace` does the
/// work up to 5.12 and is a wrapper afterwards.
const CHANGE_NETNS: &[&str] =
    &["__dev_change_net_namespace", "netif_change_net_namespace", "dev_change_net_namespace"];

/// The functions that do the work; from 6.15 on, those of the old names are wrappers.
const SET_MAC: &[&str] = &["netif_set_mac_address", "dev_set_mac_address"];
const CHANGE_NAME: &[&str] = &["netif_change_name", "dev_change_name"];

/// The hooks, in the order in which they are attached: hooks that explain a change come before those that report it.
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
        unseen: "who enters or leaves a network namespace, and which events concern links and processes that are older than the \
                 tracer",
    },
    Hook {
        program: "do_exit",
        attach: Kprobe,
        symbols: &["do_exit"],
        probe: None,
        required: false,
        unseen: "which process of a network namespace ends, and how",
    },
    Hook {
        program: "signal_generate",
        attach: RawTracepoint,
        symbols: &["signal_generate"],
        probe: None,
        required: false,
        unseen: "who sends the signal that ends a container's main process",
    },
    Hook {
        program: "oom_kill",
        attach: Kprobe,
        symbols: &["oom_kill_process"],
        probe: None,
        required: false,
        unseen: "which process is killed because memory ran out, and whose limit was reached",
    },
    Hook {
        program: "put_net",
        attach: Kprobe,
        symbols: &["__put_net"],
        probe: None,
        required: false,
        unseen: "which process drops the last reference to a network namespace",
    },
    Hook {
        program: "netns_put",
        attach: Kprobe,
        symbols: &["netns_put"],
        probe: None,
        required: false,
        unseen: "who unmounts a network namespace or closes its last descriptor",
    },
    Hook {
        program: "change_netns",
        attach: Kprobe,
        symbols: CHANGE_NETNS,
        probe: Some(Probe::ChangeNetns),
        required: true,
        unseen: "moves to another network namespace, which would look like downs",
    },
    Hook {
        program: "change_netns_return",
        attach: Kretprobe,
        symbols: CHANGE_NETNS,
        probe: None,
        required: true,
        unseen: "moves to another network namespace, which would look like downs",
    },
    Hook {
        program: "unregister",
        attach: Kprobe,
        symbols: &["unregister_netdevice_queue"],
        probe: Some(Probe::Unregister),
        required: true,
        unseen: "who deletes a link",
    },
    Hook {
        program: "change_flags",
        attach: Kprobe,
        symbols: &["netif_change_flags", "dev_change_flags"],
        probe: Some(Probe::ChangeFlags),
        required: true,
        unseen: "who sets a link down",
    },
    Hook {
        program: "close_many",
        attach: Kprobe,
        symbols: &["__dev_close_many"],
        probe: Some(Probe::Close),
        required: false,
        unseen: "why the kernel closes a link by itself, which comes out as unattributed",
    },
    Hook {
        program: "open",
        attach: Kprobe,
        symbols: &["__dev_open"],
        probe: Some(Probe::Open),
        required: false,
        unseen: "requests to set a link up that fail",
    },
    Hook {
        program: "open_return",
        attach: Kretprobe,
        symbols: &["__dev_open"],
        probe: None,
        required: false,
        unseen: "requests to set a link up that fail",
    },
    Hook {
        program: "set_mac",
        attach: Kprobe,
        symbols: SET_MAC,
        probe: Some(Probe::SetMac),
        required: false,
        unseen: "requests for another hardware address that fail",
    },
    Hook {
        program: "set_mac_return",
        attach: Kretprobe,
        symbols: SET_MAC,
        probe: None,
        required: false,
        unseen: "requests for another hardware address that fail",
    },
    Hook {
        program: "change_name",
        attach: Kprobe,
        symbols: CHANGE_NAME,
        probe: Some(Probe::ChangeName),
        required: false,
        unseen: "requests to rename a link that fail",
    },
    Hook {
        program: "change_name_return",
        attach: Kretprobe,
        symbols: CHANGE_NAME,
        probe: None,
        required: false,
        unseen: "requests to rename a link that fail",
    },
    Hook {
        program: "newlink",
        attach: Kprobe,
        symbols: &["rtnl_newlink"],
        probe: Some(Probe::NewLink),
        required: false,
        unseen: "requests to make a link that fail",
    },
    Hook {
        program: "newlink_return",
        attach: Kretprobe,
        symbols: &["rtnl_newlink"],
        probe: None,
        required: false,
        unseen: "requests to make a link that fail",
    },
    Hook {
        program: "inet_address",
        attach: Kprobe,
        symbols: &["fib_inetaddr_event"],
        probe: Some(Probe::Inet),
        required: false,
        unseen: "IPv4 addresses that a link loses while it stays up, and who had set them",
    },
    Hook {
        program: "inet6_address",
        attach: Kprobe,
        symbols: &["inet6addr_notifier_call_chain"],
        probe: Some(Probe::Inet6),
        required: false,
        unseen: "IPv6 addresses that a link loses while it stays up, and who had set them",
    },
    Hook {
        program: "carrier_off",
        attach: Kprobe,
        symbols: &["netif_carrier_off"],
        probe: Some(Probe::CarrierOff),
        required: false,
        unseen: "links that lose their carrier",
    },
    Hook {
        program: "carrier_on",
        attach: Kprobe,
        symbols: &["netif_carrier_on"],
        probe: Some(Probe::CarrierOn),
        required: false,
        unseen: "links that get their carrier back",
    },
    Hook {
        program: "free_netdev",
        attach: Kprobe,
        symbols: &["free_netdev"],
        probe: None,
        required: false,
        unseen: "deleted links that something still refers to, and which devices are no longer below a link",
    },
    Hook {
        program: "rtnetlink_event",
        attach: Kprobe,
        symbols: &["rtnetlink_event"],
        probe: Some(Probe::Notifier),
        required: true,
        unseen: "links that are created, set up or renamed, and whether anything was missed",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(program: &str) -> &'static Hook {
        HOOKS.iter().find(|hook| hook.program == program).unwrap()
    }

    #[test]
    fn what_is_missing_and_what_is_not_seen_are_one_sentence() {
        let close = hook("close_many");
        assert_eq!(
            close.degradation(close.absence()),
            "this kernel has no __dev_close_many, so macvlan-trace does not see why the kernel closes a link by itself, \
             which comes out as unattributed"
        );
        for hook in HOOKS.iter().filter(|hook| !hook.required) {
            let sentence = hook.degradation(hook.absence());
            assert_eq!(sentence.matches(hook.unseen).count(), 1, "{sentence}");
            assert!(!sentence.contains(':'), "{sentence}");
        }
    }

    #[test]
    fn a_required_hook_that_is_absent_says_what_to_do() {
        assert_eq!(
            hook("change_flags").absence(),
            "this kernel has neither netif_change_flags nor dev_change_flags, and without that macvlan-trace cannot \
             see who sets a link down: use a distribution's kernel, or report this one"
        );
    }
}
