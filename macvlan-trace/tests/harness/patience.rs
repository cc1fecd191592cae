//! How long a test waits before it gives up.

use std::time::Duration;

/// The rest of the time that anything may take; nothing takes all of it unless it has failed.
///
/// It is spent in pieces. A virtual machine may stand still for minutes while it is saved, and its clock has moved on by
/// then: that costs one piece, and not the time in which nobody could do anything.
pub struct Patience(Duration);

impl Patience {
    /// The longest that anybody waits at a time.
    pub const PIECE: Duration = Duration::from_secs(2);

    /// All of it.
    pub fn new() -> Self {
        Self(Duration::from_secs(240))
    }

    /// Whether some of it is left.
    pub fn is_left(&self) -> bool {
        !self.0.is_zero()
    }

    /// Somebody has waited, or looked, for that long.
    pub fn spend(&mut self, waited: Duration) {
        self.0 = self.0.saturating_sub(waited.min(Self::PIECE));
    }
}
