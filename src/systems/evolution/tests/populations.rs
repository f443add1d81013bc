//! Generations of a population, its curves and its lifetime: the same bits, and what they lead to.

use super::*;

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
    // What was learned in the lifetime is there to be used.
    let data = &embedded().test;
    let links = network.lifetime_links().unwrap();
    let x = data.to_matrix(&mut context(), Scaling::UNIT).unwrap();
    let (_, logits) = network.forward(&mut context(), &links, x.view());
    assert_eq!(loss::accuracy(logits.view(), data.labels()), found.lifetime.unwrap());
    assert!(Network::new(small(1), 784, 10).unwrap().lifetime_links().is_none());
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

/// The allele frequencies after as many generations as this tells images and brightness for, step by step.
fn evolved(network: &Network, sample: &Dataset, judged: &[(Vec<u32>, f64)]) -> Vec<f64> {
    let (config, mut context) = (network.config(), context());
    let mut frequencies = network.frequencies().clone();
    for (number, (indices, brightness)) in judged.iter().enumerate() {
        let mut images = Matrix::zeros(indices.len(), sample.pixels());
        let scaling = Scaling { scale: *brightness as f32 / 255.0, offset: 0.0 };
        sample.gather(&mut context, indices, scaling, images.view_mut()).unwrap();
        let labels: Vec<u8> = indices.iter().map(|&image| sample.labels()[image as usize]).collect();
        let samples = Samples::new(&mut context, network.graph(), images.view(), &labels).unwrap();
        let stream = Stream::new(config.seed, "evolution population").item(number as u64);
        let genotypes = 0..config.population as u64;
        let population = Population::sample(&mut context, &frequencies, stream, genotypes).unwrap();
        let outcome = evaluate(&mut context, network.weight_generation(), &samples, &population);
        let rewards = allele_rewards(&mut context, &population, &outcome.rewards);
        frequencies.update(&rewards, config.epsilon).unwrap();
    }
    frequencies.values().to_vec()
}

#[test]
fn generations_are_judged_on_the_images_and_at_the_brightness_that_are_configured() {
    let data = seen::first_classes(&embedded().train, 3).unwrap();
    let dawn = Some(Dawn { brightness: 0.0125, generations: 2 });
    let (bright, dawning) = ([0.05; 7], [0.0125, 0.025, 0.05, 0.05, 0.05, 0.05, 0.05]);
    let (balanced, one) = (JudgedOn::AllClasses, JudgedOn::OneClass);
    let mut all = Vec::new();
    for (batch, judged_on, dawn, brightness) in [
        (Some(6), balanced, None, bright),
        (Some(6), one, None, bright),
        (Some(6), balanced, dawn.clone(), dawning),
        (Some(6), one, dawn.clone(), dawning),
        (None, balanced, None, bright),
        (None, balanced, dawn, dawning),
    ] {
        let what = format!("{batch:?} {judged_on:?} {dawn:?}");
        let config = Config {
            genes: 200,
            hidden: 20,
            images_per_class: 10,
            batch,
            judged_on,
            dawn,
            lifetime: None,
            ..small(brightness.len() as u64)
        };
        let mut network = Network::new(config.clone(), data.pixels(), 3).unwrap();
        let sample = output::sample(&data, Some(10), config.seed).unwrap();
        let labels = sample.labels();
        let stream = Stream::new(config.seed, "evolution batches");
        let of_class = |class: u8| -> Vec<u32> { (0..30).filter(|&image| labels[image as usize] == class).collect() };
        let mut mixed = Batches::new(labels, 3, None, 6, Order::ClassBalanced, stream).unwrap();
        let mut of_one: Vec<Batches> = (0..3)
            .map(|class| {
                let stream = stream.item(class.into());
                Batches::new(labels, 3, Some(&of_class(class)), 6, Order::Shuffled, stream).unwrap()
            })
            .collect();
        let judged: Vec<(Vec<u32>, f64)> = (0..)
            .zip(brightness)
            .map(|(generation, brightness)| {
                let images = match (batch, judged_on) {
                    (None, _) => (0..30).collect(),
                    (_, JudgedOn::AllClasses) => mixed.indices(generation).to_vec(),
                    // Class after class, each through its own images in turn.
                    (_, JudgedOn::OneClass) => of_one[generation as usize % 3].indices(generation / 3).to_vec(),
                };
                (images, brightness)
            })
            .collect();
        let expected = evolved(&network, &sample, &judged);
        let mut go = |_: &Progress<'_>| ControlFlow::Continue(());
        assert!(network.train(&mut context(), &data, None, &mut go).unwrap().is_continue());
        assert_eq!(network.frequencies().values(), expected, "{what}");
        assert!(!all.contains(&expected), "{what} makes a difference");
        all.push(expected);
    }
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
fn expected_weights_are_those_of_the_present_generation() {
    let data = embedded();
    let images = output::values(&mut context(), &data.test).unwrap();
    let answers = |network: &Network| {
        let mut logits = Matrix::zeros(images.rows(), 10);
        network.predict(&mut context(), images.view(), logits.view_mut());
        logits
    };
    let first = trained(Config { lifetime: None, ..small(2) }, 1);
    let before = answers(&first);
    assert_eq!(answers(&first), before);
    let mut more = first.extended(Config { lifetime: None, ..small(4) }).unwrap();
    let mut go = |_: &Progress<'_>| ControlFlow::Continue(());
    assert!(more.train(&mut context(), &data.train, None, &mut go).unwrap().is_continue());
    let after = answers(&more);
    assert_ne!(after, before);
    let anew = Network::parse(more.to_bytes().unwrap(), "memory").unwrap();
    assert_eq!((answers(&anew), anew == more), (after, true));
}
