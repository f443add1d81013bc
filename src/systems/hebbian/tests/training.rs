//! What a schedule leads to: features kept or computed anew, windows, outputs on trained layers.

use super::*;

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
        let mut head = PerturbedOutput::zeros(4, 3);
        Stream::new(1, "w").uniform(-0.01, 0.01, head.weights.as_mut_slice());
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
fn further_layers_learn_at_their_part_of_the_rate() {
    let data = data();
    let trained = |mode, rate, depth_factor| {
        // One batch, which both layers see before either has learned, if they learn jointly.
        let hidden = Hidden { rate, depth_factor, batch: data.len(), epochs: 1, ..Hidden::default() };
        let output = Output::Perturbation(Perturbation { batch: data.len(), steps: 1, ..Perturbation::default() });
        let config = Config { layers: vec![6, 5], mode, hidden, output, ..Config::default() };
        let mut network = Network::new(config, INPUTS, CLASSES).unwrap();
        assert!(network.train(&mut Context::new().unwrap(), &data, None, &mut go).unwrap().is_continue());
        network.layers.0
    };
    let joint = trained(Mode::Joint, 0.02, 0.25);
    let (fast, slow) = (trained(Mode::Joint, 0.02, 1.0), trained(Mode::Joint, 0.005, 1.0));
    assert_eq!((&joint[0], &joint[1]), (&fast[0], &slow[1]));
    assert_ne!(slow[1], fast[1]);
    let (layer_wise, fast) = (trained(Mode::LayerWise, 0.02, 0.25), trained(Mode::LayerWise, 0.02, 1.0));
    assert_eq!(layer_wise[0], fast[0]);
    assert_ne!(layer_wise[1], fast[1]);
}

#[test]
fn faint_weights_are_counted_against_the_largest_of_their_own_layer() {
    let mut network = Network::new(Config { layers: vec![6, 5], ..Config::default() }, INPUTS, CLASSES).unwrap();
    // A layer's largest is negative; in the other, a thousandth as large, the same value is not faint.
    for (layer, values) in [[-2.0, 0.0, 0.01, -0.01, 0.0101], [0.002, 0.0, 0.00001, 0.01, 0.0001]].iter().enumerate() {
        let weights = network.layers.0[layer].as_mut_slice();
        weights.fill(1.5 * values[0]);
        weights[..5].copy_from_slice(values);
    }
    let all = (INPUTS * 6 + 6 * 5) as f64;
    assert_eq!(network.zero_share(), 2.0 / all);
    // 0.015 is the most in the first layer; 0.01, which is the largest of the second, lets 0.00005 be faint.
    assert_eq!(network.faint_share(0.005), (4.0 + 2.0) / all);
    network.layers.0[0].as_mut_slice()[0] = f32::INFINITY;
    assert_eq!(network.zero_share(), 2.0 / all);
    let bare = crate::systems::baselines::softmax::Network::new(Default::default(), INPUTS, CLASSES).unwrap();
    assert_eq!((bare.zero_share(), bare.faint_share(0.5)), (0.0, 0.0));
}

#[test]
fn a_longer_last_phase_has_the_bits_of_one_that_was_so_long_from_the_beginning() {
    use crate::systems::read_out;
    let data = data();
    let train = |network: &mut Network| {
        let flow = network.train(&mut Context::new().unwrap(), &data, Some(&data), &mut go);
        assert!(flow.unwrap().is_continue() && network.finished());
    };
    let constant = Schedule::Constant;
    let read_out = |epochs| {
        Output::Backpropagation(read_out::Config { schedule: constant, batch: 9, epochs, ..Default::default() })
    };
    let noisy = |steps| Output::Perturbation(Perturbation { batch: 9, steps, ..Perturbation::default() });
    let hidden = Hidden { schedule: constant, batch: 10, epochs: 1, ..Hidden::default() };
    for (mode, [short, long]) in [
        (Mode::LayerWise, [read_out(1), read_out(3)]),
        // Whole epochs, so that points of the curve lie alike.
        (Mode::LayerWise, [noisy(4), noisy(8)]),
        (Mode::Joint, [read_out(1), read_out(3)]),
        (Mode::Joint, [noisy(4), noisy(8)]),
    ] {
        let config = |output: &Output| Config {
            layers: vec![6, 5],
            mode,
            hidden: hidden.clone(),
            output: output.clone(),
            ..Config::default()
        };
        let mut first = Network::new(config(&short), INPUTS, CLASSES).unwrap();
        train(&mut first);
        assert_eq!(first.clone().extended(config(&short)).unwrap(), first);
        let mut extended = first.clone().extended(config(&long)).unwrap();
        assert!(!extended.finished() && extended != first);
        train(&mut extended);
        let mut whole = Network::new(config(&long), INPUTS, CLASSES).unwrap();
        train(&mut whole);
        assert_eq!(extended, whole, "{mode:?} {long:?}");
        let refused = |network: &Network, config, because: &str| {
            let error = network.clone().extended(config).unwrap_err().to_string();
            assert!(error.contains(because), "{error}");
        };
        refused(&whole, config(&short), "output.");
        refused(&first, Config { seed: 1, ..config(&long) }, "but for the length of its last phase");
        let other = if matches!(short, Output::Perturbation(_)) { read_out(3) } else { noisy(8) };
        refused(&first, config(&other), "another one");
    }
    // Where rates fall, they fell by the shorter length.
    let of = |mode, hidden: Schedule, output, epochs| Config {
        layers: vec![6],
        mode,
        hidden: Hidden { schedule: hidden, batch: 10, epochs: 1, ..Hidden::default() },
        output: Output::Backpropagation(read_out::Config { schedule: output, batch: 9, epochs, ..Default::default() }),
        ..Config::default()
    };
    for (mode, hidden, output, possible) in [
        (Mode::LayerWise, Schedule::Linear, constant, true),
        (Mode::LayerWise, constant, Schedule::Linear, false),
        (Mode::Joint, Schedule::Linear, constant, false),
    ] {
        let network = Network::new(of(mode, hidden, output, 1), INPUTS, CLASSES).unwrap();
        let extended = network.extended(of(mode, hidden, output, 2));
        assert_eq!(extended.is_ok(), possible, "{mode:?} {hidden:?} {output:?}: {extended:?}");
    }
}
