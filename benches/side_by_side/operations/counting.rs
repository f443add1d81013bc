//! Histograms and entropies.

use neuropil::Context;
use neuropil::kernels::entropy::{Histogram, range};

use super::{Prepared, timed};
use crate::inputs::{Inputs, rectified, uniform};

pub fn histogram(inputs: &Inputs, mut context: Context) -> Prepared {
    let count = inputs.get("count", 10_000_000);
    let x = inputs.matrix("x", 1, count, || match inputs.get("relu", 0) {
        0 => uniform(1, count, 0.0, 1.0, "x"),
        _ => rectified(1, count),
    });
    let range = range(&mut context, x.view()).expect("values");
    let empty = Histogram::new(range, inputs.get("bins", 100)).expect("a number of bins");
    let counts = |histogram: &Histogram| histogram.counts().iter().map(|&count| count as f32).collect();
    timed(empty.clone(), counts, move |histogram| {
        histogram.clone_from(&empty);
        histogram.add(&mut context, x.view());
    })
}

/// The entropy of every column, its own range each.
pub fn entropy(inputs: &Inputs, mut context: Context) -> Prepared {
    let (rows, cols) = (inputs.get("rows", 60_000), inputs.get("cols", 50));
    let (x, bins) = (inputs.matrix("x", rows, cols, || rectified(rows, cols)), inputs.get("bins", 100));
    timed(Vec::new(), Vec::clone, move |entropies| {
        let columns = Histogram::of_columns(&mut context, x.view(), bins).expect("a number of bins");
        *entropies = columns.iter().map(|column| column.entropy_bits() as f32).collect();
    })
}
