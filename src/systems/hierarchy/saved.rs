//! A hierarchy in a checkpoint, which is to be believed no more than any other file: what training cannot have come to is refused.

use std::ops::RangeInclusive;

use super::config::{Config, Form, ReadOut, Rule};
use super::layer::Layer;
use super::moves::{MOVE, Moves};
use super::network::{KIND, Network, Reading, Situation};
use super::read_out::Classifier;
use super::topology;
use super::units::{self, Store, Unit};
use crate::error::Result;
use crate::kernels::masked::{ReceptiveField, Rectangle};
use crate::systems::checkpoint::{Reader, Writer};
use crate::systems::settings;

impl Situation {
    fn write(&self, name: &str, writer: &mut Writer) {
        let units = self.units.len();
        for (k, (unit, field)) in self.units.iter().zip(&self.fields).enumerate() {
            let areas: Vec<f64> = field.rectangles().iter().flat_map(topology::area).map(|n| n as f64).collect();
            writer.doubles(&format!("{name}.{k}.field"), &[areas.len() / 4, 4], &areas);
            for (part, layer) in [("encoder", &unit.encoder), ("decoder", &unit.decoder)] {
                layer.write(&format!("{name}.{k}.{part}"), writer);
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
                Layer::expect(&format!("{name}.{k}.{part}"), [hidden, inputs], biases, reader)?;
            }
            let field = ReceptiveField::new(network.geometry.map(), &rectangles)?;
            let mut unit = Unit::zeros(inputs, hidden);
            unit.store = (form == Form::Masked).then(|| Store::zeros(hidden, cells));
            for (part, layer) in [("encoder", &mut unit.encoder), ("decoder", &mut unit.decoder)] {
                layer.read(&format!("{name}.{k}.{part}"), reader)?;
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
    Err(reader.wrong(format!("{what}, an integer from {low} to {}", high.min(EXACT as u64 - 1)), value.to_string()))
}

/// Integers below this are exact in `f64`.
const EXACT: f64 = (1u64 << 53) as f64;

impl Classifier {
    fn write(&self, name: &str, writer: &mut Writer) {
        for (index, layer) in self.layers.iter().enumerate() {
            layer.write(&format!("{name}.{index}"), writer);
        }
    }

    /// Checks that a classifier of these layers is there.
    fn expect(shapes: &[[usize; 2]], name: &str, reader: &mut Reader) -> Result<()> {
        for (index, shape) in shapes.iter().enumerate() {
            Layer::expect(&format!("{name}.{index}"), *shape, shape[1], reader)?;
        }
        Ok(())
    }

    fn read(mut self, name: &str, reader: &mut Reader) -> Result<Self> {
        for (index, layer) in self.layers.iter_mut().enumerate() {
            layer.read(&format!("{name}.{index}"), reader)?;
        }
        Ok(self)
    }
}

/// Numbers of a checkpoint that are not arrays.
const COUNTERS: usize = 6;

impl Network {
    /// The whole training state.
    pub(super) fn write(&self) -> Writer {
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
        writer
    }

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
        Ok(network)
    }
}
