//! Memory of matrices and of scratch: on cache lines, and on large pages where there is enough of it.

use crate::simd::pages::{LARGE, prefer_large};

/// Values in one cache line of 64 bytes: the alignment of owned matrices and scratch memory.
pub(crate) const LINE: usize = 16;

/// Values of a large page.
const PAGE: usize = LARGE / size_of::<f32>();

/// The most values of a buffer, so that it fits into the address space with what lies before its offset.
pub(crate) const LONGEST_BUFFER: usize = isize::MAX as usize / size_of::<f32>() - PAGE;

/// A zeroed buffer whose returned offset lies on a cache line; on large pages, from the start of one, if it is as long as one.
pub(crate) fn aligned_buffer(len: usize) -> (Vec<f32>, usize) {
    let alignment = if len >= PAGE { PAGE } else { LINE };
    // What lies before the offset is never touched: it takes addresses, not memory.
    assert!(len <= LONGEST_BUFFER, "a buffer of {len} values does not fit in memory");
    let data = vec![0.0f32; len + alignment - 1];
    prefer_large(&data);
    // align_offset may decline to answer, by a huge number: any place will do then, as alignment is speed here, never correctness.
    let offset = data.as_ptr().align_offset(alignment * size_of::<f32>()) % alignment;
    (data, offset)
}
