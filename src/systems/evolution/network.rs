//! A population with its whole state, which it saves, and as a learner.

use std::borrow::Cow;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::OnceLock;

use super::config::{Config, Genotype};
use super::curve::{self, Distances, Point};
use super::lifetime::Life;
use super::output;
use crate::context::Context;
use crate::datasets::Dataset;
use crate::error::{Error, Result};
use crate::kernels::genotype::{
    AlleleFrequencies, AlleleRewards, Graph, Population, WeightGeneration, decode, expected_weights,
};
use crate::kernels::masked::Pattern;
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::random::Stream;
use crate::systems::checkpoint::{Reader, Writer};
use crate::systems::journal::{self, Journal};
use crate::systems::{Learner, Observer, checkpoint, settings};

/// The name in checkpoints and on the command line.
pub(crate) const KIND: &str = "evolution";

/// Neural net evolution: allele frequencies, the links they make, and the whole training state.
#[derive(Clone)]
pub struct Network {
    pub(super) config: Config,
    pub(super) journal: Journal,
    pub(super) inputs: usize,
    pub(super) classes: usize,
    /// What the seed stands for: the graph, and what makes weights of genes. Made when they are first needed, so that a checkpoint takes no more
    /// memory than it holds.
    drawn: OnceLock<(Graph, WeightGeneration)>,
    frequencies: AlleleFrequencies,
    /// The expected weights of the frequencies as they are, once they were asked for.
    expected: OnceLock<Vec<f32>>,
    pub(super) points: Vec<Point>,
    pub(super) distances: Vec<Distances>,
    /// Sums of mean rewards and hits since the last point, and their number.
    pub(super) running: [f64; 3],
    pub(super) life: Option<Life>,
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
            expected: OnceLock::new(),
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

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The same population under a schedule that goes on longer, or learns something else in its lifetime: whatever does not change the
    /// generations so far may differ. Where it ends with the present generation, the curves get their last points when it is trained; the point
    /// at which the former schedule ended stays in them.
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

    /// The next generation's allele frequencies.
    pub(super) fn reward(&mut self, rewards: &AlleleRewards) -> Result<()> {
        self.expected.take();
        self.frequencies.update(rewards, self.config.epsilon)
    }

    /// The expected weights of all links, computed once for as long as the population stays as it is.
    fn expected(&self) -> &[f32] {
        self.expected.get_or_init(|| {
            let mut links = vec![0.0; self.graph().links()];
            expected_weights(self.weight_generation(), &self.frequencies, &mut links);
            links
        })
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

    /// The weights of all links that stand for the population: evolved ones, whatever was learned in a [lifetime](Self::lifetime_links) since.
    pub fn links(&self, context: &mut Context, genotype: Genotype) -> Vec<f32> {
        let population = match genotype {
            Genotype::Expected => return self.expected().to_vec(),
            Genotype::Rounded => Population::rounded(&self.frequencies),
            Genotype::Sampled => {
                let stream = Stream::new(self.config.seed, "evolution lifetime");
                Population::sample(context, &self.frequencies, stream, 0..1).expect("one genotype is not none")
            }
        };
        let mut weights = Matrix::zeros(self.graph().links(), 1);
        decode(context, self.weight_generation(), &population, 0..1, weights.view_mut());
        weights.as_slice().to_vec()
    }

    /// The weights of all links in a lifetime, in which the output layer learns on: those that classify images. None before it begins.
    pub fn lifetime_links(&self) -> Option<Vec<f32>> {
        self.life.as_ref().map(Life::links)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Network { config, inputs, classes, frequencies, points, life, .. } = self;
        let mut printed = f.debug_struct("Network");
        printed.field("config", config).field("inputs", inputs).field("classes", classes);
        printed.field("frequencies", frequencies).field("points", points).field("life", life).finish_non_exhaustive()
    }
}

/// Of the same configuration, shape and state. What the seed stands for is the same then.
impl PartialEq for Network {
    fn eq(&self, other: &Self) -> bool {
        let Network {
            config,
            journal,
            inputs,
            classes,
            drawn: _,
            frequencies,
            expected: _,
            points,
            distances,
            running,
            life,
        } = self;
        (config, journal, inputs, classes) == (&other.config, &other.journal, &other.inputs, &other.classes)
            && (frequencies, points, distances) == (&other.frequencies, &other.points, &other.distances)
            && (running, life) == (&other.running, &other.life)
    }
}

/// The name of the phase in which the population evolves.
pub(super) const EVOLUTION: &str = "evolution";

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

checkpoint::readable!(Network);

impl Learner for Network {
    journal::answers!();

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
        self.journal.begin(sample.len(), data.intact_digest()?)?;
        let phases = self.phases(sample.len());
        self.settle(context, &phases[0], monitor.as_ref())?;
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

    /// The expected weights' answer, or after lifetime learning that of its network. Logits are those of images of the configured brightness, on
    /// which it learned: `images` are in 0 to 1 here as everywhere.
    ///
    /// The expected weights are computed when they are first asked for, on the calling thread, and kept until the population changes: 4 bytes a link.
    /// Every call copies the edges (see [`forward`](crate::kernels::genotype::forward)): many images at once take less time each.
    fn predict(&self, context: &mut Context, images: MatRef<'_>, mut logits: MatMut<'_>) {
        let links = match &self.life {
            Some(life) => Cow::Owned(life.links()),
            None => Cow::Borrowed(self.expected()),
        };
        logits.copy_from(self.forward(context, &links, images).1.view());
        // Without biases that is what brighter images come to.
        let brightness = self.config.brightness as f32;
        for row in 0..logits.rows() {
            logits.row_mut(row).iter_mut().for_each(|logit| *logit *= brightness);
        }
    }

    /// Of the images of the classes that are told apart.
    fn accuracy(&self, context: &mut Context, data: &Dataset) -> Result<f64> {
        let data = self.restricted(data)?;
        match &self.life {
            Some(life) => life.accuracy(context, self, &data),
            None => self.accuracy_of(context, self.expected(), &data),
        }
    }

    /// Graph and weight generation are not saved: the seed makes them anew.
    fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut writer = Writer::new(KIND, &self.config.to_toml(), self.inputs(), self.classes(), &self.journal);
        writer.doubles("frequencies", &[self.config.genes], self.frequencies.values());
        curve::write(&mut writer, &self.points, &self.distances);
        writer.doubles("running", &[3], &self.running);
        if let Some(life) = &self.life {
            life.write(&mut writer);
        }
        writer.bytes()
    }

    /// None: the weights of a population are not a matrix.
    fn weights(&self, _layer: usize) -> Option<MatRef<'_>> {
        None
    }

    /// The expected weights of each hidden unit's edges, zero where there is none.
    fn receptive_fields(&self) -> Matrix {
        let mut fields = Matrix::zeros(self.config.hidden, self.inputs);
        let links = self.expected();
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
