//! Tables 1 and 2 of the paper, its correlation study (figure 5) and its accuracies by meta-step (figure 6).
//!
//! Recipes were chosen on training images kept for it, by which the test images decide nothing; but one choice was made again after
//! a result on the test images was known: how long meta-learning trains a candidate. A run with one epoch had been seen on them; five
//! were then preferred to one on training images alone (`benches/record/amd-epyc-zen5/2026-11-22-hierarchy.md` has both).

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use super::config::{Base, Config, Images, Meta, ReadOut, Rejected, Rule};
use super::images::Prepared;
use super::network::{Network, Reading};
use super::read_out::{Classifier, Samples};
use super::topology::{Named, Topology};
use super::train::{Advance, Material, Session, Task};
use crate::context::Context;
use crate::datasets::Split;
use crate::error::Result;
use crate::random::Stream;
use crate::systems::Progress;
use crate::systems::experiment::{self, Scale, Stage, StageObserver};
use crate::systems::journal::Journal;

pub use super::report::{Measured, Report, Run};

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
    /// Names of the rows to run; empty for all of the tables.
    pub only: Vec<String>,
    /// Whether the topology is measured after every accepted move, for figure 6, and not only in the end.
    pub every_move: bool,
    /// Meta-learning, if another than the recipe's, for all rows that have any.
    pub meta: Option<Meta>,
}

impl Options {
    /// One run of every row at seed 0.
    pub fn new(scale: Scale, images: Images) -> Self {
        Options { scale, images, runs: 1, seed: 0, only: Vec::new(), every_move: true, meta: None }
    }

    /// What a run of this row is trained by.
    fn config(&self, row: &Row, seed: u64) -> Config {
        let recipe = recipe(self.scale, self.images, row, seed);
        let meta = recipe.meta.map(|own| self.meta.clone().unwrap_or(own));
        Config { meta, ..recipe }
    }
}

/// One row of the reproduction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// A short name, unique: `a1`.
    pub name: &'static str,
    /// What is trained, in words.
    pub description: &'static str,
    /// The topology, or what it begins as.
    pub topology: Named,
    /// How the receptive fields learn, if they do.
    pub rule: Option<Rule>,
    /// The paper's test accuracies in per cent, on MNIST and CIFAR-10: means of table 1.
    pub paper: [Option<f64>; 2],
}

impl Row {
    /// Whether it belongs to the paper's tables. Others are run only if they are named.
    pub fn in_tables(&self) -> bool {
        matches!(self.rule, None | Some(Rule::StochasticHillClimbing))
    }
}

/// The rows: table 1, the random topologies of table 2, and those under the other rules of section 2.2.
pub const ROWS: [Row; 9] = [
    row("a1", "A1, flat", Named::A1, [96.4, 31.69]),
    row("a2", "A2, columnar", Named::A2, [94.21, 30.79]),
    row("a3", "A3, pyramidal", Named::A3, [96.6, 32.84]),
    row("ar1", "AR1, random", Named::Ar1, [93.03, 31.97]),
    row("ar2", "AR2, random", Named::Ar2, [93.76, 27.21]),
    row("ar3", "AR3, random", Named::Ar3, [90.28, 29.86]),
    meta("meta", "a random topology for each seed, meta-learned", Rule::StochasticHillClimbing),
    meta("local", "a random topology for each seed, by local search", Rule::LocalSearch),
    meta("random-search", "a random topology for each seed, by random search", Rule::RandomSearch),
];

const fn row(name: &'static str, description: &'static str, topology: Named, paper: [f64; 2]) -> Row {
    Row { name, description, topology, rule: None, paper: [Some(paper[0]), Some(paper[1])] }
}

const fn meta(name: &'static str, description: &'static str, rule: Rule) -> Row {
    Row { name, description, topology: Named::Random, rule: Some(rule), paper: [None, None] }
}

/// Where the recipes depart from the paper, or fill what it leaves open: what a reader of the tables must know.
pub const DEPARTURES: [&str; 8] = [
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
     entropy nor the largest need rise over a run (criterion = \"unit_best\" compares with the highest that unit had). A shift at an edge goes inward.",
    "Table 2's accuracy after meta-learning is that of the best topology as it was trained when it was accepted, under a read-out of its own.",
    "Local search and random search (section 2.2) are the rows local and random-search, trained only if they are named (--only): the paper \
     has no figures for them.",
    "Entropies are in bits.",
];

/// The recipe of a run.
pub fn recipe(scale: Scale, images: Images, row: &Row, seed: u64) -> Config {
    let (base, read_out, meta) = match scale {
        Scale::Full => (Base::default(), ReadOut::default(), Meta::default()),
        // A fortieth of the images: more passes, smaller batches.
        Scale::Quick => (
            Base { epochs: 20, batch: 32, ..Base::default() },
            ReadOut { batch: 32, ..ReadOut::default() },
            Meta { steps: 6, epochs: Some(4), ..Meta::default() },
        ),
    };
    let meta = row.rule.map(|rule| Meta { rule, ..meta });
    Config { seed, images, topology: Topology::Named(row.topology), base, read_out, meta, ..Config::default() }
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
            // An empty list asks for all of the tables.
            let named = |row: &&Row| experiment::wanted(&options.only, row.name);
            let asked = |row: &&Row| named(row) && (row.in_tables() || !options.only.is_empty());
            let rows = ROWS.iter().filter(asked).filter(|row| row.rule.is_some() == meta);
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
    let geometry = recipe(options.scale, options.images, &ROWS[0], 0).geometry()?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(Report { images: options.images, geometry, runs, interrupted, seconds })
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
    let config = options.config(&row, seed);
    let material = Material::new(&config, train.clone())?;
    let mut network = Network::new(config.clone(), options.images.shape()?.pixels(), classes)?;
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
    let entropies = network.entropy_history().map(<[f64]>::to_vec).collect();
    let learning = seconds - measuring;
    Ok(Some(Run { row, seed, config, steps, entropies, accepted, candidates, learning, seconds }))
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
    use crate::systems::Outcome;

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
                    let config = recipe(scale, images, row, 3);
                    config.validate().unwrap();
                    assert_eq!((config.seed, config.meta.is_some()), (3, row.topology == Named::Random));
                    assert_eq!(config.meta.map(|meta| meta.rule), row.rule);
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
            for run in &report.runs {
                let first = run.config.base.epochs;
                assert_eq!(run.entropies.len() as u64, first + 4 * run.candidates, "four epochs a candidate");
                assert_eq!(run.entropies[first as usize - 1], run.first().entropies);
                assert_eq!(run.config, recipe(Scale::Quick, Images::Mnist, &run.row, 3));
            }
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

    #[test]
    fn the_other_rules_are_run_where_they_are_named() {
        let split = embedded();
        let mut context = Context::new().unwrap().with_threads(Threads::always(2).unwrap());
        let meta = |rule| Meta { rule, steps: 2, epochs: Some(1), perturbations: 3, ..Meta::default() };
        for (name, rule) in [("local", Rule::LocalSearch), ("random-search", Rule::RandomSearch)] {
            let options = Options { meta: Some(meta(rule)), ..quick(&[name]) };
            let mut go = |_: &Stage<Row>, _: &Progress<'_>| ControlFlow::Continue(());
            let report = reproduce(&mut context, &split, &options, &mut go).unwrap();
            let [run] = &report.runs[..] else { panic!("{} runs", report.runs.len()) };
            assert_eq!((run.row.name, run.row.rule, run.row.in_tables()), (name, Some(rule), false));
            let outcomes = report.outcomes();
            assert!(outcomes.iter().any(|outcome| outcome.quantity.starts_with("test accuracy after")));
            assert!(outcomes.iter().all(|outcome| outcome.paper.is_none()), "the paper has no figures for them");
        }
        let mut rows = Vec::new();
        let mut stop = |stage: &Stage<Row>, _: &Progress<'_>| {
            rows.push(stage.all);
            ControlFlow::Break(())
        };
        assert!(reproduce(&mut context, &split, &quick(&[]), &mut stop).unwrap().interrupted);
        assert_eq!(rows[0], 7, "those of the tables");
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
