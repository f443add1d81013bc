//! The magnitude-preserving z-score of the Hebbian networks: rectified, over samples, units or everything.

use super::rows_per_item;
use crate::context::Context;
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{TOUCHED, Threads, for_each};
use crate::simd::{Isa, Kernel, LANES, Simd, dispatch};

/// Rows summed in `f32` before their sums continue in `f64`.
const ROWS: usize = 64;

/// What a normalisation takes its mean, deviation and maximum over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "systems", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Axis {
    /// Over the units, each sample for itself.
    #[default]
    Sample,
    /// Over the samples of the batch, each unit for itself.
    Unit,
    /// Over everything.
    Whole,
}

/// The hidden activation of the Hebbian networks, in place: the z-score of the magnitudes, rectified,
///
/// `z = max(0, (|y| - mean |y|) / std |y|)`, and with `rescale` divided by its maximum, into [0, 1].
///
/// The mean, the (population) standard deviation and the maximum run along `axis`. With `rescale` the deviation cancels, so that
/// `z = max(0, |y| - mean) / (max |y| - mean)` is what is computed.
///
/// Where all magnitudes along the axis are equal (or so small that their variance underflows, or one over their largest deviation overflows)
/// there is nothing to tell apart and the result is zero. NaN or infinity anywhere along the axis makes all of it NaN; so does a sum of
/// magnitudes (or without `rescale`, of squared deviations) in `f32` that is beyond its range. Such sums are those of a sample's units for
/// [`Axis::Sample`]; for [`Axis::Whole`] too, which adds those of the samples in `f64`; for [`Axis::Unit`] those of a unit's values in 64
/// samples, from each sample whose number is a multiple of 64, and added in `f64` as well.
///
/// Error: the mean m is off by at most `e = (d + 2) u m`, with u = 2^-24 and d the roundings on the longest way through a sum: n/64 + 9
/// for rows of n values, 64 for columns. So z is off by at most `1.01 (e / (max - m) + 4 u)` if rescaled, and by
/// `1.01 (e / std + z ((d/2 + 6) u + (e / std)^2))` if not: much only where the magnitudes hardly differ. This holds while `max - m` is above 1e-36 if
/// rescaled, and std above 1e-18 if not: below, what means or squares lose to underflow is no longer small beside them.
///
/// Deterministic: sums run over constant chunks in index order. Cost: two reads and a write of `y`, one more read without `rescale`, and some
/// four operations a value in each. Scratch memory: none for [`Axis::Sample`]; for [`Axis::Unit`] 3/64 of `y` and four rows of it, in the context;
/// for [`Axis::Whole`] 16 bytes for every 64 rows.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::activation::{Axis, magnitude_zscore}};
/// let mut y = Matrix::from_slice(&[-4.0, 1.0, 0.0, 3.0], 1, 4)?; // magnitudes 4, 1, 0, 3: their mean is 2
/// magnitude_zscore(&mut Context::new()?, y.view_mut(), Axis::Sample, true);
/// assert_eq!(y.as_slice(), &[1.0, 0.0, 0.0, 0.5]);
/// # Ok::<(), neuropil::Error>(())
/// ```
pub fn magnitude_zscore(context: &mut Context, y: MatMut<'_>, axis: Axis, rescale: bool) {
    let (rows, cols) = (y.rows(), y.cols());
    if rows == 0 || cols == 0 {
        return;
    }
    let isa = context.isa();
    let threads = context.threads().for_work([rows, cols, TOUCHED]);
    match axis {
        Axis::Sample => for_each(threads, y.row_blocks(rows_per_item(cols)), |y| {
            dispatch(isa, Samples { y, rescale });
        }),
        Axis::Unit => units(context, threads, isa, y, rescale),
        Axis::Whole => whole(threads, isa, y, rescale),
    }
}

/// Sum, largest and smallest of some magnitudes.
#[derive(Clone, Copy)]
struct Extent<S: Simd> {
    sum: [S::F32; 4],
    max: S::F32,
    min: S::F32,
}

impl<S: Simd> Extent<S> {
    #[inline(always)]
    fn new(s: S) -> Self {
        Extent { sum: [s.zero(); 4], max: s.zero(), min: s.splat(f32::INFINITY) }
    }
}

/// Sum, largest and smallest magnitude of a row.
#[inline(always)]
fn row_extent<S: Simd>(s: S, row: &[f32]) -> (f32, f32, f32) {
    let mut extent = Extent::new(s);
    // Four chains of sums, since one would wait for its own last addition.
    let (groups, rest) = row.as_chunks::<{ 4 * LANES }>();
    for group in groups {
        let vectors = group.as_chunks::<LANES>().0;
        for i in 0..4 {
            let a = s.abs(s.load(&vectors[i]));
            extent.sum[i] = s.add(extent.sum[i], a);
            extent.max = s.max(a, extent.max);
            extent.min = s.min(a, extent.min);
        }
    }
    let (vectors, tail) = rest.as_chunks::<LANES>();
    for vector in vectors {
        let a = s.abs(s.load(vector));
        extent.sum[0] = s.add(extent.sum[0], a);
        extent.max = s.max(a, extent.max);
        extent.min = s.min(a, extent.min);
    }
    let (mut max, mut min) = (s.reduce_max(extent.max), -s.reduce_max(s.sub(s.zero(), extent.min)));
    if !tail.is_empty() {
        extent.sum[1] = s.add(extent.sum[1], s.abs(s.load_partial(tail)));
        for value in tail {
            max = if value.abs() > max { value.abs() } else { max };
            min = if value.abs() < min { value.abs() } else { min };
        }
    }
    let [a, b, c, d] = extent.sum;
    (s.reduce_add(s.add(s.add(a, b), s.add(c, d))), max, min)
}

/// Sum of the squared deviations of the magnitudes of a row.
#[inline(always)]
fn row_deviation<S: Simd>(s: S, row: &[f32], mean: f32) -> f32 {
    let m = s.splat(mean);
    let mut sum = [s.zero(); 4];
    let (groups, rest) = row.as_chunks::<{ 4 * LANES }>();
    for group in groups {
        let vectors = group.as_chunks::<LANES>().0;
        for i in 0..4 {
            let d = s.sub(s.abs(s.load(&vectors[i])), m);
            sum[i] = s.mul_add(d, d, sum[i]);
        }
    }
    let (vectors, tail) = rest.as_chunks::<LANES>();
    for vector in vectors {
        let d = s.sub(s.abs(s.load(vector)), m);
        sum[0] = s.mul_add(d, d, sum[0]);
    }
    let [a, b, c, d] = sum;
    let mut total = s.reduce_add(s.add(s.add(a, b), s.add(c, d)));
    for value in tail {
        let d = value.abs() - mean;
        total = d.mul_add(d, total);
    }
    total
}

/// `max(0, (|y| - mean) scale)` over a row. A scale of zero gives zeros, of NaN gives NaN.
#[inline(always)]
fn apply<S: Simd>(s: S, row: &mut [f32], mean: f32, scale: f32) {
    let (mean, scale) = (s.splat(mean), s.splat(scale));
    let (vectors, tail) = row.as_chunks_mut();
    for vector in vectors {
        s.store(scored(s, s.load(vector), mean, scale), vector);
    }
    s.store_partial(scored(s, s.load_partial(tail), mean, scale), tail);
}

#[inline(always)]
fn scored<S: Simd>(s: S, y: S::F32, mean: S::F32, scale: S::F32) -> S::F32 {
    // Written so that zero comes out as +0 and NaN as NaN.
    let score = s.mul(s.sub(s.abs(y), mean), scale);
    s.select(s.le(score, s.zero()), s.zero(), score)
}

/// The factor that follows `|y| - mean`: one over the largest deviation, or over the standard deviation from its square.
#[inline(always)]
fn scale_of(mean: f32, max: f32, min: f32, variance: Option<f32>) -> f32 {
    if mean.is_nan() || mean.is_infinite() {
        return f32::NAN;
    }
    let width = match variance {
        None => max - mean,
        Some(variance) => variance.sqrt(),
    };
    if width.is_infinite() {
        return f32::NAN;
    }
    // All equal: the rounded mean may still differ from them, by an error that must not be blown up.
    let scale = 1.0 / width;
    if max == min || width <= 0.0 || scale.is_infinite() { 0.0 } else { scale }
}

struct Samples<'a> {
    y: MatMut<'a>,
    rescale: bool,
}

impl Kernel for Samples<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let n = self.y.cols() as f32;
        for row in 0..self.y.rows() {
            let row = self.y.row_mut(row);
            let (sum, max, min) = row_extent(s, row);
            let mean = sum / n;
            let variance = if self.rescale { None } else { Some(row_deviation(s, row, mean) / n) };
            apply(s, row, mean, scale_of(mean, max, min, variance));
        }
    }
}

/// One pass over a block of rows, for the axes that reach across rows.
enum Pass<'a> {
    /// Sum, maximum and minimum of each column: three rows of `cols` values.
    Extents(&'a mut [f32]),
    /// Sum of squared deviations of each column from its mean.
    Deviations(&'a [f32], &'a mut [f32]),
}

struct Columns<'a> {
    y: MatRef<'a>,
    pass: Pass<'a>,
}

impl Kernel for Columns<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let cols = self.y.cols();
        match self.pass {
            Pass::Extents(out) => {
                let (sums, rest) = out.split_at_mut(cols);
                let (maxima, minima) = rest.split_at_mut(cols);
                sums.fill(0.0);
                maxima.fill(0.0);
                minima.fill(f32::INFINITY);
                let (sum, sum_tail) = sums.as_chunks_mut::<LANES>();
                let (max, max_tail) = maxima.as_chunks_mut::<LANES>();
                let (min, min_tail) = minima.as_chunks_mut::<LANES>();
                for row in self.y.iter_rows() {
                    let (vectors, tail) = row.as_chunks::<LANES>();
                    for i in 0..vectors.len() {
                        let a = s.abs(s.load(&vectors[i]));
                        s.store(s.add(s.load(&sum[i]), a), &mut sum[i]);
                        s.store(s.max(a, s.load(&max[i])), &mut max[i]);
                        s.store(s.min(a, s.load(&min[i])), &mut min[i]);
                    }
                    let a = s.abs(s.load_partial(tail));
                    s.store_partial(s.add(s.load_partial(sum_tail), a), sum_tail);
                    s.store_partial(s.max(a, s.load_partial(max_tail)), max_tail);
                    s.store_partial(s.min(a, s.load_partial(min_tail)), min_tail);
                }
            }
            Pass::Deviations(means, out) => {
                out.fill(0.0);
                let (mean, mean_tail) = means.as_chunks::<LANES>();
                let (sum, sum_tail) = out.as_chunks_mut::<LANES>();
                for row in self.y.iter_rows() {
                    let (vectors, tail) = row.as_chunks::<LANES>();
                    for i in 0..vectors.len() {
                        let d = s.sub(s.abs(s.load(&vectors[i])), s.load(&mean[i]));
                        s.store(s.mul_add(d, d, s.load(&sum[i])), &mut sum[i]);
                    }
                    let d = s.sub(s.abs(s.load_partial(tail)), s.load_partial(mean_tail));
                    s.store_partial(s.mul_add(d, d, s.load_partial(sum_tail)), sum_tail);
                }
            }
        }
    }
}

/// `max(0, (|y| - mean) scale)` with a mean and a scale for every column.
struct ApplyColumns<'a> {
    y: MatMut<'a>,
    means: &'a [f32],
    scales: &'a [f32],
}

impl Kernel for ApplyColumns<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (means, mean_tail) = self.means.as_chunks::<LANES>();
        let (scales, scale_tail) = self.scales.as_chunks::<LANES>();
        for row in 0..self.y.rows() {
            let (vectors, tail) = self.y.row_mut(row).as_chunks_mut::<LANES>();
            for ((vector, mean), scale) in vectors.iter_mut().zip(means).zip(scales) {
                s.store(scored(s, s.load(vector), s.load(mean), s.load(scale)), vector);
            }
            let score = scored(s, s.load_partial(tail), s.load_partial(mean_tail), s.load_partial(scale_tail));
            s.store_partial(score, tail);
        }
    }
}

/// The row blocks of a shared view, in order.
fn shared_blocks<'a>(y: MatRef<'a>) -> impl ExactSizeIterator<Item = MatRef<'a>> + Send {
    let rows = y.rows();
    (0..rows.div_ceil(ROWS)).map(move |block| y.rows_range(block * ROWS..((block + 1) * ROWS).min(rows)))
}

fn units(context: &mut Context, threads: Threads, isa: Isa, y: MatMut<'_>, rescale: bool) {
    let (rows, cols) = (y.rows(), y.cols());
    let blocks = rows.div_ceil(ROWS);
    let [partial, means, scales, extremes] = context.scratch([blocks * 3 * cols, cols, cols, 2 * cols]);
    let (maxima, minima) = extremes.split_at_mut(cols);

    let items = shared_blocks(y.as_ref()).zip(partial.chunks_mut(3 * cols));
    for_each(threads, items, |(y, out)| dispatch(isa, Columns { y, pass: Pass::Extents(out) }));
    for col in 0..cols {
        let (mut sum, mut max, mut min) = (0.0, 0.0, f32::INFINITY);
        for part in partial.chunks(3 * cols) {
            sum += f64::from(part[col]);
            max = f32::max(max, part[cols + col]);
            min = f32::min(min, part[2 * cols + col]);
        }
        (means[col], maxima[col], minima[col]) = ((sum / rows as f64) as f32, max, min);
    }
    if !rescale {
        let items = shared_blocks(y.as_ref()).zip(partial.chunks_mut(cols));
        for_each(threads, items, |(y, out)| dispatch(isa, Columns { y, pass: Pass::Deviations(means, out) }));
    }
    for col in 0..cols {
        let variance = (!rescale).then(|| {
            let squares: f64 = partial.chunks(cols).take(blocks).map(|part| f64::from(part[col])).sum();
            (squares / rows as f64) as f32
        });
        scales[col] = scale_of(means[col], maxima[col], minima[col], variance);
    }
    let (means, scales) = (&*means, &*scales);
    for_each(threads, y.row_blocks(ROWS), |y| dispatch(isa, ApplyColumns { y, means, scales }));
}

/// Sum, maximum and minimum, or sum of squared deviations, of a block of rows: row by row, added in `f64`.
struct Block<'a> {
    y: MatRef<'a>,
    mean: Option<f32>,
}

impl Kernel for Block<'_> {
    type Output = (f64, f32, f32);

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let (mut sum, mut max, mut min) = (0.0, 0.0, f32::INFINITY);
        for row in self.y.iter_rows() {
            if let Some(mean) = self.mean {
                sum += f64::from(row_deviation(s, row, mean));
            } else {
                let (row_sum, row_max, row_min) = row_extent(s, row);
                sum += f64::from(row_sum);
                max = f32::max(max, row_max);
                min = f32::min(min, row_min);
            }
        }
        (sum, max, min)
    }
}

struct Apply<'a> {
    y: MatMut<'a>,
    mean: f32,
    scale: f32,
}

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for row in 0..self.y.rows() {
            apply(s, self.y.row_mut(row), self.mean, self.scale);
        }
    }
}

fn whole(threads: Threads, isa: Isa, y: MatMut<'_>, rescale: bool) {
    let (rows, cols) = (y.rows(), y.cols());
    let count = rows as f64 * cols as f64;
    let mut partial = vec![(0.0, 0.0, f32::INFINITY); rows.div_ceil(ROWS)];
    let mut pass = |mean: Option<f32>| {
        let items = shared_blocks(y.as_ref()).zip(partial.iter_mut());
        for_each(threads, items, |(y, out)| *out = dispatch(isa, Block { y, mean }));
        partial.iter().fold((0.0, 0.0, f32::INFINITY), |(sum, max, min), part| {
            (sum + part.0, f32::max(max, part.1), f32::min(min, part.2))
        })
    };
    let (sum, max, min) = pass(None);
    let mean = (sum / count) as f32;
    let variance = (!rescale).then(|| (pass(Some(mean)).0 / count) as f32);
    let scale = scale_of(mean, max, min, variance);
    for_each(threads, y.row_blocks(ROWS), |y| dispatch(isa, Apply { y, mean, scale }));
}
