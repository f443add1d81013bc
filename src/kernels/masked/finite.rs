//! Products with zeros where a mask is, of samples that may hold NaN or infinity.

use std::ops::Range;

use crate::context::Context;
use crate::kernels::dense::Write;
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::simd::{Isa, Kernel, LANES, Simd, dispatch};

/// Ranges of rows up to which each is a product by itself; of more of them, products of a row or two would read the weights again and again.
const RANGES: usize = 4;

/// Calls `product(context, finite, x, y)` for the rows of x that are all finite, and for the others, with what belongs to them of y: range by
/// range, or, where there are many, all of a kind together. Each row's product is the same either way.
pub(super) fn by_finiteness(
    context: &mut Context,
    x: MatRef<'_>,
    mut y: MatMut<'_>,
    write: Write,
    product: impl Fn(&mut Context, bool, MatRef<'_>, MatMut<'_>),
) {
    // However many rows of nothing there are.
    if y.cols() == 0 {
        return;
    }
    let ranges = alike(context.isa(), x);
    if ranges.len() <= RANGES {
        for (finite, rows) in ranges {
            let (part, rest) = y.split_rows(rows.len());
            y = rest;
            product(context, finite, x.rows_range(rows), part);
        }
        return;
    }
    for kind in [true, false] {
        let rows: Vec<usize> =
            ranges.iter().filter(|(finite, _)| *finite == kind).flat_map(|(_, rows)| rows.clone()).collect();
        let (mut from, mut to) = (Matrix::zeros(rows.len(), x.cols()), Matrix::zeros(rows.len(), y.cols()));
        for (at, &row) in rows.iter().enumerate() {
            from.row_mut(at).copy_from_slice(x.row(row));
            // What is replaced is not read.
            if write != Write::Replace {
                to.row_mut(at).copy_from_slice(y.row_mut(row));
            }
        }
        product(context, kind, from.view(), to.view_mut());
        for (at, &row) in rows.iter().enumerate() {
            y.row_mut(row).copy_from_slice(to.row(at));
        }
    }
}

/// The rows of x in ranges that are all finite, or all not: zero times the rest would be NaN.
fn alike(isa: Isa, x: MatRef<'_>) -> Vec<(bool, Range<usize>)> {
    let finite = dispatch(isa, FiniteRows { x });
    let mut ranges: Vec<(bool, Range<usize>)> = Vec::new();
    for (row, finite) in finite.into_iter().enumerate() {
        match ranges.last_mut() {
            Some((alike, range)) if *alike == finite => range.end += 1,
            _ => ranges.push((finite, row..row + 1)),
        }
    }
    ranges
}

/// Which rows of x are all finite.
pub(crate) struct FiniteRows<'a> {
    pub(crate) x: MatRef<'a>,
}

impl Kernel for FiniteRows<'_> {
    type Output = Vec<bool>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Vec<bool> {
        let mut finite = vec![true; self.x.rows()];
        for (finite, row) in finite.iter_mut().zip(self.x.iter_rows()) {
            // x - x is zero, or NaN.
            let (vectors, rest) = row.as_chunks::<LANES>();
            let mut sum = s.zero();
            for vector in vectors {
                let value = s.load(vector);
                sum = s.add(sum, s.sub(value, value));
            }
            let value = s.load_partial(rest);
            sum = s.add(sum, s.sub(value, value));
            *finite = s.mask_bits(s.eq(sum, s.zero())) == u16::MAX;
        }
        finite
    }
}
