//! The kernel side of macvlan-trace.
#![no_std]
#![no_main]

use aya_ebpf::{macros::kprobe, programs::ProbeContext};

/// Does nothing yet.
#[kprobe]
pub fn unregister_netdevice_queue(_ctx: ProbeContext) -> u32 {
    0
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
