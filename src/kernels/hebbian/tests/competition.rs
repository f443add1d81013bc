use super::*;

#[test]
fn competitions_follow_their_formulas_with_the_same_bits_on_every_set() {
    for (batch, inputs, units) in SHAPES {
        let (x, z, w) = (random(batch, inputs, 0.0, 1), random(batch, units, -1.0, 2), random(inputs, units, -1.0, 3));
        for competition in [Competition::Hard, Competition::Top(units.min(5)), Competition::Soft { temperature: 0.2 }] {
            for update in updates() {
                let want = reference::winner_take_all(x.view(), z.view(), w.view(), competition, &update);
                let mut first: Option<Vec<u32>> = None;
                for isa in Isa::available() {
                    let mut got = w.clone();
                    winner_take_all(
                        &mut Context::on(isa).unwrap(),
                        x.view(),
                        z.view(),
                        got.view_mut(),
                        competition,
                        &update,
                    );
                    let label = format!("{competition:?} {isa} {batch}x{inputs}x{units} {update:?}");
                    // Soft gates carry the error of an exponential of an argument of up to ten, and of a sum over the units.
                    assert_within(&label, &got, &want, batch + units + 48);
                    let got = bits(got.as_slice());
                    assert_eq!(&got, first.get_or_insert_with(|| got.clone()), "{label}: bits differ");
                }
            }
        }
    }
}

#[test]
fn gates_follow_their_definition_with_the_same_bits_on_every_set() {
    for (batch, units) in [(1, 1), (3, 15), (5, 16), (2, 17), (40, 7), (113, 260)] {
        let mut z = random(batch, units, -1.0, 2);
        z.as_mut_slice().iter_mut().step_by(4).for_each(|z| *z = 0.5); // ties
        for competition in [Competition::Hard, Competition::Top(units.min(5)), Competition::Soft { temperature: 0.2 }] {
            let want = reference::gates(z.view(), competition);
            for (isa, threads) in Isa::available().flat_map(|isa| [(isa, 1), (isa, 2), (isa, 3), (isa, 7)]) {
                let mut context = Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap());
                let mut got = Matrix::from_fn(batch, units, |_, _| f32::NAN);
                gates(&mut context, z.view(), competition, got.view_mut());
                for b in 0..batch {
                    let largest = z.row(b).iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    for (j, (&got, want)) in got.row(b).iter().zip(&want[b * units..]).enumerate() {
                        let c = units as f64;
                        let roundings = match competition {
                            Competition::Soft { temperature } => {
                                3.0 * f64::from(largest - z[(b, j)]) / f64::from(temperature)
                                    + 3.0 * c.ln()
                                    + c / 16.0
                                    + 12.0
                            }
                            _ => 0.0,
                        };
                        let error = (f64::from(got) - want).abs();
                        let bound = roundings * f64::from(f32::EPSILON) / 2.0 * want;
                        assert!(
                            error <= bound,
                            "{competition:?} {isa} {b} {j}: {got} for {want}, {error} over {bound}"
                        );
                    }
                }
                let mut first = Matrix::zeros(batch, units);
                gates(&mut Context::on(Isa::Scalar).unwrap(), z.view(), competition, first.view_mut());
                assert_eq!(
                    bits(got.as_slice()),
                    bits(first.as_slice()),
                    "{competition:?} {isa}, {threads} threads: bits differ"
                );
            }
        }
    }
}

#[test]
fn many_winners_are_those_of_the_definition_whatever_the_threads() {
    let (batch, units) = if cfg!(miri) { (3, 40) } else { (113, 260) };
    let mut z = random(batch, units, -1.0, 2);
    z.as_mut_slice().iter_mut().step_by(4).for_each(|z| *z = 0.5); // ties
    z.as_mut_slice().iter_mut().step_by(7).for_each(|z| *z = f32::NAN);
    let (x, w) = (random(batch, 5, 0.0, 1), random(5, units, -1.0, 3));
    for k in [32, 33, units / 2, units] {
        let want: Vec<f32> = reference::gates(z.view(), Competition::Top(k)).iter().map(|&gate| gate as f32).collect();
        let updated = reference::winner_take_all(x.view(), z.view(), w.view(), Competition::Top(k), &Update::default());
        let mut first: Option<Vec<u32>> = None;
        for threads in [1, 2, 3, 7] {
            let mut context = Context::new().unwrap().with_threads(Threads::always(threads).unwrap());
            let mut got = Matrix::from_fn(batch, units, |_, _| f32::NAN);
            gates(&mut context, z.view(), Competition::Top(k), got.view_mut());
            assert_eq!(got.as_slice(), want, "{k} winners, {threads} threads");
            let mut new = w.clone();
            let (z, update) = (z.view(), Update::default());
            winner_take_all(&mut context, x.view(), z, new.view_mut(), Competition::Top(k), &update);
            assert_within("winners", &new, &updated, batch + 8);
            let new = bits(new.as_slice());
            assert_eq!(&new, first.get_or_insert_with(|| new.clone()), "{k} winners, {threads} threads");
        }
    }
}

#[test]
fn activities_that_are_no_numbers_never_win_a_hard_competition_and_spoil_a_soft_one() {
    let z = [f32::NAN, 1.0, 2.0, 3.0, f32::NEG_INFINITY, f32::INFINITY, f32::NAN, f32::NAN, f32::NAN, 1.0, 2.0, 3.0];
    let z = Matrix::from_slice(&z, 4, 3).unwrap();
    let mut context = Context::new().unwrap();
    let mut of = |competition| {
        let mut g = Matrix::zeros(4, 3);
        gates(&mut context, z.view(), competition, g.view_mut());
        g
    };
    assert_eq!(of(Competition::Hard).as_slice(), &[0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(of(Competition::Top(3)).as_slice(), &[0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    let soft = of(Competition::Soft { temperature: 1.0 });
    assert!((0..4).all(|b| soft.row(b).iter().all(|gate| gate.is_nan() == (b != 3))), "{soft:?}");
    // One NaN activity, and all weights are.
    let (x, mut w) = (random(4, 2, 0.0, 1), random(2, 3, 0.0, 3));
    let soft = Competition::Soft { temperature: 1.0 };
    winner_take_all(&mut context, x.view(), z.view(), w.view_mut(), soft, &Update::default());
    assert!(w.as_slice().iter().all(|w| w.is_nan()));
}

#[test]
fn units_that_win_nothing_keep_their_weights_whatever_these_are() {
    let (batch, inputs, units) = (3, 18, 40);
    let x = random(batch, inputs, 0.0, 1);
    // Units 5 and 39 win; the others of their vectors do not, and of the vector between nobody does.
    let z = Matrix::from_fn(batch, units, |b, unit| if unit == if b == 1 { 39 } else { 5 } { 1.0 } else { -1.0 });
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, -2.0];
    let w = Matrix::from_fn(inputs, units, |i, unit| if unit % 34 == 5 { 0.5 } else { odd[(i + unit) % 5] });
    for non_negative in [false, true] {
        let update = Update { rate: 0.5, reduction: Reduction::Sum, non_negative };
        for isa in Isa::available() {
            let mut got = w.clone();
            let mut context = Context::on(isa).unwrap();
            winner_take_all(&mut context, x.view(), z.view(), got.view_mut(), Competition::Hard, &update);
            for i in 0..inputs {
                for unit in 0..units {
                    let (old, new) = (w[(i, unit)], got[(i, unit)]);
                    if unit % 34 == 5 {
                        assert!(new.is_finite() && new != old, "{isa} {i} {unit}: {new}");
                    } else if non_negative && !old.is_nan() {
                        assert_eq!(new, old.max(0.0), "{isa} {i} {unit}");
                    } else {
                        assert_eq!(new.to_bits(), old.to_bits(), "{isa} {i} {unit}");
                    }
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "gates: 4 winners of 3 units")]
fn more_winners_than_units_are_refused() {
    let z = Matrix::zeros(2, 3);
    gates(&mut Context::new().unwrap(), z.view(), Competition::Top(4), Matrix::zeros(2, 3).view_mut());
}

#[test]
#[should_panic(expected = "winner_take_all: 0 winners of 3 units")]
fn no_winners_are_refused_of_an_empty_batch_too() {
    let (x, z, mut w) = (Matrix::zeros(0, 2), Matrix::zeros(0, 3), Matrix::zeros(2, 3));
    let (competition, update) = (Competition::Top(0), Update::default());
    winner_take_all(&mut Context::new().unwrap(), x.view(), z.view(), w.view_mut(), competition, &update);
}

#[test]
#[should_panic(expected = "gates: temperature 0 is not")]
fn gates_refuse_a_temperature_of_zero_of_an_empty_batch_too() {
    let (z, competition) = (Matrix::zeros(0, 3), Competition::Soft { temperature: 0.0 });
    gates(&mut Context::new().unwrap(), z.view(), competition, Matrix::zeros(0, 3).view_mut());
}

#[test]
fn activities_of_zero_take_nothing_from_soft_winners() {
    // With three equal activities the gates are a third each; the sign of zero is zero, so there is no decay.
    let (x, z, w) = (random(2, 4, 0.0, 1), Matrix::zeros(2, 3), random(4, 3, -1.0, 3));
    let update = Update { rate: 0.3, reduction: Reduction::Sum, non_negative: false };
    let competition = Competition::Soft { temperature: 1.0 };
    let want = reference::winner_take_all(x.view(), z.view(), w.view(), competition, &update);
    let mut got = w.clone();
    winner_take_all(&mut Context::new().unwrap(), x.view(), z.view(), got.view_mut(), competition, &update);
    assert_within("soft", &got, &want, 53);
    for (at, &got) in got.as_slice().iter().enumerate() {
        let (input, old) = (at / 3, w.as_slice()[at]);
        assert!((got - old - 0.1 * (x[(0, input)] + x[(1, input)])).abs() < 1e-6, "{got} from {old}");
    }
}

#[test]
#[should_panic(expected = "is not a positive normal number")]
fn a_temperature_whose_inverse_overflows_is_refused() {
    let update = Update { rate: 0.1, reduction: Reduction::Mean, non_negative: false };
    let (x, z, mut w) = (random(2, 3, 0.0, 1), random(2, 4, 0.0, 2), random(3, 4, 0.0, 3));
    let competition = Competition::Soft { temperature: 1e-39 };
    winner_take_all(&mut Context::new().unwrap(), x.view(), z.view(), w.view_mut(), competition, &update);
}
