//! Hebbian updates, batched: each changes the weights in place by a sum over the batch of products of inputs and activities.
//!
//! With x \[batch, inputs\], z \[batch, units\], w \[inputs, units\], and `rate` divided by the batch size for
//! [`Reduction::Mean`], the update of `w[i, j]` is `rate` times
//!
//! | function | sum over the batch of | source |
//! |---|---|---|
//! | [`oja_subspace`] | `z_j (x_i - sum_k z_k w_ik)` | Oja, Int. J. Neural Systems 1(1), 1989 |
//! | [`oja_subspace_sparse`] | the same, for weights most of which are zero | |
//! | [`oja_excluding_self`] | `z_j (x_i - sum_(k != j) z_k w_ik)` | Stricker et al., IJCNN 2024, rule (2) |
//! | [`sanger`] | `z_j (x_i - sum_(k <= j) z_k w_ik)` | Sanger, Neural Networks 2(6), 1989 |
//! | [`oja_per_unit`] | `z_j (x_i - z_j w_ij)` | Oja, J. Math. Biology 15, 1982 |
//! | [`ica`] | `w_ij - phi(z_j) sum_k z_k w_ik`, with z = x w | Amari et al., NIPS 8, 1996 |
//! | [`winner_take_all`] | `g_j (x_i - sgn(z_j) w_ij)`, g the outcome of a [`Competition`] | Lagani et al., Neurocomputing 595, 2024 |
//! | [`krotov_hopfield`] | see there; its weights are \[units, inputs\] | Krotov and Hopfield, PNAS 116(16), 2019 |
//!
//! All weights on the right are those before the call. `non_negative` then clamps every weight at zero in the same pass. An empty batch
//! changes nothing, whatever the reduction, but clamps all the same.
//!
//! Which units win a competition, and how much of each sample they get, [`gates`] tells by itself.
//!
//! **Determinism.** Each weight's sums run in a fixed order, whatever the threads and the instruction set: the bits are the same.
//! **NaN and infinity** in data spread as the formulas say; a NaN weight stays NaN under the clamp. A NaN activity never wins a hard competition;
//! a soft one it makes NaN for all units. A rate that is NaN or infinite panics.
//! **Scratch** comes from the [`Context`](crate::Context), for `ica` as it says, else: about `2 batch units` values; from 512 samples on
//! `inputs batch` and a few panels, of fewer than 384 units z once more, where one product follows the other (`oja_subspace`,
//! `oja_excluding_self`); where units are few, `units (inputs + units)` and a copy of z and a panel of x. Beside it each call allocates a number a
//! unit in `oja_per_unit` and `oja_excluding_self`, two gates a sample in `krotov_hopfield`, and in `winner_take_all` who has won what, or the gates
//! of a soft competition, as it says.
//!
//! ```
//! use neuropil::kernels::hebbian::{Reduction, Update, oja_subspace};
//! use neuropil::{Context, Matrix};
//! // One unit on one input direction: Oja's rule finds the direction and keeps its length at one.
//! let x = Matrix::from_slice(&[0.6, 0.8], 1, 2)?;
//! let mut w = Matrix::from_slice(&[0.5, 0.1], 2, 1)?;
//! let update = Update { rate: 0.5, reduction: Reduction::Mean, non_negative: false };
//! let mut context = Context::new()?;
//! for _ in 0..100 {
//!     let z = Matrix::from_slice(&[0.6 * w[(0, 0)] + 0.8 * w[(1, 0)]], 1, 1)?;
//!     oja_subspace(&mut context, x.view(), z.view(), w.view_mut(), &update);
//! }
//! assert!((w[(0, 0)] - 0.6).abs() < 1e-5 && (w[(1, 0)] - 0.8).abs() < 1e-5);
//! # Ok::<(), neuropil::Error>(())
//! ```

mod competition;
mod few;
mod gram;
mod ica;
mod krotov_hopfield;
mod per_unit;
pub mod reference;
mod residual;
mod sanger;
mod several;
mod sparse;

pub use competition::{Competition, gates, winner_take_all};
pub use ica::ica;
pub use krotov_hopfield::{KrotovHopfield, MAX_P, MAX_RANK, krotov_hopfield};
pub use per_unit::oja_per_unit;
pub(crate) use residual::MANY;
pub use residual::{oja_excluding_self, oja_subspace};
pub use sanger::sanger;
pub use sparse::{SparseWorkspace, oja_subspace_sparse};

use super::finite;
use crate::matrix::{MatMut, MatRef};
use crate::simd::{LANES, Simd};

/// How the samples of a batch are combined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "systems", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Reduction {
    /// Their mean: the rate does not depend on the batch size.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

/// What all batched updates share.
///
/// ```
/// use neuropil::kernels::hebbian::{Reduction, Update};
/// let update = Update { rate: 0.05, ..Update::default() };
/// assert_eq!(update, Update { rate: 0.05, reduction: Reduction::Mean, non_negative: false });
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "systems", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Update {
    /// The learning rate eta: a finite number.
    pub rate: f32,
    /// Mean or sum over the batch.
    pub reduction: Reduction,
    /// Clamp negative weights to zero after the update; NaN stays NaN.
    pub non_negative: bool,
}

impl Default for Update {
    /// A rate of 0.01 on the mean, without the clamp.
    fn default() -> Self {
        Update { rate: 0.01, reduction: Reduction::Mean, non_negative: false }
    }
}

impl Update {
    #[track_caller]
    fn check(&self, kernel: &str) {
        finite(kernel, "rate", self.rate);
    }

    /// The factor of a sum over `batch` samples.
    pub(crate) fn scale(&self, batch: usize) -> f32 {
        match self.reduction {
            Reduction::Mean => self.rate / batch as f32,
            Reduction::Sum => self.rate,
        }
    }
}

#[track_caller]
fn shapes_agree(name: &str, x: MatRef<'_>, z: MatRef<'_>, w: &MatMut<'_>) {
    assert!(
        x.rows() == z.rows() && w.rows() == x.cols() && w.cols() == z.cols(),
        "{name}: x is {} x {}, z is {} x {}, w is {} x {}",
        x.rows(),
        x.cols(),
        z.rows(),
        z.cols(),
        w.rows(),
        w.cols()
    );
}

/// Which units' terms the residual of a unit has.
#[derive(Clone, Copy, PartialEq)]
enum Terms {
    All,
    /// All but its own.
    Others,
    UpToSelf,
}

/// `sums[j] = factor * sum_b term(z_bj)`, samples in order.
#[inline(always)]
fn column_sums<S: Simd>(
    s: S,
    z: MatRef<'_>,
    factor: f32,
    sums: &mut [f32],
    term: impl Fn(S, S::F32, S::F32) -> S::F32,
) {
    let cols = z.cols();
    for start in (0..cols).step_by(LANES) {
        let range = start..cols.min(start + LANES);
        let mut sum = s.zero();
        for row in 0..z.rows() {
            sum = term(s, s.load_partial(&z.row(row)[range.clone()]), sum);
        }
        s.store_partial(s.mul(sum, s.splat(factor)), &mut sums[range]);
    }
}

#[cfg(test)]
mod tests;
