//! The training of a hierarchy, epoch by epoch: units, receptive fields, read-out.
//!
//! ```text
//! train all units for base.epochs                                   algorithm 1
//! best = this topology
//! for m in 1..=M, at most P candidates each:                        algorithm 2
//!   candidate = best, with the field of unit i moved                i goes around
//!   train all units for meta.epochs, weights retained               [1]
//!   if the entropy of unit i is above its entropy in best: best = candidate, next m    [2]
//! train the read-out on latents of the best
//! ```
//! 1. Adam starts anew with every training. What a candidate that is not accepted leaves behind is
//!    [`Rejected`]'s choice: the paper does not say.
//! 2. The entropies of `best` are those it had when it was accepted, of all its units, moved or not. Training the others may have
//!    lowered that of unit i since it last moved: what a candidate exceeds need not be the highest that unit i ever had, but with
//!    [`Criterion::UnitBest`], which remembers that.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::base::{Engine, Epoch};
use super::config::{Config, Criterion, Meta, ReadOut, Rejected, Rule};
use super::images::Prepared;
use super::moves::Move;
use super::network::{Network, Reading, Situation};
use super::read_out::{Classifier, Samples};
use super::sweep::SAMPLES;
use super::topology;
use crate::context::Context;
use crate::datasets::Dataset;
use crate::datasets::batches::{Batches, Order};
use crate::error::{Error, Result};
use crate::kernels::masked::ReceptiveField;
use crate::matrix::Matrix;
use crate::random::{Stream, below};
use crate::systems::journal::{Journal, Phase};
use crate::systems::{Observer, settings};

/// A training set, prepared and split.
pub(super) struct Material {
    pub(super) images: Arc<Prepared>,
    /// Images to learn from, in order of their numbers.
    pub(super) train: Vec<u32>,
    /// Images that stop the read-out.
    pub(super) validation: Vec<u32>,
}

impl Material {
    pub(super) fn new(config: &Config, images: Arc<Prepared>) -> Result<Self> {
        let mut order: Vec<u32> = (0..images.len() as u32).collect();
        Stream::new(config.seed, "hierarchy validation").shuffle(&mut order);
        let validation = (images.len() as f64 * config.validation) as usize;
        let mut train = order.split_off(validation);
        if train.is_empty() {
            return Err(Error::setting("training set", "at least one image beside those for validation", 0));
        }
        train.sort_unstable();
        order.sort_unstable();
        Ok(Material { images, train, validation: order })
    }

    fn batches(&self, batch: usize, classes: usize, stream: Stream) -> Result<Batches> {
        Batches::new(self.images.labels(), classes, Some(&self.train), batch, Order::Shuffled, stream)
    }
}

/// What training needs beside the network's state.
pub(super) struct Session<'a> {
    pub(super) material: &'a Material,
    pub(super) engine: Engine,
    batches: Batches,
}

impl<'a> Session<'a> {
    /// For a read-out that is watched by so many other images.
    pub(super) fn new(network: &Network, material: &'a Material, others: usize) -> Result<Self> {
        let config = &network.config;
        // Refused before the units learn. Of an epoch all latents are kept, a batch in whole blocks of samples.
        let batch = config.base.batch;
        let kept = material.train.len().div_ceil(batch).saturating_mul(batch.next_multiple_of(SAMPLES));
        let latents = network.geometry.latents().len() * network.geometry.hidden();
        settings::activities("map", kept, latents)?;
        // The read-out has those of all images.
        let all = (material.train.len() + material.validation.len()).saturating_add(others);
        let what = "latents of the images to learn from, to stop by and to watch by";
        settings::values("map", what, all as u128 * latents as u128)?;
        let stream = Stream::new(config.seed, "hierarchy batches");
        let batches = material.batches(batch, network.classes, stream)?;
        Ok(Session { material, engine: Engine::new(), batches })
    }
}

/// What an advance of base or meta-learning came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advance {
    /// An epoch of base learning.
    Epoch,
    /// The first training is done: there is a best topology.
    First,
    /// A candidate was judged.
    Candidate { accepted: bool },
    /// Nothing is left to do.
    Done,
}

pub(super) fn train(
    network: &mut Network,
    context: &mut Context,
    data: &Dataset,
    monitor: Option<&Dataset>,
    observer: &mut Observer<'_>,
) -> Result<ControlFlow<()>> {
    // The monitor's turn comes when the units have learnt.
    for data in monitor.into_iter().chain([data]) {
        Prepared::check(network.config.images, data)?;
    }
    network.journal.begin(data.len(), data.intact_digest()?)?;
    let images = Arc::new(Prepared::new(context, network.config.images, data)?);
    let material = Material::new(&network.config, images)?;
    let mut session = Session::new(network, &material, monitor.map_or(0, Dataset::len))?;
    loop {
        match network.advance(context, &mut session, observer)? {
            ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
            ControlFlow::Continue(Advance::Done) => break,
            ControlFlow::Continue(_) => (),
        }
    }
    let monitor = monitor.map(|monitor| Prepared::new(context, network.config.images, monitor)).transpose()?;
    let flow = network.train_read_out(context, &material, monitor.as_ref(), observer)?;
    network.journal.finished = flow.is_continue();
    Ok(flow)
}

impl Network {
    /// Epochs of the training under way.
    fn epochs_of_training(&self) -> u64 {
        match (&self.config.meta, self.trainings) {
            (Some(meta), 1..) => meta.epochs.unwrap_or(self.config.base.epochs),
            _ => self.config.base.epochs,
        }
    }

    /// One epoch, or one decision.
    pub(super) fn advance(
        &mut self,
        context: &Context,
        session: &mut Session<'_>,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<(), Advance>> {
        if self.best.is_some() && self.meta().is_none_or(|meta| self.meta_steps >= meta.steps) {
            return Ok(ControlFlow::Continue(Advance::Done));
        }
        if self.epoch < self.epochs_of_training() {
            return Ok(self.epoch(context, session, observer).map_continue(|()| Advance::Epoch));
        }
        self.trainings += 1;
        self.epoch = 0;
        let advance = if self.best.is_none() {
            self.best = Some(self.current.clone());
            self.highest = self.current.entropies.clone();
            Advance::First
        } else {
            Advance::Candidate { accepted: self.judge() }
        };
        if self.meta().is_some_and(|meta| self.meta_steps < meta.steps) {
            self.propose()?;
        }
        Ok(ControlFlow::Continue(advance))
    }

    fn meta(&self) -> Option<Meta> {
        self.config.meta.clone()
    }

    /// One epoch of base learning; as if it had not begun if the observer breaks it off.
    fn epoch(&mut self, context: &Context, session: &mut Session<'_>, observer: &mut Observer<'_>) -> ControlFlow<()> {
        let per_epoch = session.batches.per_epoch() as u64;
        let epochs = self.epochs_of_training();
        let (name, done, all) = match self.config.meta {
            Some(ref meta) if self.trainings > 0 => {
                // At most: a candidate that is accepted ends its meta-step.
                let all = meta.steps.saturating_mul(meta.perturbations).saturating_mul(epochs);
                ("meta", (self.trainings - 1).saturating_mul(epochs).saturating_add(self.epoch), all)
            }
            _ => ("base", self.epoch, epochs),
        };
        let phase = Phase { name: name.to_owned(), steps: all.saturating_mul(per_epoch), interval: per_epoch };
        let done = done.saturating_mul(per_epoch);
        let plan = self.plan(&self.current);
        if self.epoch == 0 {
            self.current.units.iter_mut().for_each(super::units::Unit::begin);
        }
        let epoch = Epoch {
            plan: &plan,
            base: &self.config.base,
            images: &session.material.images,
            // Only a forged state has so many epochs behind it that this wraps.
            first: self.epochs.wrapping_mul(per_epoch),
            batches: per_epoch,
            adam_steps: self.epoch * per_epoch,
            stream: Stream::new(self.config.seed, "hierarchy base"),
        };
        let before = (self.journal.clone(), self.current.units.clone());
        let journal = &mut self.journal;
        // A Break at the last batch comes after the epoch.
        let mut last = ControlFlow::Continue(());
        let mut observe = |number: u64, loss: f64| {
            let flow = journal.record_of_epoch(&phase, done.saturating_add(number + 1), Some(loss), None, observer);
            if number + 1 == per_epoch {
                last = flow;
                return ControlFlow::Continue(());
            }
            flow
        };
        let flow = session.engine.epoch(context, epoch, &mut session.batches, &mut self.current.units, &mut observe);
        if flow.is_break() {
            (self.journal, self.current.units) = before;
            return flow;
        }
        self.current.entropies = session.engine.entropies(context, self.config.base.bins);
        self.history.extend_from_slice(&self.current.entropies);
        self.epoch += 1;
        self.epochs += 1;
        last
    }

    /// The unit whose field the candidate under way moved.
    fn unit_in_question(&self) -> usize {
        let units = self.current.units.len() as u64;
        let number = match self.meta().map(|meta| meta.rule) {
            Some(Rule::LocalSearch) => self.meta_steps,
            _ => self.tried,
        };
        (number % units) as usize
    }

    /// What a candidate must exceed that moved the field of this unit away from `best`.
    fn threshold(&self, criterion: Criterion, best: &Situation, unit: usize) -> f64 {
        match criterion {
            Criterion::UnitBest => self.highest[unit],
            Criterion::Unit | Criterion::Median => criterion.height(&best.entropies, unit),
        }
    }

    /// Accepts the trained candidate or not, and counts it.
    pub(super) fn judge(&mut self) -> bool {
        let (Some(meta), Some(best)) = (self.meta(), &self.best) else { return false };
        let unit = self.unit_in_question();
        let height = |situation: &Situation| meta.criterion.height(&situation.entropies, unit);
        let threshold = self.threshold(meta.criterion, best, unit);
        self.tried += 1;
        let mut accepted = false;
        match meta.rule {
            Rule::StochasticHillClimbing | Rule::RandomSearch => {
                if height(&self.current) > threshold {
                    self.accept(unit, self.current.clone());
                    accepted = true;
                } else if meta.rejected == Rejected::KeepsWeights {
                    let kept = self.moved(&self.current, best.fields.clone());
                    let entropies = best.entropies.clone();
                    self.best = Some(Situation { entropies, ..kept });
                }
                if accepted || self.tried >= meta.perturbations {
                    (self.meta_steps, self.tried) = (self.meta_steps + 1, 0);
                }
            }
            Rule::LocalSearch => {
                if height(&self.current) > self.leading.as_ref().map_or(threshold, height) {
                    self.leading = Some(self.current.clone());
                }
                let places = topology::neighbours(&best.fields[unit]).len() as u64;
                if self.tried >= meta.perturbations.min(places) {
                    if let Some(leading) = self.leading.take() {
                        self.accept(unit, leading);
                        accepted = true;
                    }
                    (self.meta_steps, self.tried) = (self.meta_steps + 1, 0);
                }
            }
        }
        accepted
    }

    fn accept(&mut self, unit: usize, situation: Situation) {
        let criterion = self.meta().map(|meta| meta.criterion).unwrap_or_default();
        let before = self.best.as_ref().map_or(0.0, |best| self.threshold(criterion, best, unit));
        // A field that spans the map, or was put where it was, has only learned on.
        if self.best.as_ref().is_none_or(|best| best.fields[unit] != situation.fields[unit]) {
            self.moves.push(&Move {
                step: self.meta_steps,
                unit,
                field: situation.fields[unit].clone(),
                entropy: [before, criterion.height(&situation.entropies, unit)],
            });
        }
        for (highest, entropy) in self.highest.iter_mut().zip(&situation.entropies) {
            *highest = highest.max(*entropy);
        }
        self.best = Some(situation);
    }

    /// The next candidate becomes the one in training.
    pub(super) fn propose(&mut self) -> Result<()> {
        let (Some(meta), Some(best)) = (self.meta(), &self.best) else { return Ok(()) };
        let unit = self.unit_in_question();
        let stream = Stream::new(self.config.seed, "hierarchy candidates").item(self.meta_steps);
        let places = topology::neighbours(&best.fields[unit]);
        let place = match meta.rule {
            Rule::RandomSearch => {
                let rectangle = topology::random_place(&self.geometry, stream.item(self.tried))?;
                Some(ReceptiveField::new(self.geometry.map(), &[rectangle])?)
            }
            Rule::StochasticHillClimbing if !places.is_empty() => {
                let chosen = below(&mut stream.item(self.tried).generator(), places.len() as u64);
                Some(places[chosen as usize].clone())
            }
            Rule::StochasticHillClimbing => None,
            Rule::LocalSearch => {
                let mut order: Vec<usize> = (0..places.len()).collect();
                stream.shuffle(&mut order);
                order.get(self.tried as usize).map(|&index| places[index].clone())
            }
        };
        let mut fields = best.fields.clone();
        // A field that spans the map has nowhere to go: the candidate is then the best itself.
        if let Some(place) = place {
            fields[unit] = place;
        }
        self.current = self.moved(best, fields);
        Ok(())
    }

    /// Units whose fields went elsewhere.
    fn moved(&self, from: &Situation, fields: Vec<ReceptiveField>) -> Situation {
        let form = self.config.form;
        let places = from.fields.iter().zip(&fields);
        let units = from.units.iter().zip(places).map(|(unit, (old, new))| unit.moved(form, old, new)).collect();
        Situation { fields, units, entropies: from.entropies.clone() }
    }

    /// Trains the read-out from where it stands.
    fn train_read_out(
        &mut self,
        context: &mut Context,
        material: &Material,
        monitor: Option<&Prepared>,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>> {
        let config = self.config.read_out.clone();
        let latents = Latents::new(context, self, material);
        let monitored = monitor.map(|monitor| (self.all_latents(context, monitor), monitor.labels()));
        let monitored = monitored.as_ref().map(|(latents, labels)| Samples { latents: latents.view(), labels });
        let task = latents.task(&config, self.config.seed, monitored);
        let mut reading = self.reading.take().unwrap_or_else(|| Reading::new(self.fresh_classifier()));
        let result = reading.train(context, &task, &mut self.journal, observer);
        self.reading = Some(reading);
        result
    }
}

impl Criterion {
    /// What candidates are compared by, when the field of this unit moved.
    fn height(self, entropies: &[f64], unit: usize) -> f64 {
        match self {
            Criterion::Unit | Criterion::UnitBest => entropies[unit],
            Criterion::Median => median(entropies),
        }
    }
}

/// The median: the mean of the middle two for an even number. NaN for none, or if one is.
fn median(values: &[f64]) -> f64 {
    if values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

/// Latents and labels of the images that read-outs learn from, and of those that stop them.
pub(super) struct Latents {
    train: (Matrix, Vec<u8>),
    validation: (Matrix, Vec<u8>),
}

impl Latents {
    /// As a network answers now.
    pub(super) fn new(context: &Context, network: &Network, material: &Material) -> Self {
        let images = &material.images;
        let of = |indices: &[u32]| {
            let labels = indices.iter().map(|&index| images.labels()[index as usize]).collect();
            (network.latents(context, images, indices), labels)
        };
        Latents { train: of(&material.train), validation: of(&material.validation) }
    }

    /// What a read-out learns from them, by this seed.
    pub(super) fn task<'a>(&'a self, config: &'a ReadOut, seed: u64, monitor: Option<Samples<'a>>) -> Task<'a> {
        let [train, validation] =
            [&self.train, &self.validation].map(|(latents, labels)| Samples { latents: latents.view(), labels });
        Task { config, train, validation, monitor, stream: Stream::new(seed, "hierarchy read-out batches") }
    }
}

/// What a read-out learns from.
pub(super) struct Task<'a> {
    pub(super) config: &'a ReadOut,
    pub(super) train: Samples<'a>,
    pub(super) validation: Samples<'a>,
    pub(super) monitor: Option<Samples<'a>>,
    pub(super) stream: Stream,
}

impl Reading {
    pub(super) fn new(classifier: Classifier) -> Self {
        Reading { best: classifier.clone(), classifier, loss: f64::INFINITY, epochs: 0, waited: 0 }
    }

    /// Epochs until the validation loss has not fallen for as long as patience lasts. An epoch that the observer breaks
    /// off is undone.
    pub(super) fn train(
        &mut self,
        context: &mut Context,
        task: &Task<'_>,
        journal: &mut Journal,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>> {
        let Task { config, train, validation, monitor, stream } = *task;
        let classes = self.classifier.classes();
        let mut batches = Batches::new(train.labels, classes, None, config.batch, Order::Shuffled, stream)?;
        let per_epoch = batches.per_epoch() as u64;
        let phase = Phase::epochs("read-out", config.epochs, batches.per_epoch());
        let mut z = Matrix::zeros(config.batch, train.latents.cols());
        let mut labels = vec![0; config.batch];
        while self.epochs < config.epochs && self.waited < config.patience {
            let before = (journal.clone(), self.classifier.clone());
            let first = self.epochs * per_epoch;
            let mut flow = ControlFlow::Continue(());
            for number in first..first + per_epoch {
                for (row, &index) in batches.indices(number).iter().enumerate() {
                    z.row_mut(row).copy_from_slice(train.latents.row(index as usize));
                    labels[row] = train.labels[index as usize];
                }
                let loss = self.classifier.step(context, config, z.view(), &labels, number + 1);
                let last = number + 1 == first + per_epoch;
                let accuracy = if last {
                    self.remember(context, validation);
                    monitor.map(|monitor| self.best.evaluate(context, monitor).1)
                } else {
                    None
                };
                flow = journal.record_of_epoch(&phase, number + 1, Some(loss), accuracy, observer);
                if flow.is_break() && !last {
                    (*journal, self.classifier) = before;
                    return Ok(flow);
                }
            }
            self.epochs += 1;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Keeps the classifier if it is the best on the validation images; without any, the last is the best.
    fn remember(&mut self, context: &mut Context, validation: Samples<'_>) {
        let loss = if validation.labels.is_empty() {
            f64::NEG_INFINITY
        } else {
            self.classifier.evaluate(context, validation).0
        };
        if loss < self.loss || validation.labels.is_empty() {
            (self.loss, self.waited) = (loss, 0);
            self.best = self.classifier.clone();
        } else {
            self.waited += 1;
        }
    }
}
