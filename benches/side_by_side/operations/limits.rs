//! What the machine can do: multiply-adds, cycles, and bytes from each level of its memory. Floors are computed from these.

use std::hint::black_box;

use neuropil::simd::{Kernel, LANES, Simd, dispatch};
use neuropil::{Context, Matrix};

use super::{Prepared, timed};
use crate::inputs::{Inputs, uniform};

fn nothing(_: &()) -> Vec<f32> {
    Vec::new()
}

/// `count` multiply-adds in registers.
pub fn multiply_adds(inputs: &Inputs, context: Context) -> Prepared {
    let (count, isa) = (inputs.get("count", 100_000_000), context.isa());
    timed((), nothing, move |()| {
        black_box(dispatch(isa, Chains { vectors: count / LANES }));
    })
}

struct Chains {
    vectors: usize,
}

impl Kernel for Chains {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        // As many independent sums as hide the latency and fit in registers.
        if S::REGISTERS >= 32 { chains::<S, 16>(s, self.vectors) } else { chains::<S, 5>(s, self.vectors) }
    }
}

#[inline(always)]
fn chains<S: Simd, const N: usize>(s: S, vectors: usize) -> f32 {
    let (a, b) = (s.splat(black_box(0.999)), s.splat(black_box(0.001)));
    let mut sums = [s.zero(); N];
    for _ in 0..vectors / N {
        for i in 0..N {
            sums[i] = s.mul_add(sums[i], a, b);
        }
    }
    let mut total = s.zero();
    for i in 0..N {
        total = s.add(total, sums[i]);
    }
    s.reduce_add(total)
}

/// `count` additions of integers, each waiting for the one before: a cycle each.
pub fn cycles(inputs: &Inputs) -> Prepared {
    let count = inputs.get("count", 100_000_000) as u64;
    timed((), nothing, move |()| {
        let mut sum = black_box(1u64);
        for _ in 0..count / 8 {
            // An addition and a rotation by turns: two additions would be folded into one.
            sum = (sum + count).rotate_left(1);
            sum = (sum + count).rotate_left(1);
            sum = (sum + count).rotate_left(1);
            sum = (sum + count).rotate_left(1);
        }
        black_box(sum);
    })
}

/// Reads as many bytes, `times` over.
pub fn read(inputs: &Inputs, context: Context) -> Prepared {
    let (bytes, times, isa) = (inputs.get("bytes", 1 << 28), inputs.get("times", 1), context.isa());
    let values = uniform(1, bytes / 4, 0.0, 1.0, "read");
    timed((), nothing, move |()| {
        for _ in 0..times {
            black_box(dispatch(isa, Largest { values: values.as_slice() }));
        }
    })
}

struct Largest<'a> {
    values: &'a [f32],
}

impl Kernel for Largest<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let mut largest = [s.zero(); 8];
        for vectors in self.values.as_chunks::<LANES>().0.as_chunks::<8>().0 {
            for i in 0..8 {
                largest[i] = s.max(largest[i], s.load(&vectors[i]));
            }
        }
        let mut all = largest[0];
        for i in 1..8 {
            all = s.max(all, largest[i]);
        }
        s.reduce_max(all)
    }
}

/// Writes as many bytes past the caches, where the CPU can.
pub fn write(inputs: &Inputs, _: Context) -> Prepared {
    let mut values = Matrix::zeros(1, inputs.get("bytes", 1 << 28) / 4);
    timed((), nothing, move |()| fill(values.as_mut_slice(), black_box(1.0)))
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)] // Only the kernels' own stores go past the caches otherwise.
fn fill(values: &mut [f32], value: f32) {
    use std::arch::x86_64::{__m128, _mm_set1_ps, _mm_sfence, _mm_stream_ps};
    // SAFETY: every x86_64 CPU has SSE; each store is of four values that lie within the slice, from a multiple of 16 bytes on, and none is read
    // before the fence.
    unsafe {
        let vector = _mm_set1_ps(value);
        let (_, aligned, _) = values.align_to_mut::<__m128>();
        for four in aligned {
            _mm_stream_ps(std::ptr::from_mut(four).cast(), vector);
        }
        _mm_sfence();
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn fill(values: &mut [f32], value: f32) {
    values.fill(value);
}
