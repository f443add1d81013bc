//! The obvious loops, in `f64`.

use crate::matrix::{MatMut, MatRef};

use super::Write;

/// One product in `f64`, and the sum of its terms' absolute values: what error bounds are made of.
#[derive(Clone, Debug)]
pub struct Product {
    /// `rows * cols` sums, row-major.
    pub sums: Vec<f64>,
    /// The same with every term's absolute value.
    pub magnitudes: Vec<f64>,
}

/// `p[i, j] = sum_k a(i, k) b(k, j)`, summed in index order.
pub fn product(
    rows: usize,
    cols: usize,
    depth: usize,
    a: impl Fn(usize, usize) -> f32,
    b: impl Fn(usize, usize) -> f32,
) -> Product {
    let mut result = Product { sums: Vec::with_capacity(rows * cols), magnitudes: Vec::with_capacity(rows * cols) };
    for i in 0..rows {
        for j in 0..cols {
            let (mut sum, mut magnitude) = (0.0, 0.0);
            for k in 0..depth {
                let term = f64::from(a(i, k)) * f64::from(b(k, j));
                sum += term;
                magnitude += term.abs();
            }
            result.sums.push(sum);
            result.magnitudes.push(magnitude);
        }
    }
    result
}

/// [`matmul`](super::matmul) by the obvious loops.
pub fn matmul(a: MatRef<'_>, b: MatRef<'_>, mut c: MatMut<'_>, write: Write) {
    let p = product(c.rows(), c.cols(), a.cols(), |i, k| a.row(i)[k], |k, j| b.row(k)[j]);
    for i in 0..c.rows() {
        let cols = c.cols();
        for (j, value) in c.row_mut(i).iter_mut().enumerate() {
            *value = write.apply(f64::from(*value), p.sums[i * cols + j]) as f32;
        }
    }
}

impl Write {
    /// What becomes of an old value and a product's sum.
    pub fn apply(self, old: f64, sum: f64) -> f64 {
        match self {
            Write::Replace => sum,
            Write::Add(scale) => old + f64::from(scale) * sum,
            // Written so that NaN stays NaN.
            Write::AddNonNegative(scale) => {
                let new = old + f64::from(scale) * sum;
                if new < 0.0 { 0.0 } else { new }
            }
        }
    }
}

/// [`add_bias`](super::add_bias): `y[b, j] + bias[j]`, row-major.
pub fn add_bias(y: MatRef<'_>, bias: &[f32]) -> Vec<f64> {
    let sums = |y: &f32, bias: &f32| f64::from(*y) + f64::from(*bias);
    y.iter_rows().flat_map(|row| row.iter().zip(bias).map(|(y, bias)| sums(y, bias)).collect::<Vec<_>>()).collect()
}
