//! What a control group's path tells: the unit, the session, the container.

pub(crate) mod party;
pub(crate) mod runtime;
mod unit;

pub use unit::unit_of;
