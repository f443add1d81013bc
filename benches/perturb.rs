//! Gaussian noise, and the parts and the whole of a step of weight perturbation, at the sizes of the Hebbian networks.

mod common {
    pub(crate) mod answers;
    pub(crate) mod contexts;
    pub(crate) mod groups;
    pub(crate) mod inputs;
}

use common::{answers::assert_close, contexts::contexts, groups::group, inputs::uniform};
use criterion::{BenchmarkId, Criterion, Throughput};
use neuropil::kernels::perturb::{self, Draws, WeightPerturbation, Workspace, reference};
use neuropil::random::Stream;
use neuropil::{MatMut, MatRef, Matrix};
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
    group.bench_function("plain", |b| b.iter(|| plain_gaussian(out.as_mut_slice())));
    for (name, mut context) in contexts() {
        perturb::gaussian(&mut context, stream, 1.0, out.as_mut_slice());
        let variance = out.as_slice().iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / NOISE as f64;
        assert!((variance - 1.0).abs() < 0.006, "{name}: variance {variance}");
        group.bench_function(name, |b| b.iter(|| perturb::gaussian(&mut context, stream, 1.0, out.as_mut_slice())));
    }
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

fn reward_update(c: &mut Criterion) {
    let mut group = group(c, "perturb/reward_update");
    let (mut w, noise) = (uniform(INPUTS, CLASSES, -1.0, 1.0, "4"), uniform(INPUTS, CLASSES, -1.0, 1.0, "5"));
    group.throughput(Throughput::Elements((INPUTS * CLASSES) as u64));
    group.bench_function("plain", |b| {
        b.iter(|| {
            for (w, noise) in w.as_mut_slice().iter_mut().zip(noise.as_slice()) {
                if *w != 0.0 {
                    *w += 1e-9 * noise;
                }
            }
        });
    });
    let start = w.clone();
    let moved = start.as_slice().iter().zip(noise.as_slice());
    let moved: Vec<f32> = moved.map(|(&w, &noise)| reference::reward_update(w, 0.5, noise, false) as f32).collect();
    for (name, mut context) in contexts() {
        w.clone_from(&start);
        perturb::reward_update(&mut context, noise.view(), 0.5, w.view_mut(), false);
        assert_close(&name, w.as_slice(), &moved, 1e-6);
        group.bench_function(name, |b| {
            b.iter(|| perturb::reward_update(&mut context, noise.view(), 1e-9, w.view_mut(), false));
        });
    }
    group.finish();
}

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
    step(&mut c);
    c.final_summary();
}
