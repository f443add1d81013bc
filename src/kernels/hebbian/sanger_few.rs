//! Sanger's rule for few samples as its formula stands: legal for batches up to [`FEW`], where the small triangles of the blocked form cost
//! more than the samples do.
//!
//! ```text
//! for each 16 rows of w                                  one in each lane
//!   r[b] = x[b]                                          what the units so far have left of each sample
//!   for each unit j, in order                            16 of them transposed in registers, there and back
//!     r[b] -= z[b, j] w_j
//!     w_j  += rate sum_b z[b, j] r[b]
//! ```
//! With the transposes, three times as long for one sample as w takes to come from beyond L2 and go back (784 x 2000, Zen 4).

use crate::kernels::dense::blocked::transpose_block;
use crate::matrix::{MatMut, MatRef};
use crate::simd::{Kernel, LANES, Simd};

use super::Update;

/// The largest batch that goes this way.
pub(super) const FEW: usize = 16;

pub(super) struct SangerFew<'a, 'c> {
    pub(super) x: MatRef<'a>,
    pub(super) z: MatRef<'a>,
    pub(super) first: usize,
    pub(super) w: MatMut<'c>,
    pub(super) update: Update,
}

impl Kernel for SangerFew<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.x.rows() {
            1 => self.batch::<S, 1>(s, 1),
            2 => self.batch::<S, 2>(s, 2),
            3 => self.batch::<S, 3>(s, 3),
            4 => self.batch::<S, 4>(s, 4),
            // What is left of them need not be in registers.
            batch => self.batch::<S, FEW>(s, batch),
        }
    }
}

impl SangerFew<'_, '_> {
    /// For up to `BATCH` samples.
    #[inline(always)]
    fn batch<S: Simd, const BATCH: usize>(self, s: S, batch: usize) {
        let SangerFew { x, z, first, mut w, update } = self;
        let (rows, units) = (w.rows(), w.cols());
        let rate = s.splat(update.scale(batch));
        let lowest = s.splat(if update.non_negative { 0.0 } else { f32::NEG_INFINITY });
        for row in (0..rows).step_by(LANES) {
            let height = LANES.min(rows - row);
            let mut left = [s.zero(); BATCH];
            for b in 0..batch {
                left[b] = s.load_partial(&x.row(b)[first + row..first + row + height]);
            }
            for col in (0..units).step_by(LANES) {
                let width = LANES.min(units - col);
                let mut block = transpose_block(s, w.as_ref(), row, height, col, width);
                for j in 0..width {
                    let mut step = s.zero();
                    for b in 0..batch {
                        let z = s.splat(z.row(b)[col + j]);
                        left[b] = s.neg_mul_add(z, block[j], left[b]);
                        step = s.mul_add(z, left[b], step);
                    }
                    block[j] = s.max(lowest, s.mul_add(rate, step, block[j]));
                }
                let lines = s.transpose(block);
                for i in 0..height {
                    s.store_partial(lines[i], &mut w.row_mut(row + i)[col..col + width]);
                }
            }
        }
    }
}
