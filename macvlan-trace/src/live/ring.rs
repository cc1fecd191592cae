//! Reads the ring of records as facts, losses included.

use anyhow::{Context as _, Result};
use aya::maps::{MapData, RingBuf};
use macvlan_trace_common::Counter;
use tokio::io::unix::AsyncFd;

use super::{
    decode::Decoder,
    lookup::symbols::Symbols,
    probe::{Counters, ProbeLog, Probes},
};
use crate::{
    fact::{Fact, Ktime, LinkChange, What},
    output::messages::Messages,
};

/// The ring of records.
pub struct Ring {
    records: AsyncFd<RingBuf<MapData>>,
    decoder: Decoder,
    symbols: Symbols,
    counters: Counters,
    log: Option<ProbeLog>,
    losses: Losses,
    /// A fact that has to wait for another.
    held: Option<Fact>,
}

impl Ring {
    /// The ring of these probes, whose log goes to the messages.
    pub fn of(probes: &mut Probes, messages: Messages) -> Result<Self> {
        let records = probes.take_ring()?;
        // SAFETY: the ring owns its descriptor and keeps it open for as long as it lives, and the result owns the ring.
        let records = unsafe { AsyncFd::register(records) }.context("cannot wait for the ring of records")?;
        Ok(Self {
            records,
            decoder: Decoder::new(probes.symbols()),
            symbols: Symbols::default(),
            counters: probes.take_counters()?,
            log: probes.take_log(messages)?,
            losses: Losses::default(),
            held: None,
        })
    }

    /// Waits until there may be a record.
    pub async fn ready(&mut self) -> Result<()> {
        let mut guard = self.records.readable_mut().await.context("cannot wait for the ring of records")?;
        // Clear this before the ring is read: records that arrive meanwhile make it ready again.
        guard.clear_ready();
        Ok(())
    }

    /// The next fact. A record of an unknown kind is skipped; a broken one counts as lost.
    pub fn next(&mut self) -> Option<Fact> {
        if let Some(fact) = self.held.take() {
            return Some(fact);
        }
        while let Some(item) = self.records.get_mut().next() {
            match self.decoder.decode(&item, &mut self.symbols) {
                Ok(Some(fact)) => {
                    let reason = self.losses.reason_of(&fact, || self.counters.get(Counter::MapFull));
                    return match reason {
                        Some(reason) => {
                            self.held = Some(fact);
                            Some(reason)
                        }
                        None => Some(fact),
                    };
                }
                Ok(None) => {}
                Err(_) => self.losses.broken += 1,
            }
        }
        if let Some(log) = &mut self.log {
            log.flush();
        }
        None
    }

    /// Losses since the last call, by the sequence numbers of the records.
    pub fn missing(&mut self, at: Ktime) -> Option<Fact> {
        self.losses.lost(at, self.decoder.gaps())
    }

    /// Losses and full maps, by the kernel side's own counters.
    pub fn counted(&mut self, at: Ktime) -> impl Iterator<Item = Fact> + use<> {
        let lost = self.losses.lost(at, self.counters.lost());
        let full = self.losses.full(at, self.counters.get(Counter::MapFull));
        lost.into_iter().chain(full)
    }
}

/// The losses that the stream has reported so far. A record that the kernel could not hand over shows twice: as a gap
/// in the sequence of its CPU, once a later record has come, and in the kernel's own count.
#[derive(Debug, Default)]
struct Losses {
    /// Records lost on the way, as far as reported.
    lost: u64,
    /// Records that could not be decoded, and how many of them were reported.
    broken: u64,
    broken_said: u64,
    full: bool,
}

impl Losses {
    /// The fact that reports the rest of so many losses in all.
    fn lost(&mut self, at: Ktime, lost: u64) -> Option<Fact> {
        let records = lost.saturating_sub(self.lost) + (self.broken - self.broken_said);
        self.lost = self.lost.max(lost);
        self.broken_said = self.broken;
        (records > 0).then_some(Fact { at, what: What::Lost { records } })
    }

    /// If no probe saw the request of an effect, a full map may be the reason: the fact that says so, which comes
    /// before the effect.
    fn reason_of(&mut self, fact: &Fact, refused: impl FnOnce() -> u64) -> Option<Fact> {
        let (What::Link(link) | What::Parent(link)) = &fact.what else { return None };
        let is_effect = matches!(link.change, LinkChange::UnseenDown | LinkChange::UnseenDeleted);
        if is_effect { self.full(fact.at, refused()) } else { None }
    }

    /// The fact that a map is full, the first time.
    fn full(&mut self, at: Ktime, refused: u64) -> Option<Fact> {
        let first = refused > 0 && !self.full;
        self.full |= first;
        first.then_some(Fact { at, what: What::Full })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::story::{macvlan, netns, process};

    #[test]
    fn a_full_map_is_told_before_the_effect_that_it_may_explain() {
        let told = |change, refused| {
            let what =
                What::Link(Box::new(macvlan("macvlan0", netns(0), 7).fact(change, &process("ip", 901), &[])));
            let mut losses = Losses::default();
            let fact = Fact { at: Ktime(7), what };
            let full = losses.reason_of(&fact, || refused);
            assert_eq!(losses.reason_of(&fact, || refused), None, "once is enough");
            full
        };
        let full = Some(Fact { at: Ktime(7), what: What::Full });
        assert_eq!(told(LinkChange::UnseenDown, 1), full);
        assert_eq!(told(LinkChange::UnseenDeleted, 1), full);
        assert_eq!(told(LinkChange::UnseenDown, 0), None);
        assert_eq!(told(LinkChange::Deleted, 1), None);
    }

    fn records(fact: Option<Fact>) -> u64 {
        match fact.map(|fact| fact.what) {
            Some(What::Lost { records }) => records,
            _ => 0,
        }
    }

    #[test]
    fn a_loss_that_shows_twice_is_said_once() {
        let mut losses = Losses::default();
        let mut said = |lost| records(losses.lost(Ktime(1), lost));
        assert_eq!([said(3), said(3), said(0), said(5), said(4)], [3, 0, 0, 2, 0]);
    }

    #[test]
    fn a_record_that_cannot_be_decoded_is_one_that_is_lost() {
        let mut losses = Losses { broken: 2, ..Losses::default() };
        assert_eq!(records(losses.lost(Ktime(1), 0)), 2);
        losses.broken = 3;
        assert_eq!(records(losses.lost(Ktime(1), 4)), 5);
        assert_eq!(records(losses.lost(Ktime(1), 4)), 0);
    }

    #[test]
    fn that_a_map_is_full_is_said_once() {
        let mut losses = Losses::default();
        assert_eq!(losses.full(Ktime(1), 0), None);
        assert!(losses.full(Ktime(2), 1).is_some());
        assert_eq!(losses.full(Ktime(3), 7), None);
    }
}
