//! Inputs times gates, less what decays: Oja's rule of single units, and soft competitions.
//!
//! ```text
//! w += scale (X^T G + decay o w)
//! ```
//! Of few samples row by row of w; else by chunks of rows of w, for which it is x that is turned, or by
//! `t = G^T X`, of which it is t: batch inputs units multiply-adds all.

use super::few::{FEW, FewRows, From};
use super::residual::clamp_only;
use super::{Update, column_sums, shapes_agree};
use crate::context::Context;
use crate::kernels::dense::blocked::{
    CHUNK, Epilogue, Panels, chunk_product, packed_len, transpose_block, transpose_columns,
};
use crate::kernels::dense::{Write, matmul_tn, pack};
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{TOUCHED, for_each, for_each_with};
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Oja's rule for single units, which do not compete: `w_ij += rate sum_b z_bj (x_bi - z_bj w_ij)`.
///
/// For x \[batch, inputs\], z \[batch, units\], w \[inputs, units\].
///
/// Cost: batch inputs units multiply-adds, a read and a write a weight. Error: with gamma = 2^-24, a new weight is within `1.01 (batch + 8) gamma` times
/// `|w_ij| + |rate| sum_b |z_bj| (|x_bi| + |z_bj w_ij|)` of the exact one, rate divided by the batch for a mean.
/// The sums of `z_bj^2` over the batch are taken in `f32`: beyond 3.4e38 the decay is infinite, and NaN of a weight of zero.
/// **NaN and infinity**: a unit's activities and weights reach that unit only, an input all units. As the decay is one number a unit, a sample whose
/// activity is zero does not make an infinite weight NaN, as the formula would.
/// See [the module](super) for determinism; an empty batch only clamps.
///
/// ```
/// use neuropil::kernels::hebbian::{Update, oja_per_unit};
/// use neuropil::{Context, Matrix};
/// let (x, z) = (Matrix::from_slice(&[1.0], 1, 1)?, Matrix::from_slice(&[0.5, 1.0], 1, 2)?);
/// let mut w = Matrix::from_slice(&[0.5, 0.25], 1, 2)?;
/// let update = Update { rate: 1.0, ..Update::default() };
/// oja_per_unit(&mut Context::new()?, x.view(), z.view(), w.view_mut(), &update);
/// assert_eq!(w.as_slice(), &[0.875, 1.0]); // 0.5 + 0.5 (1 - 0.5 * 0.5) and 0.25 + 1 (1 - 1 * 0.25)
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree, or the rate is not finite.
#[track_caller]
pub fn oja_per_unit(context: &mut Context, x: MatRef<'_>, z: MatRef<'_>, w: MatMut<'_>, update: &Update) {
    shapes_agree("oja_per_unit", x, z, &w);
    update.check("oja_per_unit");
    let (isa, units) = (context.isa(), z.cols());
    if x.rows() == 0 {
        return clamp_only(w, update);
    }
    let mut decay = vec![0.0; units];
    dispatch(isa, SquareSums { z, factor: -1.0, sums: &mut decay });
    inputs_times_gates(context, x, z, &decay, w, update);
}

/// `w += rate (X^T G + decay o w)`, for gates `g` [batch, units].
pub(super) fn inputs_times_gates(
    context: &mut Context,
    x: MatRef<'_>,
    g: MatRef<'_>,
    decay: &[f32],
    w: MatMut<'_>,
    update: &Update,
) {
    let (isa, batch, inputs, units) = (context.isa(), x.rows(), x.cols(), g.cols());
    if batch == 0 || inputs == 0 || units == 0 {
        return clamp_only(w, update);
    }
    let epilogue =
        Epilogue { scale: Some(update.scale(batch)), diagonal: Some(decay), non_negative: update.non_negative };
    if batch <= FEW && units > batch * FEWEST_UNITS {
        // Rows of w, each read and written once: that is the cost, whatever the batch.
        let threads = context.threads().for_work([TOUCHED, inputs, units]);
        return for_each(threads, w.row_blocks(CHUNK).enumerate(), |(index, w)| {
            dispatch(isa, FewRows { x, z: g, first: index * CHUNK, w, epilogue, from: From::Inputs });
        });
    }
    let threads = context.threads().for_work([batch, inputs, units]);
    if turned_sums_win(batch, units) {
        let (scale, non_negative) = (update.scale(batch), update.non_negative);
        return context.with_product(units, inputs, |context, sums| {
            matmul_tn(context, g, x, sums.view_mut(), Write::Replace);
            let sums = sums.view();
            for_each(threads, w.row_blocks(CHUNK).enumerate(), |(index, w)| {
                let sums = sums.columns(index * CHUNK..index * CHUNK + w.rows());
                dispatch(isa, TurnedSums { sums, decay, w, scale, non_negative });
            });
        });
    }
    let stride = batch.next_multiple_of(LANES);
    let [panels, chunks] = context.scratch([packed_len(batch, units), CHUNK * stride * threads.get()]);
    let panels = pack(isa, threads, g, false, batch, units, panels);
    for_each_with(
        threads,
        chunks.chunks_mut(CHUNK * stride),
        w.row_blocks(CHUNK).enumerate(),
        |scratch, (index, w)| {
            dispatch(isa, GatedChunk { x, first: index * CHUNK, panels, scratch, w, epilogue });
        },
    );
}

struct GatedChunk<'a, 'b, 'c> {
    x: MatRef<'a>,
    first: usize,
    panels: Panels<'a>,
    scratch: &'b mut [f32],
    w: MatMut<'c>,
    epilogue: Epilogue<'a>,
}

impl Kernel for GatedChunk<'_, '_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let x = transpose_columns(s, self.x, self.first, self.w.rows(), self.scratch);
        chunk_product(s, x, self.panels, &mut self.w, self.epilogue);
    }
}

/// Whether the sums are better turned than the inputs: measured at 100 to 10,000 inputs, 1 to 1000 samples, 1 to 2000 units.
fn turned_sums_win(batch: usize, units: usize) -> bool {
    units <= batch.clamp(FEWEST_UNITS, 100)
}

/// Units that sums are turned for, whatever the batch; of few samples rows of w win from as many for each.
const FEWEST_UNITS: usize = 24;

/// `w += scale (sums^T + decay o w)`, some rows of it.
struct TurnedSums<'a, 'b> {
    /// \[units, rows\]
    sums: MatRef<'a>,
    decay: &'a [f32],
    w: MatMut<'b>,
    scale: f32,
    non_negative: bool,
}

impl Kernel for TurnedSums<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let TurnedSums { sums, decay, mut w, scale, non_negative } = self;
        let (height, units) = (w.rows(), w.cols());
        let scale = s.splat(scale);
        let lowest = s.splat(if non_negative { 0.0 } else { f32::NEG_INFINITY });
        for row in (0..height).step_by(LANES) {
            for col in (0..units).step_by(LANES) {
                let (rows, cols) = (LANES.min(height - row), LANES.min(units - col));
                let sums = transpose_block(s, sums, col, cols, row, rows);
                let decay = s.load_partial(&decay[col..col + cols]);
                for i in 0..LANES {
                    if i < rows {
                        let to = &mut w.row_mut(row + i)[col..col + cols];
                        let old = s.load_partial(to);
                        let new = s.mul_add(scale, s.mul_add(decay, old, sums[i]), old);
                        // The operands' order keeps NaN.
                        s.store_partial(s.max(lowest, new), to);
                    }
                }
            }
        }
    }
}

/// `sums[j] = factor * sum_b z_bj^2`
pub(super) struct SquareSums<'a, 'b> {
    pub(super) z: MatRef<'a>,
    pub(super) factor: f32,
    pub(super) sums: &'b mut [f32],
}

impl Kernel for SquareSums<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        column_sums(s, self.z, self.factor, self.sums, |s, z, sum| s.mul_add(z, z, sum));
    }
}
