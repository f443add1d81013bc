//! Inputs.

use neuropil::Matrix;
use neuropil::random::Stream;

/// Random values in `[low, high)`, none of them zero in practice.
pub(crate) fn uniform(rows: usize, cols: usize, low: f32, high: f32, purpose: &str) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols);
    Stream::new(0, purpose).uniform(low, high, matrix.as_mut_slice());
    matrix
}
