//! The definitions as they are written, in `f64`, one value at a time.

use super::Range;

/// Where a value falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In this bin, counted from zero.
    Bin(usize),
    /// Less than the range's lower end; minus infinity too.
    Below,
    /// Greater than the range's upper end; plus infinity too.
    Above,
    /// No number.
    Nan,
}

/// The bin of `x`: `floor(((x - low) * bins) / (high - low))`, at most the last, every operation rounded in `f64` in this order.
///
/// Each operation is monotone in x, so bins are intervals. In a range of one point that point falls in bin 0.
pub fn place(x: f32, range: Range, bins: usize) -> Place {
    let (low, high) = (range.low(), range.high());
    if x.is_nan() {
        Place::Nan
    } else if x < low {
        Place::Below
    } else if x > high {
        Place::Above
    } else if low == high {
        Place::Bin(0)
    } else {
        let (x, low, high) = (f64::from(x), f64::from(low), f64::from(high));
        Place::Bin((((x - low) * bins as f64 / (high - low)).floor() as usize).min(bins - 1))
    }
}

/// The smallest and the largest of the finite values, zeros without a sign; `None` if there are none.
pub fn range(values: &[f32]) -> Option<Range> {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let low = finite().reduce(f32::min)?;
    let high = finite().reduce(f32::max)?;
    Some(Range::new(low, high).expect("finite and in order"))
}

/// The counts of the bins, followed by those below, above, and no number.
pub fn counts(values: &[f32], range: Range, bins: usize) -> Vec<u64> {
    let mut counts = vec![0; bins + 3];
    for &x in values {
        let at = match place(x, range, bins) {
            Place::Bin(bin) => bin,
            Place::Below => bins,
            Place::Above => bins + 1,
            Place::Nan => bins + 2,
        };
        counts[at] += 1;
    }
    counts
}

/// `-sum p log2 p` over the bins that hold anything, p their share of all; zero if none does.
pub fn entropy_bits(counts: &[u64]) -> f64 {
    let total: u64 = counts.iter().sum();
    let mut sum = 0.0;
    for &count in counts.iter().filter(|&&count| count > 0) {
        let p = count as f64 / total as f64;
        sum -= p * p.log2();
    }
    sum
}
