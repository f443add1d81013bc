//! Lifetime learning: a genotype's output layer goes on learning, its hidden layer stays as it evolved.

use std::ops::ControlFlow;

use super::config::Lifetime;
use super::network::Network;
use super::output::{Activities, Output, Rule, Training};
use crate::context::Context;
use crate::datasets::Dataset;
use crate::error::Result;
use crate::matrix::{MatRef, Matrix};
use crate::random::Stream;
use crate::systems::Observer;
use crate::systems::checkpoint::{Reader, Writer};
use crate::systems::journal::{Journal, Phase};

/// What a genotype is in its lifetime.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Life {
    /// Weights of the edges, as evolved.
    edges: Vec<f32>,
    /// `[classes, hidden]`
    output: Output,
}

/// Weights of all links, those of the output in the place of the evolved ones.
fn links(edges: &[f32], output: &Output) -> Vec<f32> {
    [edges, output.weights.transposed().as_slice()].concat()
}

impl Life {
    pub(super) fn new(context: &mut Context, network: &Network, lifetime: &Lifetime) -> Result<Self> {
        let mut edges = network.links(context, lifetime.start);
        let weights = edges.split_off(network.graph().edges());
        let Network { config, classes, .. } = network;
        let weights = Matrix::from_slice(&weights, config.hidden, *classes)?;
        Ok(Life { edges, output: Output::from_weights(&lifetime.output, weights.transposed()) })
    }

    /// Learns from `done` steps on.
    pub(super) fn learn(
        &mut self,
        context: &mut Context,
        network: &Network,
        journal: &mut Journal,
        (sample, monitor): (&Dataset, Option<&Dataset>),
        (lifetime, phase, done): (&Lifetime, &Phase, u64),
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>> {
        let (all, mut images) = ((0..sample.len() as u32).collect::<Vec<_>>(), Matrix::zeros(0, 0));
        network.images(context, sample, &all, &mut images)?;
        let hidden = self.hidden(context, network, images.view());
        let training = Training {
            learning: &lifetime.output,
            phase,
            activities: Activities { hidden: hidden.view(), labels: sample.labels() },
            stream: Stream::new(network.config.seed, "evolution lifetime order"),
        };
        let Life { edges, output } = self;
        let accuracy = |context: &mut Context, output: &Output| {
            monitor.map(|data| network.accuracy_of(context, &links(edges, output), data)).transpose()
        };
        training.run(context, output, journal, done, accuracy, observer)
    }

    pub(super) fn links(&self) -> Vec<f32> {
        links(&self.edges, &self.output)
    }

    fn hidden(&self, context: &mut Context, network: &Network, images: MatRef<'_>) -> Matrix {
        network.forward(context, &self.links(), images).0
    }

    pub(super) fn accuracy(&self, context: &mut Context, network: &Network, data: &Dataset) -> Result<f64> {
        network.accuracy_of(context, &self.links(), data)
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.values("life.edges", &[self.edges.len()], &self.edges);
        writer.matrix("life.output", &self.output.weights);
        if let Some(moments) = &self.output.moments {
            let shape = [self.output.weights.rows(), self.output.weights.cols()];
            writer.adam("life.output", &shape, moments);
        }
    }

    /// Whether the checkpoint holds one.
    pub(super) fn is_in(reader: &Reader) -> bool {
        reader.has("life.edges")
    }

    /// Checks that the output layer is there, whole, before memory is reserved for its like.
    pub(super) fn expect(reader: &mut Reader, lifetime: &Lifetime, [classes, hidden]: [usize; 2]) -> Result<()> {
        match lifetime.output.rule {
            Rule::Adam => reader.expect_moments("life.output", &[classes, hidden]),
            Rule::Dopaminergic { .. } | Rule::SignSgd => reader.expect("life.output", &[classes, hidden]),
        }
    }

    pub(super) fn read(
        reader: &mut Reader,
        lifetime: &Lifetime,
        edges: usize,
        [classes, hidden]: [usize; 2],
    ) -> Result<Self> {
        reader.expect("life.edges", &[edges])?;
        let mut life = Life { edges: vec![0.0; edges], output: Output::new(&lifetime.output, classes, hidden) };
        reader.values("life.edges", &[edges], &mut life.edges)?;
        reader.matrix("life.output", &mut life.output.weights)?;
        if let Some(moments) = &mut life.output.moments {
            reader.adam("life.output", &[classes, hidden], moments)?;
        }
        Ok(life)
    }
}
