//! Tables 1 and 2 of the paper, its figures 1 and 2, the learning curves of populations, and the theory in numbers.
//!
//! Recipes were chosen on training images that were held out, never on the test set: the test images measure the result and decide nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::config::Config;
use super::dopaminergic::{self, Hidden, Sample};
use super::linear::{LinearTarget, lemma_1};
use super::network::Network;
use super::output::{self, Learning};
use super::recipes::{genes, table_2};
use super::rows::{Kind, table_1};
use super::seen::{Accuracies, first_classes};
use crate::context::Context;
use crate::datasets::{Dataset, Split};
use crate::error::Result;
use crate::systems::baselines::backprop;
use crate::systems::experiment::{self, Ending, Scale, Stage, StageObserver, train_saving};
use crate::systems::{Learner, Observer};

pub use super::recipes::{printed_recipe, recipe};
pub use super::report::{Evolved, Finding, Learned, Report, Run, Theory};
pub use super::rows::{ROWS, Row};

/// What to reproduce.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much is trained.
    pub scale: Scale,
    /// Runs of each row, with seeds `seed`, `seed + 1`, ... (streams are hashed: neighbouring seeds share nothing).
    pub runs: usize,
    /// The first run's seed.
    pub seed: u64,
    /// Names of the rows to run; empty for all.
    pub only: Vec<String>,
    /// A folder where what learns saves itself, every few minutes and in the end, and from where it goes on, with the same images: its `evolution-images.toml` holds
    /// their digests. None if absent.
    pub states: Option<PathBuf>,
}

impl Options {
    /// One run of every row at seed 0, nothing saved.
    pub fn new(scale: Scale) -> Self {
        Options { scale, runs: 1, seed: 0, only: Vec::new(), states: None }
    }

    fn state(&self, name: &str, seed: u64) -> (Option<PathBuf>, bool) {
        experiment::state(self.states.as_deref(), name, seed)
    }
}

/// Where the recipes depart from the paper, or fill what it leaves open: what a reader of the tables must know.
pub const DEPARTURES: &[&str] = &[
    "A generation is judged on a mini-batch of 20 images of one class, the next class in the next generation, and has 256 genotypes, not the paper's 1000, but there \
     are 15,000 generations of 8000 genes, and 5,000 of each number of genes in figure 1 (quick: 64 genotypes, 1000 genes, 500 and 150 generations, 300 hidden units, and eps of a half, not 1). On batches of all classes some classes are never learned: no genotype answers them, and their images earn nothing. Numbers \
     of genes and generations are ours, the paper gives none. The row \"as printed\" has the paper's 1000 genotypes, all images and eps of 1, for 1000 generations of 4000 genes (quick: \
     64 genotypes of 1000 genes, for 20 generations).",
    "Networks for digits 0-4 have five outputs, and a in their reward is ln 5; the paper prints ln 10 and ten outputs, and says nothing else for five digits.",
    "Beside evolution with SignSGD on digits 0-9 stands the paper's figure in its text, 86.3; its table 1 says 85.6.",
    "Pixels are scaled to at most 0.02 for evolution (0.3 in the quick form): without biases that changes no answer, but how sharp the loss of a genotype is. A sharp loss \
     leaves a class that no genotype answers without any reward, and so without selection, for good.",
    "Evolution is tested in three ways: the mean over 64 genotypes drawn from the allele frequencies, the genotype that has the more frequent allele of \
     every gene, and the expected weights W p. The paper does not say which is its own; its figure stands beside the last.",
    "Lifetime learning begins with the genotype that has the more frequent allele of every gene; that and its rate were chosen on held-out images (one drawn from \
     the frequencies ends 1.4 points lower).",
    "Backpropagation trains a network of 1000 hidden units (quick: 300) that sees all pixels, on the same images; learning rate, batch and epochs were chosen on \
     held-out images (quick: a tenth of the epochs).",
    "The rule of dopaminergic plasticity as printed strengthens links to the wrong classes, and as told in the prose it never changes a bad answer: both are \
     measured. The reading that learns changes links that fired, against the sign of their output's error, where that is above a half and the loss above eps0.",
    "Dopaminergic output layers are trained in batches (the sum over the batch, the rate falling linearly): image by image, without a limit to the \
     number of units that fire, the rule forgets at 1,000 hidden units (some 79 % after 500 epochs).",
    "With many hidden units and no limit to those that fire, the rule's layer becomes a linear classifier of the pixels, for which 2,000 images do not give the paper's \
     90.76 %: the row in which 256 units fire is the one to compare.",
    "SignSGD and Adam on random hidden units: batches of 50, rates falling linearly; rates, and SignSGD's 200 epochs on 100,000 units, chosen on held-out images \
     (quick: 10,000 units in place of 100,000, with the same rates).",
    "Where the paper trains for 500 epochs, so do output layers here, but for SignSGD on 100,000 units, and for dopaminergic plasticity there with 256 units firing, the rule as \
     printed and that of the prose: 20 epochs, after which nothing is left to learn (quick: 20 epochs for all).",
    "The linear target evolves as an infinite population does, by the closed form of f and f0, at the largest eps that bounds of theorem 1 allow, for a million generations (quick: \
     100,000). W's entries \
     are theorem 2's divided by the root of the number of genes: alleles get fixed, and weights of genotypes must lie closer together than the target is long.",
];

/// Trains every row and measures it on the test images. Runs are independent, and share out the threads of the context.
///
/// The result depends on options and data alone: never on threads, instruction set or interruptions.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) for no runs or an unknown row, and whatever training or a saved state reports before any run is
/// finished: later it is the report's [`Ending`].
pub fn reproduce(
    context: &mut Context,
    data: &Split,
    options: &Options,
    observer: &mut StageObserver<'_, Row>,
) -> Result<Report> {
    let began = Instant::now();
    experiment::check(options.runs, &options.only, ROWS.iter().map(|row| row.name))?;
    let mut assignments: Vec<(Row, u64)> = Vec::new();
    for row in ROWS.iter().filter(|row| experiment::wanted(&options.only, row.name)) {
        assignments.extend(experiment::seeds(options.seed, options.runs).map(|seed| (*row, seed)));
    }
    // A linear target is no image.
    if assignments.iter().any(|(row, _)| !matches!(row.kind, Kind::Theory)) {
        experiment::keep_to_images(options.states.as_deref(), "evolution", data)?;
    }
    let all = assignments.len();
    let (runs, flow) = experiment::side_by_side(
        context,
        all,
        |context, task, observer| {
            let (row, seed) = assignments[task];
            let began = Instant::now();
            let finding = run(context, row, seed, data, options, observer)?;
            Ok(finding.map(|finding| Run { row, seed, finding, seconds: began.elapsed().as_secs_f64() }))
        },
        &mut |task, done, progress| {
            let (row, seed) = assignments[task];
            observer(&Stage { row, seed, done, all }, progress)
        },
    );
    let ending = Ending::of(flow, runs.len())?;
    Ok(Report { runs, ending, seconds: began.elapsed().as_secs_f64() })
}

/// One run, or none if it was stopped.
fn run(
    context: &mut Context,
    row: Row,
    seed: u64,
    data: &Split,
    options: &Options,
    observer: &mut Observer<'_>,
) -> Result<Option<Finding>> {
    match row.kind {
        Kind::Population { classes, printed } => {
            let config = if printed {
                printed_recipe(options.scale, classes, seed)
            } else {
                recipe(options.scale, classes, None, seed)
            };
            let found = population(context, config, data, options, row.name, observer)?;
            Ok(found.map(|evolved| Finding::Populations(vec![evolved])))
        }
        Kind::Genes(classes) => {
            let mut all = Vec::new();
            for &genes in genes(options.scale) {
                let config = recipe(options.scale, classes, Some(genes), seed);
                let name = format!("{}-{genes}", row.name);
                match population(context, config, data, options, &name, observer)? {
                    Some(evolved) => all.push(evolved),
                    None => return Ok(None),
                }
            }
            Ok(Some(Finding::Populations(all)))
        }
        Kind::Baseline(classes) => baseline(context, (row.name, classes, seed), data, options, observer),
        Kind::Lifetime { hidden } => lifetimes(context, (row.name, hidden, seed), data, options, observer),
        Kind::Theory => {
            let mut target = LinearTarget::new(6, 2, 60, seed)?;
            let lemma = lemma_1(&target);
            let generations = if options.scale == Scale::Quick { 100_000 } else { 1_000_000 };
            let (mut losses, mut least) = (vec![(0, target.loss())], target.distance());
            for power in 0.. {
                let before = losses.last().map_or(0, |last| last.0);
                let after = 10u64.saturating_pow(power).min(generations);
                losses.extend(target.evolve(after - before).last().map(|&(at, loss)| (before + at, loss)));
                least = least.min(target.distance());
                if after == generations {
                    break;
                }
            }
            let distance = [least, target.distance()];
            Ok(Some(Finding::Theory(Theory { lemma, distance, cosine: target.cosine(), losses })))
        }
    }
}

/// Evolves a population, or goes on with a saved one.
fn population(
    context: &mut Context,
    config: Config,
    data: &Split,
    options: &Options,
    name: &str,
    observer: &mut Observer<'_>,
) -> Result<Option<Evolved>> {
    let (path, exists) = options.state(name, config.seed);
    let mut network = match &path {
        Some(path) if exists => Network::load(path)?.extended(config)?,
        _ => Network::new(config, data.train.pixels(), data.train.classes())?,
    };
    let mut go = |network: &mut Network, observer: &mut Observer<'_>| {
        network.train(context, &data.train, Some(&data.test), observer)
    };
    if train_saving(&mut network, path.as_deref(), observer, &mut go)?.is_break() {
        return Ok(None);
    }
    let found = network.accuracies(context, &data.test)?;
    let accuracies = Accuracies {
        sampled: 100.0 * found.sampled,
        rounded: 100.0 * found.rounded,
        expected: 100.0 * found.expected,
        lifetime: found.lifetime.map(|share| 100.0 * share),
    };
    Ok(Some(Evolved {
        genes: network.config().genes,
        generations: network.evolved(),
        accuracies,
        points: network.points().to_vec(),
        lifetime: network.curve().iter().filter(|point| &*point.phase == "output").cloned().collect(),
        distances: network.distances(),
        config: network.config_toml(),
    }))
}

/// Backpropagation on the images the population of this seed sees.
fn baseline(
    context: &mut Context,
    (name, classes, seed): (&str, usize, u64),
    data: &Split,
    options: &Options,
    observer: &mut Observer<'_>,
) -> Result<Option<Finding>> {
    let [train, test] = [&data.train, &data.test].map(|set| first_classes(set, classes));
    let (train, test) = (output::sample(&train?, Some(200), seed)?, test?);
    let quick = options.scale == Scale::Quick;
    let hidden = if quick { 300 } else { 1000 };
    let config = backprop::Config {
        seed,
        layers: vec![hidden],
        initial: backprop::Initial::He,
        batch: 50,
        rate: 1e-3,
        epochs: if quick { 5 } else { 50 },
        ..backprop::Config::default()
    };
    let (path, exists) = options.state(name, seed);
    let mut network = match &path {
        Some(path) if exists => {
            let saved = backprop::Network::load(path)?;
            if *saved.config() != config {
                return Err(experiment::another_state(path));
            }
            saved
        }
        _ => backprop::Network::new(config, train.pixels(), classes)?,
    };
    let mut go = |network: &mut backprop::Network, observer: &mut Observer<'_>| {
        network.train(context, &train, Some(&test), observer)
    };
    if train_saving(&mut network, path.as_deref(), observer, &mut go)?.is_break() {
        return Ok(None);
    }
    let learned = Learned {
        what: "200 images a class",
        hidden: None,
        paper: table_1(classes)[2],
        accuracy: 100.0 * network.accuracy(context, &test)?,
        curve: network.curve().to_vec(),
        kind: network.kind(),
        config: network.config_toml(),
    };
    Ok(Some(Finding::Learners(vec![learned])))
}

/// The output layers of table 2, on the same hidden units and images.
fn lifetimes(
    context: &mut Context,
    (name, hidden, seed): (&str, usize, u64),
    data: &Split,
    options: &Options,
    observer: &mut Observer<'_>,
) -> Result<Option<Finding>> {
    let quick = options.scale == Scale::Quick;
    let (inputs, classes) = (data.train.pixels(), data.train.classes());
    let rules = table_2(hidden);
    let mut learned: Vec<Option<Learned>> = rules.iter().map(|_| None).collect();
    // Hidden activities with a limit to the units that fire differ from those without.
    for limit in [None, Some(256)] {
        let config = |output: &Learning| dopaminergic::Config {
            seed,
            // In the quick form a tenth of the large layer.
            hidden: if quick && hidden > 1000 { hidden / 10 } else { hidden },
            firing: limit,
            curve_epochs: if hidden > 1000 && !quick { 100 } else { 10 },
            output: Learning { epochs: if quick { output.epochs.min(20) } else { output.epochs }, ..output.clone() },
            ..dopaminergic::Config::default()
        };
        let shape = config(&Learning::default());
        let units = Arc::new(Hidden::new(&shape, inputs));
        let sample = Sample::new(context, &shape, &units, &data.train)?;
        // On 100,000 units the test set is a matter of seconds: it is looked at in the end.
        let monitor: Option<&Dataset> = (hidden <= 1000).then_some(&data.test);
        let mut networks = Vec::new();
        for (index, (_, firing, output, _)) in rules.iter().enumerate() {
            if *firing != limit {
                continue;
            }
            let mut network = dopaminergic::Network::on(config(output), units.clone(), classes);
            let (path, exists) = options.state(&format!("{name}-{index}"), seed);
            if let Some(path) = path.as_ref().filter(|_| exists) {
                network = network.loaded(path)?;
            }
            let mut go = |network: &mut dopaminergic::Network, observer: &mut Observer<'_>| {
                network.train_on(context, &sample, monitor, observer)
            };
            if train_saving(&mut network, path.as_deref(), observer, &mut go)?.is_break() {
                return Ok(None);
            }
            networks.push((index, network));
        }
        let all: Vec<&dopaminergic::Network> = networks.iter().map(|(_, network)| network).collect();
        let found = dopaminergic::Network::accuracies(context, &all, &data.test)?;
        for ((index, network), accuracy) in networks.iter().zip(found) {
            let (what, _, _, paper) = rules[*index];
            let curve = network.curve().to_vec();
            let hidden = Some(network.config().hidden);
            let (kind, config) = (network.kind(), network.config_toml());
            learned[*index] = Some(Learned { what, hidden, paper, accuracy: 100.0 * accuracy, curve, kind, config });
        }
    }
    Ok(Some(Finding::Learners(learned.into_iter().flatten().collect())))
}
