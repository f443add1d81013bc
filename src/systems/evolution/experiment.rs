//! Tables 1 and 2 of the paper, its figures 1 and 2, the learning curves of populations, and the theory in numbers.
//!
//! Recipes were chosen on training images that were held out, never on the test set: the test images measure the result and decide nothing.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::config::{Config, JudgedOn, Lifetime};
use super::curve::{Distances, Point};
use super::dopaminergic::{self, Hidden, Sample};
use super::linear::{LinearTarget, lemma_1};
use super::network::{Accuracies, Network, first_classes};
use super::output::{self, Learning, Reading, Rule};
use crate::context::Context;
use crate::datasets::{Dataset, Split};
use crate::error::Result;
use crate::systems::baselines::backprop;
use crate::systems::experiment::{self, Scale, Stage, StageObserver};
use crate::systems::{Better, CurvePoint, Learner, Outcome, Progress, Schedule};

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
    /// A folder where populations save themselves every few minutes, and from where they go on; none if absent.
    pub states: Option<PathBuf>,
}

impl Options {
    /// One run of every row at seed 0, nothing saved.
    pub fn new(scale: Scale) -> Self {
        Options { scale, runs: 1, seed: 0, only: Vec::new(), states: None }
    }
}

/// One row of the reproduction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// A short name, unique: `nne-10`.
    pub name: &'static str,
    /// What is trained, in words.
    pub description: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// A population on so many classes, by the recipe or as the paper's setting is printed.
    Population { classes: usize, printed: bool },
    /// Adam on the same images, classes.
    Baseline(usize),
    /// Populations of fewer and more genes, classes: figure 1.
    Genes(usize),
    /// Output layers on so many random hidden units: table 2.
    Lifetime { hidden: usize },
    /// Lemma 1 and the linear target.
    Theory,
}

/// The rows: table 1, table 2, figure 1, the theory.
pub const ROWS: [Row; 10] = [
    Row {
        name: "nne-10",
        description: "evolution, digits 0-9",
        kind: Kind::Population { classes: 10, printed: false },
    },
    Row { name: "nne-5", description: "evolution, digits 0-4", kind: Kind::Population { classes: 5, printed: false } },
    Row {
        name: "nne-10-printed",
        description: "evolution as printed, digits 0-9",
        kind: Kind::Population { classes: 10, printed: true },
    },
    Row { name: "sgd-10", description: "backpropagation (Adam), digits 0-9", kind: Kind::Baseline(10) },
    Row { name: "sgd-5", description: "backpropagation (Adam), digits 0-4", kind: Kind::Baseline(5) },
    Row { name: "dnn-1000", description: "1,000 random hidden units", kind: Kind::Lifetime { hidden: 1000 } },
    Row { name: "dnn-100000", description: "100,000 random hidden units", kind: Kind::Lifetime { hidden: 100_000 } },
    Row { name: "genes-10", description: "evolution by number of genes, digits 0-9", kind: Kind::Genes(10) },
    Row { name: "genes-5", description: "evolution by number of genes, digits 0-4", kind: Kind::Genes(5) },
    Row { name: "theory", description: "one linear output, 6 inputs, 60 genes", kind: Kind::Theory },
];

/// Where the recipes depart from the paper, or fill what it leaves open: what a reader of the tables must know.
pub const DEPARTURES: [&str; 12] = [
    "A generation is judged on a mini-batch of one class, the next class in the next generation, and has fewer genotypes than the paper's 1000, but there \
     are many more generations. On batches of all classes some classes are never learned: no genotype answers them, and their images earn nothing. Numbers \
     of genes and generations are ours, the paper gives none. The row \"as printed\" has the paper's 1000 genotypes, all images and eps of 1, for 1000 generations of 4000 genes.",
    "Beside evolution with SignSGD on digits 0-9 stands the paper's figure in its text, 86.3; its table 1 says 85.6.",
    "Pixels are scaled below 1 for evolution: without biases that changes no answer, but how sharp the loss of a genotype is.",
    "Evolution is tested in three ways: the mean over 64 genotypes drawn from the allele frequencies, the genotype that has the more frequent allele of \
     every gene, and the expected weights W p. The paper does not say which is its own; its figure stands beside the last.",
    "Lifetime learning begins with the genotype that has the more frequent allele of every gene; that and its rate were chosen on held-out images (one drawn from \
     the frequencies ends 1.4 points lower).",
    "Backpropagation trains a network of 1000 hidden units that sees all pixels, on the same images; learning rate, batch and epochs were chosen on held-out images.",
    "The rule of dopaminergic plasticity as printed strengthens links to the wrong classes, and as told in the prose it never changes a bad answer: both are \
     measured. The reading that learns changes links that fired, against the sign of their output's error, where that is above a half and the loss above eps0.",
    "Dopaminergic output layers are trained in batches (the sum over the batch, the rate falling linearly): image by image, without a limit to the \
     number of units that fire, the rule forgets at 1,000 hidden units (some 79 % after 500 epochs).",
    "With many hidden units and no limit to those that fire, the rule's layer becomes a linear classifier of the pixels, for which 2,000 images do not give the paper's \
     90.76 %: the row in which 256 units fire is the one to compare.",
    "SignSGD and Adam on random hidden units: batches of 50, rates falling linearly; rates, and SignSGD's 200 epochs on 100,000 units, chosen on held-out images.",
    "Where the paper trains for 500 epochs, so do output layers here, but for SignSGD on 100,000 units, and for dopaminergic plasticity there with 256 units firing, the rule as \
     printed and that of the prose: 20 epochs, after which nothing is left to learn.",
    "The linear target evolves as an infinite population does, by the closed form of f and f0, at the largest eps that bounds of theorem 1 allow. W's entries \
     are theorem 2's divided by the root of the number of genes: alleles get fixed, and weights of genotypes must lie closer together than the target is long.",
];

/// A population after its generations.
#[derive(Clone, Debug, PartialEq)]
pub struct Evolved {
    /// Number of genes.
    pub genes: usize,
    /// Generations.
    pub generations: u64,
    /// On the test images, in per cent.
    pub accuracies: Accuracies,
    /// The curve: test accuracies decide nothing.
    pub points: Vec<Point>,
    /// Lifetime learning's curve.
    pub lifetime: Vec<CurvePoint>,
    /// Figure 2.
    pub distances: Vec<Distances>,
}

/// A trained output layer, or network.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned {
    /// What learned, in words.
    pub what: &'static str,
    /// Random hidden units, for output layers.
    pub hidden: Option<usize>,
    /// The paper's test accuracy in per cent.
    pub paper: Option<f64>,
    /// Test accuracy in per cent.
    pub accuracy: f64,
    /// The learning curve.
    pub curve: Vec<CurvePoint>,
}

/// The theory's numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Theory {
    /// Largest relative difference between f - f0 and the slope of -L.
    pub lemma: f64,
    /// |W p - a| / |a| where it was least, at the powers of ten of generations, and in the end. Frequencies go on to 0 and 1, where W p can be no
    /// nearer than W's entries are apart.
    pub distance: [f64; 2],
    /// Cosine between the target and the weights of the rounded genotype.
    pub cosine: f64,
    /// L(p) by generation.
    pub losses: Vec<(u64, f64)>,
}

/// What a run found.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// Populations: one, or one for each number of genes.
    Populations(Vec<Evolved>),
    /// Learners on the same images.
    Learners(Vec<Learned>),
    /// The theory.
    Theory(Theory),
}

/// One run of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The row.
    pub row: Row,
    /// The seed.
    pub seed: u64,
    /// What it found.
    pub finding: Finding,
    /// Time of the run, from where it began or went on.
    pub seconds: f64,
}

/// A finished, or interrupted, reproduction.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Every finished run, by row and then by seed.
    pub runs: Vec<Run>,
    /// Whether the observer ended it early.
    pub interrupted: bool,
    /// Time of it all.
    pub seconds: f64,
}

/// Table 1: NNE, NNE + SignSGD, SGD.
fn table_1(classes: usize) -> [Option<f64>; 3] {
    match classes {
        5 => [Some(92.1), Some(91.6), Some(96.0)],
        _ => [Some(78.8), Some(86.3), Some(88.2)],
    }
}

impl Report {
    /// Runs of a row.
    pub fn of<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = &'a Run> {
        self.runs.iter().filter(move |run| run.row.name == row.name)
    }

    /// The tables.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for row in &ROWS {
            let runs: Vec<&Run> = self.of(row).collect();
            if runs.is_empty() {
                continue;
            }
            let seconds = runs.iter().map(|run| run.seconds).sum();
            let mut add = |experiment: String, quantity: &str, better, paper, figures: Vec<f64>| {
                if !figures.is_empty() {
                    outcomes.push(Outcome::new("evolution", experiment, quantity, better, paper, figures, seconds));
                }
            };
            let populations = |index: usize| -> Vec<&Evolved> {
                runs.iter()
                    .filter_map(|run| match &run.finding {
                        Finding::Populations(all) => all.get(index),
                        _ => None,
                    })
                    .collect()
            };
            match row.kind {
                Kind::Population { classes, .. } => {
                    let [evolved, lifetime, _] = table_1(classes);
                    let all = populations(0);
                    let Some(first) = all.first() else { continue };
                    let experiment =
                        format!("{}: {} genes, {} generations", row.description, first.genes, first.generations);
                    let of = |figure: fn(&Accuracies) -> f64| all.iter().map(|e| figure(&e.accuracies)).collect();
                    add(experiment.clone(), "test accuracy by W p, %", Better::More, evolved, of(|a| a.expected));
                    add(experiment.clone(), "the same, rounded genotype", Better::More, None, of(|a| a.rounded));
                    add(experiment.clone(), "the same, mean of genotypes drawn", Better::More, None, of(|a| a.sampled));
                    let after = all.iter().filter_map(|e| e.accuracies.lifetime).collect();
                    add(experiment.clone(), "after SignSGD, %", Better::More, lifetime, after);
                    let fixed = all.iter().filter_map(|e| e.points.last()).map(|p| 100.0 * p.fixed).collect();
                    add(experiment, "genes within 0.01 of 0 or 1, %", Better::Nearer, None, fixed);
                }
                Kind::Genes(_) => {
                    for index in 0.. {
                        let all = populations(index);
                        let Some(first) = all.first() else { break };
                        let experiment =
                            format!("{}: {}, {} generations", row.description, first.genes, first.generations);
                        let figures = all.iter().map(|e| e.accuracies.expected).collect();
                        add(experiment, "test accuracy by W p, %", Better::More, None, figures);
                    }
                }
                Kind::Baseline(_) | Kind::Lifetime { .. } => {
                    let learners = |index: usize| {
                        runs.iter().filter_map(move |run| match &run.finding {
                            Finding::Learners(all) => all.get(index),
                            _ => None,
                        })
                    };
                    for index in 0.. {
                        let Some(first) = learners(index).next() else { break };
                        let experiment = match (row.kind, first.hidden) {
                            (Kind::Lifetime { hidden }, Some(other)) if hidden != other => {
                                format!("{other} of {}: {}", row.description, first.what)
                            }
                            _ => format!("{}: {}", row.description, first.what),
                        };
                        let figures = learners(index).map(|learned| learned.accuracy).collect();
                        add(experiment, "test accuracy, %", Better::More, first.paper, figures);
                    }
                }
                Kind::Theory => {
                    let of = |figure: fn(&Theory) -> f64| {
                        let theories = runs.iter().filter_map(|run| match &run.finding {
                            Finding::Theory(theory) => Some(figure(theory)),
                            _ => None,
                        });
                        theories.collect::<Vec<f64>>()
                    };
                    let experiment = || row.description.to_owned();
                    add(
                        experiment(),
                        "lemma 1: relative difference of the slopes",
                        Better::Less,
                        Some(0.0),
                        of(|t| t.lemma),
                    );
                    let ratio = of(|t| t.losses.last().map_or(1.0, |last| last.1 / t.losses[0].1));
                    add(experiment(), "loss in the end, share of the first", Better::Less, None, ratio);
                    add(experiment(), "least |W p - a| / |a|", Better::Less, Some(0.0), of(|t| t.distance[0]));
                    add(experiment(), "the same in the end", Better::Less, None, of(|t| t.distance[1]));
                    add(experiment(), "cosine of the rounded genotype", Better::More, Some(1.0), of(|t| t.cosine));
                }
            }
        }
        outcomes
    }
}

/// The population of a run.
pub fn recipe(scale: Scale, classes: usize, genes: Option<usize>, seed: u64) -> Config {
    let lifetime = genes.is_none().then(Lifetime::default);
    let config = Config {
        seed,
        classes: Some(classes),
        batch: Some(20),
        judged_on: JudgedOn::OneClass,
        brightness: 0.3,
        lifetime,
        ..Config::default()
    };
    match scale {
        Scale::Quick => Config {
            genes: genes.unwrap_or(1000),
            hidden: 300,
            population: 64,
            epsilon: 0.5,
            generations: if genes.is_some() { 150 } else { 500 },
            curve_generations: 25,
            ..config
        },
        Scale::Full => Config {
            genes: genes.unwrap_or(8000),
            population: 256,
            epsilon: 0.2,
            generations: if genes.is_some() { 5_000 } else { 30_000 },
            curve_generations: 250,
            ..config
        },
    }
}

/// The population of a run in the paper's own setting, with as many genes and generations as there was time for: every genotype of 1000
/// is judged on all images, eps is 1.
pub fn printed_recipe(scale: Scale, classes: usize, seed: u64) -> Config {
    let config = Config { seed, classes: Some(classes), curve_generations: 50, ..Config::default() };
    match scale {
        Scale::Quick => {
            Config { genes: 1000, hidden: 300, population: 64, generations: 20, curve_generations: 5, ..config }
        }
        Scale::Full => config,
    }
}

/// Numbers of genes of figure 1.
fn genes(scale: Scale) -> &'static [usize] {
    match scale {
        Scale::Quick => &[250, 1000, 4000],
        Scale::Full => &[500, 1000, 2000, 4000, 8000],
    }
}

/// The output layers of table 2: what learns, how, with how many firing units, and the paper's figure.
fn table_2(hidden: usize) -> Vec<(&'static str, Option<usize>, Learning, Option<f64>)> {
    let [sgd, sign, dopaminergic] =
        if hidden == 1000 { [90.34, 86.84, 84.84] } else { [92.56, 90.21, 90.76] }.map(Some);
    let large = hidden > 1000;
    // Rate and epochs, of few units or of many.
    let of = |few: (f64, u64), many: (f64, u64)| if large { many } else { few };
    let learning = |rule, (rate, epochs), batch, schedule| Learning { rule, rate, batch, schedule, epochs };
    let read = |reading| Rule::Dopaminergic { reading, loss: 0.75 };
    let signed = read(Reading::Signed);
    let adam = learning(Rule::Adam, of((1e-3, 500), (1e-5, 500)), 50, Schedule::Linear);
    let sign_sgd = learning(Rule::SignSgd, of((3e-4, 500), (3e-6, 200)), 50, Schedule::Linear);
    let in_batches = learning(signed, (1.0, 500), 2000, Schedule::Linear);
    let few_firing = learning(signed, of((1.0, 500), (1.0, 20)), 1, Schedule::Constant);
    let other = |reading| learning(read(reading), (1.0, 20), 1, Schedule::Constant);
    vec![
        ("SGD (Adam)", None, adam, sgd),
        ("SignSGD", None, sign_sgd, sign),
        ("dopaminergic plasticity", None, in_batches, dopaminergic),
        ("dopaminergic plasticity, 256 units fire", Some(256), few_firing, dopaminergic),
        ("the printed rule", None, other(Reading::Printed), dopaminergic),
        ("the rule of the prose", None, other(Reading::Prose), dopaminergic),
    ]
}

/// Trains every row and measures it on the test images. Runs are independent: each thread of the context does one at a time, on its own.
///
/// The result depends on options and data alone: never on threads, instruction set or interruptions.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) for no runs or an unknown row, and whatever training or a saved state reports.
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
    let all = assignments.len();
    let finished = experiment::side_by_side(
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
    )?;
    let interrupted = finished.iter().any(Option::is_none);
    let runs = finished.into_iter().flatten().collect();
    Ok(Report { runs, interrupted, seconds: began.elapsed().as_secs_f64() })
}

type RunObserver<'a> = dyn FnMut(&Progress<'_>) -> ControlFlow<()> + 'a;

/// One run, or none if it was stopped.
fn run(
    context: &mut Context,
    row: Row,
    seed: u64,
    data: &Split,
    options: &Options,
    observer: &mut RunObserver<'_>,
) -> Result<Option<Finding>> {
    match row.kind {
        Kind::Population { classes, printed } => {
            let config = if printed {
                printed_recipe(options.scale, classes, seed)
            } else {
                recipe(options.scale, classes, None, seed)
            };
            let name = format!("{}-seed-{seed}.safetensors", row.name);
            let found = population(context, config, data, options, &name, observer)?;
            Ok(found.map(|evolved| Finding::Populations(vec![evolved])))
        }
        Kind::Genes(classes) => {
            let mut all = Vec::new();
            for &genes in genes(options.scale) {
                let config = recipe(options.scale, classes, Some(genes), seed);
                let name = format!("{}-{genes}-seed-{seed}.safetensors", row.name);
                match population(context, config, data, options, &name, observer)? {
                    Some(evolved) => all.push(evolved),
                    None => return Ok(None),
                }
            }
            Ok(Some(Finding::Populations(all)))
        }
        Kind::Baseline(classes) => baseline(context, classes, seed, data, options.scale, observer),
        Kind::Lifetime { hidden } => lifetimes(context, hidden, seed, data, options.scale, observer),
        Kind::Theory => {
            let mut target = LinearTarget::new(6, 2, 60, seed)?;
            let lemma = lemma_1(&target)?;
            let generations = if options.scale == Scale::Quick { 100_000 } else { 1_000_000 };
            let (mut losses, mut least) = (vec![(0, target.loss())], target.distance());
            for power in 1.. {
                let before = losses.last().map_or(0, |last| last.0);
                let after = 10u64.saturating_pow(power).min(generations);
                losses.extend(target.evolve(after - before).into_iter().skip(1).map(|(at, loss)| (before + at, loss)));
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
    observer: &mut RunObserver<'_>,
) -> Result<Option<Evolved>> {
    /// Seconds from one saved state to the next.
    const PAUSE: f64 = 120.0;
    let path = options.states.as_ref().map(|folder| folder.join(name));
    let (inputs, classes) = (data.train.pixels(), data.train.classes());
    let mut network = match &path {
        Some(path) if path.exists() => Network::load(path)?.extended(config)?,
        _ => Network::new(config, inputs, classes)?,
    };
    while !network.finished() {
        let (began, mut stopped) = (Instant::now(), false);
        let flow = network.train(context, &data.train, Some(&data.test), &mut |progress| {
            stopped = observer(progress).is_break();
            let due = path.is_some() && began.elapsed().as_secs_f64() > PAUSE;
            if stopped || due { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if let Some(path) = &path {
            network.save(path)?;
        }
        if flow.is_break() && stopped && !network.finished() {
            return Ok(None);
        }
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
    }))
}

/// Backpropagation on the images the population of this seed sees.
fn baseline(
    context: &mut Context,
    classes: usize,
    seed: u64,
    data: &Split,
    scale: Scale,
    observer: &mut RunObserver<'_>,
) -> Result<Option<Finding>> {
    let [train, test] = [&data.train, &data.test].map(|set| first_classes(set, classes));
    let (train, test) = (output::sample(&train?, Some(200), seed)?, test?);
    let hidden = if scale == Scale::Quick { 300 } else { 1000 };
    let config = backprop::Config {
        seed,
        layers: vec![hidden],
        initial: backprop::Initial::He,
        batch: 50,
        rate: 1e-3,
        epochs: if scale == Scale::Quick { 5 } else { 50 },
        ..backprop::Config::default()
    };
    let mut network = backprop::Network::new(config, train.pixels(), classes)?;
    if network.train(context, &train, Some(&test), observer)?.is_break() {
        return Ok(None);
    }
    let learned = Learned {
        what: "200 images a class",
        hidden: None,
        paper: table_1(classes)[2],
        accuracy: 100.0 * network.accuracy(context, &test)?,
        curve: network.curve().to_vec(),
    };
    Ok(Some(Finding::Learners(vec![learned])))
}

/// The output layers of table 2, on the same hidden units and images.
fn lifetimes(
    context: &mut Context,
    hidden: usize,
    seed: u64,
    data: &Split,
    scale: Scale,
    observer: &mut RunObserver<'_>,
) -> Result<Option<Finding>> {
    let quick = scale == Scale::Quick;
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
            curve_epochs: if hidden > 1000 { 100 } else { 10 },
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
            if network.train_on(context, &sample, monitor, observer)?.is_break() {
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
            learned[*index] = Some(Learned { what, hidden, paper, accuracy: 100.0 * accuracy, curve });
        }
    }
    Ok(Some(Finding::Learners(learned.into_iter().flatten().collect())))
}
