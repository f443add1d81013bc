//! The formulas as they are written, in `f64`.

/// Softmax of one row.
pub fn softmax(logits: &[f32]) -> Vec<f64> {
    let max = logits.iter().map(|&l| f64::from(l)).fold(f64::NEG_INFINITY, f64::max);
    let exponentials: Vec<f64> = logits.iter().map(|&l| (f64::from(l) - max).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.into_iter().map(|e| e / sum).collect()
}

/// How far each of [`softmax`](super::softmax)'s probabilities may be from the reference: the bound its documentation states.
pub fn softmax_bounds(logits: &[f32]) -> Vec<f64> {
    let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let (classes, u) = (logits.len() as f64, f64::from(f32::EPSILON) / 2.0);
    let relative = |&l: &f32| 1.01 * u * ((f64::from(l) - max).abs() + classes.ln() + classes / 16.0 + 10.0);
    // Minus infinity has the probability zero, exactly.
    let bound = |(l, p): (&f32, f64)| if p == 0.0 { 0.0 } else { relative(l) * p };
    logits.iter().zip(softmax(logits)).map(bound).collect()
}

/// How far the loss of [`softmax_cross_entropy`](super::softmax_cross_entropy) may be from the reference.
pub fn cross_entropy_bound(logits: &[f32], label: usize) -> f64 {
    let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let (classes, u) = (logits.len() as f64, f64::from(f32::EPSILON) / 2.0);
    1.01 * u * (2.0 * (f64::from(logits[label]) - max).abs() + 4.0 * classes.ln() + classes / 16.0 + 6.0)
}

/// Where a row's largest value stands first; NaN is none, and zero the answer where there is nothing else.
pub fn argmax(row: &[f32]) -> usize {
    let largest = row.iter().copied().filter(|value| !value.is_nan()).max_by(f32::total_cmp);
    row.iter().position(|&value| Some(value) == largest).unwrap_or(0)
}

/// Whether the label's logit is the first of the largest: those before it are smaller, those behind it no larger. A NaN is neither.
pub fn is_right(row: &[f32], label: usize) -> bool {
    let (before, rest) = row.split_at(label);
    before.iter().all(|&logit| logit < row[label]) && rest.iter().all(|&logit| logit <= row[label])
}

/// The cross-entropy `ln sum_c exp(l_c) - l_label`.
pub fn cross_entropy(logits: &[f64], label: usize) -> f64 {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logits.iter().map(|l| (l - max).exp()).sum::<f64>().ln() - (logits[label] - max)
}

/// The cross-entropy of one row with its label, and its gradient by the logits.
pub fn softmax_cross_entropy(logits: &[f32], label: usize) -> (f64, Vec<f64>) {
    let mut gradient = softmax(logits);
    gradient[label] -= 1.0;
    let exact: Vec<f64> = logits.iter().map(|&l| f64::from(l)).collect();
    (cross_entropy(&exact, label), gradient)
}
