//! Checks of weight perturbation and its noise.

use super::{Case, Check, Dim, gamma, strict, worst_ratio};
use crate::kernels::perturb::{
    Draws, WeightPerturbation, Workspace, clean_and_perturbed, gaussian, noise_of_sample, perturbed_per_sample,
    reference, reward_update, reward_update_per_sample, weight_perturbation,
};
use crate::{Context, Matrix};

const VALUES: &[Dim] = &[Dim { name: "values", min: 0, max: 100_000 }];

const DIMS: &[Dim] = &[
    Dim { name: "batch", min: 0, max: 140 },
    Dim { name: "inputs", min: 0, max: 700 },
    Dim { name: "outputs", min: 1, max: 40 },
];

const WEIGHTS: &[Dim] = &[Dim { name: "inputs", min: 0, max: 700 }, Dim { name: "outputs", min: 0, max: 40 }];

pub(super) const CHECKS: &[Check] = &[
    Check { kernel: "perturb::gaussian", dims: VALUES, run: noise },
    Check { kernel: "perturb::noise_of_sample", dims: WEIGHTS, run: sample_noise },
    Check { kernel: "perturb::clean_and_perturbed", dims: DIMS, run: products },
    Check { kernel: "perturb::reward_update", dims: DIMS, run: reward },
    Check { kernel: "perturb::perturbed_per_sample", dims: DIMS, run: products_per_sample },
    Check { kernel: "perturb::reward_update_per_sample", dims: DIMS, run: reward_per_sample },
    Check { kernel: "perturb::weight_perturbation", dims: DIMS, run: step },
];

/// From so many values on, their distribution is measured too.
const MANY: usize = 1000;

/// Every value by its reference, so that the stream is the one defined; and of many also the distance from the normal distribution,
/// so that what is defined is the right thing.
fn noise(case: &mut Case<'_>) {
    let [values] = case.sizes();
    let stream = case.stream();
    let sigma = 0.5f32;
    let (exact, bound) = reference::gaussian(stream, sigma, values);
    let kernel = |context: &mut Context| {
        let mut out = vec![f32::NAN; values];
        gaussian(context, stream, sigma, &mut out);
        out
    };
    case.judge(kernel, |got| {
        let distance = if values < MANY { 0.0 } else { distance(got, sigma) };
        worst_ratio(got, &exact, &bound).max(distance)
    });
}

/// Value `j K + i` of the sample's item of the stream for the weight from i to j, K the inputs rounded up to 32.
fn sample_noise(case: &mut Case<'_>) {
    let [inputs, outputs] = case.sizes();
    let stream = case.stream();
    let (sigma, sample) = (0.5f32, (7 * inputs + outputs) as u64);
    let padded = inputs.next_multiple_of(32);
    let (values, bounds) = reference::gaussian(stream.item(sample), sigma, padded * outputs);
    let placed = |values: &[f64]| -> Vec<f64> {
        (0..inputs).flat_map(|i| (0..outputs).map(move |j| (i, j))).map(|(i, j)| values[j * padded + i]).collect()
    };
    let out = case.lay(&Case::poisoned(inputs, outputs));
    case.compare(&placed(&values), &placed(&bounds), |context| {
        let mut out = out.clone();
        noise_of_sample(context, stream, sample, sigma, out.view_mut());
        out.values()
    });
}

/// Kolmogorov and Smirnov's distance from the normal distribution, as a share of what one sound sample in a thousand million exceeds.
fn distance(got: &[f32], sigma: f32) -> f64 {
    let mut sorted = got.to_vec();
    sorted.sort_by(f32::total_cmp);
    let n = sorted.len() as f64;
    let distance = sorted.iter().enumerate().map(|(index, &value)| {
        let p = reference::normal_distribution(f64::from(value) / f64::from(sigma));
        (p - index as f64 / n).abs().max(((index + 1) as f64 / n - p).abs())
    });
    let limit = ((2e9f64).ln() / (2.0 * n)).sqrt();
    distance.fold(0.0, |worst, distance| if distance.is_nan() { f64::INFINITY } else { f64::max(worst, distance) })
        / limit
}

/// 16 partial sums in parallel, then a tree over them.
fn sum_bound(inputs: usize) -> f64 {
    gamma(inputs as f64 / 16.0 + 6.0)
}

fn products(case: &mut Case<'_>) {
    let [batch, inputs, outputs] = case.sizes();
    let (z, w) = (case.matrix(batch, inputs, -1.0, 1.0), case.matrix(inputs, outputs, -1.0, 1.0));
    let noise = case.matrix(inputs, outputs, -0.1, 0.1);
    let (mut exact, perturbed) =
        reference::clean_and_perturbed(z.as_slice(), w.as_slice(), noise.as_slice(), batch, inputs, outputs);
    exact.extend(perturbed);
    let absolute: Vec<f32> = z.as_slice().iter().map(|z| z.abs()).collect();
    let magnitudes = |w: &mut dyn Iterator<Item = f64>| {
        reference::product(&absolute, &w.collect::<Vec<f64>>(), batch, inputs, outputs)
    };
    let w_abs = w.as_slice().iter().map(|&w| f64::from(w).abs());
    let noisy_abs =
        w.as_slice().iter().zip(noise.as_slice()).map(|(&w, &noise)| (f64::from(w) + f64::from(noise)).abs());
    let mut bound: Vec<f64> =
        magnitudes(&mut w_abs.into_iter()).into_iter().map(|sum| sum_bound(inputs) * sum).collect();
    // One rounding more: of w + noise.
    let more = sum_bound(inputs) + gamma(1.0);
    bound.extend(magnitudes(&mut noisy_abs.into_iter()).into_iter().map(|sum| more * sum));
    case.compare(&exact, &bound, |context| {
        let (mut clean, mut perturbed) = (Case::poisoned(batch, outputs), Case::poisoned(batch, outputs));
        clean_and_perturbed(context, z.view(), w.view(), noise.view(), clean.view_mut(), perturbed.view_mut());
        [clean.as_slice(), perturbed.as_slice()].concat()
    });
}

/// Weights of which every fourth is zero: off the support.
fn with_zeros(case: &mut Case<'_>, rows: usize, cols: usize) -> Matrix {
    let mut w = case.matrix(rows, cols, -1.0, 1.0);
    w.as_mut_slice().iter_mut().skip(1).step_by(4).for_each(|w| *w = 0.0);
    w
}

fn reward(case: &mut Case<'_>) {
    let [_, inputs, outputs] = case.sizes();
    let (noise, w) = (case.matrix(inputs, outputs, -0.1, 0.1), with_zeros(case, inputs, outputs));
    for (gain, non_negative) in [(0.3f32, false), (-2.0, true)] {
        let pairs = w.as_slice().iter().zip(noise.as_slice());
        let exact: Vec<f64> =
            pairs.map(|(&w, &noise)| reference::reward_update(w, f64::from(gain), noise, non_negative)).collect();
        // One fused operation: rounded once.
        let mut bound: Vec<f64> = exact.iter().map(|value| gamma(1.0) * value.abs()).collect();
        strict(&exact, &mut bound);
        case.compare(&exact, &bound, |context| {
            let mut w = w.clone();
            reward_update(context, noise.view(), gain, w.view_mut(), non_negative);
            w.as_slice().to_vec()
        });
    }
}

/// The noise of every sample, as the kernels under test regenerate it.
fn all_noise(
    case: &mut Case<'_>,
    batch: usize,
    inputs: usize,
    outputs: usize,
    sigma: f32,
) -> (crate::random::Stream, Vec<Matrix>) {
    let stream = case.stream();
    let context = &mut case.contexts[0];
    let noise = (0..batch).map(|sample| {
        let mut noise = Case::poisoned(inputs, outputs);
        noise_of_sample(context, stream, sample as u64, sigma, noise.view_mut());
        noise
    });
    let noise = noise.collect();
    (stream, noise)
}

fn products_per_sample(case: &mut Case<'_>) {
    let [batch, inputs, outputs] = case.sizes();
    let (z, clean) = (case.matrix(batch, inputs, -1.0, 1.0), case.matrix(batch, outputs, -1.0, 1.0));
    let sigma = 0.1;
    let (stream, noise) = all_noise(case, batch, inputs, outputs, sigma);
    let (mut exact, mut bound) = (Vec::new(), Vec::new());
    for b in 0..batch {
        for j in 0..outputs {
            let terms = || (0..inputs).map(|i| f64::from(z[(b, i)]) * f64::from(noise[b][(i, j)]));
            let value = f64::from(clean[(b, j)]) + terms().sum::<f64>();
            exact.push(value);
            bound.push(sum_bound(inputs) * terms().map(f64::abs).sum::<f64>() + gamma(1.0) * value.abs());
        }
    }
    case.compare(&exact, &bound, |context| {
        let mut perturbed = Case::poisoned(batch, outputs);
        perturbed_per_sample(context, z.view(), clean.view(), stream, sigma, perturbed.view_mut());
        perturbed.as_slice().to_vec()
    });
}

fn reward_per_sample(case: &mut Case<'_>) {
    let [batch, inputs, outputs] = case.sizes();
    let (gains, w) = (case.matrix(1, batch, -1.0, 1.0), with_zeros(case, inputs, outputs));
    let sigma = 0.1;
    let (stream, noise) = all_noise(case, batch, inputs, outputs, sigma);
    for non_negative in [false, true] {
        let (mut exact, mut bound) = (Vec::new(), Vec::new());
        for (at, &w) in w.as_slice().iter().enumerate() {
            let terms = || (0..batch).map(|b| f64::from(gains[(0, b)]) * f64::from(noise[b].as_slice()[at]));
            let moved = if w == 0.0 { 0.0 } else { f64::from(w) + terms().sum::<f64>() };
            let value = if non_negative && moved < 0.0 { 0.0 } else { moved };
            exact.push(value);
            let size: f64 = terms().map(f64::abs).sum();
            bound.push(gamma(batch as f64 / 16.0 + 17.0) * size + gamma(1.0) * moved.abs());
        }
        case.compare(&exact, &bound, |context| {
            let mut w = w.clone();
            reward_update_per_sample(context, stream, sigma, gains.as_slice(), w.view_mut(), non_negative);
            w.as_slice().to_vec()
        });
    }
}

/// Both losses, then the weights.
fn step(case: &mut Case<'_>) {
    let [batch, inputs, outputs] = case.sizes();
    let (z, w) = (case.matrix(batch, inputs, -1.0, 1.0), with_zeros(case, inputs, outputs));
    let bias = case.finite(1, outputs, -1.0, 1.0);
    let labels = case.labels(batch, outputs);
    let sigma = 0.1;
    let (stream, of_samples) = all_noise(case, batch, inputs, outputs, sigma);
    let mut of_batch = Case::poisoned(inputs, outputs);
    gaussian(&mut case.contexts[0], stream, sigma, of_batch.as_mut_slice());
    for (draws, noise, non_negative) in [(Draws::Batch, &[of_batch][..], false), (Draws::Sample, &of_samples[..], true)]
    {
        let rule = WeightPerturbation { rate: 0.01, sigma, non_negative, draws };
        let step = reference::weight_perturbation(z.view(), &labels, w.view(), bias.as_slice(), &rule, noise);
        // The losses only become f32 to be compared.
        let rounded = |(value, bound): (f64, f64)| (value, bound + gamma(1.0) * value.abs());
        let both = [rounded(step.clean), rounded(step.perturbed)].into_iter().chain(step.weights);
        let (exact, bound): (Vec<f64>, Vec<f64>) = both.unzip();
        case.compare(&exact, &bound, |context| {
            let (mut w, mut workspace) = (w.clone(), Workspace::default());
            let (bias, workspace) = (bias.as_slice(), &mut workspace);
            let losses = weight_perturbation(context, z.view(), &labels, w.view_mut(), bias, &rule, stream, workspace);
            [&[losses.clean as f32, losses.perturbed as f32], w.as_slice()].concat()
        });
    }
}
