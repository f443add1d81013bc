//! Sanger's rule as its formula stands, legal always; of few units [Gram matrices](super::gram) are faster.
//!
//! ```text
//! for each 16 rows of w                                  one in each lane
//!   r[b] = x[b]                                          what the units so far have left of each sample
//!   for each 16 units, in order                          transposed in registers, there and back
//!     for each 4 of them                                 2 where registers are few                             (1)
//!       for each sample b, and each of these units j
//!         r[b]  -= z[b, j] w_j
//!         step_j += z[b, j] r[b]
//!       w_j += rate step_j
//! ```
//! 1. So many sums side by side hide that each waits for its own, and r is loaded and stored once for all of them.
//!
//! Every sum is one chain, over the units or over the samples, in order: so neither the instruction set nor the threads show in the bits.

use super::residual::clamp_only;
use super::{Terms, Update, gram, shapes_agree};
use crate::context::Context;
use crate::kernels::dense::PackPanel;
use crate::kernels::dense::blocked::transpose_block;
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{TOUCHED, for_each, for_each_with};
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Sanger's rule (generalised Hebbian algorithm): `w_ij += rate sum_b z_bj (x_bi - sum_(k <= j) z_bk w_ik)`.
///
/// For x \[batch, inputs\], z \[batch, units\], w \[inputs, units\]. The activities are whatever the caller makes of x w: with ReLU or tanh it is
/// the nonlinear Hebbian principal component analysis (HPCA) of FastHebb.
///
/// Cost: 2 batch inputs units multiply-adds, the reading and writing of w, and a copy of z; from 16 samples on, where units are few beside samples and
/// inputs, below 0.7 / (1 / batch + 1 / inputs), a part of `(1 + units / batch + units / (2 inputs)) / 2` of them: the sums of `z_bj z_bk` over the batch are then taken first, in `f32`. Error: with gamma = 2^-24, a new weight is within
/// `1.01 (batch + units + 4) gamma` times `|w_ij| + |rate| sum_b |z_bj| (|x_bi| + sum_(k <= j) |z_bk w_ik|)` of the exact one, rate divided by
/// the batch for a mean. A weight that is NaN or infinite reaches no unit before it; else see [the module](super) for NaN and determinism. An
/// empty batch only clamps.
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
pub fn sanger(context: &mut Context, x: MatRef<'_>, z: MatRef<'_>, mut w: MatMut<'_>, update: &Update) {
    shapes_agree("sanger", x, z, &w);
    update.check("sanger");
    let (isa, batch, inputs, units) = (context.isa(), x.rows(), x.cols(), z.cols());
    if batch == 0 || units == 0 {
        return clamp_only(w, update);
    }
    if gram::wins(batch, inputs, units, Terms::UpToSelf)
        && gram::by_gram(context, x, z, w.reborrow(), update, Terms::UpToSelf)
    {
        return;
    }
    let threads = context.threads().for_work([TOUCHED.max(batch.saturating_mul(2)), inputs, units]);
    let [z_packed, left] = context.scratch([units.next_multiple_of(LANES) * batch, batch * LANES * threads.get()]);
    // The samples' activities of 16 units each, zeros behind the last unit.
    let z_packed = z_packed.as_chunks_mut::<LANES>().0;
    for_each(threads, z_packed.chunks_mut(batch).enumerate(), |(first, to)| {
        dispatch(isa, PackPanel { b: z, transposed: false, first, width: 1, to });
    });
    let z = &*z_packed;
    for_each_with(threads, left.chunks_mut(batch * LANES), w.row_blocks(LANES).enumerate(), |left, (index, w)| {
        let x = x.columns(index * LANES..index * LANES + w.rows());
        dispatch(isa, SixteenRows { x, z, left, w, update: *update });
    });
}

struct SixteenRows<'a, 'b, 'c> {
    x: MatRef<'a>,
    /// Packed.
    z: &'a [[f32; LANES]],
    left: &'b mut [f32],
    w: MatMut<'c>,
    update: Update,
}

impl Kernel for SixteenRows<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if S::REGISTERS < 32 { self.rows::<S, 2>(s) } else { self.rows::<S, 4>(s) }
    }
}

impl SixteenRows<'_, '_, '_> {
    #[inline(always)]
    fn rows<S: Simd, const UNITS: usize>(self, s: S) {
        let SixteenRows { x, z, left, mut w, update } = self;
        let (batch, height, units) = (x.rows(), w.rows(), w.cols());
        let rate = s.splat(update.scale(batch));
        let lowest = s.splat(if update.non_negative { 0.0 } else { f32::NEG_INFINITY });
        let left = left.as_chunks_mut::<LANES>().0;
        for (left, x) in left.iter_mut().zip(x.iter_rows()) {
            s.store(s.load_partial(x), left);
        }
        for (slab, z) in z.chunks_exact(batch).enumerate() {
            let col = slab * LANES;
            let width = LANES.min(units - col);
            let mut block = transpose_block(s, w.as_ref(), 0, height, col, width);
            // Behind the last unit weights and activities are zero, and take nothing.
            for (group, weights) in block.as_chunks_mut::<UNITS>().0.iter_mut().enumerate() {
                let mut steps = [s.zero(); UNITS];
                for (left, z) in left.iter_mut().zip(z) {
                    let z: &[f32; UNITS] = z[group * UNITS..].first_chunk().expect("a group's units");
                    let mut rest = s.load(left);
                    for j in 0..UNITS {
                        let z = s.splat(z[j]);
                        rest = s.neg_mul_add(z, weights[j], rest);
                        steps[j] = s.mul_add(z, rest, steps[j]);
                    }
                    s.store(rest, left);
                }
                for j in 0..UNITS {
                    // The operands' order keeps NaN.
                    weights[j] = s.max(lowest, s.mul_add(rate, steps[j], weights[j]));
                }
            }
            let lines = s.transpose(block);
            for i in 0..LANES {
                if i < height {
                    s.store_partial(lines[i], &mut w.row_mut(i)[col..col + width]);
                }
            }
        }
    }
}
