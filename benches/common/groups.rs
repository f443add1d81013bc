//! How long is measured.

use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};

/// A group with few samples and short times: the suites are many, and medians of ten are what is quoted.
pub(crate) fn group<'c>(criterion: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(800));
    group
}
