//! Sanger's rule by block-triangular residuals, legal always; up to 16 samples go to [`sanger_few`](super::sanger_few).
//!
//! Unit j sees the residual after units 0..=j. Units are taken in blocks of [`BLOCK`]: all units of a block share the residual
//! before the block, and what they take from each other is a small triangle of z^T z, the same for every row of w.
//!
//! ```text
//! t[J] = upper triangle (diagonal included) of z_J^T z_J              once per block J, all rows of w share it
//! for each chunk of rows of w
//!   r = x^T
//!   for each block J of units, in order
//!     d   = r z_J - w_J t[J]                                          w as before the call
//!     r  -= w_J z_J^T
//!     w_J += rate d
//! ```
//! (2 batch + BLOCK) inputs units multiply-adds, in place of the (batch + units) inputs units + batch units^2 of W tril(Z^T Z).

use super::residual::{TOUCHED, clamp_only};
use super::sanger_few::{FEW, SangerFew};
use super::{Update, shapes_agree};
use crate::context::Context;
use crate::kernels::dense::blocked::{
    CHUNK, Epilogue, Panels, chunk_product, pack_panel, packed_len, panel_vectors, transpose_columns,
};
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{for_each, for_each_with};
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Units of a block: the widest panel, on every instruction set, because it decides the order of the sums.
const BLOCK: usize = 48;

/// Sanger's rule (generalised Hebbian algorithm): `w_ij += rate sum_b z_bj (x_bi - sum_(k <= j) z_bk w_ik)`.
///
/// For x \[batch, inputs\], z \[batch, units\], w \[inputs, units\]. The activities are whatever the caller makes of x w: with ReLU or tanh it is
/// the nonlinear Hebbian principal component analysis (HPCA) of FastHebb.
///
/// Cost: (2 batch + 48) inputs units multiply-adds; for up to 16 samples 2 batch inputs units, and the reading and writing of w. Error: with gamma = 2^-24, a new weight is within `1.01 (batch + units + 56) gamma` times
/// `|w_ij| + |rate| sum_b |z_bj| (|x_bi| + sum_(k <= j) |z_bk w_ik|)` of the exact one, rate divided by the batch for a mean.
/// In batches above 16 a weight that is NaN or infinite reaches the other weights of its input in its
/// block of 48 units, those before it too; else see [the module](super) for NaN and determinism. An empty batch only clamps.
///
/// ```
/// use neuropil::kernels::hebbian::{Update, sanger};
/// use neuropil::{Context, Matrix};
/// let (x, z) = (Matrix::from_slice(&[1.0], 1, 1)?, Matrix::from_slice(&[0.5, 1.0], 1, 2)?);
/// let mut w = Matrix::from_slice(&[0.5, 0.25], 1, 2)?;
/// let update = Update { rate: 1.0, ..Update::default() };
/// sanger(&mut Context::new()?, x.view(), z.view(), w.view_mut(), &update);
/// // The first unit as if alone, 0.5 (1 - 0.5 * 0.5); the second sees what both leave, 1 (1 - 0.5 * 0.5 - 1 * 0.25).
/// assert_eq!(w.as_slice(), &[0.875, 0.75]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree, or the rate is not finite.
#[track_caller]
pub fn sanger(context: &mut Context, x: MatRef<'_>, z: MatRef<'_>, w: MatMut<'_>, update: &Update) {
    shapes_agree("sanger", x, z, &w);
    update.check("sanger");
    let (isa, batch, inputs, units) = (context.isa(), x.rows(), x.cols(), z.cols());
    if batch == 0 || units == 0 {
        return clamp_only(w, update);
    }
    if batch <= FEW {
        let threads = context.threads().for_work(TOUCHED.saturating_mul(inputs).saturating_mul(units));
        for_each(threads, w.row_blocks(CHUNK).enumerate(), |(index, w)| {
            dispatch(isa, SangerFew { x, z, first: index * CHUNK, w, update: *update });
        });
        return;
    }
    let threads = context.threads().for_work((2 * batch + BLOCK) * inputs * units);
    let blocks = units.div_ceil(BLOCK);
    let stride = batch.next_multiple_of(LANES);
    let plan = Plan {
        plain: packed_len(batch, BLOCK),
        transposed: packed_len(BLOCK, batch),
        triangle: packed_len(BLOCK, BLOCK),
    };
    let [shared, own] = context.scratch([blocks * plan.total(), (CHUNK * stride + CHUNK * BLOCK) * threads.get()]);
    for_each_with(
        threads,
        std::iter::repeat_n((), threads.get()),
        shared.chunks_mut(plan.total()).enumerate(),
        |(), (block, to)| {
            let start = block * BLOCK;
            dispatch(isa, PrepareBlock { z: z.columns(start..units.min(start + BLOCK)), plan, to });
        },
    );
    let shared = &*shared;
    for_each_with(
        threads,
        own.chunks_mut(CHUNK * stride + CHUNK * BLOCK),
        w.row_blocks(CHUNK).enumerate(),
        |own, (index, w)| {
            let (residual, delta) = own.split_at_mut(CHUNK * stride);
            dispatch(isa, SangerChunk { x, shared, plan, first: index * CHUNK, residual, delta, w, update: *update });
        },
    );
}

/// Where a block's packed pieces lie: z_J, z_J^T, t\[J\].
#[derive(Clone, Copy)]
struct Plan {
    plain: usize,
    transposed: usize,
    triangle: usize,
}

impl Plan {
    fn total(&self) -> usize {
        self.plain + self.transposed + self.triangle
    }
}

struct PrepareBlock<'a, 'b> {
    z: MatRef<'a>,
    plan: Plan,
    to: &'b mut [f32],
}

impl Kernel for PrepareBlock<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let units = self.z.cols();
        let (plain, rest) = self.to.split_at_mut(self.plan.plain);
        let (transposed, triangle) = rest.split_at_mut(self.plan.transposed);
        pack_all(s, self.z, false, plain);
        pack_all(s, self.z, true, transposed);
        let mut gram = [0.0; BLOCK * BLOCK];
        for row in 0..self.z.rows() {
            let z = self.z.row(row);
            for k in 0..units {
                for j in k..units {
                    gram[k * BLOCK + j] = z[k].mul_add(z[j], gram[k * BLOCK + j]);
                }
            }
        }
        let gram = MatRef::with_stride(&gram, units, units, BLOCK).expect("a block");
        pack_all(s, gram, false, triangle);
    }
}

/// Packs a whole small matrix, or its transpose.
#[inline(always)]
fn pack_all<S: Simd>(s: S, b: MatRef<'_>, transposed: bool, to: &mut [f32]) {
    let (depth, cols) = if transposed { (b.cols(), b.rows()) } else { (b.rows(), b.cols()) };
    let (lines, _) = to.as_chunks_mut::<LANES>();
    let (mut first, vectors) = (0, cols.div_ceil(LANES));
    while first < vectors {
        let width = panel_vectors(S::REGISTERS, cols - first * LANES);
        pack_panel(s, b, transposed, first, width, &mut lines[first * depth..(first + width) * depth]);
        first += width;
    }
}

fn panels(data: &[f32], depth: usize, cols: usize) -> Panels<'_> {
    let (lines, _) = data.as_chunks::<LANES>();
    Panels { data: &lines[..depth * cols.div_ceil(LANES)], depth, cols }
}

struct SangerChunk<'a, 'b, 'c> {
    x: MatRef<'a>,
    shared: &'a [f32],
    plan: Plan,
    first: usize,
    residual: &'b mut [f32],
    delta: &'b mut [f32],
    w: MatMut<'c>,
    update: Update,
}

impl Kernel for SangerChunk<'_, '_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (rows, batch, units) = (self.w.rows(), self.x.rows(), self.w.cols());
        transpose_columns(s, self.x, self.first, rows, self.residual);
        let stride = batch.next_multiple_of(LANES);
        let mut residual = MatMut::with_stride(self.residual, rows, batch, stride).expect("scratch for the residuals");
        let scale = s.splat(self.update.scale(batch));
        for (block, shared) in self.shared.chunks(self.plan.total()).enumerate() {
            let start = block * BLOCK;
            let width = BLOCK.min(units - start);
            let (plain, rest) = shared.split_at(self.plan.plain);
            let (transposed, triangle) = rest.split_at(self.plan.transposed);
            let mut delta = MatMut::with_stride(self.delta, rows, width, BLOCK).expect("scratch for a block");
            let w = self.w.as_ref().columns(start..start + width);
            chunk_product(s, residual.as_ref(), panels(plain, batch, width), &mut delta, Epilogue::REPLACE);
            chunk_product(s, w, panels(triangle, width, width), &mut delta, Epilogue::add(-1.0));
            if start + width < units {
                chunk_product(s, w, panels(transposed, width, batch), &mut residual, Epilogue::add(-1.0));
            }
            for row in 0..rows {
                let w = &mut self.w.row_mut(row)[start..start + width];
                for (w, d) in w.chunks_mut(LANES).zip(delta.row(row).chunks(LANES)) {
                    let mut new = s.mul_add(scale, s.load_partial(d), s.load_partial(w));
                    if self.update.non_negative {
                        new = s.max(s.zero(), new);
                    }
                    s.store_partial(new, w);
                }
            }
        }
    }
}
