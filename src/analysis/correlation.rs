//! Pearson's correlation.

use super::{all_finite, tails};
use crate::error::{Error, Result};

/// A correlation and what can be said of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correlation {
    /// Pearson's r, from -1 to 1.
    pub r: f64,
    /// The two-sided p-value: how likely so large a magnitude is if the two are independent and normal.
    pub p: f64,
    /// The number of pairs.
    pub n: usize,
}

impl Correlation {
    /// The interval that holds the true correlation in 95 of 100 cases, by Fisher's transformation: `tanh(atanh r ± 1.96 / sqrt(n - 3))`.
    ///
    /// Up to three pairs say nothing: -1 to 1.
    pub fn confidence_95(&self) -> (f64, f64) {
        if self.n <= 3 {
            return (-1.0, 1.0);
        }
        // The normal distribution's 97.5 % point.
        let half = 1.959_963_984_540_054 / ((self.n - 3) as f64).sqrt();
        let z = self.r.atanh();
        ((z - half).tanh(), (z + half).tanh())
    }
}

/// Pearson's correlation of the pairs `(x[i], y[i])`, `r = sum (x - mean x)(y - mean y) / (|x - mean x| |y - mean y|)`,
/// with the two-sided p-value of Student's t at n - 2 degrees of freedom.
///
/// Two pairs always lie on a line: r is -1 or 1 and p is 1. Sums run in order; of the values' scale r does not depend.
///
/// # Errors
/// [`Error::Length`] if the lengths differ; [`Error::Setting`] for fewer than two pairs, for values that are not finite, and if all of
/// x or all of y are the same, since nothing correlates with a constant.
pub fn pearson(x: &[f64], y: &[f64]) -> Result<Correlation> {
    let n = x.len();
    if y.len() != n {
        return Err(Error::Length { what: "second sample of a correlation", expected: n, found: y.len() });
    }
    if n < 2 {
        return Err(Error::setting("correlation", "at least two pairs", n));
    }
    let (x, y) = (centred("first sample of a correlation", x)?, centred("second sample of a correlation", y)?);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let r = (dot(&x, &y) / (dot(&x, &x).sqrt() * dot(&y, &y).sqrt())).clamp(-1.0, 1.0);
    let p = if n == 2 { 1.0 } else { tails::student(r, n) };
    // Two points always lie on a line.
    let r = if n == 2 { r.signum() } else { r };
    Ok(Correlation { r, p, n })
}

/// The deviations from the mean of the values, in a unit that is the power of two below the largest of the values.
fn centred(name: &str, values: &[f64]) -> Result<Vec<f64>> {
    all_finite(name, values)?;
    if values.iter().all(|value| *value == values[0]) {
        return Err(Error::setting(name, "values that differ", format_args!("{} throughout", values[0])));
    }
    // So that no sum overflows and no square underflows; by a power of two, and less the first, as all digits of values far from zero count.
    let largest = values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    let unit = f64::from_bits(largest.to_bits() & f64::INFINITY.to_bits()).max(f64::MIN_POSITIVE);
    let mut values: Vec<f64> = values.iter().map(|value| value / unit - values[0] / unit).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter_mut().for_each(|value| *value -= mean);
    Ok(values)
}
