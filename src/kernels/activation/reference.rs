//! The formulas as they are written, in `f64`.

use super::{Axis, Dropout, dropout};
use crate::kernels::perturb::reference::{normal_distribution, xoshiro128_plus_plus};
use crate::kernels::xoshiro::seeds;
use crate::random::Stream;
use crate::simd::LANES;

/// `max(0, y)` of one value; NaN stays NaN.
pub fn relu(y: f32) -> f64 {
    if y < 0.0 { 0.0 } else { f64::from(y) }
}

/// The gradient by what entered [`relu`], of the gradient by what came out: one value.
pub fn relu_gradient(x: f32, gradient: f32) -> f64 {
    match x.partial_cmp(&0.0) {
        None => f64::NAN,
        Some(std::cmp::Ordering::Greater) => f64::from(gradient),
        Some(_) => 0.0,
    }
}

/// The k largest of a row, zeros in place of the others; the first of equals, and no NaN.
pub fn k_winners(row: &[f32], k: usize) -> Vec<f64> {
    let mut order: Vec<usize> = (0..row.len()).filter(|&at| !row[at].is_nan()).collect();
    // A stable sort keeps the first of equals first.
    order.sort_by(|&a, &b| row[b].partial_cmp(&row[a]).expect("no NaN is left"));
    let mut kept = vec![0.0; row.len()];
    order.iter().take(k).for_each(|&at| kept[at] = f64::from(row[at]));
    kept
}

/// `tanh(y)` of one value.
pub fn tanh(y: f32) -> f64 {
    f64::from(y).tanh()
}

/// The gradient by what entered [`tanh`], of the gradient by what came out, and what that was: one value.
pub fn tanh_gradient(y: f32, gradient: f32) -> f64 {
    (1.0 - f64::from(y) * f64::from(y)) * f64::from(gradient)
}

/// `x Phi(x)`
pub fn gelu(x: f64) -> f64 {
    x * normal_distribution(x)
}

/// `Phi(x) + x phi(x)`: the slope of [`gelu`].
pub fn gelu_slope(x: f64) -> f64 {
    normal_distribution(x) + x * (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()
}

/// `max(0, y)^n` of one value; NaN stays NaN.
pub fn power(y: f32, n: f32) -> f64 {
    if y.is_nan() { f64::NAN } else { f64::from(y).max(0.0).powf(f64::from(n)) }
}

/// The gradient by what entered [`power`], of the gradient by what came out: one value.
pub fn power_gradient(x: f32, gradient: f32, n: f32) -> f64 {
    match x.partial_cmp(&0.0) {
        None => f64::NAN,
        Some(std::cmp::Ordering::Greater) => f64::from(n) * f64::from(x).powf(f64::from(n) - 1.0) * f64::from(gradient),
        Some(_) => 0.0,
    }
}

/// The indices that share a mean, group by group.
fn groups(rows: usize, cols: usize, axis: Axis) -> Vec<Vec<usize>> {
    match axis {
        Axis::Sample => (0..rows).map(|row| (row * cols..(row + 1) * cols).collect()).collect(),
        Axis::Unit => (0..cols).map(|col| (0..rows).map(|row| row * cols + col).collect()).collect(),
        Axis::Whole => vec![(0..rows * cols).collect()],
    }
}

/// Mean, standard deviation and maximum of some magnitudes; a deviation of exactly zero if all are equal.
fn statistics(y: &[f32], group: &[usize]) -> (f64, f64, f64) {
    let magnitudes = || group.iter().map(|&i| f64::from(y[i]).abs());
    let n = group.len() as f64;
    let mean = magnitudes().sum::<f64>() / n;
    let max = magnitudes().fold(0.0, f64::max);
    let equal = magnitudes().all(|magnitude| magnitude == max);
    let variance = magnitudes().map(|magnitude| (magnitude - mean).powi(2)).sum::<f64>() / n;
    (mean, if equal { 0.0 } else { variance.sqrt() }, max)
}

/// [`magnitude_zscore`](super::magnitude_zscore) of a `rows` x `cols` batch in row-major order.
///
/// Zero where all magnitudes along the axis are equal; NaN where one is not finite.
pub fn magnitude_zscore(y: &[f32], rows: usize, cols: usize, axis: Axis, rescale: bool) -> Vec<f64> {
    assert_eq!(y.len(), rows * cols, "a {rows} x {cols} batch");
    let mut z = vec![0.0; y.len()];
    for group in groups(rows, cols, axis) {
        let (mean, deviation, max) = statistics(y, &group);
        for &i in &group {
            let score = (f64::from(y[i]).abs() - mean) / deviation;
            let largest = if rescale { (max - mean) / deviation } else { 1.0 };
            z[i] = match (mean.is_finite(), deviation == 0.0) {
                (false, _) => f64::NAN,
                (true, true) => 0.0,
                (true, false) => score.max(0.0) / largest,
            };
        }
    }
    z
}

/// How far [`magnitude_zscore`](super::magnitude_zscore) may be from its reference, value by value: the bound its documentation states.
pub fn magnitude_zscore_bounds(y: &[f32], rows: usize, cols: usize, axis: Axis, rescale: bool) -> Vec<f64> {
    let unit = f64::from(f32::EPSILON) / 2.0;
    // Roundings on the longest way through a sum in f32.
    let depth = match axis {
        Axis::Sample | Axis::Whole => cols as f64 / 64.0 + 9.0,
        Axis::Unit => 64.0,
    };
    let z = magnitude_zscore(y, rows, cols, axis, rescale);
    let mut bounds = vec![0.0; y.len()];
    for group in groups(rows, cols, axis) {
        let (mean, deviation, max) = statistics(y, &group);
        let error = (depth + 2.0) * unit * mean;
        for &i in &group {
            bounds[i] = if deviation == 0.0 {
                0.0
            } else if (rescale && max - mean < 1e-36) || (!rescale && deviation < 1e-18) {
                // The mean has too few digits to be taken from the largest, or the deviation's square underflows, or nearly.
                f64::INFINITY
            } else if rescale {
                1.01 * (error / (max - mean) + 4.0 * unit)
            } else {
                let relative = (depth / 2.0 + 6.0) * unit + (error / deviation).powi(2);
                1.01 * (error / deviation + z[i] * relative)
            };
        }
    }
    bounds
}

/// [`relu_dropout`](super::relu_dropout) of a `rows` x `cols` batch in row-major order.
pub fn relu_dropout(y: &[f32], rows: usize, cols: usize, dropout: Dropout, stream: Stream) -> Vec<f64> {
    assert_eq!(y.len(), rows * cols, "a {rows} x {cols} batch");
    let mut out = Vec::with_capacity(y.len());
    let block = dropout::rows_per_block(cols);
    let mut states = [[0; 4]; LANES];
    for row in 0..rows {
        if row % block == 0 {
            let seeds = seeds(stream.item((row / block) as u64));
            states = std::array::from_fn(|lane| seeds.map(|word| word[lane]));
        }
        for first in (0..cols).step_by(2 * LANES) {
            let bits = states.each_mut().map(xoshiro128_plus_plus);
            for col in first..cols.min(first + 2 * LANES) {
                let half = (col - first) / LANES;
                let number = bits[col % LANES] >> (16 * half) & 0xffff;
                let value = f64::from(y[row * cols + col]);
                // Not max: that would lose a NaN.
                let value = if value < 0.0 { 0.0 } else { value * f64::from(dropout.scale) };
                out.push(if number < dropout.threshold { 0.0 } else { value });
            }
        }
    }
    out
}
