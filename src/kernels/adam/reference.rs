//! The formula by obvious `f64` arithmetic, a parameter at a time.

use super::Step;

/// Parameter, first and second moment after a step.
pub fn update(step: &Step, gradient: f64, [w, m, v]: [f64; 3]) -> [f64; 3] {
    let g = f64::from(step.scale) * gradient + f64::from(step.decay) * w;
    let Step { beta1, beta2, .. } = *step;
    let (m, v) = (beta1 * m + (1.0 - beta1) * g, beta2 * v + (1.0 - beta2) * g * g);
    let [one, two] = step.corrections();
    let next = w - step.rate * (m / one) / ((v / two).sqrt() + step.epsilon);
    [if step.non_negative && next < 0.0 { 0.0 } else { next }, m, v]
}

/// How far roundings of one step can move each of the three. With u = 2^-24:
///
/// ```text
/// |g|  2 u (|scale g| + |decay w|)
/// |m|  (1 - beta1) |error of g| + 4 u (|g| + |m|)
/// |v|  (1 - beta2) 2 |g| |error of g| + 4 u (g^2 + v)
/// |w|  what those do to the quotient m / (sqrt(v) + eps), 8 u of it, and u |w|
/// ```
/// and the smallest denormal for each operation on the way, which the quotient may magnify.
pub fn error(step: &Step, gradient: f64, [w, m, v]: [f64; 3]) -> [f64; 3] {
    const U: f64 = 0.5 * f32::EPSILON as f64;
    const LEAST: f64 = 8.0 * 1.4e-45;
    let scaled = f64::from(step.scale) * gradient;
    let decayed = f64::from(step.decay) * w;
    let g = scaled + decayed;
    let of_g = 2.0 * U * (scaled.abs() + decayed.abs()) + LEAST;
    let of_m = (1.0 - step.beta1) * of_g + 4.0 * U * (g.abs() + m.abs()) + LEAST;
    let of_v = (1.0 - step.beta2) * (2.0 * g.abs() * of_g + of_g * of_g) + 4.0 * U * (g * g + v) + LEAST;
    let [next, m, v] = update(&Step { non_negative: false, ..*step }, gradient, [w, m, v]);
    let [one, two] = step.corrections();
    let root = v.sqrt();
    let of_root = of_v.sqrt().min(of_v / root);
    // In the scale of the moments: w -= c m / (sqrt(v) + e).
    let (c, e) = (step.rate.abs() * two.sqrt() / one, step.epsilon * two.sqrt());
    // Where v all but cancels, what is left of its root may be less than that root's error; the kernel's is never below zero.
    let least = (root - of_root).max(0.0) + e;
    let quotient = c * m.abs() / least;
    // The difference of two fractions, each with its own denominator.
    let of_quotient = (c * of_m + LEAST) / least + quotient * of_root / (root + e) + 8.0 * U * quotient;
    [of_quotient + U * next.abs() + U * w.abs(), of_m, of_v]
}
