//! What cannot be: settings, data and states that are refused, and graphs that say nothing.

use super::*;

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
    let mut writer = Writer::new("evolution", &config.to_toml(), inputs, 10, &Journal::default());
    writer.doubles("frequencies", &[config.genes], frequencies);
    curve::write(&mut writer, &[], &[]);
    writer.doubles("running", &[3], &[0.0; 3]);
    more(&mut writer);
    Network::parse(writer.bytes()?, "state")
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
