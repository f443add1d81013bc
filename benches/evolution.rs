//! A generation of neural net evolution, and steps of output layers, at the sizes of the paper.

mod common {
    pub(crate) mod answers;
    pub(crate) mod beside;
    pub(crate) mod contexts;
    pub(crate) mod groups;
    pub(crate) mod inputs;
}

use common::{beside::Beside, contexts::contexts, groups::group, inputs::uniform};

use std::ops::ControlFlow;

use criterion::{BenchmarkId, Criterion};
use neuropil::kernels::plasticity::{self, Reading, reference};
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

/// A sum in 16 parts, as the compiler may not reorder one.
fn plain_sum(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (a, rest_of_a) = a.as_chunks::<16>();
    let (b, rest_of_b) = b.as_chunks::<16>();
    for (a, b) in a.iter().zip(b) {
        (0..16).for_each(|at| sums[at] += a[at] * b[at]);
    }
    sums.iter().sum::<f32>() + rest_of_a.iter().zip(rest_of_b).map(|(a, b)| a * b).sum::<f32>()
}

/// What each sample adds for a unit and an input, by its signal and activity; then what that makes of the weight.
fn plain_update(h: &Matrix, d: &Matrix, w: &mut Matrix, term: fn(f32, f32) -> f32, change: impl Fn(f32, f32) -> f32) {
    let mut sums = vec![0.0f32; h.cols()];
    for unit in 0..w.rows() {
        sums.fill(0.0);
        for b in 0..h.rows() {
            let signal = d[(b, unit)];
            sums.iter_mut().zip(h.row(b)).for_each(|(sum, &h)| *sum += term(signal, h));
        }
        w.row_mut(unit).iter_mut().zip(&sums).for_each(|(w, &sum)| *w = change(*w, sum));
    }
}

/// A step of an output layer of ten units on 100,000 hidden units. At a rate that shows the first time, when answers are compared; what is
/// timed hardly changes the weights, however often.
fn output_layers(c: &mut Criterion) {
    let (units, inputs, compared, timed) = (10, 100_000, 0.5, 1e-6);
    for batch in [1, 50] {
        let mut group = group(c, &format!("evolution/output layer, batch {batch}"));
        let h = uniform(batch, inputs, -1.0, 1.0, "h");
        let d = uniform(batch, units, -1.0, 1.0, "d");
        let w = uniform(units, inputs, -1.0, 1.0, "w");
        let (y, g, work) = (Matrix::zeros(batch, units), Matrix::zeros(units, inputs), batch * units * inputs);
        let start = (w.clone(), compared);
        let product = |signal, h| signal * h;
        let fired = |signal, h| if h > 0.0 { signal } else { 0.0 };

        Beside::reference(&mut group, "logits", "reference", 1e-4, || reference::logits(h.view(), w.view()).0)
            .timed("plain loop", &y, |y| {
                for b in 0..batch {
                    (0..units).for_each(|unit| y[(b, unit)] = plain_sum(h.row(b), w.row(unit)));
                }
            })
            .ours(work, &y, |context, y| plasticity::logits(context, h.view(), w.view(), y.view_mut()));

        Beside::reference(&mut group, "gradient", "reference", 1e-5, || reference::gradient(h.view(), d.view()).0)
            .timed("plain loop", &g, |g| plain_update(&h, &d, g, product, |_, sum| sum))
            .ours(work, &g, |context, g| plasticity::gradient(context, h.view(), d.view(), g.view_mut()));

        // No gradient of these is so near zero that rounding would decide its sign.
        Beside::reference(&mut group, "sign_descent", "reference", 1e-5, || {
            let gradient = reference::gradient(h.view(), d.view()).0.into_iter();
            gradient.zip(w.as_slice()).map(|(g, &w)| f64::from(w) - f64::from(compared) * g.signum()).collect()
        })
        .timed("plain loop", &start, |(w, rate)| {
            plain_update(&h, &d, w, product, |w, sum| w - *rate * sum.signum());
            *rate = timed;
        })
        .ours(work, &start, |context, (w, rate)| {
            plasticity::sign_descent(context, h.view(), d.view(), w.view_mut(), *rate);
            *rate = timed;
        });

        Beside::reference(&mut group, "reward_modulated", "reference", 1e-5, || {
            reference::reward_modulated(h.view(), d.view(), w.view(), compared)
        })
        .timed("plain loop", &start, |(w, rate)| {
            plain_update(&h, &d, w, fired, |w, sum| w - *rate * sum);
            *rate = timed;
        })
        .ours(work, &start, |context, (w, rate)| {
            plasticity::reward_modulated(context, h.view(), d.view(), w.view_mut(), *rate);
            *rate = timed;
        });
        group.finish();
    }
}

/// What a sample's loss makes of its differences, which are put in anew each time: signals are no differences.
fn reward_signals(c: &mut Criterion) {
    let (batch, units, threshold) = (2000, 10, 0.75);
    let mut group = group(c, "evolution/reward_signal, 2000 x 10");
    let (difference, losses) = (uniform(batch, units, -1.0, 1.0, "z - l"), uniform(1, batch, 0.0, 2.0, "losses"));
    let (losses, start) = (losses.as_slice(), Matrix::zeros(batch, units));
    for (name, reading) in [("signed", Reading::Signed), ("printed", Reading::Printed), ("prose", Reading::Prose)] {
        Beside::reference(&mut group, name, "reference", 0.0, || {
            let values = difference.as_slice().iter().enumerate();
            values
                .map(|(at, &d)| {
                    reference::reward_signal(reading, threshold.into(), losses[at / units].into(), d.into())
                })
                .collect()
        })
        .timed("plain loop", &start, |s| {
            for (at, (s, &d)) in s.as_mut_slice().iter_mut().zip(difference.as_slice()).enumerate() {
                let (far, wrong) = (d * d > 0.25, losses[at / units] > threshold);
                *s = match reading {
                    Reading::Signed => d.signum() * f32::from(far && wrong),
                    Reading::Printed => -f32::from(!far && wrong),
                    Reading::Prose => -f32::from(!far && !wrong),
                };
            }
        })
        // By one loop on one thread.
        .timed("ours", &start, |s| {
            s.as_mut_slice().copy_from_slice(difference.as_slice());
            plasticity::reward_signal(reading, threshold, losses, s.view_mut());
        });
    }
    group.finish();
}

fn main() {
    let mut c = Criterion::default().configure_from_args();
    generations(&mut c);
    output_layers(&mut c);
    reward_signals(&mut c);
    c.final_summary();
}
