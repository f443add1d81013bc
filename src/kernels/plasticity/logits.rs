//! Logits of few units from many inputs, as dot products of contiguous rows: no packing, which would cost more than the products of a
//! single sample. Legal for any shape; wins where the units are few (a dozen).
//!
//! ```text
//! for each 48 samples:                                        a work item
//!     for each block of 1024 inputs:                          the units' part stays in the second-level cache
//!         for each tile of samples and units:
//!             load the tile's sums of 16 lanes; multiply and add along the block; store them
//!     fold the 16 lanes of every sum
//! ```

use crate::context::Context;
use crate::matrix::{MatMut, MatRef};
use crate::parallel::for_each_with;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Samples of a work item.
const ROWS: usize = 48;
/// Inputs of a block.
const BLOCK: usize = 1024;

/// `y = h w^T`: y [batch, units] of h [batch, inputs] and w [units, inputs]. See [the module](super) for error, NaN, determinism and cost.
///
/// Scratch memory of a thread: 64 bytes for each unit and each of up to 48 samples.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::plasticity};
/// let h = Matrix::from_slice(&[1.0, 0.0, 2.0], 1, 3)?;
/// let w = Matrix::from_slice(&[1.0, 5.0, 1.0, -1.0, 0.0, 0.5], 2, 3)?;
/// let mut y = Matrix::zeros(1, 2);
/// plasticity::logits(&mut Context::new()?, h.view(), w.view(), y.view_mut());
/// assert_eq!(y.as_slice(), &[3.0, 0.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree.
#[track_caller]
pub fn logits(context: &mut Context, h: MatRef<'_>, w: MatRef<'_>, y: MatMut<'_>) {
    assert!(
        h.cols() == w.cols() && (y.rows(), y.cols()) == (h.rows(), w.rows()),
        "logits: h is {} x {}, w is {} x {}, y is {} x {}",
        h.rows(),
        h.cols(),
        w.rows(),
        w.cols(),
        y.rows(),
        y.cols()
    );
    if y.rows() == 0 || y.cols() == 0 {
        return;
    }
    let isa = context.isa();
    let threads = context.threads().for_work([h.rows(), h.cols(), w.rows()]);
    let sums = ROWS.min(h.rows()) * w.rows() * LANES;
    let [scratch] = context.scratch([sums * threads.get()]);
    for_each_with(threads, scratch.chunks_mut(sums), y.row_blocks(ROWS).enumerate(), |sums, (block, y)| {
        let h = h.rows_range(block * ROWS..block * ROWS + y.rows());
        let sums = &mut sums.as_chunks_mut().0[..y.rows() * w.rows()];
        dispatch(isa, Logits { h, w, y, sums });
    });
}

struct Logits<'a, 'b> {
    h: MatRef<'a>,
    w: MatRef<'a>,
    y: MatMut<'b>,
    /// Of each sample and unit.
    sums: &'b mut [[f32; LANES]],
}

impl Kernel for Logits<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (rows, units, inputs) = (self.h.rows(), self.w.rows(), self.h.cols());
        self.sums.fill([0.0; LANES]);
        let mut first = 0;
        while first < inputs {
            let end = (first + BLOCK).min(inputs);
            let mut row = 0;
            while row < rows {
                let many = S::REGISTERS >= 32 && rows - row >= 4;
                let mut unit = 0;
                while unit < units {
                    let wide = units - unit >= 5;
                    match (many, wide) {
                        (true, true) => self.tile::<S, 4, 5>(s, row, unit, first, end),
                        (true, false) => self.tile::<S, 4, 1>(s, row, unit, first, end),
                        (false, true) => self.tile::<S, 1, 5>(s, row, unit, first, end),
                        (false, false) => self.tile::<S, 1, 1>(s, row, unit, first, end),
                    }
                    unit += if wide { 5 } else { 1 };
                }
                row += if many { 4 } else { 1 };
            }
            first = end;
        }
        for row in 0..rows {
            let y = self.y.row_mut(row);
            for unit in 0..units {
                y[unit] = s.reduce_add(s.load(&self.sums[row * units + unit]));
            }
        }
    }
}

impl Logits<'_, '_> {
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const C: usize>(
        &mut self,
        s: S,
        row: usize,
        unit: usize,
        first: usize,
        end: usize,
    ) {
        let units = self.w.rows();
        let count = (end - first) / LANES;
        let mut h: [&[[f32; LANES]]; R] = [&[]; R];
        let mut w: [&[[f32; LANES]]; C] = [&[]; C];
        let mut acc = [[s.zero(); C]; R];
        for r in 0..R {
            h[r] = &self.h.row(row + r)[first..end].as_chunks().0[..count];
            for c in 0..C {
                acc[r][c] = s.load(&self.sums[(row + r) * units + unit + c]);
            }
        }
        for c in 0..C {
            w[c] = &self.w.row(unit + c)[first..end].as_chunks().0[..count];
        }
        for v in 0..count {
            let mut weights = [s.zero(); C];
            for c in 0..C {
                weights[c] = s.load(&w[c][v]);
            }
            for r in 0..R {
                let x = s.load(&h[r][v]);
                for c in 0..C {
                    acc[r][c] = s.mul_add(x, weights[c], acc[r][c]);
                }
            }
        }
        for r in 0..R {
            for c in 0..C {
                s.store(acc[r][c], &mut self.sums[(row + r) * units + unit + c]);
            }
        }
        let tail = first + count * LANES..end;
        if !tail.is_empty() {
            for r in 0..R {
                let x = s.load_partial(&self.h.row(row + r)[tail.clone()]);
                for c in 0..C {
                    let sum = &mut self.sums[(row + r) * units + unit + c];
                    let weights = s.load_partial(&self.w.row(unit + c)[tail.clone()]);
                    s.store(s.mul_add(x, weights, s.load(sum)), sum);
                }
            }
        }
    }
}
