//! Captures the kernel path.

use aya_ebpf::{EbpfContext, helpers::generated::bpf_get_stack};
use macvlan_trace_common::MAX_STACK;

use crate::capture::buffer::{Buffer, SIZE};

/// Puts the kernel stack behind the fixed part `R`; the number of its entries.
#[inline(always)]
pub fn fill<R>(buffer: &mut Buffer, ctx: &impl EbpfContext) -> u32 {
    const { assert!(size_of::<R>() + MAX_STACK * 8 < SIZE) };
    // SAFETY: the stack fits behind the fixed part.
    let got =
        unsafe { bpf_get_stack(ctx.as_ptr(), buffer.at(size_of::<R>()).cast(), (MAX_STACK * 8) as u32, 0) };
    if got < 0 { 0 } else { (got as u32 / 8) & 31 }
}

const _: () = assert!(MAX_STACK < 32);
