//! Generation after generation, and then a lifetime.

use std::ops::ControlFlow;

use super::config::{Config, Genotype, JudgedOn, Lifetime};
use super::curve::{Distances, Point};
use super::lifetime::Life;
use super::network::{EVOLUTION, Network};
use super::output;
use crate::context::Context;
use crate::datasets::Dataset;
use crate::datasets::batches::{Batches, Order};
use crate::error::{Error, Result};
use crate::kernels::genotype::{Population, Samples, allele_rewards, evaluate};
use crate::random::Stream;
use crate::systems::Observer;
use crate::systems::journal::{Journal, Phase};

impl Network {
    /// One generation on these samples: the mean reward, the share of right answers, the mean loss.
    fn step(&mut self, context: &mut Context, samples: &Samples, number: u64) -> Result<[f64; 3]> {
        let stream = Stream::new(self.config.seed, "evolution population").item(number);
        let genotypes = self.config.population as u64;
        let population = Population::sample(context, self.frequencies(), stream, 0..genotypes)?;
        let outcome = evaluate(context, self.weight_generation(), samples, &population);
        let rewards = allele_rewards(context, &population, &outcome.rewards);
        self.reward(&rewards)?;
        let count = genotypes as f64;
        let hits: f64 = outcome.correct.iter().map(|&hits| f64::from(hits)).sum();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / count;
        Ok([mean(&outcome.rewards), hits / count / samples.images() as f64, mean(&outcome.losses)])
    }

    pub(super) fn phases(&self, images: usize) -> Vec<Phase> {
        let Config { generations, curve_generations, .. } = self.config;
        let mut phases = vec![Phase { name: EVOLUTION.to_owned(), steps: generations, interval: curve_generations }];
        if let Some(lifetime) = &self.config.lifetime {
            phases.push(output::phase(&lifetime.output, images, 1));
        }
        phases
    }

    /// What generations are judged on, in turn; none for the whole sample.
    fn batches(&self, sample: &Dataset) -> Result<Option<Vec<Batches>>> {
        let Some(batch) = self.config.batch else { return Ok(None) };
        let stream = Stream::new(self.config.seed, "evolution batches");
        let (labels, classes) = (sample.labels(), sample.classes());
        let of = |class: usize| {
            let images = (0..labels.len() as u32).filter(|&image| usize::from(labels[image as usize]) == class);
            let images: Vec<u32> = images.collect();
            if images.is_empty() {
                let found = format!("none of class {class}");
                return Err(Error::setting("batches of one class", "images of every class", found));
            }
            Batches::new(labels, classes, Some(&images), batch, Order::Shuffled, stream.item(class as u64))
        };
        Ok(Some(match self.config.judged_on {
            JudgedOn::AllClasses => {
                vec![Batches::new(labels, classes, None, batch, Order::ClassBalanced, stream)?]
            }
            JudgedOn::OneClass => (0..classes).map(of).collect::<Result<_>>()?,
        }))
    }

    pub(super) fn evolve(
        &mut self,
        context: &mut Context,
        sample: &Dataset,
        monitor: Option<&Dataset>,
        phase: &Phase,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>> {
        let all: Vec<u32> = (0..sample.len() as u32).collect();
        let (mut batches, genotypes) = (self.batches(sample)?, self.config.population);
        // The whole sample is prepared once, unless its brightness still changes.
        let mut whole: Option<Samples> = None;
        for number in self.journal.step..phase.steps {
            let dawning = self.config.dawn.as_ref().is_some_and(|dawn| number <= dawn.generations);
            let [reward, correct, loss] = match &mut batches {
                Some(batches) => {
                    // One for all classes, or one for each in turn.
                    let count = batches.len() as u64;
                    let indices = batches[(number % count) as usize].indices(number / count);
                    let samples = self.samples(context, sample, indices, (number, genotypes))?;
                    self.step(context, &samples, number)?
                }
                None => {
                    let samples = match whole.take() {
                        Some(samples) if !dawning => samples,
                        _ => self.samples(context, sample, &all, (number, genotypes))?,
                    };
                    let found = self.step(context, &samples, number)?;
                    whole = Some(samples);
                    found
                }
            };
            let generation = number + 1;
            let [rewards, hits, count] = &mut self.running;
            (*rewards, *hits, *count) = (*rewards + reward, *hits + correct, *count + 1.0);
            if Distances::due(generation) {
                self.distances.push(Distances::of(generation, self.frequencies()));
            }
            let mut expected = Ok(None);
            if Journal::marks(phase, generation) {
                let found = self.judged(context, monitor);
                // The generation has passed, whether or not the monitor could be looked at.
                self.point(generation, found.as_ref().copied().unwrap_or_default());
                expected = found.map(|[expected, _]| expected);
            }
            if self.journal.record(phase, generation, Some(loss), expected, observer)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The shares of the monitor's images that the expected weights and the rounded genotype classify correctly.
    fn judged(&self, context: &mut Context, monitor: Option<&Dataset>) -> Result<[Option<f64>; 2]> {
        let mut found = [None; 2];
        if let Some(data) = monitor {
            for (genotype, accuracy) in [Genotype::Expected, Genotype::Rounded].into_iter().zip(&mut found) {
                let links = self.links(context, genotype);
                *accuracy = Some(self.accuracy_of(context, &links, data)?);
            }
        }
        Ok(found)
    }

    /// Adds a point to the curve of the population.
    fn point(&mut self, generation: u64, [expected, rounded]: [Option<f64>; 2]) {
        let [rewards, hits, count] = std::mem::take(&mut self.running);
        self.points.push(Point {
            generation,
            reward: rewards / count,
            correct: hits / count,
            fixed: self.frequencies().fixed(0.01),
            expected,
            rounded,
        });
    }

    /// Ends both curves where a schedule was shortened to the generations there were, as its last generation would have.
    pub(super) fn settle(&mut self, context: &mut Context, phase: &Phase, monitor: Option<&Dataset>) -> Result<()> {
        if self.journal.step == phase.steps && !self.journal.finished && self.running[2] > 0.0 {
            let found = self.judged(context, monitor)?;
            self.point(phase.steps, found);
            self.journal.mark(phase, phase.steps, found[0]);
        }
        Ok(())
    }

    /// Lifetime learning from `done` steps on.
    pub(super) fn live(
        &mut self,
        context: &mut Context,
        data: (&Dataset, Option<&Dataset>),
        (lifetime, phase, done): (&Lifetime, &Phase, u64),
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>> {
        let mut life = match self.life.take() {
            Some(life) => life,
            None => Life::new(context, self, lifetime)?,
        };
        let mut journal = std::mem::take(&mut self.journal);
        let flow = life.learn(context, self, &mut journal, data, (lifetime, phase, done), observer);
        (self.journal, self.life) = (journal, Some(life));
        flow
    }
}
