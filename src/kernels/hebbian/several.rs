//! Oja's rules for a small batch: legal for up to [`SEVERAL`] samples, and wins from 5 with many units, where reading w stops being all the cost.
//!
//! ```text
//! for each chunk of rows of w
//!   for each block of 512 units, whose z stays in L1
//!     for each 4 rows and each 6 samples                    or 2 and 2, where registers are few
//!       sum[row][b] += w[row, k..] * z[b, k..]              units across the lanes: 10 loads for 24 multiply-adds
//!   r[row, b] = x[b, row] - fold(sum[row][b])
//!   w += rate r z                                           the dense product's tiles
//! ```
//! With samples across the lanes, as in [`residual`](super::residual), each multiply-add of a batch of up to 16 loads a weight
//! of its own, and the loads are the limit.

use crate::kernels::dense::blocked::{CHUNK, Epilogue, Panels, chunk_product};
use crate::matrix::{MatMut, MatRef};
use crate::simd::{Kernel, LANES, Simd};

/// The largest batch that goes this way.
const SEVERAL: usize = 10;

/// Whether a batch that is not [few](super::few) goes this way: the fewer units there are, the more a sum's fold costs.
pub(super) fn wins(batch: usize, units: usize) -> bool {
    batch <= SEVERAL && units >= 50 * batch
}

/// Vectors of units in a block.
const BLOCK: usize = 32;

/// Scratch values of a chunk: a vector a row and sample.
pub(super) fn scratch_len(batch: usize) -> usize {
    CHUNK * batch * LANES
}

pub(super) struct SeveralRows<'a, 'b> {
    pub(super) x: MatRef<'a>,
    pub(super) z: MatRef<'a>,
    /// z, packed.
    pub(super) panels: Panels<'a>,
    pub(super) first: usize,
    pub(super) w: MatMut<'b>,
    pub(super) epilogue: Epilogue<'a>,
    /// Of [`scratch_len`].
    pub(super) scratch: &'b mut [f32],
}

impl Kernel for SeveralRows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (batch, rows, units) = (self.x.rows(), self.w.rows(), self.w.cols());
        assert!(batch <= SEVERAL && rows <= CHUNK);
        let sums = &mut self.scratch.as_chunks_mut::<LANES>().0[..CHUNK * batch];
        sums.fill([0.0; LANES]);
        let (whole, rest) = (units / LANES, units / LANES * LANES);
        let mut start = 0;
        while start < whole {
            let end = whole.min(start + BLOCK);
            let w = Weights { w: self.w.as_ref(), start, end, whole };
            for row in (0..rows).step_by(if S::REGISTERS < 32 { 2 } else { 4 }) {
                let mut sample = 0;
                while sample < batch {
                    let sums = &mut sums[row * batch + sample..];
                    sample += match batch - sample {
                        1 if S::REGISTERS < 32 => tile::<S, 2, 1, true>(s, w, self.z, row, sample, sums),
                        2 if S::REGISTERS < 32 => tile::<S, 2, 2, true>(s, w, self.z, row, sample, sums),
                        _ if S::REGISTERS < 32 => tile::<S, 2, 2, false>(s, w, self.z, row, sample, sums),
                        1 => tile::<S, 4, 1, true>(s, w, self.z, row, sample, sums),
                        2 => tile::<S, 4, 2, true>(s, w, self.z, row, sample, sums),
                        3 => tile::<S, 4, 3, true>(s, w, self.z, row, sample, sums),
                        4 => tile::<S, 4, 4, true>(s, w, self.z, row, sample, sums),
                        5 => tile::<S, 4, 5, true>(s, w, self.z, row, sample, sums),
                        6 => tile::<S, 4, 6, true>(s, w, self.z, row, sample, sums),
                        _ => tile::<S, 4, 6, false>(s, w, self.z, row, sample, sums),
                    };
                }
            }
            start = end;
        }
        let mut residual = [0.0; CHUNK * SEVERAL];
        for row in 0..rows {
            for b in 0..batch {
                let mut sum = s.load(&sums[row * batch + b]);
                if rest < units {
                    let (w, z) = (&self.w.row(row)[rest..], &self.z.row(b)[rest..]);
                    sum = s.mul_add(s.load_partial(w), s.load_partial(z), sum);
                }
                residual[row * SEVERAL + b] = self.x.row(b)[self.first + row] - s.reduce_add(sum);
            }
        }
        let residual = MatRef::with_stride(&residual, rows, batch, SEVERAL).expect("residuals of a chunk");
        chunk_product(s, residual, self.panels, &mut self.w, self.epilogue);
    }
}

/// Vectors `start..end` of the `whole` of each row of a chunk.
#[derive(Clone, Copy)]
struct Weights<'a> {
    w: MatRef<'a>,
    start: usize,
    end: usize,
    whole: usize,
}

impl<'a> Weights<'a> {
    /// The block's vectors of a row; beyond the last row, of the last.
    #[inline(always)]
    fn row(&self, row: usize) -> &'a [[f32; LANES]] {
        &self.w.row(row.min(self.w.rows() - 1)).as_chunks().0[self.start..self.end]
    }

    /// The block after this one.
    #[inline(always)]
    fn next(self) -> Self {
        Weights { start: self.end, end: self.whole.min(self.end + BLOCK), ..self }
    }
}

/// Adds a block's products to the sums of `ROWS` rows and `NB` samples, the `LAST` of the batch or not; returns `NB`.
#[inline(always)]
fn tile<S: Simd, const ROWS: usize, const NB: usize, const LAST: bool>(
    s: S,
    w: Weights<'_>,
    z: MatRef<'_>,
    row: usize,
    sample: usize,
    sums: &mut [[f32; LANES]],
) -> usize {
    let (batch, len) = (z.rows(), w.end - w.start);
    let mut w_rows: [&[[f32; LANES]]; ROWS] = [&[]; ROWS];
    // While the last samples are met, the weights of the next tile come nearer.
    let mut ahead: [&[[f32; LANES]]; ROWS] = [&[]; ROWS];
    let next = if row + ROWS < w.w.rows() { (w, row + ROWS) } else { (w.next(), 0) };
    for i in 0..ROWS {
        w_rows[i] = &w.row(row + i)[..len];
        if LAST {
            ahead[i] = next.0.row(next.1 + i);
        }
    }
    let ahead_len = ahead[0].len();
    let mut z_rows: [&[[f32; LANES]]; NB] = [&[]; NB];
    for b in 0..NB {
        z_rows[b] = &z.row(sample + b).as_chunks().0[w.start..w.end][..len];
    }
    let mut acc = [[s.zero(); NB]; ROWS];
    for i in 0..ROWS {
        let sums = &sums[i * batch..i * batch + NB];
        for b in 0..NB {
            acc[i][b] = s.load(&sums[b]);
        }
    }
    for v in 0..len {
        let mut w = [s.zero(); ROWS];
        for i in 0..ROWS {
            w[i] = s.load(&w_rows[i][v]);
        }
        if LAST && v < ahead_len {
            for i in 0..ROWS {
                s.prefetch(&ahead[i][v][0]);
            }
        }
        for b in 0..NB {
            let z = s.load(&z_rows[b][v]);
            for i in 0..ROWS {
                acc[i][b] = s.mul_add(w[i], z, acc[i][b]);
            }
        }
    }
    for i in 0..ROWS {
        let sums = &mut sums[i * batch..i * batch + NB];
        for b in 0..NB {
            s.store(acc[i][b], &mut sums[b]);
        }
    }
    NB
}
