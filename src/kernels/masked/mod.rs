//! Products whose weights or outputs are masked.
//!
//! A unit that sees part of a map has a [`ReceptiveField`]: rectangles, kept as runs of neighbouring columns. Units that share a field
//! [`gather`] it once and are then an ordinary dense layer; [`scatter_add`] returns their gradient to the map.

mod gather;
mod geometry;
mod pattern;
pub mod reference;
mod sparse;

pub use gather::{gather, scatter_add};
pub use geometry::{Map, ReceptiveField, Rectangle, Run};
pub use pattern::{Pattern, SparseMatrix};
pub use sparse::{sparse_matmul, sparse_matmul_nt, sparse_times_dense};

#[cfg(test)]
mod tests;
