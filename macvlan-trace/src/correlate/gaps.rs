//! Why the tracer saw only the effect of a change, and not who asked for it.
//!
//! Lost records are no reason: a probe notes what it reports before it sends the record.

use crate::fact::{Begin, LinkChange};

/// What may have hidden a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// The hook of this name, which sees such requests, is not attached.
    Hook(String),
    /// A map of the kernel side was full, so the program could not note the request.
    FullMap,
    /// No known reason.
    Unknown,
}

/// What this run may miss.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// Hooks that are not attached.
    hooks: Vec<String>,
    full: bool,
}

impl Gaps {
    /// The run begins.
    pub fn begin(&mut self, begin: &Begin) {
        let missing = begin.hooks.iter().filter(|hook| hook.symbol.is_none());
        self.hooks = missing.map(|hook| hook.name.clone()).collect();
    }

    /// A map is full. From now on, this may happen again at any time.
    pub fn full(&mut self) {
        self.full = true;
    }

    /// What may have hidden the request behind an effect.
    pub fn reason_for(&self, effect: LinkChange) -> Gap {
        let sees: &[&str] = match effect {
            LinkChange::UnseenDeleted => &["unregister"],
            _ => &["change_flags", "close_many"],
        };
        match self.hooks.iter().find(|hook| sees.contains(&hook.as_str())) {
            Some(hook) => Gap::Hook(hook.clone()),
            None if self.full => Gap::FullMap,
            None => Gap::Unknown,
        }
    }
}
