//! Histograms with exact edges, and the Shannon entropy of what they count.
//!
//! `bins` equal bins divide a range [low, high]. A value x falls in bin
//!
//! `floor(((x - low) * bins) / (high - low))`, computed in `f64` in this order, and at most the last,
//!
//! so that the largest value belongs to the last bin. This is the definition ([`reference::place`]), and every result agrees with it
//! for every `f32`, edges included, on every instruction set. Values below and above the range and NaN are counted apart; infinities
//! are below or above. In a range of one point (all values equal) that point falls in the first bin.
//!
//! The entropy is that of the bins' shares p of the values inside the range, `H = -sum p log2 p` bits, or `-sum p ln p` nats
//! (eq. 2 of the self-organising hierarchy's paper writes `log` without a base), by `f64` sums in the order of the bins.
//! Bounds: 0 to `log2 bins`. Of no values, it is zero.
//!
//! Counts are integers: any order of additions, threads or batches gives the same.
//!
//! ```
//! use neuropil::kernels::entropy::{self, Histogram};
//! use neuropil::{Context, Matrix};
//! let mut context = Context::new()?;
//! // Batches of activations: the range over all of them first, then the counts.
//! let batches = [Matrix::from_slice(&[0.0, 1.0, 2.0, 3.0], 2, 2)?, Matrix::from_slice(&[4.0, 0.0, 0.0, 0.0], 2, 2)?];
//! let ranges = batches.iter().filter_map(|batch| entropy::range(&mut context, batch.view()));
//! let range = ranges.reduce(|all, next| all.union(next)).unwrap_or_default();
//! let mut histogram = Histogram::new(range, 2)?;
//! for batch in &batches {
//!     histogram.add(&mut context, batch.view());
//! }
//! assert_eq!(histogram.counts(), [5, 3]); // 2, in the middle of [0, 4], belongs to the upper bin
//! assert!((histogram.entropy_bits() - 0.954434).abs() < 1e-6);
//! # Ok::<(), neuropil::Error>(())
//! ```

mod binning;
mod columns;
mod extent;
mod pairs;
pub mod reference;
mod single;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::matrix::MatRef;
use crate::simd::LANES;

/// The most bins a histogram may have.
pub const MAX_BINS: usize = 1 << 15;
/// Counters on their way, of two blocks: 16 of them in a cache line.
#[repr(align(64))]
struct Buffers<const BLOCK: usize>([[[u32; LANES]; BLOCK]; 2]);

/// What counting a value costs, in multiply-adds.
const COST: usize = 16;

/// A range of finite values, both ends included.
///
/// The default is the point zero: the range of no values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Range {
    low: f32,
    high: f32,
}

impl Range {
    /// The range from `low` to `high`, which may be equal.
    ///
    /// # Errors
    /// [`Error::Setting`] unless both are finite and in order.
    pub fn new(low: f32, high: f32) -> Result<Self> {
        if !(low.is_finite() && high.is_finite() && low <= high) {
            return Err(Error::setting(
                "histogram range",
                "two finite numbers in order",
                format_args!("{low} to {high}"),
            ));
        }
        // Adding zero takes the sign off a zero, so that equal ranges have equal bits.
        Ok(Range { low: low + 0.0, high: high + 0.0 })
    }

    /// The lower end.
    pub fn low(self) -> f32 {
        self.low
    }

    /// The upper end.
    pub fn high(self) -> f32 {
        self.high
    }

    /// The smallest range that holds both.
    #[must_use]
    pub fn union(self, other: Range) -> Range {
        Range { low: self.low.min(other.low), high: self.high.max(other.high) }
    }
}

/// The range of the finite values of a matrix; `None` if it has none. NaN and infinities are passed over.
///
/// One read of `x`, and a second if it holds an infinity, or nothing finite.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::entropy::{self, Range}};
/// let x = Matrix::from_slice(&[1.0, f32::NAN, -2.0, f32::INFINITY], 2, 2)?;
/// assert_eq!(entropy::range(&mut Context::new()?, x.view()), Some(Range::new(-2.0, 1.0)?));
/// # Ok::<(), neuropil::Error>(())
/// ```
pub fn range(context: &mut Context, x: MatRef<'_>) -> Option<Range> {
    extent::whole(context, x)
}

/// The range of the finite values of every column, as [`range`]; `None` for a column that has none.
///
/// One read of `x`, and a second if an infinity is the largest or smallest value of a column. Scratch memory: up to a 32nd of `x`, and 16 bytes a
/// column.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::entropy::{Range, column_ranges}};
/// let x = Matrix::from_slice(&[1.0, f32::NAN, -2.0, f32::INFINITY, 3.0, f32::NAN], 3, 2)?;
/// assert_eq!(column_ranges(&mut Context::new()?, x.view()), [Some(Range::new(-2.0, 3.0)?), None]);
/// # Ok::<(), neuropil::Error>(())
/// ```
pub fn column_ranges(context: &mut Context, x: MatRef<'_>) -> Vec<Option<Range>> {
    extent::columns(context, x)
}

/// How often values fell in each bin of a range, below, above, or were no number.
///
/// See [the module](self) for the definition of the bins. Counting costs one read of the values; its speed is that of memory up to
/// 180 bins, and about half of that above.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    range: Range,
    /// The bins, then below, above, and NaN.
    counts: Vec<u64>,
}

/// Places of a histogram beside its bins: below, above, NaN.
const APART: usize = 3;

impl Histogram {
    /// An empty histogram of `bins` equal bins over a range.
    ///
    /// # Errors
    /// [`Error::Setting`] unless `1 <= bins <= `[`MAX_BINS`].
    pub fn new(range: Range, bins: usize) -> Result<Self> {
        if !(1..=MAX_BINS).contains(&bins) {
            return Err(Error::setting("histogram bins", format!("1 to {MAX_BINS}"), bins));
        }
        Ok(Histogram { range, counts: vec![0; bins + APART] })
    }

    /// A histogram that has these counts already: one that was saved, or sent from another process, to be [merged](Self::merge) or added to.
    ///
    /// # Errors
    /// [`Error::Setting`] unless there are 1 to [`MAX_BINS`] bins, or if more than 2^53 values were counted, apart ones included.
    ///
    /// ```
    /// use neuropil::{Context, Matrix, kernels::entropy::Histogram};
    /// let x = Matrix::from_slice(&[0.0, 0.3, 0.5, 1.0, f32::NAN, f32::INFINITY], 2, 3)?;
    /// let histogram = Histogram::of(&mut Context::new()?, x.view(), 2)?;
    /// let (counts, apart) = (histogram.counts().to_vec(), [histogram.below(), histogram.above(), histogram.nan()]);
    /// // Wherever these have gone and come from:
    /// let mut again = Histogram::from_counts(histogram.range(), &counts, apart)?;
    /// assert_eq!(again, histogram);
    /// again.merge(&histogram);
    /// assert_eq!((again.counts(), again.nan()), (&[4, 4][..], 2));
    /// # Ok::<(), neuropil::Error>(())
    /// ```
    pub fn from_counts(range: Range, counts: &[u64], [below, above, nan]: [u64; 3]) -> Result<Self> {
        const MOST: u64 = 1 << 53;
        let mut histogram = Histogram::new(range, counts.len())?;
        let (bins, apart) = histogram.counts.split_at_mut(counts.len());
        bins.copy_from_slice(counts);
        apart.copy_from_slice(&[below, above, nan]);
        let sum = histogram.counts.iter().try_fold(0u64, |sum, &count| sum.checked_add(count));
        match sum.filter(|&sum| sum <= MOST) {
            Some(_) => Ok(histogram),
            None => {
                let found = sum.map_or("more than 64 bits hold".to_owned(), |sum| sum.to_string());
                Err(Error::setting("histogram counts", format!("up to {MOST} values"), found))
            }
        }
    }

    /// The histogram of a matrix over the [range] of its finite values, or over the point zero if it has none.
    ///
    /// Cost: two reads of `x`, that of [`range`], which may be two itself, and that of the counting. Memory, beside the result: some 8 bytes for
    /// every 2^18 values, and for each thread 128 KB, or of fewer than 50 000 values or more than 180 bins 40 bytes a bin.
    ///
    /// # Errors
    /// As [`Histogram::new`].
    ///
    /// ```
    /// use neuropil::{Context, Matrix, kernels::entropy::Histogram};
    /// let x = Matrix::from_slice(&[0.0, 0.3, 0.5, 1.0, f32::NAN, f32::INFINITY], 2, 3)?;
    /// let histogram = Histogram::of(&mut Context::new()?, x.view(), 2)?;
    /// assert_eq!(histogram.counts(), [2, 2]);
    /// assert_eq!((histogram.below(), histogram.above(), histogram.nan()), (0, 1, 1));
    /// assert_eq!(histogram.entropy_bits(), 1.0);
    /// # Ok::<(), neuropil::Error>(())
    /// ```
    pub fn of(context: &mut Context, x: MatRef<'_>, bins: usize) -> Result<Self> {
        let mut histogram = Histogram::new(Range::default(), bins)?;
        histogram.range = range(context, x).unwrap_or_default();
        histogram.add(context, x);
        Ok(histogram)
    }

    /// The histogram of every column over the range of its finite values.
    ///
    /// Cost: two reads of `x`, that of [`column_ranges`], which may be two itself, and that of [`add_columns`]. Memory, beside the result: what the
    /// former takes, and for each thread 128 KB, which the context keeps, and up to 512 KB.
    ///
    /// # Errors
    /// As [`Histogram::new`].
    ///
    /// ```
    /// use neuropil::{Context, Matrix, kernels::entropy::Histogram};
    /// let x = Matrix::from_slice(&[0.0, 5.0, 1.0, 5.0, 2.0, 5.0, 3.0, 5.0], 4, 2)?;
    /// let columns = Histogram::of_columns(&mut Context::new()?, x.view(), 4)?;
    /// assert_eq!(columns[0].entropy_bits(), 2.0);
    /// assert_eq!(columns[1].entropy_bits(), 0.0); // always the same: nothing to tell apart
    /// # Ok::<(), neuropil::Error>(())
    /// ```
    pub fn of_columns(context: &mut Context, x: MatRef<'_>, bins: usize) -> Result<Vec<Self>> {
        let empty = Histogram::new(Range::default(), bins)?;
        let ranges = column_ranges(context, x).into_iter();
        let mut histograms: Vec<_> =
            ranges.map(|range| Histogram { range: range.unwrap_or_default(), ..empty.clone() }).collect();
        add_columns(context, x, &mut histograms);
        Ok(histograms)
    }

    /// Counts the values of a matrix, beside those that were counted before; below, above and NaN apart.
    pub fn add(&mut self, context: &mut Context, x: MatRef<'_>) {
        if self.bins() <= pairs::MAX_BINS && x.rows() * x.cols() >= pairs::WORTH {
            pairs::add(context, x, self.range, &mut self.counts);
        } else {
            single::add(context, x, self.range, &mut self.counts);
        }
    }

    /// Adds the counts of another histogram with the same bins: of another thread's share, or another batch.
    ///
    /// [`of`](Self::of) takes its range from the values, so two of its histograms seldom have the same bins: find the [`union`](Range::union)
    /// of the [ranges](range) first, as the example of [the module](self) does.
    ///
    /// # Panics
    /// If the ranges or the numbers of bins differ.
    #[track_caller]
    pub fn merge(&mut self, other: &Histogram) {
        let describe = |h: &Histogram| format!("{} bins over {} to {}", h.bins(), h.range.low, h.range.high);
        let same = self.range == other.range && self.bins() == other.bins();
        assert!(same, "Histogram::merge: {} and {}", describe(self), describe(other));
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// The range its bins divide.
    pub fn range(&self) -> Range {
        self.range
    }

    /// The number of bins.
    pub fn bins(&self) -> usize {
        self.counts.len() - APART
    }

    /// The count of every bin.
    pub fn counts(&self) -> &[u64] {
        &self.counts[..self.bins()]
    }

    /// How many values were less than the range's lower end.
    pub fn below(&self) -> u64 {
        self.counts[self.bins()]
    }

    /// How many values were greater than the range's upper end.
    pub fn above(&self) -> u64 {
        self.counts[self.bins() + 1]
    }

    /// How many values were no number.
    pub fn nan(&self) -> u64 {
        self.counts[self.bins() + 2]
    }

    /// How many values fell inside the range.
    pub fn total(&self) -> u64 {
        self.counts().iter().sum()
    }

    /// `-sum p log2 p` over the bins. Error: at most `(bins + 3)` times 2^-53 of the result and 1.5 times 2^-53 more, as a p near one is
    /// rounded before its logarithm is taken, and that of the platform's logarithm.
    pub fn entropy_bits(&self) -> f64 {
        self.entropy(f64::log2)
    }

    /// `-sum p ln p` over the bins, with the same error.
    pub fn entropy_nats(&self) -> f64 {
        self.entropy(f64::ln)
    }

    fn entropy(&self, log: impl Fn(f64) -> f64) -> f64 {
        let total = self.total() as f64;
        let term = |count: u64| {
            let p = count as f64 / total;
            p * log(p)
        };
        // Of few values many bins have the same count: a logarithm for each count, not for each bin.
        let mut known = [f64::NAN; 64];
        let terms = self.counts().iter().filter(|&&count| count > 0).map(|&count| {
            match usize::try_from(count).ok().and_then(|count| known.get_mut(count)) {
                Some(known) => {
                    if known.is_nan() {
                        *known = term(count);
                    }
                    *known
                }
                None => term(count),
            }
        });
        // Subtracted from zero, so that one occupied bin gives +0.
        terms.fold(0.0, |sum, term| sum - term)
    }
}

/// Counts the values of every column of `x` in the histogram of that column.
///
/// One read of `x`. Wider matrices go by groups of columns whose counters stay in the first-level cache: 128 of 100 bins. Beside that each call
/// clears and sums up columns x (bins + 3) counters on every thread: as much work as some rows, however few there are, so batches should not be
/// small.
///
/// ```
/// use neuropil::kernels::entropy::{Histogram, Range, add_columns};
/// use neuropil::{Context, Matrix};
/// let mut histograms = vec![Histogram::new(Range::new(0.0, 1.0)?, 2)?, Histogram::new(Range::new(0.0, 8.0)?, 2)?];
/// for batch in [[0.25, 0.25, 0.75, 4.0], [1.5, 7.0, f32::NAN, 8.0]] {
///     add_columns(&mut Context::new()?, Matrix::from_slice(&batch, 2, 2)?.view(), &mut histograms);
/// }
/// assert_eq!((histograms[0].counts(), histograms[1].counts()), (&[1, 1][..], &[1, 3][..]));
/// assert_eq!((histograms[0].above(), histograms[0].nan()), (1, 1));
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// Unless there is a histogram for every column, all with the same number of bins.
#[track_caller]
pub fn add_columns(context: &mut Context, x: MatRef<'_>, histograms: &mut [Histogram]) {
    let (count, cols) = (histograms.len(), x.cols());
    assert!(count == cols, "add_columns: {count} histograms for {cols} columns");
    if let Some((first, rest)) = histograms.split_first() {
        if let Some(other) = rest.iter().find(|other| other.bins() != first.bins()) {
            panic!(
                "add_columns: histograms of {} and {} bins for the columns of one matrix",
                first.bins(),
                other.bins()
            );
        }
        columns::add(context, x, histograms);
    }
}

/// How many rows without gaps fill whole vectors: 16 over the greatest common divisor.
fn whole_vectors(cols: usize) -> usize {
    LANES >> cols.trailing_zeros().min(LANES.ilog2())
}

/// A matrix in pieces of about so many values, the same whatever the threads: stretches of what is contiguous, else groups of rows.
fn pieces(x: MatRef<'_>, values: usize) -> impl Iterator<Item = MatRef<'_>> + Send {
    let stretch = x.as_contiguous();
    let rows = if stretch.is_some() { 0 } else { x.rows() };
    let step = values.div_ceil(x.cols().max(1));
    let stretches = stretch.unwrap_or_default().chunks(values);
    let stretches = stretches.map(|piece| MatRef::new(piece, 1, piece.len()).expect("a row of its own length"));
    stretches.chain((0..rows).step_by(step).map(move |first| x.rows_range(first..rows.min(first + step))))
}

#[cfg(test)]
mod tests;
