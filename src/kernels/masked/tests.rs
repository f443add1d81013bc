use super::*;
use crate::Context;
use crate::error::Error;
use crate::kernels::dense::Write;
use crate::matrix::{MatMut, Matrix};
use crate::parallel::Threads;
use crate::random::Stream;
use crate::simd::Isa;

fn random(rows: usize, cols: usize, purpose: &str) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols);
    Stream::new(5, purpose).item((rows * 10_000 + cols) as u64).uniform(-1.0, 1.0, matrix.as_mut_slice());
    matrix
}

/// Every instruction set on one thread, and the best on several.
fn contexts() -> Vec<Context> {
    let several = [2, 3, 7].map(|n| Context::new().unwrap().with_threads(Threads::new(n).unwrap()));
    Isa::available().map(|isa| Context::on(isa).unwrap()).chain(several).collect()
}

fn bits(matrix: &Matrix) -> Vec<u32> {
    matrix.as_slice().iter().map(|v| v.to_bits()).collect()
}

const MAP: Map = Map { rows: 20, cols: 40 };

fn setting_names(result: crate::Result<ReceptiveField>) -> (String, String) {
    match result {
        Err(Error::Setting { name, found, .. }) => (name, found),
        other => panic!("expected an error of setting, got {other:?}"),
    }
}

#[test]
fn a_zero_sized_map_is_refused() {
    for map in [Map { rows: 0, cols: 4 }, Map { rows: 4, cols: 0 }] {
        assert_eq!(setting_names(ReceptiveField::new(map, &[Rectangle::new(0..1, 0..1)])).0, "map");
    }
}

#[test]
fn a_map_beyond_counting_is_refused() {
    for map in [Map { rows: usize::MAX, cols: 2 }, Map { rows: 1 << 16, cols: 1 << 15 }] {
        assert_eq!(setting_names(ReceptiveField::new(map, &[Rectangle::new(0..1, 0..1)])).0, "map");
    }
}

#[test]
fn a_field_of_no_rectangles_or_of_empty_ones_is_refused() {
    assert_eq!(setting_names(ReceptiveField::new(MAP, &[])).1, "none");
    #[allow(clippy::reversed_empty_ranges)]
    for empty in [Rectangle::new(3..3, 0..5), Rectangle::new(0..5, 7..7), Rectangle::new(5..2, 0..5)] {
        let found = setting_names(ReceptiveField::new(MAP, &[Rectangle::new(0..1, 0..1), empty.clone()]));
        assert_eq!(found, ("receptive field".to_owned(), empty.to_string()));
    }
}

#[test]
fn a_field_outside_the_map_is_refused() {
    for outside in [Rectangle::new(11..21, 0..5), Rectangle::new(0..5, 31..41), Rectangle::new(0..usize::MAX, 0..1)] {
        let found = setting_names(ReceptiveField::new(MAP, &[Rectangle::new(0..20, 0..40), outside.clone()]));
        assert_eq!(found, ("receptive field".to_owned(), outside.to_string()));
    }
}

#[test]
fn runs_list_the_columns_in_order_and_merge_where_they_touch() {
    let field = ReceptiveField::new(MAP, &[Rectangle::new(1..3, 5..8), Rectangle::new(1..3, 5..8)]).unwrap();
    assert_eq!(field.len(), 12, "a rectangle given twice counts twice");
    assert_eq!(field.columns().collect::<Vec<_>>(), [45, 46, 47, 85, 86, 87, 45, 46, 47, 85, 86, 87]);
    let rows = ReceptiveField::new(MAP, &[Rectangle::new(2..5, 0..40)]).unwrap();
    assert_eq!(rows.runs(), &[Run { start: 80, len: 120 }]);
}

/// Fields with runs below, at and above the lanes, one column, whole rows, overlaps.
fn fields() -> Vec<ReceptiveField> {
    [
        vec![Rectangle::new(0..10, 20..30), Rectangle::new(0..10, 20..30)],
        vec![Rectangle::new(19..20, 39..40)],
        vec![Rectangle::new(3..7, 0..40)],
        vec![Rectangle::new(0..20, 5..15), Rectangle::new(4..9, 10..26), Rectangle::new(4..6, 9..26)],
        vec![Rectangle::new(0..3, 0..15), Rectangle::new(0..3, 1..34), Rectangle::new(0..1, 7..39)],
    ]
    .iter()
    .map(|rectangles| ReceptiveField::new(MAP, rectangles).unwrap())
    .collect()
}

#[test]
fn gathering_copies_and_scattering_adds_exactly_the_field() {
    for field in fields() {
        for batch in [0, 1, 5, 65] {
            let mut x = random(batch, MAP.len(), "x");
            let inside: std::collections::HashSet<usize> = field.columns().collect();
            for b in 0..batch {
                for (col, value) in x.row_mut(b).iter_mut().enumerate() {
                    if !inside.contains(&col) {
                        *value = f32::NAN;
                    }
                }
            }
            let mut want = Matrix::zeros(batch, field.len());
            reference::gather(x.view(), &field, want.view_mut());
            let mut back = x.clone();
            reference::scatter_add(want.view(), &field, back.view_mut());
            for mut context in contexts() {
                // A stride and canaries behind every row.
                let stride = field.len() + 3;
                let mut out = vec![7.0; batch * stride];
                let view = MatMut::with_stride(&mut out, batch, field.len(), stride).unwrap();
                gather(&mut context, x.view(), &field, view);
                for b in 0..batch {
                    assert_eq!(&out[b * stride..b * stride + field.len()], want.row(b));
                    assert_eq!(out[b * stride + field.len()..(b + 1) * stride], [7.0; 3]);
                }
                let mut got = x.clone();
                scatter_add(&mut context, want.view(), &field, got.view_mut());
                assert_eq!(bits(&got), bits(&back), "{context:?}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "gather: the maps are 2 x 799, the field has 1 of 20 x 40 values, what is gathered is 2 x 1")]
fn gather_names_disagreeing_shapes() {
    let field = ReceptiveField::new(MAP, &[Rectangle::new(0..1, 0..1)]).unwrap();
    gather(&mut Context::new().unwrap(), Matrix::zeros(2, 799).view(), &field, Matrix::zeros(2, 1).view_mut());
}

fn length_of(result: crate::Result<Pattern>) -> (usize, usize) {
    match result {
        Err(Error::Length { expected, found, .. }) => (expected, found),
        other => panic!("expected an error of length, got {other:?}"),
    }
}

fn message(result: crate::Result<Pattern>) -> String {
    result.expect_err("a malformed pattern").to_string()
}

#[test]
fn a_pattern_with_too_few_or_too_many_offsets_is_refused() {
    assert_eq!(length_of(Pattern::new(2, 3, vec![0, 1], vec![0])), (3, 2));
    assert_eq!(length_of(Pattern::new(2, 3, vec![0, 1, 1, 1], vec![0])), (3, 4));
    assert_eq!(length_of(Pattern::new(0, 3, vec![], vec![])), (1, 0));
}

#[test]
fn a_pattern_whose_first_offset_is_not_zero_is_refused() {
    assert_eq!(message(Pattern::new(1, 3, vec![1, 1], vec![0])), "pattern, offset 0: expected 0, found 1");
}

#[test]
fn a_pattern_with_decreasing_offsets_is_refused() {
    let found = message(Pattern::new(2, 3, vec![0, 2, 1], vec![0]));
    assert_eq!(found, "pattern, offset 2: expected 2 or more, found 1");
}

#[test]
fn a_pattern_whose_last_offset_is_not_the_number_of_indices_is_refused() {
    assert_eq!(length_of(Pattern::new(1, 3, vec![0, 2], vec![0])), (2, 1));
    assert_eq!(length_of(Pattern::new(1, 3, vec![0, 1], vec![0, 1])), (1, 2));
}

#[test]
fn a_pattern_with_an_index_out_of_range_is_refused() {
    let found = message(Pattern::new(2, 3, vec![0, 1, 2], vec![2, 3]));
    assert_eq!(found, "pattern, row 1, entry 0: expected a column below 3, found 3");
    assert!(Pattern::new(1, 3, vec![0, 1], vec![u32::MAX]).is_err());
}

#[test]
fn a_pattern_with_unsorted_indices_is_refused() {
    let found = message(Pattern::new(1, 3, vec![0, 2], vec![2, 0]));
    assert_eq!(found, "pattern, row 0, entry 1: expected a column above 2, found 0");
}

#[test]
fn a_pattern_with_a_repeated_index_is_refused() {
    let found = message(Pattern::new(1, 3, vec![0, 2], vec![1, 1]));
    assert_eq!(found, "pattern, row 0, entry 1: expected a column above 1, found 1");
}

#[test]
fn a_bit_mask_of_the_wrong_length_or_with_bits_beyond_is_refused() {
    assert_eq!(length_of(Pattern::from_bits(5, 13, &[0])), (2, 1));
    assert!(message(Pattern::from_bits(5, 13, &[0, 2])).contains("no bit set beyond the 65 entries"));
    assert_eq!(Pattern::from_bits(5, 13, &[0, 1]).unwrap().row(4), &[12]);
}

#[test]
fn a_density_that_is_no_probability_is_refused() {
    for density in [-0.1, 1.1, f64::NAN] {
        assert!(message(Pattern::random(2, 2, density, Stream::new(0, "p"))).starts_with("density: expected 0 to 1"));
    }
}

#[test]
fn patterns_from_dense_from_bits_and_from_a_function_agree() {
    let dense = Matrix::from_fn(9, 29, |r, c| if (r * 29 + c) % 3 == 0 { 1.0 } else { -0.0 });
    let want = Pattern::from_fn(9, 29, |r, c| (r * 29 + c).is_multiple_of(3)).unwrap();
    assert_eq!(Pattern::from_dense(dense.view()).unwrap(), want);
    let mut bits = vec![0u64; (9 * 29usize).div_ceil(64)];
    (0..9 * 29).step_by(3).for_each(|bit| bits[bit / 64] |= 1 << (bit % 64));
    assert_eq!(Pattern::from_bits(9, 29, &bits).unwrap(), want);
    assert_eq!(Pattern::new(9, 29, want.offsets().to_vec(), want.indices().to_vec()).unwrap(), want);
}

#[test]
fn random_patterns_have_their_density_and_repeat() {
    let stream = Stream::new(7, "mask");
    for density in [0.0, 0.01, 0.3, 1.0] {
        let pattern = Pattern::random(300, 400, density, stream).unwrap();
        // Five standard deviations of a binomial share.
        let spread = 5.0 * (density * (1.0 - density) / 120_000.0f64).sqrt();
        assert!((pattern.density() - density).abs() <= spread, "{density}: {}", pattern.density());
        assert_eq!(pattern, Pattern::random(300, 400, density, stream).unwrap());
    }
}

/// A matrix with NaN wherever the pattern has no entry: what is masked must not be read.
fn poisoned_outside(pattern: &Pattern, purpose: &str) -> Matrix {
    let values = random(pattern.rows(), pattern.cols(), purpose);
    let mut matrix = Matrix::from_fn(pattern.rows(), pattern.cols(), |_, _| f32::NAN);
    for row in 0..pattern.rows() {
        for &col in pattern.row(row) {
            matrix[(row, col as usize)] = values[(row, col as usize)];
        }
    }
    matrix
}

/// Higham's gamma.
fn gamma(operations: usize) -> f64 {
    let u = 0.5 * f64::from(f32::EPSILON) * operations as f64;
    u / (1.0 - u)
}

#[track_caller]
fn assert_within(
    got: &Matrix,
    old: &Matrix,
    product: &crate::kernels::dense::reference::Product,
    depth: usize,
    write: Write,
) {
    for (at, &got) in got.as_slice().iter().enumerate() {
        let (old, scale) = match write {
            Write::Replace => (0.0, 1.0),
            Write::Add(scale) | Write::AddNonNegative(scale) => (f64::from(old.as_slice()[at]), f64::from(scale.abs())),
        };
        let exact = write.apply(old, product.sums[at]);
        let bound = gamma(depth + 2) * scale * product.magnitudes[at] + gamma(2) * (exact.abs() + old.abs());
        assert!((f64::from(got) - exact).abs() <= bound, "at {at}: {got} for {exact}, bound {bound}");
    }
}

/// Batch, inputs, units and density: at, above and below lanes, panels and blocks of outputs; empty, full and one entry.
fn sparse_shapes() -> Vec<(usize, usize, usize, f64)> {
    let mut shapes = vec![(0, 3, 4, 0.5), (3, 0, 4, 0.5), (3, 4, 0, 0.5), (40, 9000, 3, 0.05), (300, 70, 50, 0.1)];
    for batch in [1, 15, 16, 17, 33, 64, 127, 129] {
        for units in [1, 15, 16, 17, 40] {
            for (inputs, density) in [(1, 1.0), (37, 0.0), (37, 0.1), (20, 1.0)] {
                shapes.push((batch, inputs, units, density));
            }
        }
    }
    shapes
}

#[test]
fn sparse_products_stay_within_their_bound_on_every_set_with_the_same_bits() {
    for (batch, inputs, units, density) in sparse_shapes() {
        let pattern = Pattern::random(inputs, units, density, Stream::new(3, "mask")).unwrap();
        let dense = poisoned_outside(&pattern, "w");
        let w = SparseMatrix::from_masked(dense.view(), pattern).unwrap();
        let present = |k: usize, j: usize| !dense[(k, j)].is_nan();
        let (x, y) = (random(batch, inputs, "x"), random(batch, units, "y"));
        let forward =
            reference::masked_product((batch, units, inputs), |i, k| x[(i, k)], |k, j| dense[(k, j)], present);
        let back = reference::masked_product(
            (batch, inputs, units),
            |i, k| y[(i, k)],
            |k, j| dense[(j, k)],
            |k, j| present(j, k),
        );
        let (xt, wt) = (x.transposed(), SparseMatrix::from_masked(dense.transposed().view(), transposed(&w)).unwrap());
        for write in [Write::Replace, Write::Add(0.5), Write::AddNonNegative(-0.25)] {
            let start = |rows, cols, purpose| {
                if write == Write::Replace {
                    Matrix::from_fn(rows, cols, |_, _| f32::NAN)
                } else {
                    random(rows, cols, purpose)
                }
            };
            let (old_y, old_x) = (start(batch, units, "old y"), start(batch, inputs, "old x"));
            let mut first: Option<[Vec<u32>; 3]> = None;
            for mut context in contexts() {
                let (mut got, mut got_back) = (old_y.clone(), old_x.clone());
                sparse_matmul(&mut context, x.view(), &w, got.view_mut(), write);
                assert_within(&got, &old_y, &forward, inputs, write);
                sparse_matmul_nt(&mut context, y.view(), &w, got_back.view_mut(), write);
                assert_within(&got_back, &old_x, &back, units, write);
                let mut left = old_y.transposed();
                sparse_times_dense(&mut context, &wt, xt.view(), left.view_mut(), write);
                assert_eq!(bits(&left.transposed()), bits(&got), "the same chains, transposed");
                let all = [bits(&got), bits(&got_back), bits(&left)];
                assert_eq!(first.get_or_insert_with(|| all.clone()), &all, "{context:?} {batch}x{inputs}x{units}");
            }
        }
    }
}

fn transposed(w: &SparseMatrix) -> Pattern {
    let mut present = std::collections::HashSet::new();
    for row in 0..w.rows() {
        w.pattern().row(row).iter().for_each(|&col| {
            present.insert((col as usize, row));
        });
    }
    Pattern::from_fn(w.cols(), w.rows(), |r, c| present.contains(&(r, c))).unwrap()
}

#[test]
fn changed_values_are_seen_by_both_products() {
    let pattern = Pattern::random(30, 40, 0.2, Stream::new(3, "mask")).unwrap();
    let values: Vec<f32> = (0..pattern.entries()).map(|v| v as f32).collect();
    let mut w = SparseMatrix::new(pattern.clone(), vec![0.0; values.len()]).unwrap();
    let (x, mut y, mut context) = (random(3, 30, "x"), Matrix::zeros(3, 40), Context::new().unwrap());
    sparse_matmul(&mut context, x.view(), &w, y.view_mut(), Write::Replace);
    assert!(y.as_slice().iter().all(|&v| v == 0.0));
    w.set_values(|to| to.copy_from_slice(&values));
    sparse_matmul(&mut context, x.view(), &w, y.view_mut(), Write::Replace);
    let mut fresh = Matrix::zeros(3, 40);
    sparse_matmul(
        &mut context,
        x.view(),
        &SparseMatrix::new(pattern.clone(), values).unwrap(),
        fresh.view_mut(),
        Write::Replace,
    );
    assert_eq!(y, fresh);
    assert!(matches!(SparseMatrix::new(pattern, vec![1.0]), Err(Error::Length { .. })));
}

#[test]
fn what_every_unit_masks_never_leaks() {
    for poison in [f32::NAN, f32::INFINITY] {
        let pattern = Pattern::from_fn(20, 17, |k, j| k % 3 == 0 && (k + j) % 2 == 0).unwrap();
        let mut dense = poisoned_outside(&pattern, "w");
        dense.as_mut_slice().iter_mut().filter(|v| v.is_nan()).for_each(|v| *v = poison);
        let w = SparseMatrix::from_masked(dense.view(), pattern).unwrap();
        let x = Matrix::from_fn(18, 20, |_, k| if k % 3 == 0 { 1.0 } else { poison });
        for mut context in contexts() {
            let mut y = Matrix::from_fn(18, 17, |_, _| poison);
            sparse_matmul(&mut context, x.view(), &w, y.view_mut(), Write::Replace);
            assert!(y.as_slice().iter().all(|v| v.is_finite()));
        }
    }
}

#[test]
#[should_panic(expected = "sparse_matmul: x is 2 x 3, w is 4 x 5, y is 2 x 5")]
fn sparse_products_name_disagreeing_shapes() {
    let w = SparseMatrix::new(Pattern::full(4, 5).unwrap(), vec![0.0; 20]).unwrap();
    sparse_matmul(
        &mut Context::new().unwrap(),
        Matrix::zeros(2, 3).view(),
        &w,
        Matrix::zeros(2, 5).view_mut(),
        Write::Replace,
    );
}

/// Units anywhere on the map, some seeing a place twice, some whole rows, one a single value; more than a block of units.
fn layers() -> Vec<FieldLayer> {
    let one = fields();
    let many = (0..131).map(|u| {
        let (r, c) = (u * 7 % 11, u * 13 % 31);
        let second = Rectangle::new(u % 13..u % 13 + 7, u % 23..u % 23 + 17);
        ReceptiveField::new(MAP, &[Rectangle::new(r..r + 10, c..c + 10), second]).unwrap()
    });
    let wide = Map { rows: 2, cols: 3000 };
    let wide_fields =
        [0, 1, 2].map(|u| ReceptiveField::new(wide, &[Rectangle::new(u % 2..2, u * 900..3000 - u)]).unwrap());
    let tiny = ReceptiveField::new(Map { rows: 1, cols: 1 }, &[Rectangle::new(0..1, 0..1)]).unwrap();
    [one, many.collect(), wide_fields.into(), vec![tiny]].map(|fields| FieldLayer::new(fields).unwrap()).into()
}

#[test]
fn a_layer_of_no_fields_or_of_fields_on_different_maps_is_refused() {
    assert!(matches!(FieldLayer::new(vec![]), Err(Error::Setting { .. })));
    let other = ReceptiveField::new(Map { rows: 3, cols: 3 }, &[Rectangle::new(0..1, 0..1)]).unwrap();
    let found = FieldLayer::new(vec![fields()[0].clone(), other]).unwrap_err().to_string();
    assert_eq!(found, "receptive field of unit 1: expected a map of 20 x 40, found 3 x 3");
}

/// Each column is seen by some field, or holds NaN.
fn nan_where_unseen(layer: &FieldLayer, mut x: Matrix) -> Matrix {
    let seen: std::collections::HashSet<usize> = layer.fields().iter().flat_map(|field| field.columns()).collect();
    for b in 0..x.rows() {
        for (column, value) in x.row_mut(b).iter_mut().enumerate() {
            if !seen.contains(&column) {
                *value = f32::NAN;
            }
        }
    }
    x
}

#[test]
fn field_layers_stay_within_their_bound_on_every_set_with_the_same_bits() {
    for layer in layers() {
        let (units, map) = (layer.units(), layer.map().len());
        let weights = random(1, layer.weights(), "weights");
        for batch in [0, 1, 16, 33, 130] {
            let x = nan_where_unseen(&layer, random(batch, map, "x"));
            let y = random(batch, units, "y");
            let forward = reference::field_matmul(x.view(), &layer, weights.as_slice());
            let back = reference::field_matmul_nt(y.view(), &layer, weights.as_slice());
            let gradient = reference::field_weight_gradient(x.view(), y.view(), &layer);
            for write in [Write::Replace, Write::Add(0.5), Write::AddNonNegative(-0.25)] {
                let start = |rows, cols, purpose| {
                    let old = random(rows, cols, purpose);
                    if write == Write::Replace { Matrix::from_fn(rows, cols, |_, _| f32::NAN) } else { old }
                };
                let (old_y, old_x) = (start(batch, units, "old y"), start(batch, map, "old x"));
                let mut first: Option<[Vec<u32>; 3]> = None;
                for mut context in contexts() {
                    let (mut got, mut sent) = (old_y.clone(), old_x.clone());
                    let mut slopes = Matrix::from_fn(1, layer.weights(), |_, _| f32::NAN);
                    field_matmul(&mut context, x.view(), &layer, weights.as_slice(), got.view_mut(), write);
                    assert_within(&got, &old_y, &forward, 2 * map, write);
                    field_matmul_nt(&mut context, y.view(), &layer, weights.as_slice(), sent.view_mut(), write);
                    assert_within(&sent, &old_x, &back, 2 * units, write);
                    field_weight_gradient(&mut context, x.view(), y.view(), &layer, slopes.as_mut_slice());
                    assert_within(&slopes, &slopes, &gradient, batch, Write::Replace);
                    let all = [bits(&got), bits(&sent), bits(&slopes)];
                    assert_eq!(first.get_or_insert_with(|| all.clone()), &all, "{context:?} batch {batch}");
                }
            }
        }
    }
}

#[test]
fn masked_and_gathered_forms_agree() {
    let field = &fields()[0];
    let layer = FieldLayer::new(vec![field.clone(); 3]).unwrap();
    let (x, weights) = (random(20, MAP.len(), "x"), random(3, field.len(), "weights"));
    let mut context = Context::new().unwrap();
    let (mut gathered, mut want, mut got) =
        (Matrix::zeros(20, field.len()), Matrix::zeros(20, 3), Matrix::zeros(20, 3));
    gather(&mut context, x.view(), field, gathered.view_mut());
    crate::kernels::dense::matmul_nt(&mut context, gathered.view(), weights.view(), want.view_mut(), Write::Replace);
    field_matmul(&mut context, x.view(), &layer, weights.as_slice(), got.view_mut(), Write::Replace);
    for (got, want) in got.as_slice().iter().zip(want.as_slice()) {
        assert!((got - want).abs() <= 2.0 * gamma(field.len()) as f32 * field.len() as f32);
    }
}

#[test]
fn sampled_products_stay_within_their_bound_on_every_set_with_the_same_bits() {
    for (batch, inputs, units, density) in sparse_shapes() {
        let pattern = Pattern::random(inputs, units, density, Stream::new(3, "mask")).unwrap();
        let (mut x, mut z) = (random(batch, inputs, "x"), random(batch, units, "z"));
        // What no entry needs is not read.
        let wanted: std::collections::HashSet<u32> = pattern.indices().iter().copied().collect();
        for b in 0..batch {
            (0..inputs).filter(|&row| pattern.row(row).is_empty()).for_each(|row| x[(b, row)] = f32::NAN);
            (0..units).filter(|&col| !wanted.contains(&(col as u32))).for_each(|col| z[(b, col)] = f32::INFINITY);
        }
        let exact = reference::sampled_product(x.view(), z.view(), &pattern);
        let mut first: Option<Vec<u32>> = None;
        for mut context in contexts() {
            let mut got = Matrix::from_fn(1, pattern.entries(), |_, _| f32::NAN);
            sampled_product(&mut context, x.view(), z.view(), &pattern, got.as_mut_slice());
            assert_within(&got, &got, &exact, batch, Write::Replace);
            assert_eq!(first.get_or_insert_with(|| bits(&got)), &bits(&got), "{context:?} {batch}x{inputs}x{units}");
        }
    }
}

#[test]
fn compressing_keeps_what_is_not_zero_and_reuses_its_memory() {
    let mut context = Context::new().unwrap();
    let mut reused = SparseMatrix::compress(&mut context, Matrix::zeros(3, 3).view()).unwrap();
    assert_eq!(reused.pattern().entries(), 0);
    for (rows, cols, density) in
        [(40, 33, 0.3), (0, 5, 0.5), (5, 0, 0.5), (7, 16, 1.0), (3, 15, 0.5), (90, 100, 0.1), (1, 1, 1.0)]
    {
        let pattern = Pattern::random(rows, cols, density, Stream::new(11, "mask")).unwrap();
        let want = SparseMatrix::from_masked(random(rows, cols, "w").view(), pattern).unwrap();
        let mut dense = want.to_dense();
        // Both zeros are zero; NaN and infinities are entries.
        dense.as_mut_slice().iter_mut().step_by(3).filter(|v| **v == 0.0).for_each(|v| *v = -0.0);
        for mut context in contexts() {
            assert_eq!(SparseMatrix::compress(&mut context, dense.view()).unwrap(), want, "{context:?}");
        }
        let (x, y) = (random(4, rows, "x"), random(4, cols, "y"));
        reused.recompress(&mut context, dense.view()).unwrap();
        assert_eq!(reused, want);
        for w in [&reused, &want] {
            // Columns are used, so that the next compression fills them again.
            let (mut forward, mut back) = (Matrix::zeros(4, cols), Matrix::zeros(4, rows));
            sparse_matmul(&mut context, x.view(), w, forward.view_mut(), Write::Replace);
            sparse_matmul_nt(&mut context, y.view(), w, back.view_mut(), Write::Replace);
            let exact = reference::masked_product((4, cols, rows), |i, k| x[(i, k)], |k, j| dense[(k, j)], |_, _| true);
            assert_within(&forward, &forward, &exact, rows, Write::Replace);
            let exact = reference::masked_product((4, rows, cols), |i, k| y[(i, k)], |k, j| dense[(j, k)], |_, _| true);
            assert_within(&back, &back, &exact, cols, Write::Replace);
        }
    }
    let odd = Matrix::from_slice(&[f32::NAN, 0.0, f32::INFINITY], 1, 3).unwrap();
    for mut context in contexts() {
        let kept = SparseMatrix::compress(&mut context, odd.view()).unwrap();
        assert_eq!(kept.pattern().row(0), &[0, 2]);
        assert!(kept.values()[0].is_nan());
    }
}

#[test]
fn dense_weights_of_another_shape_than_their_pattern_are_refused() {
    let result = SparseMatrix::from_masked(Matrix::zeros(2, 3).view(), Pattern::full(3, 2).unwrap());
    assert_eq!(result.unwrap_err().to_string(), "dense matrix: expected 3 x 2, found 2 x 3");
}

#[test]
fn plans_follow_density_and_say_why() {
    let isa = Isa::best();
    for batch in [1, 16, 256, 2000] {
        let plans = [0.001, 0.05, 0.6, 1.0].map(|density| Plan::for_pattern(isa, batch, 784, 2000, density).strategy());
        assert_eq!(plans, [Strategy::Sparse, Strategy::Sparse, Strategy::Dense, Strategy::Dense]);
        assert_eq!(Plan::for_fields(isa, batch, 900, 100, 0.1).strategy(), Strategy::Field);
        assert_eq!(Plan::for_fields(isa, batch, 900, 100, 1.0).strategy(), Strategy::Dense);
    }
    let text = Plan::for_pattern(isa, 256, 784, 2000, 0.9).to_string();
    assert!(
        text.starts_with("dense: 784 x 2000 at density 0.900, batch 256: above the crossover to dense, 0."),
        "{text}"
    );
}

/// Weights of every strategy, with the strategy they should choose.
fn chosen(context: &Context) -> Vec<(MaskedWeights, Strategy)> {
    let map = Map { rows: 6, cols: 7 };
    let field = |rows: std::ops::Range<usize>| {
        ReceptiveField::new(map, &[Rectangle::new(rows.clone(), 1..6), Rectangle::new(rows, 2..4)]).unwrap()
    };
    let layer = |rows: usize| FieldLayer::new((0..17).map(|u| field(u % 2..u % 2 + rows)).collect()).unwrap();
    let fields = |rows| {
        let layer = layer(rows);
        let weights = random(1, layer.weights(), "weights").as_slice().to_vec();
        MaskedWeights::fields(context, layer, weights, 9).unwrap()
    };
    let sparse = |density| {
        let pattern = Pattern::random(42, 17, density, Stream::new(3, "mask")).unwrap();
        let matrix = SparseMatrix::from_masked(poisoned_outside(&pattern, "w").view(), pattern).unwrap();
        MaskedWeights::sparse(context, matrix, 9)
    };
    vec![
        (sparse(0.05), Strategy::Sparse),
        (sparse(0.8), Strategy::Dense),
        (fields(1), Strategy::Field),
        (fields(5), Strategy::Dense),
    ]
}

/// Whether unit `j` of 17 sees input `k` of 42, found by asking.
fn sees(weights: &MaskedWeights, context: &mut Context) -> Vec<Vec<bool>> {
    let mut ones = weights.clone();
    ones.set_values(|values| values.fill(1.0));
    let eye = Matrix::from_fn(42, 42, |i, k| if i == k { 1.0 } else { 0.0 });
    let mut y = Matrix::zeros(42, 17);
    ones.forward(context, eye.view(), y.view_mut(), Write::Replace);
    (0..42).map(|k| y.row(k).iter().map(|&v| v != 0.0).collect()).collect()
}

#[test]
fn every_strategy_gives_the_same_within_bounds_and_masked_values_never_leak() {
    for mut context in contexts() {
        for (mut weights, strategy) in chosen(&context) {
            assert_eq!(weights.plan().strategy(), strategy, "{}", weights.plan());
            let seen = sees(&weights, &mut context);
            for poison in [1.0, f32::NAN, f32::INFINITY] {
                // Sample 2 holds the poison in inputs 5 and 11, and unit 3 sends it back in sample 4.
                let (mut x, mut y) = (random(9, 42, "x"), random(9, 17, "y"));
                (x[(2, 5)], x[(2, 11)], y[(4, 3)]) = (poison, poison, poison);
                let (mut forward, mut back) = (Matrix::zeros(9, 17), Matrix::zeros(9, 42));
                weights.forward(&mut context, x.view(), forward.view_mut(), Write::Replace);
                weights.backward(&mut context, y.view(), back.view_mut(), Write::Replace);
                for b in 0..9 {
                    for j in 0..17 {
                        let reached = b == 2 && (seen[5][j] || seen[11][j]) && !poison.is_finite();
                        assert_eq!(!forward[(b, j)].is_finite(), reached, "{strategy} sample {b} unit {j}");
                    }
                    for k in 0..42 {
                        let reached = b == 4 && seen[k][3] && !poison.is_finite();
                        assert_eq!(!back[(b, k)].is_finite(), reached, "{strategy} sample {b} input {k}");
                    }
                }
            }
            // The gradient is the one that finite differences of the (bilinear) products have.
            let (x, y) = (random(9, 42, "x"), random(9, 17, "y"));
            let mut gradient = vec![f32::NAN; weights.values().len()];
            weights.gradient(&mut context, x.view(), y.view(), &mut gradient);
            let total = |weights: &MaskedWeights, context: &mut Context| -> f64 {
                let mut forward = Matrix::zeros(9, 17);
                weights.forward(context, x.view(), forward.view_mut(), Write::Replace);
                forward.as_slice().iter().zip(y.as_slice()).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
            };
            let before = total(&weights, &mut context);
            for at in [0, gradient.len() / 2, gradient.len() - 1] {
                weights.set_values(|values| values[at] += 1.0);
                let change = total(&weights, &mut context) - before;
                weights.set_values(|values| values[at] -= 1.0);
                assert!((change - f64::from(gradient[at])).abs() < 1e-3, "{strategy}: {change} {}", gradient[at]);
            }
        }
    }
}

#[test]
fn fields_with_another_number_of_weights_are_refused() {
    let layer = FieldLayer::new(fields()).unwrap();
    let result = MaskedWeights::fields(&Context::new().unwrap(), layer, vec![0.0; 3], 8);
    assert!(matches!(result, Err(Error::Length { found: 3, .. })));
}
