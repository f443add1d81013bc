//! What the suites share: inputs, contexts, and the comparison that comes before any timing.
#![allow(dead_code, unreachable_pub, reason = "each suite uses its part")]

use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use neuropil::random::Stream;
use neuropil::{Context, Isa, Matrix, Threads};

/// Random values in `[low, high)`, none of them zero in practice.
pub fn uniform(rows: usize, cols: usize, low: f32, high: f32, purpose: &str) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols);
    Stream::new(0, purpose).uniform(low, high, matrix.as_mut_slice());
    matrix
}

/// Every instruction set of this CPU on one thread, and the best also on two; each with its label.
pub fn contexts() -> Vec<(String, Context)> {
    let mut contexts: Vec<(String, Context)> =
        Isa::available().map(|isa| (isa.to_string(), Context::on(isa).expect("an available set"))).collect();
    let best = Isa::best();
    let two = Context::on(best).expect("an available set").with_threads(Threads::new(2).expect("two threads"));
    contexts.push((format!("{best}, 2 threads"), two));
    contexts
}

/// Panics unless the answers agree to `tolerance` times the largest of them.
#[track_caller]
pub fn assert_close(name: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{name}");
    let largest = want.iter().fold(0.0f32, |largest, v| largest.max(v.abs()));
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= tolerance * largest, "{name} at {at}: {got} and {want}");
    }
}

/// A group with few samples and short times: the suites are many, and medians of ten are what is quoted.
pub fn group<'c>(criterion: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(800));
    group
}
