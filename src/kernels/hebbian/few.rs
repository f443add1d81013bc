//! Oja's rules for a handful of samples: legal for batches up to [`FEW`], where reading and writing w is all the cost.
//!
//! For each row of w: dot products with the samples' z along the units, then the update, while the row is in L1.

use crate::kernels::dense::blocked::Epilogue;
use crate::matrix::{MatMut, MatRef};
use crate::simd::{Kernel, LANES, Simd};

/// The largest batch that goes this way.
pub(super) const FEW: usize = 4;

/// Accumulators of a dot product: enough to hide the latency of a multiply-add.
const PARTS: usize = 8;
/// Vectors of w that are updated at a time.
const UNROLLED: usize = 4;

pub(super) struct FewRows<'a, 'b> {
    pub(super) x: MatRef<'a>,
    pub(super) z: MatRef<'a>,
    pub(super) first: usize,
    pub(super) w: MatMut<'b>,
    pub(super) epilogue: Epilogue<'a>,
}

impl Kernel for FewRows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let batch = self.x.rows();
        for row in 0..self.w.rows() {
            let (mut before, after) = self.w.reborrow().split_rows(row + 1);
            let w = before.row_mut(row);
            let next = if after.rows() > 0 { after.row(0) } else { &[] };
            let mut residual = [0.0; FEW];
            for b in 0..batch {
                residual[b] = self.x.row(b)[self.first + row] - dot(s, w, self.z.row(b));
            }
            match batch {
                1 => update::<S, 1>(s, w, next, self.z, residual, self.epilogue),
                2 => update::<S, 2>(s, w, next, self.z, residual, self.epilogue),
                3 => update::<S, 3>(s, w, next, self.z, residual, self.epilogue),
                _ => update::<S, 4>(s, w, next, self.z, residual, self.epilogue),
            }
        }
    }
}

/// Vector v goes to accumulator v mod 8; accumulators are then folded in halves, and the lanes after them.
#[inline(always)]
fn dot<S: Simd>(s: S, a: &[f32], b: &[f32]) -> f32 {
    let b = &b[..a.len()];
    let (a_vectors, a_rest) = a.as_chunks::<LANES>();
    let (b_vectors, b_rest) = b.as_chunks::<LANES>();
    let mut acc = [s.zero(); PARTS];
    let (a_blocks, a_tail) = a_vectors.as_chunks::<PARTS>();
    let (b_blocks, b_tail) = b_vectors.as_chunks::<PARTS>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for part in 0..PARTS {
            acc[part] = s.mul_add(s.load(&a[part]), s.load(&b[part]), acc[part]);
        }
    }
    for part in 0..PARTS {
        if part < a_tail.len() && part < b_tail.len() {
            acc[part] = s.mul_add(s.load(&a_tail[part]), s.load(&b_tail[part]), acc[part]);
        }
    }
    if !a_rest.is_empty() {
        acc[PARTS - 1] = s.mul_add(s.load_partial(a_rest), s.load_partial(b_rest), acc[PARTS - 1]);
    }
    let mut half = PARTS / 2;
    while half > 0 {
        for part in 0..half {
            acc[part] = s.add(acc[part], acc[part + half]);
        }
        half /= 2;
    }
    s.reduce_add(acc[0])
}

#[inline(always)]
fn update<S: Simd, const BATCH: usize>(
    s: S,
    w: &mut [f32],
    next: &[f32],
    z: MatRef<'_>,
    residual: [f32; 4],
    epilogue: Epilogue<'_>,
) {
    let (vectors, rest) = w.as_chunks_mut::<LANES>();
    let (mut z_vectors, mut z_rest) = ([&[][..]; BATCH], [&[][..]; BATCH]);
    let mut r = [s.zero(); BATCH];
    for b in 0..BATCH {
        let (whole, partial) = z.row(b).as_chunks::<LANES>();
        (z_vectors[b], z_rest[b]) = (&whole[..vectors.len()], partial);
        r[b] = s.splat(residual[b]);
    }
    let rate = s.splat(epilogue.scale.unwrap_or(1.0));
    // The maximum with minus infinity is the value itself: no branch in the loops.
    let lowest = s.splat(if epilogue.non_negative { 0.0 } else { f32::NEG_INFINITY });
    let unrolled = if epilogue.diagonal.is_none() { vectors.len() / UNROLLED * UNROLLED } else { 0 };
    let next = next.as_chunks::<LANES>().0.as_chunks::<UNROLLED>().0;
    for (block, values) in vectors[..unrolled].as_chunks_mut::<UNROLLED>().0.iter_mut().enumerate() {
        // The next row comes nearer, which a dot product alone would wait for; of several, only the first does.
        if let (1, Some(next)) = (BATCH, next.get(block)) {
            for v in 0..UNROLLED {
                s.prefetch(&next[v][0]);
            }
        }
        for v in 0..UNROLLED {
            let sum = step(s, r, z_vectors, block * UNROLLED + v);
            s.store(s.max(lowest, s.mul_add(rate, sum, s.load(&values[v]))), &mut values[v]);
        }
    }
    for v in unrolled..vectors.len() {
        let old = s.load(&vectors[v]);
        let mut sum = step(s, r, z_vectors, v);
        if let Some(diagonal) = epilogue.diagonal {
            sum = s.mul_add(s.load_partial(&diagonal[v * LANES..][..LANES]), old, sum);
        }
        s.store(s.max(lowest, s.mul_add(rate, sum, old)), &mut vectors[v]);
    }
    if !rest.is_empty() {
        let old = s.load_partial(rest);
        let mut sum = s.zero();
        for b in 0..BATCH {
            sum = s.mul_add(r[b], s.load_partial(z_rest[b]), sum);
        }
        if let Some(diagonal) = epilogue.diagonal {
            sum = s.mul_add(s.load_partial(&diagonal[vectors.len() * LANES..]), old, sum);
        }
        s.store_partial(s.max(lowest, s.mul_add(rate, sum, old)), rest);
    }
}

/// `sum_b r[b] z[b]` of vector v.
#[inline(always)]
fn step<S: Simd, const BATCH: usize>(s: S, r: [S::F32; BATCH], z: [&[[f32; LANES]]; BATCH], v: usize) -> S::F32 {
    let mut sum = s.zero();
    for b in 0..BATCH {
        sum = s.mul_add(r[b], s.load(&z[b][v]), sum);
    }
    sum
}
