//! What a control group's path tells: the unit, the session, the container.

pub(crate) mod party;
mod place;
pub(crate) mod runtime;
mod unit;

pub use place::{ContainerId, Place, PodId, place_of};
pub use unit::unit_of;
