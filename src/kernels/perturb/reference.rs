//! The formulas as they are written, in `f64`.

use super::gaussian::BLOCK;
use super::{Draws, WeightPerturbation};
use crate::kernels::loss::reference::{cross_entropy, cross_entropy_bound};
use crate::kernels::xoshiro::{PAIR, seeds};
use crate::matrix::{MatRef, Matrix};
use crate::random::Stream;
use crate::simd::LANES;

pub use crate::kernels::xoshiro::xoshiro128_plus_plus;

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

/// The error function, to some 1e-13: its series near zero, elsewhere by the normal distribution.
pub fn erf(x: f64) -> f64 {
    if x.abs() < 1e-3 {
        return std::f64::consts::FRAC_2_SQRT_PI * (x - x.powi(3) / 3.0 + x.powi(5) / 10.0);
    }
    2.0 * normal_distribution(x * std::f64::consts::SQRT_2) - 1.0
}

/// A step of [`weight_perturbation`](super::weight_perturbation): what it computes, and how far the kernel may be from that.
#[derive(Clone, Debug)]
pub struct Step {
    /// The mean loss with the weights as they were, and its bound.
    pub clean: (f64, f64),
    /// The mean loss with noise, and its bound.
    pub perturbed: (f64, f64),
    /// The new weights and their bounds.
    pub weights: Vec<(f64, f64)>,
}

/// One step of [`weight_perturbation`](super::weight_perturbation) with this noise: one matrix, or one for every sample, as the rule draws.
pub fn weight_perturbation(
    z: MatRef<'_>,
    labels: &[u8],
    w: MatRef<'_>,
    bias: &[f32],
    rule: &WeightPerturbation,
    noise: &[Matrix],
) -> Step {
    let (batch, u) = (z.rows(), f64::from(f32::EPSILON) / 2.0);
    // The chain of a product, and the additions of noise and bias.
    let depth = z.cols() as f64 / 16.0 + 8.0;
    let of_sample = |sample: usize| match rule.draws {
        Draws::Batch => &noise[0],
        Draws::Sample => &noise[sample],
    };
    // The loss of a sample and its bound: the loss moves by at most twice what the logits do.
    let loss = |sample: usize, scale: f64| {
        let (mut logits, mut moved) = (Vec::new(), 0.0f64);
        for (class, &bias) in bias.iter().enumerate() {
            let weight = |i: usize| (f64::from(w.row(i)[class]), scale * f64::from(of_sample(sample)[(i, class)]));
            let terms = || z.row(sample).iter().enumerate().map(|(i, &z)| (f64::from(z), weight(i)));
            logits.push(f64::from(bias) + terms().map(|(z, (w, noise))| z * (w + noise)).sum::<f64>());
            let sizes = terms().map(|(z, (w, noise))| z.abs() * (w.abs() + noise.abs())).sum::<f64>();
            moved = moved.max(1.01 * depth * u * (sizes + f64::from(bias.abs())));
        }
        let label = usize::from(labels[sample]);
        let rounded: Vec<f32> = logits.iter().map(|&l| l as f32).collect();
        (cross_entropy(&logits, label), 2.0 * moved + cross_entropy_bound(&rounded, label))
    };
    let losses: Vec<[(f64, f64); 2]> = (0..batch).map(|sample| [loss(sample, 0.0), loss(sample, 1.0)]).collect();
    let mean = |which: usize| {
        let sum = losses.iter().fold((0.0, 0.0), |sum, loss| (sum.0 + loss[which].0, sum.1 + loss[which].1));
        (sum.0 / batch.max(1) as f64, sum.1 / batch.max(1) as f64)
    };
    let (clean, perturbed) = (mean(0), mean(1));
    let mut weights: Vec<(f64, f64)> =
        (0..w.rows()).flat_map(|i| w.row(i).iter().map(|&w| (f64::from(w), 0.0))).collect();
    if batch == 0 || !(perturbed.0 - clean.0).is_finite() {
        return Step { clean, perturbed, weights };
    }
    let factor = -f64::from(rule.rate) / f64::from(rule.sigma).powi(2);
    let gain = |clean: (f64, f64), perturbed: (f64, f64), share: f64| {
        let gain = factor * share * (perturbed.0 - clean.0);
        (gain, (factor * share).abs() * (clean.1 + perturbed.1) + 2.0 * u * gain.abs())
    };
    let gains: Vec<(f64, f64)> = match rule.draws {
        Draws::Batch => vec![gain(clean, perturbed, 1.0)],
        Draws::Sample => losses.iter().map(|&[clean, perturbed]| gain(clean, perturbed, 1.0 / batch as f64)).collect(),
    };
    for (at, (weight, bound)) in weights.iter_mut().enumerate() {
        if *weight == 0.0 {
            continue;
        }
        let roundings = u * (gains.len() as f64 / 16.0 + 17.0);
        for ((gain, error), noise) in gains.iter().zip(noise) {
            let noise = f64::from(noise.as_slice()[at]);
            *weight += gain * noise;
            *bound += 1.01 * (error + roundings * gain.abs()) * noise.abs();
        }
        *bound += 1.01 * u * weight.abs();
        if rule.non_negative && *weight < 0.0 {
            *weight = 0.0;
        }
    }
    Step { clean, perturbed, weights }
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
