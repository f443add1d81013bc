//! Bytes to numbers.

pub mod reference;

use crate::context::Context;
use crate::parallel::for_each;
use crate::simd::{FENCES_BEFORE_READING, Kernel, LANES, Simd, dispatch};

/// Bytes a work item converts.
const BYTES: usize = 1 << 16;
/// Outputs beyond which they are stored past the caches: 4 MiB, more than a core's own cache holds.
const STREAM: usize = 1 << 20;

/// `out[i] = scale * bytes[i] + offset`, rounded once.
///
/// `scale = 1/255, offset = 0` maps to [0, 1]; `scale = 1/(255 s), offset = -m/s` gives mean 0 and deviation 1 to images that have mean m and
/// deviation s in [0, 1]. A scale or an offset that is NaN or infinite spreads as the formula says. Error: half an ULP of the exact fused result.
/// The same bits on every instruction set and for any number of threads, wherever the slices lie. Traffic: a byte read and four written per
/// value; outputs larger than a core's cache that start on a 64-byte boundary are written past the caches, which saves reading them first.
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// use neuropil::{Context, kernels::pixels};
/// let mut out = [0.0; 3];
/// pixels::to_f32(&mut Context::new()?, &[0, 64, 255], 1.0 / 128.0, -1.0, &mut out);
/// assert_eq!(out, [-1.0, -0.5, 0.9921875]);
/// # Ok::<(), neuropil::Error>(())
/// ```
#[track_caller]
pub fn to_f32(context: &mut Context, bytes: &[u8], scale: f32, offset: f32, out: &mut [f32]) {
    assert!(bytes.len() == out.len(), "to_f32: {} bytes for {} numbers", bytes.len(), out.len());
    let isa = context.isa();
    let stream = out.len() >= STREAM && out.as_ptr().addr().is_multiple_of(64);
    let threads = context.threads().for_work([out.len(), 8]);
    for_each(threads, bytes.chunks(BYTES).zip(out.chunks_mut(BYTES)), |(bytes, out)| {
        dispatch(isa, ToF32 { bytes, scale, offset, out, stream });
    });
}

struct ToF32<'a> {
    bytes: &'a [u8],
    scale: f32,
    offset: f32,
    out: &'a mut [f32],
    stream: bool,
}

impl Kernel for ToF32<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (scale, offset) = (s.splat(self.scale), s.splat(self.offset));
        let (from, from_tail) = self.bytes.as_chunks::<LANES>();
        let (to, to_tail) = self.out.as_chunks_mut::<LANES>();
        if self.stream {
            for (from, to) in from.iter().zip(to) {
                s.store_past_caches(s.mul_add(s.load_u8(from), scale, offset), to, FENCES_BEFORE_READING);
            }
            s.fence();
        } else {
            for (from, to) in from.iter().zip(to) {
                s.store(s.mul_add(s.load_u8(from), scale, offset), to);
            }
        }
        for (from, to) in from_tail.iter().zip(to_tail) {
            *to = f32::from(*from).mul_add(self.scale, self.offset);
        }
    }
}

#[cfg(test)]
mod tests;
