//! What a control group's path says: the unit, the session, the container.

mod place;
mod unit;

pub use place::{ContainerId, Place, PodId, place_of};
pub use unit::unit_of;
