//! Oja's rules and Sanger's by Gram matrices: legal always, and wins where units are few beside samples and inputs.
//!
//! ```text
//! t = Z^T X, g = Z^T Z                                      dense products
//! for each 16 rows of w                                     in the lanes, turned there and back
//!   for each 4 units j
//!     for each unit k whose term j's residual has:  t_j -= g[k, j] w_k
//!     w_j += rate t_j
//! ```
//! batch units (inputs + units) + inputs units^2 multiply-adds, half of the last for Sanger's rule, where the [residual](super::residual) takes
//! 2 batch inputs units. Where weights or these sums are not finite, the residual is taken: what becomes of infinities depends on the order.

use super::{Terms, Update};
use crate::context::Context;
use crate::kernels::dense::blocked::{transpose_block, write_transposed};
use crate::kernels::dense::{Write, matmul_tn};
use crate::kernels::masked::FiniteRows;
use crate::matrix::{MatMut, MatRef};
use crate::parallel::for_each_with;
use crate::simd::{Isa, Kernel, LANES, Simd, dispatch};

/// Units whose sums are in registers at a time.
const GROUP: usize = 4;

/// Whether a batch of this shape, not empty, is better done this way: measured at 100 to 3072 inputs, 2 to 1000 samples, 1 to 400 units.
pub(super) fn wins(batch: usize, inputs: usize, units: usize, terms: Terms) -> bool {
    // Multiply-adds of what the Gram matrix costs, and of one of the residual's two products, for each unit.
    let (gram, product) = (units.saturating_mul(batch.saturating_add(inputs)), batch.saturating_mul(inputs));
    match terms {
        // Whose residual has inputs in its lanes too.
        Terms::UpToSelf => batch >= 16 && gram <= product / 10 * 7,
        // Whose residual has units in its lanes.
        Terms::All | Terms::Others => batch >= 2 && (units <= 10 || gram <= product / 5 * 3),
    }
}

/// Whether it was done: not if weights or sums are not finite, which the formula's order has to tell what becomes of.
pub(super) fn by_gram(
    context: &mut Context,
    x: MatRef<'_>,
    z: MatRef<'_>,
    w: MatMut<'_>,
    update: &Update,
    terms: Terms,
) -> bool {
    let (isa, batch, inputs, units) = (context.isa(), x.rows(), x.cols(), z.cols());
    if !all_finite(isa, w.as_ref()) {
        return false;
    }
    let threads = context.threads().for_work([units, units, inputs]);
    let scale = update.scale(batch);
    let (before, width) = (inputs.next_multiple_of(LANES), units.next_multiple_of(LANES));
    context.with_product(units, before + width, |context, products| {
        let (inputs_of, mut gram) = products.view_mut().split_columns(before);
        matmul_tn(context, z, x, inputs_of.columns(0..inputs), Write::Replace);
        matmul_tn(context, z, z, gram.reborrow().columns(0..units), Write::Replace);
        // Groups are whole.
        for unit in 0..units {
            gram.row_mut(unit)[units..].fill(0.0);
        }
        let products = products.view();
        let (t, gram) = (products.columns(0..inputs), products.columns(before..before + width));
        if !(all_finite(isa, t) && all_finite(isa, gram)) {
            return false;
        }
        let [old] = context.scratch([width * LANES * threads.get()]);
        for_each_with(threads, old.chunks_mut(width * LANES), w.row_blocks(LANES).enumerate(), |old, (index, w)| {
            let t = t.columns(index * LANES..index * LANES + w.rows());
            dispatch(isa, SixteenRows { t, gram, terms, old, w, scale, non_negative: update.non_negative });
        });
        true
    })
}

pub(super) fn all_finite(isa: Isa, matrix: MatRef<'_>) -> bool {
    // Without gaps it is one row, whose vectors are all whole but the last.
    let row = matrix.as_contiguous().and_then(|values| MatRef::new(values, 1, values.len()).ok());
    dispatch(isa, FiniteRows { x: row.unwrap_or(matrix) }).into_iter().all(|row| row)
}

struct SixteenRows<'a, 'b, 'c> {
    /// \[units, rows\]
    t: MatRef<'a>,
    /// \[units, units\], and zeros up to a whole vector.
    gram: MatRef<'a>,
    terms: Terms,
    /// The weights as they were, a unit in 16 lanes.
    old: &'b mut [f32],
    w: MatMut<'c>,
    scale: f32,
    non_negative: bool,
}

impl Kernel for SixteenRows<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let SixteenRows { t, gram, terms, old, mut w, scale, non_negative } = self;
        let (height, units) = (w.rows(), w.cols());
        let scale = s.splat(scale);
        let lowest = s.splat(if non_negative { 0.0 } else { f32::NEG_INFINITY });
        let old = old.as_chunks_mut::<LANES>().0;
        for col in (0..units).step_by(LANES) {
            let block = transpose_block(s, w.as_ref(), 0, height, col, LANES.min(units - col));
            for unit in 0..LANES {
                s.store(block[unit], &mut old[col + unit]);
            }
        }
        for col in (0..units).step_by(LANES) {
            let mut block = [[0.0; LANES]; LANES];
            for first in (col..units.min(col + LANES)).step_by(GROUP) {
                let mut rest = [s.zero(); GROUP];
                for j in 0..GROUP {
                    if first + j < units {
                        rest[j] = s.load_partial(t.row(first + j));
                    }
                }
                let end = units.min(first + GROUP);
                subtract(s, &old[..first], gram, 0, first, &mut rest);
                for (at, old) in old[first..end].iter().enumerate() {
                    let factors = &gram.row(first + at)[first..];
                    for j in 0..GROUP {
                        let counts = match terms {
                            Terms::All => true,
                            Terms::Others => at != j,
                            Terms::UpToSelf => at <= j,
                        };
                        if counts {
                            rest[j] = s.neg_mul_add(s.splat(factors[j]), s.load(old), rest[j]);
                        }
                    }
                }
                if terms != Terms::UpToSelf {
                    subtract(s, &old[end..units], gram, end, first, &mut rest);
                }
                for j in 0..GROUP {
                    // The operands' order keeps NaN.
                    let new = s.max(lowest, s.mul_add(scale, rest[j], s.load(&old[first + j])));
                    s.store(new, &mut block[first - col + j]);
                }
            }
            write_transposed(s, &block, &mut w, 0, height, col..units.min(col + LANES));
        }
    }
}

/// `rest[j] -= gram[k, first + j] old[k]` for units k from `start` on.
#[inline(always)]
fn subtract<S: Simd>(
    s: S,
    old: &[[f32; LANES]],
    gram: MatRef<'_>,
    start: usize,
    first: usize,
    rest: &mut [S::F32; GROUP],
) {
    let mut sums = *rest;
    for (at, old) in old.iter().enumerate() {
        let factors: &[f32; GROUP] = gram.row(start + at)[first..].first_chunk().expect("a group's units");
        let old = s.load(old);
        for j in 0..GROUP {
            sums[j] = s.neg_mul_add(s.splat(factors[j]), old, sums[j]);
        }
    }
    *rest = sums;
}
