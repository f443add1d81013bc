//! Neural net evolution and dopaminergic networks.

pub mod dopaminergic;
mod output;

pub use output::{Learning, Reading, Rule};
