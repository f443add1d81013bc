//! Populations and output layers by topic; what the topics share stands here.

mod output_layers;
mod populations;
mod refusals;
mod reproduction;

use std::ops::ControlFlow;

use super::dopaminergic;
use super::experiment::{Options, reproduce};
use super::*;
use crate::context::Context;
use crate::datasets::batches::{Batches, Order};
use crate::datasets::{Dataset, Scaling, Shape, embedded};
use crate::error::Error;
use crate::kernels::genotype::{
    AlleleFrequencies, Graph, Population, Samples, WeightGeneration, allele_rewards, evaluate,
};
use crate::kernels::loss;
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
