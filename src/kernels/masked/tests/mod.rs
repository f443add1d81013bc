mod fields;
mod patterns;
mod products;
mod weights;

use super::*;
use crate::Context;
use crate::error::Error;
use crate::kernels::bits;
use crate::kernels::dense::Write;
use crate::matrix::{MatMut, Matrix};
use crate::parallel::Threads;
use crate::random::Stream;
use crate::simd::Isa;

fn random(rows: usize, cols: usize, purpose: &str) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols);
    Stream::new(5, purpose).item((rows * 10_000 + cols) as u64).uniform(-1.0, 1.0, matrix.as_mut_slice());
    matrix
}

/// Every instruction set on one thread, and the best on several.
fn contexts() -> Vec<Context> {
    let several = [2, 3, 7].map(|n| Context::new().unwrap().with_threads(Threads::always(n).unwrap()));
    Isa::available().map(|isa| Context::on(isa).unwrap()).chain(several).collect()
}

/// A matrix with NaN wherever the pattern has no entry: what is masked must not be read.
fn poisoned_outside(pattern: &Pattern, purpose: &str) -> Matrix {
    let values = random(pattern.rows(), pattern.cols(), purpose);
    let mut matrix = Matrix::from_fn(pattern.rows(), pattern.cols(), |_, _| f32::NAN);
    for row in 0..pattern.rows() {
        for &col in pattern.row(row) {
            matrix[(row, col as usize)] = values[(row, col as usize)];
        }
    }
    matrix
}

/// Higham's gamma.
fn gamma(operations: usize) -> f64 {
    let u = 0.5 * f64::from(f32::EPSILON) * operations as f64;
    u / (1.0 - u)
}

#[track_caller]
fn assert_within(
    got: &Matrix,
    old: &Matrix,
    product: &crate::kernels::dense::reference::Product,
    depth: usize,
    write: Write,
) {
    for (at, &got) in got.as_slice().iter().enumerate() {
        let (old, scale) = match write {
            Write::Replace => (0.0, 1.0),
            Write::Add(scale) | Write::AddNonNegative(scale) => (f64::from(old.as_slice()[at]), f64::from(scale.abs())),
        };
        let exact = write.apply(old, product.sums[at]);
        let bound = match write {
            Write::Replace => gamma(depth) * product.magnitudes[at],
            _ => gamma(depth + 1) * scale * product.magnitudes[at] + gamma(1) * (exact.abs() + old.abs()),
        };
        assert!((f64::from(got) - exact).abs() <= bound, "at {at}: {got} for {exact}, bound {bound}");
    }
}
