use super::*;
use crate::kernels::bits;
use crate::kernels::dense::matmul_skinny;
use crate::{Isa, Threads};

const EPS: f64 = 1.0 / (1u64 << 24) as f64;

fn random(rows: usize, cols: usize, seed: u64) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols);
    Stream::new(seed, "perturb").uniform(-1.0, 1.0, matrix.as_mut_slice());
    matrix
}

fn poisoned(rows: usize, cols: usize) -> Matrix {
    Matrix::from_fn(rows, cols, |_, _| f32::NAN)
}

fn context(isa: Isa, threads: usize) -> Context {
    Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap())
}

/// (batch, inputs, outputs) below, at and above the tiles, vectors and blocks.
const SHAPES: [(usize, usize, usize); 16] = [
    (0, 3, 2),
    (3, 0, 2),
    (3, 2, 0),
    (1, 1, 1),
    (4, 16, 5),
    (3, 15, 4),
    (5, 17, 6),
    (65, 33, 10),
    (7, 100, 10),
    (64, 48, 1),
    (2, 31, 11),
    (9, 250, 3),
    (130, 64, 7),
    (8, 2000, 10),
    (6, 1023, 9),
    (4, 5, 40),
];

/// Sums of |z| |w| times the derived factor.
fn bound(z: &Matrix, w: &[f64]) -> Vec<f64> {
    let magnitudes: Vec<f32> = z.as_slice().iter().map(|v| v.abs()).collect();
    let w: Vec<f64> = w.iter().map(|v| v.abs()).collect();
    let factor = (z.cols() as f64 / 16.0 + 6.0) * EPS;
    let outputs = w.len().checked_div(z.cols()).unwrap_or(0);
    let sums = reference::product(&magnitudes, &w, z.rows(), z.cols(), outputs);
    sums.into_iter().map(|sum| sum * factor).collect()
}

#[test]
fn clean_and_perturbed_outputs_stay_within_their_bounds() {
    for (batch, inputs, outputs) in SHAPES {
        let (z, w, noise) = (random(batch, inputs, 1), random(inputs, outputs, 2), random(inputs, outputs, 3));
        let (exact, exact_perturbed) =
            reference::clean_and_perturbed(z.as_slice(), w.as_slice(), noise.as_slice(), batch, inputs, outputs);
        let plain: Vec<f64> = w.as_slice().iter().map(|&w| f64::from(w)).collect();
        let noisy: Vec<f64> = w.as_slice().iter().zip(noise.as_slice()).map(|(&w, &n)| f64::from(w + n)).collect();
        let (bounds, bounds_perturbed) = (bound(&z, &plain), bound(&z, &noisy));
        for isa in Isa::available() {
            let (mut clean, mut perturbed) = (poisoned(batch, outputs), poisoned(batch, outputs));
            let context = &mut context(isa, 2);
            let (c, p) = (clean.view_mut(), perturbed.view_mut());
            clean_and_perturbed(context, z.view(), w.view(), noise.view(), c, p);
            let mut alone = poisoned(batch, outputs);
            matmul_skinny(context, z.view(), w.view(), alone.view_mut());
            assert_eq!(bits(alone.as_slice()), bits(clean.as_slice()), "alone or together");
            if inputs == 0 {
                assert!(clean.as_slice().iter().chain(perturbed.as_slice()).all(|&v| v == 0.0));
                continue;
            }
            for i in 0..batch * outputs {
                let (error, other) = (
                    (f64::from(clean.as_slice()[i]) - exact[i]).abs(),
                    (f64::from(perturbed.as_slice()[i]) - exact_perturbed[i]).abs(),
                );
                assert!(error <= bounds[i], "{isa} {batch} {inputs} {outputs} clean {i}: {error} > {}", bounds[i]);
                // One rounding more, of w + noise.
                let allowed = bounds_perturbed[i] * 1.5;
                assert!(other <= allowed, "{isa} {batch} {inputs} {outputs} perturbed {i}: {other} > {allowed}");
            }
        }
    }
}

#[test]
fn products_have_the_same_bits_on_every_set_and_any_number_of_threads() {
    for (batch, inputs, outputs) in [(300, 1999, 10), (67, 40, 3), (5, 9, 21)] {
        // Views with gaps, so that a stride mistaken for a width shows.
        let (z, w) = (random(batch, inputs + 3, 4), random(inputs, outputs + 2, 5));
        let noise = random(inputs, outputs + 1, 6);
        let (z, w, noise) =
            (z.view().columns(1..inputs + 1), w.view().columns(2..outputs + 2), noise.view().columns(0..outputs));
        let run = |isa, threads| {
            let (mut clean, mut perturbed) = (vec![f32::NAN; batch * (outputs + 5)], poisoned(batch, outputs));
            let out = MatMut::with_stride(&mut clean, batch, outputs, outputs + 5).unwrap();
            clean_and_perturbed(&mut context(isa, threads), z, w, noise, out, perturbed.view_mut());
            (bits(&clean), bits(perturbed.as_slice()))
        };
        let expected = run(Isa::Scalar, 1);
        assert_eq!(
            expected.0.iter().filter(|&&v| v == f32::NAN.to_bits()).count(),
            batch * 5,
            "gaps stay as they were"
        );
        for isa in Isa::available() {
            for threads in [1, 2, 3, 7] {
                assert!(run(isa, threads) == expected, "{isa} {threads} threads {batch} {inputs} {outputs}");
            }
        }
    }
}

#[test]
fn nan_reaches_only_the_outputs_it_enters() {
    let (mut z, w, noise) = (random(6, 40, 7), random(40, 3, 8), random(40, 3, 9));
    z[(2, 39)] = f32::NAN;
    z[(4, 0)] = f32::INFINITY;
    let (mut clean, mut perturbed) = (poisoned(6, 3), poisoned(6, 3));
    let context = &mut context(Isa::best(), 1);
    clean_and_perturbed(context, z.view(), w.view(), noise.view(), clean.view_mut(), perturbed.view_mut());
    for row in 0..6 {
        assert_eq!(clean.row(row).iter().all(|v| v.is_nan()), row == 2);
        assert_eq!(perturbed.row(row).iter().all(|v| v.is_infinite()), row == 4);
    }
}

#[cfg(feature = "systems")]
#[test]
fn settings_are_written_and_read_as_configurations_are() {
    let rule = WeightPerturbation { rate: 0.5, sigma: 0.25, non_negative: true, draws: Draws::Sample };
    let text = toml::to_string(&rule).unwrap();
    assert!(text.contains(r#"draws = "sample""#), "{text}");
    assert_eq!(toml::from_str::<WeightPerturbation>(&text).unwrap(), rule);
    assert!(toml::from_str::<WeightPerturbation>(&text.replace("sigma", "width")).is_err());
}

#[test]
fn rewards_move_weights_on_their_support_only() {
    for (rows, cols) in [(0, 3), (3, 0), (1, 1), (2, 15), (3, 16), (7, 17), (500, 110)] {
        let noise = random(rows, cols, 10);
        let mut start = random(rows, cols, 11);
        for (i, w) in start.as_mut_slice().iter_mut().enumerate() {
            *w = [*w, *w, 0.0, *w, -0.0][i % 5];
        }
        for non_negative in [false, true] {
            for gain in [0.3f32, -2.0, 0.0] {
                let run = |isa, threads| {
                    let mut w = start.clone();
                    reward_update(&mut context(isa, threads), noise.view(), gain, w.view_mut(), non_negative);
                    w
                };
                let got = run(Isa::Scalar, 1);
                for i in 0..rows * cols {
                    let (w, noise) = (start.as_slice()[i], noise.as_slice()[i]);
                    let exact = reference::reward_update(w, f64::from(gain), noise, non_negative);
                    assert_eq!(f64::from(got.as_slice()[i]), f64::from(exact as f32), "fused: rounded once");
                }
                for isa in Isa::available() {
                    for threads in [1, 3] {
                        assert_eq!(bits(run(isa, threads).as_slice()), bits(got.as_slice()), "{isa} {threads}");
                    }
                }
            }
        }
    }
}

#[test]
fn noise_of_samples_is_what_outputs_and_update_use() {
    let (stream, sigma) = (Stream::new(12, "sample"), 0.1f32);
    for (batch, inputs, outputs) in [(3, 7, 2), (2, 31, 3), (5, 32, 1), (17, 33, 4), (3, 900, 10), (2, 8300, 2)] {
        let (z, clean) = (random(batch, inputs, 13), random(batch, outputs, 14));
        let mut start = random(inputs, outputs, 15);
        start[(inputs / 2, 0)] = 0.0;
        let gains: Vec<f32> = random(1, batch, 16).as_slice().to_vec();
        let context = &mut context(Isa::best(), 1);
        let mut perturbed = poisoned(batch, outputs);
        perturbed_per_sample(context, z.view(), clean.view(), stream, sigma, perturbed.view_mut());
        let mut w = start.clone();
        reward_update_per_sample(context, stream, sigma, &gains, w.view_mut(), false);
        let mut expected: Vec<f64> = start.as_slice().iter().map(|&w| f64::from(w)).collect();
        let mut moved = vec![0.0; expected.len()];
        for b in 0..batch {
            let mut noise = poisoned(inputs, outputs);
            noise_of_sample(context, stream, b as u64, sigma, noise.view_mut());
            for j in 0..outputs {
                let terms = (0..inputs).map(|i| f64::from(z[(b, i)]) * f64::from(noise[(i, j)]));
                let exact = f64::from(clean[(b, j)]) + terms.clone().sum::<f64>();
                let size = terms.map(f64::abs).sum::<f64>();
                let allowed = (inputs as f64 / 16.0 + 6.0) * EPS * size + EPS * exact.abs();
                let got = f64::from(perturbed[(b, j)]);
                assert!(
                    (got - exact).abs() <= allowed,
                    "{batch} {inputs} {outputs} sample {b} output {j}: {got} {exact}"
                );
            }
            for (at, value) in noise.as_slice().iter().enumerate() {
                let step = f64::from(gains[b]) * f64::from(*value);
                expected[at] += step;
                moved[at] += step.abs();
            }
        }
        for at in 0..expected.len() {
            let got = f64::from(w.as_slice()[at]);
            if start.as_slice()[at] == 0.0 {
                assert_eq!(got, 0.0, "off the support");
            } else {
                let allowed = (batch as f64 / 16.0 + 17.0) * EPS * moved[at] + EPS * expected[at].abs();
                assert!((got - expected[at]).abs() <= allowed, "{batch} {inputs} {outputs} weight {at}");
            }
        }
    }
}

#[test]
fn infinite_noise_beyond_the_last_input_is_none() {
    // A third of all noise overflows. Inputs of a vector and a part of the next, and of parts of the first.
    let (stream, sigma, batch, outputs) = (Stream::new(34, "wide"), f32::MAX, 4, 60);
    for inputs in [1, 3, 17] {
        let (z, clean) = (Matrix::from_fn(batch, inputs, |_, _| 0.01), Matrix::zeros(batch, outputs));
        let mut finite = [0; 2];
        for isa in Isa::available() {
            let (context, mut perturbed) = (&mut context(isa, 1), poisoned(batch, outputs));
            perturbed_per_sample(context, z.view(), clean.view(), stream, sigma, perturbed.view_mut());
            for b in 0..batch {
                let mut noise = poisoned(inputs, outputs);
                noise_of_sample(context, stream, b as u64, sigma, noise.view_mut());
                for j in 0..outputs {
                    let exact: f32 = (0..inputs).map(|i| noise[(i, j)] * 0.01).sum();
                    let got = perturbed[(b, j)];
                    finite[usize::from(exact.is_finite())] += 1;
                    assert_eq!(got.is_finite(), exact.is_finite(), "{isa} {inputs}: {got} for {exact}");
                    assert_eq!(got.is_nan(), exact.is_nan(), "{isa} {inputs}: {got} for {exact}");
                }
            }
        }
        assert!(finite[0] > 0 && (inputs == 17 || finite[1] > 0), "{inputs}: {finite:?}");
    }
}

#[test]
fn per_sample_kernels_have_the_same_bits_on_every_set_and_any_number_of_threads() {
    let (stream, sigma) = (Stream::new(17, "bits"), 0.02f32);
    let (batch, inputs, outputs) = (37, 1710, 10);
    let (z, clean, start) = (random(batch, inputs, 18), random(batch, outputs, 19), random(inputs, outputs, 20));
    let gains: Vec<f32> = random(1, batch, 21).as_slice().to_vec();
    let run = |isa, threads, non_negative| {
        let context = &mut context(isa, threads);
        let (mut perturbed, mut w) = (poisoned(batch, outputs), start.clone());
        perturbed_per_sample(context, z.view(), clean.view(), stream, sigma, perturbed.view_mut());
        reward_update_per_sample(context, stream, sigma, &gains, w.view_mut(), non_negative);
        (bits(perturbed.as_slice()), bits(w.as_slice()))
    };
    for non_negative in [false, true] {
        let expected = run(Isa::Scalar, 1, non_negative);
        for isa in Isa::available() {
            for threads in [1, 2, 3, 7] {
                assert!(run(isa, threads, non_negative) == expected, "{isa} {threads} threads");
            }
        }
    }
}

#[test]
fn a_step_is_its_parts_and_learns() {
    let (batch, inputs, classes) = (60, 20, 3);
    // Classes are told apart by which inputs are on.
    let labels: Vec<u8> = (0..batch).map(|b| (b % classes) as u8).collect();
    let z = Matrix::from_fn(
        batch,
        inputs,
        |b, i| if i % classes == b % classes { 1.0 } else { 0.1 * ((b + i) % 3) as f32 },
    );
    for draws in [Draws::Batch, Draws::Sample] {
        for non_negative in [false, true] {
            let rule = WeightPerturbation { rate: 0.02, sigma: 0.01, non_negative, draws };
            let run = |isa, threads| {
                let context = &mut context(isa, threads);
                let (mut w, mut workspace) = (Matrix::from_fn(inputs, classes, |_, _| 0.1), Workspace::default());
                let mut losses = Vec::new();
                for step in 0..300 {
                    let stream = Stream::new(22, "step").item(step);
                    losses.push(weight_perturbation(
                        context,
                        z.view(),
                        &labels,
                        w.view_mut(),
                        &[0.0, 0.1, 0.0],
                        &rule,
                        stream,
                        &mut workspace,
                    ));
                }
                (losses, w)
            };
            let (losses, w) = run(Isa::best(), 1);
            let (first, last) = (losses[0].clean, losses[299].clean);
            assert!(first > 1.0 && last < 0.7 * first, "{draws:?}: the loss went from {first} to {last}");
            assert!(!non_negative || w.as_slice().iter().all(|&w| w >= 0.0));
            let (other, again) = run(Isa::Scalar, 3);
            assert_eq!((bits(w.as_slice()), losses), (bits(again.as_slice()), other), "{draws:?}");
        }
    }
}

#[test]
fn a_step_moves_the_weights_by_the_mean_over_the_samples() {
    let (batch, inputs, classes) = (7, 20, 3);
    let (z, start) = (random(batch, inputs, 31), random(inputs, classes, 32));
    let labels: Vec<u8> = (0..batch).map(|b| (b % classes) as u8).collect();
    let stream = Stream::new(33, "step");
    let context = &mut context(Isa::best(), 1);
    let rule = WeightPerturbation { rate: 0.02, sigma: 0.01, non_negative: false, draws: Draws::Sample };
    let (mut w, workspace) = (start.clone(), &mut Workspace::default());
    weight_perturbation(context, z.view(), &labels, w.view_mut(), &[0.0; 3], &rule, stream, workspace);
    // Each sample moves them by -rate / sigma^2 (its perturbed loss - its loss) / batch times its noise.
    let (mut clean, mut perturbed) = (poisoned(batch, classes), poisoned(batch, classes));
    matmul_skinny(context, z.view(), start.view(), clean.view_mut());
    perturbed_per_sample(context, z.view(), clean.view(), stream, rule.sigma, perturbed.view_mut());
    let [clean, perturbed] = [clean, perturbed].map(|logits| {
        let mut losses = vec![0.0; batch];
        loss::softmax_cross_entropy(context, logits.view(), &labels, Some(&mut losses), None);
        losses
    });
    let factor = f64::from(rule.rate) / f64::from(rule.sigma).powi(2) / batch as f64;
    let gains: Vec<f32> =
        clean.iter().zip(&perturbed).map(|(&l, &p)| ((f64::from(l) - f64::from(p)) * factor) as f32).collect();
    let mut expected = start.clone();
    reward_update_per_sample(context, stream, rule.sigma, &gains, expected.view_mut(), false);
    for (&got, &expected) in w.as_slice().iter().zip(expected.as_slice()) {
        assert!((got - expected).abs() <= 1e-5, "{got}, expected {expected}");
    }
    assert!(w != start);
}

#[test]
fn a_step_with_a_broken_loss_leaves_the_weights_alone() {
    for draws in [Draws::Batch, Draws::Sample] {
        let rule = WeightPerturbation { rate: 0.1, sigma: 0.1, non_negative: false, draws };
        let mut z = random(4, 5, 23);
        z[(1, 1)] = f32::NAN;
        let start = random(5, 2, 24);
        let mut w = start.clone();
        let (context, workspace) = (&mut context(Isa::best(), 1), &mut Workspace::default());
        let stream = Stream::new(0, "");
        let losses =
            weight_perturbation(context, z.view(), &[0, 1, 0, 1], w.view_mut(), &[0.0; 2], &rule, stream, workspace);
        assert!(losses.clean.is_nan());
        assert!(w == start);
    }
}

#[test]
fn a_step_with_an_infinite_loss_leaves_the_weights_alone() {
    // The label's logit is so far below the other that the loss is beyond f32.
    let (z, bias) = (Matrix::from_slice(&[1.0], 1, 1).unwrap(), [f32::MAX, f32::MIN]);
    for draws in [Draws::Batch, Draws::Sample] {
        let start = Matrix::from_slice(&[-1.0, 0.5], 1, 2).unwrap();
        let (context, workspace, mut w) = (&mut context(Isa::best(), 1), &mut Workspace::default(), start.clone());
        let rule = WeightPerturbation { non_negative: true, draws, ..RULE };
        let losses =
            weight_perturbation(context, z.view(), &[1], w.view_mut(), &bias, &rule, Stream::new(0, ""), workspace);
        assert_eq!((losses.clean, losses.perturbed), (f64::INFINITY, f64::INFINITY), "{draws:?}");
        assert!(w == start, "{draws:?}: {w:?}");
    }
}

#[test]
fn zeros_keep_their_sign_under_the_clamp_however_noise_is_drawn() {
    let start = Matrix::from_slice(&[-0.0, 0.0, -1e-9, 1.0], 4, 1).unwrap();
    let (noise, stream) = (Matrix::from_fn(4, 1, |_, _| 0.5), Stream::new(3, "zeros"));
    for isa in Isa::available() {
        for non_negative in [false, true] {
            let (mut by_batch, mut by_sample) = (start.clone(), start.clone());
            reward_update(&mut context(isa, 1), noise.view(), 0.0, by_batch.view_mut(), non_negative);
            let gains = [0.0; 3];
            reward_update_per_sample(&mut context(isa, 1), stream, 0.5, &gains, by_sample.view_mut(), non_negative);
            let expected = [-0.0, 0.0, if non_negative { 0.0 } else { -1e-9 }, 1.0];
            assert_eq!(bits(by_batch.as_slice()), bits(&expected), "{isa}");
            assert_eq!(bits(by_sample.as_slice()), bits(&expected), "{isa}");
        }
    }
}

#[test]
fn no_samples_change_nothing_but_still_clamp() {
    let start = Matrix::from_slice(&[0.5, -0.25, 0.0, f32::NAN], 2, 2).unwrap();
    for (non_negative, expected) in [(false, [0.5, -0.25, 0.0]), (true, [0.5, 0.0, 0.0])] {
        let mut w = start.clone();
        reward_update_per_sample(
            &mut context(Isa::best(), 1),
            Stream::new(0, ""),
            0.1,
            &[],
            w.view_mut(),
            non_negative,
        );
        assert_eq!(w.as_slice()[..3], expected);
        assert!(w.as_slice()[3].is_nan());
    }
}

#[test]
fn the_reference_distribution_is_the_normal_one() {
    // Values of SciPy's norm.cdf.
    for (x, p) in [
        (0.0, 0.5),
        (1.0, 0.841_344_746_068_542_9),
        (-2.5, 0.006_209_665_325_776_132),
        (4.0, 0.999_968_328_758_166_9),
        (-5.0, 2.866_515_718_791_933e-7),
    ] {
        assert!((reference::normal_distribution(x) - p).abs() < 1e-13 + 1e-9 * p, "{x}");
    }
    assert!((reference::normal_distribution(2.999_999) - reference::normal_distribution(3.000_001)).abs() < 1e-7);
}

#[test]
#[should_panic(expected = "clean_and_perturbed: noise is 4 x 2, expected 4 x 3")]
fn shapes_must_agree() {
    let (z, w, noise) = (random(2, 4, 0), random(4, 3, 0), random(4, 2, 0));
    let (mut clean, mut perturbed) = (poisoned(2, 3), poisoned(2, 3));
    let context = &mut context(Isa::best(), 1);
    clean_and_perturbed(context, z.view(), w.view(), noise.view(), clean.view_mut(), perturbed.view_mut());
}

fn step_of(rule: WeightPerturbation, labels: &[u8]) {
    let (z, mut w) = (random(2, 4, 0), random(4, 3, 0));
    let (context, workspace) = (&mut context(Isa::best(), 1), &mut Workspace::default());
    weight_perturbation(context, z.view(), labels, w.view_mut(), &[0.0; 3], &rule, Stream::new(0, ""), workspace);
}

#[test]
fn noise_for_no_outputs_costs_nothing_however_many_samples_or_inputs_there_are() {
    let most = isize::MAX as usize;
    let (context, stream) = (&mut context(Isa::best(), 1), Stream::new(0, ""));
    let mut none = Matrix::zeros(most, 0);
    noise_of_sample(context, stream, 0, 1.0, none.view_mut());
    let z = Matrix::zeros(most, 0);
    perturbed_per_sample(context, z.view(), z.view(), stream, 1.0, none.view_mut());
}

const RULE: WeightPerturbation = WeightPerturbation { rate: 0.1, sigma: 0.1, non_negative: false, draws: Draws::Batch };

#[test]
#[should_panic(expected = "weight_perturbation: rate is NaN, not a finite number")]
fn a_rate_that_is_no_number_is_refused() {
    step_of(WeightPerturbation { rate: f32::NAN, ..RULE }, &[0, 1]);
}

#[test]
#[should_panic(expected = "weight_perturbation: sigma is 0, not a finite number above zero")]
fn noise_of_no_width_is_refused() {
    step_of(WeightPerturbation { sigma: 0.0, ..RULE }, &[0, 1]);
}

#[test]
#[should_panic(expected = "weight_perturbation: sigma is inf, not a finite number above zero")]
fn noise_of_infinite_width_is_refused() {
    step_of(WeightPerturbation { sigma: f32::INFINITY, ..RULE }, &[0, 1]);
}

#[test]
#[should_panic(expected = "weight_perturbation: label 3 of sample 1, but 3 classes")]
fn a_label_that_is_no_class_is_refused() {
    step_of(RULE, &[0, 3]);
}
