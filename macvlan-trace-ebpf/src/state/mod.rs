//! What one program leaves for the next, in maps. It is kept before anything is sent, so that a full ring costs a line
//! and never an attribution.
//!
//! Every map is of one piece, made when the programs are loaded: before 6.1 the kernel warns of a program of ours that
//! would have to allocate (`check_map_prog_compatibility`), since it may interrupt the allocator.

pub mod announced;
pub mod moves;
pub mod opens;
pub mod own;
pub mod watched;
