//! Tables 1 and 2 of the paper, its correlation study (figure 5) and its accuracies by meta-step (figure 6).
//!
//! Recipes were chosen on training images kept for it, by which the test images decide nothing; but one choice was made again after
//! a result on the test images was known: how long meta-learning trains a candidate. A run with one epoch had been seen on them; five
//! were then preferred to one on training images alone (`benches/record/amd-epyc-zen5/2026-11-22-hierarchy.md` has both).

use std::path::PathBuf;
use std::time::Instant;

use super::config::{Config, Images, Meta};
use super::run::Bench;
use crate::context::Context;
use crate::datasets::Split;
use crate::error::Result;
use crate::systems::experiment::{self, Ending, Scale, Stage, StageObserver};

pub use super::report::{Measured, Report, Run};
pub use super::rows::{ROWS, Row, recipe};

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
    /// Meta-learning, if another than the recipe's, for all rows that have any; but for its rule, which is each row's own.
    pub meta: Option<Meta>,
    /// A folder where each run saves itself, every few minutes and in the end, and from where it goes on, with the same images: its `hierarchy-images.toml` holds
    /// their digests. None if absent.
    pub states: Option<PathBuf>,
}

impl Options {
    /// One run of every row at seed 0, nothing saved.
    pub fn new(scale: Scale, images: Images) -> Self {
        Options { scale, images, runs: 1, seed: 0, only: Vec::new(), every_move: true, meta: None, states: None }
    }

    /// The file of a run's state, and whether it is there already.
    pub(super) fn state(&self, row: &Row, seed: u64) -> (Option<PathBuf>, bool) {
        experiment::state(self.states.as_deref(), &self.of_set(row.name), seed)
    }

    /// What a name is among the saved, where each set of images has its own.
    fn of_set(&self, name: &str) -> String {
        experiment::of_set(self.images == Images::Cifar10, name)
    }

    /// What a run of this row is trained by.
    pub(super) fn config(&self, row: &Row, seed: u64) -> Config {
        let recipe = recipe(self.scale, self.images, row, seed);
        let meta = recipe.meta.map(|own| match &self.meta {
            Some(given) => Meta { rule: own.rule, ..given.clone() },
            None => own,
        });
        Config { meta, ..recipe }
    }
}

/// Where the recipes depart from the paper, or fill what it leaves open: what a reader of the tables must know.
pub const DEPARTURES: &[&str] = &[
    "Training images are split at random, by the seed, into four fifths to learn from and one fifth for validation (MNIST: 48,000 and 12,000, quick: \
     1,600 and 400); \
     validation stops the read-outs and nothing else.",
    "Weights belong to places within a receptive field and move with it (the authors' code); the masked form of the paper's text is there \
     too (form = \"masked\") and agrees to the bit while the fields stand still, but for A2: where a unit sees a square twice, one indicator \
     holds it once, with 100 inputs for the 200 of the gathered form.",
    "In meta-learning a candidate is trained by algorithm 1, all its epochs, from the best topology's weights, with Adam starting anew; if it is \
     not accepted its training is undone. The paper says neither how long candidates are trained nor what becomes of their weights.",
    "One epoch a candidate was tried first, and its result on the test images seen; that a candidate is trained for all five was then chosen on \
     training images kept for it, without the test images (quick: for four, after twenty of the first training; and there are six meta-steps).",
    "A candidate is accepted if the moved unit's entropy is above that unit's entropy in the best topology so far, as it was when that was \
     accepted; the paper compares it with the candidate before, of whatever unit. Moves of others may have lowered it before: neither a unit's \
     entropy nor the largest need rise over a run (criterion = \"unit_best\" compares with the highest that unit had).",
    "A field is shifted to one of the distinct places that shifts of -1, 0 and 1 on each axis lead to, each as likely as the others, inward at an edge, and      never stays: two shifts drawn by themselves would leave it where it is in a ninth of the candidates, and a field in a corner go along the diagonal more often.",
    "Table 2's accuracy after meta-learning is that of the best topology as it was trained when it was accepted, under a read-out of its own.",
    "Local search and random search (section 2.2) are the rows local and random-search, trained only if they are named (--only): the paper \
     has no figures for them.",
    "Entropies are in bits.",
];

/// Trains every row and measures it on the test images. Runs are independent, and share out the threads of the context.
///
/// The result depends on options and data alone: never on threads, instruction set or interruptions.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) for no runs, an unknown row or images of another kind, and whatever training or a saved state
/// reports before any run is finished: later it is the report's [`Ending`].
pub fn reproduce(
    context: &mut Context,
    data: &Split,
    options: &Options,
    observer: &mut StageObserver<'_, Row>,
) -> Result<Report> {
    let began = Instant::now();
    experiment::check(options.runs, &options.only, ROWS.iter().map(|row| row.name))?;
    // The longest runs come first, so that no thread is left alone with one in the end.
    let mut assignments: Vec<(Row, u64)> = Vec::new();
    for meta in [true, false] {
        for seed in experiment::seeds(options.seed, options.runs) {
            // An empty list asks for all of the tables.
            let named = |row: &&Row| experiment::wanted(&options.only, row.name);
            let asked = |row: &&Row| named(row) && (row.in_tables() || !options.only.is_empty());
            let rows = ROWS.iter().filter(asked).filter(|row| row.rule.is_some() == meta);
            assignments.extend(rows.map(|&row| (row, seed)));
        }
    }
    let bench = Bench::new(context, data, options)?;
    experiment::keep_to_images(options.states.as_deref(), &options.of_set("hierarchy"), data)?;
    let (mut runs, flow) = experiment::side_by_side(
        context,
        assignments.len(),
        |context, task, observer| {
            let (row, seed) = assignments[task];
            bench.run(context, row, seed, observer)
        },
        &mut |task, done, progress| {
            let (row, seed) = assignments[task];
            observer(&Stage { row, seed, done, all: assignments.len() }, progress)
        },
    );
    let ending = Ending::of(flow, runs.len())?;
    runs.sort_by_key(|run| (ROWS.iter().position(|row| row.name == run.row.name), run.seed));
    let geometry = recipe(options.scale, options.images, &ROWS[0], 0).geometry()?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(Report { images: options.images, geometry, runs, ending, seconds })
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::datasets::{Dataset, embedded, few_embedded};
    use crate::error::Error;
    use crate::parallel::Threads;
    use crate::systems::hierarchy::{Named, Network, Rejected, Rule};
    use crate::systems::{Outcome, Progress};

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
        let split = few_embedded(80);
        let reports = [1, 2].map(|threads| {
            let mut context = Context::new().unwrap().with_threads(Threads::always(threads).unwrap());
            reproduce(&mut context, &split, &quick(&["meta", "a2"]), &mut |_, _| ControlFlow::Continue(())).unwrap()
        });
        for report in &reports {
            assert!(report.ending.is_whole() && report.runs.len() == 2 && report.runs[0].row.name == "a2");
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
        let meta = Meta { steps: 2, epochs: Some(1), perturbations: 3, ..Meta::default() };
        for (name, rule) in [("local", Rule::LocalSearch), ("random-search", Rule::RandomSearch)] {
            let options = Options { meta: Some(meta.clone()), ..quick(&[name]) };
            let mut go = |_: &Stage<Row>, _: &Progress<'_>| ControlFlow::Continue(());
            let report = reproduce(&mut context, &split, &options, &mut go).unwrap();
            let [run] = &report.runs[..] else { panic!("{} runs", report.runs.len()) };
            assert_eq!((run.row.name, run.row.rule, run.row.in_tables()), (name, Some(rule), false));
            assert_eq!(run.config.meta, Some(Meta { rule, ..meta.clone() }));
            let outcomes = report.outcomes();
            assert!(outcomes.iter().any(|outcome| outcome.quantity.starts_with("test accuracy after")));
            assert!(outcomes.iter().all(|outcome| outcome.paper.is_none()), "the paper has no figures for them");
        }
        let mut rows = Vec::new();
        let mut stop = |stage: &Stage<Row>, _: &Progress<'_>| {
            rows.push(stage.all);
            ControlFlow::Break(())
        };
        assert!(!reproduce(&mut context, &split, &quick(&[]), &mut stop).unwrap().ending.is_whole());
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
        assert!(matches!(report.ending, Ending::Interrupted));
        assert_eq!(report.runs.iter().map(|run| run.row.name).collect::<Vec<_>>(), ["a2"]);
    }

    #[test]
    fn interrupted_runs_go_on_where_they_stopped() {
        let mut context = Context::new().unwrap().with_threads(Threads::ONE);
        let split = few_embedded(40);
        let mut reproduce = |options: &Options, stop: usize| {
            let mut seen = 0;
            let report = super::reproduce(&mut context, &split, options, &mut |_, _| {
                seen += 1;
                if seen == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            (report, seen)
        };
        let mut unmoved = 0;
        for (rejected, every_move) in
            [(Rejected::Undone, true), (Rejected::KeepsWeights, true), (Rejected::Undone, false)]
        {
            let folder = tempfile::tempdir().unwrap();
            let meta = Meta { steps: 8, perturbations: 1, epochs: Some(1), rejected, ..Meta::default() };
            let whole = Options { meta: Some(meta), every_move, ..quick(&["meta"]) };
            let saving = Options { states: Some(folder.path().to_owned()), ..whole.clone() };
            let (straight, observed) = reproduce(&whole, usize::MAX);
            let straight = straight.unwrap().runs.remove(0);
            let (state, early) = (folder.path().join("meta-seed-3.safetensors"), folder.path().join("early"));
            // In an epoch, in a read-out, and wherever it falls.
            let mut interruptions = 0;
            let (report, seen) = loop {
                let (report, seen) = reproduce(&saving, observed / 8 + 2 * interruptions);
                let report = report.unwrap();
                if report.ending.is_whole() {
                    break (report, seen);
                }
                if interruptions == 0 {
                    std::fs::copy(&state, &early).unwrap();
                }
                interruptions += 1;
            };
            assert!(interruptions > 3 && seen < observed / 2, "{interruptions} interruptions, {seen} of {observed}");
            let [run] = &report.runs[..] else { panic!("{} runs", report.runs.len()) };
            assert_eq!((&run.steps, &run.entropies), (&straight.steps, &straight.entropies));
            assert_eq!((run.accepted, run.candidates), (straight.accepted, straight.candidates));
            assert!(run.seconds > run.learning && run.learning > 0.0);
            // Each topology stands at the meta-step that led to it, the last one too.
            let moves = Network::load(&state).unwrap().moves().map(|made| made.step + 1).collect::<Vec<_>>();
            let steps: Vec<u64> = run.steps[1..].iter().map(|step| step.meta_step).collect();
            let expected = if every_move { &moves[..] } else { &moves[moves.len().saturating_sub(1)..] };
            assert_eq!((run.first().meta_step, &steps[..]), (0, expected));
            unmoved += usize::from(moves.last() < Some(&8));
            // What is finished is read, trained no more, and left as it is.
            let record = std::fs::read(state.with_extension("toml")).unwrap();
            let (again, seen) = reproduce(&saving, 1);
            let again = again.unwrap().runs.remove(0);
            assert_eq!((seen, &again.steps, again.seconds), (0, &straight.steps, run.seconds));
            assert_eq!(std::fs::read(state.with_extension("toml")).unwrap(), record);
            // The process ended between a record and its network: the network is one of before.
            std::fs::rename(early, state).unwrap();
            let (again, seen) = reproduce(&saving, usize::MAX);
            assert!(seen > 0);
            assert_eq!(again.unwrap().runs[0].steps, straight.steps);
        }
        assert!(unmoved > 0, "a run whose last step accepts nothing");
    }

    #[test]
    fn test_images_of_other_classes_are_refused() {
        let (mut context, split) = (Context::new().unwrap(), embedded());
        let images: Vec<u8> = (0..split.test.len()).flat_map(|index| split.test.image(index).to_vec()).collect();
        let test = Dataset::new(images, split.test.labels().to_vec(), split.test.shape(), 11).unwrap();
        let split = Split { test, ..split };
        let error =
            reproduce(&mut context, &split, &quick(&["a2"]), &mut |_, _| ControlFlow::Continue(())).unwrap_err();
        assert!(error.to_string().contains("classes: expected 10"), "{error}");
    }

    #[test]
    fn states_of_other_runs_are_refused() {
        let (mut context, split) = (Context::new().unwrap(), embedded());
        let folder = tempfile::tempdir().unwrap();
        let saving = Options { states: Some(folder.path().to_owned()), ..quick(&["a2"]) };
        let mut reproduce = |options: &Options, split: &Split| {
            super::reproduce(&mut context, split, options, &mut |_, _| ControlFlow::Continue(()))
        };
        reproduce(&saving, &split).unwrap();
        let file = |seed, kind| folder.path().join(format!("a2-seed-{seed}.{kind}"));
        let mut refused = |options: &Options, split: &Split, words: &str| {
            let error = reproduce(options, split).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        let (train, test) = (split.test.clone(), split.train.clone());
        refused(&saving, &Split { train, ..split.clone() }, "move the folder away or use the same, found others");
        refused(&saving, &Split { test, ..split.clone() }, "found other test images");
        refused(&Options { every_move: false, ..saving.clone() }, &split, "a2-seed-3.toml; move it away");
        for kind in ["safetensors", "toml"] {
            std::fs::copy(file(3, kind), file(4, kind)).unwrap();
        }
        refused(&Options { seed: 4, ..saving.clone() }, &split, "a2-seed-4.safetensors; move it away");
        let record = std::fs::read_to_string(file(3, "toml")).unwrap();
        for (from, to, words) in [
            ("seconds", "second", "unknown field"),
            ("accuracy = ", "accuracy = \"\" # ", "invalid type"),
            ("entropies = [", "entropies = [1.0, ", "entropies and fields of 3 units"),
            ("activity = [", "activity = [1.0, ", "a map of 800 cells"),
            ("end = ", "end = 9", "receptive fields"),
        ] {
            assert!(record.contains(from), "{from}");
            std::fs::write(file(3, "toml"), record.replace(from, to)).unwrap();
            refused(&saving, &split, "a2-seed-3.toml");
            refused(&saving, &split, words);
        }
        // Three topologies of 800 cells at most, 64 bytes for each.
        std::fs::write(file(3, "toml"), format!("{record}\n#{}", "-".repeat(200_000))).unwrap();
        refused(&saving, &split, "a2-seed-3.toml, byte 0: expected at most 175680 bytes, found 2");
        std::fs::remove_file(file(3, "toml")).unwrap();
        refused(&saving, &split, "a2-seed-3.toml");
        std::fs::create_dir(file(3, "toml")).unwrap();
        refused(&saving, &split, "a2-seed-3.toml: cannot open: it is a folder");
        #[cfg(unix)]
        {
            std::fs::remove_dir(file(3, "toml")).unwrap();
            std::os::unix::fs::symlink("/dev/null", file(3, "toml")).unwrap();
            refused(&saving, &split, "a2-seed-3.toml: cannot open: it is not a regular file");
            std::fs::remove_file(file(3, "toml")).unwrap();
            std::fs::write(file(3, "toml"), format!("{record}\n#{}", "-".repeat(100_000))).unwrap();
            assert!(reproduce(&saving, &split).unwrap().ending.is_whole());
        }
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
