//! Oja's rules by the residual, legal always; of few units [Gram matrices](super::gram) are faster.
//!
//! ```text
//! for each chunk of rows of w (inputs i)                     rows of w are independent: one visit to each
//!   r[i, b] = x[b, i] - sum_k w[i, k] z[b, k]                (X - Z W^T)^T
//!   w[i, j] += rate sum_b r[i, b] z[b, j]
//! ```
//! 2 batch inputs units multiply-adds, against batch units (units + inputs) + inputs units^2 for X^T Z - W (Z^T Z): 6.3 G
//! against 14.3 G at 784 inputs, 2000 units, batch 2000. The chunk and its residuals stay in L2 between the two products; z is
//! packed twice, once transposed, and shared by all chunks. Batches of up to [`FEW`](super::few::FEW) samples are bound by the
//! reading of w and go to [`few`](super::few), those of somewhat more and many units to
//! [`several`](super::several). From 512 samples on, the packed z leaves the caches, and the two products run one after the other over all rows.

use super::few::{FEW, FewRows, From};
use super::per_unit::SquareSums;
use super::several::{self, SeveralRows};
use super::{Terms, Update, gram, shapes_agree};
use crate::context::Context;
use crate::kernels::dense::blocked::{CHUNK, Epilogue, Panels, chunk_product, packed_len, transpose_columns};
use crate::kernels::dense::{BY_PANEL, ChunkProduct, by_panel, pack, panel_scratch, transpose_into};
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{TOUCHED, Threads, for_each, for_each_with};
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Oja's subspace rule: `w_ij += rate sum_b z_bj (x_bi - sum_k z_bk w_ik)`.
///
/// Cost: 2 batch inputs units multiply-adds; where units are few beside samples and inputs, below 0.6 / (1 / batch + 1 / inputs), a part of
/// `(1 + units / batch + units / inputs) / 2` of them, as the sums of `z_bj z_bk` over the batch are then taken first, in `f32`; so they are up to ten
/// units, where that may be more of them, but in whole vectors. Error: that of two dense products in sequence, each as
/// [`kernels::dense`](crate::kernels::dense) states it: with gamma = 2^-24, a new weight is within `1.01 (batch + units + 56) gamma` times
/// `|w_ij| + |rate| sum_b |z_bj| (|x_bi| + sum_k |z_bk w_ik|)` of the exact one, rate divided by the batch for a mean.
/// See [the module](super) for shapes, NaN and determinism; an empty batch only clamps.
///
/// Faster where most weights are zero: [`oja_subspace_sparse`](super::oja_subspace_sparse), below a density of some 20 %.
///
/// ```
/// use neuropil::kernels::hebbian::{Update, oja_subspace};
/// use neuropil::{Context, Matrix};
/// let (x, z) = (Matrix::from_slice(&[1.0], 1, 1)?, Matrix::from_slice(&[0.5, 1.0], 1, 2)?);
/// let mut w = Matrix::from_slice(&[0.5, 0.25], 1, 2)?;
/// let update = Update { rate: 1.0, ..Update::default() };
/// oja_subspace(&mut Context::new()?, x.view(), z.view(), w.view_mut(), &update);
/// // Both see what both leave, 1 - 0.5 * 0.5 - 1 * 0.25 = 0.5: 0.5 + 0.5 * 0.5, and 0.25 + 1 * 0.5.
/// assert_eq!(w.as_slice(), &[0.75, 0.75]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree, or the rate is not finite.
#[track_caller]
pub fn oja_subspace(context: &mut Context, x: MatRef<'_>, z: MatRef<'_>, w: MatMut<'_>, update: &Update) {
    shapes_agree("oja_subspace", x, z, &w);
    update.check("oja_subspace");
    by_residual(context, x, z, w, update, Terms::All);
}

/// Rule (2): the subspace rule without the unit's own term: `w_ij += rate sum_b z_bj (x_bi - sum_(k != j) z_bk w_ik)`.
///
/// For x \[batch, inputs\], z \[batch, units\], w \[inputs, units\]. It is computed as the subspace rule, with the unit's own term put back, or
/// left out where units are few.
///
/// Cost: as [`oja_subspace`], and one multiply-add a weight. Error: as there, the own term counted twice: within
/// `1.01 (batch + units + 56) gamma` times `|w_ij| + |rate| sum_b |z_bj| (|x_bi| + sum_k |z_bk w_ik| + |z_bj w_ij|)`.
/// The sums of `z_bj^2` over the batch are taken in `f32`: beyond 3.4e38 the term that is put back is infinite, and NaN of a weight of zero.
/// **NaN and infinity** spread as in [`oja_subspace`]: a weight that is not finite may reach its own unit too, by the term that is put back.
/// See [the module](super) for determinism; an empty batch only clamps.
///
/// ```
/// use neuropil::kernels::hebbian::{Update, oja_excluding_self};
/// use neuropil::{Context, Matrix};
/// let (x, z) = (Matrix::from_slice(&[1.0], 1, 1)?, Matrix::from_slice(&[0.5, 1.0], 1, 2)?);
/// let mut w = Matrix::from_slice(&[0.5, 0.25], 1, 2)?;
/// let update = Update { rate: 1.0, ..Update::default() };
/// oja_excluding_self(&mut Context::new()?, x.view(), z.view(), w.view_mut(), &update);
/// // Each sees what the other leaves: 0.5 (1 - 1 * 0.25) and 1 (1 - 0.5 * 0.5).
/// assert_eq!(w.as_slice(), &[0.875, 1.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree, or the rate is not finite.
#[track_caller]
pub fn oja_excluding_self(context: &mut Context, x: MatRef<'_>, z: MatRef<'_>, w: MatMut<'_>, update: &Update) {
    shapes_agree("oja_excluding_self", x, z, &w);
    update.check("oja_excluding_self");
    by_residual(context, x, z, w, update, Terms::Others);
}

fn by_residual(context: &mut Context, x: MatRef<'_>, z: MatRef<'_>, mut w: MatMut<'_>, update: &Update, terms: Terms) {
    let (isa, batch, inputs, units) = (context.isa(), x.rows(), x.cols(), z.cols());
    if batch == 0 || units == 0 {
        return clamp_only(w, update);
    }
    if gram::wins(batch, inputs, units, terms) && gram::by_gram(context, x, z, w.reborrow(), update, terms) {
        return;
    }
    // The excluded term is put back: + w_ij sum_b z_bj^2.
    let squares = (terms == Terms::Others).then(|| {
        let mut sums = vec![0.0; units];
        dispatch(isa, SquareSums { z, factor: 1.0, sums: &mut sums });
        sums
    });
    let epilogue =
        Epilogue { scale: Some(update.scale(batch)), diagonal: squares.as_deref(), non_negative: update.non_negative };
    if batch <= FEW {
        of_few(context, x, z, w, epilogue);
    } else if several::wins(batch, units) {
        of_several(context, x, z, w, epilogue);
    } else if batch < MANY {
        by_chunks(context, x, z, w, epilogue);
    } else {
        by_products(context, x, z, w, epilogue);
    }
}

/// Rows of w, each read and written once: that is the cost, whatever the batch.
fn of_few(context: &mut Context, x: MatRef<'_>, z: MatRef<'_>, w: MatMut<'_>, epilogue: Epilogue<'_>) {
    let (isa, threads) = (context.isa(), context.threads().for_work([TOUCHED, x.cols(), z.cols()]));
    for_each(threads, w.row_blocks(CHUNK).enumerate(), |(index, w)| {
        dispatch(isa, FewRows { x, z, first: index * CHUNK, w, epilogue, from: From::Residuals });
    });
}

/// The threads for two products.
fn threads_for(context: &Context, x: MatRef<'_>, z: MatRef<'_>) -> Threads {
    context.threads().for_work([2, x.rows(), x.cols(), z.cols()])
}

fn of_several(context: &mut Context, x: MatRef<'_>, z: MatRef<'_>, w: MatMut<'_>, epilogue: Epilogue<'_>) {
    let (isa, threads, batch, units) = (context.isa(), threads_for(context, x, z), x.rows(), z.cols());
    let len = several::scratch_len(batch);
    let [z_plain, sums] = context.scratch([packed_len(batch, units), len * threads.get()]);
    let panels = pack(isa, threads, z, false, batch, units, z_plain);
    for_each_with(threads, sums.chunks_mut(len), w.row_blocks(CHUNK).enumerate(), |scratch, (index, w)| {
        dispatch(isa, SeveralRows { x, z, panels, first: index * CHUNK, w, epilogue, scratch });
    });
}

/// The residuals of a chunk of rows of w at a time, and what they change of these.
fn by_chunks(context: &mut Context, x: MatRef<'_>, z: MatRef<'_>, w: MatMut<'_>, epilogue: Epilogue<'_>) {
    let (isa, threads, batch, units) = (context.isa(), threads_for(context, x, z), x.rows(), z.cols());
    let (stride, chunk) = (batch.next_multiple_of(LANES), if batch < 64 { CHUNK } else { 2 * CHUNK });
    let [z_transposed, z_plain, residuals] =
        context.scratch([packed_len(units, batch), packed_len(batch, units), chunk * stride * threads.get()]);
    let z_transposed = pack(isa, threads, z, true, units, batch, z_transposed);
    let z_plain = pack(isa, threads, z, false, batch, units, z_plain);
    for_each_with(
        threads,
        residuals.chunks_mut(chunk * stride),
        w.row_blocks(chunk).enumerate(),
        |scratch, (index, w)| {
            dispatch(isa, ResidualChunk { x, z_transposed, z_plain, first: index * chunk, scratch, w, epilogue });
        },
    );
}

/// All residuals, and then what they change: two products in sequence.
fn by_products(context: &mut Context, x: MatRef<'_>, z: MatRef<'_>, w: MatMut<'_>, epilogue: Epilogue<'_>) {
    let (isa, threads) = (context.isa(), threads_for(context, x, z));
    let (batch, inputs, units) = (x.rows(), x.cols(), z.cols());
    let (stride, by_rows) = (batch.next_multiple_of(LANES), units < BY_PANEL);
    let second = if by_rows { packed_len(batch, units) } else { panel_scratch(batch, threads) };
    let [residual, packed] = context.scratch([inputs * stride, panel_scratch(units, threads).max(second)]);
    let mut residual = MatMut::with_stride(residual, inputs, batch, stride).expect("scratch for the residuals");
    transpose_into(isa, threads, x, residual.reborrow());
    by_panel(isa, threads, w.as_ref(), z, true, residual.reborrow(), Epilogue::add(-1.0), None, packed);
    let residual = residual.as_ref();
    if !by_rows {
        return by_panel(isa, threads, residual, z, false, w, epilogue, None, packed);
    }
    // As a dense product of so few columns: there would be fewer panels of units than threads.
    let panels = pack(isa, threads, z, false, batch, units, packed);
    for_each(threads, w.row_blocks(CHUNK).enumerate(), |(index, w)| {
        dispatch(isa, ChunkProduct { a: residual, first: index * CHUNK, panels, c: w, epilogue });
    });
}

/// Batches from which two products in sequence win over one visit to each row: the packed z no longer fits the caches.
pub(crate) const MANY: usize = 512;

/// A batch of nothing changes nothing, but the clamp still holds afterwards.
pub(super) fn clamp_only(mut w: MatMut<'_>, update: &Update) {
    // However many rows of nothing there are.
    if update.non_negative && w.cols() > 0 {
        for row in 0..w.rows() {
            for value in w.row_mut(row) {
                if *value < 0.0 {
                    *value = 0.0;
                }
            }
        }
    }
}

struct ResidualChunk<'a, 'b, 'c> {
    x: MatRef<'a>,
    z_transposed: Panels<'a>,
    z_plain: Panels<'a>,
    first: usize,
    scratch: &'b mut [f32],
    w: MatMut<'c>,
    epilogue: Epilogue<'a>,
}

impl Kernel for ResidualChunk<'_, '_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (rows, batch) = (self.w.rows(), self.x.rows());
        transpose_columns(s, self.x, self.first, rows, self.scratch);
        let stride = batch.next_multiple_of(LANES);
        let mut residual = MatMut::with_stride(self.scratch, rows, batch, stride).expect("scratch for the residuals");
        chunk_product(s, self.w.as_ref(), self.z_transposed, &mut residual, Epilogue::add(-1.0));
        chunk_product(s, residual.as_ref(), self.z_plain, &mut self.w, self.epilogue);
    }
}
