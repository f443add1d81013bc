//! One run of the reproduction: a network trained, and its topologies measured by read-outs.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::config::{Config, ReadOut, Rejected};
use super::experiment::Options;
use super::images::Prepared;
use super::network::{Network, Reading};
use super::read_out::Samples;
use super::record::Record;
use super::report::{Measured, Run};
use super::rows::Row;
use super::train::{Advance, Latents, Material, Session};
use crate::context::Context;
use crate::datasets::{Dataset, Split};
use crate::error::Result;
use crate::systems::experiment::{self, PAUSE};
use crate::systems::journal::Journal;
use crate::systems::{Observer, settings};

/// What all runs share.
pub(super) struct Bench<'a> {
    options: &'a Options,
    train: Arc<Prepared>,
    test: Prepared,
    classes: usize,
    /// Of the images to learn from.
    digest: u64,
}

impl<'a> Bench<'a> {
    pub(super) fn new(context: &Context, data: &Split, options: &'a Options) -> Result<Self> {
        settings::fits(&data.test, data.train.pixels(), data.train.classes())?;
        let prepared = |set: &Dataset| Prepared::new(context, options.images, set);
        Ok(Bench {
            options,
            train: Arc::new(prepared(&data.train)?),
            test: prepared(&data.test)?,
            classes: data.train.classes(),
            digest: data.train.intact_digest()?,
        })
    }

    /// A network that is untrained, with nothing measured, or both as they were saved.
    fn begin(&self, config: &Config, path: Option<&Path>) -> Result<(Network, Record)> {
        let record = Record::new(self.options.every_move);
        let Some(path) = path else {
            let pixels = self.options.images.shape()?.pixels();
            return Ok((Network::new(config.clone(), pixels, self.classes)?, record));
        };
        let network = Network::load(path)?;
        if network.config() != config || network.classes != self.classes {
            return Err(experiment::another_state(path));
        }
        let record = record.load(&network, path)?;
        Ok((network, record))
    }

    /// One run, or none if it was stopped.
    pub(super) fn run(
        &self,
        context: &mut Context,
        row: Row,
        seed: u64,
        observer: &mut Observer<'_>,
    ) -> Result<Option<Run>> {
        let began = Instant::now();
        let config = self.options.config(&row, seed);
        let (path, exists) = self.options.state(&row, seed);
        let material = Material::new(&config, self.train.clone())?;
        let (mut network, mut record) = self.begin(&config, path.as_deref().filter(|_| exists))?;
        network.journal.begin(self.train.len(), self.digest)?;
        let (read, epochs) = (record.clone(), network.epochs);
        let mut session = Session::new(&network, &material, self.test.len())?;
        let mut saved = Instant::now();
        let flow = loop {
            if record.owes(&network) {
                let both = record.len() == 0;
                let Some(found) = self.measure(context, &network, &material, both, observer)? else {
                    break ControlFlow::Break(());
                };
                record.push(&network, found);
            }
            if let Some(path) = path.as_deref().filter(|_| saved.elapsed().as_secs_f64() > PAUSE) {
                record.seconds = read.seconds + began.elapsed().as_secs_f64();
                record.save(&network, path)?;
                saved = Instant::now();
            }
            let start = Instant::now();
            let advanced = network.advance(context, &mut session, observer)?;
            record.learning += start.elapsed().as_secs_f64();
            match advanced {
                ControlFlow::Break(()) => break ControlFlow::Break(()),
                ControlFlow::Continue(Advance::Done) => {
                    break self.measure_the_last(context, &network, &material, &mut record, observer)?;
                }
                ControlFlow::Continue(_) => (),
            }
        };
        // A run that was only read stays as it is, and took what it took.
        if !exists || network.epochs != epochs || !record.says_as_much_as(&read) {
            record.seconds = read.seconds + began.elapsed().as_secs_f64();
            if let Some(path) = &path {
                record.save(&network, path)?;
            }
        }
        if flow.is_break() {
            return Ok(None);
        }
        let (seconds, learning) = (record.seconds, record.learning);
        let entropies = network.entropy_history().map(<[f64]>::to_vec).collect();
        let (accepted, candidates) = (network.moves().len() as u64, network.trainings - 1);
        Ok(Some(Run {
            row,
            seed,
            config,
            steps: record.into_steps(),
            entropies,
            accepted,
            candidates,
            learning,
            seconds,
        }))
    }

    /// The latents of the last topology are classified by both read-outs, as those of the first: what is missing is trained.
    fn measure_the_last(
        &self,
        context: &mut Context,
        network: &Network,
        material: &Material,
        record: &mut Record,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>> {
        let keeps_weights = network.config().meta.as_ref().is_some_and(|meta| meta.rejected == Rejected::KeepsWeights);
        if let Some(last) = record.of_network(network, keeps_weights) {
            if last.logistic.is_none() {
                let Some([found]) = classify(context, network, material, &self.test, [0], observer)? else {
                    return Ok(ControlFlow::Break(()));
                };
                last.logistic = Some(found.test());
            }
        } else {
            let Some(whole) = self.measure(context, network, material, true, observer)? else {
                return Ok(ControlFlow::Break(()));
            };
            // Of the same topology with other weights; the first stays in any case.
            if self.options.every_move && record.len() > 1 {
                record.pop();
            }
            record.push(network, whole);
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Trains the hidden-layer read-out on a network's latents, or that and the logistic regression, and tests them.
    fn measure(
        &self,
        context: &mut Context,
        network: &Network,
        material: &Material,
        both: bool,
        observer: &mut Observer<'_>,
    ) -> Result<Option<Measured>> {
        let (test, hidden) = (&self.test, network.config().read_out.hidden);
        let (own, logistic) = if both {
            let Some([own, other]) = classify(context, network, material, test, [hidden, 0], observer)? else {
                return Ok(None);
            };
            (own, Some(other.test()))
        } else {
            let Some([own]) = classify(context, network, material, test, [hidden], observer)? else { return Ok(None) };
            (own, None)
        };
        let activity = network.activity(context, test, &[0]);
        Ok(Some(Measured {
            meta_step: network.moves().last().map_or(0, |made| made.step + 1),
            accuracy: own.test(),
            correct: (own.shares[0] * test.len() as f64).round() as usize,
            validation: 100.0 * own.shares[1],
            logistic,
            entropies: network.entropies().to_vec(),
            fields: network.fields().iter().map(|field| field.rectangles().to_vec()).collect(),
            activity: activity.as_slice().to_vec(),
        }))
    }
}

/// What a read-out classifies correctly.
#[derive(Clone, Copy, Default)]
struct Shares {
    /// Of the test images and of the validation images, 0 to 1.
    shares: [f64; 2],
}

impl Shares {
    /// Per cent of the test images.
    fn test(&self) -> f64 {
        100.0 * self.shares[0]
    }
}

/// Trains read-outs of so many hidden units on a network's latents, and tests them.
fn classify<const N: usize>(
    context: &mut Context,
    network: &Network,
    material: &Material,
    test: &Prepared,
    hidden: [usize; N],
    observer: &mut Observer<'_>,
) -> Result<Option<[Shares; N]>> {
    let (latents, of_test) = (Latents::new(context, network, material), network.all_latents(context, test));
    let test = Samples { latents: of_test.view(), labels: test.labels() };
    let Config { read_out, seed, .. } = network.config();
    let mut found = [Shares::default(); N];
    for (found, hidden) in found.iter_mut().zip(hidden) {
        let config = ReadOut { hidden, ..read_out.clone() };
        let task = latents.task(&config, *seed, None);
        let mut reading = Reading::new(network.classifier(&config));
        if reading.train(context, &task, &mut Journal::default(), observer)?.is_break() {
            return Ok(None);
        }
        found.shares = [test, task.validation].map(|samples| reading.best.evaluate(context, samples).1);
    }
    Ok(Some(found))
}
