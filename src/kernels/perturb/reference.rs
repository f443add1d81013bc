//! The formulas as they are written, in `f64`.

/// `z w` of row-major z [batch, inputs] and w [inputs, outputs].
pub fn product(z: &[f32], w: &[f64], batch: usize, inputs: usize, outputs: usize) -> Vec<f64> {
    let mut y = vec![0.0; batch * outputs];
    for b in 0..batch {
        for i in 0..inputs {
            for j in 0..outputs {
                y[b * outputs + j] += f64::from(z[b * inputs + i]) * w[i * outputs + j];
            }
        }
    }
    y
}

/// `z w` and `z (w + noise)`.
pub fn clean_and_perturbed(
    z: &[f32],
    w: &[f32],
    noise: &[f32],
    batch: usize,
    inputs: usize,
    outputs: usize,
) -> (Vec<f64>, Vec<f64>) {
    let clean: Vec<f64> = w.iter().map(|&w| f64::from(w)).collect();
    let perturbed: Vec<f64> = w.iter().zip(noise).map(|(&w, &noise)| f64::from(w) + f64::from(noise)).collect();
    (product(z, &clean, batch, inputs, outputs), product(z, &perturbed, batch, inputs, outputs))
}

/// `w + gain noise` of one weight on its support, clamped at zero if asked.
pub fn reward_update(w: f32, gain: f64, noise: f32, non_negative: bool) -> f64 {
    let moved = if w == 0.0 { 0.0 } else { f64::from(w) + gain * f64::from(noise) };
    if non_negative { moved.max(0.0) } else { moved }
}

/// The distribution function of the standard normal, to 1e-7 (Abramowitz & Stegun 7.1.26 is too coarse; this is a series and a continued
/// fraction).
pub fn normal_distribution(x: f64) -> f64 {
    let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
    if x.abs() < 3.0 {
        // Phi(x) = 1/2 + density * (x + x^3/3 + x^5/15 + ...)
        let (mut term, mut sum, mut n) = (x, x, 3.0);
        while term.abs() > 1e-17 {
            term *= x * x / n;
            sum += term;
            n += 2.0;
        }
        return 0.5 + density * sum;
    }
    // Upper tail: density / (x + 1/(x + 2/(x + ...)))
    let a = x.abs();
    let fraction = (1..60).rev().fold(a, |fraction, k| a + f64::from(k) / fraction);
    let tail = density / fraction;
    if x > 0.0 { 1.0 - tail } else { tail }
}
