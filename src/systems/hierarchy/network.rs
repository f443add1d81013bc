//! A self-organising hierarchy: its state, and how it answers images.

use std::ops::ControlFlow;

use super::base;
use super::config::{Config, ReadOut};
use super::images::Prepared;
use super::layer::Layer;
use super::moves::{Move, Moves};
use super::read_out::Classifier;
use super::sweep::Plan;
use super::topology::{self, Geometry};
use super::units::Unit;
use crate::context::Context;
use crate::datasets::Dataset;
use crate::error::{Error, Result};
use crate::kernels::masked::ReceptiveField;
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::random::Stream;
use crate::systems::journal::{self, Journal};
use crate::systems::{Learner, Observer, checkpoint, settings};

/// The name in checkpoints and on the command line.
pub(crate) const KIND: &str = "hierarchy";

/// Units at their places, as far as they have learnt there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Situation {
    pub(crate) fields: Vec<ReceptiveField>,
    pub(crate) units: Vec<Unit>,
    /// The units' entropies in the last epoch, in bits; none before the first.
    pub(crate) entropies: Vec<f64>,
}

/// Where the training of a read-out stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) classifier: Classifier,
    /// The one of the lowest validation loss, and that loss.
    pub(crate) best: Classifier,
    pub(crate) loss: f64,
    pub(crate) epochs: u64,
    /// Epochs since the lowest loss.
    pub(crate) waited: u64,
}

/// A hierarchy with its whole training state.
///
/// Training goes on by whole epochs: an epoch that the observer breaks off is undone, and begun again when training
/// continues.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    pub(super) config: Config,
    pub(super) geometry: Geometry,
    pub(super) inputs: usize,
    pub(super) classes: usize,
    pub(super) journal: Journal,
    /// The one in training.
    pub(super) current: Situation,
    /// The one meta-learning goes on from; none while the first is in training.
    pub(super) best: Option<Situation>,
    /// The best neighbour so far, in a local search.
    pub(super) leading: Option<Situation>,
    /// Base trainings finished.
    pub(super) trainings: u64,
    /// Epochs of the current base training.
    pub(super) epoch: u64,
    /// Epochs of all base trainings: names every random number of theirs.
    pub(super) epochs: u64,
    /// Meta-steps done, and candidates tried in the one under way.
    pub(super) meta_steps: u64,
    pub(super) tried: u64,
    pub(super) moves: Moves,
    /// The highest entropy of each unit in a topology that was the best; none before the first.
    pub(super) highest: Vec<f64>,
    /// The units' entropies after every epoch, one after the other.
    pub(super) history: Vec<f64>,
    pub(super) reading: Option<Reading>,
}

impl Network {
    /// An untrained hierarchy for images of `inputs` values: those of whole images, as data sets have them, before any cropping.
    ///
    /// # Errors
    /// As [`Config::validate`], and [`Error::Setting`] if inputs are not those of the [configured images](super::Images) (784 of
    /// 1 x 28 x 28, 3072 of 3 x 32 x 32), or classes are out of range.
    pub fn new(config: Config, inputs: usize, classes: usize) -> Result<Self> {
        let mut network = Network::without_units(config, inputs, classes)?;
        let Network { config, geometry, .. } = &network;
        let fields = topology::fields(&config.topology, geometry, config.seed)?;
        let stream = Stream::new(config.seed, "hierarchy weights");
        let place = fields.iter().zip(0..);
        let units = place.map(|(field, k)| Unit::new(config.form, field, geometry.hidden(), stream.item(k))).collect();
        network.current = Situation { fields, units, entropies: Vec::new() };
        Ok(network)
    }

    /// A hierarchy whose units are still to be made, or read.
    pub(super) fn without_units(config: Config, inputs: usize, classes: usize) -> Result<Self> {
        config.validate()?;
        settings::shape(inputs, classes)?;
        let shape = config.images.shape()?;
        if inputs != shape.pixels() {
            return Err(Error::setting("inputs", format!("{} values of {shape} images", shape.pixels()), inputs));
        }
        let geometry = config.geometry()?;
        Ok(Network {
            config,
            geometry,
            inputs,
            classes,
            journal: Journal::default(),
            current: Situation { fields: Vec::new(), units: Vec::new(), entropies: Vec::new() },
            best: None,
            leading: None,
            trainings: 0,
            epoch: 0,
            epochs: 0,
            meta_steps: 0,
            tried: 0,
            moves: Moves::default(),
            highest: Vec::new(),
            history: Vec::new(),
            reading: None,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The feature map.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// What the network answers by: the best topology so far.
    pub(super) fn answering(&self) -> &Situation {
        self.best.as_ref().unwrap_or(&self.current)
    }

    /// The receptive field of each unit, as far as they have moved for good.
    pub fn fields(&self) -> &[ReceptiveField] {
        &self.answering().fields
    }

    /// The entropy of each unit's latents, in bits, over the last epoch of its training; empty before the first.
    pub fn entropies(&self) -> &[f64] {
        &self.answering().entropies
    }

    /// The entropies of all units, in bits, after every epoch of base learning so far: those of the first training
    /// ([`Base::epochs`](super::Base::epochs)), then those of each candidate ([`Meta::epochs`](super::Meta::epochs)), accepted or not.
    pub fn entropy_history(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.history.chunks_exact(self.geometry.latents().len())
    }

    /// The encoder of a unit, from 0: weights `[hidden, inputs]` as [`weights`](Learner::weights) says, and biases, one a latent.
    pub fn encoder(&self, unit: usize) -> Option<(MatRef<'_>, &[f32])> {
        let Layer { weights, bias, .. } = &self.answering().units.get(unit)?.encoder;
        Some((weights.view(), bias))
    }

    /// The decoder of a unit, from 0: weights `[hidden, inputs]` whose rows and columns are the encoder's, and biases, one an input.
    pub fn decoder(&self, unit: usize) -> Option<(MatRef<'_>, &[f32])> {
        let Layer { weights, bias, .. } = &self.answering().units.get(unit)?.decoder;
        Some((weights.view(), bias))
    }

    /// The layers of the read-out that answers, first to last: weights `[inputs, outputs]`, and biases. Inputs of the first are the latents, unit
    /// by unit; between two layers lies a ReLU. None before its training.
    pub fn read_out(&self) -> impl ExactSizeIterator<Item = (MatRef<'_>, &[f32])> {
        let layers = self.reading.as_ref().map_or(&[][..], |reading| &reading.best.layers);
        layers.iter().map(|layer| (layer.weights.view(), &*layer.bias))
    }

    /// The moves of receptive fields so far.
    pub fn moves(&self) -> impl ExactSizeIterator<Item = Move> + '_ {
        self.moves.iter(self.geometry.map())
    }

    pub(super) fn plan(&self, situation: &Situation) -> Plan {
        Plan::new(&self.geometry, &situation.fields, self.config.form, self.config.sweeps())
    }

    /// Latents `[images, units * hidden]` of prepared images, without dropout.
    pub(super) fn latents(&self, context: &Context, images: &Prepared, indices: &[u32]) -> Matrix {
        let situation = self.answering();
        base::latents(context, &self.plan(situation), &situation.units, images, indices, None)
    }

    /// Those of all of them.
    pub(super) fn all_latents(&self, context: &Context, images: &Prepared) -> Matrix {
        let all: Vec<u32> = (0..images.len() as u32).collect();
        self.latents(context, images, &all)
    }

    /// What lies on the feature map after the last sweep, `[images, cells]`, for images `[images, inputs]` in 0 to 1, without dropout.
    ///
    /// Images are taken back to the nearest byte, as training prepares bytes: NaN becomes 0, and so does what is below 0; above 1 is 255.
    ///
    /// Cost: that of an answer without the read-out, all sweeps of the encoders, and the maps: four bytes written an image and cell. Images are
    /// prepared on the calling thread.
    ///
    /// # Panics
    /// If the images have another size.
    #[track_caller]
    pub fn feature_maps(&self, context: &mut Context, images: MatRef<'_>) -> Matrix {
        let prepared = self.prepared(images);
        let all: Vec<u32> = (0..images.rows() as u32).collect();
        self.activity(context, &prepared, &all)
    }

    /// Whole maps `[images, cells]` of prepared images.
    pub(super) fn activity(&self, context: &Context, images: &Prepared, indices: &[u32]) -> Matrix {
        let situation = self.answering();
        let plan = self.plan(situation);
        let mut maps = Matrix::zeros(indices.len(), self.geometry.map().len());
        base::latents(context, &plan, &situation.units, images, indices, Some(maps.view_mut()));
        maps
    }

    #[track_caller]
    fn prepared(&self, images: MatRef<'_>) -> Prepared {
        assert_eq!(images.cols(), self.inputs, "images of {} values for {} inputs", images.cols(), self.inputs);
        Prepared::from_values(self.config.images, images).expect("the shape of the configured images is one")
    }

    pub(super) fn fresh_classifier(&self) -> Classifier {
        self.classifier(&self.config.read_out)
    }

    /// An untrained read-out that is configured so.
    pub(super) fn classifier(&self, config: &ReadOut) -> Classifier {
        let stream = Stream::new(self.config.seed, "hierarchy read-out weights");
        let latents = self.geometry.latents().len() * self.geometry.hidden();
        Classifier::new(config, latents, self.classes, stream)
    }
}

checkpoint::readable!(Network);

impl Learner for Network {
    journal::answers!();

    fn inputs(&self) -> usize {
        self.inputs
    }

    fn classes(&self) -> usize {
        self.classes
    }

    /// Trains the units (algorithm 1), then their receptive fields if so configured (algorithm 2), then the read-out.
    ///
    /// The observer is told of as many steps of meta-learning as there can be at most: a candidate that is accepted ends its
    /// meta-step early, and the read-out stops early too.
    fn train(
        &mut self,
        context: &mut Context,
        data: &Dataset,
        monitor: Option<&Dataset>,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>> {
        settings::both_fit(data, monitor, self.inputs, self.classes)?;
        super::train::train(self, context, data, monitor, observer)
    }

    /// Images in 0 to 1 are taken back to the nearest byte: training prepares bytes.
    fn predict(&self, context: &mut Context, images: MatRef<'_>, logits: MatMut<'_>) {
        let latents = self.all_latents(context, &self.prepared(images));
        match &self.reading {
            Some(reading) => reading.best.logits(context, latents.view(), logits),
            None => self.fresh_classifier().logits(context, latents.view(), logits),
        }
    }

    fn sees(&self, data: &Dataset) -> Result<()> {
        Prepared::check(self.config.images, data)
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        self.write().bytes()
    }

    /// The encoder of unit `layer`, `[hidden, inputs]`: a row a latent, a column for each cell of the unit's field, rectangle by
    /// rectangle, row by row (in the masked form cells that it holds twice stand once). Not `[inputs, units]`, as other learners'.
    fn weights(&self, layer: usize) -> Option<MatRef<'_>> {
        self.answering().units.get(layer).map(|unit| unit.encoder.weights.view())
    }

    /// The first unit's encoder, `[hidden, inputs]`: an image a latent of what lies in the unit's field, not of the whole input;
    /// of the best topology so far.
    fn receptive_fields(&self) -> Matrix {
        self.answering().units.first().map_or_else(|| Matrix::zeros(0, 0), |unit| unit.encoder.weights.clone())
    }
}
