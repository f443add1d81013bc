//! The obvious loops, in `f64`.

use super::geometry::ReceptiveField;
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
