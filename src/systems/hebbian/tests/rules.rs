//! Steps of training, and gradients, against plain `f64` loops over the printed rules.

use super::*;

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
fn an_image_that_is_no_number_has_a_gradient_that_is_none() {
    for activation in [Activation::Relu, Activation::MagnitudeZscore { axis: Axis::Sample, rescale: false }] {
        let hidden = Hidden { activation, ..Hidden::default() };
        let network = Network::new(Config { layers: vec![5], hidden, ..Config::default() }, INPUTS, CLASSES).unwrap();
        let (mut images, mut gradient) = (Matrix::zeros(2, INPUTS), Matrix::zeros(2, INPUTS));
        images.as_mut_slice().fill(0.5);
        images[(1, 0)] = f32::NAN;
        let mut context = Context::new().unwrap();
        network.input_gradient(&mut context, images.view(), &[0, 1], gradient.view_mut()).unwrap();
        assert!(gradient.row(0).iter().all(|value| value.is_finite()), "{activation:?}");
        assert!(gradient.row(1).iter().all(|value| value.is_nan()), "{activation:?}: {:?}", gradient.row(1));
    }
}
