//! neuropil: SIMD kernels for learning without backpropagation, and the learning systems built on them.

pub mod context;
#[cfg(feature = "datasets")]
pub mod datasets;
pub mod error;
pub mod kernels;
pub mod matrix;
pub mod parallel;
pub mod random;
pub mod simd;
#[cfg(feature = "systems")]
pub mod systems;

pub use context::Context;
pub use error::{Error, Result};
pub use matrix::{MatMut, MatRef, Matrix};
pub use parallel::Threads;
pub use simd::Isa;
