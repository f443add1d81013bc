//! The rules as loops in `f64`.

use super::Reading;
use crate::matrix::MatRef;

/// `h w^T` and, for bounds, `|h| |w|^T`: [batch, units] row by row.
pub fn logits(h: MatRef<'_>, w: MatRef<'_>) -> (Vec<f64>, Vec<f64>) {
    let (mut sums, mut sizes) = (Vec::new(), Vec::new());
    for h in h.iter_rows() {
        for w in w.iter_rows() {
            let products = || h.iter().zip(w).map(|(&h, &w)| f64::from(h) * f64::from(w));
            sums.push(products().sum());
            sizes.push(products().map(f64::abs).sum());
        }
    }
    (sums, sizes)
}

/// `d^T h` and `|d|^T |h|`: [units, inputs] row by row.
pub fn gradient(h: MatRef<'_>, d: MatRef<'_>) -> (Vec<f64>, Vec<f64>) {
    let (mut sums, mut sizes) = (Vec::new(), Vec::new());
    for j in 0..d.cols() {
        for i in 0..h.cols() {
            let products = || (0..h.rows()).map(|b| f64::from(d.row(b)[j]) * f64::from(h.row(b)[i]));
            sums.push(products().sum());
            sizes.push(products().map(f64::abs).sum());
        }
    }
    (sums, sizes)
}

/// `w - rate s^T 1{h > 0}`.
pub fn reward_modulated(h: MatRef<'_>, s: MatRef<'_>, w: MatRef<'_>, rate: f32) -> Vec<f64> {
    let mut changed = Vec::new();
    for j in 0..w.rows() {
        for i in 0..w.cols() {
            // A factor, not a choice: of an infinite signal it makes NaN where nothing fired.
            let fired = |b: usize| f64::from(u8::from(h.row(b)[i] > 0.0));
            let sum: f64 = (0..h.rows()).map(|b| f64::from(s.row(b)[j]) * fired(b)).sum();
            changed.push(f64::from(w.row(j)[i]) - f64::from(rate) * sum);
        }
    }
    changed
}

/// What a reading makes of one difference z - l.
pub fn reward_signal(reading: Reading, threshold: f64, loss: f64, difference: f64) -> f64 {
    let square = difference * difference;
    let yes = |holds: bool| f64::from(u8::from(holds));
    match reading {
        // A NaN is no reason to change anything.
        Reading::Signed if difference.is_nan() => 0.0,
        Reading::Signed => difference.signum() * yes(square > 0.25) * yes(loss > threshold),
        // eps1 max(0, 1/4 - e) max(0, L - eps0) / ((1/4 - e) (L - eps0)), descended on: hence the sign.
        Reading::Printed => -yes(square < 0.25) * yes(loss > threshold),
        Reading::Prose => -yes(square <= 0.25) * yes(loss <= threshold),
    }
}
