//! Products `a b^T` of few rows, or of few columns, as dot products: legal for any shape; wins where copying or transposing b is not worth it.
//!
//! ```text
//! for each 16 rows of b, which are columns of c
//!   for each 16 rows of a
//!     for each 1024 values of k, or all if there are up to 4 rows of a                                     (1)
//!       for each 4 rows of b, each 4 of a: 16 sums of 16 lanes in registers (4 where these are few)        (2)
//!         for each vector of k: sums[i][j] += a[i] b[j]
//!     c = write(c, the sums' folds)                     16 at once, by the tree of `reduce_add`
//! ```
//! 1. What the rows of a share stays in the first-level cache.
//! 2. One row of a meets 16 of b: so many streams are as fast as memory.
//!
//! Lane l of a sum has the terms k = l, l + 16, ... in order. So a sum does not depend on the tile that it is in, but has other bits than the chain
//! of all k that it is elsewhere.

use super::blocked::{Epilogue, write_vector};
use crate::matrix::{MatMut, MatRef};
use crate::simd::{Kernel, LANES, Simd};

/// Whether a product of so few rows goes this way.
pub(crate) fn wins(rows: usize, depth: usize, cols: usize) -> bool {
    let few = rows <= MOST_ROWS || rows.saturating_mul(cols) <= FEW_SUMS;
    few && depth >= FOLD.max(rows.saturating_mul(SHARED)) && (rows == 1 || cols.saturating_mul(depth) <= NEAR)
}

/// Whether one of so few columns goes this way as its transpose does: other ways waste fewer lanes on columns than on rows.
pub(super) fn transpose_wins(rows: usize, depth: usize, cols: usize) -> bool {
    cols < rows && (cols <= MOST_COLUMNS || rows.saturating_mul(cols) <= FEW_SUMS) && wins(cols, depth, rows)
}

/// Whether `a b` of so few columns goes this way too, once b is transposed.
pub(super) fn transposed_wins(rows: usize, depth: usize, cols: usize) -> bool {
    rows >= LANES && cols <= VERY_FEW_COLUMNS && transpose_wins(rows, depth, cols)
}

const MOST_ROWS: usize = 16;
const MOST_COLUMNS: usize = 12;
const VERY_FEW_COLUMNS: usize = 4;
/// Sums that are few in all: then copying b costs most.
const FEW_SUMS: usize = 1024;
/// Values of k below which folding the lanes costs more than it saves, and that many more for each row, as rows share what is saved.
const FOLD: usize = 64;
const SHARED: usize = 32;
/// Values of b that caches hold: from memory, the rows that several of a can share are too few streams.
const NEAR: usize = 1 << 22;

/// `c = write(c, a b^T)`.
pub(crate) struct Dots<'a, 'c> {
    pub(crate) a: MatRef<'a>,
    pub(crate) b: MatRef<'a>,
    pub(crate) c: MatMut<'c>,
    pub(crate) epilogue: Epilogue<'a>,
}

/// The sums of one row of a and 16 of b.
type Sums = [[f32; LANES]; LANES];

/// Rows of a whose sums are kept at a time, while each part of b is in the first-level cache.
const GROUP: usize = 16;
/// Rows of a whose sums are in registers at a time.
const TALLEST: usize = 4;
/// Values of k after which the next rows take their turn with what the first-level cache holds.
const DEPTH: usize = 1024;

impl Kernel for Dots<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Dots { a, b, mut c, epilogue } = self;
        let mut sums = [[[0.0; LANES]; LANES]; GROUP];
        for col in (0..c.cols()).step_by(LANES) {
            let width = LANES.min(c.cols() - col);
            for row in (0..c.rows()).step_by(GROUP) {
                let height = GROUP.min(c.rows() - row);
                let depth = if height > TALLEST { DEPTH } else { a.cols() };
                for first in (0..a.cols()).step_by(depth) {
                    let end = a.cols().min(first + depth);
                    let a = a.rows_range(row..row + height).columns(first..end);
                    let b = b.rows_range(col..col + width).columns(first..end);
                    all_sums(s, a, b, &mut sums[..height], first == 0);
                }
                for (i, sums) in sums[..height].iter().enumerate() {
                    let mut values = [s.zero(); LANES];
                    for j in 0..LANES {
                        values[j] = s.load(&sums[j]);
                    }
                    let sum = s.reduce_add_each(values);
                    write_vector(s, sum, col, &mut c.row_mut(row + i)[col..col + width], epilogue);
                }
            }
        }
    }
}

/// The sums of all rows of a with the up to 16 of b, or added to what is there.
#[inline(always)]
fn all_sums<S: Simd>(s: S, a: MatRef<'_>, b: MatRef<'_>, sums: &mut [Sums], new: bool) {
    let few = S::REGISTERS < 32;
    let (tallest, widest) = match (a.rows(), few) {
        (1, true) => (1, 4),
        (1, false) => (1, 16),
        (_, true) => (2, 2),
        (_, false) => (TALLEST, 4),
    };
    for col in (0..b.rows()).step_by(widest) {
        let b = b.rows_range(col..b.rows().min(col + widest));
        for row in (0..a.rows()).step_by(tallest) {
            let a = a.rows_range(row..a.rows().min(row + tallest));
            let sums = &mut sums[row..row + a.rows()];
            match (a.rows(), b.rows(), few) {
                (1, ..=2, _) => tile::<S, 1, 2>(s, a, b, col, sums, new),
                (1, ..=4, _) => tile::<S, 1, 4>(s, a, b, col, sums, new),
                (1, ..=8, _) => tile::<S, 1, 8>(s, a, b, col, sums, new),
                (1, ..) => tile::<S, 1, 16>(s, a, b, col, sums, new),
                (_, 1, true) => tile::<S, 2, 1>(s, a, b, col, sums, new),
                (.., true) => tile::<S, 2, 2>(s, a, b, col, sums, new),
                (2, ..=2, _) => tile::<S, 2, 2>(s, a, b, col, sums, new),
                (2, ..) => tile::<S, 2, 4>(s, a, b, col, sums, new),
                (3, ..=2, _) => tile::<S, 3, 2>(s, a, b, col, sums, new),
                (3, ..) => tile::<S, 3, 4>(s, a, b, col, sums, new),
                (_, ..=2, _) => tile::<S, TALLEST, 2>(s, a, b, col, sums, new),
                _ => tile::<S, TALLEST, 4>(s, a, b, col, sums, new),
            }
        }
    }
}

/// The sums of `ROWS` rows of a with the up to `COLS` of b, which are the sums' from `col` on; rows beyond b's last repeat it, and what comes of
/// them is thrown away.
#[inline(always)]
fn tile<S: Simd, const ROWS: usize, const COLS: usize>(
    s: S,
    a: MatRef<'_>,
    b: MatRef<'_>,
    col: usize,
    sums: &mut [Sums],
    new: bool,
) {
    let (whole, depth) = (a.cols() / LANES, a.cols());
    // Slices of one length, which the compiler sees: no test of bounds for each of them.
    let (mut left, mut left_rests) = ([&[][..]; ROWS], [&[][..]; ROWS]);
    for i in 0..ROWS {
        let (vectors, rest) = a.row(i).as_chunks::<LANES>();
        (left[i], left_rests[i]) = (&vectors[..whole], rest);
    }
    let (mut right, mut right_rests) = ([&[][..]; COLS], [&[][..]; COLS]);
    for j in 0..COLS {
        let (vectors, rest) = b.row(j.min(b.rows() - 1)).as_chunks::<LANES>();
        (right[j], right_rests[j]) = (&vectors[..whole], rest);
    }
    let mut acc = [[s.zero(); COLS]; ROWS];
    if !new {
        for i in 0..ROWS {
            for j in 0..COLS {
                acc[i][j] = s.load(&sums[i][col + j]);
            }
        }
    }
    for at in 0..whole {
        let mut values = [s.zero(); COLS];
        for j in 0..COLS {
            values[j] = s.load(&right[j][at]);
        }
        for i in 0..ROWS {
            let value = s.load(&left[i][at]);
            for j in 0..COLS {
                acc[i][j] = s.mul_add(value, values[j], acc[i][j]);
            }
        }
    }
    if whole * LANES < depth {
        for i in 0..ROWS {
            let value = s.load_partial(left_rests[i]);
            for j in 0..COLS {
                acc[i][j] = s.mul_add(value, s.load_partial(right_rests[j]), acc[i][j]);
            }
        }
    }
    for i in 0..ROWS {
        for j in 0..COLS {
            s.store(acc[i][j], &mut sums[i][col + j]);
        }
    }
}
