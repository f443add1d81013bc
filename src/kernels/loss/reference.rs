//! The formulas as they are written, in `f64`.

/// Softmax of one row.
pub fn softmax(logits: &[f32]) -> Vec<f64> {
    let max = logits.iter().map(|&l| f64::from(l)).fold(f64::NEG_INFINITY, f64::max);
    let exponentials: Vec<f64> = logits.iter().map(|&l| (f64::from(l) - max).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.into_iter().map(|e| e / sum).collect()
}

/// The cross-entropy of one row with its label, and its gradient by the logits.
pub fn softmax_cross_entropy(logits: &[f32], label: usize) -> (f64, Vec<f64>) {
    let max = logits.iter().map(|&l| f64::from(l)).fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|&l| (f64::from(l) - max).exp()).sum();
    let mut gradient = softmax(logits);
    gradient[label] -= 1.0;
    (sum.ln() - (f64::from(logits[label]) - max), gradient)
}
