//! A self-organising hierarchy: its state, how it answers images, and how it is saved.

use std::ops::{ControlFlow, RangeInclusive};
use std::path::Path;

use super::base;
use super::config::{Config, Form, ReadOut, Rule};
use super::images::Prepared;
use super::read_out::Classifier;
use super::sweep::Plan;
use super::topology::{self, Geometry};
use super::units::{self, Store, Unit};
use crate::context::Context;
use crate::datasets::Dataset;
use crate::error::{Error, Result};
use crate::kernels::masked::{Map, ReceptiveField, Rectangle};
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::random::Stream;
use crate::systems::checkpoint::{Reader, Writer};
use crate::systems::journal::Journal;
use crate::systems::{CurvePoint, Learner, Observer, settings};

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

/// A receptive field that moved for good.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// The meta-step, from 0.
    pub step: u64,
    /// The unit, from 0.
    pub unit: usize,
    /// Where its field now lies.
    pub field: ReceptiveField,
    /// What the move had to raise, in the best topology before it and in the one it led to: the unit's entropy in bits, or the
    /// median of all; before it the unit's highest, with [`Criterion::UnitBest`](super::Criterion::UnitBest).
    pub entropy: [f64; 2],
}

/// Moves as a checkpoint holds them, which may be a great many: reading them takes no more memory than they do in the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Moves {
    /// Step, unit, entropies, and the number of areas of the field.
    made: Vec<f64>,
    /// The areas of all fields.
    areas: Vec<f64>,
}

/// Numbers of a move.
const MOVE: usize = 5;

impl Moves {
    pub(super) fn push(&mut self, made: &Move) {
        let ([before, after], rectangles) = (made.entropy, made.field.rectangles());
        self.made.extend([made.step as f64, made.unit as f64, before, after, rectangles.len() as f64]);
        self.areas.extend(rectangles.iter().flat_map(topology::area).map(|n| n as f64));
    }

    fn iter(&self, map: Map) -> impl ExactSizeIterator<Item = Move> + '_ {
        let mut rest = self.areas.as_chunks::<4>().0;
        self.made.as_chunks::<MOVE>().0.iter().map(move |&[step, unit, before, after, own]| {
            let (field, others) = rest.split_at(own as usize);
            rest = others;
            let rectangles: Vec<Rectangle> =
                field.iter().map(|area| topology::rectangle(area.map(|n| n as usize))).collect();
            let field =
                ReceptiveField::new(map, &rectangles).expect("a field that was made, or checked when it was read");
            Move { step: step as u64, unit: unit as usize, field, entropy: [before, after] }
        })
    }

    /// How many.
    fn len(&self) -> usize {
        self.made.len() / MOVE
    }
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
    /// An untrained hierarchy for images of `inputs` values.
    ///
    /// # Errors
    /// As [`Config::validate`], and [`Error::Setting`] if inputs are not those of the configured images or classes are out
    /// of range.
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
    fn without_units(config: Config, inputs: usize, classes: usize) -> Result<Self> {
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

    /// What lies on the feature map after the last sweep, `[images, cells]`, for images `[images, inputs]` in 0 to 1.
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

    /// Continues from a checkpoint.
    ///
    /// # Errors
    /// As [`checkpoint::load`](crate::systems::checkpoint::load).
    pub fn load(path: &Path) -> Result<Self> {
        Network::read(&mut Reader::open(path)?)
    }
}

/// A situation in a checkpoint.
impl Situation {
    fn write(&self, name: &str, writer: &mut Writer) {
        let units = self.units.len();
        for (k, (unit, field)) in self.units.iter().zip(&self.fields).enumerate() {
            let areas: Vec<f64> = field.rectangles().iter().flat_map(topology::area).map(|n| n as f64).collect();
            writer.doubles(&format!("{name}.{k}.field"), &[areas.len() / 4, 4], &areas);
            for (part, layer) in [("encoder", &unit.encoder), ("decoder", &unit.decoder)] {
                let name = format!("{name}.{k}.{part}");
                let shape = [layer.weights.rows(), layer.weights.cols()];
                writer.matrix(&format!("{name}.weights"), &layer.weights);
                writer.values(&format!("{name}.bias"), &[layer.bias.len()], &layer.bias);
                writer.adam(&format!("{name}.weights"), &shape, &layer.moments);
                writer.adam(&format!("{name}.bias"), &[layer.bias.len()], &layer.bias_moments);
            }
            if let Some(store) = &unit.store {
                writer.matrix(&format!("{name}.{k}.map.encoder"), &store.encoder);
                writer.matrix(&format!("{name}.{k}.map.decoder"), &store.decoder);
                let bias = &store.decoder_bias;
                writer.values(&format!("{name}.{k}.map.decoder_bias"), &[bias.len()], bias);
            }
        }
        if !self.entropies.is_empty() {
            writer.doubles(&format!("{name}.entropies"), &[units], &self.entropies);
        }
    }

    /// Reads a situation of units whose fields are configured to be as large as these.
    fn read(name: &str, reader: &mut Reader, network: &Network, configured: &[Vec<Rectangle>]) -> Result<Self> {
        let mut situation = Situation { fields: Vec::new(), units: Vec::new(), entropies: Vec::new() };
        let (form, hidden, cells) = (network.config.form, network.geometry.hidden(), network.geometry.map().len());
        for (k, configured) in configured.iter().enumerate() {
            let tensor = format!("{name}.{k}.field");
            let areas = reader.doubles_of(&tensor, 4)?;
            let rectangles = network.rectangles(&tensor, reader, areas.as_chunks::<4>().0, configured)?;
            let values = ReceptiveField::check(network.geometry.map(), &rectangles)?;
            // The field's own memory is for rows of it, or of the map in the masked form: what there are weights for.
            let inputs = match form {
                Form::Gathered => values,
                Form::Masked => {
                    for part in ["encoder", "decoder"] {
                        reader.expect(&format!("{name}.{k}.map.{part}"), &[hidden, cells])?;
                    }
                    reader.expect(&format!("{name}.{k}.map.decoder_bias"), &[cells])?;
                    units::len(&units::inputs(&ReceptiveField::new(network.geometry.map(), &rectangles)?, form))
                }
            };
            for (part, biases) in [("encoder", hidden), ("decoder", inputs)] {
                reader.expect_moments(&format!("{name}.{k}.{part}.weights"), &[hidden, inputs])?;
                reader.expect_moments(&format!("{name}.{k}.{part}.bias"), &[biases])?;
            }
            let field = ReceptiveField::new(network.geometry.map(), &rectangles)?;
            let mut unit = Unit::zeros(inputs, hidden);
            unit.store = (form == Form::Masked).then(|| Store::zeros(hidden, cells));
            for (part, layer) in [("encoder", &mut unit.encoder), ("decoder", &mut unit.decoder)] {
                let name = format!("{name}.{k}.{part}");
                let shape = [layer.weights.rows(), layer.weights.cols()];
                let biases = layer.bias.len();
                reader.matrix(&format!("{name}.weights"), &mut layer.weights)?;
                reader.values(&format!("{name}.bias"), &[biases], &mut layer.bias)?;
                reader.adam(&format!("{name}.weights"), &shape, &mut layer.moments)?;
                reader.adam(&format!("{name}.bias"), &[biases], &mut layer.bias_moments)?;
            }
            if let Some(store) = &mut unit.store {
                reader.matrix(&format!("{name}.{k}.map.encoder"), &mut store.encoder)?;
                reader.matrix(&format!("{name}.{k}.map.decoder"), &mut store.decoder)?;
                reader.values(&format!("{name}.{k}.map.decoder_bias"), &[cells], &mut store.decoder_bias)?;
            }
            situation.fields.push(field);
            situation.units.push(unit);
        }
        // There are entropies since the first epoch.
        if network.epochs > 0 {
            situation.entropies = reader.doubles(&format!("{name}.entropies"), &[configured.len()])?;
        }
        Ok(situation)
    }
}

/// A counter of a checkpoint: a whole number, exact in `f64`, within its range.
fn counter(reader: &Reader, what: &str, value: f64, range: RangeInclusive<u64>) -> Result<u64> {
    let whole = value.fract() == 0.0 && (0.0..EXACT).contains(&value) && range.contains(&(value as u64));
    if whole {
        return Ok(value as u64);
    }
    let (low, high) = range.into_inner();
    Err(reader.wrong(format!("{what}, an integer from {low} to {}", high.min(EXACT as u64)), value.to_string()))
}

/// Integers below this are exact in `f64`.
const EXACT: f64 = (1u64 << 53) as f64;

impl Classifier {
    fn write(&self, name: &str, writer: &mut Writer) {
        for (index, layer) in self.layers.iter().enumerate() {
            let name = format!("{name}.{index}");
            let shape = [layer.weights.rows(), layer.weights.cols()];
            writer.matrix(&format!("{name}.weights"), &layer.weights);
            writer.values(&format!("{name}.bias"), &shape[1..], &layer.bias);
            writer.adam(&format!("{name}.weights"), &shape, &layer.moments);
            writer.adam(&format!("{name}.bias"), &shape[1..], &layer.bias_moments);
        }
    }

    /// Checks that a classifier of these layers is there.
    fn expect(shapes: &[[usize; 2]], name: &str, reader: &mut Reader) -> Result<()> {
        for (index, shape) in shapes.iter().enumerate() {
            reader.expect_moments(&format!("{name}.{index}.weights"), shape)?;
            reader.expect_moments(&format!("{name}.{index}.bias"), &shape[1..])?;
        }
        Ok(())
    }

    fn read(mut self, name: &str, reader: &mut Reader) -> Result<Self> {
        for (index, layer) in self.layers.iter_mut().enumerate() {
            let name = format!("{name}.{index}");
            let shape = [layer.weights.rows(), layer.weights.cols()];
            reader.matrix(&format!("{name}.weights"), &mut layer.weights)?;
            reader.values(&format!("{name}.bias"), &shape[1..], &mut layer.bias)?;
            reader.adam(&format!("{name}.weights"), &shape, &mut layer.moments)?;
            reader.adam(&format!("{name}.bias"), &shape[1..], &mut layer.bias_moments)?;
        }
        Ok(self)
    }
}

/// Numbers of a checkpoint that are not arrays.
const COUNTERS: usize = 6;

impl Network {
    /// Rectangles from the numbers of a checkpoint, which are to be believed no more than a configuration's: as large as
    /// these, which the unit is configured to have.
    fn rectangles(
        &self,
        tensor: &str,
        reader: &Reader,
        areas: &[[f64; 4]],
        configured: &[Rectangle],
    ) -> Result<Vec<Rectangle>> {
        settings::within(&format!("areas of tensor '{tensor}'"), areas.len() as u64, 1, topology::MOST_AREAS)?;
        let (geometry, what) = (&self.geometry, format!("tensor '{tensor}'"));
        let mut rectangles = Vec::with_capacity(areas.len());
        for area in areas {
            let mut ends = [0; 4];
            for (end, &value) in ends.iter_mut().zip(area) {
                *end = counter(reader, &what, value, 0..=geometry.map().len() as u64)? as usize;
            }
            rectangles.push(topology::rectangle(ends));
        }
        let random = self.config.meta.as_ref().is_some_and(|meta| meta.rule == Rule::RandomSearch);
        if topology::same_sizes(geometry, &rectangles, configured, random) {
            return Ok(rectangles);
        }
        let text =
            |rectangles: &[Rectangle]| rectangles.iter().map(Rectangle::to_string).collect::<Vec<_>>().join(", ");
        Err(reader.wrong(format!("{what} of areas as large as {}", text(configured)), text(&rectangles)))
    }

    /// Reads the counters, and sees that training can have come to them. Returns the number of moves.
    fn read_counters(&mut self, reader: &mut Reader) -> Result<u64> {
        let values = reader.doubles("counters", &[COUNTERS])?;
        let names = ["trainings", "epochs of a training", "epochs", "meta-steps", "candidates of a meta-step", "moves"];
        let base = self.config.base.epochs;
        let (steps, perturbations, each) = match &self.config.meta {
            None => (0, 0, 0),
            Some(meta) => (meta.steps, meta.perturbations, meta.epochs.unwrap_or(base)),
        };
        let longest = [u64::MAX, base.max(each), u64::MAX, steps, perturbations, steps];
        let mut counters = [0; COUNTERS];
        for (index, counter_of) in counters.iter_mut().enumerate() {
            *counter_of = counter(reader, names[index], values[index], 0..=longest[index])?;
        }
        let [trainings, epoch, epochs, meta_steps, tried, moves] = counters;
        let wide = counters.map(u128::from);
        let (candidates, under_way) = (wide[0].saturating_sub(1), trainings == 0 || meta_steps < steps);
        // A first training, and then one for each candidate.
        let [first, each] = if trainings == 0 { [0, 0] } else { [base, each].map(u128::from) };
        let all = first + candidates * each + wide[1];
        let longest = if trainings == 0 { base } else { each as u64 };
        let possible = (under_way || epoch == 0 && tried == 0)
            && epoch <= longest
            && epochs == u64::try_from(all).unwrap_or(u64::MAX)
            && (tried == 0 || tried < perturbations)
            && (wide[3] + wide[4]..=wide[3] * u128::from(perturbations) + wide[4]).contains(&candidates)
            && moves <= meta_steps;
        if !possible {
            return Err(
                reader.wrong("counters that training comes to as it is configured", format!("{names:?}: {counters:?}"))
            );
        }
        [self.trainings, self.epoch, self.epochs, self.meta_steps, self.tried] =
            [trainings, epoch, epochs, meta_steps, tried];
        Ok(moves)
    }

    /// Whether the read-out is all that is left to train.
    fn settled(&self) -> bool {
        self.trainings > 0 && self.config.meta.as_ref().is_none_or(|meta| self.meta_steps >= meta.steps)
    }

    /// Reads so many moves.
    fn read_moves(&mut self, reader: &mut Reader, count: u64, configured: &[Vec<Rectangle>]) -> Result<()> {
        let made = reader.doubles("moves", &[count as usize, MOVE])?;
        let all = reader.doubles_of("moves.fields", 4)?;
        let (mut areas, mut next) = (all.as_chunks::<4>().0, 0);
        let wrong = || reader.wrong("as many areas in 'moves.fields' as moves have", (all.len() / 4).to_string());
        for &[step, unit, _, _, own] in made.as_chunks::<MOVE>().0 {
            let step =
                counter(reader, "the step of a move, above that of the one before", step, next..=self.meta_steps - 1)?;
            next = step + 1;
            let unit = counter(reader, "the unit of a move", unit, 0..=configured.len() as u64 - 1)? as usize;
            let own = counter(reader, "areas of a move", own, 1..=topology::MOST_AREAS)? as usize;
            let (field, rest) = areas.split_at_checked(own).ok_or_else(wrong)?;
            areas = rest;
            let rectangles = self.rectangles("moves.fields", reader, field, &configured[unit])?;
            ReceptiveField::check(self.geometry.map(), &rectangles)?;
        }
        if !areas.is_empty() {
            return Err(wrong());
        }
        self.moves = Moves { made, areas: all };
        Ok(())
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Self> {
        let config = reader.config(KIND, Config::from_toml_within)?;
        let (inputs, classes) = reader.shape()?;
        let mut network = Network::without_units(config, inputs, classes)?;
        network.journal = reader.journal()?;
        // Training is saved at the end of an epoch.
        counter(reader, "losses since the last point of the curve", network.journal.losses.1 as f64, 0..=0)?;
        let Config { topology, seed, meta, .. } = &network.config;
        let local = meta.as_ref().is_some_and(|meta| meta.rule == Rule::LocalSearch);
        let configured = topology::rectangles(topology, &network.geometry, *seed)?;
        let moves = network.read_counters(reader)?;
        network.current = Situation::read("current", reader, &network, &configured)?;
        if network.trainings > 0 {
            network.best = Some(Situation::read("best", reader, &network, &configured)?);
        }
        let units = configured.len();
        if network.epochs > 0 {
            network.history = reader.doubles("entropies", &[network.epochs as usize, units])?;
        }
        if network.epochs > 0 && network.trainings > 0 {
            network.highest = reader.doubles("entropies.highest", &[units])?;
        }
        if local && network.tried > 0 && reader.has("leading.0.field") {
            network.leading = Some(Situation::read("leading", reader, &network, &configured)?);
        }
        if moves > 0 {
            network.read_moves(reader, moves, &configured)?;
        }
        if network.settled() && reader.has("read_out") {
            let values = reader.doubles("read_out", &[3])?;
            let ReadOut { epochs: most, patience, .. } = network.config.read_out;
            let epochs = counter(reader, "epochs of the read-out", values[1], 0..=most)?;
            let waited =
                counter(reader, "epochs of the read-out without a lower loss", values[2], 0..=patience.min(epochs))?;
            let latents = network.geometry.latents().len() * network.geometry.hidden();
            let shapes = Classifier::shapes(&network.config.read_out, latents, classes);
            Classifier::expect(&shapes, "read_out.now", reader)?;
            Classifier::expect(&shapes, "read_out.best", reader)?;
            let fresh = network.fresh_classifier();
            network.reading = Some(Reading {
                classifier: fresh.clone().read("read_out.now", reader)?,
                best: fresh.read("read_out.best", reader)?,
                loss: values[0],
                epochs,
                waited,
            });
        }
        reader.finish()?;
        Ok(network)
    }

    pub(super) fn fresh_classifier(&self) -> Classifier {
        let stream = Stream::new(self.config.seed, "hierarchy read-out weights");
        let latents = self.geometry.latents().len() * self.geometry.hidden();
        Classifier::new(&self.config.read_out, latents, self.classes, stream)
    }
}

impl Learner for Network {
    fn kind(&self) -> &'static str {
        KIND
    }

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

    fn finished(&self) -> bool {
        self.journal.finished
    }

    /// Images in 0 to 1 are taken back to the nearest byte: training prepares bytes.
    fn predict(&self, context: &mut Context, images: MatRef<'_>, logits: MatMut<'_>) {
        let prepared = self.prepared(images);
        let all: Vec<u32> = (0..images.rows() as u32).collect();
        let latents = self.latents(context, &prepared, &all);
        match &self.reading {
            Some(reading) => reading.best.logits(context, latents.view(), logits),
            None => self.fresh_classifier().logits(context, latents.view(), logits),
        }
    }

    fn save(&self, path: &Path) -> Result<()> {
        let mut writer = Writer::new(KIND, &self.config.to_toml(), self.inputs, self.classes, &self.journal);
        let counters = [self.trainings, self.epoch, self.epochs, self.meta_steps, self.tried, self.moves.len() as u64];
        writer.doubles("counters", &[COUNTERS], &counters.map(|counter| counter as f64));
        self.current.write("current", &mut writer);
        for (name, situation) in [("best", &self.best), ("leading", &self.leading)] {
            if let Some(situation) = situation {
                situation.write(name, &mut writer);
            }
        }
        let units = self.current.units.len();
        if !self.history.is_empty() {
            writer.doubles("entropies", &[self.history.len() / units, units], &self.history);
        }
        if !self.highest.is_empty() {
            writer.doubles("entropies.highest", &[units], &self.highest);
        }
        let Moves { made, areas } = &self.moves;
        if !made.is_empty() {
            // However many: a file's list of tensors has a limit.
            writer.doubles("moves", &[made.len() / MOVE, MOVE], made);
            writer.doubles("moves.fields", &[areas.len() / 4, 4], areas);
        }
        if let Some(reading) = &self.reading {
            writer.doubles("read_out", &[3], &[reading.loss, reading.epochs as f64, reading.waited as f64]);
            reading.classifier.write("read_out.now", &mut writer);
            reading.best.write("read_out.best", &mut writer);
        }
        writer.write(path)
    }

    fn curve(&self) -> &[CurvePoint] {
        &self.journal.curve
    }

    fn config_toml(&self) -> String {
        self.config.to_toml()
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
