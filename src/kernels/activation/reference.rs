//! The formulas as they are written, in `f64`.

use super::Axis;

/// `max(0, y)^n` of one value; NaN stays NaN.
pub fn power(y: f32, n: f32) -> f64 {
    if y.is_nan() { f64::NAN } else { f64::from(y).max(0.0).powf(f64::from(n)) }
}

/// [`magnitude_zscore`](super::magnitude_zscore) of a `rows` x `cols` batch in row-major order.
///
/// Zero where all magnitudes along the axis are equal; NaN where one is not finite.
pub fn magnitude_zscore(y: &[f32], rows: usize, cols: usize, axis: Axis, rescale: bool) -> Vec<f64> {
    assert_eq!(y.len(), rows * cols, "a {rows} x {cols} batch");
    let mut z = vec![0.0; y.len()];
    let groups: Vec<Vec<usize>> = match axis {
        Axis::Sample => (0..rows).map(|row| (row * cols..(row + 1) * cols).collect()).collect(),
        Axis::Unit => (0..cols).map(|col| (0..rows).map(|row| row * cols + col).collect()).collect(),
        Axis::Whole => vec![(0..rows * cols).collect()],
    };
    for group in groups {
        let magnitude = |index: usize| f64::from(y[index]).abs();
        let n = group.len() as f64;
        let mean = group.iter().map(|&i| magnitude(i)).sum::<f64>() / n;
        let deviation = (group.iter().map(|&i| (magnitude(i) - mean).powi(2)).sum::<f64>() / n).sqrt();
        let finite = mean.is_finite();
        let constant = group.iter().all(|&i| magnitude(i) == magnitude(group[0]));
        let score = |i: usize| if constant { 0.0 } else { ((magnitude(i) - mean) / deviation).max(0.0) };
        let largest = group.iter().map(|&i| score(i)).fold(0.0, f64::max);
        for &i in &group {
            z[i] = match (finite, rescale && !constant) {
                (false, _) => f64::NAN,
                (true, true) => score(i) / largest,
                (true, false) => score(i),
            };
        }
    }
    z
}
