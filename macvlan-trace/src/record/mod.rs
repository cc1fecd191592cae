//! A recorded stream: one line per fact, so that another machine can replay it later.
//!
//! docs/record.md describes the format.

mod context;
mod encode;
mod line;
mod read;
mod segments;
mod select;
mod write;

use serde::{Deserialize, Serialize};

pub use encode::Encoder;
pub use line::{Damage, Fault, Item};
pub use read::{Reader, Source, no_record};
pub use segments::Rotation;
pub use select::{MAX_SUBJECTS, Selection};
pub use write::Recorder;

use crate::fact::{Begin, Fact, Ktime, What};

/// Version of the format; it grows when an older reader could misunderstand.
pub const FORMAT: u32 = 1;

/// Kernel paths that have a number at a time. A new one takes the place of the one that was used least recently.
const MAX_PATHS: usize = 1024;

/// The first line of each segment: describes the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// `macvlan-trace`.
    pub tool: String,
    /// Counts the segments of a run from 0.
    pub segment: u32,
    /// When the run began.
    pub began: Ktime,
    /// What kind of run it is.
    pub run: Begin,
}

impl Header {
    /// The header of a segment of a run.
    #[must_use]
    pub fn new(segment: u32, began: Ktime, run: Begin) -> Self {
        Self { format: FORMAT, tool: env!("CARGO_PKG_NAME").to_owned(), segment, began, run }
    }

    /// The fact that the run began.
    #[must_use]
    pub fn begin(&self) -> Fact {
        Fact { at: self.began, what: What::Begin(Box::new(self.run.clone())) }
    }

    /// The properties that the segments of one run share. The time of boot is not among them: somebody may set the clock
    /// during a run.
    #[must_use]
    pub fn run_key(&self) -> (Option<String>, Ktime) {
        (self.run.boot_id.clone(), self.began)
    }

    /// When the run began, in nanoseconds since the epoch.
    #[must_use]
    pub fn began_at(&self) -> i128 {
        i128::from(self.run.boot) + i128::from(self.began.0)
    }
}
