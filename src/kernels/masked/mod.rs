//! Products whose weights or outputs are masked.
//!
//! With x \[batch, inputs\], w \[inputs, units\], y \[batch, units\] and a mask m of zeros and ones,
//!
//! | product | of any pattern | of receptive fields | chosen by batch and density |
//! |---|---|---|---|
//! | `x (w o m)` | [`sparse_matmul`] | [`field_matmul`] | [`MaskedWeights::forward`] |
//! | `y (w o m)^T`, the gradient by x | [`sparse_matmul_nt`] | [`field_matmul_nt`] | [`MaskedWeights::backward`] |
//! | `(x^T y) o m`, the gradient by w | [`sampled_product`] | [`field_weight_gradient`] | [`MaskedWeights::gradient`] |
//!
//! [`Plan`] chooses; what it stands on was measured for layers of 784 x 2000, and for 100 units on maps of 30 x 30.
//!
//! A [`Pattern`] is any set of entries, a [`SparseMatrix`] a pattern with values; a dense matrix with many zeros is
//! [compressed](SparseMatrix::compress) into one, and [`sparse_times_dense`] multiplies with one from the left. A unit that sees part of a map
//! has a [`ReceptiveField`]: rectangles, kept as runs of neighbouring columns. Units that share a field [`gather`] it once and are then an
//! ordinary dense layer; [`scatter_add`] returns their gradient to the map.
//!
//! **Masked values never matter.** Weights outside the mask are not stored; [`Strategy::Dense`] alone keeps a matrix \[inputs, units\] with zeros for
//! them, and from 384 units on a packed copy of it. An input, NaN or infinite, reaches the units that see it only. What is there
//! spreads as the sums say: nothing is skipped for being zero.
//! **Error.** With gamma = 2^-24 and n the entries of an output, |p - exact| <= 1.01 n gamma sum |a b|; of gradients by the weights, over b
//! samples, 1.01 (12 + b / 128) gamma sum |a b|: a lane's chain, the fold of 16 lanes, a sum over panels (1.01 b gamma sum |a b| where
//! [`MaskedWeights::gradient`] takes the dense product). Adding to what is there rounds once more, or where [`MaskedWeights`] takes the
//! dense product as often as [`dense`](super::dense) says. **Determinism.** Every order is fixed, so the bits depend on neither threads nor
//! instruction set.
//!
//! ```
//! use neuropil::kernels::dense::Write;
//! use neuropil::kernels::masked::{MaskedWeights, Pattern, SparseMatrix, Strategy};
//! use neuropil::{Context, Matrix};
//! let mut context = Context::new()?;
//! // Two inputs, three units; the first input is connected to units 0 and 2, the second to unit 1.
//! let w = SparseMatrix::new(Pattern::from_bits(2, 3, &[0b010_101])?, vec![1.0, 2.0, 3.0])?;
//! let w = MaskedWeights::sparse(&context, w, 1); // for single samples
//! let x = Matrix::from_slice(&[10.0, 100.0], 1, 2)?;
//! let mut y = Matrix::zeros(1, 3);
//! w.forward(&mut context, x.view(), y.view_mut(), Write::Replace);
//! assert_eq!(y.as_slice(), &[10.0, 300.0, 20.0]);
//! assert_eq!(w.plan().strategy(), Strategy::Dense); // as half of all weights are there
//! # Ok::<(), neuropil::Error>(())
//! ```

mod chains;
mod compress;
mod few_samples;
mod field;
mod finite;
mod gather;
mod geometry;
mod lists;
mod pattern;
mod plan;
pub mod reference;
mod sampled;
mod sparse;
mod weights;

pub(crate) use chains::{Chain, chains};
pub use field::{FieldLayer, field_matmul, field_matmul_nt, field_weight_gradient};
pub(crate) use finite::FiniteRows;
pub use gather::{gather, scatter_add};
pub use geometry::{Map, ReceptiveField, Rectangle, Run};
pub(crate) use lists::Lists;
pub use pattern::{Pattern, SparseMatrix};
pub use plan::{Plan, Strategy};
pub use sampled::sampled_product;
pub(crate) use sparse::PAST_CACHES;
pub use sparse::{sparse_matmul, sparse_matmul_nt, sparse_times_dense};
pub use weights::MaskedWeights;

#[cfg(test)]
mod tests;
