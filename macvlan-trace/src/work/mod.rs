//! Who a task works for: a unit, a program, a container's runtime.

pub mod manager;
pub mod party;
pub mod runtime;
pub mod terminal;

/// Names of programs on whose processes others depend: a runtime's daemon that is stopped stops its containers, and who
/// holds a terminal takes that along. The kernel side reports what ends a process of such a name.
pub fn others_depend_on() -> impl Iterator<Item = &'static str> {
    runtime::PROGRAMS.into_iter().chain(terminal::HOLDERS)
}
