use super::*;
use crate::kernels::bits;
use crate::matrix::Matrix;
use crate::parallel::Threads;
use crate::random::Stream;
use crate::simd::Isa;

fn drawn(purpose: &str, rows: usize, cols: usize) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols);
    Stream::new(3, purpose).uniform(-1.0, 1.0, matrix.as_mut_slice());
    matrix
}

/// Batches, units and inputs around lanes, tiles, blocks and work items.
const SHAPES: [(usize, usize, usize); 9] = [
    (0, 3, 20),
    (1, 10, 1),
    (1, 1, 15),
    (3, 5, 16),
    (4, 6, 17),
    (49, 10, 63),
    (5, 11, 1025),
    (97, 2, 130),
    (2, 10, 4097),
];

fn contexts() -> Vec<Context> {
    let mut contexts: Vec<Context> = Isa::available().map(|isa| Context::on(isa).unwrap()).collect();
    for threads in [2, 3, 7] {
        contexts.push(Context::on(Isa::best()).unwrap().with_threads(Threads::always(threads).unwrap()));
    }
    contexts
}

/// gamma of n operations.
fn gamma(n: f64) -> f64 {
    let u = n * f64::from(f32::EPSILON) / 2.0;
    u / (1.0 - u)
}

#[test]
fn logits_are_within_their_bound_and_the_same_everywhere() {
    for (batch, units, inputs) in SHAPES {
        let (h, w) = (drawn("h", batch, inputs), drawn("w", units, inputs));
        let (exact, sizes) = reference::logits(h.view(), w.view());
        assert_eq!((exact.len(), sizes.len()), (batch * units, batch * units));
        let mut first: Option<Vec<u32>> = None;
        for mut context in contexts() {
            let mut y = Matrix::from_fn(batch, units, |_, _| f32::NAN);
            logits(&mut context, h.view(), w.view(), y.view_mut());
            let n = inputs as f64 / 16.0 + 6.0;
            for ((&got, exact), size) in y.as_slice().iter().zip(&exact).zip(&sizes) {
                assert!((f64::from(got) - exact).abs() <= gamma(n) * size, "{batch} x {units} x {inputs}");
            }
            let y = bits(y.as_slice());
            assert_eq!(first.get_or_insert_with(|| y.clone()), &y, "{context:?}");
        }
    }
}

#[test]
fn logits_of_many_samples_take_no_more_memory_than_those_of_a_few() {
    for threads in [1, 3] {
        let mut context = Context::on(Isa::best()).unwrap().with_threads(Threads::always(threads).unwrap());
        // Memory that does not grow stays where it is.
        let start = |context: &mut Context| context.scratch([threads * 48 * 5 * 16]).map(|scratch| scratch.as_ptr());
        let before = start(&mut context);
        let (h, w) = (drawn("h", 1000, 20), drawn("w", 5, 20));
        logits(&mut context, h.view(), w.view(), Matrix::zeros(1000, 5).view_mut());
        assert_eq!(start(&mut context), before, "{threads} threads");
    }
}

#[test]
fn gradients_signs_and_rewards_are_the_formulas() {
    for (batch, units, inputs) in SHAPES {
        let (h, d, w) = (drawn("h", batch, inputs), drawn("d", batch, units), drawn("w", units, inputs));
        let (exact, sizes) = reference::gradient(h.view(), d.view());
        // Quarters add up exactly, so the rule's only error is the last rounding.
        let s = Matrix::from_fn(batch, units, |b, j| (d.row(b)[j] * 4.0).round() / 4.0);
        let rewarded = reference::reward_modulated(h.view(), s.view(), w.view(), 0.5);
        let mut first: Option<[Vec<u32>; 3]> = None;
        for mut context in contexts() {
            let mut g = Matrix::from_fn(units, inputs, |_, _| f32::NAN);
            gradient(&mut context, h.view(), d.view(), g.view_mut());
            let mut signed = w.clone();
            sign_descent(&mut context, h.view(), d.view(), signed.view_mut(), 0.125);
            let mut fired = w.clone();
            reward_modulated(&mut context, h.view(), s.view(), fired.view_mut(), 0.5);
            for i in 0..units * inputs {
                let bound = gamma(batch as f64) * sizes[i];
                assert!((f64::from(g.as_slice()[i]) - exact[i]).abs() <= bound);
                let old = w.as_slice()[i];
                let moved = [old - 0.125, old, old + 0.125].map(f32::to_bits);
                let got = signed.as_slice()[i].to_bits();
                match exact[i] {
                    sum if sum > bound => assert_eq!(got, moved[0]),
                    sum if sum < -bound => assert_eq!(got, moved[2]),
                    _ => assert!(moved.contains(&got)),
                }
                assert_eq!(fired.as_slice()[i], rewarded[i] as f32);
            }
            let all = [g, signed, fired].map(|values| bits(values.as_slice()));
            assert_eq!(first.get_or_insert_with(|| all.clone()), &all, "{context:?}");
        }
    }
}

#[test]
fn strided_views_and_their_gaps_are_respected() {
    let (h, d) = (drawn("h", 7, 60), drawn("d", 7, 5));
    let (part, mut w) = (h.view().columns(3..50), Matrix::from_fn(5, 60, |_, _| f32::NAN));
    let mut context = Context::new().unwrap();
    gradient(&mut context, part, d.view(), w.view_mut().split_columns(47).0);
    assert!((0..5).all(|j| w.row(j)[47..].iter().all(|v| v.is_nan())));
    let mut owned = Matrix::zeros(5, 47);
    gradient(&mut context, part.to_owned().view(), d.view(), owned.view_mut());
    assert!((0..5).all(|j| bits(&w.row(j)[..47]) == bits(owned.row(j))));
}

#[test]
fn readings_are_what_their_formulas_say() {
    let differences = [-0.9f32, -0.5, -0.3, 0.0, 0.3, 0.5, 0.7];
    for reading in [Reading::Signed, Reading::Printed, Reading::Prose] {
        for loss in [0.1f32, 0.75, 2.0] {
            let mut s = Matrix::from_slice(&differences, 1, 7).unwrap();
            reward_signal(reading, 0.75, &[loss], s.view_mut());
            for (&got, d) in s.as_slice().iter().zip(differences) {
                let expected = reference::reward_signal(reading, 0.75, loss.into(), d.into());
                assert_eq!(f64::from(got), expected, "{reading:?}, loss {loss}, difference {d}");
            }
        }
    }
}

#[test]
fn not_a_number_fires_nothing_and_has_no_sign() {
    let mut context = Context::new().unwrap();
    let h = Matrix::from_slice(&[f32::NAN, 1.0], 1, 2).unwrap();
    let d = Matrix::from_slice(&[1.0], 1, 1).unwrap();
    for rule in [sign_descent, reward_modulated] {
        let mut w = Matrix::zeros(1, 2);
        rule(&mut context, h.view(), d.view(), w.view_mut(), 0.5);
        assert_eq!(w.as_slice(), &[0.0, -0.5]);
    }
    for reading in [Reading::Signed, Reading::Printed, Reading::Prose] {
        let mut s = Matrix::from_slice(&[f32::NAN, 0.9], 1, 2).unwrap();
        reward_signal(reading, 0.75, &[f32::NAN], s.view_mut());
        assert_eq!(s.as_slice(), &[0.0, 0.0]);
    }
    let (mut y, mut g) = (Matrix::zeros(1, 1), Matrix::zeros(1, 2));
    logits(&mut context, h.view(), h.view(), y.view_mut());
    gradient(&mut context, h.view(), d.view(), g.view_mut());
    assert!(y.as_slice()[0].is_nan() && g.as_slice()[0].is_nan() && g.as_slice()[1] == 1.0);
}

#[test]
fn signals_that_are_no_numbers_reach_every_link_of_their_unit() {
    // A group of units and one more; inputs of a tile, a vector and a part of one.
    let (h, w) = (drawn("h", 3, 85), drawn("w", 6, 85));
    for wrong in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        let mut s = Matrix::from_fn(3, 6, |b, j| [1.0, -1.0, 0.0][(b + j) % 3]);
        s[(1, 2)] = wrong;
        (s[(0, 5)], s[(1, 5)]) = (f32::INFINITY, wrong);
        let want = reference::reward_modulated(h.view(), s.view(), w.view(), 0.5);
        for mut context in contexts() {
            let mut got = w.clone();
            reward_modulated(&mut context, h.view(), s.view(), got.view_mut(), 0.5);
            for (at, &got) in got.as_slice().iter().enumerate() {
                let (unit, input) = (at / 85, at % 85);
                assert!(f64::from(got) == f64::from(want[at] as f32) || (got.is_nan() && want[at].is_nan()));
                assert_eq!(got.is_finite(), unit != 2 && unit != 5, "{context:?}, {wrong}: unit {unit}");
                if unit == 2 {
                    let fired = h[(1, input)] > 0.0;
                    assert_eq!(got.is_nan(), wrong.is_nan() || !fired, "{context:?}, {wrong}: input {input}");
                }
            }
        }
    }
}

#[test]
fn units_without_inputs_cost_nothing_however_many_there_are() {
    let most = isize::MAX as usize;
    let (h, d, mut w) = (Matrix::zeros(0, 0), Matrix::zeros(0, most), Matrix::zeros(most, 0));
    let context = &mut Context::new().unwrap();
    gradient(context, h.view(), d.view(), w.view_mut());
    sign_descent(context, h.view(), d.view(), w.view_mut(), 0.1);
    reward_modulated(context, h.view(), d.view(), w.view_mut(), 0.1);
}

#[test]
#[should_panic(expected = "gradient: h is 2 x 3, the signal 4 x 5, w 5 x 3")]
fn shapes_that_disagree_are_named() {
    let (h, d, mut w) = (Matrix::zeros(2, 3), Matrix::zeros(4, 5), Matrix::zeros(5, 3));
    gradient(&mut Context::new().unwrap(), h.view(), d.view(), w.view_mut());
}

#[test]
#[should_panic(expected = "sign_descent: rate is NaN, not a finite number")]
fn a_rate_that_is_no_number_is_refused() {
    let (h, d, mut w) = (Matrix::zeros(2, 3), Matrix::zeros(2, 5), Matrix::zeros(5, 3));
    sign_descent(&mut Context::new().unwrap(), h.view(), d.view(), w.view_mut(), f32::NAN);
}

#[test]
#[should_panic(expected = "reward_signal: 1 losses of 2 samples")]
fn a_loss_for_every_sample_is_expected() {
    reward_signal(Reading::Signed, 0.75, &[0.0], Matrix::zeros(2, 3).view_mut());
}
