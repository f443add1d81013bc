//! Products of some tens of rows with a matrix as it lies, legal for any shape: so few do not pay for copying it into panels.
//!
//! ```text
//! for each strip of columns, each block of DEPTH values of k, as in the blocked product           a block of b stays in L2
//!   for each 8 rows of a, or 6, 4, 3, 2, 1 that are left
//!     for each 3, 4 or 6 vectors of columns, or 1                          ROWS x NV accumulators in registers
//!       acc = sum over k of a[row, k] * b[k]                               one broadcast, NV fused multiply-adds
//!       c   = write(c, acc)
//! ```
//! Where registers are few, a tile is 4 rows of one vector, or 3 vectors of one or two rows.
//!
//! Every sum is the chain that it is in a tile of the blocked product, and so has the same bits.

use super::blocked::{DEPTH, Epilogue, write_vector};
use super::few_rows::FEW_ROWS;
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{Threads, for_each};
use crate::simd::{Isa, Kernel, LANES, Simd, dispatch};

/// Whether a product of this shape goes this way. One or two rows read a wide matrix faster [line by line](super::few_rows), as do four where
/// memory is all they wait for, and up to eight where single vectors of rows that are far apart are all that a tile reads. Of more, columns
/// behind the last whole vector are better off with rows across the lanes, if they are a large part of all.
pub(super) fn wins(rows: usize, depth: usize, cols: usize, registers: usize) -> bool {
    let rest = cols % LANES;
    if registers < 32 {
        return if rows <= 2 { cols <= 64 } else { rows <= 32 && cols < 192 };
    }
    match rows {
        0..=2 => cols < 384,
        3..=4 => depth.saturating_mul(cols) <= LARGE,
        5..=24 => true,
        25..=32 => cols > 8,
        33..=64 => cols >= 192 || rest == 0 || rest > 8,
        _ => false,
    }
}

/// Whether so many rows are better off with a wide matrix that was laid out beforehand than with it as it lies, this way or line by line.
pub(super) fn loses_to_packed(rows: usize, registers: usize) -> bool {
    rows > if registers < 32 { FEW_ROWS } else { 24 }
}

/// Values of a matrix that the caches hold.
const LARGE: usize = 1 << 22;

/// `c = write(c, a b)` for at least one value of k: threads share the rows, or if they are too few for that, the columns.
pub(super) fn product(isa: Isa, threads: Threads, a: MatRef<'_>, b: MatRef<'_>, c: MatMut<'_>, epilogue: Epilogue<'_>) {
    if c.rows() >= TALL * threads.get() {
        let block = c.rows().div_ceil(threads.get()).next_multiple_of(TALL);
        for_each(threads, c.row_blocks(block).enumerate(), |(index, c)| {
            let a = a.rows_range(index * block..index * block + c.rows());
            dispatch(isa, Unpacked { a, b, c, epilogue });
        });
    } else {
        let block = c.cols().div_ceil(threads.get()).next_multiple_of(LANES);
        for_each(threads, c.column_blocks_by(|_| block), |(first, c)| {
            let b = b.columns(first..first + c.cols());
            dispatch(isa, Unpacked { a, b, c, epilogue });
        });
    }
}

/// So many rows of a wide b ahead are asked for by the first rows of a: they are too far apart for the hardware to follow.
const AHEAD: usize = 16;
/// Rows of the tallest tile.
const TALL: usize = 8;
/// Columns whose block of b the second-level cache holds for all rows: of all tiles as many as there is room for.
const STRIP: usize = 384;

struct Unpacked<'a, 'c> {
    a: MatRef<'a>,
    b: MatRef<'a>,
    c: MatMut<'c>,
    epilogue: Epilogue<'a>,
}

impl Kernel for Unpacked<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (depth, cols) = (self.b.rows(), self.b.cols());
        for col in (0..cols).step_by(STRIP) {
            let strip = self.b.columns(col..cols.min(col + STRIP));
            for first in (0..depth).step_by(DEPTH) {
                let end = depth.min(first + DEPTH);
                let b = strip.rows_range(first..end);
                let epilogue = self.epilogue.of_block(first, end == depth);
                let mut row = 0;
                while row < self.c.rows() {
                    let place = Place { row, col, first, epilogue };
                    row += match (self.c.rows() - row, S::REGISTERS < 32) {
                        (1, true) => self.rows::<S, 1, 3>(s, b, place),
                        (2, true) => self.rows::<S, 2, 3>(s, b, place),
                        (_, true) => self.rows::<S, 4, 1>(s, b, place),
                        (1, false) => self.rows::<S, 1, 6>(s, b, place),
                        (2, false) => self.rows::<S, 2, 6>(s, b, place),
                        (3, false) => self.rows::<S, 3, 6>(s, b, place),
                        (4, false) => self.rows::<S, 4, 6>(s, b, place),
                        (5..=6, false) => self.rows::<S, 6, 4>(s, b, place),
                        (_, false) => self.rows::<S, TALL, 3>(s, b, place),
                    };
                }
            }
        }
    }
}

/// The first row and column of c, the first value of k, and what becomes of the sums.
#[derive(Clone, Copy)]
struct Place<'a> {
    row: usize,
    col: usize,
    first: usize,
    epilogue: Epilogue<'a>,
}

impl Unpacked<'_, '_> {
    /// Up to `ROWS` rows of c, whose number is returned; those beyond the last repeat it, and are thrown away.
    #[inline(always)]
    fn rows<S: Simd, const ROWS: usize, const WIDE: usize>(&mut self, s: S, b: MatRef<'_>, place: Place<'_>) -> usize {
        let count = ROWS.min(self.c.rows() - place.row);
        let mut a = [&[][..]; ROWS];
        for i in 0..ROWS {
            a[i] = &self.a.row(place.row + i.min(count - 1))[place.first..][..b.rows()];
        }
        let whole = b.cols() / LANES * LANES;
        let mut col = 0;
        while col + WIDE * LANES <= whole {
            self.tile::<S, ROWS, WIDE>(s, a, b, place, col, LANES);
            col += WIDE * LANES;
        }
        if WIDE == 6 && col + 3 * LANES <= whole {
            self.tile::<S, ROWS, 3>(s, a, b, place, col, LANES);
            col += 3 * LANES;
        }
        while col < whole {
            self.tile::<S, ROWS, 1>(s, a, b, place, col, LANES);
            col += LANES;
        }
        if col < b.cols() {
            self.tile::<S, ROWS, 1>(s, a, b, place, col, b.cols() - col);
        }
        count
    }

    /// `NV` vectors of columns from `col` on, each of so many lanes.
    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const NV: usize>(
        &mut self,
        s: S,
        a: [&[f32]; ROWS],
        b: MatRef<'_>,
        place: Place<'_>,
        col: usize,
        lanes: usize,
    ) {
        let depth = b.rows();
        let mut values = [&[][..]; ROWS];
        for i in 0..ROWS {
            values[i] = &a[i][..depth];
        }
        let first_and_wide = place.row == 0 && self.b.cols() > STRIP;
        let mut acc = [[s.zero(); NV]; ROWS];
        for k in 0..depth {
            if first_and_wide && k + AHEAD < depth {
                let ahead = &b.row(k + AHEAD)[col..];
                for v in 0..NV {
                    s.prefetch(&ahead[v * LANES]);
                }
                // Where rows begin anywhere in a cache line, one more.
                s.prefetch(&ahead[(NV - 1) * LANES + lanes - 1]);
            }
            let mut vectors = [s.zero(); NV];
            if lanes == LANES {
                let line: &[[f32; LANES]; NV] =
                    b.row(k)[col..][..NV * LANES].as_chunks().0.first_chunk().expect("NV vectors");
                for v in 0..NV {
                    vectors[v] = s.load(&line[v]);
                }
            } else {
                vectors[0] = s.load_partial(&b.row(k)[col..][..lanes]);
            }
            for i in 0..ROWS {
                let value = s.splat(values[i][k]);
                for v in 0..NV {
                    acc[i][v] = s.mul_add(value, vectors[v], acc[i][v]);
                }
            }
        }
        // They leave the registers here, in loops that unroll.
        let mut sums = [[[0.0; LANES]; NV]; ROWS];
        for i in 0..ROWS {
            for v in 0..NV {
                s.store(acc[i][v], &mut sums[i][v]);
            }
        }
        for (i, sums) in sums[..ROWS.min(self.c.rows() - place.row)].iter().enumerate() {
            let first = place.col + col;
            let row = &mut self.c.row_mut(place.row + i)[first..][..(NV - 1) * LANES + lanes];
            for (v, to) in row.chunks_mut(LANES).enumerate() {
                write_vector(s, s.load(&sums[v]), first + v * LANES, to, place.epilogue);
            }
        }
    }
}
