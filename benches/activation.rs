//! Activations and losses at the sizes of the Hebbian networks: a batch of 2000 with 2000 hidden units and 10 classes.

mod common {
    pub(crate) mod answers;
    pub(crate) mod contexts;
    pub(crate) mod groups;
    pub(crate) mod inputs;
}

use common::{answers::assert_close, contexts::contexts, groups::group, inputs::uniform};
use criterion::{BenchmarkId, Criterion, Throughput};
use neuropil::kernels::activation::{self, Axis, Dropout, reference};
use neuropil::kernels::loss;
use neuropil::random::Stream;
use neuropil::{Context, MatMut, MatRef, Matrix};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

const BATCH: usize = 2000;
const UNITS: usize = 2000;
const CLASSES: usize = 10;

/// What is made of y, and for gradients of what entered the activation: exactly, by the plain loop, by ours; and how far they may differ.
struct Map(&'static str, fn(f32, f32) -> f64, fn(&[f32], &mut [f32]), fn(&mut Context, MatRef<'_>, MatMut<'_>), f32);

/// A loop of its own for every map, which the compiler may vectorise.
fn each(x: &[f32], y: &mut [f32], map: impl Fn(f32, f32) -> f32) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y = map(*x, *y));
}

const MAPS: [Map; 10] = [
    Map("relu", |_, y| reference::relu(y), |x, y| each(x, y, |_, y| y.max(0.0)), |c, _, y| activation::relu(c, y), 0.0),
    Map("tanh", |_, y| reference::tanh(y), |x, y| each(x, y, |_, y| y.tanh()), |c, _, y| activation::tanh(c, y), 1e-6),
    Map(
        "gelu",
        |_, y| reference::gelu(y.into()),
        |x, y| each(x, y, |_, y| y * distribution(y)),
        |c, _, y| activation::gelu(c, y),
        1e-6,
    ),
    Map(
        "power 1",
        |_, y| reference::power(y, 1.0),
        |x, y| each(x, y, |_, y| y.max(0.0)),
        |c, _, y| activation::power(c, y, 1.0),
        0.0,
    ),
    Map(
        "power 1/2",
        |_, y| reference::power(y, 0.5),
        |x, y| each(x, y, |_, y| y.max(0.0).sqrt()),
        |c, _, y| activation::power(c, y, 0.5),
        1e-6,
    ),
    Map(
        "power 4.5",
        |_, y| reference::power(y, 4.5),
        |x, y| each(x, y, |_, y| y.max(0.0).powf(4.5)),
        |c, _, y| activation::power(c, y, 4.5),
        1e-6,
    ),
    Map(
        "gradient of relu",
        reference::relu_gradient,
        |x, y| each(x, y, |x, y| if x > 0.0 { y } else { 0.0 }),
        activation::relu_gradient,
        0.0,
    ),
    Map(
        "gradient of tanh",
        reference::tanh_gradient,
        |x, y| each(x, y, |x, y| (1.0 - x * x) * y),
        activation::tanh_gradient,
        1e-6,
    ),
    Map(
        "gradient of power 4.5",
        |x, y| reference::power_gradient(x, y, 4.5),
        |x, y| each(x, y, |x, y| if x > 0.0 { 4.5 * x.powf(3.5) * y } else { 0.0 }),
        |c, x, y| activation::power_gradient(c, x, y, 4.5),
        1e-5,
    ),
    Map(
        "gradient of gelu",
        |x, y| reference::gelu_slope(x.into()) * f64::from(y),
        |x, y| each(x, y, |x, y| (distribution(x) + x * (-0.5 * x * x).exp() / std::f32::consts::TAU.sqrt()) * y),
        activation::gelu_gradient,
        1e-6,
    ),
];

fn maps(c: &mut Criterion) {
    let mut group = group(c, "activation/maps");
    group.throughput(Throughput::Elements((BATCH * UNITS) as u64));
    let (entered, start) = (uniform(BATCH, UNITS, -3.0, 3.0, "0"), uniform(BATCH, UNITS, -1.0, 1.0, "1"));
    let mut y = start.clone();
    for Map(map, exact, plain, ours, tolerance) in MAPS {
        let pairs = entered.as_slice().iter().zip(start.as_slice());
        let reference = || pairs.clone().map(|(&x, &y)| exact(x, y)).collect::<Vec<f64>>();
        group.bench_function(BenchmarkId::new(map, "reference"), |b| b.iter(reference));
        let exact: Vec<f32> = pairs.clone().map(|(&x, &y)| exact(x, y) as f32).collect();
        // In place, so every run begins with a copy; a map of its own results would end at zero, or among denormals.
        let run = |y: &mut Matrix| {
            y.as_mut_slice().copy_from_slice(start.as_slice());
            plain(entered.as_slice(), y.as_mut_slice());
        };
        run(&mut y);
        assert_close(&format!("{map}, plain"), y.as_slice(), &exact, tolerance);
        group.bench_function(BenchmarkId::new(map, "plain"), |b| b.iter(|| run(&mut y)));
        for (name, mut context) in contexts() {
            let mut run = |y: &mut Matrix| {
                y.as_mut_slice().copy_from_slice(start.as_slice());
                ours(&mut context, entered.view(), y.view_mut());
            };
            run(&mut y);
            assert_close(&format!("{map}, {name}"), y.as_slice(), &exact, tolerance);
            group.bench_function(BenchmarkId::new(map, &name), |b| b.iter(|| run(&mut y)));
        }
    }
    group.finish();
}

/// The standard normal distribution by a polynomial and an exponential (Abramowitz and Stegun 7.1.26), as there is no erf in the standard library.
fn distribution(x: f32) -> f32 {
    let magnitude = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * magnitude);
    let polynomial = [1.061_405_4f32, -1.453_152, 1.421_413_8, -0.284_496_72, 0.254_829_6];
    let tail = polynomial.iter().fold(0.0, |sum, c| (sum + c) * t) * (-magnitude * magnitude).exp();
    0.5 * (2.0 - tail - if x < 0.0 { 2.0 - 2.0 * tail } else { 0.0 })
}

/// ReLU and dropout: masks are drawn where they are used.
fn dropout(c: &mut Criterion) {
    let mut group = group(c, "activation/relu_dropout");
    group.throughput(Throughput::Elements((BATCH * UNITS) as u64));
    let (start, rate) = (uniform(BATCH, UNITS, 0.5, 1.0, "2"), 0.2);
    let (dropout, stream) = (Dropout::new(rate).expect("a share"), Stream::new(0, "dropout"));
    let run = || reference::relu_dropout(start.as_slice(), BATCH, UNITS, dropout, stream);
    group.bench_function("reference", |b| b.iter(run));
    let exact: Vec<f32> = run().into_iter().map(|v| v as f32).collect();
    let (mut y, mut generator) = (start.clone(), SmallRng::seed_from_u64(0));
    let mut plain = |y: &mut Matrix| {
        for (y, &start) in y.as_mut_slice().iter_mut().zip(start.as_slice()) {
            *y = if generator.random::<f32>() < rate as f32 { 0.0 } else { start.max(0.0) * dropout.scale() };
        }
    };
    plain(&mut y);
    let dropped = y.as_slice().iter().filter(|&&y| y == 0.0).count() as f64 / (BATCH * UNITS) as f64;
    assert!((dropped - rate).abs() < 0.002, "{dropped}");
    group.bench_function("plain, rand", |b| b.iter(|| plain(&mut y)));
    for (name, mut context) in contexts() {
        let mut run = |y: &mut Matrix| {
            y.as_mut_slice().copy_from_slice(start.as_slice());
            activation::relu_dropout(&mut context, y.view_mut(), dropout, stream);
        };
        run(&mut y);
        assert_close(&name, y.as_slice(), &exact, 1e-6);
        group.bench_function(&name, |b| b.iter(|| run(&mut y)));
    }
    group.finish();
}

/// A few winners of a layer, and of the wide one of reward-modulated nets.
fn winners(c: &mut Criterion) {
    for (rows, cols, k) in [(500, 2000, 10), (20, 100_000, 256)] {
        let mut group = group(c, &format!("activation/k_winners {rows} x {cols}, {k}"));
        group.throughput(Throughput::Elements((rows * cols) as u64));
        let start = uniform(rows, cols, -1.0, 1.0, "7");
        let run = || start.view().iter_rows().flat_map(|row| reference::k_winners(row, k)).collect::<Vec<f64>>();
        let exact: Vec<f32> = run().into_iter().map(|v| v as f32).collect();
        group.bench_function("reference", |b| b.iter(run));
        let mut y = start.clone();
        let plain = |y: &mut Matrix| {
            y.as_mut_slice().fill(0.0);
            for row in 0..rows {
                let (from, to) = (start.row(row), y.row_mut(row));
                let mut order: Vec<usize> = (0..cols).collect();
                order.select_nth_unstable_by(k, |&a, &b| from[b].total_cmp(&from[a]));
                order[..k].iter().for_each(|&at| to[at] = from[at]);
            }
        };
        plain(&mut y);
        assert_eq!(y.as_slice(), exact, "plain");
        group.bench_function("plain", |b| b.iter(|| plain(&mut y)));
        for (name, mut context) in contexts() {
            let mut run = |y: &mut Matrix| {
                y.as_mut_slice().copy_from_slice(start.as_slice());
                activation::k_winners(&mut context, y.view_mut(), k);
            };
            run(&mut y);
            assert_eq!(y.as_slice(), exact, "{name}");
            group.bench_function(&name, |b| b.iter(|| run(&mut y)));
        }
        group.finish();
    }
}

fn zscores(c: &mut Criterion) {
    let start = uniform(BATCH, UNITS, -1.0, 1.0, "3");
    let mut y = start.clone();
    for (axis, rescale) in [(Axis::Sample, true), (Axis::Sample, false), (Axis::Unit, true), (Axis::Whole, true)] {
        let mut group = group(c, &format!("activation/zscore {axis:?}{}", if rescale { " rescaled" } else { "" }));
        group.throughput(Throughput::Elements((BATCH * UNITS) as u64));
        let run = || reference::magnitude_zscore(start.as_slice(), BATCH, UNITS, axis, rescale);
        let exact: Vec<f32> = run().into_iter().map(|v| v as f32).collect();
        group.bench_function("reference", |b| b.iter(run));
        let run = |y: &mut [f32]| {
            y.copy_from_slice(start.as_slice());
            match axis {
                Axis::Sample => y.chunks_exact_mut(UNITS).for_each(|row| plain(row, rescale)),
                Axis::Unit => plain_by_unit(y, rescale),
                Axis::Whole => plain(y, rescale),
            }
        };
        run(y.as_mut_slice());
        // Its sums run from left to right: four million terms in one of them.
        assert_close("plain", y.as_slice(), &exact, if axis == Axis::Whole { 1e-2 } else { 1e-4 });
        group.bench_function("plain", |b| b.iter(|| run(y.as_mut_slice())));
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

/// Sums of all units side by side, sample after sample.
fn plain_by_unit(y: &mut [f32], rescale: bool) {
    let n = (y.len() / UNITS) as f32;
    let (mut mean, mut deviation, mut max) = ([0.0f32; UNITS], [0.0f32; UNITS], [0.0f32; UNITS]);
    for row in y.chunks_exact(UNITS) {
        mean.iter_mut().zip(row).for_each(|(mean, v)| *mean += v.abs() / n);
    }
    for row in y.chunks_exact(UNITS) {
        let sums = deviation.iter_mut().zip(mean);
        sums.zip(row).for_each(|((sum, mean), v)| *sum += (v.abs() - mean) * (v.abs() - mean) / n);
    }
    for row in y.chunks_exact_mut(UNITS) {
        for (unit, v) in row.iter_mut().enumerate() {
            *v = ((v.abs() - mean[unit]) / deviation[unit].sqrt()).max(0.0);
            max[unit] = max[unit].max(*v);
        }
    }
    if rescale {
        let rows = y.chunks_exact_mut(UNITS);
        rows.for_each(|row| row.iter_mut().zip(max).for_each(|(v, max)| *v /= max));
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
    let plain = |gradient: &mut Matrix| {
        let mut sum = 0.0;
        for (b, &label) in labels.iter().enumerate() {
            let (row, out) = (logits.row(b), gradient.row_mut(b));
            let max = row.iter().copied().fold(f32::MIN, f32::max);
            out.iter_mut().zip(row).for_each(|(out, logit)| *out = (logit - max).exp());
            let total: f32 = out.iter().sum();
            out.iter_mut().for_each(|out| *out /= total);
            out[usize::from(label)] -= 1.0;
            sum += total.ln() + max - row[usize::from(label)];
        }
        f64::from(sum) / labels.len() as f64
    };
    let mean = plain(&mut gradient);
    assert!((mean - exact).abs() < 1e-5, "plain: {mean}, expected {exact}");
    assert_close("plain", gradient.as_slice(), &slopes, 1e-6);
    group.bench_function("with gradient/plain", |b| b.iter(|| plain(&mut gradient)));
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

fn softmax(c: &mut Criterion) {
    let mut group = group(c, "loss/softmax");
    group.throughput(Throughput::Elements((BATCH * CLASSES) as u64));
    let start = uniform(BATCH, CLASSES, -1.0, 1.0, "5");
    let mut y = start.clone();
    let run = || start.view().iter_rows().flat_map(loss::reference::softmax).collect::<Vec<f64>>();
    group.bench_function("reference", |b| b.iter(run));
    let exact: Vec<f32> = run().into_iter().map(|v| v as f32).collect();
    let plain = |y: &mut Matrix| {
        y.as_mut_slice().copy_from_slice(start.as_slice());
        for row in y.as_mut_slice().chunks_exact_mut(CLASSES) {
            let max = row.iter().copied().fold(f32::MIN, f32::max);
            row.iter_mut().for_each(|v| *v = (*v - max).exp());
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|v| *v /= sum);
        }
    };
    plain(&mut y);
    assert_close("plain", y.as_slice(), &exact, 1e-6);
    group.bench_function("plain", |b| b.iter(|| plain(&mut y)));
    for (name, mut context) in contexts() {
        let mut run = |y: &mut Matrix| {
            y.as_mut_slice().copy_from_slice(start.as_slice());
            loss::softmax(&mut context, y.view_mut());
        };
        run(&mut y);
        assert_close(&name, y.as_slice(), &exact, 1e-6);
        group.bench_function(&name, |b| b.iter(|| run(&mut y)));
    }
    group.finish();
}

/// The share of samples that are classified rightly.
fn accuracy(c: &mut Criterion) {
    let mut group = group(c, "loss/accuracy");
    group.throughput(Throughput::Elements((BATCH * CLASSES) as u64));
    let logits = uniform(BATCH, CLASSES, -1.0, 1.0, "6");
    let labels: Vec<u8> = (0..BATCH).map(|b| (b % CLASSES) as u8).collect();
    let rows = || logits.view().iter_rows().zip(&labels);
    let share = |right: usize| right as f64 / BATCH as f64;
    let exact = || share(rows().filter(|(row, label)| loss::reference::is_right(row, usize::from(**label))).count());
    let plain = || {
        let largest =
            |row: &[f32]| (1..CLASSES).fold(0, |best, class| if row[class] > row[best] { class } else { best });
        share(rows().filter(|(row, label)| largest(row) == usize::from(**label)).count())
    };
    let ours = || loss::accuracy(logits.view(), &labels);
    assert!((0.05..0.15).contains(&exact()), "{}", exact());
    assert_eq!((plain(), ours()), (exact(), exact()));
    group.bench_function("reference", |b| b.iter(exact));
    group.bench_function("plain", |b| b.iter(plain));
    group.bench_function("ours", |b| b.iter(ours));
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
    dropout(&mut c);
    winners(&mut c);
    zscores(&mut c);
    softmax(&mut c);
    losses(&mut c);
    accuracy(&mut c);
    c.final_summary();
}
