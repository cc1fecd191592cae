//! The record that describes a run, and notices about the run itself: made from facts, live and in a replay.

use std::collections::HashSet;

use macvlan_trace_common::IFF_UP;

use super::{Clock, event_parent, netns};
use crate::{
    correlate::Correlator,
    event::{Notice, ProbeState, Run, Stock, StockLink, When},
    fact::{self, Begin, Ktime, NsInode, Watching},
};

/// What is known of a run until its stock has been taken.
#[derive(Debug, Default)]
pub struct Opening {
    begin: Option<(Ktime, Begin)>,
    links: Vec<StockLink>,
    homes: HashSet<Option<NsInode>>,
}

impl Opening {
    /// The run begins.
    pub fn begin(&mut self, at: Ktime, begin: &Begin) {
        *self = Self { begin: Some((at, begin.clone())), ..Self::default() };
    }

    /// A link was there before. After the beginning of a run there is none.
    pub fn stock(&mut self, stock: &fact::Stock, known: &Correlator) {
        if self.begin.is_none() {
            return;
        }
        let link = &stock.link;
        self.homes.insert(link.netns.and_then(|netns| netns.inode));
        self.links.push(StockLink {
            name: link.name.clone(),
            ifindex: link.ifindex,
            kind: link.kind.clone().unwrap_or_default(),
            netns: netns(link.netns.as_ref(), known),
            up: link.flags & IFF_UP != 0,
            parent: stock.parent.as_ref().map(event_parent),
        });
    }

    /// The record of the run, which shows links of these kinds, once its stock has been taken; `None` if the beginning is missing.
    #[must_use]
    pub fn run(
        self,
        watching: Watching,
        kinds: impl Iterator<Item = &'static str>,
        clock: Clock,
    ) -> Option<Run> {
        let (at, begin) = self.begin?;
        let mut degraded = begin.degraded;
        if watching.unjoined > 0 {
            degraded.push(format!(
                "the addresses of {} network namespaces are not known, so events of the links in them do not know \
                 their past",
                watching.unjoined
            ));
        }
        let probe = |fact::Hook { name, symbol, lost }| ProbeState { hook: name, symbol, lost };
        Some(Run {
            when: clock.when(at),
            tool: env!("CARGO_PKG_NAME").to_owned(),
            version: begin.version,
            kernel: begin.kernel,
            host: begin.host,
            boot_id: begin.boot_id,
            boot_time: clock.boot_time(),
            probes: begin.hooks.into_iter().map(probe).collect(),
            degraded,
            kinds: kinds.collect(),
            stock: Stock {
                links: self.links.len(),
                namespaces: self.homes.len(),
                unseen_namespaces: watching.unseen,
                watched: self.links,
            },
        })
    }
}

/// The notice that a map of the kernel side is full.
#[must_use]
pub fn full(when: When) -> Notice {
    let message = "There are more links or network namespaces than the kernel side can remember: from here on some \
                   events may come out as unattributed, or without the reason for a namespace's end.";
    Notice { when, rule: None, incident: None, message: message.into() }
}
