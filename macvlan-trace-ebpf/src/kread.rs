//! The only place that reads kernel memory.
//!
//! A field that this kernel lacks, an address that is null and a read that faults all come out as `None`.

use aya_ebpf::helpers::{bpf_probe_read_kernel, generated};
use macvlan_trace_common::{MISSING, Offsets, Settings};

/// Where this kernel keeps its fields: filled in by user space before the programs are loaded.
#[unsafe(no_mangle)]
static OFFSETS: Offsets = Offsets::UNKNOWN;

/// What user space hands down.
#[unsafe(no_mangle)]
static SETTINGS: Settings = Settings { own_tgid: 0, own_pidns: 0, changeupper: 0 };

/// The offset of a field, by its name in [`Offsets`].
macro_rules! offset {
    ($field:ident) => {
        $crate::kread::load(|offsets| &raw const offsets.$field)
    };
}
pub(crate) use offset;

/// Reads a field of a kernel struct: `read!(address, field)`, with the type taken from where the value goes.
macro_rules! read {
    ($base:expr, $field:ident) => {
        $crate::kread::field($base, $crate::kread::offset!($field))
    };
}
pub(crate) use read;

/// One number of [`OFFSETS`]. The read is volatile, because the compiler would take the value from the object.
#[inline(always)]
pub fn load(pick: impl FnOnce(&'static Offsets) -> *const u32) -> u32 {
    // SAFETY: `pick` returns the address of a field of the static that it is given.
    unsafe { core::ptr::read_volatile(pick(&OFFSETS)) }
}

/// What user space handed down.
#[inline(always)]
pub fn settings() -> Settings {
    // SAFETY: a static is readable.
    unsafe { core::ptr::read_volatile(&raw const SETTINGS) }
}

/// Reads a value at `base + offset`.
#[inline(always)]
pub fn field<T: Copy>(base: u64, offset: u32) -> Option<T> {
    if base == 0 || offset == MISSING {
        return None;
    }
    // SAFETY: the helper checks the address and fails cleanly; `T` is plain data at every call.
    unsafe { bpf_probe_read_kernel((base + u64::from(offset)) as *const T).ok() }
}

/// Copies `N` bytes from `base + offset`; zeroes where they cannot be read.
#[inline(always)]
pub fn bytes<const N: usize>(base: u64, offset: u32) -> [u8; N] {
    field(base, offset).unwrap_or([0; N])
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

/// Copies `size` bytes of the current process's memory to `dst`; whether it worked.
///
/// # Safety
/// `dst` must be valid for `size` bytes.
#[inline(always)]
pub unsafe fn user(src: u64, dst: *mut u8, size: u32) -> bool {
    // SAFETY: the caller vouches for `dst`; the helper checks `src`.
    unsafe { generated::bpf_probe_read_user(dst.cast(), size, src as *const _) >= 0 }
}
