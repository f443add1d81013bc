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
            let w = self.w.row_mut(row);
            let mut residual = [0.0; FEW];
            for b in 0..batch {
                residual[b] = self.x.row(b)[self.first + row] - dot(s, w, self.z.row(b));
            }
            match batch {
                1 => update::<S, 1>(s, w, self.z, residual, self.epilogue),
                2 => update::<S, 2>(s, w, self.z, residual, self.epilogue),
                3 => update::<S, 3>(s, w, self.z, residual, self.epilogue),
                _ => update::<S, 4>(s, w, self.z, residual, self.epilogue),
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
fn update<S: Simd, const BATCH: usize>(s: S, w: &mut [f32], z: MatRef<'_>, residual: [f32; 4], epilogue: Epilogue<'_>) {
    let z: [&[f32]; BATCH] = std::array::from_fn(|b| &z.row(b)[..w.len()]);
    let mut r = [s.zero(); BATCH];
    for b in 0..BATCH {
        r[b] = s.splat(residual[b]);
    }
    let whole = w.len() / LANES * LANES;
    let (vectors, rest) = w.as_chunks_mut::<LANES>();
    for (v, value) in vectors.iter_mut().enumerate() {
        let mut sum = s.zero();
        for b in 0..BATCH {
            let (z, _) = z[b].as_chunks::<LANES>();
            sum = s.mul_add(r[b], s.load(&z[v]), sum);
        }
        let diagonal = match epilogue.diagonal {
            Some(diagonal) => s.load_partial(&diagonal[v * LANES..v * LANES + LANES]),
            None => s.zero(),
        };
        let old = s.load(value);
        s.store(finish(s, sum, old, diagonal, epilogue), value);
    }
    if !rest.is_empty() {
        let mut sum = s.zero();
        for b in 0..BATCH {
            sum = s.mul_add(r[b], s.load_partial(&z[b][whole..]), sum);
        }
        let diagonal = epilogue.diagonal.map_or(s.zero(), |diagonal| s.load_partial(&diagonal[whole..]));
        let old = s.load_partial(rest);
        s.store_partial(finish(s, sum, old, diagonal, epilogue), rest);
    }
}

#[inline(always)]
fn finish<S: Simd>(s: S, sum: S::F32, old: S::F32, diagonal: S::F32, epilogue: Epilogue<'_>) -> S::F32 {
    let scale = s.splat(epilogue.scale.unwrap_or(1.0));
    let new = s.mul_add(scale, s.mul_add(diagonal, old, sum), old);
    if epilogue.non_negative { s.max(s.zero(), new) } else { new }
}
