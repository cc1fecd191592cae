//! The machine's clocks: how to turn time since boot into a time of day, and when that changes.

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::fact::{Fact, Ktime, What};

/// If two readings of the clocks differ by more than this, somebody has set the clock. Between the clocks of one
/// reading the process may lose its processor for longer than that; such a reading is ignored.
const STEP_NS: i64 = 10_000_000;

/// Notices when the machine's clock is set.
#[derive(Debug)]
pub struct Clocks {
    boot: i64,
}

impl Clocks {
    /// Reads the clocks.
    #[must_use]
    pub fn read() -> Self {
        let looks = (0..8).map(|_| Look::now());
        Self { boot: looks.min_by_key(|look| look.took).map_or(0, |look| look.boot) }
    }

    /// Nanoseconds from the epoch to boot.
    #[must_use]
    pub fn boot(&self) -> i64 {
        self.boot
    }

    /// The fact that the clock was set since the last reading. A reading costs three calls, which stay in user space.
    pub fn stepped(&mut self) -> Option<Fact> {
        self.compare(&Look::now())
    }

    fn compare(&mut self, look: &Look) -> Option<Fact> {
        let set = look.took < STEP_NS / 2 && look.boot.abs_diff(self.boot) >= STEP_NS.unsigned_abs();
        if set {
            self.boot = look.boot;
        }
        set.then_some(Fact { at: look.at, what: What::Clock { boot: look.boot } })
    }
}

/// One reading of both clocks.
struct Look {
    at: Ktime,
    boot: i64,
    took: i64,
}

impl Look {
    fn now() -> Self {
        let before = nanoseconds(clock_gettime(ClockId::Boottime));
        let real = nanoseconds(clock_gettime(ClockId::Realtime));
        let after = nanoseconds(clock_gettime(ClockId::Boottime));
        let took = after - before;
        Self { at: ktime(after), boot: real - (before + took / 2), took }
    }
}

/// The time since boot.
#[must_use]
pub fn now() -> Ktime {
    ktime(nanoseconds(clock_gettime(ClockId::Boottime)))
}

fn ktime(nanoseconds: i64) -> Ktime {
    Ktime(u64::try_from(nanoseconds).unwrap_or(0))
}

/// Good until 2262.
fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(boot: i64, took: i64) -> Look {
        Look { at: Ktime(5), boot, took }
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_once() {
        let mut clocks = Clocks { boot: 1_000_000_000 };
        assert_eq!(clocks.compare(&look(1_000_900_000, 100)), None, "it drifts");
        let set = Fact { at: Ktime(5), what: What::Clock { boot: 9_000_000_000 } };
        assert_eq!(clocks.compare(&look(9_000_000_000, 100)), Some(set));
        assert_eq!(clocks.compare(&look(9_000_000_000, 100)), None);
    }

    #[test]
    fn a_look_that_was_interrupted_says_nothing() {
        let mut clocks = Clocks { boot: 1_000_000_000 };
        assert_eq!(clocks.compare(&look(1_050_000_000, 100_000_000)), None);
    }

    #[test]
    fn a_clock_that_is_slewed_for_long_is_followed() {
        let mut clocks = Clocks { boot: 0 };
        let set = (1..=100).filter(|step| clocks.compare(&look(step * 1_000_000, 100)).is_some()).count();
        assert_eq!(set, 10);
    }

    #[test]
    fn the_clocks_of_this_machine_agree_with_each_other() {
        let mut clocks = Clocks::read();
        let days = clocks.boot() / 86_400_000_000_000;
        assert!(days > 18_000, "it booted after 2019");
        clocks.boot -= 3_600_000_000_000;
        let followed = (0..1000).any(|_| clocks.stepped().is_some());
        assert!(followed && clocks.boot() / 86_400_000_000_000 == days);
    }
}
