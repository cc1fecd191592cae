//! Reads the path of a control group: its unit, session and container.

mod place;
mod unit;

pub use place::{ContainerId, Place, PodId, place_of};
pub use unit::unit_of;
