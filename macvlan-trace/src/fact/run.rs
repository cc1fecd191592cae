//! Facts about the run itself: what it is, what it can see, how it ends.

use serde::{Deserialize, Serialize};

use super::NsInode;
use crate::text::Text;

/// The first fact: what kind of run this is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// Version of macvlan-trace.
    pub version: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Architecture, as the kernel calls it.
    pub arch: String,
    /// Name of the host.
    pub host: Text,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: Option<String>,
    /// Nanoseconds from the epoch to boot, by the clocks at this time; [`super::What::Clock`] corrects it.
    pub boot: i64,
    /// The tracer itself, which is never to blame.
    pub own: Own,
    /// After how many nanoseconds a deleted link is missed; `None` for never.
    pub missed_after_ns: Option<u64>,
    /// The hooks, attached or not.
    pub hooks: Vec<Hook>,
    /// What this run cannot see, one sentence each.
    pub degraded: Vec<String>,
}

impl Begin {
    /// Whether a hook is attached.
    #[must_use]
    pub fn has_hook(&self, name: &str) -> bool {
        self.hooks.iter().any(|hook| hook.name == name && hook.symbol.is_some())
    }
}

/// A task, by the id that the tracer has inside its own pid namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// Process id there.
    pub ns_tgid: u32,
    /// Inode number of the namespace.
    pub pidns: Option<NsInode>,
}

/// A hook of this run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Its name.
    pub name: String,
    /// The kernel function or tracepoint that it is attached to; `None` if to none.
    pub symbol: Option<String>,
    /// What the tracer does not see without it; `None` if it is attached.
    pub lost: Option<String>,
}

/// The stock has been taken: from here on the run sees what happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watching {
    /// Network namespaces that could not be looked into.
    pub unseen: usize,
    /// Network namespaces whose address is not known, so later facts about their links cannot be joined with the stock.
    pub unjoined: usize,
}
