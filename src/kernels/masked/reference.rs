//! The obvious loops, in `f64`.

use super::geometry::ReceptiveField;
use crate::kernels::dense::reference::Product;
use crate::matrix::{MatMut, MatRef};

/// [`gather`](super::gather) value by value.
pub fn gather(x: MatRef<'_>, field: &ReceptiveField, mut out: MatMut<'_>) {
    for b in 0..x.rows() {
        let row = out.row_mut(b);
        let mut at = 0;
        for rectangle in field.rectangles() {
            for r in rectangle.rows.clone() {
                for c in rectangle.cols.clone() {
                    row[at] = x.row(b)[r * field.map().cols + c];
                    at += 1;
                }
            }
        }
    }
}

/// [`scatter_add`](super::scatter_add) value by value.
pub fn scatter_add(from: MatRef<'_>, field: &ReceptiveField, mut x: MatMut<'_>) {
    for b in 0..from.rows() {
        let row = x.row_mut(b);
        let mut at = 0;
        for rectangle in field.rectangles() {
            for r in rectangle.rows.clone() {
                for c in rectangle.cols.clone() {
                    row[r * field.map().cols + c] += from.row(b)[at];
                    at += 1;
                }
            }
        }
    }
}

/// `p[i, j] = sum_k a(i, k) b(k, j)` over the k for which `present(k, j)`: what is masked is not read.
pub fn masked_product(
    (rows, cols, depth): (usize, usize, usize),
    a: impl Fn(usize, usize) -> f32,
    b: impl Fn(usize, usize) -> f32,
    present: impl Fn(usize, usize) -> bool,
) -> Product {
    let mut result = Product { sums: Vec::with_capacity(rows * cols), magnitudes: Vec::with_capacity(rows * cols) };
    for i in 0..rows {
        for j in 0..cols {
            let (mut sum, mut magnitude) = (0.0, 0.0);
            for k in (0..depth).filter(|&k| present(k, j)) {
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
