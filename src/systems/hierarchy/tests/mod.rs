//! The hierarchy by topic; what the topics share stands here.

mod colour;
mod learning;
mod meta;
mod read_outs;
mod states;
mod topology;

use std::ops::ControlFlow;
use std::sync::Arc;

use super::base::{Engine, Epoch, latents};
use super::images::Prepared;
use super::network::Situation;
use super::sweep::Plan;
use super::topology::{Geometry, fields, neighbours, random_place, shifted};
use super::train::{Material, Session};
use super::units::Unit;
use super::*;
use crate::datasets::batches::{Batches, Order};
use crate::datasets::transforms::grayscale;
use crate::datasets::{Dataset, Shape, embedded};
use crate::kernels::masked::{Map, ReceptiveField, Rectangle};
use crate::random::Stream;
use crate::systems::{Learner, Progress};
use crate::{Context, Error, Isa, Matrix, Threads};

fn context(isa: Isa, threads: usize) -> Context {
    Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap())
}

fn config(topology: Named) -> Config {
    let base = Base { epochs: 1, ..Base::default() };
    let read_out = ReadOut { epochs: 2, ..ReadOut::default() };
    Config { seed: 7, topology: Topology::Named(topology), base, read_out, ..Config::default() }
}

fn network(config: &Config) -> Network {
    Network::new(config.clone(), 784, 10).unwrap()
}

fn go(_: &Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// All parameters of all units, as bits.
fn bits(situation: &Situation) -> Vec<u32> {
    let layers = situation.units.iter().flat_map(|unit| [&unit.encoder, &unit.decoder]);
    layers.flat_map(|layer| layer.weights.as_slice().iter().chain(&layer.bias)).map(|value| value.to_bits()).collect()
}

/// A few batches of base learning on the embedded digits: losses and the state they lead to.
fn learn(context: &Context, config: &Config, batches: u64, complete: bool) -> (Vec<f64>, Situation) {
    learn_from(&embedded().train, context, config, batches, complete)
}

/// The same on other images.
fn learn_from(
    data: &Dataset,
    context: &Context,
    config: &Config,
    batches: u64,
    complete: bool,
) -> (Vec<f64>, Situation) {
    let mut network = Network::new(config.clone(), data.pixels(), data.classes()).unwrap();
    let images = Prepared::new(context, config.images, data).unwrap();
    let stream = Stream::new(config.seed, "test batches");
    let mut order = Batches::new(data.labels(), 10, None, config.base.batch, Order::Shuffled, stream).unwrap();
    let mut plan = network.plan(&network.current);
    if complete {
        plan = plan.complete();
    }
    let epoch = Epoch {
        plan: &plan,
        base: &config.base,
        images: &images,
        first: 3,
        batches,
        adam_steps: 0,
        stream: Stream::new(config.seed, "test"),
    };
    let (mut engine, mut losses) = (Engine::new(), Vec::new());
    let flow = engine.epoch(context, epoch, &mut order, &mut network.current.units, &mut |_, loss| {
        losses.push(loss);
        ControlFlow::Continue(())
    });
    assert!(flow.is_continue());
    network.current.entropies = engine.entropies(context, config.base.bins);
    (losses, network.current)
}

/// Algorithm 1 without dropout, in `f64`, with weights read from the units: losses and gradients of one batch.
struct Naive {
    map: Vec<f64>,
    loss: f64,
    encoders: Vec<Vec<f64>>,
    decoders: Vec<Vec<f64>>,
}

/// Of images as they lie on the map.
fn naive(plan: &Network, images: &[Vec<f64>]) -> Naive {
    let (geometry, units, fields) = (plan.geometry(), &plan.current.units, &plan.current.fields);
    let (cells, side) = (geometry.map().len(), geometry.image().rows.len());
    let zeros = || -> Vec<Vec<f64>> { units.iter().map(|u| vec![0.0; u.encoder.weights.as_slice().len()]).collect() };
    let mut out = Naive { map: Vec::new(), loss: 0.0, encoders: zeros(), decoders: zeros() };
    let values: usize = fields.iter().map(|field| field.len() * images.len()).sum();
    for image in images {
        let mut map = vec![0.0f64; cells];
        for (pixel, &value) in image.iter().enumerate() {
            map[pixel / side * geometry.map().cols + pixel % side] = value;
        }
        let encode = |map: &[f64], k: usize| -> (Vec<f64>, Vec<f64>) {
            let x: Vec<f64> = fields[k].columns().map(|cell| map[cell]).collect();
            let layer = &units[k].encoder;
            let h = (0..layer.bias.len()).map(|j| {
                let sum: f64 = x.iter().enumerate().map(|(i, x)| x * f64::from(layer.weights[(j, i)])).sum();
                (sum + f64::from(layer.bias[j])).max(0.0)
            });
            let h = h.collect();
            (x, h)
        };
        let write = |map: &mut [f64], k: usize, h: &[f64]| {
            let tile = ReceptiveField::new(geometry.map(), &geometry.latents()[k..=k]).unwrap();
            tile.columns().zip(h).for_each(|(cell, h)| map[cell] = *h);
        };
        for sweep in 0..=units.len() {
            for k in 0..units.len() {
                let (x, h) = encode(&map, k);
                write(&mut map, k, &h);
                if sweep < units.len() {
                    continue;
                }
                let layer = &units[k].decoder;
                let (inputs, hidden) = (x.len(), h.len());
                let mut by_h = vec![0.0; hidden];
                for i in 0..inputs {
                    let sum: f64 = (0..hidden).map(|j| h[j] * f64::from(layer.weights[(j, i)])).sum();
                    let y = (sum + f64::from(layer.bias[i])).max(0.0);
                    out.loss += (y - x[i]).powi(2) / values as f64;
                    if y > 0.0 {
                        let g = 2.0 * (y - x[i]) / (images.len() * inputs) as f64;
                        for j in 0..hidden {
                            out.decoders[k][j * inputs + i] += g * h[j];
                            by_h[j] += g * f64::from(layer.weights[(j, i)]);
                        }
                    }
                }
                for j in (0..hidden).filter(|&j| h[j] > 0.0) {
                    for i in 0..inputs {
                        out.encoders[k][j * inputs + i] += by_h[j] * x[i];
                    }
                }
            }
        }
        out.map = map;
    }
    out
}

/// Whether the first batch has this loss and these gradients.
#[track_caller]
fn close(exact: &Naive, loss: f64, after: &Situation) {
    assert!((loss - exact.loss).abs() < 1e-5 * exact.loss, "{loss} for {}", exact.loss);
    for (k, unit) in after.units.iter().enumerate() {
        for (layer, exact) in [(&unit.encoder, &exact.encoders[k]), (&unit.decoder, &exact.decoders[k])] {
            // Adam's first mean is a tenth of the first gradient. A ReLU at zero may fall to either side.
            let largest = exact.iter().fold(0.0f64, |largest, g| largest.max(g.abs()));
            let wrong = |(got, exact): &(&f32, &f64)| (f64::from(**got) * 10.0 - **exact).abs() > 1e-4 * largest;
            let count = layer.moments.first.iter().zip(exact).filter(wrong).count();
            assert!(largest > 0.0 && count * 1000 <= exact.len(), "unit {k}: {count} of {} differ", exact.len());
        }
    }
}
