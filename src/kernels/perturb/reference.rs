//! The formulas as they are written, in `f64`.

use super::gaussian::{BLOCK, PAIR, seeds};
use crate::random::Stream;
use crate::simd::LANES;

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
    if non_negative && moved < 0.0 { 0.0 } else { moved }
}

/// The distribution function of the standard normal, to some 1e-12: a series near zero, a continued fraction in the tails.
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

/// xoshiro128++ as its authors print it: the next output, and the state moved on.
pub fn xoshiro128_plus_plus(s: &mut [u32; 4]) -> u32 {
    let result = s[0].wrapping_add(s[3]).rotate_left(7).wrapping_add(s[0]);
    let t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3].rotate_left(11);
    result
}

/// The first `count` values of [`gaussian`](super::gaussian) by the printed recurrence and the transform of Box and Muller, and how far the
/// kernel may be from each.
pub fn gaussian(stream: Stream, sigma: f32, count: usize) -> (Vec<f64>, Vec<f64>) {
    let unit = f64::from(f32::EPSILON) / 2.0;
    let (mut values, mut bounds) = (Vec::new(), Vec::new());
    for block in 0..count.div_ceil(BLOCK) {
        let seeds = seeds(stream.item(block as u64));
        let mut states: [[u32; 4]; LANES] = std::array::from_fn(|lane| seeds.map(|word| word[lane]));
        for _ in 0..BLOCK / PAIR {
            let mut pair = [(0.0, 0.0); PAIR];
            for (lane, state) in states.iter_mut().enumerate() {
                let (a, b) = (xoshiro128_plus_plus(state), xoshiro128_plus_plus(state));
                let surprise = -((f64::from(a >> 1) + 0.5) / 2f64.powi(31)).ln();
                let radius = f64::from(sigma) * (2.0 * surprise).sqrt();
                // The uniform number rounded to 24 bits moves -ln u by as much absolutely; the rest is relative.
                let moved = (1.1 * unit / surprise.sqrt()).min((1.1 * unit).sqrt()) + 8.0 * unit * surprise.sqrt();
                let bound = f64::from(sigma) * 2f64.sqrt() * moved;
                // A quarter of the circle, its two signs drawn apart.
                let angle = (f64::from((b << 2).cast_signed()) / 2f64.powi(31) + 1.0) * std::f64::consts::FRAC_PI_4;
                let sign = |bit: u32| if b >> bit & 1 == 1 { -1.0 } else { 1.0 };
                pair[lane] = (sign(31) * radius * angle.cos(), bound);
                pair[lane + LANES] = (sign(30) * radius * angle.sin(), bound);
            }
            for (value, bound) in pair {
                values.push(value);
                bounds.push(bound);
            }
        }
    }
    values.truncate(count);
    bounds.truncate(count);
    (values, bounds)
}
