mod competition;
mod krotov_hopfield;

use super::reference::{self, Tied, Updated};
use super::*;
use crate::context::Context;
use crate::kernels::bits;
use crate::kernels::dense::{Write, matmul};
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
const SHAPES: [(usize, usize, usize); 24] = [
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
    // Several samples and many units.
    (5, 9, 250),
    (10, 5, 530),
    // Of few units: by Gram matrices.
    (40, 50, 13),
    (100, 67, 24),
    (300, 33, 17),
    (530, 16, 10),
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
                let mut first: Option<Vec<u32>> = None;
                for isa in Isa::available() {
                    let mut got = w.clone();
                    rule(&mut Context::on(isa).unwrap(), x.view(), z.view(), got.view_mut(), &update);
                    let label = format!("{name} {isa} {batch}x{inputs}x{units} {update:?}");
                    assert_within(&label, &got, &want, batch + units + 48);
                    let got = bits(got.as_slice());
                    assert_eq!(&got, first.get_or_insert_with(|| got.clone()), "{label}: bits differ");
                }
            }
        }
    }
}

#[test]
fn independent_components_follow_their_formula_with_the_same_bits_on_every_set_and_for_any_threads() {
    // The last has weights for two items of work.
    for (batch, inputs, units) in SHAPES.into_iter().chain([(60, 700, 50)]) {
        let (z, f, w) = (random(batch, units, -0.5, 1), random(batch, units, -0.7, 2), random(inputs, units, -1.0, 3));
        for update in updates() {
            let want = reference::ica(z.view(), f.view(), w.view(), &update);
            let mut first: Option<Vec<u32>> = None;
            for (isa, threads) in Isa::available().flat_map(|isa| [(isa, 1), (isa, 3)]) {
                let mut context = Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap());
                let mut got = w.clone();
                ica(&mut context, z.view(), f.view(), got.view_mut(), &update);
                let label = format!("{isa} {batch}x{inputs}x{units} {update:?}");
                assert_within(&label, &got, &want, batch + units + 48);
                let got = bits(got.as_slice());
                assert_eq!(&got, first.get_or_insert_with(|| got.clone()), "{label}: bits differ");
            }
        }
    }
}

#[test]
fn independent_components_are_told_apart() {
    // Three uniform sources, flatter than a Gaussian, behind a matrix that mixes them.
    let (sources, samples) = (3, 600);
    let mixing = Matrix::from_slice(&[1.0, 0.4, -0.3, 0.2, 0.8, 0.5, -0.6, 0.3, 0.9], 3, 3).unwrap();
    let mut s = Matrix::zeros(samples, sources);
    Stream::new(9, "hebbian tests").item(11).uniform(-1.7, 1.7, s.as_mut_slice());
    let mut x = Matrix::zeros(samples, sources);
    let mut context = Context::new().unwrap();
    matmul(&mut context, s.view(), mixing.view(), x.view_mut(), Write::Replace);
    let mut w = Matrix::from_fn(sources, sources, |i, j| f32::from(u8::from(i == j)));
    let update = Update { rate: 0.05, reduction: Reduction::Mean, non_negative: false };
    for _ in 0..1000 {
        let z = reference::linear(x.view(), w.view());
        let mut f = z.clone();
        f.as_mut_slice().iter_mut().for_each(|z| *z = z.powi(3));
        ica(&mut context, z.view(), f.view(), w.view_mut(), &update);
    }
    // What each unit answers to each source: one of them, and hardly the others.
    let mut found = Vec::new();
    let mut answers = Matrix::zeros(sources, sources);
    matmul(&mut context, mixing.view(), w.view(), answers.view_mut(), Write::Replace);
    for unit in 0..sources {
        let mut sizes: Vec<(f32, usize)> = (0..sources).map(|source| (answers[(source, unit)].abs(), source)).collect();
        sizes.sort_by(|a, b| b.0.total_cmp(&a.0));
        assert!(sizes[1].0 < 0.15 * sizes[0].0, "unit {unit}: {sizes:?}");
        found.push(sizes[0].1);
    }
    found.sort_unstable();
    assert_eq!(found, [0, 1, 2]);
}

#[test]
fn weights_that_are_not_finite_spread_as_the_formula_says_though_units_are_few() {
    let (z, f) = (random(40, 4, 0.1, 1), random(40, 4, 0.1, 2));
    let update = Update { rate: 0.5, ..Update::default() };
    for odd in [f32::NAN, f32::INFINITY] {
        let mut w = random(50, 4, -1.0, 3);
        w[(7, 2)] = odd;
        let want = reference::ica(z.view(), f.view(), w.view(), &update).weights;
        ica(&mut Context::new().unwrap(), z.view(), f.view(), w.view_mut(), &update);
        for (at, (&got, &want)) in w.as_slice().iter().zip(&want).enumerate() {
            let same = if want.is_finite() {
                (f64::from(got) - want).abs() < 1e-4
            } else {
                got.is_nan() == want.is_nan() && got.is_infinite() == want.is_infinite()
            };
            assert!(same, "{odd} at {at}: {got} for {want}");
        }
        assert!(w.row(7).iter().all(|w| !w.is_finite()) && w.row(8).iter().all(|w| w.is_finite()));
    }
}

#[test]
#[should_panic(expected = "ica: z is 2 x 4, f is 2 x 3, w is 3 x 4")]
fn independent_components_refuse_shapes_that_disagree() {
    let (z, f, mut w) = (random(2, 4, 0.0, 1), random(2, 3, 0.0, 2), random(3, 4, 0.0, 3));
    ica(&mut Context::new().unwrap(), z.view(), f.view(), w.view_mut(), &Update::default());
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
            let mut first: Option<Vec<u32>> = None;
            let mut workspace = SparseWorkspace::default();
            for (isa, threads) in Isa::available().flat_map(|isa| [(isa, 1), (isa, 3)]) {
                let mut context = Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap());
                let sparse = SparseMatrix::compress(&mut context, w.view()).unwrap();
                let mut got = w.clone();
                let (x, z) = (x.view(), z.view());
                oja_subspace_sparse(&mut context, x, z, &sparse, got.view_mut(), &update, &mut workspace);
                let label = format!("{isa} {batch}x{inputs}x{units} {low} {update:?}");
                assert_within(&label, &got, &want, batch + units + 48);
                let got = bits(got.as_slice());
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
fn many_samples_give_few_units_the_bits_that_they_have_beside_silent_ones() {
    // With silent units the second product goes by panels of units, without by chunks of inputs; neither by Gram matrices.
    let (batch, inputs, units) = if cfg!(miri) { (512, 2, 11) } else { (520, 40, 49) };
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
                    let same = bits(few.row(i)) == bits(&many.row(i)[..units]);
                    assert!(same, "{name} {isa} {threads} threads {update:?}: row {i}");
                }
            }
        }
    }
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
        ica(&mut context, z.view(), z.view(), Matrix::zeros(inputs, 0).view_mut(), &update);
        for competition in [Competition::Hard, Competition::Top(0), Competition::Soft { temperature: 0.0 }] {
            let mut w = Matrix::zeros(inputs, 0);
            winner_take_all(&mut context, x.view(), z.view(), w.view_mut(), competition, &update);
            gates(&mut context, z.view(), competition, Matrix::zeros(batch, 0).view_mut());
        }
    }
}

#[test]
#[should_panic(expected = "oja_per_unit: rate is NaN, not a finite number")]
fn a_rate_that_is_no_number_is_refused() {
    let update = Update { rate: f32::NAN, ..Update::default() };
    let (x, z, mut w) = (random(2, 3, 0.0, 1), random(2, 4, 0.0, 2), random(3, 4, 0.0, 3));
    oja_per_unit(&mut Context::new().unwrap(), x.view(), z.view(), w.view_mut(), &update);
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
fn threads_do_not_show() {
    let (batch, inputs, units) = (70, 300, 400);
    let (x, z, w) = (random(batch, inputs, 0.0, 1), random(batch, units, -0.3, 2), random(inputs, units, -1.0, 3));
    let run = |threads: usize, rule: &dyn Fn(&mut Context, MatMut<'_>)| {
        let mut got = w.clone();
        rule(&mut Context::new().unwrap().with_threads(Threads::always(threads).unwrap()), got.view_mut());
        bits(got.as_slice())
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
            bits(got.as_slice())
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
    let (z, update) = (Matrix::zeros(0, 4), Update { non_negative: true, ..Update::default() });
    ica(&mut Context::new().unwrap(), z.view(), z.view(), got.view_mut(), &update);
    assert!(got.as_slice().iter().zip(w.as_slice()).all(|(got, old)| *got == old.max(0.0)));
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

/// Gram matrices sum over the samples first, of which something else would become.
#[test]
fn what_is_not_finite_follows_the_formula_where_units_are_few() {
    let (batch, inputs, units) = (40, 50, 5);
    let (x, z, update) = (random(batch, inputs, 0.0, 1), random(batch, units, -1.0, 2), Update::default());
    // Activities of either sign leave residuals of either sign of an infinite weight.
    let mut infinite = random(inputs, units, -1.0, 3);
    infinite[(7, 1)] = f32::INFINITY;
    // Products of activities overflow, those with inputs do not.
    let (tiny, huge) = (x.as_slice().iter().map(|x| x * 1e-20), z.as_slice().iter().map(|z| z * 1e25));
    let tiny = Matrix::from_slice(&tiny.collect::<Vec<_>>(), batch, inputs).unwrap();
    let huge = Matrix::from_slice(&huge.collect::<Vec<_>>(), batch, units).unwrap();
    for (name, rule, tied) in [RULES[0], RULES[2]] {
        for (x, z, w) in [(&x, &z, &infinite), (&tiny, &huge, &Matrix::zeros(inputs, units))] {
            let want = reference::oja(x.view(), z.view(), w.view(), tied, &update).weights;
            let mut got = w.clone();
            rule(&mut Context::new().unwrap(), x.view(), z.view(), got.view_mut(), &update);
            for (at, (got, want)) in got.as_slice().iter().zip(want).enumerate() {
                assert_eq!(
                    (got.is_nan(), got.is_finite()),
                    (want.is_nan(), want.is_finite()),
                    "{name} at {at}: {got} for {want}"
                );
            }
        }
    }
}

#[test]
fn a_weight_of_nan_reaches_the_units_whose_residual_has_it() {
    // Few units, by Gram matrices, and many.
    for (batch, inputs, units) in [(40, 50, 13), (20, 9, 30)] {
        let (x, z, mut w) =
            (random(batch, inputs, 0.0, 1), random(batch, units, 0.1, 2), random(inputs, units, -1.0, 3));
        w[(3, 6)] = f32::NAN;
        for (name, rule, tied) in RULES {
            for isa in Isa::available() {
                let mut got = w.clone();
                rule(&mut Context::on(isa).unwrap(), x.view(), z.view(), got.view_mut(), &Update::default());
                for (at, value) in got.as_slice().iter().enumerate() {
                    let (input, unit) = (at / units, at % units);
                    let reached = match tied {
                        Tied::All | Tied::Others => true,
                        Tied::UpToSelf => unit >= 6,
                        Tied::SelfOnly => unit == 6,
                    };
                    assert_eq!(value.is_nan(), input == 3 && reached, "{name} {isa} {units} units: {input}, {unit}");
                }
            }
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
