//! Steps of training against plain `f64` loops over the printed rules, and configurations.

use std::ops::ControlFlow;

use super::config::{Activation, Axis, Config, Draws, Hidden, Inputs, Mode, Order, Output, Perturbation, Reward};
use super::network::{Head, Network, activate};
use super::output::{self, PerturbedOutput};
use crate::context::Context;
use crate::datasets::{Dataset, Scaling, Shape};
use crate::error::Error;
use crate::kernels::dense::{self, Write};
use crate::kernels::perturb;
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::random::Stream;
use crate::systems::{Differentiable, Learner, Progress, Schedule, features};

const INPUTS: usize = 12;
const CLASSES: usize = 3;

/// Thirty images of three by four pixels.
fn data() -> Dataset {
    let mut values = vec![0.0; 30 * INPUTS];
    Stream::new(5, "pixels").uniform(0.0, 256.0, &mut values);
    let pixels = values.iter().map(|&v| v as u8).collect::<Vec<u8>>();
    let labels = (0..30).map(|index| (index % CLASSES) as u8).collect();
    Dataset::new(pixels, labels, Shape::new(1, 3, 4).unwrap(), CLASSES).unwrap()
}

fn go(_: &Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

type Rows = Vec<Vec<f64>>;

fn rows(matrix: &Matrix) -> Rows {
    matrix.view().iter_rows().map(|row| row.iter().map(|&v| f64::from(v)).collect()).collect()
}

fn product(a: &Rows, b: &Rows) -> Rows {
    let cell = |row: &Vec<f64>, col: usize| row.iter().zip(b).map(|(a, b)| a * b[col]).sum();
    a.iter().map(|row| (0..b[0].len()).map(|col| cell(row, col)).collect()).collect()
}

/// Rule (6) over the units of each sample.
fn zscore(y: &Rows) -> Rows {
    let sample = |row: &Vec<f64>| {
        let count = row.len() as f64;
        let mean = row.iter().map(|y| y.abs()).sum::<f64>() / count;
        let deviation = (row.iter().map(|y| (y.abs() - mean).powi(2)).sum::<f64>() / count).sqrt();
        row.iter().map(|y| ((y.abs() - mean) / deviation).max(0.0)).collect()
    };
    y.iter().map(sample).collect()
}

/// Rules (1), or (2) if `excluding`, by the sums as printed: the mean update of W.
fn hebb(x: &Rows, z: &Rows, w: &Rows, excluding: bool) -> Rows {
    let mut update = vec![vec![0.0; w[0].len()]; w.len()];
    for (x, z) in x.iter().zip(z) {
        for i in 0..w.len() {
            for j in 0..w[0].len() {
                let decay: f64 =
                    (0..w[0].len()).filter(|&k| !(excluding && k == j)).map(|k| w[i][k] * z[k] * z[j]).sum();
                update[i][j] += x[i] * z[j] - decay;
            }
        }
    }
    update.iter_mut().flatten().for_each(|value| *value /= x.len() as f64);
    update
}

fn softmax(logits: &Rows) -> Rows {
    let sample = |row: &Vec<f64>| {
        let sum: f64 = row.iter().map(|l| l.exp()).sum();
        row.iter().map(|l| l.exp() / sum).collect()
    };
    logits.iter().map(sample).collect()
}

fn add(w: &Rows, factor: f64, update: &Rows, non_negative: bool) -> Rows {
    let cell = |(w, u): (&f64, &f64)| if non_negative { (w + factor * u).max(0.0) } else { w + factor * u };
    w.iter().zip(update).map(|(w, u)| w.iter().zip(u).map(cell).collect()).collect()
}

#[track_caller]
fn close(got: &Rows, expected: &Rows, tolerance: f64, what: &str) {
    for (got, expected) in got.iter().flatten().zip(expected.iter().flatten()) {
        assert!((got - expected).abs() <= tolerance * (1.0 + expected.abs()), "{what}: {got}, expected {expected}");
    }
}

fn logits(z: &Rows, w: &Rows, bias: &[f64]) -> Rows {
    let mut logits = product(z, w);
    logits.iter_mut().for_each(|row| row.iter_mut().zip(bias).for_each(|(l, b)| *l += b));
    logits
}

fn loss(logits: &Rows, labels: &[u8]) -> f64 {
    let chosen = softmax(logits).into_iter().zip(labels).map(|(row, &label)| -row[usize::from(label)].ln());
    chosen.sum::<f64>() / labels.len() as f64
}

fn head(network: &Network) -> (Rows, Vec<f64>) {
    let bias = network.output_bias().iter().map(|&b| f64::from(b)).collect();
    (rows(&network.output_weights().to_owned()), bias)
}

/// Algorithm 1, three steps, with and without the non-negativity constraint: what a network does and what the printed
/// rules say. Only images, batches and noise are taken from the library.
#[test]
fn joint_steps_follow_the_printed_rules() {
    let (data, mut context) = (data(), Context::new().unwrap());
    for non_negative in [false, true] {
        let activation = if non_negative {
            Activation::MagnitudeZscore { axis: Axis::Sample, rescale: false }
        } else {
            Activation::Relu
        };
        let settings = Perturbation {
            eta: 0.05,
            alpha: 0.3,
            beta: 40.0,
            gamma: 2.0,
            batch: 9,
            steps: 3,
            ..Perturbation::default()
        };
        let config = Config {
            layers: vec![7, 5],
            non_negative,
            mode: Mode::Joint,
            hidden: Hidden { activation, rate: 0.05, ..Hidden::default() },
            output: Output::Perturbation(settings.clone()),
            ..Config::default()
        };
        let mut network = Network::new(config, INPUTS, CLASSES).unwrap();
        let (mut hidden, (mut w, mut bias)): (Vec<Rows>, _) =
            (network.layers.0.iter().map(rows).collect(), head(&network));
        let mut batches = features::batches(&data, 9, true, Stream::new(0, "output batches")).unwrap();
        for step in 0..3u64 {
            let batch = batches.indices(step).to_vec();
            let pixel = |&byte: &u8| f64::from(byte) / 255.0;
            let x: Rows = batch.iter().map(|&i| data.image(i as usize).iter().map(pixel).collect()).collect();
            let labels: Vec<u8> = batch.iter().map(|&i| data.labels()[i as usize]).collect();
            let activate = |y: Rows| match activation {
                Activation::Relu => y.into_iter().map(|row| row.into_iter().map(|y| y.max(0.0)).collect()).collect(),
                Activation::MagnitudeZscore { .. } => zscore(&y),
            };
            let z1: Rows = activate(product(&x, &hidden[0]));
            let z2: Rows = activate(product(&z1, &hidden[1]));
            // Output.
            let mut noise = Matrix::zeros(5, CLASSES);
            let sigma = settings.variance.sqrt();
            perturb::gaussian(
                &mut context,
                Stream::new(0, "output noise").item(step),
                sigma as f32,
                noise.as_mut_slice(),
            );
            let noise = rows(&noise);
            let clean = logits(&z2, &w, &bias);
            let difference = loss(&logits(&z2, &add(&w, 1.0, &noise, false), &bias), &labels) - loss(&clean, &labels);
            let activity = softmax(&clean);
            let hebbian = hebb(&z2, &activity, &w, true);
            let update: Rows = (0..w.len())
                .map(|i| {
                    let cell = |k: usize| {
                        let wp = -(settings.eta / settings.variance) * difference * noise[i][k];
                        let wp = if w[i][k] == 0.0 { 0.0 } else { wp };
                        settings.eta * settings.alpha * hebbian[i][k] + settings.eta * settings.beta * wp
                    };
                    (0..CLASSES).map(cell).collect()
                })
                .collect();
            w = add(&w, 1.0, &update, non_negative);
            for k in 0..CLASSES {
                let mean = activity.iter().map(|row| row[k]).sum::<f64>() / 9.0;
                bias[k] += settings.eta * settings.gamma * (1.0 / CLASSES as f64 - mean);
                bias[k] = if non_negative { bias[k].max(0.0) } else { bias[k] };
            }
            // Hidden layers, falling linearly over the three steps.
            let rate = 0.05 * (1.0 - step as f64 / 3.0);
            let updates = [hebb(&x, &z1, &hidden[0], false), hebb(&z1, &z2, &hidden[1], false)];
            for (w, update) in hidden.iter_mut().zip(&updates) {
                *w = add(w, rate, update, non_negative);
            }
            // One step of the network.
            let flow = network.train(&mut context, &data, None, &mut |_| ControlFlow::Break(())).unwrap();
            assert!(flow.is_break());
            for (layer, expected) in hidden.iter().enumerate() {
                close(&rows(&network.layers.0[layer]), expected, 1e-5, "hidden");
            }
            // (E' - E) / sigma^2 magnifies the rounding of the losses by 1 / sigma, some 80.
            let got = head(&network);
            close(&got.0, &w, 2e-4, "output");
            close(&vec![got.1], &vec![bias.clone()], 1e-5, "bias");
        }
    }
}

/// With draws enough, the mean update of weight perturbation is minus the gradient.
#[test]
fn many_draws_agree_with_the_gradient() {
    let data = data();
    for draws in [Draws::PerBatch(1000), Draws::PerSample] {
        let settings = Perturbation {
            eta: 1.0,
            alpha: 0.0,
            beta: 1.0,
            gamma: 1.0,
            variance: 1e-4,
            draws,
            schedule: Schedule::Constant,
            // One draw a sample averages over the batch only: many equal batches make up for it.
            batch: if draws == Draws::PerSample { 60_000 } else { 30 },
            steps: 1,
            ..Perturbation::default()
        };
        let hidden = Hidden { epochs: 0, ..Hidden::default() };
        let output = Output::Perturbation(settings);
        let config = Config { layers: vec![4], hidden, output, ..Config::default() };
        let mut network = Network::new(config, INPUTS, CLASSES).unwrap();
        let (before, bias) = head(&network);
        let mut context = Context::new().unwrap();
        assert!(network.train(&mut context, &data, None, &mut go).unwrap().is_continue());
        let (after, _) = head(&network);
        // Thirty images in class-balanced batches of a multiple of thirty: the batch is the whole set.
        let pixel = |&byte: &u8| f64::from(byte) / 255.0;
        let x: Rows = (0..30).map(|i| data.image(i).iter().map(pixel).collect()).collect();
        let z: Rows = product(&x, &rows(&network.layers.0[0]))
            .into_iter()
            .map(|row| row.into_iter().map(|y| y.max(0.0)).collect())
            .collect();
        let mut error = softmax(&logits(&z, &before, &bias));
        error.iter_mut().zip(data.labels()).for_each(|(row, &label)| row[usize::from(label)] -= 1.0);
        let (mut along, mut step, mut gradient) = (0.0, 0.0, 0.0);
        for i in 0..4 {
            for k in 0..CLASSES {
                let g = -z.iter().zip(&error).map(|(z, e)| z[i] * e[k]).sum::<f64>() / 30.0;
                let moved = after[i][k] - before[i][k];
                along += g * moved;
                step += moved * moved;
                gradient += g * g;
            }
        }
        let cosine = along / (step * gradient).sqrt();
        assert!(cosine > 0.95, "{draws:?}: cosine with the gradient {cosine}");
        assert!((along / gradient - 1.0).abs() < 0.3, "{draws:?}: {} of the gradient's length", along / gradient);
    }
}

#[test]
fn frozen_features_are_the_same_kept_or_computed_anew() {
    let data = data();
    for (inputs, order) in [(Inputs::Standardised, Order::Windows), (Inputs::Scaled, Order::ClassBalanced)] {
        let run = |feature_memory| {
            let output = Perturbation {
                inputs,
                order,
                reward: Reward::Normalised,
                batch: 9,
                steps: 5,
                ..Perturbation::default()
            };
            let hidden = Hidden { batch: 10, epochs: 2, ..Hidden::default() };
            let output = Output::Perturbation(output);
            let config = Config { layers: vec![6, 5], feature_memory, hidden, output, ..Config::default() };
            let mut network = Network::new(config, INPUTS, CLASSES).unwrap();
            let flow = network.train(&mut Context::new().unwrap(), &data, None, &mut go).unwrap();
            assert!(flow.is_continue());
            network
        };
        let (kept, anew) = (run(512), run(0));
        assert_eq!(kept.layers, anew.layers);
        assert_eq!(kept.output, anew.output);
    }
}

#[test]
fn statistics_over_a_batch_need_the_features_kept() {
    let data = data();
    for axis in [Axis::Sample, Axis::Unit, Axis::Whole] {
        for layers in [vec![6], vec![6, 5]] {
            let hidden = Hidden {
                activation: Activation::MagnitudeZscore { axis, rescale: false },
                batch: 10,
                epochs: 1,
                ..Hidden::default()
            };
            let output = Output::Perturbation(Perturbation { batch: 9, steps: 2, ..Perturbation::default() });
            let config = Config { layers, feature_memory: 0, hidden, output, ..Config::default() };
            let mut network = Network::new(config, INPUTS, CLASSES).unwrap();
            let answer = network.train(&mut Context::new().unwrap(), &data, None, &mut go);
            if axis == Axis::Sample {
                assert!(answer.unwrap().is_continue());
            } else {
                let error = answer.unwrap_err().to_string();
                assert!(error.starts_with("feature_memory: expected at least 1 MiB"), "{error}");
            }
        }
    }
}

#[test]
fn windows_are_stretches_of_a_ring() {
    let data = data();
    let order = features::stratified(&data, Stream::new(1, "ring"));
    let mut longer = order.clone();
    longer.extend_from_within(..4);
    let mut context = Context::new().unwrap();
    let (n, pixels) = (data.len(), data.pixels());
    let forward = |_: &mut Context, x: MatRef<'_>, mut out: MatMut<'_>| {
        for row in 0..x.rows() {
            out.row_mut(row).copy_from_slice(x.row(row));
        }
    };
    for limit in [0, 1 << 20] {
        let order_of = Some(longer.clone());
        let keep = features::Keep::AtMost(limit);
        let mut ring = features::Frozen::new(&mut context, &data, pixels, order_of, keep, Box::new(forward)).unwrap();
        for start in [0, 7, n - 5, n - 1] {
            let (x, labels) = ring.window(&mut context, start, 5).unwrap();
            for at in 0..5 {
                let image = order[(start + at) % n] as usize;
                assert_eq!(labels[at], data.labels()[image]);
                let expected: Vec<f32> = data.image(image).iter().map(|&byte| f32::from(byte) / 255.0).collect();
                assert!(x.row(at).iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{start} + {at}");
            }
        }
        // Each image counts once, however far the order goes on.
        let mut all = Matrix::zeros(n, pixels);
        data.gather(&mut context, &(0..n as u32).collect::<Vec<_>>(), Scaling::UNIT, all.view_mut()).unwrap();
        for (pixel, (mean, _)) in ring.moments(&mut context).unwrap().into_iter().enumerate() {
            let expected = (0..n).map(|image| f64::from(all[(image, pixel)])).sum::<f64>() / n as f64;
            assert!((mean - expected).abs() < 1e-12, "{mean}, expected {expected}");
        }
    }
}

#[test]
fn rewards_without_differences_leave_the_output_as_it_was() {
    let mut context = Context::new().unwrap();
    let (z, labels) = (Matrix::zeros(5, 4), [0, 1, 2, 0, 1]);
    for draws in [Draws::PerBatch(1), Draws::PerBatch(3), Draws::PerSample] {
        let config = Perturbation { draws, alpha: 0.0, reward: Reward::Normalised, ..Perturbation::default() };
        let mut head = PerturbedOutput::new(&mut context, Stream::new(1, "w"), 4, 3, false);
        let before = head.clone();
        for number in 0..3 {
            let stream = Stream::new(2, "noise").item(number);
            let step = output::Step { config: &config, non_negative: false, factor: 1.0, stream, number };
            let loss = head.step(&mut context, &mut output::Workspace::new(), z.view(), &labels, &step);
            assert!((loss - 3f64.ln()).abs() < 1e-6);
        }
        assert_eq!(head, before, "{draws:?}");
    }
}

#[test]
fn a_map_of_inputs_that_the_configuration_lacks_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let of = |inputs| Output::Perturbation(Perturbation { inputs, batch: 9, steps: 2, ..Perturbation::default() });
    let hidden = Hidden { batch: 10, epochs: 1, ..Hidden::default() };
    let config = Config { layers: vec![6], hidden, output: of(Inputs::Centred), ..Config::default() };
    let mut network = Network::new(config, INPUTS, CLASSES).unwrap();
    assert!(network.train(&mut Context::new().unwrap(), &data(), None, &mut go).unwrap().is_continue());
    network.save(&path).unwrap();
    assert_eq!(Network::load(&path).unwrap(), network);
    network.config.output = of(Inputs::Plain);
    network.save(&path).unwrap();
    let error = Network::load(&path).unwrap_err().to_string();
    assert!(error.contains("'output.gain'"), "{error}");
    let Head::Perturbation(head) = &mut network.output else { panic!("another head") };
    (head.conditioning, head.reward_square) = (None, -1.0);
    network.save(&path).unwrap();
    let error = Network::load(&path).unwrap_err().to_string();
    assert!(error.contains("a mean of squares"), "{error}");
}

#[test]
fn another_set_may_follow_one_that_was_refused() {
    let config = Config {
        layers: vec![6],
        hidden: Hidden { batch: 10, epochs: 1, class_balanced: true, ..Hidden::default() },
        output: Output::Perturbation(Perturbation { batch: 9, steps: 2, ..Perturbation::default() }),
        ..Config::default()
    };
    let mut network = Network::new(config, INPUTS, CLASSES).unwrap();
    let (data, mut context) = (data(), Context::new().unwrap());
    let one_class: Vec<u32> = (0..data.len() as u32).filter(|&at| data.labels()[at as usize] == 0).collect();
    let error = network.train(&mut context, &data.subset(&one_class).unwrap(), None, &mut go).unwrap_err();
    assert!(error.to_string().contains("images of every class"), "{error}");
    assert!(network.train(&mut context, &data, None, &mut go).unwrap().is_continue());
}

#[test]
fn gradients_by_the_images_are_those_of_the_printed_formulas() {
    use crate::systems::differentiable::tests as common;
    let zscore = |rescale| Activation::MagnitudeZscore { axis: Axis::Sample, rescale };
    let backpropagation = || {
        Output::Backpropagation(crate::systems::read_out::Config {
            rate: 0.05,
            batch: 9,
            feature_length: Some(2.0),
            ..Default::default()
        })
    };
    let perturbation =
        |inputs| Output::Perturbation(Perturbation { inputs, batch: 9, steps: 20, ..Perturbation::default() });
    for (activation, reading, output) in [
        (Activation::Relu, None, backpropagation()),
        (Activation::Relu, Some(zscore(false)), backpropagation()),
        (zscore(true), None, backpropagation()),
        (zscore(false), None, perturbation(Inputs::Plain)),
        (Activation::Relu, Some(zscore(true)), perturbation(Inputs::Standardised)),
    ] {
        let hidden = Hidden { activation, epochs: 0, ..Hidden::default() };
        let config = Config { layers: vec![9, 7], reading, hidden, output, ..Config::default() };
        let mut network = Network::new(config, common::INPUTS, common::CLASSES).unwrap();
        // Weights large enough for the loss to change.
        for (layer, w) in network.layers.0.iter_mut().enumerate() {
            Stream::new(layer as u64, "weights").uniform(-1.0, 1.0, w.as_mut_slice());
        }
        let mut network = common::trained(network);
        if let Head::Perturbation(head) = &mut network.output {
            Stream::new(9, "weights").uniform(-1.0, 1.0, head.weights.as_mut_slice());
        }
        let (scale, map) = match &network.output {
            Head::Backpropagation(output) => (output.scale, None),
            Head::Perturbation(output) => (1.0, output.conditioning.clone()),
        };
        common::follows_the_loss(&network, &|x, label| {
            let mut z = x.to_vec();
            for (index, w) in network.layers.0.iter().enumerate() {
                z = common::product(&z, w.view());
                match if index == 1 { reading.unwrap_or(activation) } else { activation } {
                    Activation::Relu => z.iter_mut().for_each(|y| *y = y.max(0.0)),
                    Activation::MagnitudeZscore { rescale, .. } => {
                        z = self::zscore(&vec![z]).remove(0);
                        let largest = z.iter().copied().fold(0.0, f64::max);
                        z.iter_mut().for_each(|z| *z /= if rescale { largest } else { 1.0 });
                    }
                }
            }
            if let Some(map) = &map {
                let both = map.shift.iter().zip(&map.gain);
                z.iter_mut().zip(both).for_each(|(z, (&shift, &gain))| *z = (*z - f64::from(shift)) * f64::from(gain));
            }
            common::cross_entropy(&z, network.output_weights(), network.output_bias(), scale, label)
        });
    }
    let hidden =
        Hidden { activation: Activation::MagnitudeZscore { axis: Axis::Unit, rescale: false }, ..Hidden::default() };
    let network = Network::new(Config { layers: vec![5], hidden, ..Config::default() }, INPUTS, CLASSES).unwrap();
    let (images, mut gradient) = (Matrix::zeros(2, INPUTS), Matrix::zeros(2, INPUTS));
    let mut context = Context::new().unwrap();
    let error = network.input_gradient(&mut context, images.view(), &[0, 1], gradient.view_mut()).unwrap_err();
    assert!(error.to_string().starts_with("activation: expected statistics of each image"), "{error}");
}

#[test]
fn a_new_output_on_trained_layers_is_the_one_a_whole_run_gives() {
    let data = data();
    let train = |network: &mut Network| {
        assert!(network.train(&mut Context::new().unwrap(), &data, None, &mut go).unwrap().is_continue());
    };
    let output = Output::Perturbation(Perturbation { batch: 9, steps: 5, ..Perturbation::default() });
    let hidden = Hidden { batch: 10, epochs: 2, ..Hidden::default() };
    let config =
        Config { layers: vec![6], hidden, output: Output::Backpropagation(Default::default()), ..Config::default() };
    let mut first = Network::new(config.clone(), INPUTS, CLASSES).unwrap();
    assert!(first.with_output(None, output.clone()).is_err(), "the hidden layer is untrained");
    train(&mut first);
    let mut second = first.with_output(None, output.clone()).unwrap();
    train(&mut second);
    let mut whole = Network::new(Config { output, ..config }, INPUTS, CLASSES).unwrap();
    train(&mut whole);
    assert_eq!(second, whole);
    assert!(matches!(second.output, Head::Perturbation(_)));
}

#[test]
fn configurations_survive_toml() {
    let mut config = Config::default();
    assert_eq!(Config::from_toml(&config.to_toml(), "x").unwrap(), config);
    assert_eq!(Config::from_toml("", "x").unwrap(), config, "every key has its default");
    config.reading = Some(Activation::MagnitudeZscore { axis: Axis::Unit, rescale: true });
    config.hidden.rule = super::Rule::SoftWinnerTakeAll { temperature: 0.5 };
    config.output = Output::Backpropagation(Default::default());
    assert_eq!(Config::from_toml(&config.to_toml(), "x").unwrap(), config);
}

#[test]
fn configurations_out_of_range_say_key_range_and_value() {
    let refused = [
        ("layers = []", "layers", "1 to 64", "0"),
        ("layers = [5, 0]", "layers[1]", "1 to", "0"),
        ("[hidden]\nrate = -1.0", "hidden.rate", "above 0", "-1"),
        ("[hidden]\nrate = nan", "hidden.rate", "above 0", "NaN"),
        ("[hidden]\nbatch = 0", "hidden.batch", "from 1", "0"),
        ("layers = [5]\n[hidden]\nrule = { winners_take_all = { k = 6 } }", "winners_take_all.k", "1 to 5", "6"),
        ("[output.perturbation]\nvariance = 0.0", "output.perturbation.variance", "above 0", "0"),
        ("[output.perturbation]\nvariance = 1e-300", "output.perturbation.variance", "range of f32", "0.0"),
        ("[output.perturbation]\nalpha = 1e300", "output.perturbation.alpha", "range of f32", "10"),
        ("[hidden]\nrule = { soft_winner_take_all = { temperature = 1e-39 } }", "temperature", "range of f32", "0.0"),
        ("[output.perturbation]\ndraws = { per_batch = 0 }", "draws.per_batch", "1 to", "0"),
        ("[output.backpropagation]\nrate = inf", "output.backpropagation.rate", "finite", "inf"),
        (
            "mode = 'joint'\n[output.perturbation]\norder = 'windows'",
            "output.perturbation.order",
            "layer_wise",
            "Windows",
        ),
    ];
    for (text, key, range, found) in refused {
        match Config::from_toml(text, "test.toml") {
            Err(Error::Setting { name, expected, found: value }) => {
                assert!(
                    name.contains(key) && expected.contains(range) && value.contains(found),
                    "{name} {expected} {value}"
                );
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    for (text, word) in [
        ("lairs = [5]", "lairs"),
        ("\n\n[hidden]\nspeed = 3", "line 4"),
        ("[output.perturbation]\nbatch = 'many'", "line 2, 'batch"),
        ("[hidden]\nrule = 'backprop'", "backprop"),
        ("layers = [", "test.toml"),
        ("seed = -1", "seed"),
    ] {
        let error = Config::from_toml(text, "test.toml").unwrap_err();
        assert!(matches!(error, Error::Format { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
}

/// What the sums of a layer may differ by, for inputs x that may differ by `input`: each side's own rounding, and that of the inputs.
fn sums_differ(x: &Rows, input: &Rows, w: &Rows) -> Rows {
    let rounding = 2.02 * w.len() as f64 * 2f64.powi(-24);
    let sample = |(x, d): (&Vec<f64>, &Vec<f64>)| {
        let unit = |j: usize| {
            let terms = x.iter().zip(d).zip(w).map(|((x, d), w)| (d + rounding * (x.abs() + d)) * w[j].abs());
            terms.sum()
        };
        (0..w[0].len()).map(unit).collect()
    };
    x.iter().zip(input).map(sample).collect()
}

/// What the activities of sums y that may differ by d differ by, z those of y: as documented.
fn activities_differ(activation: Activation, y: &Matrix, z: &Rows, d: &Rows) -> Rows {
    let Activation::MagnitudeZscore { rescale, .. } = activation else { return d.clone() };
    let axis = crate::kernels::activation::Axis::Sample;
    let reference = crate::kernels::activation::reference::magnitude_zscore_bounds;
    let own = reference(y.as_slice(), y.rows(), y.cols(), axis, rescale);
    let (cols, n) = (y.cols(), y.cols() as f64);
    let sample = |(row, (z, d)): (usize, (&Vec<f64>, &Vec<f64>))| -> Vec<f64> {
        let a: Vec<f64> = y.row(row).iter().map(|&y| f64::from(y).abs()).collect();
        let mean = a.iter().sum::<f64>() / n;
        let deviation = (a.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / n).sqrt();
        let (d_mean, d_rms) = (d.iter().sum::<f64>() / n, (d.iter().map(|d| d * d).sum::<f64>() / n).sqrt());
        let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        let (span, d_span) = (most(&a) - mean, most(d) + d_mean);
        if deviation == 0.0 {
            // All alike on both sides, or the bound says nothing.
            return vec![if most(d) == 0.0 { 0.0 } else { f64::INFINITY }; z.len()];
        }
        let unit = |(j, (z, d)): (usize, (&f64, &f64))| {
            let moved = match rescale {
                true => (d + d_mean + z * d_span) / (span - d_span),
                false => (d + d_mean + z * d_rms) / (deviation - d_rms),
            };
            // The other side's rounding is that of other sums, nearly the same.
            moved + 2.1 * own[row * cols + j]
        };
        z.iter().zip(d).enumerate().map(unit).collect()
    };
    z.iter().zip(d).enumerate().map(sample).collect()
}

/// A network whose weights are zero but for these shares, layer by layer and the output's last.
fn sparse_network(densities: &[f64], activation: Activation, output: Output, data: &Dataset) -> Network {
    let hidden = Hidden { activation, epochs: 0, ..Hidden::default() };
    let layers = [70, 40][..densities.len() - 1].to_vec();
    let mut network = Network::new(Config { layers, hidden, output, ..Config::default() }, INPUTS, CLASSES).unwrap();
    let fill = |w: &mut Matrix, density: f64, seed: u64| {
        let (mut kept, mut values) = (vec![0.0; w.as_slice().len()], vec![0.0; w.as_slice().len()]);
        Stream::new(seed, "kept").uniform(0.0, 1.0, &mut kept);
        Stream::new(seed, "values").uniform(-1.0, 1.0, &mut values);
        let cells = kept.iter().zip(&values).map(|(&kept, &value)| if f64::from(kept) < density { value } else { 0.0 });
        w.as_mut_slice().iter_mut().zip(cells).for_each(|(w, cell)| *w = cell);
    };
    for (layer, w) in network.layers.0.iter_mut().enumerate() {
        fill(w, densities[layer], layer as u64);
    }
    // The output's scale and map of inputs are found when its training begins.
    assert!(network.train(&mut Context::new().unwrap(), data, None, &mut go).unwrap().is_continue());
    let weights = match &mut network.output {
        Head::Backpropagation(output) => &mut output.weights,
        Head::Perturbation(output) => &mut output.weights,
    };
    fill(weights, densities[densities.len() - 1], 9);
    network
}

#[test]
fn compressed_networks_answer_within_the_bound() {
    use crate::kernels::masked::Strategy;
    let (data, mut context) = (data(), Context::new().unwrap());
    let zscore = |rescale| Activation::MagnitudeZscore { axis: Axis::Sample, rescale };
    let backpropagation = || {
        let feature_length = Some(2.0);
        Output::Backpropagation(crate::systems::read_out::Config {
            batch: 9,
            epochs: 1,
            feature_length,
            ..Default::default()
        })
    };
    let perturbation =
        |inputs| Output::Perturbation(Perturbation { inputs, batch: 9, steps: 2, ..Perturbation::default() });
    let mut x = Matrix::zeros(data.len(), INPUTS);
    data.gather(&mut context, &(0..30).collect::<Vec<u32>>(), Scaling::UNIT, x.view_mut()).unwrap();
    for (densities, activation, output) in [
        (&[0.1, 0.05][..], Activation::Relu, backpropagation()),
        (&[0.2, 0.1, 0.3], Activation::Relu, perturbation(Inputs::Plain)),
        (&[0.2, 1.0, 0.2], zscore(false), perturbation(Inputs::Standardised)),
        (&[1.0, 0.1, 1.0], zscore(true), backpropagation()),
        (&[0.3, 0.1, 0.5], zscore(false), perturbation(Inputs::Scaled)),
        // Layers without any weight: the answers are the biases.
        (&[0.0, 0.2], zscore(false), backpropagation()),
        (&[0.2, 0.0, 0.1], Activation::Relu, perturbation(Inputs::Plain)),
        (&[0.2, 0.0], zscore(true), perturbation(Inputs::Plain)),
    ] {
        let network = sparse_network(densities, activation, output, &data);
        let compressed = network.compressed(&mut context, x.rows()).unwrap();
        for (plan, &density) in compressed.plans().zip(densities) {
            let expected = if density < 0.4 { Strategy::Sparse } else { Strategy::Dense };
            assert_eq!(plan.strategy(), expected, "{plan}");
        }
        assert_eq!(compressed.plans().count(), densities.len());

        // The network, layer by layer, with what the other side may differ by.
        let (mut z, mut z_rows) = (x.clone(), rows(&x));
        let mut differ: Rows = vec![vec![0.0; INPUTS]; 30];
        for w in &network.layers.0 {
            let mut y = Matrix::zeros(30, w.cols());
            dense::matmul(&mut context, z.view(), w.view(), y.view_mut(), Write::Replace);
            differ = sums_differ(&z_rows, &differ, &rows(w));
            z = y.clone();
            activate(&mut context, activation, z.view_mut());
            z_rows = rows(&z);
            differ = activities_differ(activation, &y, &z_rows, &differ);
        }
        let unit = 2f64.powi(-24);
        let mut scale = 1.0;
        match &network.output {
            Head::Perturbation(PerturbedOutput { conditioning: Some(map), .. }) => {
                for (z, d) in z_rows.iter_mut().zip(&mut differ) {
                    for (at, (z, d)) in z.iter_mut().zip(d).enumerate() {
                        let (shift, gain) = (f64::from(map.shift[at]), f64::from(map.gain[at]));
                        *d = (*d + 4.04 * unit * (z.abs() + shift.abs() + *d)) * gain.abs();
                        *z = (*z - shift) * gain;
                    }
                }
            }
            Head::Perturbation(_) => (),
            Head::Backpropagation(output) => scale = f64::from(output.scale),
        }
        let w = rows(&network.output_weights().to_owned());
        let differ = sums_differ(&z_rows, &differ, &w);
        let (mut got, mut dense) = (Matrix::zeros(30, CLASSES), Matrix::zeros(30, CLASSES));
        compressed.predict(&mut context, x.view(), got.view_mut());
        network.predict(&mut context, x.view(), dense.view_mut());
        for row in 0..30 {
            for (class, &bias) in network.output_bias().iter().enumerate() {
                let (got, dense) = (f64::from(got[(row, class)]), f64::from(dense[(row, class)]));
                let bound = scale * differ[row][class]
                    + 4.04 * unit * (dense.abs() + f64::from(bias).abs() + scale * differ[row][class]);
                assert!(bound < 1e-2 * (1.0 + dense.abs()), "a bound that says nothing: {bound} of {dense}");
                assert!(
                    (got - dense).abs() <= bound,
                    "{densities:?} {activation:?}: {got}, dense {dense}, within {bound}"
                );
                assert!(!densities.contains(&0.0) || got == f64::from(bias), "{densities:?}: {got}, bias {bias}");
            }
        }
        let accuracy = network.accuracy(&mut context, &data).unwrap();
        assert_eq!(compressed.accuracy(&mut context, &data).unwrap(), accuracy);

        // The same bits on every instruction set, on any number of threads, and wherever it was compressed.
        for isa in crate::Isa::available() {
            for threads in [1, 3] {
                let mut context = Context::on(isa).unwrap().with_threads(crate::Threads::always(threads).unwrap());
                let mut again = Matrix::zeros(30, CLASSES);
                compressed.predict(&mut context, x.view(), again.view_mut());
                assert_eq!(again, got, "{isa}, {threads} threads");
                let elsewhere = network.compressed(&mut context, x.rows()).unwrap();
                elsewhere.predict(&mut Context::new().unwrap(), x.view(), again.view_mut());
                assert_eq!(again, got, "compressed on {isa}");
            }
        }
    }
}

#[test]
fn what_is_not_a_number_reaches_the_units_that_have_a_weight_for_it() {
    let (data, mut context) = (data(), Context::new().unwrap());
    for density in [0.2, 1.0] {
        let output =
            Output::Backpropagation(crate::systems::read_out::Config { batch: 9, epochs: 1, ..Default::default() });
        let mut network = sparse_network(&[density, 1.0], Activation::Relu, output, &data);
        network.layers.0[0].row_mut(5).fill(0.0);
        network.layers.0[0][(6, 1)] = 0.5;
        let compressed = network.compressed(&mut context, 2).unwrap();
        let mut x = Matrix::zeros(2, INPUTS);
        Stream::new(1, "x").uniform(0.0, 1.0, x.as_mut_slice());
        let mut blank = x.clone();
        (x[(0, 5)], blank[(0, 5)]) = (f32::NAN, 0.0);
        let (mut got, mut expected) = (Matrix::zeros(2, CLASSES), Matrix::zeros(2, CLASSES));
        compressed.predict(&mut context, x.view(), got.view_mut());
        compressed.predict(&mut context, blank.view(), expected.view_mut());
        assert!(got.as_slice().iter().all(|logit| logit.is_finite()), "no unit sees it: {got:?}");
        for (got, expected) in got.as_slice().iter().zip(expected.as_slice()) {
            assert!((got - expected).abs() < 1e-5, "{got}, expected {expected}");
        }
        network.predict(&mut context, x.view(), got.view_mut());
        assert!(got.row(0)[0].is_nan(), "the dense product hands it to all");
        // One that a unit sees, and a weight.
        x[(0, 5)] = 0.0;
        x[(1, 6)] = f32::INFINITY;
        compressed.predict(&mut context, x.view(), got.view_mut());
        assert!(got.row(0).iter().all(|logit| logit.is_finite()) && got.row(1).iter().all(|logit| !logit.is_finite()));
        network.layers.0[0][(6, 1)] = f32::NAN;
        let compressed = network.compressed(&mut context, 2).unwrap();
        compressed.predict(&mut context, blank.view(), got.view_mut());
        assert!(got.as_slice().iter().all(|logit| logit.is_nan()), "{got:?}");
    }
}
