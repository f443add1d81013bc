use std::ops::ControlFlow;

use super::dopaminergic;
use super::experiment::{Options, reproduce};
use super::*;
use crate::context::Context;
use crate::datasets::{Dataset, Shape, embedded};
use crate::error::Error;
use crate::kernels::genotype::{
    AlleleFrequencies, Graph, Population, Samples, WeightGeneration, allele_rewards, evaluate,
};
use crate::matrix::Matrix;
use crate::parallel::Threads;
use crate::random::Stream;
use crate::systems::checkpoint::Writer;
use crate::systems::experiment::{Scale, Stage};
use crate::systems::journal::Journal;
use crate::systems::{Learner, Progress, Schedule, checkpoint};

fn context() -> Context {
    Context::new().unwrap()
}

/// A population that learns something in a second.
fn small(generations: u64) -> Config {
    Config {
        genes: 600,
        hidden: 60,
        population: 64,
        batch: Some(20),
        brightness: 0.05,
        generations,
        curve_generations: 5,
        lifetime: Some(Lifetime {
            output: Learning { epochs: 2, ..Lifetime::default().output },
            ..Lifetime::default()
        }),
        ..Config::default()
    }
}

fn trained(config: Config, threads: usize) -> Network {
    let data = embedded();
    let mut network = Network::new(config, 784, 10).unwrap();
    let mut context = context().with_threads(Threads::always(threads).unwrap());
    let flow = network.train(&mut context, &data.train, Some(&data.test), &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(flow.is_continue() && network.finished());
    network
}

fn bytes(network: &dyn Learner) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    network.save(&path).unwrap();
    std::fs::read(path).unwrap()
}

#[test]
fn a_short_run_gives_the_same_bits_forever() {
    // Golden: a change here is a change of what saved experiments mean.
    let network = trained(small(12), 1);
    let hash = network
        .frequencies()
        .values()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, p| (hash ^ p.to_bits()).wrapping_mul(0x0000_0100_0000_01b3));
    assert_eq!(format!("{hash:016x}"), "14be82c74aff2e00", "frequencies");
    assert_eq!(network.points().len(), 3);
}

#[test]
fn threads_and_interruptions_leave_no_trace() {
    let data = embedded();
    let whole = bytes(&trained(small(12), 1));
    assert!(whole == bytes(&trained(small(12), 3)), "three threads");
    // Stopped after every single step, saved and loaded.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let mut network = Network::new(small(12), 784, 10).unwrap();
    let mut context = context();
    while !network.finished() {
        let mut left = 7;
        let _ = network
            .train(&mut context, &data.train, Some(&data.test), &mut |_| {
                left -= 1;
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap();
        network.save(&path).unwrap();
        network = Network::load(&path).unwrap();
    }
    assert!(whole == bytes(&network), "interrupted");
    assert_eq!(checkpoint::load(&path).unwrap().kind(), "evolution");
}

#[test]
fn a_population_learns_and_its_lifetime_adds_to_it() {
    let network = trained(small(150), 1);
    let found = network.accuracies(&mut context(), &embedded().test).unwrap();
    assert!(found.expected > 0.2, "{found:?}");
    assert!(found.lifetime.unwrap() > found.expected + 0.1, "{found:?}");
    let (first, last) = (network.points()[0], *network.points().last().unwrap());
    assert!(last.reward > first.reward && last.fixed >= first.fixed);
    let generations: Vec<u64> = network.distances().iter().map(|d| d.generation).collect();
    assert_eq!(generations, [0, 1, 3, 10, 30, 100, 150]);
    // Nothing is nearer than nothing, and all are within a half.
    assert!(network.distances().iter().all(|d| d.beyond[0] > 0.9 && d.beyond[50] == 0.0));
}

#[test]
fn a_longer_schedule_goes_on_where_the_shorter_ended() {
    let data = embedded();
    let mut longer = trained(small(6), 1).extended(small(12)).unwrap();
    assert!(!longer.finished());
    let _ = longer.train(&mut context(), &data.train, Some(&data.test), &mut |_| ControlFlow::Continue(())).unwrap();
    let straight = trained(small(12), 1);
    assert_eq!(longer.frequencies(), straight.frequencies());
    assert_eq!(
        longer.accuracies(&mut context(), &data.test).unwrap(),
        straight.accuracies(&mut context(), &data.test).unwrap()
    );
    let other = Config { genes: 601, ..small(12) };
    assert!(trained(small(6), 1).extended(other).unwrap_err().to_string().contains("saved state"));
    assert!(trained(small(6), 1).extended(small(5)).is_err(), "what was lived cannot be undone");
}

#[test]
fn what_a_lifetime_lost_is_not_counted_when_evolution_goes_on() {
    let data = embedded();
    // After three batches of the lifetime, far from a point of its curve, or at the end of evolution.
    let stopped = |after: u64| {
        let mut network = Network::new(small(6), 784, 10).unwrap();
        let mut seen = 0;
        let mut stop = |_: &Progress<'_>| {
            seen += 1;
            if seen == after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        assert!(network.train(&mut context(), &data.train, None, &mut stop).unwrap().is_break());
        network
    };
    assert!(bytes(&stopped(6).extended(small(12)).unwrap()) == bytes(&stopped(9).extended(small(12)).unwrap()));
    // What evolution lost since its last point is kept.
    let mut longer = stopped(4).extended(small(12)).unwrap();
    let _ = longer.train(&mut context(), &data.train, Some(&data.test), &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(longer.curve()[0].loss, trained(small(12), 1).curve()[0].loss);
}

#[test]
fn a_schedule_cut_short_ends_as_the_shorter_one_does() {
    let data = embedded();
    // Between two points of the curve, and on one.
    for (generations, lifetime) in [(4, small(0).lifetime), (4, None), (5, None)] {
        let short = Config { lifetime, ..small(generations) };
        let mut network = Network::new(Config { generations: 12, ..short.clone() }, 784, 10).unwrap();
        let mut stop = |progress: &Progress<'_>| {
            if progress.step == generations { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        assert!(network.train(&mut context(), &data.train, Some(&data.test), &mut stop).unwrap().is_break());
        let mut network = network.extended(short.clone()).unwrap();
        for _ in 0..2 {
            let mut go = |_: &Progress<'_>| ControlFlow::Continue(());
            assert!(network.train(&mut context(), &data.train, Some(&data.test), &mut go).unwrap().is_continue());
            let straight = trained(short.clone(), 1);
            assert_eq!((network.points(), network.curve()), (straight.points(), straight.curve()));
            assert!(network.points().len() == 1 && bytes(&network) == bytes(&straight));
        }
    }
}

#[test]
fn populations_are_tested_on_as_many_images_at_once_as_can_be_prepared() {
    // So many genotypes that few images can be judged by all of them at once; in a test there are 64.
    let config = Config { genes: 2, hidden: 10, population: 1 << 24, lifetime: None, ..small(0) };
    let network = Network::new(config, 784, 10).unwrap();
    assert!(network.preparable(20, 1 << 24).is_ok() && network.preparable(1000, 1 << 24).is_err());
    let found = network.accuracies(&mut context(), &embedded().test).unwrap();
    assert!([found.sampled, found.rounded, found.expected].iter().all(|share| (0.0..=1.0).contains(share)));
    assert_eq!(network.block(64), 1000);
    // So many edges that it is fewer images.
    let config = Config { genes: 1, hidden: 1 << 20, edge_probability: 0.1, ..small(0) };
    let network = Network::new(config, 784, 10).unwrap();
    let block = network.block(64);
    assert!((1..1000).contains(&block), "{block}");
    assert!(network.preparable(block, 64).is_ok() && network.preparable(block + 1, 64).is_err());
}

#[test]
fn more_classes_than_a_population_has_are_left_out_only_where_that_is_asked_for() {
    let split = embedded();
    let [train, test] = [&split.train, &split.test].map(|set| {
        let images: Vec<u8> = (0..set.len()).flat_map(|image| set.image(image)).copied().collect();
        Dataset::new(images, set.labels().to_vec(), set.shape(), 11).unwrap()
    });
    let mut go = |_: &Progress<'_>| ControlFlow::Continue(());
    let mut all = Network::new(small(1), 784, 10).unwrap();
    let errors = [
        all.train(&mut context(), &train, None, &mut go).unwrap_err(),
        all.train(&mut context(), &split.train, Some(&test), &mut go).unwrap_err(),
        all.accuracy(&mut context(), &test).unwrap_err(),
        all.accuracies(&mut context(), &test).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.to_string(), "classes: expected 10, as the network has outputs, found 11");
    }
    let mut some = Network::new(Config { classes: Some(10), ..small(1) }, 784, 11).unwrap();
    assert!(some.train(&mut context(), &train, Some(&test), &mut go).unwrap().is_continue());
    let share = some.accuracy(&mut context(), &test).unwrap();
    assert_eq!(share, some.accuracy(&mut context(), &split.test).unwrap());
}

#[test]
fn a_class_without_images_is_named_whatever_a_generation_is_judged_on() {
    let data = embedded().train;
    let others: Vec<u32> = (0..data.len() as u32).filter(|&image| data.labels()[image as usize] != 3).collect();
    let data = data.subset(&others).unwrap();
    for judged_on in [JudgedOn::AllClasses, JudgedOn::OneClass] {
        let mut network = Network::new(Config { judged_on, images_per_class: 0, ..small(1) }, 784, 10).unwrap();
        let mut go = |_: &Progress<'_>| ControlFlow::Continue(());
        let error = network.train(&mut context(), &data, None, &mut go).unwrap_err().to_string();
        assert!(error.ends_with("expected images of every class, found none of class 3"), "{error}");
    }
}

#[test]
fn logits_are_those_of_images_as_bright_as_in_training() {
    let test = embedded().test;
    let all: Vec<u32> = (0..test.len() as u32).collect();
    for lifetime in [None, small(0).lifetime] {
        let network = trained(Config { lifetime, ..small(3) }, 1);
        let links = match &network.life {
            Some(life) => life.links(),
            None => network.links(&mut context(), Genotype::Expected),
        };
        let (mut images, mut logits) = (Matrix::zeros(0, 0), Matrix::zeros(test.len(), 10));
        network.images(&mut context(), &test, &all, &mut images).unwrap();
        let expected = network.forward(&mut context(), &links, images.view()).1;
        let images = output::values(&mut context(), &test).unwrap();
        network.predict(&mut context(), images.view(), logits.view_mut());
        let largest = expected.as_slice().iter().fold(0.0f32, |largest, logit| largest.max(logit.abs()));
        assert!(largest > 0.0);
        for (found, expected) in logits.as_slice().iter().zip(expected.as_slice()) {
            assert!((found - expected).abs() < 1e-4 * largest, "{found} for {expected}");
        }
    }
}

#[test]
fn the_whole_sample_and_classes_of_choice() {
    let config = Config {
        batch: None,
        classes: Some(3),
        images_per_class: 20,
        dawn: Some(Dawn { brightness: 0.005, generations: 2 }),
        lifetime: None,
        ..small(4)
    };
    let network = trained(config.clone(), 2);
    assert_eq!(network.classes(), 3);
    assert!(bytes(&network) == bytes(&trained(config, 1)));
    let accuracy = network.accuracy(&mut context(), &embedded().test).unwrap();
    assert!((0.0..=1.0).contains(&accuracy));
    // Logits decide as the accuracy says.
    let test = seen::first_classes(&embedded().test, 3).unwrap();
    let images = output::values(&mut context(), &test).unwrap();
    let mut logits = Matrix::zeros(test.len(), 3);
    network.predict(&mut context(), images.view(), logits.view_mut());
    assert_eq!(crate::kernels::loss::accuracy(logits.view(), test.labels()), accuracy);
}

#[test]
fn brightness_rises_by_equal_factors_and_stays() {
    let dawn = Some(Dawn { brightness: 0.01, generations: 10 });
    let config = Config { brightness: 1.0, dawn, ..Config::default() };
    assert_eq!(config.brightness_at(0), 0.01);
    assert!((config.brightness_at(5) - 0.1).abs() < 1e-12);
    assert_eq!((config.brightness_at(10), config.brightness_at(u64::MAX)), (1.0, 1.0));
}

#[test]
fn lemma_1_holds_for_the_rewards_of_networks() {
    // Seven genes: all 128 genotypes, weighted by their chances, are the population.
    let mut context = context();
    let (genes, stream) = (7, Stream::new(3, "lemma"));
    let graph = Graph::random(20, 6, 3, 0.5, stream.item(0)).unwrap();
    let w = WeightGeneration::random(graph.links(), genes, 0.4, stream.item(1)).unwrap();
    let mut images = Matrix::zeros(12, 20);
    stream.item(2).uniform(0.0, 1.0, images.as_mut_slice());
    let labels: Vec<u8> = (0..12).map(|i| i % 3).collect();
    let samples = Samples::new(&mut context, &graph, images.view(), &labels).unwrap();
    let all = Population::from_fn(1 << genes, genes, |genotype, gene| genotype >> gene & 1 == 1).unwrap();
    let rewards = evaluate(&mut context, &w, &samples, &all).rewards;
    let chance = |genotype: usize, p: &[f64], but: usize| -> f64 {
        let of = |(gene, p): (usize, &f64)| match genotype >> gene & 1 {
            _ if gene == but => 1.0,
            1 => *p,
            _ => 1.0 - p,
        };
        p.iter().enumerate().map(of).product()
    };
    let mean = |p: &[f64]| -> f64 { (0..1 << genes).map(|x| chance(x, p, usize::MAX) * rewards[x]).sum() };
    let p = [0.1, 0.3, 0.5, 0.6, 0.8, 0.9, 0.45];
    let mut largest = 0.0f64;
    for gene in 0..genes {
        let given = |allele: usize| -> f64 {
            (0..1 << genes).filter(|x| x >> gene & 1 == allele).map(|x| chance(x, &p, gene) * rewards[x]).sum()
        };
        let (present, absent) = (given(1), given(0));
        assert!((mean(&p) - (absent + p[gene] * (present - absent))).abs() < 1e-12, "L(p) = -f0 - p (f - f0)");
        let moved = |by: f64| {
            let mut moved = p;
            moved[gene] += by;
            mean(&moved)
        };
        let slope = (moved(1e-3) - moved(-1e-3)) / 2e-3;
        assert!((slope - (present - absent)).abs() < 1e-11, "gene {gene}: {slope}, {}", present - absent);
        largest = largest.max(slope.abs());
    }
    assert!(largest > 1e-3, "a gene makes a difference");

    // A population drawn from p estimates the same f and f0.
    let frequencies = AlleleFrequencies::new(p.to_vec()).unwrap();
    let drawn = Population::sample(&mut context, &frequencies, stream.item(3), 0..20_000).unwrap();
    let outcome = evaluate(&mut context, &w, &samples, &drawn);
    let estimated = allele_rewards(&mut context, &drawn, &outcome.rewards);
    let spread = rewards.iter().copied().fold(0.0, f64::max);
    for gene in 0..genes {
        let (present, absent) = estimated.get(gene).unwrap();
        let given = |allele: usize| -> f64 {
            (0..1 << genes).filter(|x| x >> gene & 1 == allele).map(|x| chance(x, &p, gene) * rewards[x]).sum()
        };
        // Five deviations of a mean over at least 1,800 genotypes.
        let bound = 5.0 * spread / 1800f64.sqrt();
        assert!((present - given(1)).abs() < bound && (absent - given(0)).abs() < bound);
    }
}

#[test]
fn impossible_populations_are_refused_by_name() {
    let refused = |change: &dyn Fn(&mut Config), key: &str| {
        let mut config = Config::default();
        change(&mut config);
        match Network::new(config, 784, 10) {
            Err(Error::Setting { .. }) => (),
            Err(other) => panic!("{key}: {other}"),
            Ok(_) => panic!("{key} was accepted"),
        }
        let mut config = Config::default();
        change(&mut config);
        let error = Network::new(config, 784, 10).unwrap_err().to_string();
        assert!(error.contains(key), "{key}: {error}");
    };
    refused(&|c| c.genes = 0, "genes");
    refused(&|c| c.population = 0, "population");
    refused(&|c| c.population = 1, "population");
    refused(&|c| c.density = 1.5, "density");
    refused(&|c| c.edge_probability = f64::NAN, "edge_probability");
    refused(&|c| c.epsilon = 1.01, "theorem 1");
    refused(&|c| c.epsilon = 0.0, "theorem 1");
    refused(&|c| c.epsilon = f64::NAN, "theorem 1");
    refused(&|c| c.batch = Some(0), "batch");
    refused(&|c| c.classes = Some(11), "classes");
    refused(&|c| c.classes = Some(1), "classes");
    refused(&|c| c.brightness = 0.0, "brightness");
    refused(&|c| c.dawn = Some(Dawn { brightness: -1.0, generations: 1 }), "dawn.brightness");
    refused(&|c| c.dawn = Some(Dawn { brightness: 0.1, generations: 0 }), "dawn.generations");
    refused(&|c| c.curve_generations = 0, "curve_generations");
    refused(&|c| c.seed = u64::MAX, "seed");
    refused(
        &|c| {
            c.lifetime = Some(Lifetime { output: Learning { batch: 0, ..Learning::default() }, ..Lifetime::default() });
        },
        "lifetime.output.batch",
    );
    let error = Config::from_toml("genes = 10\njeans = 3", "f.toml").unwrap_err().to_string();
    assert!(error.contains("jeans") && error.contains("line 2"), "{error}");
}

#[test]
fn units_without_edges_are_silent() {
    // Without any edge every logit is zero, every loss that of chance, every reward zero: nothing moves.
    let config = Config { edge_probability: 0.0, lifetime: None, ..small(3) };
    let network = trained(config.clone(), 1);
    assert_eq!(network.frequencies(), Network::new(config, 784, 10).unwrap().frequencies());
    // But for the rounding of a loss that is exactly a.
    assert!(network.points().iter().all(|point| point.reward < 1e-5));
}

#[test]
fn data_that_do_not_fit_are_refused() {
    let data = Dataset::new(vec![0; 8], vec![0, 1], Shape::new(1, 2, 2).unwrap(), 2).unwrap();
    let mut network = Network::new(small(2), 784, 10).unwrap();
    let train = |network: &mut Network, data: &Dataset| {
        network.train(&mut context(), data, None, &mut |_| ControlFlow::Continue(())).unwrap_err().to_string()
    };
    assert!(train(&mut network, &data).contains("784"));
    assert!(network.accuracies(&mut context(), &data).is_err());
    let config = Config { images_per_class: 201, ..small(2) };
    let mut network = Network::new(config, 784, 10).unwrap();
    assert!(train(&mut network, &embedded().train).contains("201"));
    let mut stopped = trained(small(2), 1);
    stopped = stopped.extended(small(4)).unwrap();
    let another = embedded().train.subset(&(0..2000).rev().collect::<Vec<u32>>()).unwrap();
    assert!(train(&mut stopped, &another).contains("before the interruption"));
}

#[test]
fn a_state_with_frequencies_outside_0_to_1_is_refused() {
    let network = Network::new(small(2), 784, 10).unwrap();
    let load = |frequency: f64| {
        let mut values = network.frequencies().values().to_vec();
        values[17] = frequency;
        forged(network.config(), 784, &values, |_| ())
    };
    assert_eq!(load(0.25).unwrap().frequencies().values()[17], 0.25);
    for wrong in [1.5, -0.1, f64::NAN] {
        let error = load(wrong).unwrap_err().to_string();
        assert!(error.contains("gene 17"), "{error}");
    }
}

/// What loading a state of an untrained population with these frequencies, and what else is written, says.
fn forged(
    config: &Config,
    inputs: usize,
    frequencies: &[f64],
    more: impl Fn(&mut Writer),
) -> crate::error::Result<Network> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let mut writer = Writer::new("evolution", &config.to_toml(), inputs, 10, &Journal::default());
    writer.doubles("frequencies", &[config.genes], frequencies);
    curve::write(&mut writer, &[], &[]);
    writer.doubles("running", &[3], &[0.0; 3]);
    more(&mut writer);
    writer.write(&path).unwrap();
    Network::load(&path)
}

#[test]
fn a_state_that_takes_long_to_draw_is_refused_before_it_is() {
    // Its edges are counted by a draw for each pair of input and unit, of which there are 2^31.
    let config = Config { genes: 1, hidden: 1 << 15, ..small(2) };
    let life = |writer: &mut Writer| {
        writer.values("life.edges", &[1], &[0.0]);
        writer.matrix("life.output", &Matrix::zeros(10, 1 << 15));
    };
    let error = forged(&config, 1 << 16, &[0.5], life).unwrap_err().to_string();
    assert!(error.contains("hidden") && error.contains("1073741824 weights"), "{error}");
    let config = Config { hidden: 3, ..config };
    let life = |writer: &mut Writer| {
        writer.values("life.edges", &[1], &[0.0]);
        writer.matrix("life.output", &Matrix::zeros(10, 3));
    };
    let error = forged(&config, 784, &[0.5], life).unwrap_err().to_string();
    assert!(error.contains("life.edges"), "{error}");
}

#[test]
fn activities_that_no_memory_holds_are_refused() {
    let train = embedded().train;
    let refused = |learner: &mut dyn Learner| {
        let error = learner.train(&mut context(), &train, None, &mut |_| ControlFlow::Continue(())).unwrap_err();
        let (name, found) = ("hidden", "at most 1073741824 activities of the training images");
        assert!(error.to_string().contains(name) && error.to_string().contains(found), "{error}");
    };
    let hidden = 1 << 20;
    let config = dopaminergic::Config { hidden, ..Default::default() };
    refused(&mut dopaminergic::Network::new(config, 784, 10).unwrap());
    // Before it evolves, not when its lifetime begins.
    let config = Config { hidden, genes: 1, edge_probability: 0.0, ..small(1 << 40) };
    refused(&mut Network::new(config, 784, 10).unwrap());
    // What is prepared of the images to evaluate genotypes on them.
    let config = Config { hidden, genes: 1, edge_probability: 0.1, batch: None, lifetime: None, ..small(1) };
    let mut network = Network::new(config, 784, 10).unwrap();
    let error = network.train(&mut context(), &train, None, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("images x edges"), "{error}");
    // The batch itself, whose images may be the same again and again, and the sums of many genotypes on it.
    let tiny = Config { hidden: 10, genes: 2, population: 2, lifetime: None, ..small(1) };
    for (config, words) in [
        (Config { batch: Some(1 << 24), ..tiny.clone() }, "batch: expected at most 1073741824 values of a batch"),
        (Config { population: 1 << 24, batch: None, ..tiny }, "population x batch, in blocks of 64 x 64"),
    ] {
        let mut network = Network::new(config, 784, 10).unwrap();
        let error = network.train(&mut context(), &train, None, &mut |_| ControlFlow::Continue(())).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

fn layer(output: Learning) -> dopaminergic::Config {
    dopaminergic::Config { hidden: 200, images_per_class: 30, curve_epochs: 1, output, ..Default::default() }
}

fn taught(config: dopaminergic::Config, threads: usize) -> dopaminergic::Network {
    let data = embedded();
    let mut network = dopaminergic::Network::new(config, 784, 10).unwrap();
    let mut context = context().with_threads(Threads::always(threads).unwrap());
    let flow = network.train(&mut context, &data.train, Some(&data.test), &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(flow.is_continue());
    network
}

#[test]
fn output_layers_learn_by_every_rule_but_those_that_cannot() {
    let learning = |rule, rate, batch| Learning { rule, rate, batch, epochs: 6, schedule: Schedule::Linear };
    let read = |reading| Rule::Dopaminergic { reading, loss: 0.75 };
    let accuracy = |config| taught(config, 1).accuracy(&mut context(), &embedded().test).unwrap();
    assert!(accuracy(layer(learning(Rule::Adam, 1e-2, 10))) > 0.7);
    assert!(accuracy(layer(learning(Rule::SignSgd, 3e-3, 10))) > 0.5);
    let capped = dopaminergic::Config { firing: Some(50), ..layer(learning(read(Reading::Signed), 1.0, 1)) };
    assert!(accuracy(capped) > 0.6);
    // The printed rule strengthens what is wrong, the prose never begins.
    assert!(accuracy(layer(learning(read(Reading::Printed), 1.0, 1))) < 0.1);
    assert!(accuracy(layer(learning(read(Reading::Prose), 1.0, 1))) < 0.2);
}

#[test]
fn output_layers_resume_with_the_same_bits() {
    let data = embedded();
    for rule in [Rule::DOPAMINERGIC, Rule::SignSgd, Rule::Adam] {
        let config = layer(Learning { rule, rate: 0.01, batch: 7, epochs: 2, schedule: Schedule::Linear });
        let whole = bytes(&taught(config.clone(), 1));
        assert!(whole == bytes(&taught(config.clone(), 3)));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let mut network = dopaminergic::Network::new(config, 784, 10).unwrap();
        let mut context = context();
        while !network.finished() {
            let mut left = 31;
            let _ = network
                .train(&mut context, &data.train, Some(&data.test), &mut |_| {
                    left -= 1;
                    if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })
                .unwrap();
            network.save(&path).unwrap();
            network = dopaminergic::Network::load(&path).unwrap();
        }
        assert!(whole == bytes(&network), "{rule:?}");
    }
}

#[test]
fn patterns_of_wide_layers_are_linear_unless_few_units_fire() {
    let (inputs, units) = (20, 40_000);
    let stream = Stream::new(4, "images");
    let mut images = Matrix::zeros(6, inputs);
    stream.item(0).uniform(0.0, 1.0, images.row_mut(0));
    for row in 1..6 {
        // From images like the first to its opposite.
        stream.item(row as u64).uniform(-1.0, 1.0, images.row_mut(row));
        let (first, share) = (images.row(0).to_vec(), [1.0, 0.6, 0.2, -0.3, -1.0][row - 1]);
        images.row_mut(row).iter_mut().zip(first).for_each(|(x, first)| *x = share * first + (1.0 - share.abs()) * *x);
    }
    let dot = |a: usize, b: usize| {
        let pairs = images.row(a).iter().zip(images.row(b));
        pairs.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>()
    };
    let seen = |firing: Option<usize>| {
        let config = dopaminergic::Config { hidden: units, firing, ..Default::default() };
        let h = dopaminergic::Hidden::new(&config, inputs).activities(&mut context(), images.view());
        let fired = |a: usize| h.row(a).iter().map(|h| f64::from(u8::from(*h > 0.0))).collect::<Vec<_>>();
        let first = fired(0);
        (0..6).map(|b| first.iter().zip(h.row(b)).map(|(f, h)| f * f64::from(*h)).sum::<f64>()).collect::<Vec<_>>()
    };
    let deviation = (2.0 / inputs as f64).sqrt();
    let scale = units as f64 * deviation / (2.0 * (2.0 * std::f64::consts::PI).sqrt());
    for (image, found) in seen(None).into_iter().enumerate() {
        let length = dot(image, image).sqrt();
        let expected = scale * (length + dot(image, 0) / dot(0, 0).sqrt());
        // Five standard errors of the sum: a unit's share has at most half of its sum's variance.
        let error = 5.0 * (units as f64 / 2.0).sqrt() * deviation * length;
        // Sums of twenty uniform weights are not quite Gaussian, by less than a hundredth.
        assert!((found - expected).abs() < error + 0.01 * expected, "image {image}: {found} for {expected} +- {error}");
    }
    // The first hundredth of two unlike images (cosine near 0.3) is hardly the same: a linear pattern would give two thirds.
    let (few, cosine) = (seen(Some(400)), dot(3, 0) / (dot(3, 3) * dot(0, 0)).sqrt());
    assert!((0.2..0.4).contains(&cosine) && few[3] < 0.1 * few[0], "{cosine}: {few:?}");
}

#[test]
fn no_more_units_fire_than_may() {
    let config = dopaminergic::Config { firing: Some(20), ..layer(Learning { epochs: 0, ..Learning::default() }) };
    let hidden = dopaminergic::Hidden::new(&config, 784);
    let images = output::values(&mut context(), &embedded().test).unwrap();
    let all = dopaminergic::Hidden::new(&layer(Learning::default()), 784).activities(&mut context(), images.view());
    let capped = hidden.activities(&mut context(), images.view());
    for row in 0..images.rows() {
        let fired = capped.row(row).iter().filter(|h| **h > 0.0).count();
        assert_eq!(fired, 20);
        let least = capped.row(row).iter().copied().filter(|h| *h > 0.0).fold(f32::INFINITY, f32::min);
        assert!(all.row(row).iter().filter(|h| **h > least).count() < 20);
    }
    for (change, key) in [
        (dopaminergic::Config { hidden: 0, ..config.clone() }, "hidden"),
        (dopaminergic::Config { firing: Some(201), ..config.clone() }, "firing"),
        (dopaminergic::Config { firing: Some(0), ..config.clone() }, "firing"),
        (dopaminergic::Config { curve_epochs: 0, ..config.clone() }, "curve_epochs"),
        (
            dopaminergic::Config { output: Learning { rate: f64::NAN, ..Learning::default() }, ..config.clone() },
            "output.rate",
        ),
    ] {
        let error = dopaminergic::Network::new(change, 784, 10).unwrap_err().to_string();
        assert!(error.contains(key), "{key}: {error}");
    }
}

#[test]
fn the_reproduction_answers_for_what_is_asked() {
    let data = embedded();
    let asked = |only: &[&str], runs| Options {
        only: only.iter().map(|name| (*name).to_owned()).collect(),
        runs,
        ..Options::new(Scale::Quick)
    };
    let mut observer = |_: &Stage<super::experiment::Row>, _: &crate::systems::Progress<'_>| ControlFlow::Continue(());
    assert!(reproduce(&mut context(), &data, &asked(&["nne-11"], 1), &mut observer).is_err());
    assert!(reproduce(&mut context(), &data, &asked(&[], 0), &mut observer).is_err());
    let report = reproduce(&mut context(), &data, &asked(&["theory"], 2), &mut observer).unwrap();
    let outcomes = report.outcomes();
    assert_eq!((report.runs.len(), outcomes.len()), (2, 5));
    assert!(outcomes[0].ours < 1e-9 && outcomes[1].ours < 0.03 && outcomes[4].ours > 0.95, "{outcomes:?}");
    let mut stop = |_: &Stage<super::experiment::Row>, _: &crate::systems::Progress<'_>| ControlFlow::Break(());
    let report = reproduce(&mut context(), &data, &asked(&["nne-5"], 1), &mut stop).unwrap();
    assert!(!report.ending.is_whole() && report.runs.is_empty());
}

#[test]
fn interrupted_reproductions_go_on_where_they_stopped() {
    let data = embedded();
    let folder = tempfile::tempdir().unwrap();
    let asked = |states: Option<&std::path::Path>| Options {
        only: vec!["nne-5".to_owned()],
        states: states.map(std::path::Path::to_owned),
        ..Options::new(Scale::Quick)
    };
    // Every eighth step is reported.
    let go_on = |options: &Options, last: u64| {
        let mut steps = Vec::new();
        let report = reproduce(&mut context(), &data, options, &mut |_, progress| {
            steps.push(progress.step);
            if progress.step >= last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (report.unwrap(), steps)
    };
    let (first, _) = go_on(&asked(Some(folder.path())), 16);
    assert!(!first.ending.is_whole() && first.runs.is_empty());
    let (rest, steps) = go_on(&asked(Some(folder.path())), u64::MAX);
    assert!(rest.ending.is_whole() && steps[0] >= 24, "what was done is not done again: {steps:?}");
    let (whole, _) = go_on(&asked(None), u64::MAX);
    assert_eq!(rest.runs[0].finding, whole.runs[0].finding);
}
