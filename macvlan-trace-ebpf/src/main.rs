//! The kernel side of macvlan-trace: one thin program per hook. A program reads its arguments, returns at once if they
//! do not matter, captures what will be gone a moment later, and sends a record. User space decides everything that can
//! be decided later from facts.
//!
//! It has layers, and each uses only those below it (`cargo test -p xtask layers` checks the sources):
//!
//! | layer | what it does |
//! |---|---|
//! | `probes` | decide whether a call matters, and what to send |
//! | `report` | sends it, in one program for all hooks |
//! | `lane` | where this CPU builds its records, and the ring |
//! | `request` | what a hook asks for: data only |
//! | `state` | what one program leaves for the next: each map beside the functions that use it |
//! | `capture` | fills records with what is so at this instant |
//! | `kread`, `kinds`, `counters` | read the kernel's memory; tell which kinds of links are traced; count what is lost |

#![no_std]
#![no_main]
// The attribute macros make a public item beside each program, which cannot carry our documentation.
#![allow(missing_docs)]
// Programs are called by the kernel with what it hands them; clippy cannot know who calls.
#![allow(clippy::needless_pass_by_value)]

mod capture;
mod counters;
mod kinds;
mod kread;
mod lane;
mod probes;
mod report;
mod request;
mod state;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier admits no path that panics; this satisfies the compiler.
    loop {}
}

/// Helpers that only GPL-compatible programs may call, `bpf_probe_read_kernel` among them, ask for this.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
