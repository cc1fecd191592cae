//! Where a record is built.

/// Room for the largest record, and for one more name at its end while a path is walked.
pub const SIZE: usize = 8192;

/// The bytes of a record: a fixed part, and its tail.
#[repr(C, align(8))]
pub struct Buffer([u8; SIZE]);

impl Buffer {
    /// The fixed part, seen as `R`.
    #[inline(always)]
    pub fn record<R>(&mut self) -> &mut R {
        const { assert!(size_of::<R>() <= SIZE && align_of::<R>() <= 8) };
        // SAFETY: the buffer is as large and as aligned, and every `R` here is plain integers.
        unsafe { &mut *self.0.as_mut_ptr().cast::<R>() }
    }

    /// The address of the byte at an offset.
    ///
    /// # Safety
    /// The offset must be less than [`SIZE`].
    #[inline(always)]
    pub unsafe fn at(&mut self, offset: usize) -> *mut u8 {
        // SAFETY: the caller vouches for the offset.
        unsafe { self.0.as_mut_ptr().add(offset) }
    }
}
