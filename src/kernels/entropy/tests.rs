use proptest::prelude::*;

use super::reference::Place;
use super::*;
use crate::random::Stream;
use crate::{Isa, Matrix, Threads};

fn context(isa: Isa, threads: usize) -> Context {
    Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap())
}

fn row(values: &[f32]) -> MatRef<'_> {
    MatRef::new(values, 1, values.len()).unwrap()
}

fn uniform(len: usize, low: f32, high: f32) -> Vec<f32> {
    let mut values = vec![0.0; len];
    Stream::new(7, "entropy").uniform(low, high, &mut values);
    values
}

/// The counts of all three strategies on every set, which must be those of the reference.
fn check(values: &[f32], range: Range, bins: usize) {
    let expected = reference::counts(values, range, bins);
    for isa in Isa::available() {
        let mut context = context(isa, 1);
        let mut counts = vec![0; bins + APART];
        single::add(&mut context, row(values), range, &mut counts);
        assert_eq!(counts, expected, "{isa}, single, {range:?}, {bins} bins");
        if bins <= pairs::MAX_BINS {
            counts.fill(0);
            pairs::add(&mut context, row(values), range, &mut counts);
            assert_eq!(counts, expected, "{isa}, pairs, {range:?}, {bins} bins");
        }
        let mut column = [Histogram::new(range, bins).unwrap()];
        add_columns(&mut context, MatRef::new(values, values.len(), 1).unwrap(), &mut column);
        assert_eq!(column[0].counts, expected, "{isa}, column, {range:?}, {bins} bins");
    }
}

/// The next `f32` up or down, by `steps`.
fn step(x: f32, steps: i32) -> f32 {
    (0..steps.abs()).fold(x, |x, _| if steps > 0 { x.next_up() } else { x.next_down() })
}

const RANGES: [(f32, f32); 22] = [
    (0.0, 1.0),
    (-0.0, 1.0),
    (-1.0, 1.0),
    (0.0, 3.712_345_6),
    (-0.1, 0.2),
    (1e6, 1e6 + 1.0),
    (16_777_216.0, 16_777_226.0),
    (-1e-3, 1e7),
    (0.1, 0.1),
    (0.0, 0.0),
    (-2.5, -2.5),
    (0.0, f32::MAX),
    (f32::MIN, f32::MAX),
    (f32::MIN, 0.0),
    (0.0, 1e-45),
    (0.0, 1e-42),
    (-1e-40, 1e-39),
    (0.0, f32::MIN_POSITIVE),
    (1.0, 1.000_000_1),
    (3.0, 3.000_01),
    (-1e-30, 1e-30),
    (f32::MIN_POSITIVE, 1e-36),
];

/// Around every edge of a range's bins, its ends and everything special.
fn around_edges(range: Range, bins: usize) -> Vec<f32> {
    let mut values = vec![
        0.0,
        -0.0,
        f32::NAN,
        -f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN,
        1e-45,
        -1e-45,
        f32::MIN_POSITIVE,
        1.0,
        -1.0,
    ];
    let (low, width) = (f64::from(range.low()), f64::from(range.high()) - f64::from(range.low()));
    for edge in 0..=bins {
        let near = (low + width * edge as f64 / bins as f64) as f32;
        values.extend((-3..=3).map(|steps| step(near, steps)));
    }
    values
}

#[test]
fn every_value_around_every_edge_falls_in_the_reference_bin() {
    for (low, high) in RANGES {
        let range = Range::new(low, high).unwrap();
        for bins in [1, 2, 3, 7, 10, 100, 127, 130, 131, 1000] {
            let values = around_edges(range, bins);
            check(&values, range, bins);
            // Apart from its neighbours too, so that each is placed alone.
            if bins == 10 {
                for &value in &values {
                    check(&[value], range, bins);
                }
            }
        }
    }
}

#[test]
fn the_most_bins_work() {
    let range = Range::new(-1.0, 2.0).unwrap();
    let mut values = uniform(20_000, -1.1, 2.1);
    values.extend([range.low(), range.high(), f32::NAN]);
    check(&values, range, MAX_BINS);
    check(&values, range, 5000);
}

#[test]
fn trusted_bins_are_the_reference_bins_for_every_float_of_an_interval() {
    // All floats of some binades: about 17 million values with every pattern of low bits.
    let values: Vec<f32> = (0x3f00_0000..0x4000_0000u32).step_by(3).map(f32::from_bits).collect();
    for (low, high, bins) in [(0.5, 2.0, 100), (0.0, 1.7, 100), (-7.0, 2.5, 130)] {
        let range = Range::new(low, high).unwrap();
        let mut histogram = Histogram::new(range, bins).unwrap();
        histogram.add(&mut Context::new().unwrap(), row(&values));
        assert_eq!(histogram.counts, reference::counts(&values, range, bins));
    }
}

#[test]
fn places_are_monotone_and_the_ends_belong_to_the_first_and_last_bin() {
    for (low, high) in RANGES {
        let range = Range::new(low, high).unwrap();
        for bins in [1, 3, 100, 999] {
            let mut values = around_edges(range, bins);
            values.retain(|value| range.low() <= *value && *value <= range.high());
            values.sort_by(f32::total_cmp);
            let places: Vec<usize> = values
                .iter()
                .map(|&value| match reference::place(value, range, bins) {
                    Place::Bin(bin) => bin,
                    other => panic!("{value} in {range:?} is {other:?}"),
                })
                .collect();
            assert!(places.is_sorted(), "{range:?}");
            let last = if range.low() == range.high() { 0 } else { bins - 1 };
            assert_eq!((places[0], places[places.len() - 1]), (0, last), "{range:?}, {bins} bins");
        }
    }
}

#[test]
fn lengths_around_every_block_are_counted_once() {
    let values = uniform(2 * 131_040 + 40, -0.1, 1.1);
    let range = Range::new(0.0, 1.0).unwrap();
    for len in [0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 131_039, 131_040, 131_041, 131_073, values.len()] {
        let expected = reference::counts(&values[..len], range, 100);
        for isa in Isa::available() {
            for add in [single::add, pairs::add] {
                let mut counts = vec![0; 103];
                add(&mut context(isa, 1), row(&values[..len]), range, &mut counts);
                assert_eq!(counts, expected, "{isa} {len}");
            }
        }
    }
}

#[test]
fn counters_do_not_overflow() {
    let range = Range::new(0.0, 1.0).unwrap();
    // The same pair, the same bin, and pairs in turn, each far beyond 2^16 times.
    let same = vec![0.5; 5_000_000];
    let turns: Vec<f32> = (0..5_000_000).map(|i| if i / 16 % 2 == 0 { 0.25 } else { 0.75 }).collect();
    for values in [same, turns] {
        let mut histogram = Histogram::new(range, 100).unwrap();
        histogram.add(&mut context(Isa::best(), 1), row(&values));
        assert_eq!(histogram.counts, reference::counts(&values, range, 100));
        let mut columns = [histogram.clone()];
        columns[0].counts.fill(0);
        add_columns(&mut context(Isa::best(), 1), MatRef::new(&values, values.len(), 1).unwrap(), &mut columns);
        assert_eq!(columns[0], histogram);
    }
}

#[test]
fn strided_views_threads_and_sets_do_not_show() {
    for (rows, cols) in [(1, 1), (3, 5), (17, 16), (100, 17), (20_000, 50), (9000, 7), (300, 400), (2, 70_000)] {
        let stride = cols + 3;
        let mut data = uniform(rows * stride, -1.0, 1.0);
        for at in (0..data.len()).step_by(7) {
            data[at] = 0.0; // Many in one bin.
        }
        let x = MatRef::with_stride(&data[..(rows - 1) * stride + cols], rows, cols, stride).unwrap();
        let dense = x.to_owned();
        let all = reference::range(dense.as_slice());
        let range_or_zero = all.unwrap_or_default();
        let whole = reference::counts(dense.as_slice(), range_or_zero, 100);
        let by_column: Vec<_> = (0..cols)
            .map(|col| {
                let column: Vec<f32> = dense.view().iter_rows().map(|row| row[col]).collect();
                let range = reference::range(&column).unwrap_or_default();
                (range, reference::counts(&column, range, 100))
            })
            .collect();
        for (isa, threads) in
            Isa::available().map(|isa| (isa, 1)).chain([(Isa::best(), 2), (Isa::best(), 3), (Isa::best(), 7)])
        {
            let mut context = context(isa, threads);
            for view in [x, dense.view()] {
                let name = format!("{isa}, {threads} threads, {rows} x {cols}, stride {}", view.stride());
                let histogram = Histogram::of(&mut context, view, 100).unwrap();
                assert_eq!((histogram.range, &histogram.counts), (range_or_zero, &whole), "{name}");
                let columns = Histogram::of_columns(&mut context, view, 100).unwrap();
                let columns: Vec<_> = columns.into_iter().map(|column| (column.range, column.counts)).collect();
                assert!(columns == by_column, "{name}");
            }
        }
    }
}

#[test]
fn columns_with_many_bins_are_counted_like_each_by_itself() {
    let x = Matrix::from_slice(&uniform(700 * 9, -1.0, 1.0), 700, 9).unwrap();
    for bins in [181, 4000, 20_000, MAX_BINS] {
        let mut context = Context::new().unwrap();
        let columns = Histogram::of_columns(&mut context, x.view(), bins).unwrap();
        for (col, histogram) in columns.into_iter().enumerate() {
            assert_eq!(histogram, Histogram::of(&mut context, x.view().columns(col..col + 1), bins).unwrap());
        }
    }
}

#[test]
fn nothing_has_no_range_and_no_entropy() {
    let mut context = Context::new().unwrap();
    for (rows, cols) in [(0, 0), (0, 3), (3, 0)] {
        let x = Matrix::zeros(rows, cols);
        assert_eq!(range(&mut context, x.view()), None);
        assert_eq!(column_ranges(&mut context, x.view()), vec![None; cols]);
        let histogram = Histogram::of(&mut context, x.view(), 10).unwrap();
        assert_eq!((histogram.total(), histogram.entropy_bits(), histogram.range()), (0, 0.0, Range::default()));
        assert_eq!(Histogram::of_columns(&mut context, x.view(), 10).unwrap(), vec![histogram; cols]);
    }
}

#[test]
fn ranges_pass_over_what_is_not_finite() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    type Ends = Option<(f32, f32)>;
    let cases: [(&[f32], Ends); 9] = [
        (&[nan, nan], None),
        (&[inf, nan, -inf], None),
        (&[inf], None),
        (&[-inf, -inf], None),
        (&[inf, 2.0, nan, -1.0], Some((-1.0, 2.0))),
        (&[-inf, 5.0], Some((5.0, 5.0))),
        (&[-0.0], Some((0.0, 0.0))),
        (&[f32::MAX, f32::MIN], Some((f32::MIN, f32::MAX))),
        (&[1e-45, -1e-45], Some((-1e-45, 1e-45))),
    ];
    for (values, expected) in cases {
        let expected = expected.map(|(low, high)| Range::new(low, high).unwrap());
        assert_eq!(reference::range(values), expected);
        for isa in Isa::available() {
            for repeat in [1, 9, 100] {
                let values = values.repeat(repeat);
                let mut context = context(isa, 1);
                assert_eq!(range(&mut context, row(&values)), expected, "{isa} {values:?}");
                let column = MatRef::new(&values, values.len(), 1).unwrap();
                assert_eq!(column_ranges(&mut context, column), [expected], "{isa} {values:?}");
                // Two columns of which one is harmless, in a wide matrix.
                let wide = Matrix::from_fn(values.len(), 19, |r, c| if c == 17 { values[r] } else { c as f32 });
                let ranges = column_ranges(&mut context, wide.view());
                assert_eq!(ranges[17], expected, "{isa} {values:?}");
                assert_eq!(ranges[18], Some(Range::new(18.0, 18.0).unwrap()));
            }
        }
    }
}

#[test]
fn ranges_of_many_columns_are_those_of_each() {
    let (rows, cols) = (300, 4096 + 70);
    let values = uniform(rows * cols, -3.0, 3.0);
    let mut x = Matrix::from_slice(&values, rows, cols).unwrap();
    x[(290, 4100)] = f32::NEG_INFINITY;
    x[(0, 4095)] = f32::NAN;
    let expected: Vec<_> =
        (0..cols).map(|col| reference::range(&(0..rows).map(|row| x[(row, col)]).collect::<Vec<_>>())).collect();
    for threads in [1, 3] {
        assert_eq!(column_ranges(&mut context(Isa::best(), threads), x.view()), expected);
    }
    // What is noted for each block of rows is small beside the values.
    for (rows, cols) in
        [(1000usize, 300_000), (60_000, 3000), (100_000, 4096), (1 << 20, 5000), (70_000, 100_001), (1, 1)]
    {
        let (width, step) = extent::item_of_columns(cols);
        let noted = 2 * rows.div_ceil(step) * cols;
        assert!(noted <= rows * cols / 32 + 2 * cols, "{rows} x {cols}: {noted}");
        assert!(width * step >= 1 << 18 && width * step <= (1 << 18) + cols.max(1 << 12) * 64, "{rows} x {cols}");
    }
}

#[test]
fn counts_that_went_elsewhere_come_back_and_merge() {
    let values = [&uniform(3000, -0.2, 1.2)[..], &[f32::NAN, f32::INFINITY]].concat();
    let mut context = Context::new().unwrap();
    let mut whole = Histogram::new(Range::new(0.0, 1.0).unwrap(), 7).unwrap();
    let mut parts = [whole.clone(), whole.clone()];
    whole.add(&mut context, row(&values));
    for (part, values) in parts.iter_mut().zip(values.chunks(2000)) {
        part.add(&mut context, row(values));
    }
    let again = |h: &Histogram| Histogram::from_counts(h.range(), h.counts(), [h.below(), h.above(), h.nan()]).unwrap();
    let mut merged = again(&parts[0]);
    merged.merge(&again(&parts[1]));
    assert_eq!(merged, whole);
    assert!(whole.below() > 0 && whole.above() > 0 && whole.nan() == 1);
}

#[test]
fn counts_that_no_histogram_has_are_refused() {
    let refused = |counts: &[u64], apart| {
        let error = Histogram::from_counts(Range::default(), counts, apart).unwrap_err();
        assert!(matches!(error, Error::Setting { .. }));
        error.to_string()
    };
    assert_eq!(refused(&[], [0; 3]), "histogram bins: expected 1 to 32768, found 0");
    assert_eq!(refused(&vec![0; MAX_BINS + 1], [0; 3]), "histogram bins: expected 1 to 32768, found 32769");
    let most = 1 << 53;
    let said = "histogram counts: expected up to 9007199254740992 values, found";
    assert_eq!(refused(&[most, 1], [0; 3]), format!("{said} 9007199254740993"));
    assert_eq!(refused(&[1], [0, 0, most]), format!("{said} 9007199254740993"));
    assert_eq!(refused(&[u64::MAX], [1, 0, 0]), format!("{said} more than 64 bits hold"));
    assert_eq!(Histogram::from_counts(Range::default(), &[most], [0; 3]).unwrap().entropy_bits(), 0.0);
}

#[test]
fn what_falls_apart_is_counted_apart() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let values = [nan, -0.1, 0.0, 0.5, 1.0, 1.1, inf, -inf, nan, nan, 7.0, nan];
    let mut histogram = Histogram::new(Range::new(0.0, 1.0).unwrap(), 4).unwrap();
    histogram.add(&mut Context::new().unwrap(), row(&values));
    assert_eq!(histogram.counts(), [1, 0, 1, 1]);
    assert_eq!((histogram.below(), histogram.above(), histogram.nan(), histogram.total()), (2, 3, 4, 3));
    assert_eq!(histogram.entropy_bits(), histogram.entropy_nats() / 2f64.ln());
}

#[test]
fn batches_and_threads_merge_to_the_whole() {
    let values = uniform(200_000, 0.0, 2.0);
    let mut context = Context::new().unwrap();
    let whole = Histogram::of(&mut context, row(&values), 100).unwrap();
    let empty = Histogram::new(whole.range(), 100).unwrap();
    let (mut added, mut merged) = (empty.clone(), empty.clone());
    for batch in values.chunks(70_001) {
        added.add(&mut context, row(batch));
        let mut part = empty.clone();
        part.add(&mut context, row(batch));
        merged.merge(&part);
    }
    assert_eq!(added, whole);
    assert_eq!(merged, whole);
}

#[test]
#[should_panic(expected = "Histogram::merge: 10 bins over 0 to 1 and 11 bins over 0 to 1")]
fn histograms_of_other_numbers_of_bins_do_not_merge() {
    let [mut histogram, other] = [10, 11].map(|bins| Histogram::new(Range::new(0.0, 1.0).unwrap(), bins).unwrap());
    histogram.merge(&other);
}

#[test]
#[should_panic(expected = "Histogram::merge: 10 bins over 0 to 1 and 10 bins over 0 to 1.5")]
fn histograms_of_other_ranges_do_not_merge() {
    let [mut histogram, other] = [1.0, 1.5].map(|high| Histogram::new(Range::new(0.0, high).unwrap(), 10).unwrap());
    histogram.merge(&other);
}

#[test]
fn ranges_and_bins_out_of_bounds_are_refused() {
    for (low, high) in [(1.0, 0.0), (f32::NAN, 1.0), (0.0, f32::NAN), (0.0, f32::INFINITY), (f32::NEG_INFINITY, 0.0)] {
        assert!(matches!(Range::new(low, high), Err(Error::Setting { .. })), "{low} to {high}");
    }
    let mut context = Context::new().unwrap();
    for bins in [0, MAX_BINS + 1, usize::MAX] {
        assert!(matches!(Histogram::new(Range::default(), bins), Err(Error::Setting { .. })));
        assert!(matches!(Histogram::of(&mut context, row(&[1.0]), bins), Err(Error::Setting { .. })));
        assert!(matches!(Histogram::of_columns(&mut context, row(&[1.0]), bins), Err(Error::Setting { .. })));
    }
}

#[test]
#[should_panic(expected = "add_columns: 1 histograms for 2 columns")]
fn a_histogram_for_every_column_is_expected() {
    let mut histograms = [Histogram::new(Range::default(), 3).unwrap()];
    add_columns(&mut Context::new().unwrap(), Matrix::zeros(3, 2).view(), &mut histograms);
}

#[test]
#[should_panic(expected = "add_columns: histograms of 3 and 4 bins")]
fn histograms_of_columns_share_their_number_of_bins() {
    let mut histograms = [3, 4].map(|bins| Histogram::new(Range::default(), bins).unwrap());
    add_columns(&mut Context::new().unwrap(), Matrix::zeros(3, 2).view(), &mut histograms);
}

#[test]
fn entropies_are_those_of_known_distributions() {
    let of = |counts: &[u64]| {
        let mut all = counts.to_vec();
        all.extend([7, 8, 9]); // What is apart has no part in it.
        let histogram = Histogram { range: Range::default(), counts: all };
        // Each is within (bins + 3) 2^-53 of its value and 1.5 2^-53 more, and logarithms within an ULP of theirs.
        let bound = (counts.len() + 5) as f64 * f64::EPSILON * histogram.entropy_bits() + 2.0 * f64::EPSILON;
        assert!((histogram.entropy_nats() - histogram.entropy_bits() * 2f64.ln()).abs() <= bound);
        assert!((histogram.entropy_bits() - reference::entropy_bits(counts)).abs() <= bound);
        histogram.entropy_bits()
    };
    assert_eq!(of(&[5]).to_bits(), 0f64.to_bits());
    assert_eq!(of(&[0, 5, 0]).to_bits(), 0f64.to_bits());
    assert_eq!(of(&[0, 0]), 0.0);
    assert_eq!(of(&[3, 3]), 1.0);
    assert_eq!(of(&[1; 64]), 6.0);
    assert_eq!(of(&[2, 1, 1]), 1.5);
    // scipy.stats.entropy([5, 1, 0, 94], base=2)
    assert!((of(&[5, 1, 0, 94]) - 0.366_446_264_453_377_5).abs() < 1e-15);
    // By decimal numbers of 60 digits.
    let (rare, exact) = (of(&[4_799_999, 1]), 4.924_437_055_365_721e-6);
    assert!((rare - exact).abs() <= 5.0 * 0.5 * f64::EPSILON * exact + 1.5 * 0.5 * f64::EPSILON, "{rare:e}");
    // Counts beyond what f32 holds.
    assert_eq!(of(&[1 << 40, 1 << 40]), 1.0);
}

/// Any bits, or numbers of similar size.
fn any_float() -> impl Strategy<Value = f32> {
    prop_oneof![
        any::<u32>().prop_map(f32::from_bits),
        -2.0f32..2.0,
        Just(0.0),
        (-20i32..20).prop_map(|i| i as f32 / 8.0)
    ]
}

proptest! {
    #[test]
    fn any_values_over_any_range_fall_in_the_reference_bins(
        values in prop::collection::vec(any_float(), 0..300),
        ends in (any_float(), any_float()),
        bins in prop_oneof![1usize..150, 1usize..3000],
    ) {
        let (low, high) = if ends.0 <= ends.1 { ends } else { (ends.1, ends.0) };
        if let Ok(range) = Range::new(low, high) {
            check(&values, range, bins);
        }
        let mut context = Context::new().unwrap();
        let found = range(&mut context, row(&values));
        prop_assert_eq!(found, reference::range(&values));
        check(&values, found.unwrap_or_default(), bins);
    }
}
