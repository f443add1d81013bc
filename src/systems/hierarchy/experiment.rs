//! Tables 1 and 2 of the paper, its correlation study (figure 5) and its accuracies by meta-step (figure 6).
//!
//! Recipes were chosen on training images kept for it, by which the test images decide nothing; but one choice was made again after
//! a result on the test images was known: how long meta-learning trains a candidate. A run with one epoch had been seen on them; five
//! were then preferred to one on training images alone (`benches/record/amd-epyc-zen5/2026-11-22-hierarchy.md` has both).

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use super::config::{Base, Config, Images, Meta, ReadOut, Rejected};
use super::images::Prepared;
use super::network::{Network, Reading};
use super::read_out::{Classifier, Samples};
use super::topology::{Named, Topology};
use super::train::{Advance, Material, Session, Task, median};
use crate::analysis::{Alternative, Wilcoxon, pearson, wilcoxon};
use crate::context::Context;
use crate::datasets::Split;
use crate::error::Result;
use crate::kernels::masked::Rectangle;
use crate::random::Stream;
use crate::systems::experiment::{self, Scale, Stage, StageObserver};
use crate::systems::journal::Journal;
use crate::systems::{Better, Outcome, Progress};

/// What to reproduce.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much is trained.
    pub scale: Scale,
    /// On which images.
    pub images: Images,
    /// Runs of each row, with seeds `seed`, `seed + 1`, ... (streams are hashed: neighbouring seeds share nothing).
    pub runs: usize,
    /// The first run's seed.
    pub seed: u64,
    /// Names of the rows to run; empty for all.
    pub only: Vec<String>,
    /// Whether the topology is measured after every accepted move, for figure 6, and not only in the end.
    pub every_move: bool,
    /// Meta-learning, if another than the recipe's.
    pub meta: Option<Meta>,
}

impl Options {
    /// One run of every row at seed 0.
    pub fn new(scale: Scale, images: Images) -> Self {
        Options { scale, images, runs: 1, seed: 0, only: Vec::new(), every_move: true, meta: None }
    }
}

/// One row of the reproduction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// A short name, unique: `a1`.
    pub name: &'static str,
    /// What is trained, in words.
    pub description: &'static str,
    /// The topology.
    pub topology: Named,
    /// The paper's test accuracies in per cent, on MNIST and CIFAR-10: means of table 1.
    pub paper: [Option<f64>; 2],
}

/// The rows: table 1, then the random topologies of table 2.
pub const ROWS: [Row; 7] = [
    row("a1", "A1, flat", Named::A1, Some([96.4, 31.69])),
    row("a2", "A2, columnar", Named::A2, Some([94.21, 30.79])),
    row("a3", "A3, pyramidal", Named::A3, Some([96.6, 32.84])),
    row("ar1", "AR1, random", Named::Ar1, Some([93.03, 31.97])),
    row("ar2", "AR2, random", Named::Ar2, Some([93.76, 27.21])),
    row("ar3", "AR3, random", Named::Ar3, Some([90.28, 29.86])),
    row("meta", "a random topology for each seed, meta-learned", Named::Random, None),
];

const fn row(name: &'static str, description: &'static str, topology: Named, paper: Option<[f64; 2]>) -> Row {
    let paper = match paper {
        Some([mnist, cifar]) => [Some(mnist), Some(cifar)],
        None => [None, None],
    };
    Row { name, description, topology, paper }
}

/// Table 2 and the correlations, on MNIST and CIFAR-10: medians before and after, the highest accuracy, p, r.
const TABLE_2: [[f64; 5]; 2] = [[91.24, 92.40, 96.22, 0.009, 0.75], [33.12, 32.46, 35.02, 0.869, 0.48]];

/// Where the recipes depart from the paper, or fill what it leaves open: what a reader of the tables must know.
pub const DEPARTURES: [&str; 7] = [
    "Training images are split at random, by the seed, into four fifths to learn from and one fifth for validation (MNIST: 48,000 and 12,000); \
     validation stops the read-outs and nothing else.",
    "Weights belong to places within a receptive field and move with it (the authors' code); the masked form of the paper's text is there \
     too (form = \"masked\") and agrees to the bit while the fields stand still.",
    "In meta-learning a candidate is trained by algorithm 1, all its epochs, from the best topology's weights, with Adam starting anew; if it is \
     not accepted its training is undone. The paper says neither how long candidates are trained nor what becomes of their weights.",
    "One epoch a candidate was tried first, and its result on the test images seen; that a candidate is trained for all five was then chosen on \
     training images kept for it, without the test images.",
    "A candidate is accepted if the moved unit's entropy is above that unit's entropy in the best topology so far, as it was when that was \
     accepted; the paper compares it with the candidate before, of whatever unit. Moves of others may have lowered it before: neither a unit's \
     entropy nor the largest need rise over a run. A shift at an edge goes inward.",
    "Table 2's accuracy after meta-learning is that of the best topology as it was trained when it was accepted, under a read-out of its own.",
    "Entropies are in bits.",
];

/// A trained topology, measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Meta-steps done.
    pub meta_step: u64,
    /// Test accuracy in per cent with the hidden-layer read-out.
    pub accuracy: f64,
    /// Test images that are classified correctly: the accuracy as a whole number.
    pub correct: usize,
    /// Test accuracy in per cent with multinomial logistic regression: of the first and the last topology of a run.
    pub logistic: Option<f64>,
    /// Accuracy in per cent on the validation images, with the hidden-layer read-out.
    pub validation: f64,
    /// Entropy of each unit in bits.
    pub entropies: Vec<f64>,
    /// Each unit's receptive field.
    pub fields: Vec<Vec<Rectangle>>,
    /// The feature map of the first test image, row by row, without dropout.
    pub activity: Vec<f32>,
}

impl Measured {
    /// The largest entropy of a unit; NaN if one is.
    pub fn largest_entropy(&self) -> f64 {
        largest(&self.entropies)
    }
}

/// The largest of values of zero or more; NaN if one is.
fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest: f64, &value| if largest.is_nan() || largest > value { largest } else { value })
}

/// One run of a row.
#[derive(Clone, Debug)]
pub struct Run {
    /// The row.
    pub row: Row,
    /// The seed.
    pub seed: u64,
    /// The topology after the first training, then after every move that was accepted, or after the last alone if moves are
    /// not measured each. Never empty.
    pub steps: Vec<Measured>,
    /// Moves that were accepted.
    pub accepted: u64,
    /// Candidates that were trained.
    pub candidates: u64,
    /// Time of the base learning, read-outs apart.
    pub learning: f64,
    /// Time of the run.
    pub seconds: f64,
}

impl Run {
    /// The topology as it was at first.
    pub fn first(&self) -> &Measured {
        &self.steps[0]
    }

    /// The topology in the end.
    pub fn last(&self) -> &Measured {
        &self.steps[self.steps.len() - 1]
    }
}

/// A finished, or interrupted, reproduction.
#[derive(Clone, Debug)]
pub struct Report {
    /// The images.
    pub images: Images,
    /// Rows and columns of the feature map.
    pub map: [usize; 2],
    /// Every finished run, by row and then by seed.
    pub runs: Vec<Run>,
    /// Whether the observer ended it early.
    pub interrupted: bool,
    /// Time of it all.
    pub seconds: f64,
}

impl Report {
    /// Runs of a row.
    pub fn of<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = &'a Run> {
        self.runs.iter().filter(move |run| run.row.name == row.name)
    }

    /// The tables.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let which = usize::from(self.images == Images::Cifar10);
        let set = ["MNIST", "CIFAR-10"][which];
        let mut outcomes = Vec::new();
        for row in &ROWS {
            let runs: Vec<&Run> = self.of(row).collect();
            if runs.is_empty() {
                continue;
            }
            let seconds = runs.iter().map(|run| run.seconds).sum();
            let experiment = format!("{set}: {}", row.description);
            let of = |figure: fn(&Measured) -> f64| runs.iter().map(|run| figure(run.last())).collect::<Vec<_>>();
            let mut add = |quantity: &str, better, paper, figures| {
                outcomes.push(Outcome::new("hierarchy", experiment.clone(), quantity, better, paper, figures, seconds));
            };
            if row.topology != Named::Random {
                add("test accuracy, %", Better::More, row.paper[which], of(|m| m.accuracy));
                add("the same, logistic regression", Better::More, None, of(|m| m.logistic.unwrap_or(f64::NAN)));
                add("largest entropy, bits", Better::Nearer, None, of(Measured::largest_entropy));
                continue;
            }
            let [before, after, highest, p, _] = TABLE_2[which].map(Some);
            let first: Vec<f64> = runs.iter().map(|run| run.first().accuracy).collect();
            let last = of(|m| m.accuracy);
            add("test accuracy before, %, median", Better::More, before, first.clone());
            add("test accuracy after, %, median", Better::More, after, last.clone());
            let middle = outcomes.len() - 2;
            outcomes[middle].ours = median(&first);
            outcomes[middle + 1].ours = median(&last);
            let mut add = |quantity: &str, better, paper, figures| {
                outcomes.push(Outcome::new("hierarchy", experiment.clone(), quantity, better, paper, figures, seconds));
            };
            add("highest test accuracy after, %", Better::More, highest, vec![largest(&last)]);
            // Percentages that look equal may differ in their last bit: counts tie where they should.
            let difference = runs.iter().map(|run| run.last().correct as f64 - run.first().correct as f64);
            let difference: Vec<f64> = difference.collect();
            if let Some(found) = significance(&difference) {
                add("Wilcoxon signed-rank p, one-sided", Better::Less, p, vec![found]);
            }
            add("accepted moves", Better::Nearer, None, runs.iter().map(|run| run.accepted as f64).collect());
            for (quantity, of) in [
                ("logistic regression before, %, median", Run::first as fn(&Run) -> &Measured),
                ("logistic regression after, %, median", Run::last),
            ] {
                let figures: Vec<f64> = runs.iter().map(|run| of(run).logistic.unwrap_or(f64::NAN)).collect();
                let middle = median(&figures);
                let outcome =
                    Outcome::new("hierarchy", experiment.clone(), quantity, Better::More, None, figures, seconds);
                outcomes.push(Outcome { ours: middle, ..outcome });
            }
        }
        let fixed: Vec<&Measured> =
            self.runs.iter().filter(|run| run.row.topology != Named::Random).map(Run::last).collect();
        let all: Vec<&Measured> = self
            .runs
            .iter()
            .flat_map(|run| if run.accepted > 0 { vec![run.first(), run.last()] } else { vec![run.last()] })
            .collect();
        for (what, networks) in [("table 1", fixed), ("both tables", all)] {
            if let Some(r) = correlation(&networks) {
                let paper = (what == "table 1").then_some(TABLE_2[which][4]);
                let experiment = format!("{set}: largest entropy and accuracy, networks of {what}");
                outcomes.push(Outcome::new("hierarchy", experiment, "Pearson r", Better::Nearer, paper, vec![r], 0.0));
            }
        }
        outcomes
    }
}

/// One-sided p of the differences being above zero, where it is defined.
fn significance(differences: &[f64]) -> Option<f64> {
    let test = Wilcoxon { alternative: Alternative::Greater, ..Wilcoxon::default() };
    wilcoxon(differences, &test).ok().filter(|test| test.n > 0).map(|test| test.p)
}

/// r between the largest entropy and the accuracy, where it is defined.
fn correlation(networks: &[&Measured]) -> Option<f64> {
    let x: Vec<f64> = networks.iter().map(|m| m.largest_entropy()).collect();
    let y: Vec<f64> = networks.iter().map(|m| m.accuracy).collect();
    pearson(&x, &y).ok().map(|found| found.r).filter(|r| r.is_finite())
}

/// The recipe of a run.
pub fn recipe(scale: Scale, images: Images, topology: Named, seed: u64) -> Config {
    let (base, read_out, meta) = match scale {
        Scale::Full => (Base::default(), ReadOut::default(), Meta::default()),
        // A fortieth of the images: more passes, smaller batches.
        Scale::Quick => (
            Base { epochs: 20, batch: 32, ..Base::default() },
            ReadOut { batch: 32, ..ReadOut::default() },
            Meta { steps: 6, epochs: Some(4), ..Meta::default() },
        ),
    };
    let meta = (topology == Named::Random).then_some(meta);
    Config { seed, images, topology: Topology::Named(topology), base, read_out, meta, ..Config::default() }
}

/// One run to do.
#[derive(Clone, Copy)]
struct Assignment {
    row: Row,
    seed: u64,
}

/// Trains every row and measures it on the test images. Runs are independent: each thread of the context does one at a
/// time, on its own.
///
/// The result depends on options and data alone: never on threads, instruction set or interruptions of others.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) for no runs, an unknown row or images of another kind, and whatever training reports.
pub fn reproduce(
    context: &mut Context,
    data: &Split,
    options: &Options,
    observer: &mut StageObserver<'_, Row>,
) -> Result<Report> {
    let began = Instant::now();
    experiment::check(options.runs, &options.only, ROWS.iter().map(|row| row.name))?;
    // The longest runs come first, so that no thread is left alone with one in the end.
    let mut assignments = Vec::new();
    for meta in [true, false] {
        for seed in experiment::seeds(options.seed, options.runs) {
            let asked = |row: &&Row| experiment::wanted(&options.only, row.name);
            let rows = ROWS.iter().filter(asked).filter(|row| (row.topology == Named::Random) == meta);
            assignments.extend(rows.map(|&row| Assignment { row, seed }));
        }
    }
    let train = Arc::new(Prepared::new(context, options.images, &data.train)?);
    let test = Prepared::new(context, options.images, &data.test)?;
    let classes = data.train.classes();

    let task = |context: &mut Context, task: usize, report: &mut dyn FnMut(&Progress<'_>) -> ControlFlow<()>| {
        run(context, assignments[task], options, &train, &test, classes, report)
    };
    let finished = experiment::side_by_side(context, assignments.len(), task, &mut |task, done, progress| {
        let Assignment { row, seed } = assignments[task];
        observer(&Stage { row, seed, done, all: assignments.len() }, progress)
    })?;
    let interrupted = finished.iter().any(Option::is_none);
    let mut runs: Vec<Run> = finished.into_iter().flatten().collect();
    runs.sort_by_key(|run| (ROWS.iter().position(|row| row.name == run.row.name), run.seed));
    let map = recipe(options.scale, options.images, Named::A1, 0).geometry()?.map();
    let seconds = began.elapsed().as_secs_f64();
    Ok(Report { images: options.images, map: [map.rows, map.cols], runs, interrupted, seconds })
}

/// One run, or none if it was stopped.
fn run(
    context: &mut Context,
    assignment: Assignment,
    options: &Options,
    train: &Arc<Prepared>,
    test: &Prepared,
    classes: usize,
    observer: &mut dyn FnMut(&Progress<'_>) -> ControlFlow<()>,
) -> Result<Option<Run>> {
    let Assignment { row, seed } = assignment;
    let began = Instant::now();
    let mut config = recipe(options.scale, options.images, row.topology, seed);
    if config.meta.is_some() && options.meta.is_some() {
        config.meta = options.meta.clone();
    }
    let material = Material::new(&config, train.clone())?;
    let mut network = Network::new(config, options.images.shape()?.pixels(), classes)?;
    let mut session = Session::new(&network, &material)?;
    let mut steps: Vec<Measured> = Vec::new();
    let (mut candidates, mut accepted, mut measuring) = (0, 0, 0.0);
    let keeps_weights = network.config().meta.as_ref().is_some_and(|meta| meta.rejected == Rejected::KeepsWeights);
    // Whether the last step measured is of the network as it is now.
    let mut measured = false;
    loop {
        let advance = match network.advance(context, &mut session, observer)? {
            ControlFlow::Break(()) => return Ok(None),
            ControlFlow::Continue(advance) => advance,
        };
        let start = Instant::now();
        match advance {
            Advance::Epoch => continue,
            Advance::First => (),
            Advance::Candidate { accepted: false } => {
                candidates += 1;
                // What a candidate leaves behind may be its weights.
                measured &= !keeps_weights;
                continue;
            }
            Advance::Candidate { accepted: true } => {
                (candidates, accepted, measured) = (candidates + 1, accepted + 1, false);
                if !options.every_move {
                    continue;
                }
            }
            Advance::Done => {
                // The latents of the last topology are classified by both read-outs, as those of the first: what is missing is trained.
                if measured && let Some(last) = steps.last_mut() {
                    if last.logistic.is_none() {
                        let Some([found]) = classify(context, &network, &material, test, [0], observer)? else {
                            return Ok(None);
                        };
                        last.logistic = Some(found.test());
                    }
                    last.meta_step = network.meta_steps;
                } else {
                    let Some(whole) = measure(context, &network, &material, test, true, observer)? else {
                        return Ok(None);
                    };
                    // Of the same topology with other weights; the first stays in any case.
                    if options.every_move && steps.len() > 1 {
                        steps.pop();
                    }
                    steps.push(whole);
                }
                measuring += start.elapsed().as_secs_f64();
                break;
            }
        }
        let both = advance == Advance::First;
        let Some(found) = measure(context, &network, &material, test, both, observer)? else { return Ok(None) };
        steps.push(found);
        measured = true;
        measuring += start.elapsed().as_secs_f64();
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(Some(Run { row, seed, steps, accepted, candidates, learning: seconds - measuring, seconds }))
}

/// Trains the hidden-layer read-out on a network's latents, or that and the logistic regression, and tests them.
fn measure(
    context: &mut Context,
    network: &Network,
    material: &Material,
    test: &Prepared,
    both: bool,
    observer: &mut dyn FnMut(&Progress<'_>) -> ControlFlow<()>,
) -> Result<Option<Measured>> {
    let hidden = network.config().read_out.hidden;
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
        meta_step: network.meta_steps,
        accuracy: own.test(),
        correct: (own.shares[0] * test.len() as f64).round() as usize,
        validation: 100.0 * own.shares[1],
        logistic,
        entropies: network.entropies().to_vec(),
        fields: network.fields().iter().map(|field| field.rectangles().to_vec()).collect(),
        activity: activity.as_slice().to_vec(),
    }))
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
    observer: &mut dyn FnMut(&Progress<'_>) -> ControlFlow<()>,
) -> Result<Option<[Shares; N]>> {
    let images = &material.images;
    let labels = |indices: &[u32]| indices.iter().map(|&i| images.labels()[i as usize]).collect::<Vec<u8>>();
    let all: Vec<u32> = (0..test.len() as u32).collect();
    let latents = network.latents(context, images, &material.train);
    let validation_latents = network.latents(context, images, &material.validation);
    let test_latents = network.latents(context, test, &all);
    let (train_labels, validation_labels) = (labels(&material.train), labels(&material.validation));
    let train = Samples { latents: latents.view(), labels: &train_labels };
    let validation = Samples { latents: validation_latents.view(), labels: &validation_labels };
    let test_samples = Samples { latents: test_latents.view(), labels: test.labels() };
    let config = network.config();
    let mut found = [Shares::default(); N];
    for (found, hidden) in found.iter_mut().zip(hidden) {
        let config = ReadOut { hidden, ..config.read_out.clone() };
        let seed = network.config().seed;
        let weights = Stream::new(seed, "hierarchy read-out weights");
        let classifier = Classifier::new(&config, latents.cols(), network.classes, weights);
        let stream = Stream::new(seed, "hierarchy read-out batches");
        let task = Task { config: &config, train, validation, monitor: None, stream };
        let mut reading = Reading::new(classifier);
        if reading.train(context, &task, &mut Journal::default(), observer)?.is_break() {
            return Ok(None);
        }
        found.shares = [test_samples, validation].map(|samples| reading.best.evaluate(context, samples).1);
    }
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasets::embedded;
    use crate::error::Error;
    use crate::parallel::Threads;

    fn quick(only: &[&str]) -> Options {
        let only = only.iter().map(|&name| name.to_owned()).collect();
        Options { seed: 3, only, ..Options::new(Scale::Quick, Images::Mnist) }
    }

    fn figure(report: &Report, experiment: &str, quantity: &str) -> Option<f64> {
        let of = |outcome: &&Outcome| outcome.experiment.contains(experiment) && outcome.quantity == quantity;
        report.outcomes().iter().find(of).map(|outcome| outcome.ours)
    }

    #[test]
    fn recipes_are_valid_and_name_their_seed() {
        for (index, row) in ROWS.iter().enumerate() {
            assert!(ROWS[..index].iter().all(|other| other.name != row.name));
            for scale in [Scale::Quick, Scale::Full] {
                for images in [Images::Mnist, Images::Cifar10] {
                    let config = recipe(scale, images, row.topology, 3);
                    config.validate().unwrap();
                    assert_eq!((config.seed, config.meta.is_some()), (3, row.topology == Named::Random));
                }
            }
        }
    }

    #[test]
    fn tables_hold_what_was_trained_whatever_the_threads() {
        let split = embedded();
        let reports = [1, 2].map(|threads| {
            let mut context = Context::new().unwrap().with_threads(Threads::always(threads).unwrap());
            reproduce(&mut context, &split, &quick(&["meta", "a2"]), &mut |_, _| ControlFlow::Continue(())).unwrap()
        });
        for report in &reports {
            assert!(!report.interrupted && report.runs.len() == 2 && report.runs[0].row.name == "a2");
            assert!(figure(report, "columnar", "test accuracy, %").unwrap() > 75.0);
            assert!(figure(report, "columnar", "largest entropy, bits").unwrap() > 1.0);
            let meta = &report.runs[1];
            assert_eq!(meta.accepted, meta.steps.len() as u64 - 1);
            assert_eq!(figure(report, "meta-learned", "accepted moves"), Some(meta.accepted as f64));
            for (quantity, measured) in [
                ("logistic regression before, %, median", meta.first()),
                ("logistic regression after, %, median", meta.last()),
            ] {
                assert_eq!(figure(report, "meta-learned", quantity), measured.logistic);
                assert!(measured.logistic.is_some());
            }
            assert_eq!(figure(report, "meta-learned", "test accuracy before, %, median"), Some(meta.first().accuracy));
            assert_eq!(figure(report, "meta-learned", "test accuracy after, %, median"), Some(meta.last().accuracy));
            // A move raises the entropy of the unit that moved; that of the others, and with it the largest, may fall.
            assert!(meta.accepted > 0);
            for pair in meta.steps.windows(2) {
                let moved: Vec<usize> = (0..3).filter(|&unit| pair[0].fields[unit] != pair[1].fields[unit]).collect();
                let [unit] = moved[..] else { panic!("{moved:?} moved") };
                assert!(pair[1].entropies[unit] > pair[0].entropies[unit]);
            }
        }
        // The last topology is then measured as a whole, where here its logistic regression alone was left to train.
        let options = Options { every_move: false, ..quick(&["meta"]) };
        let mut context = Context::new().unwrap().with_threads(Threads::ONE);
        let ends = reproduce(&mut context, &split, &options, &mut |_, _| ControlFlow::Continue(())).unwrap();
        let (meta, all) = (&ends.runs[0], &reports[0].runs[1]);
        assert_eq!((meta.first(), meta.last(), meta.steps.len()), (all.first(), all.last(), 2));
        assert_eq!((meta.accepted, meta.candidates), (all.accepted, all.candidates));
        assert_eq!(figure(&ends, "meta-learned", "accepted moves"), Some(all.accepted as f64));
        for (one, two) in reports[0].runs.iter().zip(&reports[1].runs) {
            assert_eq!(one.steps, two.steps);
        }
    }

    /// A topology that classifies so many of 1000 images.
    fn measured(correct: usize, entropies: &[f64]) -> Measured {
        Measured {
            meta_step: 0,
            accuracy: 100.0 * (correct as f64 / 1000.0),
            correct,
            logistic: Some(50.0),
            validation: 50.0,
            entropies: entropies.to_vec(),
            fields: Vec::new(),
            activity: Vec::new(),
        }
    }

    fn report(runs: Vec<(u64, Vec<Measured>)>) -> Report {
        let run = |(seed, (accepted, steps))| Run {
            row: ROWS[6],
            seed,
            steps,
            accepted,
            candidates: 9,
            learning: 0.0,
            seconds: 0.0,
        };
        let runs = (0..).zip(runs).map(run).collect();
        Report { images: Images::Mnist, map: [20, 40], runs, interrupted: false, seconds: 0.0 }
    }

    #[test]
    fn ranks_are_those_of_counts() {
        let pairs = [(657, 660), (860, 863), (934, 937), (814, 811)];
        let magnitudes =
            pairs.map(|(before, after)| (measured(after, &[1.0]).accuracy - measured(before, &[1.0]).accuracy).abs());
        assert!(
            magnitudes[..3].iter().all(|other| *other > magnitudes[3]),
            "percentages would not tie: {magnitudes:?}"
        );
        let runs = pairs.map(|(before, after)| (1, vec![measured(before, &[1.0]), measured(after, &[2.0])]));
        // Four differences of one magnitude, one of them negative: 5 of 16 signings are as extreme.
        assert_eq!(figure(&report(runs.to_vec()), "meta", "Wilcoxon signed-rank p, one-sided"), Some(5.0 / 16.0));
    }

    #[test]
    fn moves_that_were_not_measured_count() {
        let ends = |accepted| (accepted, vec![measured(900, &[1.0]), measured(901 + accepted as usize, &[2.0])]);
        let report = report(vec![ends(3), ends(5), (0, vec![measured(800, &[1.5])])]);
        assert_eq!(figure(&report, "meta", "accepted moves"), Some(8.0 / 3.0));
        let r = figure(&report, "both tables", "Pearson r").unwrap();
        let x = [1.0, 2.0, 1.0, 2.0, 1.5];
        assert!((r - pearson(&x, &[90.0, 90.4, 90.0, 90.6, 80.0]).unwrap().r).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_number_stays_visible() {
        for entropies in [[1.0, f64::NAN, 2.0], [f64::NAN, 1.0, 2.0], [1.0, 2.0, f64::NAN]] {
            assert!(measured(1, &entropies).largest_entropy().is_nan());
        }
        assert_eq!(measured(1, &[1.0, 3.0, 2.0]).largest_entropy(), 3.0);
    }

    #[test]
    fn interruption_keeps_what_was_finished() {
        let mut context = Context::new().unwrap().with_threads(Threads::ONE);
        let report =
            reproduce(&mut context, &embedded(), &quick(&["a2", "a3"]), &mut |stage, _| match stage.row.name {
                "a2" => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            });
        let report = report.unwrap();
        assert!(report.interrupted);
        assert_eq!(report.runs.iter().map(|run| run.row.name).collect::<Vec<_>>(), ["a2"]);
    }

    #[test]
    fn unknown_rows_no_runs_and_other_images_are_refused() {
        let (mut context, split) = (Context::new().unwrap(), embedded());
        for options in
            [quick(&["a4"]), Options { runs: 0, ..quick(&[]) }, Options { images: Images::Cifar10, ..quick(&["a1"]) }]
        {
            let error = reproduce(&mut context, &split, &options, &mut |_, _| ControlFlow::Continue(())).unwrap_err();
            assert!(matches!(error, Error::Setting { .. }), "{error}");
        }
    }
}
