//! The obvious loops, in `f64`.

use super::field::FieldLayer;
use super::geometry::ReceptiveField;
use super::pattern::Pattern;
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

/// Whether and with which weight each unit of a layer sees each column, listed as often as it is seen: `(unit, column, weight's index)`.
pub fn connections(layer: &FieldLayer) -> Vec<(usize, usize, usize)> {
    let mut all = Vec::with_capacity(layer.weights());
    for (unit, field) in layer.fields().iter().enumerate() {
        for column in field.columns() {
            all.push((unit, column, all.len()));
        }
    }
    all
}

/// [`field_matmul`](super::field_matmul)'s sums.
pub fn field_matmul(x: MatRef<'_>, layer: &FieldLayer, weights: &[f32]) -> Product {
    let mut p = zeros(x.rows() * layer.units());
    for (unit, column, at) in connections(layer) {
        for b in 0..x.rows() {
            p.add(b * layer.units() + unit, x.row(b)[column], weights[at]);
        }
    }
    p
}

/// [`field_matmul_nt`](super::field_matmul_nt)'s sums.
pub fn field_matmul_nt(y: MatRef<'_>, layer: &FieldLayer, weights: &[f32]) -> Product {
    let mut p = zeros(y.rows() * layer.map().len());
    for (unit, column, at) in connections(layer) {
        for b in 0..y.rows() {
            p.add(b * layer.map().len() + column, y.row(b)[unit], weights[at]);
        }
    }
    p
}

/// [`field_weight_gradient`](super::field_weight_gradient)'s sums.
pub fn field_weight_gradient(x: MatRef<'_>, y: MatRef<'_>, layer: &FieldLayer) -> Product {
    let mut p = zeros(layer.weights());
    for (unit, column, at) in connections(layer) {
        for b in 0..x.rows() {
            p.add(at, x.row(b)[column], y.row(b)[unit]);
        }
    }
    p
}

/// [`sampled_product`](super::sampled_product)'s sums.
pub fn sampled_product(x: MatRef<'_>, z: MatRef<'_>, pattern: &Pattern) -> Product {
    let mut p = zeros(pattern.entries());
    for row in 0..pattern.rows() {
        for at in pattern.range(row) {
            for b in 0..x.rows() {
                p.add(at, x.row(b)[row], z.row(b)[pattern.indices()[at] as usize]);
            }
        }
    }
    p
}

fn zeros(len: usize) -> Product {
    Product { sums: vec![0.0; len], magnitudes: vec![0.0; len] }
}

impl Product {
    fn add(&mut self, at: usize, a: f32, b: f32) {
        let term = f64::from(a) * f64::from(b);
        self.sums[at] += term;
        self.magnitudes[at] += term.abs();
    }
}
