//! The paper's experiments: addition, and MNIST at 15 x 15, with what is measured on the organisms that come of them.
//!
//! Settings are the paper's and the authors', but for the batch on images, which was chosen on held-out training images; nothing was chosen on the
//! test images.

use std::ops::ControlFlow;
use std::time::Instant;

use super::addition::{self, Addition, Resubstitution};
use super::body::PlainNetwork;
use super::config::{Between, Config};
use super::network::{Epoch, Network};
use super::robustness::{Robustness, robustness};
use crate::context::Context;
use crate::datasets::Split;
use crate::error::Result;
use crate::kernels::particle::Class;
use crate::matrix::Matrix;
use crate::random::Stream;
use crate::systems::experiment::{Scale, check, seeds, wanted};
use crate::systems::{Better, Observer, Outcome, Progress};

/// Names of the experiments.
pub const ROWS: [&str; 3] = ["addition", "images", "images-linear"];

/// Where the training departs from the paper.
pub const DEPARTURES: [&str; 4] = [
    "The paper's text has two hidden layers of five cells in its figures and three in one sentence; these have two, as the authors' \
     code.",
    "Linear particles are evaluated through the one weight they stand for, and the row of five numbers they are; rounding apart, \
     that is the same gradient.",
    "Momentum of self-replication restarts with each turn, as in the authors' code. Between layers the paper has GELU and the \
     authors' code nothing: both are trained.",
    "Images come in batches of 500. With the paper's 2000 an organism has not finished learning after 200 epochs: on held-out training images \
     84 to 86 % are right with GELU, 87 to 88 % without, in batches of 500 88 and 89.6 %. The ratio of the two kinds of steps is the paper's.",
];

/// Most steps of self-application.
const LIMIT: u32 = 200;
/// Epochs from one point of a trajectory to the next.
const TRAJECTORY: usize = 5;
/// The least magnitude whose logarithm is reported: what `f64` resolves beside numbers of about one.
const FLOOR: f64 = 1e-16;
/// Trajectories of each group that are kept.
const TRACED: usize = 8;

/// What to reproduce.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much is trained.
    pub scale: Scale,
    /// Runs of each experiment, with seeds `seed`, `seed + 1`, ...
    pub runs: usize,
    /// The first run's seed.
    pub seed: u64,
    /// Names of the experiments to run; empty for all.
    pub only: Vec<String>,
}

/// An organism that learned to add.
#[derive(Clone, Debug)]
pub struct AdditionRun {
    /// Its seed.
    pub seed: u64,
    /// Where it stood before training and after each epoch.
    pub epochs: Vec<addition::Epoch>,
    /// What changes when its particles become plain weights.
    pub resubstitution: Resubstitution,
    /// Self-replicators under noise.
    pub robustness: Vec<Robustness>,
    /// Time of the training.
    pub seconds: f64,
}

/// A particle's way through the first two principal components of its group.
#[derive(Clone, Debug)]
pub struct Trajectory {
    /// Its number.
    pub particle: usize,
    /// What it became.
    pub class: Class,
    /// Every fifth epoch.
    pub points: Vec<(f64, f64)>,
}

/// An organism that learned to classify images.
#[derive(Clone, Debug)]
pub struct ImageRun {
    /// Its seed.
    pub seed: u64,
    /// What follows its hidden layers.
    pub between: Between,
    /// Where it stood before training and after each epoch; accuracies on the test images.
    pub epochs: Vec<Epoch>,
    /// Test accuracy in per cent: whole, without self-replicators, with as many of the smallest weights pruned, without the
    /// particles that are neither self-replicating nor zero: the others and the divergent ones.
    pub accuracy: [f64; 4],
    /// Particles of each class in every layer.
    pub connectivity: Vec<[usize; 4]>,
    /// Per pixel: self-replicators, sum of the weights their particles stand for, mean over the test images.
    pub pixels: Matrix,
    /// Self-replicators under noise.
    pub robustness: Vec<Robustness>,
    /// Weights of the second layer's particles as they moved.
    pub trajectories: Vec<Trajectory>,
    /// Time of the training.
    pub seconds: f64,
}

/// A finished, or interrupted, reproduction.
#[derive(Clone, Debug)]
pub struct Report {
    /// Organisms that add.
    pub additions: Vec<AdditionRun>,
    /// Organisms that classify.
    pub images: Vec<ImageRun>,
    /// Whether it was stopped.
    pub interrupted: bool,
}

/// Called after every step with the experiment and its seed; `Break` ends the reproduction with what was finished.
pub type RunObserver<'a> = dyn FnMut(&str, u64, &Progress<'_>) -> ControlFlow<()> + 'a;

/// Runs the experiments.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) for no runs, names of no experiment, or images that are not square.
pub fn reproduce(
    context: &mut Context,
    data: &Split,
    options: &Options,
    observer: &mut RunObserver<'_>,
) -> Result<Report> {
    check(options.runs, &options.only, ROWS.into_iter())?;
    let mut report = Report { additions: Vec::new(), images: Vec::new(), interrupted: false };
    for seed in seeds(options.seed, options.runs) {
        if wanted(&options.only, "addition") {
            let run = add(context, seed)?;
            let steps = run.epochs.len() as u64;
            report.additions.push(run);
            let progress = Progress { phase: "addition", step: steps, steps, loss: None, accuracy: None, whole: true };
            if observer("addition", seed, &progress).is_break() {
                report.interrupted = true;
                return Ok(report);
            }
        }
    }
    for (name, between) in [("images", Between::Gelu), ("images-linear", Between::Linear)] {
        for seed in seeds(options.seed, options.runs).filter(|_| wanted(&options.only, name)) {
            let config = Config { activation: between, ..config(options.scale, seed) };
            match classify(context, data, config, &mut |progress| observer(name, seed, progress))? {
                Some(run) => report.images.push(run),
                None => {
                    report.interrupted = true;
                    return Ok(report);
                }
            }
        }
    }
    Ok(report)
}

fn add(context: &mut Context, seed: u64) -> Result<AdditionRun> {
    let began = Instant::now();
    let settings = Addition { seed, ..Addition::default() };
    let added = settings.train(context, &mut |_, _| ())?;
    let seconds = began.elapsed().as_secs_f64();
    let stream = Stream::new(seed, "robustness");
    Ok(AdditionRun {
        seed,
        resubstitution: added.resubstitution(context),
        robustness: robustness(context, added.organism.particles(), settings.epsilon, LIMIT, stream),
        epochs: added.epochs,
        seconds,
    })
}

/// The settings at this scale. See [`DEPARTURES`] for the batch.
pub fn config(scale: Scale, seed: u64) -> Config {
    let paper = Config { seed, ..Config::default() };
    match scale {
        Scale::Full => Config { batch: 500, ..paper },
        Scale::Quick => Config { batch: 200, epochs: 600, ..paper },
    }
}

fn classify(
    context: &mut Context,
    data: &Split,
    config: Config,
    observer: &mut Observer<'_>,
) -> Result<Option<ImageRun>> {
    let began = Instant::now();
    let (seed, between) = (config.seed, config.activation);
    let mut network = Network::new(config, data.train.pixels(), data.train.classes())?;
    let mut snapshots = Vec::new();
    let mut epoch = 0;
    let layer = network.organism().widths().len().min(3) - 2;
    let range = network.organism().range(layer);
    let flow = network.train_watched(context, &data.train, Some(&data.test), observer, &mut |_, network| {
        if epoch % TRAJECTORY == 0 {
            let rows = network.organism().particles().to_rows();
            snapshots.push(rows.view().rows_range(range.clone()).to_owned());
        }
        epoch += 1;
    })?;
    if flow.is_break() {
        return Ok(None);
    }
    let seconds = began.elapsed().as_secs_f64();
    let epsilon = network.config().epsilon as f32;
    let classes: Vec<Class> = network.organism().examine(context).iter().map(|seen| seen.class(epsilon)).collect();
    let own = of(&classes, &[Class::SelfReplicating]);
    let seen = network.see(context, &data.test)?;
    let plain = network.organism().extract();
    let accuracy = without(&plain, &classes)
        .map(|plain| 100.0 * Network::share_correct(context, &plain, seen.view(), data.test.labels()));
    let layers = network.organism().widths().len() - 1;
    let count = |layer| {
        Class::ALL.map(|class| classes[network.organism().range(layer)].iter().filter(|c| **c == class).count())
    };
    let cells = network.organism().widths()[1];
    let pixels = Matrix::from_fn(3, seen.cols(), |row, pixel| match row {
        0 => own.iter().filter(|&&particle| particle / cells == pixel && particle < cells * seen.cols()).count() as f32,
        1 => plain.weights[0].row(pixel).iter().sum(),
        _ => seen.view().iter_rows().map(|image| image[pixel]).sum::<f32>() / seen.rows() as f32,
    });
    let stream = Stream::new(seed, "robustness");
    Ok(Some(ImageRun {
        seed,
        between,
        epochs: network.epochs().collect(),
        accuracy,
        connectivity: (0..layers).map(count).collect(),
        pixels,
        robustness: robustness(context, network.organism().particles(), epsilon, LIMIT, stream),
        trajectories: trajectories(&snapshots, &classes[network.organism().range(layer)]),
        seconds,
    }))
}

/// The numbers of the particles of these classes.
fn of(classes: &[Class], wanted: &[Class]) -> Vec<usize> {
    (0..classes.len()).filter(|&particle| wanted.contains(&classes[particle])).collect()
}

/// The network whole, without self-replicators, with as many of the smallest weights pruned, and without the particles that are neither
/// self-replicating nor zero, divergent ones among them.
fn without(plain: &PlainNetwork, classes: &[Class]) -> [PlainNetwork; 4] {
    let own = of(classes, &[Class::SelfReplicating]);
    let mut left = [(); 4].map(|()| plain.clone());
    left[2].drop(plain.smallest(own.len()));
    left[1].drop(own);
    left[3].drop(of(classes, &[Class::Other, Class::Divergent]));
    left
}

/// The logarithm to base ten of a magnitude, of at least 1e-16: zero has a figure too. NaN stays NaN.
fn log10(magnitude: f64) -> f64 {
    if magnitude < FLOOR { FLOOR.log10() } else { magnitude.log10() }
}

/// The first two principal components, in a space shared by all, of some self-replicators and some others.
fn trajectories(snapshots: &[Matrix], classes: &[Class]) -> Vec<Trajectory> {
    let chosen: Vec<usize> = [Class::SelfReplicating, Class::Other]
        .into_iter()
        .flat_map(|class| (0..classes.len()).filter(move |&particle| classes[particle] == class).take(TRACED))
        .collect();
    let Some(weights) = snapshots.first().map(Matrix::cols).filter(|_| !chosen.is_empty()) else { return Vec::new() };
    let rows = snapshots.len() * chosen.len();
    let value =
        |row: usize, weight: usize| f64::from(snapshots[row / chosen.len()][(chosen[row % chosen.len()], weight)]);
    let means: Vec<f64> =
        (0..weights).map(|weight| (0..rows).map(|row| value(row, weight)).sum::<f64>() / rows as f64).collect();
    let centred = faer::Mat::from_fn(rows, weights, |row, weight| value(row, weight) - means[weight]);
    // Weights that are no numbers have no principal components.
    let Ok(svd) = centred.thin_svd() else { return Vec::new() };
    let along = |row: usize, component: usize| -> f64 {
        (0..weights).map(|weight| centred[(row, weight)] * svd.V()[(weight, component)]).sum()
    };
    let second = 1.min(svd.V().ncols() - 1);
    (0..chosen.len())
        .map(|at| Trajectory {
            particle: chosen[at],
            class: classes[chosen[at]],
            points: (0..snapshots.len())
                .map(|time| time * chosen.len() + at)
                .map(|row| (along(row, 0), along(row, second)))
                .collect(),
        })
        .collect()
}

/// Mean steps at the lowest noise.
fn steps(levels: &[Robustness], of: fn(&Robustness) -> &[u32]) -> f64 {
    let steps = levels.last().map_or(&[][..], of);
    steps.iter().sum::<u32>() as f64 / steps.len().max(1) as f64
}

impl Report {
    /// The paper's figures beside ours.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let seconds: f64 = self.additions.iter().map(|run| run.seconds).sum();
        let mut add = |quantity: &str, better, paper: Option<f64>, of: fn(&AdditionRun) -> f64| {
            let runs: Vec<f64> = self.additions.iter().map(of).collect();
            if !runs.is_empty() {
                outcomes.push(Outcome::new(
                    "organism",
                    "addition, 18 particles",
                    quantity,
                    better,
                    paper,
                    runs,
                    seconds,
                ));
            }
        };
        add("self-replicating particles, %", Better::More, Some(100.0), |run| 100.0 * run.last().census.share());
        add("log10 of the mean absolute error", Better::Less, Some(-5.0), |run| log10(run.last().absolute));
        add("log10 of the outputs' mean change on re-substitution", Better::Less, None, |run| {
            log10(run.resubstitution.outputs)
        });
        add("log10 of the error's change on re-substitution", Better::Less, Some(-8.0), |run| {
            log10(run.resubstitution.error)
        });
        add("steps of self-application as a fixpoint, noise 1e-9", Better::More, None, |run| {
            steps(&run.robustness, |level| &level.fixpoint)
        });
        for (between, name) in [(Between::Gelu, "GELU"), (Between::Linear, "linear")] {
            let of: Vec<&ImageRun> = self.images.iter().filter(|run| run.between == between).collect();
            let seconds: f64 = of.iter().map(|run| run.seconds).sum();
            let mut classify = |quantity: &str, better, paper: Option<f64>, value: fn(&ImageRun) -> f64| {
                let runs: Vec<f64> = of.iter().map(|run| value(run)).collect();
                if !runs.is_empty() {
                    let what = format!("MNIST 15 x 15, 1200 particles, {name}");
                    outcomes.push(Outcome::new("organism", what, quantity, better, paper, runs, seconds));
                }
            };
            classify("test accuracy, %", Better::More, Some(80.0), |run| run.accuracy[0]);
            classify("self-replicating particles, %", Better::Nearer, Some(25.0), |run| {
                100.0 * run.last().census.share()
            });
            classify("cost of dropping self-replicators, points", Better::Less, Some(0.1), |run| {
                run.accuracy[0] - run.accuracy[1]
            });
            classify("cost of L1 pruning of as many, points", Better::Nearer, None, |run| {
                run.accuracy[0] - run.accuracy[2]
            });
            classify("left without the others, % correct", Better::Nearer, None, |run| run.accuracy[3]);
            classify("steps of self-application as a fixpoint, noise 1e-9", Better::More, None, |run| {
                steps(&run.robustness, |level| &level.fixpoint)
            });
            classify("divergent particles", Better::Less, None, |run| run.last().census.count(Class::Divergent) as f64);
        }
        outcomes
    }
}

impl AdditionRun {
    /// Where it stood at the end.
    pub fn last(&self) -> &addition::Epoch {
        self.epochs.last().expect("a point before training")
    }
}

impl ImageRun {
    /// Where it stood at the end.
    pub fn last(&self) -> &Epoch {
        self.epochs.last().expect("a point before training")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::organism::{Census, Resubstitution};

    #[test]
    fn divergent_particles_go_with_the_others() {
        let weights = vec![Matrix::from_slice(&[1.0, 5.0, f32::NAN, 0.5, 0.0, 2.0], 2, 3).unwrap()];
        let plain = PlainNetwork { weights, gelu: false };
        let classes = [
            Class::SelfReplicating,
            Class::Other,
            Class::Divergent,
            Class::SelfReplicating,
            Class::Zero,
            Class::SelfReplicating,
        ];
        let [whole, own, pruned, others] = without(&plain, &classes);
        assert_eq!(format!("{whole:?}"), format!("{plain:?}"));
        let left = own.weights[0].as_slice();
        assert!(left[2].is_nan() && (left[0], left[1], &left[3..]) == (0.0, 5.0, &[0.0; 3][..]));
        // Three self-replicators: three of the smallest weights.
        assert_eq!((pruned.weights[0].as_slice()[1], &pruned.weights[0].as_slice()[3..]), (5.0, &[0.0, 0.0, 2.0][..]));
        assert_eq!(others.weights[0].as_slice(), [1.0, 0.0, 0.0, 0.5, 0.0, 2.0]);
    }

    #[test]
    fn logarithms_have_a_floor_and_keep_what_is_no_number() {
        let run = |value: f64| AdditionRun {
            seed: 0,
            epochs: vec![addition::Epoch {
                census: Census { counts: [0; 4], loss: value },
                train: value,
                test: value,
                absolute: value,
            }],
            resubstitution: Resubstitution { outputs: value, error: value },
            robustness: Vec::new(),
            seconds: 0.0,
        };
        let additions = [0.0, 1e-8, f64::NAN, f64::INFINITY].map(run).to_vec();
        let report = Report { additions, images: Vec::new(), interrupted: false };
        let outcomes = report.outcomes();
        let logarithms: Vec<_> = outcomes.iter().filter(|outcome| outcome.quantity.starts_with("log10")).collect();
        assert_eq!(logarithms.len(), 3);
        for outcome in logarithms {
            let [zero, small, none, infinite] = outcome.runs[..] else { panic!("{outcome:?}") };
            assert!((zero, small, infinite) == (-16.0, -8.0, f64::INFINITY) && none.is_nan(), "{outcome:?}");
            assert!(outcome.ours.is_nan());
        }
    }
}
