//! Products of one or two rows with a wide matrix as it lies, or of up to eight; legal for any shape: where reading b is all the cost.
//!
//! ```text
//! for each strip of up to 4096 columns, shared by the rows                its sums stay in L1
//!   for each block of DEPTH values of k, as in the blocked product
//!     for each STEP rows of b, which are read one after the other         (1)
//!       for each vector of columns: sums[i] += a[i, k] b[k], k in order
//!     c = write(c, sums)
//! ```
//! 1. So many streams the hardware follows; a [tile's](super::unpacked) columns are rows that are thousands of bytes apart.
//!
//! Where b is transposed, 16 of its rows at a time are transposed in registers, on their way to the sums of 16 columns.
//!
//! Every sum is the chain that it is in a tile of the blocked product, and so has the same bits.

use super::blocked::{DEPTH, Epilogue, transpose_block, write_vector};
use crate::matrix::{MatMut, MatRef};
use crate::simd::{Kernel, LANES, Simd};

/// The most rows that go this way.
pub(super) const FEW_ROWS: usize = 8;

/// Whether a product of this shape goes this way, if not [as b lies](super::unpacked). Narrow ones of more than four rows gain more from lanes
/// along their rows.
pub(super) fn wins(rows: usize, cols: usize) -> bool {
    rows <= if cols < 64 { GROUP } else { FEW_ROWS }
}

/// Vectors of the strips' sums, in all rows.
pub(super) const SUMS: usize = 256;

/// The columns of a strip, if so many threads share them: as many strips for each.
pub(super) fn strip(rows: usize, cols: usize, threads: usize) -> usize {
    let widest = SUMS / rows.next_power_of_two().min(FEW_ROWS) * LANES;
    let strips = threads * cols.div_ceil(threads).div_ceil(widest);
    cols.div_ceil(strips).next_multiple_of(LANES)
}

/// Rows whose sums are in registers at a time.
const GROUP: usize = 4;

/// `c = write(c, a b)` for the columns of a strip, and at least one value of k. What `sums` holds is not read.
pub(super) struct FewRows<'a, 'b, 'c> {
    pub(super) a: MatRef<'a>,
    pub(super) b: MatRef<'a>,
    pub(super) sums: &'b mut [f32],
    pub(super) c: MatMut<'c>,
    pub(super) epilogue: Epilogue<'a>,
}

impl Kernel for FewRows<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // As many of a's values in registers as leave some for the sums.
        match (self.c.rows(), S::REGISTERS < 32) {
            (..=2, true) => self.product::<S, 4>(s),
            (_, true) => self.product::<S, 2>(s),
            (..=2, false) => self.product::<S, 8>(s),
            (_, false) => self.product::<S, 4>(s),
        }
    }
}

impl FewRows<'_, '_, '_> {
    #[inline(always)]
    fn product<S: Simd, const STEP: usize>(self, s: S) {
        let FewRows { a, b, sums, mut c, epilogue } = self;
        let (depth, vectors) = (b.rows(), c.cols().div_ceil(LANES));
        let sums = &mut sums.as_chunks_mut::<LANES>().0[..a.rows() * vectors];
        for first in (0..depth).step_by(DEPTH) {
            let end = depth.min(first + DEPTH);
            sums.fill([0.0; LANES]);
            let mut k = first;
            while k + STEP <= end {
                groups::<S, STEP>(s, a, b, k, sums);
                k += STEP;
            }
            while k < end {
                groups::<S, 1>(s, a, b, k, sums);
                k += 1;
            }
            let block = epilogue.of_block(first, end == depth);
            for (i, sums) in sums.chunks_exact(vectors).enumerate() {
                for (v, to) in c.row_mut(i).chunks_mut(LANES).enumerate() {
                    write_vector(s, s.load(&sums[v]), v * LANES, to, block);
                }
            }
        }
    }
}

/// `sums[i] += sum_(t < STEP) a[i, k + t] b[k + t]`, t in order.
#[inline(always)]
fn groups<S: Simd, const STEP: usize>(s: S, a: MatRef<'_>, b: MatRef<'_>, k: usize, sums: &mut [[f32; LANES]]) {
    let mut row = 0;
    for sums in sums.chunks_mut(GROUP * b.cols().div_ceil(LANES)) {
        let a = a.rows_range(row..a.rows().min(row + GROUP));
        match a.rows() {
            1 => add::<S, 1, STEP>(s, a, b, k, sums),
            2 => add::<S, 2, STEP>(s, a, b, k, sums),
            3 => add::<S, 3, STEP>(s, a, b, k, sums),
            _ => add::<S, GROUP, STEP>(s, a, b, k, sums),
        }
        row += GROUP;
    }
}

#[inline(always)]
fn add<S: Simd, const ROWS: usize, const STEP: usize>(
    s: S,
    a: MatRef<'_>,
    b: MatRef<'_>,
    k: usize,
    sums: &mut [[f32; LANES]],
) {
    let (whole, part) = (b.cols() / LANES, b.cols() % LANES);
    let (mut values, mut vectors, mut rests) = ([[s.zero(); STEP]; ROWS], [&[][..]; STEP], [&[][..]; STEP]);
    for t in 0..STEP {
        let (row, rest) = b.row(k + t).as_chunks::<LANES>();
        (vectors[t], rests[t]) = (&row[..whole], &rest[..part]);
        for i in 0..ROWS {
            values[i][t] = s.splat(a.row(i)[k + t]);
        }
    }
    let mut rows = sums.chunks_exact_mut(sums.len() / ROWS);
    let mut lines: [&mut [[f32; LANES]]; ROWS] = std::array::from_fn(|_| &mut [][..]);
    let mut last: [&mut [[f32; LANES]]; ROWS] = std::array::from_fn(|_| &mut [][..]);
    for i in 0..ROWS {
        (lines[i], last[i]) = rows.next().expect("sums of every row").split_at_mut(whole);
    }
    for v in 0..whole {
        let mut acc = [s.zero(); ROWS];
        for i in 0..ROWS {
            acc[i] = s.load(&lines[i][v]);
        }
        for t in 0..STEP {
            let b = s.load(&vectors[t][v]);
            for i in 0..ROWS {
                acc[i] = s.mul_add(values[i][t], b, acc[i]);
            }
        }
        for i in 0..ROWS {
            s.store(acc[i], &mut lines[i][v]);
        }
    }
    if part > 0 {
        let mut acc = [s.zero(); ROWS];
        for i in 0..ROWS {
            acc[i] = s.load(&last[i][0]);
        }
        for t in 0..STEP {
            let b = s.load_partial(rests[t]);
            for i in 0..ROWS {
                acc[i] = s.mul_add(values[i][t], b, acc[i]);
            }
        }
        for i in 0..ROWS {
            s.store(acc[i], &mut last[i][0]);
        }
    }
}

/// `c = write(c, a b^T)` for rows of b, which are columns of c, and at least one value of k.
pub(super) struct FewRowsTransposed<'a, 'c> {
    pub(super) a: MatRef<'a>,
    pub(super) b: MatRef<'a>,
    pub(super) c: MatMut<'c>,
    pub(super) epilogue: Epilogue<'a>,
}

impl Kernel for FewRowsTransposed<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.c.rows() {
            1 => self.product::<S, 1>(s),
            2 => self.product::<S, 2>(s),
            3 | 4 => self.product::<S, 4>(s),
            _ => self.product::<S, FEW_ROWS>(s),
        }
    }
}

impl FewRowsTransposed<'_, '_> {
    /// Rows of a and of b beyond the last repeat it, and what comes of them is thrown away.
    #[inline(always)]
    fn product<S: Simd, const ROWS: usize>(self, s: S) {
        let FewRowsTransposed { a, b, mut c, epilogue } = self;
        let depth = b.cols();
        for col in (0..c.cols()).step_by(LANES) {
            let height = LANES.min(c.cols() - col);
            for first in (0..depth).step_by(DEPTH) {
                let end = depth.min(first + DEPTH);
                let whole = (end - first) / LANES;
                // Slices of one length, which the compiler sees: a test of bounds for each of them costs a fifth of all time.
                let (mut values, mut rests) = ([&[][..]; ROWS], [&[][..]; ROWS]);
                for i in 0..ROWS {
                    let (vectors, rest) = a.row(i.min(a.rows() - 1))[first..end].as_chunks::<LANES>();
                    (values[i], rests[i]) = (&vectors[..whole], rest);
                }
                let mut lines = [&[][..]; LANES];
                for i in 0..LANES {
                    lines[i] = &b.row(col + i.min(height - 1))[first..end].as_chunks::<LANES>().0[..whole];
                }
                let mut acc = [s.zero(); ROWS];
                for at in 0..whole {
                    let mut block = [s.zero(); LANES];
                    for i in 0..LANES {
                        block[i] = s.load(&lines[i][at]);
                    }
                    let block = s.transpose(block);
                    for t in 0..LANES {
                        for i in 0..ROWS {
                            acc[i] = s.mul_add(s.splat(values[i][at][t]), block[t], acc[i]);
                        }
                    }
                }
                let k = first + whole * LANES;
                if k < end {
                    let block = transpose_block(s, b, col, height, k, end - k);
                    for t in 0..end - k {
                        for i in 0..ROWS {
                            acc[i] = s.mul_add(s.splat(rests[i][t]), block[t], acc[i]);
                        }
                    }
                }
                let block = epilogue.of_block(first, end == depth);
                for (i, acc) in acc.into_iter().enumerate().take(c.rows()) {
                    write_vector(s, acc, col, &mut c.row_mut(i)[col..col + height], block);
                }
            }
        }
    }
}
