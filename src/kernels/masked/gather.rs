//! Copies of a field's columns, and sums back into them: by runs, sixteen values a move.
//!
//! Legal for any field; what many units that share one field run on, as an ordinary dense layer over the copy.

use super::geometry::{ReceptiveField, Run};
use crate::context::Context;
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{TOUCHED, for_each};
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Samples of an item of parallel work.
const ROWS: usize = 64;

/// Copies a field of every map: `out[b, k] = x[b, column of the field's value k]`, for x \[batch, map\] and out \[batch, field\].
///
/// Exact: every bit is copied, NaN included; columns outside the field are not read. Cost: four bytes read and four written a value of the field.
///
/// ```
/// use neuropil::kernels::masked::{Map, Rectangle, ReceptiveField, gather};
/// use neuropil::{Context, Matrix};
/// let field = ReceptiveField::new(Map { rows: 2, cols: 3 }, &[Rectangle::new(0..2, 1..3)])?;
/// let x = Matrix::from_slice(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 1, 6)?;
/// let mut out = Matrix::zeros(1, field.len());
/// gather(&mut Context::new()?, x.view(), &field, out.view_mut());
/// assert_eq!(out.as_slice(), &[1.0, 2.0, 4.0, 5.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree.
#[track_caller]
pub fn gather(context: &mut Context, x: MatRef<'_>, field: &ReceptiveField, out: MatMut<'_>) {
    shapes_agree("gather", (x.rows(), x.cols()), field, (out.rows(), out.cols()));
    let threads = context.threads().for_work([x.rows(), field.len(), TOUCHED]);
    let isa = context.isa();
    for_each(threads, out.row_blocks(ROWS).enumerate(), |(index, out)| {
        let x = x.rows_range(index * ROWS..index * ROWS + out.rows());
        dispatch(isa, Gather { x, runs: field.runs(), out });
    });
}

/// Adds back what [`gather`] copied out: `x[b, column of the field's value k] += from[b, k]`, for from \[batch, field\] and x \[batch, map\].
///
/// A column listed twice is added to twice, in order. Columns outside the field are not touched. NaN and infinity of either spread as in the
/// sum, to their own column of their own sample. One rounding an addition; the same bits on every instruction set and for any number of threads.
/// Cost: an addition, eight bytes read and four written a value of the field.
///
/// ```
/// use neuropil::kernels::masked::{Map, Rectangle, ReceptiveField, scatter_add};
/// use neuropil::{Context, Matrix};
/// // The last column of the map is seen by both rectangles.
/// let field = ReceptiveField::new(Map { rows: 1, cols: 3 }, &[Rectangle::new(0..1, 1..3), Rectangle::new(0..1, 2..3)])?;
/// let from = Matrix::from_slice(&[1.0, 2.0, 3.0], 1, 3)?;
/// let mut x = Matrix::from_slice(&[10.0, 20.0, 30.0], 1, 3)?;
/// scatter_add(&mut Context::new()?, from.view(), &field, x.view_mut());
/// assert_eq!(x.as_slice(), &[10.0, 21.0, 35.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree.
#[track_caller]
pub fn scatter_add(context: &mut Context, from: MatRef<'_>, field: &ReceptiveField, x: MatMut<'_>) {
    shapes_agree("scatter_add", (x.rows(), x.cols()), field, (from.rows(), from.cols()));
    let threads = context.threads().for_work([from.rows(), field.len(), TOUCHED]);
    let isa = context.isa();
    for_each(threads, x.row_blocks(ROWS).enumerate(), |(index, x)| {
        let from = from.rows_range(index * ROWS..index * ROWS + x.rows());
        dispatch(isa, ScatterAdd { from, runs: field.runs(), x });
    });
}

#[track_caller]
fn shapes_agree(name: &str, x: (usize, usize), field: &ReceptiveField, gathered: (usize, usize)) {
    assert!(
        x.1 == field.map().len() && gathered == (x.0, field.len()),
        "{name}: the maps are {} x {}, the field has {} of {} values, what is gathered is {} x {}",
        x.0,
        x.1,
        field.len(),
        field.map(),
        gathered.0,
        gathered.1
    );
}

struct Gather<'a, 'b> {
    x: MatRef<'a>,
    runs: &'a [Run],
    out: MatMut<'b>,
}

impl Kernel for Gather<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for row in 0..self.out.rows() {
            let (from, mut to) = (self.x.row(row), self.out.row_mut(row));
            for run in self.runs {
                let (part, rest) = to.split_at_mut(run.len);
                to = rest;
                let (from, from_rest) = from[run.start..run.start + run.len].as_chunks::<LANES>();
                let (part, part_rest) = part.as_chunks_mut::<LANES>();
                for (from, to) in from.iter().zip(part) {
                    s.store(s.load(from), to);
                }
                if !from_rest.is_empty() {
                    s.store_partial(s.load_partial(from_rest), part_rest);
                }
            }
        }
    }
}

struct ScatterAdd<'a, 'b> {
    from: MatRef<'a>,
    runs: &'a [Run],
    x: MatMut<'b>,
}

impl Kernel for ScatterAdd<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for row in 0..self.x.rows() {
            let (mut from, to) = (self.from.row(row), self.x.row_mut(row));
            for run in self.runs {
                let (part, rest) = from.split_at(run.len);
                from = rest;
                let (part, part_rest) = part.as_chunks::<LANES>();
                let (to, to_rest) = to[run.start..run.start + run.len].as_chunks_mut::<LANES>();
                for (from, to) in part.iter().zip(to) {
                    s.store(s.add(s.load(to), s.load(from)), to);
                }
                if !part_rest.is_empty() {
                    s.store_partial(s.add(s.load_partial(to_rest), s.load_partial(part_rest)), to_rest);
                }
            }
        }
    }
}
