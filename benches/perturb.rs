//! Gaussian noise, and the parts and the whole of a step of weight perturbation, at the sizes of the Hebbian networks.

mod common {
    pub(crate) mod answers;
    pub(crate) mod beside;
    pub(crate) mod contexts;
    pub(crate) mod groups;
    pub(crate) mod inputs;
}

use common::{answers::assert_close, beside::Beside, contexts::contexts, groups::group, inputs::uniform};
use criterion::{BenchmarkId, Criterion, Throughput};
use neuropil::kernels::perturb::{self, Draws, WeightPerturbation, Workspace, reference};
use neuropil::random::Stream;
use neuropil::{Context, MatMut, MatRef, Matrix};
use rand_distr::{Distribution, StandardNormal};

const NOISE: usize = 1_568_000;
const BATCH: usize = 2000;
const INPUTS: usize = 2000;
const CLASSES: usize = 10;

fn gaussian(c: &mut Criterion) {
    let mut group = group(c, "perturb/gaussian");
    group.throughput(Throughput::Elements(NOISE as u64));
    let stream = Stream::new(1, "bench");
    let mut out = Matrix::zeros(1, NOISE);
    group.bench_function("rand_distr", |b| {
        let mut generator = stream.generator();
        b.iter(|| out.as_mut_slice().fill_with(|| StandardNormal.sample(&mut generator)));
    });
    // Of generators of their own: no values to compare.
    plain_gaussian(out.as_mut_slice());
    let variance = out.as_slice().iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / NOISE as f64;
    assert!((variance - 1.0).abs() < 0.006, "plain: variance {variance}");
    group.bench_function("plain", |b| b.iter(|| plain_gaussian(out.as_mut_slice())));
    Beside::reference(&mut group, "", "reference", 1e-4, || reference::gaussian(stream, 1.0, NOISE).0).ours(
        NOISE,
        &out,
        |context, out| perturb::gaussian(context, stream, 1.0, out.as_mut_slice()),
    );
    group.finish();
}

/// Box and Muller with the standard library's functions and one xorshift generator.
fn plain_gaussian(out: &mut [f32]) {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for pair in out.chunks_exact_mut(2) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let u = ((state >> 41) as f32 + 0.5) / 8_388_608.0;
        let turns = (state & 0xff_ffff) as f32 / 16_777_216.0;
        let (sin, cos) = (turns * std::f32::consts::TAU).sin_cos();
        let r = (-2.0 * u.ln()).sqrt();
        (pair[0], pair[1]) = (r * cos, r * sin);
    }
}

fn clean_and_perturbed(c: &mut Criterion) {
    let mut group = group(c, "perturb/clean_and_perturbed");
    group.throughput(Throughput::Elements((2 * BATCH * INPUTS * CLASSES) as u64));
    let (z, w) = (uniform(BATCH, INPUTS, -1.0, 1.0, "1"), uniform(INPUTS, CLASSES, -1.0, 1.0, "2"));
    let noise = uniform(INPUTS, CLASSES, -1.0, 1.0, "3");
    let (mut clean, mut perturbed) = (Matrix::zeros(BATCH, CLASSES), Matrix::zeros(BATCH, CLASSES));
    let run = || reference::clean_and_perturbed(z.as_slice(), w.as_slice(), noise.as_slice(), BATCH, INPUTS, CLASSES);
    let narrow = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect::<Vec<_>>();
    let (exact, exact_perturbed) = run();
    let (exact, exact_perturbed) = (narrow(exact), narrow(exact_perturbed));
    group.bench_function("reference", |b| b.iter(run));
    let noisy = Matrix::from_fn(INPUTS, CLASSES, |i, j| w[(i, j)] + noise[(i, j)]);
    for (name, product) in [("plain", plain as Product), ("faer", faer), ("matrixmultiply", matrixmultiply)] {
        let both = |clean: &mut Matrix, perturbed: &mut Matrix| {
            product(z.view(), w.view(), clean.view_mut());
            product(z.view(), noisy.view(), perturbed.view_mut());
        };
        both(&mut clean, &mut perturbed);
        assert_close(name, clean.as_slice(), &exact, 1e-5);
        assert_close(name, perturbed.as_slice(), &exact_perturbed, 1e-5);
        group.bench_function(name, |b| b.iter(|| both(&mut clean, &mut perturbed)));
    }
    for (name, mut context) in contexts() {
        clean.view_mut().fill(f32::NAN);
        perturbed.view_mut().fill(f32::NAN);
        let mut both = |clean: &mut Matrix, perturbed: &mut Matrix| {
            let (clean, perturbed) = (clean.view_mut(), perturbed.view_mut());
            perturb::clean_and_perturbed(&mut context, z.view(), w.view(), noise.view(), clean, perturbed);
        };
        both(&mut clean, &mut perturbed);
        assert_close(&name, clean.as_slice(), &exact, 1e-5);
        assert_close(&name, perturbed.as_slice(), &exact_perturbed, 1e-5);
        group.bench_function(&name, |b| b.iter(|| both(&mut clean, &mut perturbed)));
    }
    group.finish();
}

type Product = fn(MatRef<'_>, MatRef<'_>, MatMut<'_>);

fn plain(a: MatRef<'_>, b: MatRef<'_>, mut c: MatMut<'_>) {
    for row in 0..a.rows() {
        let sums = c.row_mut(row);
        sums.fill(0.0);
        for (&value, weights) in a.row(row).iter().zip(b.iter_rows()) {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += value * weight;
            }
        }
    }
}

fn faer(a: MatRef<'_>, b: MatRef<'_>, mut c: MatMut<'_>) {
    let (rows, cols) = (c.rows(), c.cols());
    let mut out = vec![0.0; rows * cols];
    let view = faer::MatMut::from_row_major_slice_mut(&mut out, rows, cols);
    faer::linalg::matmul::matmul(view, faer::Accum::Replace, a.to_faer(), b.to_faer(), 1.0, faer::Par::Seq);
    c.copy_from(MatRef::new(&out, rows, cols).expect("the same shape"));
}

#[allow(unsafe_code, reason = "the peer's only interface")]
fn matrixmultiply(a: MatRef<'_>, b: MatRef<'_>, mut c: MatMut<'_>) {
    let (m, k, n) = (a.rows(), a.cols(), b.cols());
    let (a_stride, b_stride, c_stride) = (a.stride() as isize, b.stride() as isize, c.stride() as isize);
    let (a, b, c) = (a.row(0).as_ptr(), b.row(0).as_ptr(), c.row_mut(0).as_mut_ptr());
    // SAFETY: the views hold m x k, k x n and m x n values at these strides, c exclusively.
    unsafe { matrixmultiply::sgemm(m, k, n, 1.0, a, a_stride, 1, b, b_stride, 1, 0.0, c, c_stride, 1) }
}

/// The gain that is timed: so small that weights stay what they are.
const GAIN: f32 = 1e-9;

fn reward_update(c: &mut Criterion) {
    let mut group = group(c, "perturb/reward_update");
    let (w, noise) = (uniform(INPUTS, CLASSES, -1.0, 1.0, "4"), uniform(INPUTS, CLASSES, -1.0, 1.0, "5"));
    group.throughput(Throughput::Elements((INPUTS * CLASSES) as u64));
    let (start, pairs) = ((w.clone(), 0.5), || w.as_slice().iter().zip(noise.as_slice()));
    Beside::reference(&mut group, "", "reference", 1e-6, || {
        pairs().map(|(&w, &noise)| reference::reward_update(w, 0.5, noise, false)).collect()
    })
    .timed("plain loop", &start, |(w, gain)| {
        for (w, noise) in w.as_mut_slice().iter_mut().zip(noise.as_slice()) {
            if *w != 0.0 {
                *w += *gain * noise;
            }
        }
        *gain = GAIN;
    })
    .ours(INPUTS * CLASSES, &start, |context, (w, gain)| {
        perturb::reward_update(context, noise.view(), *gain, w.view_mut(), false);
        *gain = GAIN;
    });
    group.finish();
}

/// So many samples with noise of their own the reference and the plain loops go through.
const FEW: usize = 100;

/// The noise of every sample; the first time, when answers are compared, that of ours.
fn draw(first: bool, of_ours: &[Matrix], sample: usize, noise: &mut Matrix) {
    if first { noise.clone_from(&of_ours[sample]) } else { plain_gaussian(noise.as_mut_slice()) }
}

fn noise_of_samples(stream: Stream, sigma: f32) -> Vec<Matrix> {
    let mut context = Context::new().expect("an instruction set");
    let mut noise = vec![Matrix::zeros(INPUTS, CLASSES); FEW];
    for (sample, noise) in noise.iter_mut().enumerate() {
        perturb::noise_of_sample(&mut context, stream, sample as u64, sigma, noise.view_mut());
    }
    noise
}

fn per_sample(c: &mut Criterion) {
    let mut group = group(c, &format!("perturb/per sample, {FEW} samples"));
    group.throughput(Throughput::Elements((FEW * INPUTS * CLASSES) as u64));
    let (z, clean) = (uniform(FEW, INPUTS, -1.0, 1.0, "8"), uniform(FEW, CLASSES, -1.0, 1.0, "9"));
    let (stream, work) = (Stream::new(3, "per sample"), FEW * INPUTS * CLASSES);
    let (of_ours, mut noise) = (noise_of_samples(stream, 1.0), Matrix::zeros(INPUTS, CLASSES));

    Beside::reference(&mut group, "perturbed", "reference", 1e-4, || {
        let of_sample = |sample: usize| {
            let noise: Vec<f64> = of_ours[sample].as_slice().iter().map(|&noise| noise.into()).collect();
            let moved = reference::product(z.row(sample), &noise, 1, INPUTS, CLASSES);
            moved.into_iter().zip(clean.row(sample)).map(|(moved, &clean)| moved + f64::from(clean)).collect::<Vec<_>>()
        };
        (0..FEW).flat_map(of_sample).collect()
    })
    .timed("plain loop", &(Matrix::zeros(FEW, CLASSES), true), |(perturbed, first)| {
        for sample in 0..FEW {
            draw(*first, &of_ours, sample, &mut noise);
            let (rows, mut moved) = (sample..sample + 1, [0.0; CLASSES]);
            plain(z.view().rows_range(rows), noise.view(), MatMut::new(&mut moved, 1, CLASSES).expect("a row"));
            let terms = clean.row(sample).iter().zip(moved);
            perturbed.row_mut(sample).iter_mut().zip(terms).for_each(|(to, (clean, moved))| *to = clean + moved);
        }
        *first = false;
    })
    .ours(work, &Matrix::zeros(FEW, CLASSES), |context, perturbed| {
        perturb::perturbed_per_sample(context, z.view(), clean.view(), stream, 1.0, perturbed.view_mut());
    });

    let (w, gains) = (uniform(INPUTS, CLASSES, -1.0, 1.0, "10"), uniform(1, FEW, -0.1, 0.1, "11"));
    let gains = gains.as_slice();
    Beside::reference(&mut group, "reward_update", "reference", 1e-5, || {
        let of_weight = |at: usize| {
            let terms = gains.iter().zip(&of_ours);
            let sum = terms.map(|(&gain, noise)| f64::from(gain) * f64::from(noise.as_slice()[at])).sum();
            reference::reward_update(w.as_slice()[at], sum, 1.0, false)
        };
        (0..INPUTS * CLASSES).map(of_weight).collect()
    })
    .timed("plain loop", &(w.clone(), true), |(w, first)| {
        for (sample, gain) in gains.iter().enumerate() {
            draw(*first, &of_ours, sample, &mut noise);
            for (w, noise) in w.as_mut_slice().iter_mut().zip(noise.as_slice()) {
                *w += if *w == 0.0 { 0.0 } else { gain * noise };
            }
        }
        *first = false;
    })
    .ours(work, &w, |context, w| {
        perturb::reward_update_per_sample(context, stream, 1.0, gains, w.view_mut(), false);
    });
    group.finish();
}

/// The cross-entropy of logits as they are written.
fn plain_loss(logits: &[f32], label: u8) -> f32 {
    let max = logits.iter().copied().fold(f32::MIN, f32::max);
    logits.iter().map(|logit| (logit - max).exp()).sum::<f32>().ln() + max - logits[usize::from(label)]
}

/// A step with noise from this source, without biases and clamping.
fn plain_step(
    z: MatRef<'_>,
    labels: &[u8],
    w: &mut Matrix,
    rule: &WeightPerturbation,
    mut draw: impl FnMut(usize, &mut Matrix),
) {
    let (batch, mut noise, mut delta) = (z.rows(), Matrix::zeros(INPUTS, CLASSES), Matrix::zeros(INPUTS, CLASSES));
    let factor = -rule.rate / (rule.sigma * rule.sigma);
    let mut noisy = w.clone();
    let (mut clean, mut perturbed) = (Matrix::zeros(batch, CLASSES), Matrix::zeros(batch, CLASSES));
    // The losses of one draw's samples, and what its noise adds to the weights.
    let mut whole = |draws: std::ops::Range<usize>| {
        draw(draws.start, &mut noise);
        let weights = noisy.as_mut_slice().iter_mut().zip(w.as_slice().iter().zip(noise.as_slice()));
        weights.for_each(|(noisy, (w, noise))| *noisy = w + noise);
        let mut difference = 0.0;
        let of_draw = z.rows_range(draws.clone());
        plain(of_draw, w.view(), clean.view_mut().split_rows(of_draw.rows()).0);
        plain(of_draw, noisy.view(), perturbed.view_mut().split_rows(of_draw.rows()).0);
        for (row, &label) in labels[draws].iter().enumerate() {
            difference += plain_loss(perturbed.row(row), label) - plain_loss(clean.row(row), label);
        }
        let gain = factor * difference / batch as f32;
        delta.as_mut_slice().iter_mut().zip(noise.as_slice()).for_each(|(delta, noise)| *delta += gain * noise);
    };
    match rule.draws {
        Draws::Batch => whole(0..batch),
        Draws::Sample => (0..batch).for_each(|sample| whole(sample..sample + 1)),
    }
    let weights = w.as_mut_slice().iter_mut().zip(delta.as_slice());
    weights.for_each(|(w, &delta)| *w += if *w == 0.0 { 0.0 } else { delta });
}

/// Few samples, beside the reference and the plain loop. The first rate shows, as answers are compared; that of what is timed hardly.
fn small_step(c: &mut Criterion) {
    let mut group = group(c, &format!("perturb/step, {FEW} samples"));
    group.throughput(Throughput::Elements((2 * FEW * INPUTS * CLASSES) as u64));
    let (z, w) = (uniform(FEW, INPUTS, -1.0, 1.0, "6"), uniform(INPUTS, CLASSES, -1.0, 1.0, "7"));
    let labels: Vec<u8> = (0..FEW).map(|b| (b % CLASSES) as u8).collect();
    let (stream, sigma, bias) = (Stream::new(2, "step"), 0.01, [0.0; CLASSES]);
    for draws in [Draws::Batch, Draws::Sample] {
        let rule = |first| {
            let rate = if first { 0.01 } else { 1e-6 };
            WeightPerturbation { rate, sigma, non_negative: false, draws }
        };
        let mut of_ours = noise_of_samples(stream, sigma);
        if draws == Draws::Batch {
            perturb::gaussian(&mut Context::new().expect("a set"), stream, sigma, of_ours[0].as_mut_slice());
        }
        Beside::reference(&mut group, &format!("{draws:?}"), "reference", 1e-4, || {
            let step = reference::weight_perturbation(z.view(), &labels, w.view(), &bias, &rule(true), &of_ours);
            step.weights.into_iter().map(|(w, _)| w).collect()
        })
        .timed("plain loop", &(w.clone(), true), |(w, first)| {
            plain_step(z.view(), &labels, w, &rule(*first), |sample, noise| draw(*first, &of_ours, sample, noise));
            *first = false;
        })
        .ours(
            4 * FEW * INPUTS * CLASSES,
            &((w.clone(), Workspace::default()), true),
            |context, ((w, workspace), first)| {
                let rule = rule(*first);
                perturb::weight_perturbation(context, z.view(), &labels, w.view_mut(), &bias, &rule, stream, workspace);
                *first = false;
            },
        );
    }
    group.finish();
}

/// A whole batch. Scalar code takes seconds with noise of every sample.
fn step(c: &mut Criterion) {
    let (z, bias) = (uniform(BATCH, INPUTS, -1.0, 1.0, "6"), [0.0; CLASSES]);
    let labels: Vec<u8> = (0..BATCH).map(|b| (b % CLASSES) as u8).collect();
    for draws in [Draws::Batch, Draws::Sample] {
        let mut group = group(c, "perturb/step");
        group.throughput(Throughput::Elements((2 * BATCH * INPUTS * CLASSES) as u64));
        if draws == Draws::Sample {
            group.sample_size(10);
        }
        let mut first: Option<Matrix> = None;
        let rule = WeightPerturbation { rate: 1e-6, sigma: 0.01, non_negative: false, draws };
        for (name, mut context) in contexts() {
            if draws == Draws::Sample && name.starts_with("scalar") {
                continue;
            }
            let (mut w, mut workspace) = (uniform(INPUTS, CLASSES, -1.0, 1.0, "7"), Workspace::default());
            // Whatever runs it, a step has the same bits.
            let stream = Stream::new(2, "step").item(0);
            perturb::weight_perturbation(
                &mut context,
                z.view(),
                &labels,
                w.view_mut(),
                &bias,
                &rule,
                stream,
                &mut workspace,
            );
            assert_eq!(w.as_slice(), first.get_or_insert_with(|| w.clone()).as_slice(), "{draws:?}, {name}");
            let mut number = 0;
            group.bench_function(BenchmarkId::new(format!("{draws:?}"), name), |b| {
                b.iter(|| {
                    number += 1;
                    let stream = Stream::new(2, "step").item(number);
                    let (w, workspace) = (w.view_mut(), &mut workspace);
                    perturb::weight_perturbation(&mut context, z.view(), &labels, w, &bias, &rule, stream, workspace)
                });
            });
        }
        group.finish();
    }
}

fn main() {
    let mut c = Criterion::default().configure_from_args();
    gaussian(&mut c);
    clean_and_perturbed(&mut c);
    reward_update(&mut c);
    per_sample(&mut c);
    small_step(&mut c);
    step(&mut c);
    c.final_summary();
}
