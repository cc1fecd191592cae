//! The only place that reads kernel memory.
//!
//! A field that this kernel lacks, an address that is null and a read that faults all come out as zero, which stands
//! for unknown on the wire. There is no branch for these cases: with two outcomes for each of fifty reads, the verifier
//! has too many paths to walk (it took two minutes and refused three programs). The helper clears what it cannot read.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated;
use macvlan_trace_common::{MISSING, Offsets, Settings};
use zerocopy::FromBytes;

/// Where this kernel keeps its fields: filled in by user space before the programs are loaded.
#[unsafe(no_mangle)]
static OFFSETS: Offsets = Offsets::UNKNOWN;

/// The settings from user space.
#[unsafe(no_mangle)]
static SETTINGS: Settings =
    Settings { own_tgid: 0, own_pidns: 0, changeupper: 0, host_netns: 0, macvlan_mode: 0 };

/// The offset of a field, by its name in [`Offsets`].
macro_rules! offset {
    ($field:ident) => {
        $crate::kread::load(|offsets| &raw const offsets.$field)
    };
}
pub(crate) use offset;

/// Reads a field of a kernel struct: `read!(address, field)`, with the type taken from where the value goes; zero if
/// it cannot be read.
macro_rules! read {
    ($base:expr, $field:ident) => {
        $crate::kread::field($base, $crate::kread::offset!($field))
    };
    ($base:expr, $field:ident as $type:ty) => {
        $crate::kread::field::<$type>($base, $crate::kread::offset!($field))
    };
}
pub(crate) use read;

/// One number of [`OFFSETS`]. The read is volatile; otherwise the compiler would use the value in the object file.
#[inline(always)]
pub fn load(pick: impl FnOnce(&'static Offsets) -> *const u32) -> u32 {
    // SAFETY: `pick` returns the address of a field of the static that it is given.
    unsafe { core::ptr::read_volatile(pick(&OFFSETS)) }
}

/// Reads the settings from user space.
#[inline(always)]
pub fn settings() -> Settings {
    // SAFETY: a static is readable.
    unsafe { core::ptr::read_volatile(&raw const SETTINGS) }
}

/// Reads a value at `base + offset`; zero if it cannot be read.
#[inline(always)]
pub fn field<T: FromBytes>(base: u64, offset: u32) -> T {
    // The verifier knows the offsets, since they are in a frozen map, so it sees no branch here.
    if offset == MISSING {
        return T::new_zeroed();
    }
    // Nothing is cleared before: for that the compiler calls a function, which the verifier would follow each time.
    let mut value = MaybeUninit::<T>::uninit();
    let src = (base + u64::from(offset)) as *const core::ffi::c_void;
    // SAFETY: `value` has the size of a `T`, and any bytes are a `T`. The helper checks `src`, and writes all bytes: it
    // clears what it cannot read.
    unsafe {
        generated::bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, src);
        value.assume_init()
    }
}

/// Reads a value at `base + offset`; `unknown` where this kernel has no such field.
#[inline(always)]
pub fn field_or<T: FromBytes>(base: u64, offset: u32, unknown: T) -> T {
    if offset == MISSING { unknown } else { field(base, offset) }
}

/// Copies a NUL-terminated string of at most `size - 1` bytes to `dst`.
///
/// Returns the bytes written, the NUL included; 0 or less where the string cannot be read.
///
/// # Safety
/// `dst` must be valid for `size` bytes.
#[inline(always)]
pub unsafe fn string(src: u64, dst: *mut u8, size: u32) -> i64 {
    // SAFETY: the caller vouches for `dst`; the helper checks `src`.
    unsafe { generated::bpf_probe_read_kernel_str(dst.cast(), size, src as *const _) }
}

/// A NUL-terminated string of at most 15 bytes, padded with NUL; all NUL where it cannot be read. What is behind its end
/// is not copied: that is another string, or remains of a longer one.
#[inline(always)]
pub fn short_string(src: u64) -> [u8; 16] {
    let mut text = MaybeUninit::<[u64; 2]>::uninit();
    let words: *mut u64 = text.as_mut_ptr().cast();
    // SAFETY: the buffer has 16 bytes, and all are written. The writes are volatile, since the compiler would call a
    // function that clears byte by byte, and the verifier would follow that each time.
    unsafe {
        words.write_volatile(0);
        words.add(1).write_volatile(0);
        string(src, words.cast(), 16);
        zerocopy::transmute!(text.assume_init())
    }
}

/// Copies `size` bytes of the current process's memory to `dst`; whether it worked.
///
/// # Safety
/// `dst` must be valid for `size` bytes.
#[inline(always)]
pub unsafe fn user(src: u64, dst: *mut u8, size: u32) -> bool {
    // SAFETY: the caller vouches for `dst`; the helper checks `src`.
    unsafe { generated::bpf_probe_read_user(dst.cast(), size, src as *const _) >= 0 }
}
