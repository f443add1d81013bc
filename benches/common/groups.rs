//! How long is measured, and the font of criterion's charts.

use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use plotters::style::{FontStyle, register_font};

/// A group with few samples and short times: the suites are many, and medians of ten are what is quoted.
pub(crate) fn group<'c>(criterion: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    // The command's plotters, which is criterion's as well, takes no font from the system.
    register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular()).unwrap_or_else(|_| panic!("no font"));
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(800));
    group
}
