//! A dense product of which only a pattern's entries are wanted: legal for any pattern; wins where few are, the more samples the fewer need
//! not be: [`Plan`](super::Plan) has the densities.
//!
//! ```text
//! for each panel of 128 samples                       x and z transposed: 8 vectors a column
//!   for each row i of the pattern
//!     for each 16 entries (i, j) of the row
//!       16 sums of 16 lanes: 8 times load x_i, 16 times load z_j and multiply-add (1)
//!       fold them, two vectors into one, four times; add to the entries' values   (2)
//! ```
//! 1. The mask drives the loop: what it leaves out is neither computed nor read. A row's last entries are computed as if they were 16, where
//!    registers are few as if they were 4, 8, 12 or 16.
//! 2. The tree of `reduce_add`, for 16 sums at once.
//!
//! Panels do not depend on the instruction set or the threads, so neither do the bits.

use super::pattern::Pattern;
use crate::context::Context;
use crate::kernels::dense::blocked::pack_panel;
use crate::matrix::MatRef;
use crate::parallel::{Threads, for_each};
use crate::simd::{Isa, Kernel, LANES, Simd, dispatch};

/// Vectors of a panel.
const VECTORS: usize = 8;
/// Samples of a panel.
pub(super) const PANEL: usize = VECTORS * LANES;
/// Rows of the pattern that are an item of parallel work.
const ROWS: usize = 8;

/// A panel's samples of one column.
pub(super) type Samples = [[f32; LANES]; VECTORS];

/// `values[e] = sum_b x[b, i] z[b, j]` for every entry e = (i, j) of the pattern: (X^T Z) o M, with x \[batch, inputs\], z \[batch, units\].
///
/// Faster than the dense product, of which the entries are taken, up to the densities that [`Plan`](super::Plan) has for gradients
/// ([`MaskedWeights::gradient`](super::MaskedWeights::gradient) chooses by these); legal for any pattern.
///
/// What `values` held is not read. Cost: batch x entries multiply-adds, the batch rounded up to 128 samples and each row's entries to 16; 1/8 as
/// much for folding lanes; and a copy of x and z, whose scratch is 128 x (inputs + units) values.
/// See [the module](super) for error, NaN and determinism.
///
/// ```
/// use neuropil::kernels::masked::{Pattern, sampled_product};
/// use neuropil::{Context, Matrix};
/// let x = Matrix::from_slice(&[1.0, 2.0, 3.0, 4.0], 2, 2)?;
/// let z = Matrix::from_slice(&[1.0, f32::NAN, 10.0, 0.0], 2, 2)?;
/// let pattern = Pattern::new(2, 2, vec![0, 1, 2], vec![0, 0])?;
/// let mut values = [0.0; 2];
/// sampled_product(&mut Context::new()?, x.view(), z.view(), &pattern, &mut values);
/// assert_eq!(values, [31.0, 42.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree.
#[track_caller]
pub fn sampled_product(context: &mut Context, x: MatRef<'_>, z: MatRef<'_>, pattern: &Pattern, values: &mut [f32]) {
    assert!(
        x.rows() == z.rows()
            && (pattern.rows(), pattern.cols()) == (x.cols(), z.cols())
            && values.len() == pattern.entries(),
        "sampled_product: x is {} x {}, z is {} x {}, the pattern is {} x {} with {} entries, {} values",
        x.rows(),
        x.cols(),
        z.rows(),
        z.cols(),
        pattern.rows(),
        pattern.cols(),
        pattern.entries(),
        values.len()
    );
    let (isa, batch) = (context.isa(), x.rows());
    if batch == 0 {
        return values.fill(0.0);
    }
    // Threads meet after every panel, and for its packing, so it is a panel's work that must be worth it.
    let threads = context.threads().for_work(PANEL.saturating_mul(values.len()));
    let [left, right] = context.scratch([PANEL * x.cols(), PANEL * z.cols()]);
    for first in (0..batch).step_by(PANEL) {
        let samples = first..batch.min(first + PANEL);
        let left = pack(isa, threads, x.rows_range(samples.clone()), left);
        let right = pack(isa, threads, z.rows_range(samples), right);
        for_each(threads, pattern.blocks(values, ROWS), |(rows, values)| {
            dispatch(isa, SampledRows { left, right, pattern, rows, values, add: first > 0 });
        });
    }
}

/// The transpose of up to [`PANEL`] samples: each column's in 8 vectors, zeros behind the last.
pub(super) fn pack<'p>(isa: Isa, threads: Threads, x: MatRef<'_>, to: &'p mut [f32]) -> &'p [Samples] {
    let to = &mut to.as_chunks_mut::<LANES>().0.as_chunks_mut::<VECTORS>().0[..x.cols()];
    const COLS: usize = 256;
    for_each(threads, to.chunks_mut(COLS).enumerate(), |(index, to)| {
        dispatch(isa, Pack { x: x.columns(index * COLS..index * COLS + to.len()), to });
    });
    to
}

struct Pack<'a, 'b> {
    x: MatRef<'a>,
    to: &'b mut [Samples],
}

impl Kernel for Pack<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let used = self.x.rows().div_ceil(LANES);
        let lines = self.to.as_flattened_mut();
        if used == VECTORS {
            pack_panel(s, self.x, true, 0, VECTORS, lines);
            return;
        }
        lines.fill([0.0; LANES]);
        for v in 0..used {
            let rows = self.x.rows_range(v * LANES..self.x.rows().min((v + 1) * LANES));
            for (col, to) in lines.chunks_exact_mut(VECTORS).enumerate() {
                for (row, lane) in rows.iter_rows().zip(&mut to[v]) {
                    *lane = row[col];
                }
            }
        }
    }
}

struct SampledRows<'a, 'b> {
    left: &'a [Samples],
    right: &'a [Samples],
    pattern: &'a Pattern,
    rows: std::ops::Range<usize>,
    values: &'b mut [f32],
    add: bool,
}

impl Kernel for SampledRows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut rest = self.values;
        for row in self.rows {
            let columns = self.pattern.row(row);
            let (own, after) = std::mem::take(&mut rest).split_at_mut(columns.len());
            rest = after;
            for (own, columns) in own.chunks_mut(LANES).zip(columns.chunks(LANES)) {
                let right = self.right;
                dots(s, &self.left[row], |at| &right[columns[at.min(columns.len() - 1)] as usize], own, self.add);
            }
        }
    }
}

/// `to[at] = fold(sum_v fixed[v] * other(at)[v])`, or added to what is there, for up to 16 of them. `other` may be asked for all 16.
#[inline(always)]
pub(super) fn dots<'a, S: Simd>(
    s: S,
    fixed: &Samples,
    other: impl Fn(usize) -> &'a Samples,
    to: &mut [f32],
    add: bool,
) {
    let mut acc = [s.zero(); LANES];
    // A constant number of sums in registers, and loops that unroll.
    if S::REGISTERS < 32 {
        for first in (0..to.len()).step_by(4) {
            sums::<S, 4>(s, fixed, |at| other(first + at), &mut acc[first..]);
        }
    } else {
        sums::<S, LANES>(s, fixed, other, &mut acc);
    }
    let sum = s.reduce_add_each(acc);
    if let Some(to) = to.first_chunk_mut() {
        let old = if add { s.load(to) } else { s.zero() };
        s.store(s.add(old, sum), to);
    } else {
        let old = if add { s.load_partial(to) } else { s.zero() };
        s.store_partial(s.add(old, sum), to);
    }
}

/// `to[at][lane] = sum_v fixed[v][lane] * other(at)[v][lane]` for `N` of them.
#[inline(always)]
fn sums<'a, S: Simd, const N: usize>(s: S, fixed: &Samples, other: impl Fn(usize) -> &'a Samples, to: &mut [S::F32]) {
    let mut others = [fixed; N];
    for at in 0..N {
        others[at] = other(at);
    }
    let mut acc = [s.zero(); N];
    for v in 0..VECTORS {
        let own = s.load(&fixed[v]);
        for at in 0..N {
            acc[at] = s.mul_add(own, s.load(&others[at][v]), acc[at]);
        }
    }
    to[..N].copy_from_slice(&acc);
}
