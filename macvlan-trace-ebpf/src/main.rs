//! The kernel side of macvlan-trace: one thin program a hook. A program reads its arguments, leaves at once
//! when they are none of its business, captures what will be gone a moment later, and sends a record. What can
//! be decided later from recorded facts is decided in user space.
//!
//! State that later programs rely on goes to maps before anything is sent, so that a full ring costs a line and
//! never an attribution.

#![no_std]
#![no_main]
// The attribute macros make a public item beside each program, which cannot carry our documentation.
#![allow(missing_docs)]
// Programs are called by the kernel with what it hands them; clippy cannot know who calls.
#![allow(clippy::needless_pass_by_value)]

mod emit;
mod kread;
mod maps;
mod netdev;
mod netns;
mod probes;
mod report;
mod task;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier admits no path that panics; this satisfies the compiler.
    loop {}
}

/// Helpers that only GPL-compatible programs may call, `bpf_probe_read_kernel` among them, ask for this.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
