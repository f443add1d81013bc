//! Independent component analysis by the natural gradient: two dense products by the samples, or where units are few by a Gram matrix.
//!
//! ```text
//! r = Z W^T                w -= rate (r^T F - batch w)       2 batch inputs units multiply-adds
//! g = Z^T F, d = W g       w += rate (batch w - d)           (batch + inputs) units^2
//! ```
//! Where weights or the Gram matrix are not finite, the samples are gone through: what becomes of infinities depends on the order.

use super::gram::all_finite;
use super::per_unit::inputs_times_gates;
use super::residual::clamp_only;
use super::{Reduction, Update};
use crate::context::Context;
use crate::kernels::dense::{Write, matmul, matmul_nt, matmul_tn};
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{ITEM_VALUES, TOUCHED, for_each};
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Independent component analysis by the natural gradient: `w_ij += rate sum_b (w_ij - f_bj sum_k z_bk w_ik)`.
///
/// For z \[batch, units\], f \[batch, units\], w \[inputs, units\]: z = x w, and f = phi(z) whatever nonlinearity phi the caller has for the
/// sources: [`tanh`](crate::kernels::activation::tanh) where they have heavier tails than a Gaussian, z^3 where they have lighter ones. In matrices
/// `dW = W (I - Z^T phi(Z))`, of Amari, Cichocki and Yang, Advances in Neural Information Processing Systems 8, 1996; it is FastHebb's ICA.
/// As many units as inputs tell all sources apart; inputs are centred beforehand.
///
/// Cost: 2 batch inputs units multiply-adds, or (batch + inputs) units^2 where these are fewer; w is read twice and written once or twice. Scratch: batch
/// inputs values, or units (inputs + units), and what the products take. Error: with gamma = 2^-24, a new weight is within
/// `1.01 (batch + units + 56) gamma` times `|w_ij| + |rate| sum_b (|w_ij| + |f_bj| sum_k |z_bk w_ik|)` of the exact one, rate divided by
/// the batch for a mean; batch times a weight is taken in `f32`, and infinite beyond 3.4e38. See [the module](super) for NaN and determinism. An empty batch only clamps.
///
/// ```
/// use neuropil::kernels::hebbian::{Update, ica};
/// use neuropil::{Context, Matrix};
/// let (z, f) = (Matrix::from_slice(&[1.0, 0.5], 1, 2)?, Matrix::from_slice(&[0.5, 1.0], 1, 2)?);
/// let mut w = Matrix::from_slice(&[0.5, 0.25], 1, 2)?;
/// let update = Update { rate: 1.0, ..Update::default() };
/// ica(&mut Context::new()?, z.view(), f.view(), w.view_mut(), &update);
/// // Both see 1 * 0.5 + 0.5 * 0.25 = 0.625: 0.5 + 0.5 - 0.5 * 0.625, and 0.25 + 0.25 - 0.625.
/// assert_eq!(w.as_slice(), &[0.6875, -0.125]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree, or the rate is not finite.
#[track_caller]
pub fn ica(context: &mut Context, z: MatRef<'_>, f: MatRef<'_>, mut w: MatMut<'_>, update: &Update) {
    let (batch, inputs, units) = (z.rows(), w.rows(), w.cols());
    assert!(
        z.cols() == units && f.rows() == batch && f.cols() == units,
        "ica: z is {batch} x {}, f is {} x {}, w is {inputs} x {units}",
        z.cols(),
        f.rows(),
        f.cols()
    );
    update.check("ica");
    if batch == 0 || inputs == 0 || units == 0 {
        return clamp_only(w, update);
    }
    if gram_wins(batch, inputs, units) && by_gram(context, z, f, w.reborrow(), update) {
        return;
    }
    context.with_product(batch, inputs, |context, left| {
        matmul_nt(context, z, w.as_ref(), left.view_mut(), Write::Replace);
        // Less rate (r^T F - batch w): growth in the pass of what is taken.
        let (growth, update) = (vec![-(batch as f32); units], Update { rate: -update.rate, ..*update });
        inputs_times_gates(context, left.view(), f, &growth, w, &update);
    });
}

/// Whether units are so few that products of activities come first.
fn gram_wins(batch: usize, inputs: usize, units: usize) -> bool {
    units.saturating_mul(batch.saturating_add(inputs)) <= batch.saturating_mul(inputs).saturating_mul(2)
}

/// Whether it was done: not if weights or sums are not finite.
fn by_gram(context: &mut Context, z: MatRef<'_>, f: MatRef<'_>, w: MatMut<'_>, update: &Update) -> bool {
    let (isa, batch, inputs, units) = (context.isa(), z.rows(), w.rows(), w.cols());
    if !all_finite(isa, w.as_ref()) {
        return false;
    }
    context.with_product(units + inputs, units, |context, products| {
        let (mut gram, mut taken) = products.view_mut().split_rows(units);
        matmul_tn(context, z, f, gram.reborrow(), Write::Replace);
        if !all_finite(isa, gram.as_ref()) {
            return false;
        }
        matmul(context, w.as_ref(), gram.as_ref(), taken.reborrow(), Write::Replace);
        grow(context, w, update, batch, taken.as_ref());
        true
    })
}

/// `w += rate (batch w - taken)`, rate divided by the batch for a mean, clamped.
fn grow(context: &Context, w: MatMut<'_>, update: &Update, batch: usize, taken: MatRef<'_>) {
    let growth = match update.reduction {
        Reduction::Mean => update.rate,
        Reduction::Sum => update.rate * batch as f32,
    };
    let (scale, non_negative) = (update.scale(batch), update.non_negative);
    let isa = context.isa();
    let threads = context.threads().for_work([w.rows(), w.cols(), TOUCHED]);
    let block = ITEM_VALUES.div_ceil(w.cols());
    for_each(threads, w.row_blocks(block).enumerate(), |(index, w)| {
        let taken = taken.rows_range(index * block..index * block + w.rows());
        dispatch(isa, Grow { growth, scale, taken, non_negative, w });
    });
}

struct Grow<'a, 'b> {
    growth: f32,
    scale: f32,
    taken: MatRef<'a>,
    non_negative: bool,
    w: MatMut<'b>,
}

impl Kernel for Grow<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Grow { growth, scale, taken, non_negative, mut w } = self;
        // Not as a product with one and a bit, whose rounding would be the same for all weights.
        let (growth, scale) = (s.splat(growth), s.splat(scale));
        let lowest = s.splat(if non_negative { 0.0 } else { f32::NEG_INFINITY });
        for row in 0..w.rows() {
            for (v, w) in w.row_mut(row).chunks_mut(LANES).enumerate() {
                let old = s.load_partial(w);
                let taken = s.load_partial(&taken.row(row)[v * LANES..][..w.len()]);
                let new = s.neg_mul_add(scale, taken, s.mul_add(growth, old, old));
                s.store_partial(s.max(lowest, new), w);
            }
        }
    }
}
