//! A population with its whole state, and how it evolves.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::OnceLock;

use super::config::{Config, Genotype, JudgedOn, Lifetime};
use super::curve::{self, Distances, Point};
use super::lifetime::Life;
use super::output;
use crate::context::Context;
use crate::datasets::batches::{Batches, Order};
use crate::datasets::{Dataset, Scaling};
use crate::error::{Error, Result};
use crate::kernels::genotype::{
    AlleleFrequencies, Graph, Population, Samples, WeightGeneration, allele_rewards, decode, evaluate,
    expected_weights, forward,
};
use crate::kernels::loss;
use crate::kernels::masked::Pattern;
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::random::Stream;
use crate::systems::checkpoint::{Reader, Writer};
use crate::systems::features::shaped;
use crate::systems::journal::{Journal, Phase};
use crate::systems::{CurvePoint, EVALUATION_BATCH, Learner, Observer, settings};

/// The name in checkpoints and on the command line.
pub(crate) const KIND: &str = "evolution";

/// The test accuracies of a population, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracies {
    /// Mean over genotypes drawn from the allele frequencies.
    pub sampled: f64,
    /// Of the genotype that has the more frequent allele of every gene.
    pub rounded: f64,
    /// Of the expected weights W p.
    pub expected: f64,
    /// After lifetime learning of the output layer, if there was any.
    pub lifetime: Option<f64>,
}

/// Neural net evolution: allele frequencies, the links they make, and the whole training state.
#[derive(Clone, Debug)]
pub struct Network {
    pub(super) config: Config,
    journal: Journal,
    inputs: usize,
    pub(super) classes: usize,
    /// What the seed stands for: the graph, and what makes weights of genes. Made when they are first needed, so that a checkpoint takes no more
    /// memory than it holds.
    drawn: OnceLock<(Graph, WeightGeneration)>,
    frequencies: AlleleFrequencies,
    points: Vec<Point>,
    distances: Vec<Distances>,
    /// Sums of mean rewards and hits since the last point, and their number.
    running: [f64; 3],
    life: Option<Life>,
}

impl Network {
    /// The first generation: frequencies uniform on [0, 1].
    ///
    /// # Errors
    /// As [`Config::validate`], and if inputs or classes are out of range, or fewer than the configuration asks for, or if there are more than
    /// 2^30 pairs of neighbouring units or entries of the weight generation matrix, or 2^35 pairs of a link and a gene.
    pub fn new(config: Config, inputs: usize, classes: usize) -> Result<Self> {
        config.validate()?;
        settings::shape(inputs, classes)?;
        let classes = match config.classes {
            Some(few) if few > classes => {
                return Err(Error::setting("classes", format!("at most the {classes} of the images"), few));
            }
            few => few.unwrap_or(classes),
        };
        affordable(&config, inputs, classes)?;
        let frequencies = AlleleFrequencies::uniform(config.genes, Stream::new(config.seed, "evolution frequencies"))?;
        let distances = vec![Distances::of(0, &frequencies)];
        Ok(Network {
            config,
            journal: Journal::default(),
            inputs,
            classes,
            drawn: OnceLock::new(),
            frequencies,
            points: Vec::new(),
            distances,
            running: [0.0; 3],
            life: None,
        })
    }

    fn drawn(&self) -> &(Graph, WeightGeneration) {
        self.drawn.get_or_init(|| {
            let stream = |purpose| Stream::new(self.config.seed, purpose);
            let Config { genes, density, hidden, edge_probability, .. } = self.config;
            let graph = Graph::random(self.inputs, hidden, self.classes, edge_probability, stream("evolution graph"));
            let graph = graph.expect("sizes that were checked");
            let generation = WeightGeneration::random(graph.links(), genes, density, stream("evolution weights"));
            (graph, generation.expect("sizes that were checked"))
        })
    }

    /// Continues from a checkpoint.
    ///
    /// # Errors
    /// As [`checkpoint::load`](crate::systems::checkpoint::load).
    pub fn load(path: &Path) -> Result<Self> {
        Network::read(&mut Reader::open(path)?)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The same population under a schedule that goes on longer, or learns something else in its lifetime: whatever does not change the
    /// generations so far may differ.
    ///
    /// # Errors
    /// As [`Config::validate`], and if the configuration is of another population, or ends before the present generation.
    pub fn extended(mut self, config: Config) -> Result<Self> {
        config.validate()?;
        let before = Config {
            generations: config.generations,
            lifetime: config.lifetime.clone(),
            curve_generations: config.curve_generations,
            ..self.config.clone()
        };
        if before != config {
            let found = "a saved state of another one; move it away or use its configuration";
            return Err(Error::setting("configuration", "that of the saved state, but for its length", found));
        }
        let evolved = self.evolved();
        settings::within("generations", config.generations, evolved, u64::MAX)?;
        if config.generations > evolved || config.lifetime != self.config.lifetime {
            self.life = None;
            if self.journal.step > evolved {
                // What was lost since the last point was lost in the lifetime.
                self.journal.losses = (0.0, 0);
            }
            self.journal.step = evolved;
            self.journal.curve.retain(|point| &*point.phase == EVOLUTION);
            self.journal.finished = false;
        }
        self.config = config;
        Ok(self)
    }

    /// Generations so far.
    pub fn evolved(&self) -> u64 {
        self.journal.step.min(self.config.generations)
    }

    /// The allele frequencies.
    pub fn frequencies(&self) -> &AlleleFrequencies {
        &self.frequencies
    }

    /// The edges of the graph, without making it.
    fn count_edges(&self) -> usize {
        let Config { seed, hidden, edge_probability, .. } = self.config;
        Pattern::random_entries(hidden, self.inputs, edge_probability, Stream::new(seed, "evolution graph"))
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.drawn().0
    }

    /// What makes weights of genes.
    pub fn weight_generation(&self) -> &WeightGeneration {
        &self.drawn().1
    }

    /// The curve of the population.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// How the allele distribution converged, and how it stands.
    pub fn distances(&self) -> Vec<Distances> {
        let mut distances = self.distances.clone();
        if distances.last().is_none_or(|last| last.generation != self.evolved()) {
            distances.push(Distances::of(self.evolved(), &self.frequencies));
        }
        distances
    }

    /// The weights of all links that stand for the population.
    pub fn links(&self, context: &mut Context, genotype: Genotype) -> Vec<f32> {
        let mut weights = Matrix::zeros(self.graph().links(), 1);
        let population = match genotype {
            Genotype::Expected => {
                expected_weights(self.weight_generation(), &self.frequencies, weights.as_mut_slice());
                return weights.as_slice().to_vec();
            }
            Genotype::Rounded => Population::rounded(&self.frequencies),
            Genotype::Sampled => {
                let stream = Stream::new(self.config.seed, "evolution lifetime");
                Population::sample(context, &self.frequencies, stream, 0..1).expect("one genotype is not none")
            }
        };
        decode(context, self.weight_generation(), &population, 0..1, weights.view_mut());
        weights.as_slice().to_vec()
    }

    /// The accuracies on these images, the first from 64 genotypes.
    ///
    /// # Errors
    /// [`Error::Setting`] if the data have another image size or too few classes.
    pub fn accuracies(&self, context: &mut Context, data: &Dataset) -> Result<Accuracies> {
        let data = self.restricted(data)?;
        let stream = Stream::new(self.config.seed, "evolution test");
        let population = Population::sample(context, &self.frequencies, stream, 0..64)?;
        let mut correct = 0u64;
        let all: Vec<u32> = (0..data.len() as u32).collect();
        for indices in all.chunks(EVALUATION_BATCH) {
            let samples = self.samples(context, &data, indices, u64::MAX)?;
            let outcome = evaluate(context, self.weight_generation(), &samples, &population);
            correct += outcome.correct.iter().map(|&hits| u64::from(hits)).sum::<u64>();
        }
        let of = |context: &mut Context, genotype| {
            let links = self.links(context, genotype);
            self.accuracy_of(context, &links, &data)
        };
        Ok(Accuracies {
            sampled: correct as f64 / (64 * data.len()) as f64,
            rounded: of(context, Genotype::Rounded)?,
            expected: of(context, Genotype::Expected)?,
            lifetime: match &self.life {
                Some(life) => Some(life.accuracy(context, self, &data)?),
                None => None,
            },
        })
    }

    /// Images of the classes that are told apart.
    fn restricted(&self, data: &Dataset) -> Result<Dataset> {
        if data.pixels() != self.inputs || data.classes() < self.classes {
            settings::fits(data, self.inputs, self.classes)?;
        }
        first_classes(data, self.classes)
    }

    /// Rows of pixels, as bright as they are in the end.
    pub(super) fn images(
        &self,
        context: &mut Context,
        data: &Dataset,
        indices: &[u32],
        out: &mut Matrix,
    ) -> Result<()> {
        shaped(out, indices.len(), data.pixels());
        let scaling = Scaling { scale: self.config.brightness as f32 / 255.0, offset: 0.0 };
        data.gather(context, indices, scaling, out.view_mut())
    }

    /// Whether what is prepared of so many images can be held, some 3 GiB: a bit for every four images and edge, of which each unit has
    /// whole blocks of 128.
    fn preparable(&self, images: usize) -> Result<()> {
        settings::batch("batch", images, self.inputs)?;
        // Sums of 64 genotypes on 64 images, 1280 bytes each.
        let sums = self.config.population.div_ceil(64) as u64 * images.div_ceil(64) as u64;
        settings::within("population x batch, in blocks of 64 x 64", sums, 0, 1 << 20)?;
        const MOST: f64 = (1u64 << 36) as f64;
        let edges = self.config.edge_probability * self.inputs as f64;
        let of_a_unit = edges + 128.0 * edges.min(1.0);
        let all = images as f64 * of_a_unit * self.config.hidden as f64;
        settings::between("images x edges, as expected", all, 0.0, MOST)
    }

    /// Images of a generation, as bright as they are then.
    fn samples(&self, context: &mut Context, data: &Dataset, indices: &[u32], generation: u64) -> Result<Samples> {
        self.preparable(indices.len())?;
        let (mut images, mut labels) = (Matrix::zeros(indices.len(), data.pixels()), Vec::new());
        let scaling = Scaling { scale: self.config.brightness_at(generation) as f32 / 255.0, offset: 0.0 };
        data.gather(context, indices, scaling, images.view_mut())?;
        data.gather_labels(indices, &mut labels)?;
        Samples::new(context, self.graph(), images.view(), &labels)
    }

    /// The accuracy of these weights on images of the classes that are told apart.
    pub(super) fn accuracy_of(&self, context: &mut Context, links: &[f32], data: &Dataset) -> Result<f64> {
        self.share(context, data, |context, images| self.forward(context, links, images).1)
    }

    /// The share of images whose logits are right.
    fn share(
        &self,
        context: &mut Context,
        data: &Dataset,
        mut logits: impl FnMut(&mut Context, MatRef<'_>) -> Matrix,
    ) -> Result<f64> {
        let all: Vec<u32> = (0..data.len() as u32).collect();
        let (mut images, mut labels, mut right) = (Matrix::zeros(0, 0), Vec::new(), 0.0);
        for indices in all.chunks(EVALUATION_BATCH) {
            self.images(context, data, indices, &mut images)?;
            data.gather_labels(indices, &mut labels)?;
            let logits = logits(context, images.view());
            right += (loss::accuracy(logits.view(), &labels) * indices.len() as f64).round();
        }
        Ok(right / data.len() as f64)
    }

    /// Activities of the hidden units and logits.
    pub(super) fn forward(&self, context: &mut Context, links: &[f32], images: MatRef<'_>) -> (Matrix, Matrix) {
        let mut hidden = Matrix::zeros(images.rows(), self.config.hidden);
        let mut logits = Matrix::zeros(images.rows(), self.classes);
        forward(context, self.graph(), links, images, hidden.view_mut(), logits.view_mut());
        (hidden, logits)
    }

    /// One generation on these samples: the mean reward, the share of right answers, the mean loss.
    fn step(&mut self, context: &mut Context, samples: &Samples, number: u64) -> Result<[f64; 3]> {
        let stream = Stream::new(self.config.seed, "evolution population").item(number);
        let genotypes = self.config.population as u64;
        let population = Population::sample(context, &self.frequencies, stream, 0..genotypes)?;
        let outcome = evaluate(context, self.weight_generation(), samples, &population);
        let rewards = allele_rewards(context, &population, &outcome.rewards);
        self.frequencies.update(&rewards, self.config.epsilon)?;
        let count = genotypes as f64;
        let hits: f64 = outcome.correct.iter().map(|&hits| f64::from(hits)).sum();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / count;
        Ok([mean(&outcome.rewards), hits / count / samples.images() as f64, mean(&outcome.losses)])
    }

    fn phases(&self, images: usize) -> Vec<Phase> {
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
            Batches::new(labels, classes, Some(&images), batch, Order::Shuffled, stream.item(class as u64))
        };
        Ok(Some(match self.config.judged_on {
            JudgedOn::AllClasses => {
                vec![Batches::new(labels, classes, None, batch, Order::ClassBalanced, stream)?]
            }
            JudgedOn::OneClass => (0..classes).map(of).collect::<Result<_>>()?,
        }))
    }

    fn evolve(
        &mut self,
        context: &mut Context,
        sample: &Dataset,
        monitor: Option<&Dataset>,
        phase: &Phase,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>> {
        let all: Vec<u32> = (0..sample.len() as u32).collect();
        let mut batches = self.batches(sample)?;
        // The whole sample is prepared once, unless its brightness still changes.
        let mut whole: Option<Samples> = None;
        for number in self.journal.step..phase.steps {
            let dawning = self.config.dawn.as_ref().is_some_and(|dawn| number <= dawn.generations);
            let [reward, correct, loss] = match &mut batches {
                Some(batches) => {
                    // One for all classes, or one for each in turn.
                    let count = batches.len() as u64;
                    let indices = batches[(number % count) as usize].indices(number / count);
                    let samples = self.samples(context, sample, indices, number)?;
                    self.step(context, &samples, number)?
                }
                None => {
                    let samples = match whole.take() {
                        Some(samples) if !dawning => samples,
                        _ => self.samples(context, sample, &all, number)?,
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
                self.distances.push(Distances::of(generation, &self.frequencies));
            }
            let mut expected = None;
            if Journal::marks(phase, generation) {
                let mut rounded = None;
                if let Some(data) = monitor {
                    for (genotype, accuracy) in [(Genotype::Expected, &mut expected), (Genotype::Rounded, &mut rounded)]
                    {
                        let links = self.links(context, genotype);
                        *accuracy = Some(self.accuracy_of(context, &links, data)?);
                    }
                }
                let [rewards, hits, count] = std::mem::take(&mut self.running);
                self.points.push(Point {
                    generation,
                    reward: rewards / count,
                    correct: hits / count,
                    fixed: self.frequencies.fixed(0.01),
                    expected,
                    rounded,
                });
            }
            if self.journal.record(phase, generation, Some(loss), expected, observer).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Lifetime learning from `done` steps on.
    fn live(
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

/// The name of the phase in which the population evolves.
const EVOLUTION: &str = "evolution";

/// The images of the first so many classes.
pub(crate) fn first_classes(data: &Dataset, classes: usize) -> Result<Dataset> {
    if classes >= data.classes() {
        return Ok(data.clone());
    }
    data.check_intact()?;
    let chosen: Vec<usize> = (0..data.len()).filter(|&i| usize::from(data.labels()[i]) < classes).collect();
    let images: Vec<u8> = chosen.iter().flat_map(|&i| data.image(i)).copied().collect();
    Dataset::new(images, chosen.iter().map(|&i| data.labels()[i]).collect(), data.shape(), classes)
}

impl Network {
    pub(crate) fn read(reader: &mut Reader) -> Result<Self> {
        let config = reader.config(KIND, Config::from_toml_within)?;
        let (inputs, classes) = reader.shape()?;
        let frequencies = reader.doubles("frequencies", &[config.genes])?;
        let shape = [config.classes.unwrap_or(classes), config.hidden];
        let lifetime = config.lifetime.clone().filter(|_| Life::is_in(reader));
        if let Some(lifetime) = &lifetime {
            Life::expect(reader, lifetime, shape)?;
        }
        let mut network = Network::new(config, inputs, classes)?;
        network.frequencies = AlleleFrequencies::new(frequencies)?;
        network.journal = reader.journal()?;
        (network.points, network.distances) = curve::read(reader)?;
        network.running = [0.0; 3];
        network.running.copy_from_slice(&reader.doubles("running", &[3])?);
        if let Some(lifetime) = &lifetime {
            network.life = Some(Life::read(reader, lifetime, network.count_edges(), shape)?);
        }
        reader.finish()?;
        Ok(network)
    }
}

/// Whether graph and weight generation matrix can be held, and drawn while somebody waits: every pair of an input and a unit costs a random number,
/// every 64 pairs of a link and a gene some eight, however few of them are chosen. The second is a hundred times what the paper has, and a few
/// seconds. Expected numbers of links and entries are this far below 2^31, where they can no longer be numbered, that none drawn reaches it.
fn affordable(config: &Config, inputs: usize, classes: usize) -> Result<()> {
    const MOST_PAIRS: f64 = (1u64 << 35) as f64;
    const MOST_ENTRIES: f64 = (1u64 << 30) as f64;
    settings::within("inputs", inputs as u64, 1, 1 << 16)?;
    settings::weights("hidden", &[inputs, config.hidden, classes])?;
    let edges = config.edge_probability * inputs as f64 * config.hidden as f64;
    let links = edges + config.hidden as f64 * classes as f64;
    let pairs = links * config.genes as f64;
    settings::between("links x genes, as expected", pairs, 0.0, MOST_PAIRS)?;
    let entries = config.density * pairs;
    settings::between("entries of the weight generation matrix, as expected", entries, 0.0, MOST_ENTRIES)
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

    /// Images of classes beyond the configured ones are left out.
    fn train(
        &mut self,
        context: &mut Context,
        data: &Dataset,
        monitor: Option<&Dataset>,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>> {
        let data = self.restricted(data)?;
        let monitor = match monitor {
            Some(monitor) => Some(self.restricted(monitor)?),
            None => None,
        };
        let count = (self.config.images_per_class > 0).then_some(self.config.images_per_class);
        let sample = output::sample(&data, count, self.config.seed)?;
        if self.config.lifetime.is_some() {
            settings::activities("hidden", sample.len(), self.config.hidden)?;
        }
        self.journal.begin(sample.len(), data.digest())?;
        let phases = self.phases(sample.len());
        while let Some((index, done)) = self.journal.locate(&phases) {
            let flow = if index == 0 {
                self.evolve(context, &sample, monitor.as_ref(), &phases[0], observer)?
            } else {
                let lifetime = self.config.lifetime.clone().expect("a second phase only with a lifetime");
                self.live(context, (&sample, monitor.as_ref()), (&lifetime, &phases[1], done), observer)?
            };
            if flow.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        self.journal.finished = true;
        Ok(ControlFlow::Continue(()))
    }

    fn finished(&self) -> bool {
        self.journal.finished
    }

    /// The expected weights' answer, or after lifetime learning that of its network.
    fn predict(&self, context: &mut Context, images: MatRef<'_>, mut logits: MatMut<'_>) {
        let links = match &self.life {
            Some(life) => life.links(),
            None => self.links(context, Genotype::Expected),
        };
        logits.copy_from(self.forward(context, &links, images).1.view());
    }

    /// Of the images of the classes that are told apart.
    fn accuracy(&self, context: &mut Context, data: &Dataset) -> Result<f64> {
        let data = self.restricted(data)?;
        match &self.life {
            Some(life) => life.accuracy(context, self, &data),
            None => {
                let links = self.links(context, Genotype::Expected);
                self.accuracy_of(context, &links, &data)
            }
        }
    }

    /// Graph and weight generation are not saved: the seed makes them anew.
    fn save(&self, path: &Path) -> Result<()> {
        let mut writer = Writer::new(KIND, &self.config.to_toml(), self.inputs(), self.classes(), &self.journal);
        writer.doubles("frequencies", &[self.config.genes], self.frequencies.values());
        curve::write(&mut writer, &self.points, &self.distances);
        writer.doubles("running", &[3], &self.running);
        if let Some(life) = &self.life {
            life.write(&mut writer);
        }
        writer.write(path)
    }

    fn curve(&self) -> &[CurvePoint] {
        &self.journal.curve
    }

    fn config_toml(&self) -> String {
        self.config.to_toml()
    }

    /// None: the weights of a population are not a matrix.
    fn weights(&self, _layer: usize) -> Option<MatRef<'_>> {
        None
    }

    /// The expected weights of each hidden unit's edges, zero where there is none.
    fn receptive_fields(&self) -> Matrix {
        let mut fields = Matrix::zeros(self.config.hidden, self.inputs);
        let mut links = vec![0.0; self.graph().links()];
        expected_weights(self.weight_generation(), &self.frequencies, &mut links);
        let pattern = self.graph().pattern();
        for unit in 0..self.config.hidden {
            let range = pattern.range(unit);
            for (&input, &weight) in pattern.indices()[range.clone()].iter().zip(&links[range]) {
                fields.row_mut(unit)[input as usize] = weight;
            }
        }
        fields
    }
}
