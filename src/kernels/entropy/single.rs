//! One increment a value, in eight counters for every bin: legal always; for few values or many bins.
//!
//! Lane i counts in the counters of number i mod 8, so that neighbours in one bin (the zeros of a ReLU) do not wait for each other's
//! addition.

use super::binning::{Binning, Doubt, Factors};
use super::{APART, Buffers, COST, Range, pieces};
use crate::context::Context;
use crate::matrix::MatRef;
use crate::parallel::for_each_with;
use crate::simd::math::ROUND;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Counters of a bin.
const PARTS: usize = 8;
/// Vectors that share a test of doubt.
const BLOCK: usize = 4;
/// Values of a work item.
const VALUES: usize = 1 << 17;

pub(super) fn add(context: &mut Context, x: MatRef<'_>, range: Range, counts: &mut [u64]) {
    let isa = context.isa();
    let bins = counts.len() - APART;
    let threads = context.threads().for_work([x.rows(), x.cols(), COST]);
    // A counter holds 2^32 values, far more than fit in a work item; they are emptied after each.
    let mut workspaces = vec![(vec![0; counts.len() * PARTS], vec![0; counts.len()]); threads.get()];
    for_each_with(threads, &mut workspaces, pieces(x, VALUES), |(parts, counts), piece| {
        dispatch(isa, Count { piece, factors: Factors::new(range, bins), bins, parts });
        for (count, parts) in counts.iter_mut().zip(parts.chunks_exact_mut(PARTS)) {
            *count += parts.iter().map(|&part| u64::from(part)).sum::<u64>();
            parts.fill(0);
        }
    });
    for (_, own) in workspaces {
        for (count, more) in counts.iter_mut().zip(own) {
            *count += more;
        }
    }
}

struct Count<'a, 'b> {
    piece: MatRef<'a>,
    factors: Factors,
    bins: usize,
    parts: &'b mut [u32],
}

impl Kernel for Count<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let part: [f32; LANES] = std::array::from_fn(|lane| ROUND + (lane % PARTS) as f32);
        let indices = Indices { binning: Binning::splat(s, self.factors, self.bins), part: s.load(&part) };
        let parts = self.parts;
        for row in self.piece.iter_rows() {
            let (vectors, tail) = row.as_chunks::<LANES>();
            let (blocks, left) = vectors.as_chunks::<BLOCK>();
            // In turn, as in `pairs`.
            let Buffers([to, from]) = &mut Buffers([[[0; LANES]; BLOCK]; 2]);
            let (mut to, mut from) = (to, from);
            if let Some((first, blocks)) = blocks.split_first() {
                indices.of_block(s, first, from, |_| ());
                for block in blocks {
                    indices.of_block(s, block, to, |vector| count(parts, &from[vector]));
                    std::mem::swap(&mut to, &mut from);
                }
                from.iter().for_each(|at| count(parts, at));
            }
            for vector in left {
                count(parts, &indices.of_vector(s, s.load(vector)));
            }
            if !tail.is_empty() {
                count(parts, &indices.of_vector(s, s.load_partial(tail))[..tail.len()]);
            }
        }
    }
}

/// One more in each of these counters: the integers that were added to [`ROUND`].
#[inline(always)]
fn count(parts: &mut [u32], indices: &[u32]) {
    for &at in indices {
        parts[(at & 0x3f_ffff) as usize] += 1;
    }
}

/// What turns values into counters.
struct Indices<S: Simd> {
    binning: Binning<S>,
    part: S::F32,
}

impl<S: Simd> Indices<S> {
    /// Those of a block; `after` is called after each vector of it.
    #[inline(always)]
    fn of_block(
        &self,
        s: S,
        block: &[[f32; LANES]; BLOCK],
        to: &mut [[u32; LANES]; BLOCK],
        mut after: impl FnMut(usize),
    ) {
        let mut doubt = Doubt::none(s);
        for i in 0..BLOCK {
            let places = self.binning.guess(s, s.load(&block[i]), &mut doubt);
            s.store_u32(self.counters(s, places), &mut to[i]);
            after(i);
        }
        if doubt.any(s) {
            for (vector, to) in block.iter().zip(to) {
                *to = self.of_vector(s, s.load(vector));
            }
        }
    }

    #[inline(always)]
    fn of_vector(&self, s: S, x: S::F32) -> [u32; LANES] {
        let mut at = [0; LANES];
        s.store_u32(self.counters(s, self.binning.place(s, x)), &mut at);
        at
    }

    /// The counters of places, both on top of [`ROUND`].
    #[inline(always)]
    fn counters(&self, s: S, places: S::F32) -> S::U32 {
        s.to_bits(s.mul_add(s.sub(places, s.splat(ROUND)), s.splat(PARTS as f32), self.part))
    }
}
