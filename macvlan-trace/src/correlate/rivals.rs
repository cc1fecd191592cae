//! Two parties that fight over one link: one sets it up, the other sets it down, again and again.

use std::{collections::VecDeque, rc::Rc};

use crate::fact::{Ktime, Task};

/// Changes remembered for a link, the latest.
const MAX_DEEDS: usize = 16;
/// The longest pause in a fight.
const PAUSE_NS: u64 = 60_000_000_000;
/// From this many rounds on it is a fight.
const ROUNDS: u32 = 2;

/// Somebody set a link up or down.
#[derive(Clone, Debug)]
pub struct Deed {
    /// When.
    pub at: Ktime,
    /// Up or down.
    pub up: bool,
    /// Who.
    pub by: Rc<Task>,
}

/// Who set a link up and down, oldest first.
#[derive(Clone, Debug, Default)]
pub struct History(VecDeque<Deed>);

/// A fight.
#[derive(Clone, Debug)]
pub struct Rivals {
    /// Who sets it up.
    pub upper: Rc<Task>,
    /// How often that was undone, this time included.
    pub rounds: u32,
    /// Nanoseconds from one round to the next, on average.
    pub period_ns: u64,
    /// What each did, oldest first, up to the last down.
    pub deeds: Vec<Deed>,
}

impl History {
    /// Adds a deed.
    pub fn push(&mut self, deed: Deed) {
        if self.0.len() >= MAX_DEEDS {
            self.0.pop_front();
        }
        self.0.push_back(deed);
    }

    /// The fight, if the last deed, a down, is a round of one. Control groups tell the parties apart: two commands of
    /// one service are one party.
    #[must_use]
    pub fn rivals(&self) -> Option<Rivals> {
        let last = self.0.back().filter(|deed| !deed.up)?;
        let down_party = last.by.cgroup.path.as_ref()?;
        let upper = self.0.iter().rev().nth(1).filter(|deed| deed.up)?;
        let up_party = upper.by.cgroup.path.as_ref().filter(|party| *party != down_party)?;
        let (mut rounds, mut first, mut next) = (0, last.at, last);
        // Backwards from the latest: down, up, down, up, as long as each is by the right party and soon after the one
        // before.
        for (index, deed) in self.0.iter().rev().enumerate() {
            let up = index % 2 == 1;
            let party = if up { up_party } else { down_party };
            let in_turn = deed.up == up && deed.by.cgroup.path.as_ref() == Some(party);
            if !in_turn || next.at.0.saturating_sub(deed.at.0) > PAUSE_NS {
                break;
            }
            if up {
                rounds += 1;
                first = next.at;
            }
            next = deed;
        }
        if rounds < ROUNDS {
            return None;
        }
        let period_ns = last.at.0.saturating_sub(first.0) / u64::from(rounds - 1);
        let deeds = usize::try_from(rounds * 2).unwrap_or(0).min(self.0.len());
        let deeds = self.0.iter().skip(self.0.len() - deeds).take(deeds - 1).cloned().collect();
        Some(Rivals { upper: Rc::clone(&upper.by), rounds, period_ns, deeds })
    }
}
