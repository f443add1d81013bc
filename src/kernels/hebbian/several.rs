//! Oja's rules for a small batch: legal for up to [`SEVERAL`] samples, and wins from 5, where reading w stops being all the cost.
//!
//! ```text
//! for each chunk of rows of w
//!   for each 4 of its rows, which stay in L1, and each 6 samples
//!     acc[row][b] += w[row, k..] * z[b, k..]                units across the lanes: 10 loads for 24 multiply-adds
//!     r[row, b] = x[b, row] - fold(acc[row][b])
//!   w += rate r z                                           the dense product's tiles
//! ```
//! With samples across the lanes, as in [`residual`](super::residual), each multiply-add of a batch of up to 16 loads a weight
//! of its own, and the loads are the limit.

use crate::kernels::dense::blocked::{CHUNK, Epilogue, Panels, chunk_product};
use crate::matrix::{MatMut, MatRef};
use crate::simd::{Kernel, LANES, Simd};

/// The largest batch that goes this way.
pub(super) const SEVERAL: usize = 24;

/// Rows of a tile of sums; its samples are up to 6.
const TILE: usize = 4;

pub(super) struct SeveralRows<'a, 'b> {
    pub(super) x: MatRef<'a>,
    pub(super) z: MatRef<'a>,
    /// z, packed.
    pub(super) panels: Panels<'a>,
    pub(super) first: usize,
    pub(super) w: MatMut<'b>,
    pub(super) epilogue: Epilogue<'a>,
}

impl Kernel for SeveralRows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (batch, rows) = (self.x.rows(), self.w.rows());
        assert!(batch <= SEVERAL && rows <= CHUNK);
        let mut residual = [0.0; CHUNK * SEVERAL];
        for row in (0..rows).step_by(TILE) {
            let to = &mut residual[row * SEVERAL..];
            let (w, input) = (self.w.as_ref(), self.first + row);
            let mut sample = 0;
            while sample < batch {
                let part = Part { row, input, sample };
                sample += match batch - sample {
                    1 => tile::<S, 1, true>(s, self.x, self.z, w, part, to),
                    2 => tile::<S, 2, true>(s, self.x, self.z, w, part, to),
                    3 => tile::<S, 3, true>(s, self.x, self.z, w, part, to),
                    4 => tile::<S, 4, true>(s, self.x, self.z, w, part, to),
                    5 => tile::<S, 5, true>(s, self.x, self.z, w, part, to),
                    6 => tile::<S, 6, true>(s, self.x, self.z, w, part, to),
                    _ => tile::<S, 6, false>(s, self.x, self.z, w, part, to),
                };
            }
        }
        let residual = MatRef::with_stride(&residual, rows, batch, SEVERAL).expect("residuals of a chunk");
        chunk_product(s, residual, self.panels, &mut self.w, self.epilogue);
    }
}

/// Where a tile lies: from which row of the chunk, which input that row belongs to, from which sample.
#[derive(Clone, Copy)]
struct Part {
    row: usize,
    input: usize,
    sample: usize,
}

/// Residuals of up to 4 rows and `NB` samples, the `LAST` of the batch or not; returns `NB`. Vector v of the units goes to its sum in order, then the lanes fold.
#[inline(always)]
fn tile<S: Simd, const NB: usize, const LAST: bool>(
    s: S,
    x: MatRef<'_>,
    z: MatRef<'_>,
    w: MatRef<'_>,
    Part { row, input, sample }: Part,
    to: &mut [f32],
) -> usize {
    let whole = z.cols() / LANES;
    // A short last tile repeats its last row.
    let mut w_rows: [&[f32]; TILE] = [&[]; TILE];
    let mut w_vectors: [&[[f32; LANES]]; TILE] = [&[]; TILE];
    for i in 0..TILE {
        w_rows[i] = w.row((row + i).min(w.rows() - 1));
        w_vectors[i] = &w_rows[i].as_chunks().0[..whole];
    }
    let mut z_rows: [&[f32]; NB] = [&[]; NB];
    let mut z_vectors: [&[[f32; LANES]]; NB] = [&[]; NB];
    for b in 0..NB {
        z_rows[b] = z.row(sample + b);
        z_vectors[b] = &z_rows[b].as_chunks().0[..whole];
    }
    // While the last samples are met, the rows of the next tile come nearer.
    let mut next: [&[[f32; LANES]]; TILE] = [&[]; TILE];
    let ahead = LAST && row + 2 * TILE <= w.rows();
    if ahead {
        for i in 0..TILE {
            next[i] = &w.row(row + TILE + i).as_chunks().0[..whole];
        }
    }
    let mut acc = [[s.zero(); NB]; TILE];
    for v in 0..whole {
        let mut w = [s.zero(); TILE];
        for i in 0..TILE {
            w[i] = s.load(&w_vectors[i][v]);
        }
        if ahead {
            for i in 0..TILE {
                s.prefetch(&next[i][v][0]);
            }
        }
        for b in 0..NB {
            let z = s.load(&z_vectors[b][v]);
            for i in 0..TILE {
                acc[i][b] = s.mul_add(w[i], z, acc[i][b]);
            }
        }
    }
    let rest = whole * LANES;
    if rest < z.cols() {
        let (mut w, mut z) = ([[0.0; LANES]; TILE], [[0.0; LANES]; NB]);
        for i in 0..TILE {
            w[i][..w_rows[i].len() - rest].copy_from_slice(&w_rows[i][rest..]);
        }
        for b in 0..NB {
            z[b][..z_rows[b].len() - rest].copy_from_slice(&z_rows[b][rest..]);
        }
        for i in 0..TILE {
            for b in 0..NB {
                acc[i][b] = s.mul_add(s.load(&w[i]), s.load(&z[b]), acc[i][b]);
            }
        }
    }
    let mut sums = [[0.0; NB]; TILE];
    for i in 0..TILE {
        for b in 0..NB {
            sums[i][b] = s.reduce_add(acc[i][b]);
        }
    }
    for (i, sums) in sums.iter().enumerate().take(w.rows() - row) {
        for (b, sum) in sums.iter().enumerate() {
            to[i * SEVERAL + sample + b] = x.row(sample + b)[input + i] - sum;
        }
    }
    NB
}
