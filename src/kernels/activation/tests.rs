use super::*;
use crate::kernels::bits;
use crate::random::Stream;
use crate::{Isa, Matrix, Threads};

const EPS: f64 = 1.0 / (1u64 << 24) as f64;

fn random(rows: usize, cols: usize, seed: u64) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols);
    Stream::new(seed, "activation").uniform(-3.0, 2.0, matrix.as_mut_slice());
    matrix
}

/// In every third place, each odd value of one meets each odd value of the other.
fn meet(odd: [f32; 8], one: &mut Matrix, other: &mut Matrix) {
    one.as_mut_slice().iter_mut().step_by(3).enumerate().for_each(|(i, value)| *value = odd[i % 8]);
    other.as_mut_slice().iter_mut().step_by(3).enumerate().for_each(|(i, value)| *value = odd[i / 8 % 8]);
}

fn context(isa: Isa, threads: usize) -> Context {
    Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap())
}

const SHAPES: [(usize, usize); 13] = [
    (0, 5),
    (5, 0),
    (1, 1),
    (1, 15),
    (3, 16),
    (2, 17),
    (5, 64),
    (4, 65),
    (63, 31),
    (64, 33),
    (65, 130),
    (200, 7),
    (2, 999),
];

/// Applies `f` to a copy whose rows lie `gap` further apart, with NaN in the gaps, and returns the copy without them.
fn strided(y: &Matrix, gap: usize, mut f: impl FnMut(MatMut<'_>)) -> Vec<f32> {
    let (rows, cols) = (y.rows(), y.cols());
    let stride = cols + gap;
    let mut data = vec![f32::NAN; rows * stride];
    for row in 0..rows {
        data[row * stride..row * stride + cols].copy_from_slice(y.row(row));
    }
    f(MatMut::with_stride(&mut data, rows, cols, stride).unwrap());
    let mut dense = Vec::new();
    for row in data.chunks(stride.max(1)).take(rows) {
        dense.extend_from_slice(&row[..cols]);
        assert!(row[cols..].iter().all(|v| v.is_nan()), "the gap was written");
    }
    dense
}

#[test]
fn the_gradient_of_relu_passes_where_the_value_is_above_zero() {
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e-45, -1e-45, 1.0];
    for (rows, cols) in SHAPES {
        let (mut x, mut gradient) = (random(rows, cols, 1), random(rows, cols, 2));
        meet(odd, &mut x, &mut gradient);
        let exact = x.as_slice().iter().zip(gradient.as_slice()).map(|(&x, &g)| reference::relu_gradient(x, g) as f32);
        let exact = bits(&exact.collect::<Vec<_>>());
        let mut after = x.clone();
        relu(&mut context(Isa::best(), 1), after.view_mut());
        for (isa, threads) in Isa::available().flat_map(|isa| [(isa, 1), (isa, 2), (isa, 3), (isa, 7)]) {
            for seen in [&x, &after] {
                let got = strided(&gradient, 3, |g| relu_gradient(&mut context(isa, threads), seen.view(), g));
                assert_eq!(bits(&got), exact, "{isa}, {rows} x {cols}, {threads} threads");
            }
        }
    }
}

#[test]
fn the_gradient_of_tanh_is_one_less_the_square_of_what_came_out() {
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e-45, -1.0, 1.0 - 0.5 * f32::EPSILON];
    for (rows, cols) in SHAPES {
        let (mut y, mut gradient) = (random(rows, cols, 1), random(rows, cols, 2));
        tanh(&mut context(Isa::best(), 1), y.view_mut());
        meet(odd, &mut y, &mut gradient);
        let scalar = strided(&gradient, 0, |g| tanh_gradient(&mut context(Isa::Scalar, 1), y.view(), g));
        for ((&y, &g), &got) in y.as_slice().iter().zip(gradient.as_slice()).zip(&scalar) {
            let exact = reference::tanh_gradient(y, g);
            let same = f64::from(got) == exact || (got.is_nan() && exact.is_nan());
            // Half the smallest denormal.
            let within = (f64::from(got) - exact).abs() <= 2.01 * EPS * exact.abs() + 0.5 * 1.5e-45;
            assert!(same || (exact.is_finite() && within), "{y}, {g}: {got}, exactly {exact}");
        }
        for (isa, threads) in Isa::available().flat_map(|isa| [(isa, 1), (isa, 2), (isa, 3), (isa, 7)]) {
            let got = strided(&gradient, 3, |g| tanh_gradient(&mut context(isa, threads), y.view(), g));
            assert_eq!(bits(&got), bits(&scalar), "{isa}, {rows} x {cols}, {threads} threads");
        }
    }
    // By what entered: the slope 1 - tanh^2, as far off as tanh is rounded.
    let x = random(40, 50, 3);
    let (mut y, mut gradient) = (x.clone(), Matrix::from_fn(40, 50, |_, _| 1.0));
    let context = &mut context(Isa::best(), 1);
    tanh(context, y.view_mut());
    tanh_gradient(context, y.view(), gradient.view_mut());
    for (&x, &got) in x.as_slice().iter().zip(gradient.as_slice()) {
        let exact = 1.0 - f64::from(x).tanh().powi(2);
        assert!((f64::from(got) - exact).abs() <= (3.01 + 2.01 * exact) * EPS, "{x}: {got}, exactly {exact}");
    }
}

#[test]
fn gradients_of_powers_stay_within_their_bound_with_equal_bits() {
    let (mut x, gradient) = (random(9, 101, 2), random(9, 101, 4));
    // Over many decades too, where the logarithm is large.
    let values = x.as_mut_slice().iter_mut().step_by(2).zip(-60i32..);
    values.for_each(|(x, exponent)| *x *= 2f32.powi(exponent % 60));
    for n in [1e-3, 0.25, 0.5, 0.99, 1.0, 1.75, 2.0, 2.5, 3.3, 4.5, 10.0, 31.75] {
        let scalar = strided(&gradient, 0, |g| power_gradient(&mut context(Isa::Scalar, 1), x.view(), g, n));
        for (isa, threads) in Isa::available().flat_map(|isa| [(isa, 1), (isa, 2), (isa, 3), (isa, 7)]) {
            let got = strided(&gradient, 1, |g| power_gradient(&mut context(isa, threads), x.view(), g, n));
            assert_eq!(bits(&got), bits(&scalar), "{isa} n = {n}, {threads} threads");
        }
        let away = (f64::from(n) - 1.0).abs();
        let rest = if away.fract() == 0.5 { 0.0 } else { 4.0 * away.fract() };
        let mut compared = 0;
        for ((&x, &g), &got) in x.as_slice().iter().zip(gradient.as_slice()).zip(&scalar) {
            let exact = reference::power_gradient(x, g, n);
            let normal = f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX);
            let steps = [f64::from(x).powf(away), reference::power_gradient(x, 1.0, n), exact.abs()];
            if exact == 0.0 {
                assert_eq!(got, 0.0, "slope at {x}, n = {n}");
            } else if steps.iter().all(|step| normal.contains(step)) {
                let bound = (2.0 * away + 7.0 + rest * f64::from(x).ln().abs()) * EPS * exact.abs();
                assert!((f64::from(got) - exact).abs() <= bound, "slope at {x}, n = {n}: {got}, exactly {exact}");
                compared += 1;
            }
        }
        assert!(compared >= 150, "n = {n}: only {compared}");
    }
}

#[test]
fn the_gradient_of_a_power_passes_where_that_of_relu_does() {
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e-45, -1e-45, 1.0];
    for (rows, cols) in SHAPES {
        let (mut x, mut gradient) = (random(rows, cols, 1), random(rows, cols, 2));
        meet(odd, &mut x, &mut gradient);
        for isa in Isa::available() {
            let relu = strided(&gradient, 0, |g| relu_gradient(&mut context(isa, 1), x.view(), g));
            let first = strided(&gradient, 3, |g| power_gradient(&mut context(isa, 1), x.view(), g, 1.0));
            assert_eq!(bits(&first), bits(&relu), "{isa}, {rows} x {cols}: n = 1 is relu");
            for n in [0.5, 3.3] {
                let got = strided(&gradient, 3, |g| power_gradient(&mut context(isa, 1), x.view(), g, n));
                for ((&x, &g), &got) in x.as_slice().iter().zip(gradient.as_slice()).zip(&got) {
                    match x {
                        x if x.is_nan() => assert!(got.is_nan(), "{isa}: {x}, {g}"),
                        x if x <= 0.0 => assert_eq!(got, 0.0, "{isa}: {x}, {g}"),
                        _ => assert!(!g.is_nan() || got.is_nan(), "{isa}: {x}, {g}"),
                    }
                }
            }
        }
    }
    let x = Matrix::from_fn(1, 3, |_, _| f32::INFINITY);
    for (n, slope) in [(0.5, 0.0), (1.0, 1.0), (3.3, f32::INFINITY)] {
        let mut gradient = Matrix::from_fn(1, 3, |_, _| 1.0);
        power_gradient(&mut context(Isa::best(), 1), x.view(), gradient.view_mut(), n);
        assert_eq!(gradient.as_slice(), [slope; 3], "n = {n}");
    }
}

#[test]
#[should_panic(expected = "tanh_gradient: x is 2 x 3, the gradient is 3 x 2")]
fn so_have_those_of_tanh() {
    tanh_gradient(&mut context(Isa::best(), 1), Matrix::zeros(2, 3).view(), Matrix::zeros(3, 2).view_mut());
}

#[test]
#[should_panic(expected = "power_gradient: n is 64.5, not above 0 and at most 64")]
fn the_gradient_of_a_power_too_large_is_refused() {
    let mut gradient = Matrix::zeros(2, 3);
    power_gradient(&mut context(Isa::best(), 1), Matrix::zeros(2, 3).view(), gradient.view_mut(), 64.5);
}

#[test]
#[should_panic(expected = "relu_gradient: x is 2 x 3, the gradient is 3 x 2")]
fn gradients_have_the_shape_of_what_they_are_by() {
    relu_gradient(&mut context(Isa::best(), 1), Matrix::zeros(2, 3).view(), Matrix::zeros(3, 2).view_mut());
}

#[test]
#[should_panic(expected = "power: n is NaN, not above 0 and at most 64")]
fn a_power_that_is_no_number_is_refused() {
    power(&mut context(Isa::best(), 1), Matrix::zeros(2, 3).view_mut(), f32::NAN);
}

#[test]
fn relu_is_the_larger_of_zero_and_the_value() {
    for (rows, cols) in SHAPES {
        let y = random(rows, cols, 1);
        for isa in Isa::available() {
            let got = strided(&y, 3, |y| relu(&mut context(isa, 2), y));
            let expected: Vec<f32> = y.as_slice().iter().map(|v| v.max(0.0)).collect();
            assert_eq!(got, expected, "{isa} {rows} x {cols}");
        }
    }
    for isa in Isa::available() {
        let mut y = Matrix::from_slice(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1e-45, 1e-45], 1, 5).unwrap();
        relu(&mut context(isa, 1), y.view_mut());
        assert!(y[(0, 0)].is_nan());
        assert_eq!(bits(&y.as_slice()[1..]), [f32::INFINITY, 0.0, 0.0, 1e-45].map(f32::to_bits), "{isa}");
    }
}

#[test]
fn zeros_keep_their_sign() {
    for isa in Isa::available() {
        for activation in [relu, tanh] {
            // In whole vectors, and in what is left.
            let mut y = Matrix::from_fn(1, 21, |_, col| if col % 2 == 0 { -0.0 } else { 0.0 });
            let before = y.clone();
            activation(&mut context(isa, 1), y.view_mut());
            assert_eq!(bits(y.as_slice()), bits(before.as_slice()), "{isa}");
        }
    }
}

#[test]
fn the_largest_values_win_and_the_others_are_zero() {
    let shapes = [(0, 5), (1, 1), (3, 17), (5, 40), (2, 300)];
    for (rows, cols) in &shapes[..if cfg!(miri) { 3 } else { 5 }] {
        let mut y = random(*rows, *cols, 11);
        for (at, value) in y.as_mut_slice().iter_mut().enumerate() {
            match at % 11 {
                0..3 => *value = value.round(), // ties, and zeros of either sign
                3 => *value = f32::NAN,
                4 => *value = f32::INFINITY,
                5 => *value = f32::NEG_INFINITY,
                _ => (),
            }
        }
        for k in [1, 2, 32, 33, cols / 2 + 1, *cols].into_iter().filter(|k| k <= cols) {
            let want: Vec<f32> =
                y.view().iter_rows().flat_map(|row| reference::k_winners(row, k)).map(|value| value as f32).collect();
            for (isa, threads) in Isa::available().flat_map(|isa| [(isa, 1), (isa, 2), (isa, 3), (isa, 7)]) {
                let got = strided(&y, 3, |y| k_winners(&mut context(isa, threads), y, k));
                // Bits, so that zeros that win keep their signs.
                assert_eq!(bits(&got), bits(&want), "{isa} {rows} x {cols}, {k} winners, {threads} threads");
            }
        }
    }
    k_winners(&mut Context::new().unwrap(), Matrix::zeros(2, 0).view_mut(), 0);
}

#[test]
#[should_panic(expected = "k_winners: 4 winners of 3 columns")]
fn more_winners_than_columns_are_refused() {
    k_winners(&mut Context::new().unwrap(), Matrix::zeros(0, 3).view_mut(), 4);
}

#[test]
fn powers_stay_within_their_bound_with_equal_bits() {
    let mut y = random(9, 101, 2);
    // Over many decades too, where the logarithm is large.
    let values = y.as_mut_slice().iter_mut().step_by(2).zip(-60i32..);
    values.for_each(|(y, exponent)| *y *= 2f32.powi(exponent % 60));
    for n in [0.25, 0.5, 0.99, 1.0, 1.75, 2.0, 2.5, 3.3, 4.5, 10.0, 31.75] {
        let scalar = strided(&y, 0, |y| power(&mut context(Isa::Scalar, 1), y, n));
        for isa in Isa::available() {
            let got = strided(&y, 1, |y| power(&mut context(isa, 3), y, n));
            assert_eq!(bits(&got), bits(&scalar), "{isa} n = {n}");
        }
        for (&y, &got) in y.as_slice().iter().zip(&scalar) {
            let exact = reference::power(y, n);
            if exact < f64::from(f32::MIN_POSITIVE) {
                assert!(got <= f32::MIN_POSITIVE, "{y}^{n}: {got}, exactly {exact}");
                continue;
            }
            if exact > f64::from(f32::MAX) {
                assert!(got >= 0.999 * f32::MAX, "{y}^{n}: {got}, exactly {exact}");
                continue;
            }
            let rest = f64::from(n.fract()) * f64::from(y.abs()).ln().abs();
            let bound = (2.0 * f64::from(n) + 4.0 + 3.0 * rest) * EPS * exact;
            assert!((f64::from(got) - exact).abs() <= bound, "{y}^{n}: {got}, exactly {exact}");
        }
    }
    let mut y = Matrix::from_slice(&[f32::NAN, 0.0, -1.0, f32::INFINITY], 1, 4).unwrap();
    power(&mut context(Isa::best(), 1), y.view_mut(), 3.3);
    assert!(y[(0, 0)].is_nan());
    assert_eq!(y.as_slice()[1..], [0.0, 0.0, f32::INFINITY]);
}

#[test]
fn zscores_stay_within_their_bound() {
    for (rows, cols) in SHAPES {
        let y = random(rows, cols, 3);
        for axis in [Axis::Sample, Axis::Unit, Axis::Whole] {
            for rescale in [false, true] {
                let bounds = reference::magnitude_zscore_bounds(y.as_slice(), rows, cols, axis, rescale);
                let exact = reference::magnitude_zscore(y.as_slice(), rows, cols, axis, rescale);
                assert_eq!((exact.len(), bounds.len()), (rows * cols, rows * cols));
                assert!(bounds.iter().all(|&bound| bound < 1.0), "a bound that says nothing");
                for isa in Isa::available() {
                    let got = strided(&y, 2, |y| magnitude_zscore(&mut context(isa, 1), y, axis, rescale));
                    for ((&got, &exact), &bound) in got.iter().zip(&exact).zip(&bounds) {
                        assert!(
                            (f64::from(got) - exact).abs() <= bound,
                            "{isa} {rows} x {cols} {axis:?} {rescale}: {got}, exactly {exact}, within {bound}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn rescaled_zscores_of_tiny_magnitudes_stay_within_their_bound() {
    for (rows, cols) in [(3, 17), (70, 5)] {
        let mut y = random(rows, cols, 3);
        y.as_mut_slice().iter_mut().for_each(|y| *y *= 1e-33);
        for axis in [Axis::Sample, Axis::Unit, Axis::Whole] {
            let bounds = reference::magnitude_zscore_bounds(y.as_slice(), rows, cols, axis, true);
            let exact = reference::magnitude_zscore(y.as_slice(), rows, cols, axis, true);
            assert!(bounds.iter().all(|&bound| bound < 1e-3), "a bound that says nothing");
            for isa in Isa::available() {
                let got = strided(&y, 2, |y| magnitude_zscore(&mut context(isa, 1), y, axis, true));
                for ((&got, &exact), &bound) in got.iter().zip(&exact).zip(&bounds) {
                    assert!((f64::from(got) - exact).abs() <= bound, "{isa} {axis:?}: {got}, exactly {exact}");
                }
            }
        }
    }
}

#[test]
fn zscores_have_the_same_bits_on_every_set_and_any_number_of_threads() {
    // Large enough that threads are used.
    for (rows, cols) in [(700, 1030), (64, 33), (3, 17)] {
        let y = random(rows, cols, 4);
        for axis in [Axis::Sample, Axis::Unit, Axis::Whole] {
            for rescale in [false, true] {
                let expected = strided(&y, 0, |y| magnitude_zscore(&mut context(Isa::Scalar, 1), y, axis, rescale));
                for isa in Isa::available() {
                    for threads in [1, 2, 3, 7] {
                        let got = strided(&y, 1, |y| magnitude_zscore(&mut context(isa, threads), y, axis, rescale));
                        assert_eq!(bits(&got), bits(&expected), "{isa} {threads} threads {axis:?} {rescale}");
                    }
                }
            }
        }
    }
}

#[test]
fn scores_of_equal_or_missing_or_infinite_magnitudes_are_defined() {
    for isa in Isa::available() {
        for rescale in [false, true] {
            // 1/3 has a rounded mean that differs from it, which must not become a score.
            let mut y = Matrix::from_fn(1, 77, |_, col| if col % 2 == 0 { 1.0 / 3.0 } else { -1.0 / 3.0 });
            magnitude_zscore(&mut context(isa, 1), y.view_mut(), Axis::Sample, rescale);
            assert!(y.as_slice().iter().all(|&v| v.to_bits() == 0), "{isa}: {y:?}");
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for (axis, nans) in [(Axis::Sample, 20), (Axis::Unit, 3), (Axis::Whole, 60)] {
                    let mut y = random(3, 20, 5);
                    y[(1, 13)] = bad;
                    magnitude_zscore(&mut context(isa, 1), y.view_mut(), axis, rescale);
                    let found = y.as_slice().iter().filter(|v| v.is_nan()).count();
                    assert_eq!(found, nans, "{isa} {bad} {axis:?} {rescale}");
                }
            }
            // The squares are beyond f32; the deviations are not.
            for (axis, nans) in [(Axis::Sample, 20), (Axis::Unit, 20), (Axis::Whole, 60)] {
                let mut y = random(3, 20, 5);
                let large = if axis == Axis::Unit { 0..3 } else { 1..2 };
                large.for_each(|row| y.row_mut(row).iter_mut().for_each(|v| *v *= 1e22));
                magnitude_zscore(&mut context(isa, 1), y.view_mut(), axis, rescale);
                let found = y.as_slice().iter().filter(|v| v.is_nan()).count();
                let nans = if axis == Axis::Unit { 3 * nans } else { nans };
                assert_eq!(found, if rescale { 0 } else { nans }, "{isa} {axis:?} {rescale}");
            }
        }
    }
}

#[test]
fn sums_beyond_f32_make_nan_by_samples_or_by_sixty_four_of_a_unit() {
    // Magnitudes that vary, so that they have a deviation: of 64 of them the sum is within the range, of 128 it is not.
    let near = |row: usize, col: usize| if (row + col).is_multiple_of(2) { 4e36 } else { 3e36 };
    let beyond = |row: usize, col: usize| near(row, col) * if row == 0 { 10.0 } else { 1.0 };
    for isa in Isa::available() {
        let nans = |mut y: Matrix, axis| {
            magnitude_zscore(&mut context(isa, 1), y.view_mut(), axis, true);
            y.as_slice().iter().filter(|v| v.is_nan()).count()
        };
        assert_eq!(nans(Matrix::from_fn(2, 64, near), Axis::Sample), 0, "{isa}");
        assert_eq!(nans(Matrix::from_fn(2, 128, near), Axis::Sample), 256, "{isa}");
        // Sums of all samples continue in f64.
        assert_eq!(nans(Matrix::from_fn(40, 64, near), Axis::Whole), 0, "{isa}");
        assert_eq!(nans(Matrix::from_fn(2, 128, near), Axis::Whole), 256, "{isa}");
        assert_eq!(nans(Matrix::from_fn(40, 64, beyond), Axis::Whole), 40 * 64, "{isa}: one sample alone");
        assert_eq!(nans(Matrix::from_fn(192, 20, near), Axis::Unit), 0, "{isa}");
        // Sixty-four samples bear one that is twenty times as large, not two.
        let two = |other: usize| {
            Matrix::from_fn(128, 1, |row, col| near(row, col) * if row == 0 || row == other { 20.0 } else { 1.0 })
        };
        assert_eq!(nans(two(63), Axis::Unit), 128, "{isa}");
        assert_eq!(nans(two(64), Axis::Unit), 0, "{isa}");
    }
}

#[test]
fn magnitudes_whose_largest_deviation_has_no_reciprocal_are_rescaled_to_zero() {
    for values in [[1e-40, 0.0, 5e-41, 0.0], [1.0e-38, 1.3e-38, 1.15e-38, 1.0e-38]] {
        for (rows, cols, axis) in [(1, 4, Axis::Sample), (4, 1, Axis::Unit), (2, 2, Axis::Whole)] {
            for isa in Isa::available() {
                let mut y = Matrix::from_slice(&values, rows, cols).unwrap();
                magnitude_zscore(&mut context(isa, 1), y.view_mut(), axis, true);
                assert_eq!(y.as_slice(), [0.0; 4], "{isa} {axis:?}");
            }
        }
    }
}

#[test]
fn rescaled_scores_reach_from_zero_to_one() {
    let mut y = random(50, 200, 6);
    magnitude_zscore(&mut context(Isa::best(), 1), y.view_mut(), Axis::Sample, true);
    for row in y.view().iter_rows() {
        assert!(row.iter().copied().fold(0.0, f32::max) >= 1.0 - EPS as f32);
        assert!(row.iter().all(|v| (0.0..=1.0).contains(v)));
        let positive = row.iter().filter(|&&v| v > 0.0).count();
        assert!((50..150).contains(&positive), "about half lie above the mean: {positive}");
    }
}

#[test]
fn dropout_follows_its_masks_on_every_set_and_any_number_of_threads() {
    let dropout = Dropout::new(0.2).unwrap();
    assert_eq!((dropout.scale(), dropout.rate()), (1.25, 13107.0 / 65536.0));
    for (rows, cols) in [(0, 5), (5, 0), (1, 1), (3, 15), (2, 33), (300, 100), (9, 5000)] {
        let y = random(rows, cols, 3);
        let stream = Stream::new(4, "dropout");
        let exact = reference::relu_dropout(y.as_slice(), rows, cols, dropout, stream);
        for isa in Isa::available() {
            for threads in [1, 3] {
                let mut got = y.clone();
                relu_dropout(&mut context(isa, threads), got.view_mut(), dropout, stream);
                let rounded: Vec<f32> = exact.iter().map(|value| *value as f32).collect();
                assert_eq!(bits(got.as_slice()), bits(&rounded), "{isa}, {rows} x {cols}, {threads} threads");
            }
        }
    }
}

#[test]
fn dropout_drops_its_share_and_keeps_the_mean() {
    let mut context = context(Isa::best(), 1);
    for rate in [0.0, 0.2, 0.5, 0.9] {
        let mut y = Matrix::from_fn(1000, 1000, |_, _| 1.0);
        relu_dropout(&mut context, y.view_mut(), Dropout::new(rate).unwrap(), Stream::new(5, "share"));
        let dropped = y.as_slice().iter().filter(|&&y| y == 0.0).count() as f64 / 1e6;
        // Five standard deviations of a share of a million.
        assert!((dropped - rate).abs() <= 5.0 * (rate * (1.0 - rate) / 1e6).sqrt() + 1e-5, "{dropped} for {rate}");
        let mean = y.as_slice().iter().map(|&y| f64::from(y)).sum::<f64>() / 1e6;
        assert!((mean - 1.0).abs() < 0.02, "mean {mean}");
    }
    // The last two round to nothing kept.
    for rate in [-0.1, 1.0, f64::NAN, 65535.5 / 65536.0, 1.0 - 1e-16] {
        assert!(Dropout::new(rate).is_err());
    }
}
