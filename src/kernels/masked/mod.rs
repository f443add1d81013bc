//! Products whose weights or outputs are masked.
//!
//! A unit that sees part of a map has a [`ReceptiveField`]: rectangles, kept as runs of neighbouring columns. Units that share a field
//! [`gather`] it once and are then an ordinary dense layer; [`scatter_add`] returns their gradient to the map.

mod choose;
mod compress;
mod field;
mod gather;
mod geometry;
mod pattern;
pub mod reference;
mod sampled;
mod sparse;

pub use choose::{MaskedWeights, Plan, Strategy};
pub use field::{FieldLayer, field_matmul, field_matmul_nt, field_weight_gradient};
pub use gather::{gather, scatter_add};
pub use geometry::{Map, ReceptiveField, Rectangle, Run};
pub use pattern::{Pattern, SparseMatrix};
pub use sampled::sampled_product;
pub use sparse::{sparse_matmul, sparse_matmul_nt, sparse_times_dense};

#[cfg(test)]
mod tests;
