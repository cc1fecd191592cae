//! What a control group's path tells: the unit, the session, the container.

mod unit;

pub use unit::unit_of;
