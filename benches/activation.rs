//! Activations and losses at the sizes of the Hebbian networks: a batch of 2000 with 2000 hidden units and 10 classes.

mod common {
    pub(crate) mod answers;
    pub(crate) mod contexts;
    pub(crate) mod groups;
    pub(crate) mod inputs;
}

use common::{answers::assert_close, contexts::contexts, groups::group, inputs::uniform};
use criterion::{BenchmarkId, Criterion, Throughput};
use neuropil::kernels::activation::{self, Axis, reference};
use neuropil::kernels::loss;
use neuropil::{MatRef, Matrix};

const BATCH: usize = 2000;
const UNITS: usize = 2000;
const CLASSES: usize = 10;

fn maps(c: &mut Criterion) {
    let mut group = group(c, "activation/maps");
    group.throughput(Throughput::Elements((BATCH * UNITS) as u64));
    let start = uniform(BATCH, UNITS, -1.0, 1.0, "1");
    let exact = |of: &dyn Fn(f32) -> f64| start.as_slice().iter().map(|&v| of(v) as f32).collect::<Vec<f32>>();
    let mut y = start.clone();
    let plain = |y: &mut [f32]| y.iter_mut().for_each(|v| *v = v.max(0.0));
    plain(y.as_mut_slice());
    let rectified = exact(&reference::relu);
    assert_close("relu/plain", y.as_slice(), &rectified, 0.0);
    group.bench_function("relu/plain", |b| b.iter(|| plain(y.as_mut_slice())));
    let bounded = exact(&reference::tanh);
    let powers = [("power 1", 1.0), ("power 1/2", 0.5), ("power 1/3", 1.0 / 3.0)];
    let powers = powers.map(|(label, n)| (label, n, exact(&|v| reference::power(v, n))));
    for (name, mut context) in contexts() {
        let mut y = start.clone();
        activation::relu(&mut context, y.view_mut());
        assert_close(&name, y.as_slice(), &rectified, 0.0);
        group.bench_function(BenchmarkId::new("relu", &name), |b| {
            b.iter(|| activation::relu(&mut context, y.view_mut()));
        });
        y.clone_from(&start);
        activation::tanh(&mut context, y.view_mut());
        assert_close(&name, y.as_slice(), &bounded, 1e-6);
        group.bench_function(BenchmarkId::new("tanh", &name), |b| {
            b.iter(|| activation::tanh(&mut context, y.view_mut()));
        });
        // Powers of at most one keep the values away from zero, infinity and denormals however often they are taken.
        for (label, n, exact) in &powers {
            y.clone_from(&start);
            activation::power(&mut context, y.view_mut(), *n);
            assert_close(&format!("{label}, {name}"), y.as_slice(), exact, 1e-6);
            group.bench_function(BenchmarkId::new(*label, &name), |b| {
                b.iter(|| activation::power(&mut context, y.view_mut(), *n));
            });
        }
    }
    group.finish();
}

fn zscores(c: &mut Criterion) {
    let start = uniform(BATCH, UNITS, -1.0, 1.0, "3");
    let mut y = start.clone();
    for (axis, rescale) in [(Axis::Sample, true), (Axis::Sample, false), (Axis::Unit, true), (Axis::Whole, true)] {
        let mut group = group(c, &format!("activation/zscore {axis:?}{}", if rescale { " rescaled" } else { "" }));
        group.throughput(Throughput::Elements((BATCH * UNITS) as u64));
        let run = || reference::magnitude_zscore(start.as_slice(), BATCH, UNITS, axis, rescale);
        let exact: Vec<f32> = run().into_iter().map(|v| v as f32).collect();
        if axis == Axis::Sample {
            let run = |y: &mut [f32]| {
                y.copy_from_slice(start.as_slice());
                y.chunks_exact_mut(UNITS).for_each(|row| plain(row, rescale));
            };
            run(y.as_mut_slice());
            // Its sums run from left to right.
            assert_close("plain", y.as_slice(), &exact, 1e-4);
            group.bench_function("plain", |b| b.iter(|| run(y.as_mut_slice())));
        }
        for (name, mut context) in contexts() {
            // In place, so every run begins with a copy, as the plain loop's does.
            let mut run = |y: &mut Matrix| {
                y.as_mut_slice().copy_from_slice(start.as_slice());
                activation::magnitude_zscore(&mut context, y.view_mut(), axis, rescale);
            };
            run(&mut y);
            assert_close(&name, y.as_slice(), &exact, 1e-5);
            group.bench_function(&name, |b| b.iter(|| run(&mut y)));
        }
        group.finish();
    }
}

fn plain(row: &mut [f32], rescale: bool) {
    let n = row.len() as f32;
    let mean = row.iter().map(|v| v.abs()).sum::<f32>() / n;
    let deviation = (row.iter().map(|v| (v.abs() - mean).powi(2)).sum::<f32>() / n).sqrt();
    row.iter_mut().for_each(|v| *v = ((v.abs() - mean) / deviation).max(0.0));
    if rescale {
        let max = row.iter().copied().fold(0.0, f32::max);
        row.iter_mut().for_each(|v| *v /= max);
    }
}

fn losses(c: &mut Criterion) {
    let mut group = group(c, "loss/softmax_cross_entropy");
    group.throughput(Throughput::Elements((BATCH * CLASSES) as u64));
    let logits = uniform(BATCH, CLASSES, -1.0, 1.0, "4");
    let labels: Vec<u8> = (0..BATCH).map(|b| (b % CLASSES) as u8).collect();
    let mut gradient = Matrix::zeros(BATCH, CLASSES);
    group.bench_function("reference", |b| b.iter(|| reference_mean(logits.view(), &labels)));
    let exact = reference_mean(logits.view(), &labels);
    let rows = logits.view().iter_rows().zip(&labels);
    let slopes = rows.flat_map(|(row, &label)| loss::reference::softmax_cross_entropy(row, usize::from(label)).1);
    let slopes: Vec<f32> = slopes.map(|v| v as f32).collect();
    for (name, mut context) in contexts() {
        for with_gradient in [false, true] {
            let label = if with_gradient { "with gradient" } else { "loss" };
            let mut run = |gradient: &mut Matrix| {
                let gradient = with_gradient.then(|| gradient.view_mut());
                loss::softmax_cross_entropy(&mut context, logits.view(), &labels, None, gradient)
            };
            let mean = run(&mut gradient);
            assert!((mean - exact).abs() < 1e-6, "{name}: {mean}, expected {exact}");
            if with_gradient {
                assert_close(&name, gradient.as_slice(), &slopes, 1e-6);
            }
            group.bench_function(BenchmarkId::new(label, &name), |b| b.iter(|| run(&mut gradient)));
        }
    }
    group.finish();
}

fn reference_mean(logits: MatRef<'_>, labels: &[u8]) -> f64 {
    let losses = logits.iter_rows().zip(labels);
    let sum: f64 = losses.map(|(row, &label)| loss::reference::softmax_cross_entropy(row, usize::from(label)).0).sum();
    sum / labels.len() as f64
}

fn main() {
    let mut c = Criterion::default().configure_from_args();
    maps(&mut c);
    zscores(&mut c);
    losses(&mut c);
    c.final_summary();
}
