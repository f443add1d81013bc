//! Output layers on random hidden units.

use super::*;

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
fn keys_that_are_left_out_are_those_of_the_rule() {
    let lifetime = |text: &str| Config::from_toml(text, "here").unwrap().lifetime.unwrap();
    assert_eq!(lifetime("[lifetime]\n"), Lifetime::default());
    let five = Learning { epochs: 5, ..Lifetime::default().output };
    assert_eq!(lifetime("[lifetime.output]\nepochs = 5"), Lifetime { output: five, ..Lifetime::default() });
    assert_eq!(lifetime("[lifetime.output]\nrule = 'adam'").output, Learning::of_lifetime(Rule::Adam));
    let output = |text: &str| dopaminergic::Config::from_toml(text, "here").unwrap().output;
    assert_eq!(output(""), Learning::default());
    assert_eq!(output("[output]\nrule = 'sign_sgd'\nbatch = 7"), Learning { batch: 7, ..Learning::of(Rule::SignSgd) });
    assert!(Learning::of(Rule::Adam).rate < 0.1 && Learning::of_lifetime(Rule::SignSgd).rate < 0.1);
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
