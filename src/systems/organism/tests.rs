use std::ops::ControlFlow;

use super::*;
use crate::context::Context;
use crate::datasets::{Dataset, Scaling, Shape, embedded};
use crate::error::Error;
use crate::kernels::particle::{Activation, Class, Net, Particles, SelfReplication, reference};
use crate::matrix::Matrix;
use crate::parallel::Threads;
use crate::random::Stream;
use crate::simd::Isa;
use crate::systems::{Learner, checkpoint};

fn context() -> Context {
    Context::new().unwrap()
}

fn go(_: &crate::systems::Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn config() -> Config {
    Config { batch: 200, epochs: 3, ..Config::default() }
}

fn organism(widths: &[usize], gelu: bool, hidden: &[usize]) -> Organism {
    Organism::new(&Net::new(hidden, Activation::Linear).unwrap(), widths, gelu, Stream::new(3, "test")).unwrap()
}

#[test]
fn particles_learn_to_add_and_to_reproduce_themselves() {
    let train =
        |seed| Addition { seed, epochs: 50, ..Addition::default() }.train(&mut context(), &mut |_, _| ()).unwrap();
    let mut good = 0;
    for seed in 0..10 {
        let added = train(seed);
        assert_eq!(added.epochs.len(), 51);
        let last = added.epochs.last().unwrap();
        good += usize::from(last.census.counts == [0, 0, 18, 0] && last.test < 1e-5 && last.absolute < 1e-5);
        assert!(added.epochs[0].census.count(Class::SelfReplicating) == 0 && added.epochs[0].absolute > 0.1);
        // What the weights of the particles say in place of the particles: the plain network computes in `f32`.
        let outputs = added.resubstitution(&mut context()).outputs;
        assert!(outputs < 1e-7, "seed {seed}: {outputs}");
    }
    assert!(good >= 9, "{good} of 10");
    assert!(Addition { batch: 0, ..Addition::default() }.train(&mut context(), &mut |_, _| ()).is_err());
}

#[test]
fn the_task_gradient_is_the_slope_of_the_loss() {
    for (widths, gelu, hidden) in
        [(&[4, 3, 2][..], true, &[3, 3][..]), (&[3, 2, 2, 2], false, &[2, 4]), (&[5, 1], true, &[1])]
    {
        let start = organism(widths, gelu, hidden);
        let x = Matrix::from_fn(6, widths[0], |b, i| ((b * 5 + i * 3) % 7) as f32 / 3.0 - 1.0);
        let mut context = context();
        // Half the sum of squared outputs: its gradient is the outputs.
        let cost = |organism: &Organism| -> f64 {
            organism.ask(x.view()).as_slice().iter().map(|y| 0.5 * f64::from(*y).powi(2)).sum()
        };
        let mut stepped = start.clone();
        let still = Descent { rate: 0.0, momentum: 0.0 };
        stepped.step(&mut context, &mut Workspace::default(), x.view(), still, |_, out, mut gradient| {
            gradient.copy_from(out);
            0.0
        });
        let gradient = stepped.velocity.to_rows();
        let rows = start.particles().to_rows();
        for (particle, weight) in
            [(0, 0), (1, 4), (start.particles().len() - 1, 4), (2, rows.cols() - 1), (0, 6 % rows.cols())]
        {
            let at = |change: f32| {
                let mut rows = rows.clone();
                rows[(particle, weight)] += change;
                let mut moved = start.clone();
                moved.particles.set(particle, rows.row(particle));
                cost(&moved)
            };
            let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
            let got = f64::from(gradient[(particle, weight)]);
            assert!(
                (slope - got).abs() <= 2e-3 * (1.0 + slope.abs()),
                "{widths:?} {particle} {weight}: {got}, slope {slope}"
            );
        }
    }
}

#[test]
fn asking_every_particle_and_the_extracted_network_agree() {
    for (widths, gelu, hidden) in [
        (&[7, 5, 4, 3][..], true, &[5, 5][..]),
        (&[2, 3, 3, 1], false, &[3, 2, 4]),
        (&[3, 2], false, &[]),
        (&[1, 1], true, &[1]),
    ] {
        let organism = organism(widths, gelu, hidden);
        let x = Matrix::from_fn(9, widths[0], |b, i| ((b * 5 + i * 3) % 7) as f32 / 3.0 - 1.0);
        let mut context = context();
        let (asked, plain) = (organism.ask(x.view()), organism.extract());
        for (a, b) in asked.as_slice().iter().zip(plain.forward(&mut context, x.view()).as_slice()) {
            assert!((a - b).abs() < 1e-5, "{widths:?}: {a} and {b}");
        }
        let rows = organism.particles().to_rows();
        for (w, c) in rows.view().iter_rows().zip(plain.weights.iter().flat_map(|weights| weights.as_slice())) {
            let (exact, _) = reference::effective_weight(organism.particles().net(), w).0;
            assert_eq!(*c, exact as f32);
        }
        assert_eq!(organism.range(0), 0..widths[0] * widths[1]);
    }
}

#[test]
fn dropping_and_pruning_set_weights_to_zero() {
    let mut plain = PlainNetwork {
        weights: vec![
            Matrix::from_slice(&[3.0, -1.0, 0.5, 2.0], 2, 2).unwrap(),
            Matrix::from_slice(&[-0.25, 4.0], 2, 1).unwrap(),
        ],
        gelu: false,
    };
    assert_eq!(plain.smallest(3), [4, 2, 1]);
    plain.drop([4, 0]);
    assert_eq!(plain.weights[0].as_slice(), [0.0, -1.0, 0.5, 2.0]);
    assert_eq!(plain.weights[1].as_slice(), [0.0, 4.0]);
}

#[test]
fn training_resumes_bit_for_bit_on_any_threads() {
    let data = embedded();
    for persistent in [false, true] {
        let mut config = config();
        config.self_replication.persistent = persistent;
        let mut whole = Network::new(config.clone(), 784, 10).unwrap();
        let _ = whole.train(&mut context(), &data.train, Some(&data.test), &mut go).unwrap();
        assert!(whole.finished() && whole.epochs().len() == 4);

        let file = tempfile::tempdir().unwrap().path().join("organism");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let mut part = Network::new(config, 784, 10).unwrap();
        let mut threads = context().with_threads(Threads::always(3).unwrap());
        let mut left = 17;
        let flow = part.train(&mut threads, &data.train, Some(&data.test), &mut |_| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(flow.unwrap(), ControlFlow::Break(()));
        part.save(&file).unwrap();
        let mut part = Network::load(&file).unwrap();
        assert_eq!(checkpoint::load(&file).unwrap().kind(), "organism");
        let _ = part.train(&mut context(), &data.train, Some(&data.test), &mut go).unwrap();
        // The entry before training has losses that are no number.
        assert!(part.epochs().next().unwrap().loss.is_nan());
        assert!(part == whole && part == part.clone());
        std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
    }
}

#[test]
fn an_organism_that_was_saved_before_its_first_step_equals_itself() {
    for persistent in [false, true] {
        let mut config = config();
        config.self_replication.persistent = persistent;
        let network = Network::new(config, 784, 10).unwrap();
        let read = Network::parse(network.to_bytes().unwrap(), "state").unwrap();
        assert!(read == network && read.organism == network.organism, "persistent: {persistent}");
        assert_eq!(network.organism.self_velocity.is_some(), persistent);
    }
}

#[test]
fn answers_are_those_of_the_particles_as_they_are() {
    let data = embedded();
    let mut network = Network::new(config(), 784, 10).unwrap();
    let x = data.test.subset(&[0, 1, 2]).unwrap().to_matrix(&mut context(), Scaling::UNIT).unwrap();
    let answers = |network: &Network| {
        let mut logits = Matrix::zeros(3, 10);
        network.predict(&mut context(), x.view(), logits.view_mut());
        logits
    };
    let before = answers(&network);
    let mut during = before.clone();
    let mut left = 3;
    let _ = network
        .train_watched(
            &mut context(),
            &data.train,
            None,
            &mut |_| {
                left -= 1;
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
            &mut |_, network| during = answers(network),
        )
        .unwrap();
    assert_eq!(during, before, "the first is asked for before training");
    let after = answers(&network);
    assert_ne!(after, before);
    assert_eq!(after, answers(&Network::parse(network.to_bytes().unwrap(), "state").unwrap()));
}

#[test]
fn an_organism_is_made_of_as_many_particles_as_it_has_pairs() {
    let first = organism(&[4, 3, 2], true, &[3]);
    assert_eq!(Organism::from_particles(&[4, 3, 2], true, first.particles().clone()).unwrap(), first);
    let error = Organism::from_particles(&[4, 3, 3], true, first.particles().clone()).unwrap_err().to_string();
    assert_eq!(error, "particles of an organism: expected 21 values, found 18");
}

#[test]
fn the_golden_run() {
    // A short run whose figures may change only with the bits a kernel returns.
    let data = embedded();
    let mut network = Network::new(Config { epochs: 20, ..config() }, 784, 10).unwrap();
    let _ = network.train(&mut context(), &data.train, None, &mut go).unwrap();
    let accuracy = network.accuracy(&mut context(), &data.test).unwrap();
    let counts = network.epochs().last().unwrap().census.counts;
    assert_eq!((format!("{accuracy:.3}").as_str(), counts), GOLDEN);
    let mut scalar = Network::new(config(), 784, 10).unwrap();
    let mut best = scalar.clone();
    let _ = scalar.train(&mut Context::on(Isa::Scalar).unwrap(), &data.test, None, &mut go).unwrap();
    let _ = best.train(&mut context(), &data.test, None, &mut go).unwrap();
    assert_eq!(scalar.organism, best.organism);
}

const GOLDEN: (&str, [usize; 4]) = ("0.183", [0, 0, 18, 1182]);

#[test]
fn divergence_is_counted_and_never_averaged() {
    let mut added = Addition { epochs: 2, ..Addition::default() };
    added.task.rate = 1e6;
    let added = added.train(&mut context(), &mut |_, _| ()).unwrap();
    let last = added.epochs.last().unwrap();
    assert!(last.census.count(Class::Divergent) > 0, "{last:?}");

    let mut organism = organism(&[3, 2], false, &[3, 3]);
    organism.replicate(&mut context(), &SelfReplication { rate: 0.01, momentum: 0.0, steps: 1 }, false);
    let clean = Census::of(&organism.examine(&mut context()), 1e-5);
    organism.particles.set(4, &[f32::NAN; 27]);
    let census = Census::of(&organism.examine(&mut context()), 1e-5);
    assert_eq!((census.counts, census.loss.is_finite()), ([1, 0, 0, 5], true));
    assert!((census.loss - clean.loss).abs() < clean.loss);
    assert!(Census::of(&[], 1e-5).loss.is_nan());
}

#[test]
fn only_self_replicators_are_tested_for_robustness() {
    let added = Addition { epochs: 50, ..Addition::default() }.train(&mut context(), &mut |_, _| ()).unwrap();
    let found = robustness(&mut context(), added.organism.particles(), 1e-5, 20, Stream::new(1, "robustness"));
    assert_eq!(found.len(), 10);
    assert!(found.iter().all(|level| level.fixpoint.len() == 18 && level.diverged.len() == 18));
    let steps = |level: usize| found[level].fixpoint.iter().sum::<u32>();
    assert!(steps(0) == 0 && steps(9) > 18, "{found:?}");
    let none = organism(&[2, 2], false, &[3, 3]);
    assert!(
        robustness(&mut context(), none.particles(), 1e-5, 5, Stream::new(1, "x"))
            .iter()
            .all(|l| l.fixpoint.is_empty())
    );
}

#[test]
fn the_step_at_which_a_particle_diverges_is_told() {
    // Of these weights, each step squares the first and leaves the others at zero. The first overflows once it is 2^128 or more.
    let net = Net::new(&[], Activation::Linear).unwrap();
    let rows = [1.5f32, 1.25, 1.125, 1.0, 0.9, 2.0].map(|first| [first, 0.0, 0.0, 0.0, 0.0]);
    let particles = Particles::from_rows(&net, Matrix::from_slice(rows.as_flattened(), 6, 5).unwrap().view()).unwrap();
    // Fixpoints are those off by less than 0.8: 1.5, 1.25, 1.125 and 1.266, 1, 0.9 and 0.81. Then 0.9 is as good as zero; 2 is none.
    for (limit, fixpoint, diverged) in
        [(20, [1, 1, 2, 20, 2], [8, 9, 10, 20, 20]), (9, [1, 1, 2, 9, 2], [8, 9, 9, 9, 9])]
    {
        let found = robustness(&mut context(), &particles, 0.8, limit, Stream::new(1, "robustness"));
        let sigmas: Vec<f64> = found.iter().map(|level| level.noise).collect();
        assert_eq!(sigmas, [1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9]);
        for level in &found {
            let steps = || level.fixpoint.iter().zip(&level.diverged);
            assert!(steps().all(|(fixpoint, diverged)| fixpoint <= diverged && *diverged <= limit), "{level:?}");
        }
        // Noise too small to be seen in the first weight.
        for level in &found[8..] {
            assert_eq!((&level.fixpoint[..], &level.diverged[..]), (&fixpoint[..], &diverged[..]), "{}", level.noise);
        }
        // Noise as large as the particles ends all of them sooner or later, and some before their first step.
        assert!(found[0].fixpoint.contains(&0), "{:?}", found[0]);
    }
}

#[test]
fn settings_of_the_addition_out_of_range_are_refused() {
    let refuse = |key: &str, change: fn(&mut Addition)| {
        let mut addition = Addition { epochs: 1, ..Addition::default() };
        change(&mut addition);
        let error = addition.train(&mut context(), &mut |_, _| ()).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{key}: ")), "{error}");
    };
    refuse("batch", |a| a.batch = 1001);
    refuse("samples", |a| a.samples = 1 << 31);
    refuse("samples", |a| a.samples = usize::MAX);
    refuse("batch", |a| (a.samples, a.batch, a.hidden) = (1 << 20, 1 << 20, vec![1 << 16]));
    refuse("particle", |a| a.particle = vec![65]);
    refuse("task.rate", |a| a.task.rate = f32::NAN);
    refuse("task.momentum", |a| a.task.momentum = 1.5);
    refuse("self_replication.rate", |a| a.self_replication.rate = f32::INFINITY);
    refuse("self_replication.momentum", |a| a.self_replication.momentum = -0.1);
    refuse("epsilon", |a| a.epsilon = f32::NAN);
}

#[test]
fn images_of_another_shape_are_refused() {
    let set = |channels, rows, cols| {
        let shape = Shape::new(channels, rows, cols).unwrap();
        let labels: Vec<u8> = (0..200).map(|image| image % 10).collect();
        Dataset::new(vec![0; 200 * shape.pixels()], labels, shape, 10).unwrap()
    };
    // As many values as a square of one channel.
    for (side, other, told) in [(28, set(1, 16, 49), "1 x 16 x 49"), (12, set(3, 3, 16), "3 x 3 x 16")] {
        let mut network = Network::new(config(), side * side, 10).unwrap();
        let square = set(1, side, side);
        let mut context = context();
        let refused = |error: Error| match error {
            Error::Setting { name, expected, found } => {
                assert_eq!((name.as_str(), found.as_str()), ("image size", told));
                assert!(expected.starts_with(&format!("1 x {side} x {side}, ")), "{expected}");
            }
            other => panic!("{other}"),
        };
        refused(network.see(&mut context, &other).unwrap_err());
        refused(network.accuracy(&mut context, &other).unwrap_err());
        refused(network.train(&mut context, &other, None, &mut go).unwrap_err());
        refused(network.train(&mut context, &square, Some(&other), &mut go).unwrap_err());
        assert!(network.see(&mut context, &square).is_ok() && network.accuracy(&mut context, &square).is_ok());
    }
}

#[test]
fn one_large_image_takes_the_memory_of_one() {
    // A thousand of them are 64 GiB.
    let data = Dataset::new(vec![255; 1 << 24], vec![0], Shape::new(1, 4096, 4096).unwrap(), 2).unwrap();
    let network = Network::new(Config { side: 5, hidden: vec![2], ..config() }, 1 << 24, 2).unwrap();
    let seen = network.see(&mut context(), &data).unwrap();
    assert!(seen.rows() == 1 && seen.as_slice().iter().all(|value| (value - 1.0).abs() < 1e-6));
}

#[test]
fn settings_out_of_range_are_refused() {
    let refuse = |key: &str, change: fn(&mut Config)| {
        let mut config = config();
        change(&mut config);
        match Network::new(config, 784, 10).map(|_| ()) {
            Err(Error::Setting { name, .. }) => assert_eq!(name, key),
            other => panic!("{key}: {other:?}"),
        }
    };
    refuse("particle", |c| c.particle = vec![0]);
    refuse("hidden", |c| c.hidden = vec![0]);
    refuse("batch", |c| c.batch = 0);
    refuse("noise", |c| c.noise = f64::NAN);
    refuse("side", |c| c.side = 0);
    refuse("epsilon", |c| c.epsilon = 0.0);
    refuse("task.momentum", |c| c.task.momentum = 1.5);
    refuse("widths", |c| (c.side, c.hidden) = (1024, vec![1000]));
    for (large, key) in [
        (Config { side: 1024, hidden: vec![15], particle: vec![64, 64], ..config() }, "particle"),
        (Config { batch: 1 << 24, ..config() }, "batch"),
    ] {
        match Network::new(large, 784, 10).map(|_| ()) {
            Err(Error::Setting { name, expected, .. }) => {
                assert!(name == key && expected.starts_with("at most 1073741824"), "{name}: {expected}");
            }
            other => panic!("{key}: {other:?}"),
        }
    }
    let sharp = Config { side: 1024, hidden: vec![1], particle: vec![1], ..config() };
    let mut sharp = Network::new(sharp, 784, 2 * 5).unwrap();
    let error = sharp.train(&mut context(), &embedded().train, None, &mut go).unwrap_err().to_string();
    assert!(error.contains("side: expected at most 1073741824 values of all images"), "{error}");
    assert!(Network::new(config(), 785, 10).is_err(), "no square");
    let mut large = Network::new(Config { batch: 2001, ..config() }, 784, 10).unwrap();
    assert!(large.train(&mut context(), &embedded().train, None, &mut go).is_err(), "more than there are");
    assert_eq!(Config::from_toml("", "empty").unwrap(), Config::default());
}

#[test]
fn one_image_a_batch_and_any_particle_work() {
    let data = embedded().test.subset(&[0, 1, 2]).unwrap();
    for h in [1, 2, 16] {
        let config =
            Config { particle: vec![h, h], hidden: vec![2], batch: 1, epochs: 1, side: 5, ..Config::default() };
        let mut network = Network::new(config, 784, 10).unwrap();
        let _ = network.train(&mut context(), &data, Some(&data), &mut go).unwrap();
        assert!(network.finished() && network.epochs().last().unwrap().loss.is_finite());
    }
    let none = Config { hidden: vec![], epochs: 0, ..config() };
    let mut network = Network::new(none, 784, 10).unwrap();
    let _ = network.train(&mut context(), &embedded().test, None, &mut go).unwrap();
    assert!(network.finished());
}
