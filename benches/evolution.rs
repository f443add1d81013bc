//! A generation of neural net evolution, and steps of output layers, at the sizes of the paper.

mod common {
    pub(crate) mod answers;
    pub(crate) mod contexts;
    pub(crate) mod groups;
    pub(crate) mod inputs;
}

use common::{answers::assert_close, contexts::contexts, groups::group, inputs::uniform};

use std::ops::ControlFlow;

use criterion::{BenchmarkId, Criterion};
use neuropil::kernels::plasticity;
use neuropil::systems::Learner;
use neuropil::systems::evolution::{Config, Network};
use neuropil::{Matrix, datasets};

/// Whole generations, sampling and update included, on a mini-batch and on all 2000 images.
fn generations(c: &mut Criterion) {
    let data = datasets::embedded();
    let mut group = group(c, "evolution/generation");
    for (label, population, batch) in
        [("64 x 20", 64, Some(20)), ("256 x 100", 256, Some(100)), ("64 x 2000", 64, None)]
    {
        let mut first: Option<Vec<f64>> = None;
        for (name, mut context) in contexts().into_iter().rev().take(2) {
            let config = Config { population, batch, generations: 1 << 40, ..Config::default() };
            let mut network = Network::new(config, 784, 10).expect("a valid configuration");
            // Whatever runs it, the first generation has the same bits.
            let one = &mut |_: &neuropil::systems::Progress<'_>| ControlFlow::Break(());
            assert!(network.train(&mut context, &data.train, None, one).expect("images that fit").is_break());
            let found = network.frequencies().values();
            assert_eq!(*first.get_or_insert_with(|| found.to_vec()), found, "{label}, {name}");
            group.bench_function(BenchmarkId::new(label, &name), |b| {
                b.iter_custom(|count| {
                    let (mut done, start) = (0, std::time::Instant::now());
                    let observer = &mut |_: &neuropil::systems::Progress<'_>| {
                        done += 1;
                        if done == count { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    };
                    let flow = network.train(&mut context, &data.train, None, observer);
                    assert!(flow.expect("images that fit").is_break());
                    start.elapsed()
                });
            });
        }
    }
    group.finish();
}

/// A step of an output layer of ten units on 100,000 hidden units.
fn output_layers(c: &mut Criterion) {
    let (units, inputs) = (10, 100_000);
    for batch in [1, 50] {
        let mut group = group(c, &format!("evolution/output layer, batch {batch}"));
        let h = uniform(batch, inputs, -1.0, 1.0, "h");
        let d = uniform(batch, units, -1.0, 1.0, "d");
        let start = uniform(units, inputs, -1.0, 1.0, "w");
        let narrow = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect::<Vec<f32>>();
        let logits = narrow(plasticity::reference::logits(h.view(), start.view()).0);
        let mut y = Matrix::zeros(batch, units);
        for (name, mut context) in contexts() {
            plasticity::logits(&mut context, h.view(), start.view(), y.view_mut());
            assert_close(&name, y.as_slice(), &logits, 1e-4);
            group.bench_function(BenchmarkId::new("logits", &name), |b| {
                b.iter(|| plasticity::logits(&mut context, h.view(), start.view(), y.view_mut()));
            });
        }
        // At a rate that shows; what is timed hardly changes the weights, however often.
        let rate = 0.5;
        let (gradient, sizes) = plasticity::reference::gradient(h.view(), d.view());
        let modulated = narrow(plasticity::reference::reward_modulated(h.view(), d.view(), start.view(), rate));
        let mut w = start.clone();
        for (name, mut context) in contexts() {
            w.clone_from(&start);
            plasticity::reward_modulated(&mut context, h.view(), d.view(), w.view_mut(), rate);
            assert_close(&name, w.as_slice(), &modulated, 1e-5);
            w.clone_from(&start);
            plasticity::sign_descent(&mut context, h.view(), d.view(), w.view_mut(), rate);
            for (at, (&was, &is)) in start.as_slice().iter().zip(w.as_slice()).enumerate() {
                // Of a gradient near zero rounding decides the sign.
                let sign = if gradient[at].abs() > 1e-5 * sizes[at] { gradient[at].signum() as f32 } else { continue };
                assert!((is - (was - rate * sign)).abs() < 1e-6, "{name} at {at}: {was} to {is}");
            }
            group.bench_function(BenchmarkId::new("sign_descent", &name), |b| {
                b.iter(|| plasticity::sign_descent(&mut context, h.view(), d.view(), w.view_mut(), 1e-6));
            });
            group.bench_function(BenchmarkId::new("reward_modulated", &name), |b| {
                b.iter(|| plasticity::reward_modulated(&mut context, h.view(), d.view(), w.view_mut(), 1e-6));
            });
        }
        group.finish();
    }
}

fn main() {
    let mut c = Criterion::default().configure_from_args();
    generations(&mut c);
    output_layers(&mut c);
    c.final_summary();
}
