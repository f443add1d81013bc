//! Softmax, its cross-entropy with labels, and accuracy.
//!
//! Labels are bytes, which is what data sets of images have: they name at most 256 classes. [`softmax`] takes any number of columns.

pub mod reference;

use crate::context::Context;
use crate::kernels::dense::blocked::{transpose_block, write_transposed};
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{ITEM_VALUES, for_each};
use crate::simd::{Kernel, LANES, Simd, dispatch, math};

/// What a logit costs, in multiply-adds.
const COST: usize = 32;

/// Rows per work item, a function of the shape only: whole groups of those that share a logarithm.
fn rows_per_item(cols: usize) -> usize {
    ITEM_VALUES.div_ceil(cols.max(1)).next_multiple_of(LANES)
}

/// Softmax of every row, in place: `exp(l_j - max l) / sum_k exp(l_k - max l)`.
///
/// A row with NaN, with plus infinity, or of minus infinity only becomes NaN throughout. Relative error of each probability: at most
/// `1.01 (|l_j - max l| + ln c + c / 16 + 10)` times 2^-24 for c columns, while it is a normal number: its own exponent's rounding, those of the sum
/// on average, a lane's chain, and the rest. The same bits on every instruction set and for any number of threads.
/// Cost: an exponential a value, and three passes over each row: a read and a write a value where a row stays in the first-level cache.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::loss};
/// let mut logits = Matrix::from_slice(&[0.0, 0.0, 5.0, 5.0], 2, 2)?;
/// loss::softmax(&mut Context::new()?, logits.view_mut());
/// assert_eq!(logits.as_slice(), &[0.5; 4]);
/// # Ok::<(), neuropil::Error>(())
/// ```
pub fn softmax(context: &mut Context, logits: MatMut<'_>) {
    if logits.cols() == 0 {
        return;
    }
    let isa = context.isa();
    let threads = context.threads().for_work([logits.rows(), logits.cols(), COST]);
    let rows = rows_per_item(logits.cols());
    for_each(threads, logits.row_blocks(rows), |logits| dispatch(isa, Softmax(logits)));
}

struct Softmax<'a>(MatMut<'a>);

impl Kernel for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (count, mut block) = (self.0.rows(), [[0.0; LANES]; LANES]);
        for first in (0..count).step_by(LANES) {
            let height = LANES.min(count - first);
            if turns(height, self.0.cols()) {
                let mut turned = Turned::new(s, &mut block, self.0.as_ref(), first, height);
                let sums = turned.exponentials(s);
                turned.divide(s, sums);
                turned.write(s, &mut self.0, first, height);
            } else {
                for row in first..first + height {
                    let row = self.0.row_mut(row);
                    let max = row_max(s, row);
                    let sum = s.reduce_add(exponentials_in_place(s, row, max));
                    scale(s, row, 1.0 / sum);
                }
            }
        }
    }
}

/// Whether so many rows of so few classes are better turned, a row in a lane: one row costs as much as sixteen.
fn turns(height: usize, cols: usize) -> bool {
    height >= 4 && (1..=LANES).contains(&cols)
}

/// Up to sixteen rows of up to sixteen classes, turned. What becomes of them has the bits that it has row by row.
struct Turned<'a, F> {
    /// Classes beyond the last are zero.
    block: &'a mut Block,
    cols: usize,
    max: F,
}

/// A class in a vector, a row in its lanes.
type Block = [[f32; LANES]; LANES];

impl<'a, F: Copy> Turned<'a, F> {
    #[inline(always)]
    fn new<S: Simd<F32 = F>>(s: S, block: &'a mut Block, logits: MatRef<'_>, first: usize, height: usize) -> Self {
        let cols = logits.cols();
        let turned = transpose_block(s, logits, first, height, 0, cols);
        for class in 0..LANES {
            s.store(turned[class], &mut block[class]);
        }
        let mut max = turned[0];
        for class in &block[1..cols] {
            max = s.max(s.load(class), max);
        }
        Turned { block, cols, max }
    }

    /// Replaces logits by `exp(l - max)`, and tells their sums.
    #[inline(always)]
    fn exponentials<S: Simd<F32 = F>>(&mut self, s: S) -> F {
        for class in &mut self.block[..self.cols] {
            s.store(math::exp(s, s.sub(s.load(class), self.max)), class);
        }
        // What is added beyond the last class are zeros, as beyond the end of a row.
        let mut classes = [s.zero(); LANES];
        for class in 0..LANES {
            classes[class] = s.load(&self.block[class]);
        }
        s.add_all(classes)
    }

    #[inline(always)]
    fn divide<S: Simd<F32 = F>>(&mut self, s: S, sums: F) {
        let share = s.div(s.splat(1.0), sums);
        for class in &mut self.block[..self.cols] {
            s.store(s.mul(s.load(class), share), class);
        }
    }

    #[inline(always)]
    fn write<S: Simd<F32 = F>>(&self, s: S, to: &mut MatMut<'_>, first: usize, height: usize) {
        write_transposed(s, self.block, to, first, height, 0..self.cols);
    }
}

/// Which of the last vector's lanes a row of `len` values fills.
#[inline(always)]
fn tail_mask<S: Simd>(s: S, len: usize) -> S::Mask {
    const COUNT: [f32; LANES] = [0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12., 13., 14., 15.];
    s.lt(s.load(&COUNT), s.splat(len as f32))
}

/// The lanes of `tail`, minus infinity beyond its end.
#[inline(always)]
fn load_tail<S: Simd>(s: S, tail: &[f32]) -> S::F32 {
    s.select(tail_mask(s, tail.len()), s.load_partial(tail), s.splat(f32::NEG_INFINITY))
}

/// The largest value; unspecified beside NaN, which the sum of exponentials then shows.
#[inline(always)]
fn row_max<S: Simd>(s: S, row: &[f32]) -> f32 {
    let (vectors, tail) = row.as_chunks();
    let mut max = load_tail(s, tail);
    for vector in vectors {
        max = s.max(s.load(vector), max);
    }
    s.reduce_max(max)
}

/// Replaces a row by `exp(l - max)` and returns the lanes' sums.
#[inline(always)]
fn exponentials_in_place<S: Simd>(s: S, row: &mut [f32], max: f32) -> S::F32 {
    let max = s.splat(max);
    let (vectors, tail) = row.as_chunks_mut();
    let last = math::exp(s, s.sub(load_tail(s, tail), max));
    s.store_partial(last, tail);
    // Lanes beyond the tail are exp(-inf) = 0, or NaN if the maximum is no number; then a NaN sum is right.
    let mut sum = last;
    for vector in vectors {
        let e = math::exp(s, s.sub(s.load(vector), max));
        sum = s.add(sum, e);
        s.store(e, vector);
    }
    sum
}

/// The same without writing.
#[inline(always)]
fn exponentials<S: Simd>(s: S, row: &[f32], max: f32) -> S::F32 {
    let max = s.splat(max);
    let (vectors, tail) = row.as_chunks();
    let mut sum = math::exp(s, s.sub(load_tail(s, tail), max));
    for vector in vectors {
        sum = s.add(sum, math::exp(s, s.sub(s.load(vector), max)));
    }
    sum
}

#[inline(always)]
fn scale<S: Simd>(s: S, row: &mut [f32], factor: f32) {
    let f = s.splat(factor);
    let (vectors, tail) = row.as_chunks_mut();
    for vector in vectors {
        s.store(s.mul(s.load(vector), f), vector);
    }
    s.store_partial(s.mul(s.load_partial(tail), f), tail);
}

/// The mean over the batch of the cross-entropy `E_b = ln sum_j exp(l_bj) - l_b,label(b)`, in nats.
///
/// `losses`, if given, receives `E_b` of each sample, and `gradient` its derivative by the logits, `softmax(l_b) - onehot(label(b))`
/// (not divided by the batch). The mean is summed in `f64` in the order of the samples; it is zero for an empty batch. Labels are bytes: they
/// name at most 256 classes, however many columns there are.
///
/// A row with NaN, with plus infinity, or of minus infinity only has a NaN loss and gradient. Error of each `E_b`: at most
/// `1.01 (2 |l_label - max l| + 4 ln c + c / 16 + 6)` times 2^-24, absolute, for c columns; of a gradient that of [`softmax`]'s probability, and
/// 2^-25 more at the label. Losses, mean and gradient have the same bits on every instruction set and for any number of threads.
/// Cost: an exponential a value and a logarithm for every 16 samples; a read a value, and a write for the gradient, where a row stays in
/// the first-level cache.
///
/// # Panics
/// If a label is not below the number of columns, or lengths and shapes disagree with `logits`.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::loss};
/// let logits = Matrix::from_slice(&[0.0, 0.0, 0.0, 100.0], 2, 2)?;
/// let mut gradient = Matrix::zeros(2, 2);
/// let mean =
///     loss::softmax_cross_entropy(&mut Context::new()?, logits.view(), &[1, 1], None, Some(gradient.view_mut()));
/// assert!((mean - 2f64.ln() / 2.0).abs() < 1e-6);
/// assert_eq!(gradient.row(0), &[0.5, -0.5]);
/// # Ok::<(), neuropil::Error>(())
/// ```
#[track_caller]
pub fn softmax_cross_entropy(
    context: &mut Context,
    logits: MatRef<'_>,
    labels: &[u8],
    losses: Option<&mut [f32]>,
    gradient: Option<MatMut<'_>>,
) -> f64 {
    let (rows, cols) = (logits.rows(), logits.cols());
    check_labels("softmax_cross_entropy", logits, labels);
    if let Some(losses) = &losses {
        assert!(losses.len() == rows, "softmax_cross_entropy: {} losses for {rows} samples", losses.len());
    }
    if let Some(gradient) = &gradient {
        let (own_rows, own_cols) = (gradient.rows(), gradient.cols());
        assert!(
            (own_rows, own_cols) == (rows, cols),
            "softmax_cross_entropy: logits are {rows} x {cols}, the gradient is {own_rows} x {own_cols}"
        );
    }
    if rows == 0 {
        return 0.0;
    }
    let (isa, threads) = (context.isa(), context.threads().for_work([rows, cols, COST]));
    let losses = match losses {
        Some(losses) => losses,
        None => {
            let [losses] = context.scratch([rows]);
            losses
        }
    };
    let block = rows_per_item(cols);
    let mut gradients = gradient.map(|gradient| gradient.row_blocks(block));
    let items = losses.chunks_mut(block).enumerate().map(|(index, losses)| {
        let range = index * block..index * block + losses.len();
        let gradient = gradients.as_mut().and_then(Iterator::next);
        CrossEntropy { logits: logits.rows_range(range.clone()), labels: &labels[range], losses, gradient }
    });
    for_each(threads, items, |item| dispatch(isa, item));
    mean(losses)
}

/// The mean in `f64`, in order; zero for none.
pub(crate) fn mean(losses: &[f32]) -> f64 {
    losses.iter().fold(0.0, |sum, &loss| sum + f64::from(loss)) / losses.len().max(1) as f64
}

/// Losses, and gradients if wanted, of some samples whose labels were checked.
pub(crate) struct CrossEntropy<'a> {
    pub(crate) logits: MatRef<'a>,
    pub(crate) labels: &'a [u8],
    pub(crate) losses: &'a mut [f32],
    pub(crate) gradient: Option<MatMut<'a>>,
}

impl Kernel for CrossEntropy<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (count, mut block) = (self.labels.len(), [[0.0; LANES]; LANES]);
        // Sixteen rows at a time, as they share one logarithm.
        for first in (0..count).step_by(LANES) {
            let height = LANES.min(count - first);
            if turns(height, self.logits.cols()) {
                self.turned(s, &mut block, first, height);
            } else {
                self.by_rows(s, first, height);
            }
        }
    }
}

impl CrossEntropy<'_> {
    #[inline(always)]
    fn by_rows<S: Simd>(&mut self, s: S, first: usize, height: usize) {
        let (mut sums, mut picked) = ([1.0; LANES], [0.0; LANES]);
        for i in 0..height {
            let (row, label) = (self.logits.row(first + i), usize::from(self.labels[first + i]));
            let max = row_max(s, row);
            picked[i] = row[label] - max;
            if let Some(gradient) = &mut self.gradient {
                let out = gradient.row_mut(first + i);
                out.copy_from_slice(row);
                sums[i] = s.reduce_add(exponentials_in_place(s, out, max));
                scale(s, out, 1.0 / sums[i]);
                out[label] -= 1.0;
            } else {
                sums[i] = s.reduce_add(exponentials(s, row, max));
            }
        }
        let losses = s.sub(math::ln(s, s.load(&sums)), s.load(&picked));
        s.store_partial(losses, &mut self.losses[first..first + height]);
    }

    /// Of few classes, a row in a lane.
    #[inline(always)]
    fn turned<S: Simd>(&mut self, s: S, block: &mut Block, first: usize, height: usize) {
        let mut label = [0.0; LANES];
        for (label, &byte) in label.iter_mut().zip(&self.labels[first..first + height]) {
            *label = f32::from(byte);
        }
        let label = s.load(&label);
        let mut turned = Turned::new(s, block, self.logits, first, height);
        let mut picked = s.zero();
        for (class, logits) in turned.block[..turned.cols].iter().enumerate() {
            picked = s.select(s.eq(label, s.splat(class as f32)), s.load(logits), picked);
        }
        let sums = turned.exponentials(s);
        let losses = s.sub(math::ln(s, sums), s.sub(picked, turned.max));
        s.store_partial(losses, &mut self.losses[first..first + height]);
        if let Some(gradient) = &mut self.gradient {
            turned.divide(s, sums);
            for (class, slopes) in turned.block[..turned.cols].iter_mut().enumerate() {
                let one = s.select(s.eq(label, s.splat(class as f32)), s.splat(1.0), s.zero());
                s.store(s.sub(s.load(slopes), one), slopes);
            }
            turned.write(s, gradient, first, height);
        }
    }
}

/// Every label a class, and as many as samples.
#[track_caller]
pub(crate) fn check_labels(kernel: &str, logits: MatRef<'_>, labels: &[u8]) {
    let (rows, cols) = (logits.rows(), logits.cols());
    assert!(labels.len() == rows, "{kernel}: {} labels for {rows} samples", labels.len());
    if let Some(sample) = labels.iter().position(|&label| usize::from(label) >= cols) {
        panic!("{kernel}: label {} of sample {sample}, but {cols} classes", labels[sample]);
    }
}

/// The index of the largest value, the first of equals. NaN never is; zero for an empty row or one of NaN alone. One read of the row.
///
/// ```
/// use neuropil::kernels::loss::argmax;
/// assert_eq!(argmax(&[1.0, f32::NAN, 3.0, 3.0]), 2);
/// assert_eq!(argmax(&[f32::NAN]), 0);
/// ```
pub fn argmax(row: &[f32]) -> usize {
    let mut best: Option<(f32, usize)> = None;
    for (index, &value) in row.iter().enumerate() {
        if !value.is_nan() && best.is_none_or(|(largest, _)| value > largest) {
            best = Some((value, index));
        }
    }
    best.map_or(0, |(_, index)| index)
}

/// Whether the label's logit is the first of the largest. A row with a NaN answers nothing, and is never right.
///
/// Labels are bytes: at most 256 classes. Cost: [`argmax`], and where it is the label another read of the row, for a NaN.
///
/// ```
/// use neuropil::kernels::loss::is_right;
/// assert!(is_right(&[1.0, 3.0], 1));
/// assert!(!is_right(&[3.0, 3.0], 1) && is_right(&[3.0, 3.0], 0));
/// assert!(!is_right(&[f32::NAN, 3.0], 1));
/// ```
pub fn is_right(row: &[f32], label: u8) -> bool {
    argmax(row) == usize::from(label) && !row.iter().any(|value| value.is_nan())
}

/// The share of samples whose largest logit is their label's, by [`is_right`]; zero for no samples. Labels are bytes: at most 256 classes.
///
/// A count, divided once in `f64`. Cost: [`is_right`] a row, on the calling thread.
///
/// ```
/// use neuropil::{Matrix, kernels::loss};
/// let logits = Matrix::from_slice(&[0.0, 1.0, 2.0, 1.0, 1.0, 1.0, f32::NAN, 1.0], 4, 2)?;
/// assert_eq!(loss::accuracy(logits.view(), &[1, 0, 1, 1]), 0.5); // of equals the first is meant, by a NaN none
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the number of labels is not that of the rows, or a label is not below the number of columns.
#[track_caller]
pub fn accuracy(logits: MatRef<'_>, labels: &[u8]) -> f64 {
    check_labels("accuracy", logits, labels);
    if labels.is_empty() {
        return 0.0;
    }
    count_right(logits, labels) as f64 / labels.len() as f64
}

/// How many rows are right, by [`is_right`].
pub(crate) fn count_right(logits: MatRef<'_>, labels: &[u8]) -> usize {
    logits.iter_rows().zip(labels).filter(|(row, label)| is_right(row, **label)).count()
}

#[cfg(test)]
mod tests;
