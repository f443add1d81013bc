//! A dense product of which only a pattern's entries are wanted: legal for any pattern; wins where few are, the more samples the fewer need
//! not be: [`Plan`](super::Plan) has the densities.
//!
//! ```text
//! for each panel of 128 samples                       x and z transposed: V vectors a column, 8, or as many as hold fewer samples
//!   for each row i of the pattern
//!     for each 16 entries (i, j) of the row
//!       16 sums of 16 lanes: V times load x_i, 16 times load z_j and multiply-add (1)
//!       fold them, two vectors into one, four times; add to the entries' values   (2)
//! ```
//! 1. The mask drives the loop: what it leaves out is neither computed nor read. A row's last entries are computed as if they were 16, where
//!    registers are few as if they were 4, 8, 12 or 16. Where rows have few entries, four at a time, and sixteen sums of several rows are folded.
//! 2. The tree of `reduce_add`, for 16 sums at once.
//!
//! Panels do not depend on the instruction set or the threads, so neither do the bits. A single sample's products need neither lanes nor a fold.

use std::ops::Range;

use super::pattern::Pattern;
use crate::context::Context;
use crate::kernels::dense::blocked::pack_transposed;
use crate::matrix::MatRef;
use crate::parallel::{Threads, for_each};
use crate::simd::{Isa, Kernel, LANES, Simd, dispatch};

/// Samples of a panel.
pub(super) const PANEL: usize = 8 * LANES;
/// Rows of the pattern that are an item of parallel work.
const ROWS: usize = 8;
/// What folding a value's lanes costs, in multiply-adds.
const FOLD: usize = 3 * LANES;

/// A panel's samples of one column.
pub(super) type Samples<const V: usize> = [[f32; LANES]; V];

/// The samples of a panel that holds so many, or as many as one can: 1, 2, 4 or 8 vectors.
pub(super) fn panel_of(samples: usize) -> usize {
    samples.min(PANEL).div_ceil(LANES).next_power_of_two() * LANES
}

/// What a panel of so many samples costs for each value of the product.
pub(super) fn work(samples: usize) -> usize {
    panel_of(samples) + FOLD
}

/// Calls a function with as many vectors as its first constant as hold so many samples, at most a panel's.
macro_rules! by_vectors {
    ($samples:expr, $function:ident($($argument:expr),* $(,)?)) => {
        match $crate::kernels::masked::sampled::panel_of($samples) / LANES {
            1 => $function::<1>($($argument),*),
            2 => $function::<2>($($argument),*),
            4 => $function::<4>($($argument),*),
            _ => $function::<8>($($argument),*),
        }
    };
}
pub(super) use by_vectors;

/// `values[e] = sum_b x[b, i] z[b, j]` for every entry e = (i, j) of the pattern: (X^T Z) o M, with x \[batch, inputs\], z \[batch, units\].
///
/// Faster than the dense product, of which the entries are taken, up to the densities that [`Plan`](super::Plan) has for gradients
/// ([`MaskedWeights::gradient`](super::MaskedWeights::gradient) chooses by these); legal for any pattern.
///
/// What `values` held is not read. Cost: batch x entries multiply-adds, the samples behind the last whole 128 rounded up to 16, 32, 64 or 128 and each row's
/// entries to 16, of fewer than eight on average to 4; for each 128 samples or part of them 16 x entries for folding lanes; and a copy of x and z, whose scratch
/// is inputs + units values for each of up to 128 samples. Of a
/// single sample, entries multiplications.
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
    if batch == 0 || values.is_empty() {
        return values.fill(0.0);
    }
    // Threads meet after every panel, and for its packing, so it is a panel's work that must be worth it.
    let threads = context.threads().for_work([work(batch), values.len()]);
    if batch == 1 {
        return for_each(threads, pattern.blocks(values, ROWS), |(rows, values)| {
            one_sample(x.row(0), z.row(0), pattern, rows, values);
        });
    }
    let panel = panel_of(batch);
    let [left, right] = context.scratch([panel * x.cols(), panel * z.cols()]);
    for first in (0..batch).step_by(PANEL) {
        let samples = first..batch.min(first + PANEL);
        let (x, z) = (x.rows_range(samples.clone()), z.rows_range(samples.clone()));
        by_vectors!(samples.len(), one_panel(isa, threads, x, z, pattern, values, first > 0, left, right));
    }
}

/// The products themselves; zero is added to each, as a sum begins with it.
fn one_sample(x: &[f32], z: &[f32], pattern: &Pattern, rows: Range<usize>, values: &mut [f32]) {
    let mut values = values.iter_mut();
    for row in rows {
        for (&col, value) in pattern.row(row).iter().zip(&mut values) {
            *value = x[row] * z[col as usize] + 0.0;
        }
    }
}

/// The product of a panel's samples, or what it adds.
fn one_panel<const V: usize>(
    isa: Isa,
    threads: Threads,
    x: MatRef<'_>,
    z: MatRef<'_>,
    pattern: &Pattern,
    values: &mut [f32],
    add: bool,
    left: &mut [f32],
    right: &mut [f32],
) {
    let (left, right) = (pack::<V>(isa, threads, x, left), pack::<V>(isa, threads, z, right));
    for_each(threads, pattern.blocks(values, ROWS), |(rows, values)| {
        dispatch(isa, SampledRows { left, right, pattern, rows, values, add });
    });
}

/// The transpose of up to 16 V samples: each column's in V vectors, zeros behind the last.
pub(super) fn pack<'p, const V: usize>(
    isa: Isa,
    threads: Threads,
    x: MatRef<'_>,
    to: &'p mut [f32],
) -> &'p [Samples<V>] {
    let to = &mut to.as_chunks_mut::<LANES>().0.as_chunks_mut::<V>().0[..x.cols()];
    const COLS: usize = 256;
    for_each(threads, to.chunks_mut(COLS).enumerate(), |(index, to)| {
        dispatch(isa, Pack { x: x.columns(index * COLS..index * COLS + to.len()), to });
    });
    to
}

struct Pack<'a, 'b, const V: usize> {
    x: MatRef<'a>,
    to: &'b mut [Samples<V>],
}

impl<const V: usize> Kernel for Pack<'_, '_, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let samples = self.x.rows();
        for v in 0..V {
            if v * LANES < samples {
                let rows = self.x.rows_range(v * LANES..samples.min((v + 1) * LANES));
                pack_transposed(s, rows, v, V, self.to.as_flattened_mut());
            } else {
                self.to.iter_mut().for_each(|column| column[v] = [0.0; LANES]);
            }
        }
    }
}

struct SampledRows<'a, 'b, const V: usize> {
    left: &'a [Samples<V>],
    right: &'a [Samples<V>],
    pattern: &'a Pattern,
    rows: Range<usize>,
    values: &'b mut [f32],
    add: bool,
}

impl<const V: usize> Kernel for SampledRows<'_, '_, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let entries = self.values.len();
        if entries < SHORT * self.rows.len() { self.short_rows(s) } else { self.long_rows(s) }
    }
}

impl<const V: usize> SampledRows<'_, '_, V> {
    /// Sixteen entries of a row at a time.
    #[inline(always)]
    fn long_rows<S: Simd>(self, s: S) {
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

    /// Four entries of a row at a time; what is folded together is of several rows.
    #[inline(always)]
    fn short_rows<S: Simd>(self, s: S) {
        let SampledRows { left, right, pattern, rows, values, add } = self;
        let (mut waiting, mut count, mut values) = ([[0.0; LANES]; LANES + FEW], 0, values.chunks_mut(LANES));
        for row in rows {
            for columns in pattern.row(row).chunks(FEW) {
                let mut acc = [s.zero(); FEW];
                sums::<S, FEW, V>(s, &left[row], |at| &right[columns[at.min(columns.len() - 1)] as usize], &mut acc);
                // Those beyond the last are written over, or never read.
                for (acc, to) in acc.into_iter().zip(&mut waiting[count..]) {
                    s.store(acc, to);
                }
                count += columns.len();
                if count >= LANES {
                    fold(s, load_sums(s, &waiting), values.next().expect("sums of sixteen more"), add);
                    count -= LANES;
                    waiting.copy_within(LANES..LANES + count, 0);
                }
            }
        }
        if let Some(to) = values.next() {
            fold(s, load_sums(s, &waiting), to, add);
        }
    }
}

/// Entries of a row on average, below which they are few.
const SHORT: usize = 8;
/// Entries whose sums are in registers at a time, of a short row or where registers are few.
const FEW: usize = 4;

#[inline(always)]
fn load_sums<S: Simd>(s: S, from: &[[f32; LANES]; LANES + FEW]) -> [S::F32; LANES] {
    let mut sums = [s.zero(); LANES];
    for at in 0..LANES {
        sums[at] = s.load(&from[at]);
    }
    sums
}

/// `to[at] = fold(sum_v fixed[v] * other(at)[v])`, or added to what is there, for up to 16 of them. `other` may be asked for all 16.
#[inline(always)]
pub(super) fn dots<'a, S: Simd, const V: usize>(
    s: S,
    fixed: &Samples<V>,
    other: impl Fn(usize) -> &'a Samples<V>,
    to: &mut [f32],
    add: bool,
) {
    let mut acc = [s.zero(); LANES];
    // A constant number of sums in registers, and loops that unroll.
    if S::REGISTERS < 32 {
        for first in (0..to.len()).step_by(FEW) {
            sums::<S, FEW, V>(s, fixed, |at| other(first + at), &mut acc[first..]);
        }
    } else {
        sums::<S, LANES, V>(s, fixed, other, &mut acc);
    }
    fold(s, acc, to, add);
}

/// `to[at] = fold(sums[at])`, or added to what is there, for up to 16 of them.
#[inline(always)]
fn fold<S: Simd>(s: S, sums: [S::F32; LANES], to: &mut [f32], add: bool) {
    let sum = s.reduce_add_each(sums);
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
fn sums<'a, S: Simd, const N: usize, const V: usize>(
    s: S,
    fixed: &Samples<V>,
    other: impl Fn(usize) -> &'a Samples<V>,
    to: &mut [S::F32],
) {
    let mut others = [fixed; N];
    for at in 0..N {
        others[at] = other(at);
    }
    let mut acc = [s.zero(); N];
    for v in 0..V {
        let own = s.load(&fixed[v]);
        for at in 0..N {
            acc[at] = s.mul_add(own, s.load(&others[at][v]), acc[at]);
        }
    }
    to[..N].copy_from_slice(&acc);
}
