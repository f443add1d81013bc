//! Histograms and entropies: ten million values in one, 60,000 samples of 50 units in one each, and the activities of a unit of the hierarchy.

mod common {
    pub(crate) mod contexts;
    pub(crate) mod groups;
    pub(crate) mod inputs;
}

use common::{contexts::contexts, groups::group, inputs::uniform};
use criterion::{BenchmarkId, Criterion, Throughput};
use neuropil::kernels::entropy::{self, Histogram, Range, reference};
use neuropil::{Context, MatRef, Matrix};

const COUNT: usize = 10_000_000;
const BINS: usize = 100;

/// Values as a ReLU leaves them: half of them zero, the rest falling off as a sum of three uniform ones.
fn rectified(rows: usize, cols: usize) -> Matrix {
    let mut sum = uniform(rows, cols, -1.0, 1.0, "1");
    for purpose in ["2", "3"] {
        let more = uniform(rows, cols, -1.0, 1.0, purpose);
        sum.as_mut_slice().iter_mut().zip(more.as_slice()).for_each(|(sum, more)| *sum += more);
    }
    sum.as_mut_slice().iter_mut().for_each(|value| *value = value.max(0.0));
    sum
}

/// What one writes without a library: a scale, a truncation, a counter.
fn plain(values: &[f32], high: f32) -> [u64; BINS] {
    let (scale, mut counts) = (BINS as f32 / high, [0; BINS]);
    for &value in values {
        counts[((value * scale) as usize).min(BINS - 1)] += 1;
    }
    counts
}

fn whole(c: &mut Criterion) {
    for (name, x) in [("uniform", uniform(1, COUNT, 0.0, 1.0, "x")), ("rectified", rectified(1, COUNT))] {
        let mut group = group(c, &format!("entropy/histogram, {name}"));
        group.throughput(Throughput::Elements(COUNT as u64));
        let range = reference::range(x.as_slice()).expect("values");
        let exact = reference::counts(x.as_slice(), range, BINS);
        group.bench_function("reference", |b| b.iter(|| reference::counts(x.as_slice(), range, BINS)));
        // In f32 a value may fall beside its bin: as many are missing there as are too many next to it.
        let moved =
            plain(x.as_slice(), range.high()).iter().zip(&exact).map(|(got, want)| got.abs_diff(*want)).sum::<u64>();
        assert!(moved < COUNT as u64 / 1000, "plain: {moved}");
        group.bench_function("plain", |b| b.iter(|| plain(x.as_slice(), range.high())));
        for (set, mut context) in contexts() {
            group.bench_function(&set, |b| {
                b.iter(|| {
                    let mut histogram = Histogram::new(range, BINS).expect("bins");
                    histogram.add(&mut context, x.view());
                    assert_eq!(histogram.counts(), &exact[..BINS], "{set}");
                    histogram
                });
            });
            group.bench_function(BenchmarkId::new("range", &set), |b| {
                b.iter(|| assert_eq!(entropy::range(&mut context, x.view()), Some(range)));
            });
        }
        group.finish();
    }
}

fn bins(c: &mut Criterion) {
    let mut group = group(c, "entropy/bins, a million values");
    let (x, range) = (uniform(1, 1_000_000, 0.0, 1.0, "x"), Range::new(0.0, 1.0).expect("a range"));
    group.throughput(Throughput::Elements(1_000_000));
    let mut context = Context::new().expect("an instruction set");
    for bins in [2, 10, 100, 180, 181, 1000, 10_000] {
        let exact = reference::counts(x.as_slice(), range, bins);
        group.bench_function(format!("{bins}"), |b| {
            b.iter(|| {
                let mut histogram = Histogram::new(range, bins).expect("bins");
                histogram.add(&mut context, x.view());
                assert_eq!(histogram.counts(), &exact[..bins]);
            });
        });
    }
    group.finish();
}

fn columns(c: &mut Criterion) {
    for (rows, cols) in [(60_000, 50), (5000, 2000), (48_000, 3)] {
        let mut group = group(c, &format!("entropy/columns of {rows} x {cols}"));
        group.throughput(Throughput::Elements((rows * cols) as u64));
        let x = rectified(rows, cols);
        let exact = of_columns(x.view());
        group.bench_function("reference", |b| b.iter(|| of_columns(x.view())));
        let close = |bits: &[f64]| bits.iter().zip(&exact).all(|(got, want)| (got - want).abs() < 1e-12);
        let ranges: Vec<Option<Range>> = (0..cols).map(|col| reference::range(&column(x.view(), col))).collect();
        // As above.
        let near = |bits: &[f64]| bits.iter().zip(&exact).all(|(got, want)| (got - want).abs() < 1e-2);
        group.bench_function("plain", |b| b.iter(|| assert!(near(&plain_columns(&x)))));
        for (set, mut context) in contexts() {
            group.bench_function(&set, |b| {
                b.iter(|| {
                    let histograms = Histogram::of_columns(&mut context, x.view(), BINS).expect("bins");
                    let bits: Vec<f64> = histograms.iter().map(Histogram::entropy_bits).collect();
                    assert!(close(&bits), "{set}");
                });
            });
            // One batch in histograms whose ranges are known.
            let mut histograms: Vec<Histogram> =
                ranges.iter().map(|range| Histogram::new(range.unwrap_or_default(), BINS).expect("bins")).collect();
            entropy::add_columns(&mut context, x.view(), &mut histograms);
            let bits: Vec<f64> = histograms.iter().map(Histogram::entropy_bits).collect();
            assert!(close(&bits), "add_columns, {set}");
            group.bench_function(BenchmarkId::new("add_columns", &set), |b| {
                b.iter(|| entropy::add_columns(&mut context, x.view(), &mut histograms));
            });
            group.bench_function(BenchmarkId::new("ranges", &set), |b| {
                b.iter(|| assert_eq!(entropy::column_ranges(&mut context, x.view()), ranges, "{set}"));
            });
        }
        group.finish();
    }
}

fn column(x: MatRef<'_>, col: usize) -> Vec<f32> {
    x.iter_rows().map(|row| row[col]).collect()
}

fn of_columns(x: MatRef<'_>) -> Vec<f64> {
    (0..x.cols()).map(|col| of_values(&column(x, col))).collect()
}

fn of_values(values: &[f32]) -> f64 {
    let range = reference::range(values).unwrap_or_default();
    reference::entropy_bits(&reference::counts(values, range, BINS)[..BINS])
}

/// Largest values and counters of all columns side by side, row after row; the least value is zero.
fn plain_columns(x: &Matrix) -> Vec<f64> {
    let (mut high, mut counts) = (vec![0.0f32; x.cols()], vec![[0; BINS]; x.cols()]);
    for row in x.view().iter_rows() {
        high.iter_mut().zip(row).for_each(|(high, value)| *high = high.max(*value));
    }
    for row in x.view().iter_rows() {
        for ((counts, value), high) in counts.iter_mut().zip(row).zip(&high) {
            counts[((value * (BINS as f32 / high)) as usize).min(BINS - 1)] += 1;
        }
    }
    counts.iter().map(|counts| reference::entropy_bits(counts)).collect()
}

/// The entropy of a hierarchy's unit: all activities of 100 hidden neurons, range included; and of one batch of it.
fn units(c: &mut Criterion) {
    let mut group = group(c, "entropy/of a unit");
    for rows in [48_000, 128] {
        let x = rectified(rows, 100);
        let exact = of_values(x.as_slice());
        let name = format!("{rows} x 100");
        group.bench_function(BenchmarkId::new(&name, "reference"), |b| b.iter(|| of_values(x.as_slice())));
        group.bench_function(BenchmarkId::new(&name, "plain"), |b| {
            b.iter(|| {
                let high = x.as_slice().iter().copied().fold(0.0, f32::max);
                let bits = reference::entropy_bits(&plain(x.as_slice(), high));
                assert!((bits - exact).abs() < 1e-2, "{bits} and {exact}");
            });
        });
        group.throughput(Throughput::Elements((rows * 100) as u64));
        for (set, mut context) in contexts() {
            group.bench_function(BenchmarkId::new(&name, &set), |b| {
                b.iter(|| {
                    let bits = Histogram::of(&mut context, x.view(), BINS).expect("bins").entropy_bits();
                    assert!((bits - exact).abs() < 1e-12, "{set}: {bits} and {exact}");
                });
            });
        }
    }
    group.finish();
}

fn main() {
    let mut c = Criterion::default().configure_from_args();
    whole(&mut c);
    bins(&mut c);
    columns(&mut c);
    units(&mut c);
    c.final_summary();
}
