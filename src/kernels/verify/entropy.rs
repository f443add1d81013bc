//! Checks of histograms: counts and ranges are exact, so no bound but zero.

use super::{Case, Check, Dim};
use crate::Matrix;
use crate::kernels::entropy::{self, Histogram, Range, add_columns, column_ranges, reference};
use crate::random::below;

const VALUES: &[Dim] = &[Dim { name: "values", min: 0, max: 100_000 }, Dim { name: "bins", min: 1, max: 300 }];
const COLUMNS: &[Dim] = &[
    Dim { name: "rows", min: 0, max: 3000 },
    Dim { name: "columns", min: 1, max: 200 },
    Dim { name: "bins", min: 1, max: 150 },
];

pub(super) const CHECKS: &[Check] = &[
    Check { kernel: "entropy::range", dims: VALUES, run: range },
    Check { kernel: "entropy::histogram", dims: VALUES, run: histogram },
    Check { kernel: "entropy::histogram_of_columns", dims: COLUMNS, run: columns },
];

/// Values as a ReLU leaves them, some upon edges of bins over [0, 1], and one in fifty special.
fn values(case: &mut Case<'_>, rows: usize, cols: usize, bins: usize) -> Matrix {
    const SPECIAL: [f32; 6] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 1e-45, -1.0];
    let mut matrix = case.matrix(rows, cols, -1.0, 1.0);
    let mut generator = case.stream().generator();
    for value in matrix.as_mut_slice() {
        match below(&mut generator, 50) {
            0 => *value = SPECIAL[below(&mut generator, 6) as usize],
            1..5 => *value = below(&mut generator, bins as u64 + 1) as f32 / bins as f32,
            _ => *value = value.max(0.0),
        }
    }
    matrix
}

/// Both ends of a range, as NaN if there is none.
fn ends(range: Option<Range>) -> [f32; 2] {
    range.map_or([f32::NAN; 2], |range| [range.low(), range.high()])
}

/// All of a histogram's counts: far below 2^24 here, so that `f32` holds them.
fn counts(histogram: &Histogram) -> Vec<f32> {
    let apart = [histogram.below(), histogram.above(), histogram.nan()];
    histogram.counts().iter().chain(&apart).map(|&count| count as f32).collect()
}

/// How far both entropies of a histogram are from the reference's, as shares of what they may be: the documented bound, of the
/// histogram's and of the reference's own sum, which is no more exact.
fn entropies(histogram: &Histogram) -> [f32; 2] {
    let exact = reference::entropy_bits(histogram.counts());
    let share = |found: f64, exact: f64| {
        let bound = f64::EPSILON / 2.0 * ((histogram.bins() as f64 + 3.0) * exact + 1.5);
        ((found - exact) / (2.0 * bound)) as f32
    };
    [share(histogram.entropy_bits(), exact), share(histogram.entropy_nats(), exact * std::f64::consts::LN_2)]
}

fn range(case: &mut Case<'_>) {
    let [len, bins] = case.sizes();
    let x = values(case, 1, len, bins);
    let exact = ends(reference::range(x.as_slice())).map(f64::from);
    case.compare(&exact, &[0.0; 2], |context| ends(entropy::range(context, x.view())).to_vec());
}

fn histogram(case: &mut Case<'_>) {
    let [len, bins] = case.sizes();
    let x = values(case, 1, len, bins);
    let found = reference::range(x.as_slice()).unwrap_or_default();
    for range in [found, Range::new(0.0, 1.0).expect("a range"), Range::new(-0.3, 0.7).expect("a range")] {
        let mut exact: Vec<f64> =
            reference::counts(x.as_slice(), range, bins).into_iter().map(|count| count as f64).collect();
        let mut bound = vec![0.0; exact.len()];
        exact.extend([0.0; 2]);
        bound.extend([1.0; 2]);
        case.compare(&exact, &bound, |context| {
            let mut histogram = Histogram::new(range, bins).expect("bins within bounds");
            histogram.add(context, x.view());
            [&counts(&histogram)[..], &entropies(&histogram)].concat()
        });
    }
}

fn columns(case: &mut Case<'_>) {
    let [rows, cols, bins] = case.sizes();
    let x = values(case, rows, cols, bins);
    let mut exact = Vec::new();
    for col in 0..cols {
        let column: Vec<f32> = x.view().iter_rows().map(|row| row[col]).collect();
        let range = reference::range(&column);
        exact.extend(ends(range).map(f64::from));
        let counts = reference::counts(&column, range.unwrap_or_default(), bins);
        exact.extend(counts.into_iter().map(|count| count as f64));
    }
    // Twice: by ranges and histograms, and both in one call.
    for col in 0..cols {
        let both = 2 + bins + 3;
        exact.extend_from_within(col * both + 2..(col + 1) * both);
    }
    let x = case.lay(&x);
    case.compare(&exact, &vec![0.0; exact.len()], |context| {
        let ranges = column_ranges(context, x.view());
        let of = |range: &Option<Range>| Histogram::new(range.unwrap_or_default(), bins).expect("bins within bounds");
        let mut histograms: Vec<Histogram> = ranges.iter().map(of).collect();
        add_columns(context, x.view(), &mut histograms);
        let both = ranges.iter().zip(&histograms);
        let at_once = Histogram::of_columns(context, x.view(), bins).expect("bins within bounds");
        let both = both.flat_map(|(range, histogram)| ends(*range).into_iter().chain(counts(histogram)));
        both.chain(at_once.iter().flat_map(counts)).collect()
    });
}
