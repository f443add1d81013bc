//! What all learners share, and outcomes.

use super::*;

#[test]
fn medians_stand_between_their_quartiles() {
    let of = |runs: &[f64]| {
        let outcome = Outcome::new("s", "e", "q", Better::More, None, runs.to_vec(), 0.0).of_medians();
        (outcome.ours, outcome.spread)
    };
    assert_eq!(of(&[9.0, 1.0, 2.0, 3.0, 100.0]), (3.0, 3.5));
    assert_eq!(of(&[1.0, 2.0]), (1.5, 0.25));
    assert_eq!(of(&[4.0]), (4.0, 0.0));
}

#[test]
fn networks_that_no_memory_holds_are_refused() {
    use crate::systems::{baselines, evolution, hebbian};
    let wide = vec![1 << 20, 1 << 20];
    let config = hebbian::Config { layers: wide.clone(), ..Default::default() };
    let mut errors = vec![hebbian::Network::new(config, 784, 10).map(|_| ()).unwrap_err()];
    let config = baselines::backprop::Config { layers: wide, ..Default::default() };
    errors.push(baselines::backprop::Network::new(config, 784, 10).map(|_| ()).unwrap_err());
    let config = baselines::krotov_hopfield::Config { layers: vec![1 << 20], ..Default::default() };
    errors.push(baselines::krotov_hopfield::Network::new(config, 3072, 10).map(|_| ()).unwrap_err());
    let config = evolution::dopaminergic::Config { hidden: 1 << 22, ..Default::default() };
    errors.push(evolution::dopaminergic::Network::new(config, 784, 10).map(|_| ()).unwrap_err());
    errors.push(baselines::softmax::Network::new(Default::default(), 1 << 24, 256).map(|_| ()).unwrap_err());
    let population = |config: evolution::Config, inputs| evolution::Network::new(config, inputs, 10).map(|_| ());
    let config = evolution::Config { hidden: 1 << 20, edge_probability: 1e-9, genes: 1, ..Default::default() };
    errors.push(population(config, 1 << 16).unwrap_err());
    for error in errors {
        assert!(error.to_string().contains("at most 1073741824 weights in all"), "{error}");
    }
    let refused = |config, name: &str| {
        let error = population(config, 784).unwrap_err().to_string();
        assert!(error.contains(name), "{name}: {error}");
    };
    let config = evolution::Config::default();
    let (genes, many) = (1 << 20, 1 << 20);
    let sparse = evolution::Config { genes, population: many, density: 0.0, ..config.clone() };
    refused(sparse, "population x genes");
    // Few entries, but to find them every pair of link and gene is looked at.
    refused(evolution::Config { genes: 1 << 24, density: 1e-9, ..config.clone() }, "links x genes");
    let dense = evolution::Config { genes: 1 << 15, density: 1.0, ..config.clone() };
    refused(dense, "entries of the weight generation matrix");
    // Many times the paper's genes and genotypes, and all of its edges.
    let large = evolution::Config { genes: 40_000, population: 16_384, edge_probability: 1.0, ..config };
    population(large, 784).unwrap();
}

#[test]
fn batches_that_no_memory_holds_are_refused() {
    use crate::systems::{baselines, hebbian};
    let batch = 1 << 20;
    let read_out = read_out::Config { batch, ..Default::default() };
    let hebbian = |config: hebbian::Config| hebbian::Network::new(config, 784, 10).map(|_| ()).unwrap_err();
    let hidden = hebbian::Hidden { batch, ..Default::default() };
    let output = hebbian::Output::Backpropagation(read_out.clone());
    let draws = hebbian::Draws::PerBatch(1024);
    let noisy = hebbian::Perturbation { draws, batch, ..Default::default() };
    let noisy = hebbian::Output::Perturbation(noisy);
    let mut errors = vec![
        hebbian(hebbian::Config { hidden, ..Default::default() }),
        hebbian(hebbian::Config { output, ..Default::default() }),
        hebbian(hebbian::Config { layers: vec![8], output: noisy, ..Default::default() }),
    ];
    let config = baselines::backprop::Config { batch, ..Default::default() };
    errors.push(baselines::backprop::Network::new(config, 784, 10).map(|_| ()).unwrap_err());
    let config = baselines::krotov_hopfield::Config { batch, ..Default::default() };
    errors.push(baselines::krotov_hopfield::Network::new(config, 784, 10).map(|_| ()).unwrap_err());
    let config = baselines::krotov_hopfield::Config { output: read_out.clone(), ..Default::default() };
    errors.push(baselines::krotov_hopfield::Network::new(config, 784, 10).map(|_| ()).unwrap_err());
    let config = baselines::softmax::Config { output: read_out, ..Default::default() };
    errors.push(baselines::softmax::Network::new(config, 3072, 10).map(|_| ()).unwrap_err());
    for error in errors {
        assert!(error.to_string().contains("at most 1073741824 values of a batch"), "{error}");
    }
    // Small batches, but as many values of noise as weights for each draw, or each sixteenth of the batch.
    for (draws, batch) in [(hebbian::Draws::PerBatch(1024), 1), (hebbian::Draws::PerSample, 500)] {
        let output = hebbian::Output::Perturbation(hebbian::Perturbation { draws, batch, ..Default::default() });
        let config = hebbian::Config { layers: vec![8, 1 << 19], feature_memory: 0, output, ..Default::default() };
        let error = hebbian::Network::new(config, 784, 256).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("at most 1073741824 values of noise"), "{error}");
    }
}

#[test]
fn another_output_layer_is_held_to_what_memory_holds() {
    use crate::systems::{baselines::krotov_hopfield, hebbian};
    let data = crate::datasets::embedded().test;
    let mut context = Context::new().unwrap();
    let quick = read_out::Config { epochs: 1, batch: 500, ..Default::default() };
    let large = read_out::Config { batch: 1 << 20, ..quick.clone() };
    let output = hebbian::Output::Backpropagation(quick.clone());
    let hidden = hebbian::Hidden { epochs: 1, ..Default::default() };
    let config = hebbian::Config { layers: vec![1100], hidden, output, ..Default::default() };
    let mut network = hebbian::Network::new(config, 784, 10).unwrap();
    let mut go = |_: &Progress<'_>| ControlFlow::Continue(());
    let _ = network.train(&mut context, &data, None, &mut go).unwrap();
    let error = network.with_output(None, hebbian::Output::Backpropagation(large.clone())).unwrap_err().to_string();
    assert!(error.contains("1073741824 values of a batch"), "{error}");
    let config = krotov_hopfield::Config { layers: vec![1100], epochs: 1, output: quick, ..Default::default() };
    let mut network = krotov_hopfield::Network::new(config, 784, 10).unwrap();
    let _ = network.train(&mut context, &data, None, &mut go).unwrap();
    let error = network.with_reading(krotov_hopfield::Reading::Relu, large).unwrap_err().to_string();
    assert!(error.contains("1073741824 values of a batch"), "{error}");
}

#[test]
fn threads_can_share_learners() {
    fn shared<T: Send + Sync + Debug + ?Sized>() {}
    shared::<dyn Learner>();
    shared::<dyn Differentiable>();
    shared::<hebbian::Compressed>();
}

#[test]
fn baselines_go_on_where_rates_are_constant() {
    use crate::systems::baselines::{backprop, krotov_hopfield, softmax};
    let data = differentiable::tests::data();
    let (inputs, classes) = (differentiable::tests::INPUTS, differentiable::tests::CLASSES);
    fn train<N: Learner>(mut network: N, data: &Dataset) -> N {
        let flow = network.train(&mut Context::new().unwrap(), data, Some(data), &mut |_| ControlFlow::Continue(()));
        assert!(flow.unwrap().is_continue());
        network
    }
    let read_out = |schedule, epochs| read_out::Config { schedule, batch: 4, epochs, ..read_out::Config::default() };
    let hidden = |schedule, epochs| backprop::Config {
        layers: vec![5],
        schedule,
        batch: 4,
        epochs,
        ..backprop::Config::default()
    };
    let krotov_hopfield = |schedule, epochs| krotov_hopfield::Config {
        layers: vec![7],
        batch: 4,
        epochs: 2,
        output: read_out(schedule, epochs),
        ..krotov_hopfield::Config::default()
    };
    let softmax =
        |schedule, epochs| softmax::Config { output: read_out(schedule, epochs), ..softmax::Config::default() };
    macro_rules! check {
        ($network:ty, $config:expr) => {
            let new = |schedule, epochs| <$network>::new($config(schedule, epochs), inputs, classes).unwrap();
            let first = train(new(Schedule::Constant, 1), &data);
            let whole = train(new(Schedule::Constant, 3), &data);
            let extended = first.clone().extended($config(Schedule::Constant, 3)).unwrap();
            assert!(!extended.finished());
            assert_eq!(train(extended, &data), whole);
            assert!(whole.extended($config(Schedule::Constant, 1)).is_err());
            let other = {
                let mut config = $config(Schedule::Constant, 3);
                config.seed = 1;
                config
            };
            let error = first.extended(other).unwrap_err().to_string();
            assert!(error.contains("but for the length of its last phase"), "{error}");
            let error = new(Schedule::Linear, 1).extended($config(Schedule::Linear, 3)).unwrap_err().to_string();
            assert!(error.contains("constant rates"), "{error}");
        };
    }
    check!(backprop::Network, hidden);
    check!(krotov_hopfield::Network, krotov_hopfield);
    check!(softmax::Network, softmax);
}

#[test]
fn a_step_counts_even_if_the_monitor_can_no_longer_be_read() {
    use crate::datasets::{Shape, tests::cut_off};
    use crate::systems::baselines::{backprop, krotov_hopfield, softmax};
    use crate::systems::evolution::{self, dopaminergic};
    use crate::systems::hebbian;
    let mut pixels = vec![0.0; 30 * 3072];
    crate::random::Stream::new(5, "pixels").uniform(0.0, 256.0, &mut pixels);
    let pixels: Vec<u8> = pixels.into_iter().map(|pixel| pixel as u8).collect();
    let labels = (0..30).map(|image| image % 10).collect();
    let data = Dataset::new(pixels, labels, Shape::new(3, 32, 32).unwrap(), 10).unwrap();
    let (_folder, unreadable) = cut_off();
    let read_out = read_out::Config { batch: 10, epochs: 2, ..Default::default() };
    let noisy = hebbian::Perturbation { batch: 10, steps: 6, ..Default::default() };
    let hebbian = |mode, output: hebbian::Output| -> Box<dyn Learner> {
        let hidden = hebbian::Hidden { batch: 10, epochs: 1, ..Default::default() };
        let config = hebbian::Config { layers: vec![6], mode, hidden, output, ..Default::default() };
        Box::new(hebbian::Network::new(config, 3072, 10).unwrap())
    };
    let (by_noise, by_gradient) =
        (hebbian::Output::Perturbation(noisy), hebbian::Output::Backpropagation(read_out.clone()));
    let learning = evolution::Learning { batch: 10, epochs: 2, ..Default::default() };
    let population = evolution::Config {
        genes: 50,
        hidden: 10,
        edge_probability: 0.01,
        population: 64,
        images_per_class: 2,
        generations: 6,
        curve_generations: 3,
        lifetime: Some(evolution::Lifetime { output: learning.clone(), ..Default::default() }),
        ..Default::default()
    };
    let dopaminergic = dopaminergic::Config {
        hidden: 10,
        images_per_class: 2,
        curve_epochs: 1,
        output: learning,
        ..Default::default()
    };
    let (layers, batch, epochs) = (vec![7], 10, 2);
    let perceptron = backprop::Config { layers: layers.clone(), batch, epochs, ..Default::default() };
    let two_stage = krotov_hopfield::Config { layers, batch, epochs, output: read_out.clone(), ..Default::default() };
    let regression = softmax::Config { output: read_out, ..Default::default() };
    type New<'a> = &'a dyn Fn() -> Box<dyn Learner>;
    // As many points of each curve are looked at by the monitor.
    let learners: [(New<'_>, usize); 9] = [
        (&|| hebbian(hebbian::Mode::LayerWise, by_noise.clone()), 2),
        (&|| hebbian(hebbian::Mode::LayerWise, by_gradient.clone()), 2),
        (&|| hebbian(hebbian::Mode::Joint, by_noise.clone()), 2),
        (&|| hebbian(hebbian::Mode::Joint, by_gradient.clone()), 2),
        (&|| Box::new(softmax::Network::new(regression.clone(), 3072, 10).unwrap()), 2),
        (&|| Box::new(backprop::Network::new(perceptron.clone(), 3072, 10).unwrap()), 2),
        (&|| Box::new(krotov_hopfield::Network::new(two_stage.clone(), 3072, 10).unwrap()), 2),
        (&|| Box::new(dopaminergic::Network::new(dopaminergic.clone(), 3072, 10).unwrap()), 2),
        (&|| Box::new(evolution::Network::new(population.clone(), 3072, 10).unwrap()), 4),
    ];
    let mut context = Context::new().unwrap();
    for (new, looks) in learners {
        let mut whole = new();
        let mut train = |learner: &mut dyn Learner, monitor| {
            learner.train(&mut context, &data, monitor, &mut |_| ControlFlow::Continue(()))
        };
        assert!(train(&mut *whole, None).unwrap().is_continue());
        let kind = whole.kind();
        let whole = whole.to_bytes().unwrap();
        // It is there again after some looks, or never.
        for failures in 1..=looks {
            let mut learner = new();
            for _ in 0..failures {
                let error = train(&mut *learner, Some(&unreadable)).unwrap_err().to_string();
                assert!(error.contains("cut off while in use"), "{kind}: {error}");
            }
            let monitor = (failures == looks).then_some(&unreadable);
            assert!(train(&mut *learner, monitor).unwrap().is_continue(), "{kind}");
            assert!(learner.finished() && learner.to_bytes().unwrap() == whole, "{kind}, {failures} failures");
        }
    }
}

#[test]
fn outcomes_have_the_sample_standard_deviation() {
    let outcome = Outcome::new("x", "e", "q", Better::More, None, vec![1.0, 2.0, 4.0], 0.0);
    assert!((outcome.ours - 7.0 / 3.0).abs() < 1e-15);
    assert!((outcome.spread - (7.0f64 / 3.0).sqrt()).abs() < 1e-15);
    assert_eq!(Outcome::new("x", "e", "q", Better::More, None, vec![3.0], 0.0).spread, 0.0);
}

#[test]
fn schedules_end_where_they_should() {
    assert_eq!(Schedule::Linear.factor(0, 10), 1.0);
    assert!((Schedule::Linear.factor(9, 10) - 0.1).abs() < 1e-15);
    assert_eq!(Schedule::Constant.factor(9, 10), 1.0);
    assert!(Schedule::Linear.factor(0, 0).is_finite());
}
