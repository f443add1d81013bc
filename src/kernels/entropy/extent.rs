//! Ranges: the smallest and largest finite value, of everything or of every column.
//!
//! Minima and maxima pass NaN over by themselves. Infinities are looked for afterwards: only if one came out is the data read again,
//! with a filter.

use super::{COST, Range, pieces, whole_vectors};
use crate::context::Context;
use crate::matrix::MatRef;
use crate::parallel::for_each;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Values of a work item.
const VALUES: usize = 1 << 18;
/// Columns up to which several rows are taken as one.
const NARROW: usize = 256;
/// Columns whose extremes stay in registers, four vectors: one would wait for its own last minimum.
const WIDE: usize = 4 * LANES;
/// Rows they stay for.
const ROW_BLOCK: usize = 64;
/// The most columns of a work item, which then has this many rows at least.
const STRIP: usize = VALUES / ROW_BLOCK;

/// Nothing seen yet.
const NOTHING: [f32; 2] = [f32::INFINITY, f32::NEG_INFINITY];

/// The extremes of both.
#[inline(always)]
fn join(a: [f32; 2], b: [f32; 2]) -> [f32; 2] {
    [if b[0] < a[0] { b[0] } else { a[0] }, if b[1] > a[1] { b[1] } else { a[1] }]
}

pub(super) fn whole(context: &mut Context, x: MatRef<'_>) -> Option<Range> {
    let pass = |finite_only| {
        let threads = context.threads().for_work([x.rows(), x.cols(), COST / 2]);
        let mut extremes = vec![NOTHING; pieces(x, VALUES).count()];
        for_each(threads, pieces(x, VALUES).zip(&mut extremes), |(piece, extreme)| {
            *extreme = dispatch(context.isa(), Extremes { piece, finite_only });
        });
        extremes.into_iter().fold(NOTHING, join)
    };
    range_of(pass(false)).or_else(|| range_of(pass(true)))
}

/// The range between extremes that are finite.
fn range_of([low, high]: [f32; 2]) -> Option<Range> {
    Range::new(low, high).ok()
}

struct Extremes<'a> {
    piece: MatRef<'a>,
    finite_only: bool,
}

impl Kernel for Extremes<'_> {
    type Output = [f32; 2];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> [f32; 2] {
        let (mut low, mut high) = ([s.splat(NOTHING[0]); 4], [s.splat(NOTHING[1]); 4]);
        for row in self.piece.iter_rows() {
            let (groups, rest) = row.as_chunks::<{ 4 * LANES }>();
            for group in groups {
                let vectors = group.as_chunks::<LANES>().0;
                for i in 0..4 {
                    let x = filtered(s, s.load(&vectors[i]), self.finite_only);
                    low[i] = s.min(x, low[i]);
                    high[i] = s.max(x, high[i]);
                }
            }
            for values in rest.chunks(LANES) {
                let x = filtered(s, load_filled(s, values), self.finite_only);
                low[0] = s.min(x, low[0]);
                high[0] = s.max(x, high[0]);
            }
        }
        let mut extremes = NOTHING;
        for i in 0..4 {
            let (low, high) = (s.lanes(low[i]), s.lanes(high[i]));
            for lane in 0..LANES {
                extremes = join(extremes, [low[lane], high[lane]]);
            }
        }
        extremes
    }
}

/// The lanes of up to 16 values, the first repeated beyond their end.
#[inline(always)]
fn load_filled<S: Simd>(s: S, values: &[f32]) -> S::F32 {
    let mut lanes = [values[0]; LANES];
    lanes[..values.len()].copy_from_slice(values);
    s.load(&lanes)
}

/// With `finite_only`, infinities become NaN.
#[inline(always)]
fn filtered<S: Simd>(s: S, x: S::F32, finite_only: bool) -> S::F32 {
    if finite_only { s.select(s.lt(s.abs(x), s.splat(f32::INFINITY)), x, s.splat(f32::NAN)) } else { x }
}

pub(super) fn columns(context: &mut Context, x: MatRef<'_>) -> Vec<Option<Range>> {
    let (rows, cols) = (x.rows(), x.cols());
    if rows == 0 || cols == 0 {
        return vec![None; cols];
    }
    // Without gaps, as many rows as fill whole vectors are one row of a wider matrix.
    let together = whole_vectors(cols);
    if let Some(values) = x.as_contiguous().filter(|_| together > 1 && rows >= together && cols <= NARROW) {
        let (wide, rest) = values.split_at(rows / together * together * cols);
        let wide = MatRef::new(wide, rows / together, together * cols).expect("whole rows");
        let rest = MatRef::new(rest, rows % together, cols).expect("the other rows");
        let wide = columns(context, wide);
        let mut ranges = columns(context, rest);
        for wide in wide.chunks(cols) {
            for (range, more) in ranges.iter_mut().zip(wide) {
                *range = [*range, *more].into_iter().flatten().reduce(Range::union);
            }
        }
        return ranges;
    }
    let extremes = column_extremes(context, x, false);
    // One infinity sends everything through the filter: it is rare, and a pass is cheap.
    let infinite = extremes.iter().any(|&[low, high]| low <= high && range_of([low, high]).is_none());
    let extremes = if infinite { column_extremes(context, x, true) } else { extremes };
    extremes.into_iter().map(range_of).collect()
}

/// Columns and rows of a work item. Each has extremes of its own, so wide matrices are cut by their columns first, and only by as many rows as
/// the strips are too few for: beside the result there is never more than a 32nd of the values, and what all columns have once.
pub(super) fn item_of_columns(cols: usize) -> (usize, usize) {
    let width = cols.min(STRIP);
    (width, VALUES.div_ceil(width) * cols.div_ceil(width))
}

fn column_extremes(context: &mut Context, x: MatRef<'_>, finite_only: bool) -> Vec<[f32; 2]> {
    let (rows, cols) = (x.rows(), x.cols());
    let threads = context.threads().for_work([rows, cols, COST / 2]);
    let (width, step) = item_of_columns(cols);
    let strips = cols.div_ceil(width);
    let blocks = rows.div_ceil(step);
    let mut lows = vec![NOTHING[0]; blocks * cols];
    let mut highs = vec![NOTHING[1]; blocks * cols];
    let cut = move |extremes| <[f32]>::chunks_mut(extremes, cols).flat_map(move |block| block.chunks_mut(width));
    for_each(threads, cut(&mut lows).zip(cut(&mut highs)).enumerate(), |(item, (low, high))| {
        let (block, first) = (item / strips, item % strips * width);
        let piece = x.rows_range(block * step..rows.min((block + 1) * step)).columns(first..first + low.len());
        dispatch(context.isa(), ColumnExtremes { piece, finite_only, low, high });
    });
    let mut extremes = vec![NOTHING; cols];
    for (lows, highs) in lows.chunks(cols).zip(highs.chunks(cols)) {
        for ((extreme, &low), &high) in extremes.iter_mut().zip(lows).zip(highs) {
            *extreme = join(*extreme, [low, high]);
        }
    }
    extremes
}

struct ColumnExtremes<'a, 'b> {
    piece: MatRef<'a>,
    finite_only: bool,
    low: &'b mut [f32],
    high: &'b mut [f32],
}

impl Kernel for ColumnExtremes<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let rows = self.piece.rows();
        let (low, low_rest) = self.low.as_chunks_mut::<WIDE>();
        let (high, high_rest) = self.high.as_chunks_mut::<WIDE>();
        for first in (0..rows).step_by(ROW_BLOCK) {
            let block = self.piece.rows_range(first..rows.min(first + ROW_BLOCK));
            for (group, (low, high)) in low.iter_mut().zip(&mut *high).enumerate() {
                let (mut least, mut most) = ([s.zero(); 4], [s.zero(); 4]);
                for i in 0..4 {
                    least[i] = s.load(&low.as_chunks().0[i]);
                    most[i] = s.load(&high.as_chunks().0[i]);
                }
                for row in block.iter_rows() {
                    let vectors = row.as_chunks::<WIDE>().0[group].as_chunks().0;
                    for i in 0..4 {
                        let x = filtered(s, s.load(&vectors[i]), self.finite_only);
                        least[i] = s.min(x, least[i]);
                        most[i] = s.max(x, most[i]);
                    }
                }
                for i in 0..4 {
                    s.store(least[i], &mut low.as_chunks_mut().0[i]);
                    s.store(most[i], &mut high.as_chunks_mut().0[i]);
                }
            }
            let first = low.len() * WIDE;
            let lanes = low_rest.chunks_mut(LANES).zip(high_rest.chunks_mut(LANES));
            for (group, (low, high)) in lanes.enumerate() {
                let from = first + group * LANES;
                let (mut least, mut most) = (s.load_partial(low), s.load_partial(high));
                for row in block.iter_rows() {
                    let x = filtered(s, s.load_partial(&row[from..from + low.len()]), self.finite_only);
                    least = s.min(x, least);
                    most = s.max(x, most);
                }
                s.store_partial(least, low);
                s.store_partial(most, high);
            }
        }
    }
}
