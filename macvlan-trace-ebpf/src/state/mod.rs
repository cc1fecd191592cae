//! State that one program leaves for the next, in maps. A program writes it before it sends anything, so a full ring
//! costs an output line, never an attribution.
//!
//! Every map is allocated in full when the programs are loaded: before 6.1 the kernel warns of tracing programs with
//! maps that allocate (`check_map_prog_compatibility`), since they may interrupt the allocator.

pub mod announced;
pub mod attempts;
pub mod moves;
pub mod newlinks;
pub mod own;
pub mod parents;
pub mod programs;
pub mod watched;
