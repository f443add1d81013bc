//! Oja's subspace rule for weights most of which are zero: legal for any, and wins below a density of some 20 %, which is where
//! non-negative training leaves them.
//!
//! ```text
//! r = x - z w^T                        by the weights that are not zero                                  (1)
//! for each input i that some sample asks more of (r[b, i] > 0)
//!   w[i, ..] = max(0, w[i, ..] + rate sum_b r[b, i] z[b, ..])              a dense product
//! for each other input                                                                                   (2)
//!   the same where w[i, j] is not zero                                     sampled at the non-zeros
//! ```
//! 1. A tenth of the dense product's multiply-adds at the density of a trained layer.
//! 2. With activities of at least zero these sums are at most zero: a weight that is zero stays so under the clamp, and need not
//!    be computed. On MNIST that is every input that is black throughout the batch: a fifth of them. Unless the update clamps, there
//!    are no such inputs.

use super::residual::clamp_only;
use super::{Update, shapes_agree};
use crate::context::Context;
use crate::kernels::dense::{self, Write};
use crate::kernels::masked::{Pattern, SparseMatrix, sampled_product, sparse_matmul_nt};
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{Threads, for_each};
use crate::simd::{Isa, Kernel, LANES, Simd, dispatch};

/// Reused memory of [`oja_subspace_sparse`]; grows with the first calls.
#[derive(Clone, Debug, Default)]
pub struct SparseWorkspace {
    residual: Vec<f32>,
    part: Vec<f32>,
    values: Vec<f32>,
}

/// [`oja_subspace`](super::oja_subspace) for a `w` most of whose weights are zero; `sparse` is `w`, compressed
/// ([`SparseMatrix::compress`]), as it also serves the product `x w` that gave the activities.
///
/// Faster than `oja_subspace` below a density of some 20 %, which is where non-negative training leaves weights; legal for any. What is left
/// out is what the clamp would undo, so an update without it gains only in the residuals.
///
/// For x \[batch, inputs\], z \[batch, units\], w and sparse \[inputs, units\]. An empty batch changes nothing, but clamps all the same.
///
/// Cost: batch x non-zeros multiply-adds for the residuals, and at most batch inputs units for the update: inputs without a positive
/// residual cost only batch x their non-zeros if `z >= 0` and the update clamps. Error: as of `oja_subspace`, of which the order of
/// sums differs, so the bits do too; they are the same on every instruction set and for any number of threads. A NaN or an infinity
/// that only meets weights of zero does not reach the residuals.
///
/// Memory: the workspace keeps batch x inputs residuals, and once more those of inputs without a positive one, with a number for each of their
/// non-zeros; two numbers an input and the pattern of these non-zeros are allocated by each call.
///
/// ```
/// use neuropil::kernels::hebbian::{Reduction, SparseWorkspace, Update, oja_subspace_sparse};
/// use neuropil::kernels::masked::SparseMatrix;
/// use neuropil::{Context, Matrix};
/// let mut context = Context::new()?;
/// let (x, z) = (Matrix::from_slice(&[1.0, 0.0], 1, 2)?, Matrix::from_slice(&[0.5, 1.0], 1, 2)?);
/// let mut w = Matrix::from_slice(&[0.5, 0.0, 0.5, 0.0], 2, 2)?;
/// let sparse = SparseMatrix::compress(&mut context, w.view())?;
/// let update = Update { rate: 1.0, reduction: Reduction::Mean, non_negative: true };
/// oja_subspace_sparse(&mut context, x.view(), z.view(), &sparse, w.view_mut(), &update, &mut SparseWorkspace::default());
/// assert_eq!(w.as_slice(), &[0.875, 0.75, 0.375, 0.0]); // residuals 0.75 and -0.25
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree, or the rate is not finite.
#[track_caller]
pub fn oja_subspace_sparse(
    context: &mut Context,
    x: MatRef<'_>,
    z: MatRef<'_>,
    sparse: &SparseMatrix,
    mut w: MatMut<'_>,
    update: &Update,
    workspace: &mut SparseWorkspace,
) {
    shapes_agree("oja_subspace_sparse", x, z, &w);
    update.check("oja_subspace_sparse");
    let shape = (sparse.rows(), sparse.cols());
    assert!(
        shape == (w.rows(), w.cols()),
        "oja_subspace_sparse: w is {} x {}, compressed {shape:?}",
        w.rows(),
        w.cols()
    );
    let (batch, inputs, units) = (x.rows(), x.cols(), z.cols());
    if batch == 0 || units == 0 {
        return clamp_only(w, update);
    }
    let SparseWorkspace { residual, part, values } = workspace;
    let mut residual = matrix(residual, batch, inputs);
    residual.copy_from(x);
    sparse_matmul_nt(context, z, sparse, residual.reborrow(), Write::Add(-1.0));
    let residual = residual.as_ref();

    let scale = update.scale(batch);
    let write = if update.non_negative { Write::AddNonNegative(scale) } else { Write::Add(scale) };
    let (isa, threads) = (context.isa(), context.threads().for_work([32, batch, units]));
    let mut falling = vec![0.0; inputs];
    if update.non_negative && scale >= 0.0 && all_activities(isa, threads, z) {
        dispatch(isa, Falling { residual, falling: &mut falling });
    }
    let few = falling.iter().filter(|&&falling| falling != 0.0).count() * FEW < inputs;
    if few {
        return dense::matmul_tn(context, residual, z, w, write);
    }
    let (fall, rise): (Vec<u32>, Vec<u32>) = (0..inputs as u32).partition(|&input| falling[input as usize] != 0.0);

    dense::matmul_tn_rows(context, residual, z, &rise, w.reborrow(), write);

    let fallen = take_columns(residual, &fall, matrix(part, batch, fall.len()));
    let pattern = rows_of(sparse.pattern(), &fall);
    values.resize(pattern.entries(), 0.0);
    sampled_product(context, fallen.as_ref(), z, &pattern, values);
    for (row, &input) in fall.iter().enumerate() {
        let w = w.row_mut(input as usize);
        for (&unit, &sum) in pattern.row(row).iter().zip(&values[pattern.range(row)]) {
            let w = &mut w[unit as usize];
            let new = scale.mul_add(sum, *w);
            // The comparison keeps NaN.
            *w = if new < 0.0 { 0.0 } else { new };
        }
    }
}

/// Fewer falling inputs than one in so many are not worth being told apart.
const FEW: usize = 20;

/// Whether all values are finite and at least zero.
fn all_activities(isa: Isa, threads: Threads, z: MatRef<'_>) -> bool {
    const ROWS: usize = 64;
    let mut blocks = vec![false; z.rows().div_ceil(ROWS)];
    for_each(threads, blocks.iter_mut().enumerate(), |(index, block)| {
        *block = dispatch(isa, Activities(z.rows_range(index * ROWS..z.rows().min((index + 1) * ROWS))));
    });
    blocks.iter().all(|&block| block)
}

struct Activities<'a>(MatRef<'a>);

impl Kernel for Activities<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> bool {
        let mut others = s.zero();
        for row in 0..self.0.rows() {
            let (vectors, rest) = self.0.row(row).as_chunks();
            for vector in vectors {
                others = mark(s, s.load(vector), others);
            }
            if !rest.is_empty() {
                others = mark(s, s.load_partial(rest), others);
            }
        }
        s.reduce_max(others) == 0.0
    }
}

/// One in the lanes of values that are not finite and at least zero; the others as they were.
#[inline(always)]
fn mark<S: Simd>(s: S, value: S::F32, others: S::F32) -> S::F32 {
    let small = s.select(s.le(value, s.splat(f32::MAX)), others, s.splat(1.0));
    s.select(s.le(s.zero(), value), small, s.splat(1.0))
}

/// One for each column all of whose values are finite and at most zero, else zero.
struct Falling<'a, 'b> {
    residual: MatRef<'a>,
    falling: &'b mut [f32],
}

impl Kernel for Falling<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (falling, falling_rest) = self.falling.as_chunks_mut();
        falling.fill([1.0; LANES]);
        falling_rest.fill(1.0);
        let (zero, lowest) = (s.zero(), s.splat(f32::MIN));
        let both = |value, falling| s.select(s.le(value, zero), s.select(s.le(lowest, value), falling, zero), zero);
        for row in 0..self.residual.rows() {
            let (vectors, rest) = self.residual.row(row).as_chunks();
            for (value, falling) in vectors.iter().zip(falling.iter_mut()) {
                let kept = both(s.load(value), s.load(falling));
                s.store(kept, falling);
            }
            if !rest.is_empty() {
                let kept = both(s.load_partial(rest), s.load_partial(falling_rest));
                s.store_partial(kept, falling_rest);
            }
        }
    }
}

/// `to[b, k] = from[b, columns[k]]`
fn take_columns<'a>(from: MatRef<'_>, columns: &[u32], mut to: MatMut<'a>) -> MatMut<'a> {
    for row in 0..from.rows() {
        let from = from.row(row);
        for (to, &column) in to.row_mut(row).iter_mut().zip(columns) {
            *to = from[column as usize];
        }
    }
    to
}

/// The pattern's rows in this order.
fn rows_of(pattern: &Pattern, rows: &[u32]) -> Pattern {
    let (mut offsets, mut indices) = (vec![0], Vec::new());
    for &row in rows {
        indices.extend_from_slice(pattern.row(row as usize));
        offsets.push(indices.len() as u32);
    }
    Pattern::new(rows.len(), pattern.cols(), offsets, indices).expect("rows of a valid pattern")
}

/// A matrix of this shape in reused memory, holding whatever it held.
fn matrix(memory: &mut Vec<f32>, rows: usize, cols: usize) -> MatMut<'_> {
    memory.resize(memory.len().max(rows * cols), 0.0);
    MatMut::new(&mut memory[..rows * cols], rows, cols).expect("as many values as the shape has")
}
