use super::*;
use crate::random::below;

#[test]
#[should_panic(expected = "krotov_hopfield: p is 65, not 2 to 64")]
fn a_norm_beyond_the_largest_is_refused() {
    let (x, mut w) = (random(2, 3, 0.0, 4), random(9, 3, -1.0, 5));
    let rule = KrotovHopfield { p: MAX_P + 1, ..KrotovHopfield::default() };
    krotov_hopfield(&mut Context::new().unwrap(), x.view(), w.view_mut(), &rule, 0.1);
}

#[test]
#[should_panic(expected = "krotov_hopfield: delta is inf, not a finite number")]
fn a_push_without_bounds_is_refused() {
    let rule = KrotovHopfield { delta: f32::INFINITY, ..KrotovHopfield::default() };
    krotov_hopfield(
        &mut Context::new().unwrap(),
        random(2, 3, 0.0, 1).view(),
        random(9, 3, 0.0, 3).view_mut(),
        &rule,
        0.1,
    );
}

#[test]
fn krotov_hopfield_follows_its_formula_with_the_same_bits_on_every_set() {
    let mut compared = 0;
    for (batch, inputs, units) in
        [(1, 1, 2), (3, 20, 7), (16, 57, 58), (17, 100, 113), (100, 33, 60), (1, 70, 99), (8, 300, 47), (9, 300, 20)]
    {
        for (p, k, delta, non_negative) in
            [(2, 2, 0.4, false), (3, 7, 0.4, false), (5, 3, 0.1, false), (2, 2, 0.4, true), (3, 7, 0.4, true)]
        {
            if k > units {
                continue;
            }
            let rule = KrotovHopfield { p, k, delta, non_negative };
            let (x, w) = (random(batch, inputs, 0.0, 4), random(units, inputs, -1.0, 5));
            let Some((want, largest)) = reference::krotov_hopfield(x.view(), w.view(), &rule, 0.04, 1e-5) else {
                continue;
            };
            compared += 1;
            let mut first: Option<Vec<u32>> = None;
            for isa in Isa::available() {
                let mut got = w.clone();
                let size = krotov_hopfield(&mut Context::on(isa).unwrap(), x.view(), got.view_mut(), &rule, 0.04);
                // Sums of at most 2 batch + inputs terms, relative to the largest entry of d.
                let bound = f64::from(f32::EPSILON) * (2 * batch + inputs + 8) as f64;
                assert!(
                    (f64::from(size) - largest).abs() <= bound * largest * inputs as f64,
                    "{isa}: {size} for {largest}"
                );
                for (at, &got) in got.as_slice().iter().enumerate() {
                    let error = (f64::from(got) - want[at]).abs();
                    assert!(
                        error <= bound * (want[at].abs() + 0.04 * inputs as f64),
                        "{isa} at {at}: {got} for {}",
                        want[at]
                    );
                }
                let got = bits(got.as_slice());
                assert_eq!(&got, first.get_or_insert_with(|| got.clone()), "{isa}: bits differ");
            }
        }
    }
    assert!(compared >= 26, "only {compared} cases were far enough from a tie");
}

#[test]
fn units_without_inputs_cost_nothing_however_many_there_are() {
    let (units, rule) = (u32::MAX as usize - 1, KrotovHopfield { non_negative: true, ..KrotovHopfield::default() });
    let x = Matrix::zeros(0, 0);
    assert_eq!(
        krotov_hopfield(&mut Context::new().unwrap(), x.view(), Matrix::zeros(units, 0).view_mut(), &rule, 0.1),
        0.0
    );
}

#[test]
fn of_equal_activities_the_first_ranks_higher() {
    // Small whole numbers: all activities are exact, and many are equal.
    let mut generator = Stream::new(7, "ties").generator();
    let mut whole = |rows, cols, most: u64| Matrix::from_fn(rows, cols, |_, _| below(&mut generator, most) as f32);
    let mut tied = 0;
    for (batch, inputs, units) in [(1, 1, 3), (5, 2, 9), (16, 3, 20), (19, 4, 40)] {
        for k in [2, 3, 5, 8].into_iter().filter(|&k| k <= units) {
            let rule = KrotovHopfield { p: 2, k, delta: 0.5, non_negative: false };
            let (x, w) = (whole(batch, inputs, 2), whole(units, inputs, 3));
            let (want, largest) =
                reference::krotov_hopfield(x.view(), w.view(), &rule, 0.5, 0.0).expect("nothing rounds");
            tied += usize::from(reference::krotov_hopfield(x.view(), w.view(), &rule, 0.5, 1e-5).is_none());
            for isa in Isa::available() {
                let mut got = w.clone();
                let size = krotov_hopfield(&mut Context::on(isa).unwrap(), x.view(), got.view_mut(), &rule, 0.5);
                assert_eq!(f64::from(size), largest, "{isa}, rank {k} of {units}");
                for (at, (&got, want)) in got.as_slice().iter().zip(&want).enumerate() {
                    assert!(
                        (f64::from(got) - want).abs() <= 1e-6,
                        "{isa}, rank {k} of {units}, {at}: {got} for {want}"
                    );
                }
            }
        }
    }
    assert!(tied >= 10, "only {tied} cases had ties that decide");
}

#[test]
fn krotov_hopfield_moves_weights_by_the_rate_however_large_it_is_or_the_step() {
    let mut compared = 0;
    // The quotient of rate and largest change: beyond `f32` twice, with three bits, and none.
    for (inputs_are, weights_are, rate) in [
        (2f32.powi(-95), 1.0, 1e12),
        (2f32.powi(-7), 1.0, f32::MAX),
        (2f32.powi(97), 2f32.powi(-40), 1e-14),
        (2f32.powi(97), 2f32.powi(-60), 1e-20),
    ] {
        for (batch, inputs, units) in [(1, 17, 2), (1, 20, 7), (3, 20, 7), (2, 37, 58)] {
            let (mut x, mut w) = (random(batch, inputs, 0.0, 4), random(units, inputs, -1.0, 5));
            x.as_mut_slice().iter_mut().for_each(|x| *x *= inputs_are);
            w.as_mut_slice().iter_mut().for_each(|w| *w *= weights_are);
            for (p, non_negative) in [(2, false), (2, true), (3, false)] {
                let rule = KrotovHopfield { p, k: 2, delta: 0.4, non_negative };
                let reference = reference::krotov_hopfield(x.view(), w.view(), &rule, rate, 1e-5);
                let Some((want, largest)) = reference else { continue };
                let quotient = rate / largest as f32;
                assert!(!quotient.is_normal() && largest > 1e-30, "{rate} / {largest}");
                compared += 1;
                let mut first: Option<Vec<u32>> = None;
                for isa in Isa::available() {
                    let mut got = w.clone();
                    krotov_hopfield(&mut Context::on(isa).unwrap(), x.view(), got.view_mut(), &rule, rate);
                    let bound = f64::from(f32::EPSILON) * (2 * batch + inputs + 8) as f64;
                    for (at, &got) in got.as_slice().iter().enumerate() {
                        let error = (f64::from(got) - want[at]).abs();
                        let size = want[at].abs() + f64::from(rate) * inputs as f64;
                        assert!(error <= bound * size, "{isa}, rate {rate}, at {at}: {got} for {}", want[at]);
                    }
                    let got = bits(got.as_slice());
                    assert_eq!(&got, first.get_or_insert_with(|| got.clone()), "{isa}: bits differ");
                }
                // The weight of the largest change moved by the rate.
                let moved = want.iter().zip(w.as_slice()).map(|(new, &old)| (new - f64::from(old)).abs());
                let moved = moved.fold(0.0, f64::max) / f64::from(rate);
                assert!(non_negative || (moved - 1.0).abs() < 1e-5, "{moved} times the rate");
            }
        }
    }
    assert!(compared >= 30, "only {compared} cases were far enough from a tie");
}

#[test]
fn krotov_hopfield_clamps_every_weight_whatever_the_step() {
    let rule = KrotovHopfield { p: 2, k: 2, delta: 0.4, non_negative: true };
    let mut old = random(120, 37, -1.0, 5);
    old[(60, 3)] = f32::NAN;
    let clamped = |new: &Matrix, old: &Matrix, unit: usize| {
        new.row(unit)
            .iter()
            .zip(old.row(unit))
            .all(|(new, old)| new.to_bits() == if *old < 0.0 { 0 } else { old.to_bits() })
    };
    for (isa, threads) in Isa::available().flat_map(|isa| [(isa, 1), (isa, 3)]) {
        let mut context = Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap());
        let mut step = |x: &Matrix, rule: &KrotovHopfield, rate| {
            let mut w = old.clone();
            krotov_hopfield(&mut context, x.view(), w.view_mut(), rule, rate);
            w
        };
        // One sample changes two units; the unit of the NaN has no rank.
        let (x, free) = (random(1, 37, 0.0, 4), KrotovHopfield { non_negative: false, ..rule });
        let (new, unclamped) = (step(&x, &rule, 0.5), step(&x, &free, 0.5));
        assert!((0..120).all(|unit| clamped(&new, &unclamped, unit)), "{isa}");
        assert_eq!((0..120).filter(|&unit| unclamped.row(unit)[5] != old.row(unit)[5]).count(), 2, "{isa}");
        // A step of nothing, and no batch.
        for x in [Matrix::zeros(3, 37), Matrix::zeros(0, 37)] {
            let mut silent = rule;
            silent.delta = 0.0;
            let new = step(&x, &silent, 0.5);
            assert!((0..120).all(|unit| clamped(&new, &old, unit)), "{isa}: {} samples", x.rows());
        }
    }
}

#[test]
fn a_largest_change_that_overflows_spoils_only_the_weights_that_changed_so_much() {
    // Two samples whose sum is beyond `f32` in one place. No unit weighs it, so that all activities are finite. The first wins; the second
    // is pushed away by what is still within `f32`.
    let x = Matrix::from_fn(2, 37, |_, i| if i == 20 { 3e38 } else { 1.0 });
    let before = Matrix::from_fn(3, 37, |u, i| if u > 0 || i == 20 { 0.0 } else { 0.25 });
    let rule = KrotovHopfield { p: 2, k: 2, delta: 0.4, non_negative: false };
    for isa in Isa::available() {
        let mut w = before.clone();
        let largest = krotov_hopfield(&mut Context::on(isa).unwrap(), x.view(), w.view_mut(), &rule, 0.1);
        assert_eq!(largest, f32::INFINITY, "{isa}");
        for (u, i) in (0..3).flat_map(|u| (0..37).map(move |i| (u, i))) {
            let (old, new) = (before[(u, i)], w[(u, i)]);
            assert!(if u == 0 && i == 20 { new.is_nan() } else { new == old }, "{isa}, unit {u}, input {i}: {new}");
        }
    }
}
