use super::reference::{self, Tied, Updated};
use super::*;
use crate::context::Context;
use crate::kernels::masked::SparseMatrix;
use crate::matrix::Matrix;
use crate::parallel::Threads;
use crate::random::Stream;
use crate::simd::Isa;

fn random(rows: usize, cols: usize, low: f32, item: u64) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols);
    Stream::new(9, "hebbian tests").item(item).uniform(low, 1.0, matrix.as_mut_slice());
    matrix
}

/// (batch, inputs, units) at, below and above few samples, lanes, blocks, chunks and depth.
const SHAPES: [(usize, usize, usize); 18] = [
    (1, 1, 1),
    (1, 57, 130),
    (2, 8, 16),
    (3, 5, 47),
    (4, 60, 129),
    (5, 7, 48),
    (8, 56, 49),
    (15, 113, 96),
    (16, 9, 97),
    (6, 49, 15),
    (17, 3, 260),
    (24, 51, 33),
    (25, 50, 32),
    (47, 20, 17),
    (64, 58, 50),
    (257, 9, 20),
    (300, 4, 3),
    (513, 21, 70),
];

type Rule = (&'static str, fn(&mut Context, MatRef<'_>, MatRef<'_>, MatMut<'_>, &Update), Tied);

const RULES: [Rule; 4] = [
    ("oja_subspace", oja_subspace, Tied::All),
    ("oja_excluding_self", oja_excluding_self, Tied::Others),
    ("sanger", sanger, Tied::UpToSelf),
    ("oja_per_unit", oja_per_unit, Tied::SelfOnly),
];

fn updates() -> [Update; 3] {
    [
        Update { rate: 0.3, reduction: Reduction::Mean, non_negative: false },
        Update { rate: 0.02, reduction: Reduction::Sum, non_negative: true },
        Update { rate: -0.5, reduction: Reduction::Mean, non_negative: true },
    ]
}

/// Two chained sums of at most n terms each, and a few roundings around them.
#[track_caller]
fn assert_within(name: &str, got: &Matrix, want: &Updated, terms: usize) {
    let gamma = f64::from(f32::EPSILON) / 2.0 * 1.01;
    for (at, &got) in got.as_slice().iter().enumerate() {
        let bound = gamma * (terms as f64 + 8.0) * want.magnitudes[at];
        let error = (f64::from(got) - want.weights[at]).abs();
        assert!(error <= bound, "{name} at {at}: {got} for {}, error {error}, bound {bound}", want.weights[at]);
    }
}

#[test]
fn rules_follow_their_formulas_with_the_same_bits_on_every_set() {
    for (batch, inputs, units) in SHAPES {
        let (x, z, w) = (random(batch, inputs, 0.0, 1), random(batch, units, -0.3, 2), random(inputs, units, -1.0, 3));
        for (name, rule, tied) in RULES {
            for update in updates() {
                let want = reference::oja(x.view(), z.view(), w.view(), tied, &update);
                let mut first: Option<Matrix> = None;
                for isa in Isa::available() {
                    let mut got = w.clone();
                    rule(&mut Context::on(isa).unwrap(), x.view(), z.view(), got.view_mut(), &update);
                    let label = format!("{name} {isa} {batch}x{inputs}x{units} {update:?}");
                    assert_within(&label, &got, &want, batch + units + 48);
                    assert_eq!(&got, first.get_or_insert_with(|| got.clone()), "{label}: bits differ");
                }
            }
        }
    }
}

/// A trained layer in small: a tenth of the weights above zero, every third input black, activities of at least `low`.
fn sparse_layer(batch: usize, inputs: usize, units: usize, low: f32) -> [Matrix; 3] {
    let (mut x, mut z) = (random(batch, inputs, 0.0, 1), random(batch, units, low - 1.0, 2));
    let mut w = random(inputs, units, -9.0, 3);
    for b in 0..batch {
        x.row_mut(b).iter_mut().step_by(3).for_each(|x| *x = 0.0);
        z.row_mut(b).iter_mut().for_each(|z| *z = z.max(low));
    }
    w.as_mut_slice().iter_mut().for_each(|w| *w = w.max(0.0));
    [x, z, w]
}

#[test]
fn sparse_weights_follow_the_subspace_rule_with_the_same_bits_on_every_set() {
    for ((batch, inputs, units), low) in SHAPES.into_iter().flat_map(|shape| [(shape, 0.0), (shape, -0.1)]) {
        let [x, z, w] = sparse_layer(batch, inputs, units, low);
        for update in updates() {
            let want = reference::oja(x.view(), z.view(), w.view(), Tied::All, &update);
            let mut first: Option<Matrix> = None;
            let mut workspace = SparseWorkspace::default();
            for (isa, threads) in Isa::available().flat_map(|isa| [(isa, 1), (isa, 3)]) {
                let mut context = Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap());
                let sparse = SparseMatrix::compress(&mut context, w.view()).unwrap();
                let mut got = w.clone();
                let (x, z) = (x.view(), z.view());
                oja_subspace_sparse(&mut context, x, z, &sparse, got.view_mut(), &update, &mut workspace);
                let label = format!("{isa} {batch}x{inputs}x{units} {low} {update:?}");
                assert_within(&label, &got, &want, batch + units + 48);
                assert_eq!(&got, first.get_or_insert_with(|| got.clone()), "{label}: bits differ");
            }
        }
    }
}

#[test]
fn sparse_weights_of_zero_are_left_alone_only_where_the_clamp_would_do_it() {
    // Every input is black, so that every residual falls; unit 1 has no weights yet.
    let x = Matrix::zeros(40, 3);
    let w = Matrix::from_slice(&[0.5, 0.0, 0.25, 0.0, 1.0, 0.0], 3, 2).unwrap();
    let run = |z: &Matrix, update: &Update| {
        let mut context = Context::on(Isa::best()).unwrap();
        let sparse = SparseMatrix::compress(&mut context, w.view()).unwrap();
        let (mut w, workspace) = (w.clone(), &mut SparseWorkspace::default());
        oja_subspace_sparse(&mut context, x.view(), z.view(), &sparse, w.view_mut(), update, workspace);
        w
    };
    let update = |rate, non_negative| Update { rate, reduction: Reduction::Mean, non_negative };
    let z = random(40, 2, 0.1, 7);
    for (rate, non_negative) in [(0.3, true), (0.3, false), (-0.3, true)] {
        let want = reference::oja(x.view(), z.view(), w.view(), Tied::All, &update(rate, non_negative));
        assert_within("falling", &run(&z, &update(rate, non_negative)), &want, 90);
    }
    // A negative activity lets a weight rise from zero, and one that is no number spreads to it.
    let mut negative = z.clone();
    negative.as_mut_slice().iter_mut().skip(1).step_by(2).for_each(|z| *z = -*z);
    assert!(run(&negative, &update(0.3, true)).as_slice().iter().skip(1).step_by(2).all(|&w| w > 0.0));
    for odd in [f32::NAN, f32::INFINITY] {
        let mut odd_z = z.clone();
        odd_z[(3, 1)] = odd;
        let new = run(&odd_z, &update(0.3, true));
        let spread = |w: f32| if odd.is_nan() { w.is_nan() } else { w == 0.0 };
        assert!(new.as_slice().iter().skip(1).step_by(2).all(|&w| spread(w)), "{odd}: {new:?}");
        odd_z[(3, 0)] = odd;
        let new = run(&odd_z, &update(0.3, true));
        assert!(new.as_slice().iter().step_by(2).all(|&w| spread(w)), "{odd}: {new:?}");
    }
}

#[test]
fn competitions_follow_their_formulas_with_the_same_bits_on_every_set() {
    for (batch, inputs, units) in SHAPES {
        let (x, z, w) = (random(batch, inputs, 0.0, 1), random(batch, units, -1.0, 2), random(inputs, units, -1.0, 3));
        for competition in [Competition::Hard, Competition::Top(units.min(5)), Competition::Soft { temperature: 0.2 }] {
            for update in updates() {
                let want = reference::winner_take_all(x.view(), z.view(), w.view(), competition, &update);
                let mut first: Option<Matrix> = None;
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
                assert_eq!(got, first, "{competition:?} {isa}, {threads} threads: bits differ");
            }
        }
    }
}

#[test]
fn many_samples_give_few_units_the_bits_that_they_have_beside_silent_ones() {
    // With silent units the second product goes by panels of units, without by chunks of inputs.
    let (batch, inputs, units) = if cfg!(miri) { (512, 2, 3) } else { (520, 100, 49) };
    let (x, z, w) = (random(batch, inputs, 0.0, 1), random(batch, units, -0.3, 2), random(inputs, units, -1.0, 3));
    let wider = |m: &Matrix| Matrix::from_fn(m.rows(), 390, |row, col| if col < units { m[(row, col)] } else { 0.0 });
    let (wide_z, wide_w) = (wider(&z), wider(&w));
    for (name, rule, _) in &RULES[..2] {
        for update in updates() {
            for (isa, threads) in Isa::available().flat_map(|isa| [(isa, 1), (isa, 3)]) {
                let mut context = Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap());
                let (mut few, mut many) = (w.clone(), wide_w.clone());
                rule(&mut context, x.view(), z.view(), few.view_mut(), &update);
                rule(&mut context, x.view(), wide_z.view(), many.view_mut(), &update);
                for i in 0..inputs {
                    let same = few.row(i).iter().zip(many.row(i)).all(|(few, many)| few.to_bits() == many.to_bits());
                    assert!(same, "{name} {isa} {threads} threads {update:?}: row {i}");
                }
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
        let mut first: Option<Matrix> = None;
        for threads in [1, 2, 3, 7] {
            let mut context = Context::new().unwrap().with_threads(Threads::always(threads).unwrap());
            let mut got = Matrix::from_fn(batch, units, |_, _| f32::NAN);
            gates(&mut context, z.view(), Competition::Top(k), got.view_mut());
            assert_eq!(got.as_slice(), want, "{k} winners, {threads} threads");
            let mut new = w.clone();
            let (z, update) = (z.view(), Update::default());
            winner_take_all(&mut context, x.view(), z, new.view_mut(), Competition::Top(k), &update);
            assert_within("winners", &new, &updated, batch + 8);
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
fn no_units_cost_nothing_however_many_samples_or_inputs_there_are() {
    let update = Update { non_negative: true, ..Update::default() };
    let mut context = Context::new().unwrap();
    for (batch, inputs) in [(1 << 60, 0), (0, 1 << 60)] {
        let (x, z) = (Matrix::zeros(batch, inputs), Matrix::zeros(batch, 0));
        for (_, rule, _) in RULES {
            rule(&mut context, x.view(), z.view(), Matrix::zeros(inputs, 0).view_mut(), &update);
        }
        for competition in [Competition::Hard, Competition::Top(0), Competition::Soft { temperature: 0.0 }] {
            let mut w = Matrix::zeros(inputs, 0);
            winner_take_all(&mut context, x.view(), z.view(), w.view_mut(), competition, &update);
            gates(&mut context, z.view(), competition, Matrix::zeros(batch, 0).view_mut());
        }
    }
}

#[test]
#[should_panic(expected = "krotov_hopfield: p is 65, not 2 to 64")]
fn a_norm_beyond_the_largest_is_refused() {
    let (x, mut w) = (random(2, 3, 0.0, 4), random(9, 3, -1.0, 5));
    let rule = KrotovHopfield { p: MAX_P + 1, ..KrotovHopfield::default() };
    krotov_hopfield(&mut Context::new().unwrap(), x.view(), w.view_mut(), &rule, 0.1);
}

#[test]
#[should_panic(expected = "oja_per_unit: rate is NaN, not a finite number")]
fn a_rate_that_is_no_number_is_refused() {
    let update = Update { rate: f32::NAN, ..Update::default() };
    let (x, z, mut w) = (random(2, 3, 0.0, 1), random(2, 4, 0.0, 2), random(3, 4, 0.0, 3));
    oja_per_unit(&mut Context::new().unwrap(), x.view(), z.view(), w.view_mut(), &update);
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
fn the_magnitudes_of_bounds_are_sums_of_absolute_values() {
    let [x, z, w] = [[-3.0, 1.0], [2.0, -5.0], [0.5, 4.0]].map(|v: [f32; 2]| Matrix::from_slice(&v, 1, 2).unwrap());
    let x = x.view().columns(0..1);
    let update = Update { rate: -0.5, reduction: Reduction::Sum, non_negative: false };
    // Unit 0: 2 (-3 - 2 0.5 + 5 4) = 32, by absolute values 2 (3 + 1 + 20) = 48; unit 1: -5 16 = -80, and 5 24 = 120.
    let got = reference::oja(x, z.view(), w.view(), Tied::All, &update);
    assert_eq!((got.weights, got.magnitudes), (vec![0.5 - 16.0, 4.0 + 40.0], vec![0.5 + 24.0, 4.0 + 60.0]));
}

#[test]
fn krotov_hopfield_follows_its_formula_with_the_same_bits_on_every_set() {
    let mut compared = 0;
    for (batch, inputs, units) in [(1, 1, 2), (3, 20, 7), (16, 57, 58), (17, 100, 113), (100, 33, 60)] {
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
            let mut first: Option<Matrix> = None;
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
                assert_eq!(&got, first.get_or_insert_with(|| got.clone()), "{isa}: bits differ");
            }
        }
    }
    assert!(compared >= 14, "only {compared} cases were far enough from a tie");
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
                let mut first: Option<Matrix> = None;
                for isa in Isa::available() {
                    let mut got = w.clone();
                    krotov_hopfield(&mut Context::on(isa).unwrap(), x.view(), got.view_mut(), &rule, rate);
                    let bound = f64::from(f32::EPSILON) * (2 * batch + inputs + 8) as f64;
                    for (at, &got) in got.as_slice().iter().enumerate() {
                        let error = (f64::from(got) - want[at]).abs();
                        let size = want[at].abs() + f64::from(rate) * inputs as f64;
                        assert!(error <= bound * size, "{isa}, rate {rate}, at {at}: {got} for {}", want[at]);
                    }
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
fn threads_do_not_show() {
    let (batch, inputs, units) = (70, 300, 400);
    let (x, z, w) = (random(batch, inputs, 0.0, 1), random(batch, units, -0.3, 2), random(inputs, units, -1.0, 3));
    let run = |threads: usize, rule: &dyn Fn(&mut Context, MatMut<'_>)| {
        let mut got = w.clone();
        rule(&mut Context::new().unwrap().with_threads(Threads::always(threads).unwrap()), got.view_mut());
        got
    };
    let update = Update { rate: 0.1, reduction: Reduction::Mean, non_negative: true };
    let wta = |competition| {
        move |c: &mut Context, x: MatRef<'_>, z: MatRef<'_>, w: MatMut<'_>| {
            winner_take_all(c, x, z, w, competition, &update)
        }
    };
    let transposed = w.transposed();
    for threads in [2, 3, 7] {
        for (name, rule, _) in RULES {
            let rule = |c: &mut Context, w: MatMut<'_>| rule(c, x.view(), z.view(), w, &update);
            assert_eq!(run(threads, &rule), run(1, &rule), "{name} on {threads} threads");
        }
        for competition in [Competition::Hard, Competition::Soft { temperature: 1.0 }] {
            let rule = |c: &mut Context, w: MatMut<'_>| wta(competition)(c, x.view(), z.view(), w);
            assert_eq!(run(threads, &rule), run(1, &rule), "{competition:?} on {threads} threads");
        }
        let hopfield = |threads: usize| {
            let mut got = transposed.clone();
            let rule = KrotovHopfield { p: 3, k: 3, delta: 0.4, non_negative: true };
            let mut context = Context::new().unwrap().with_threads(Threads::always(threads).unwrap());
            for _ in 0..3 {
                krotov_hopfield(&mut context, x.view(), got.view_mut(), &rule, 0.04);
            }
            got
        };
        assert_eq!(hopfield(threads), hopfield(1), "krotov_hopfield on {threads} threads");
    }
}

#[cfg(feature = "systems")]
#[test]
fn settings_are_written_and_read_as_configurations_are() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct All {
        competitions: Vec<Competition>,
        rule: KrotovHopfield,
    }
    let competitions = vec![Competition::Hard, Competition::Top(3), Competition::Soft { temperature: 0.5 }];
    let all = All { competitions, rule: KrotovHopfield::default() };
    let text = toml::to_string(&all).unwrap();
    assert!(text.contains(r#""hard""#) && text.contains("top = 3") && text.contains("temperature = 0.5"), "{text}");
    assert_eq!(toml::from_str::<All>(&text).unwrap(), all);
    assert!(toml::from_str::<All>(&text.replace("delta", "gamma")).is_err());
}

#[test]
fn an_empty_batch_changes_nothing_but_still_clamps() {
    let w = random(3, 4, -1.0, 3);
    for (_, rule, _) in RULES {
        let mut got = w.clone();
        let update = Update { rate: 1.0, reduction: Reduction::Mean, non_negative: true };
        rule(
            &mut Context::new().unwrap(),
            Matrix::zeros(0, 3).view(),
            Matrix::zeros(0, 4).view(),
            got.view_mut(),
            &update,
        );
        for (got, old) in got.as_slice().iter().zip(w.as_slice()) {
            assert_eq!(*got, old.max(0.0));
        }
    }
    let mut got = w.clone();
    let (x, z, update) = (Matrix::zeros(0, 3), Matrix::zeros(0, 4), Update { non_negative: true, ..Update::default() });
    winner_take_all(&mut Context::new().unwrap(), x.view(), z.view(), got.view_mut(), Competition::Hard, &update);
    assert!(got.as_slice().iter().zip(w.as_slice()).all(|(got, old)| *got == old.max(0.0)));
}

#[test]
fn the_subspace_rule_finds_the_principal_subspace() {
    // Inputs with clearly separated variances along a random orthonormal basis; faer's eigenvectors are the oracle.
    let (inputs, units, samples) = (12, 3, 400);
    let mixing = random(inputs, inputs, -1.0, 7);
    let noise = random(samples, inputs, -1.0, 8);
    let x = Matrix::from_fn(samples, inputs, |b, i| {
        (0..inputs).map(|k| noise[(b, k)] * mixing[(k, i)] * [2.0, 1.5, 1.2, 0.2, 0.1][k.min(4)]).sum()
    });
    let covariance = faer::Mat::<f64>::from_fn(inputs, inputs, |i, j| {
        (0..samples).map(|b| f64::from(x[(b, i)]) * f64::from(x[(b, j)])).sum::<f64>() / samples as f64
    });
    let eigen = covariance.self_adjoint_eigen(faer::Side::Lower).unwrap();
    let mut w = random(inputs, units, -0.3, 9);
    let mut context = Context::new().unwrap();
    let update = Update { rate: 0.05, reduction: Reduction::Mean, non_negative: false };
    for _ in 0..3000 {
        let z = reference::linear(x.view(), w.view());
        oja_subspace(&mut context, x.view(), z.view(), w.view_mut(), &update);
    }
    // Columns are orthonormal, and lie in the span of the three leading eigenvectors (faer sorts them ascending).
    for a in 0..units {
        for b in 0..units {
            let dot: f64 = (0..inputs).map(|i| f64::from(w[(i, a)]) * f64::from(w[(i, b)])).sum();
            assert!((dot - f64::from(u8::from(a == b))).abs() < 1e-4, "w^T w at {a}, {b}: {dot}");
        }
        let inside: f64 = (inputs - units..inputs)
            .map(|e| (0..inputs).map(|i| f64::from(w[(i, a)]) * eigen.U()[(i, e)]).sum::<f64>().powi(2))
            .sum();
        assert!((inside - 1.0).abs() < 1e-3, "unit {a} has {inside} of its length in the principal subspace");
    }
}

#[test]
fn nan_spreads_by_the_formula_and_survives_the_clamp() {
    let (x, mut z, w) = (random(6, 5, 0.0, 1), random(6, 7, 0.1, 2), random(5, 7, -1.0, 3));
    z[(2, 3)] = f32::NAN;
    let update = Update { rate: 0.1, reduction: Reduction::Mean, non_negative: true };
    let mut got = w.clone();
    oja_per_unit(&mut Context::new().unwrap(), x.view(), z.view(), got.view_mut(), &update);
    for i in 0..5 {
        assert!(got.row(i).iter().enumerate().all(|(j, v)| v.is_nan() == (j == 3)), "row {i}");
    }
    oja_subspace(&mut Context::new().unwrap(), x.view(), z.view(), got.view_mut(), &update);
    assert!(got.as_slice().iter().all(|v| v.is_nan()));
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

#[test]
#[should_panic(expected = "sanger: x is 2 x 3, z is 4 x 5, w is 3 x 5")]
fn disagreeing_shapes_are_named() {
    let update = Update { rate: 0.1, reduction: Reduction::Mean, non_negative: true };
    sanger(
        &mut Context::new().unwrap(),
        Matrix::zeros(2, 3).view(),
        Matrix::zeros(4, 5).view(),
        Matrix::zeros(3, 5).view_mut(),
        &update,
    );
}

#[test]
#[should_panic(expected = "is not a positive normal number")]
fn a_temperature_whose_inverse_overflows_is_refused() {
    let update = Update { rate: 0.1, reduction: Reduction::Mean, non_negative: false };
    let (x, z, mut w) = (random(2, 3, 0.0, 1), random(2, 4, 0.0, 2), random(3, 4, 0.0, 3));
    let competition = Competition::Soft { temperature: 1e-39 };
    winner_take_all(&mut Context::new().unwrap(), x.view(), z.view(), w.view_mut(), competition, &update);
}
