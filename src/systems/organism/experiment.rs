//! The paper's experiments: addition, and MNIST at 15 x 15, with what is measured on the organisms that come of them.
//!
//! Settings are the paper's and the authors', but for the batch on images, which was chosen on held-out training images; nothing was chosen on the
//! test images.

use std::ops::ControlFlow;
use std::time::Instant;

use super::addition::{self, Addition, Resubstitution};
use super::body::{Organism, PlainNetwork};
use super::config::{Between, Config};
use super::network::{Epoch, Network};
use super::robustness::{Robustness, robustness};
use crate::context::Context;
use crate::datasets::Split;
use crate::error::Result;
use crate::kernels::particle::Class;
use crate::matrix::Matrix;
use crate::random::Stream;
use crate::systems::experiment::{Ending, Scale, check, seeds, wanted};
use crate::systems::{Better, Observer, Outcome, Progress};

/// Names of the experiments.
pub const ROWS: &[&str] = &["addition", "images", "images-linear"];

/// Where the training departs from the paper.
pub const DEPARTURES: &[&str] = &[
    "The paper's text has two hidden layers of five cells in its figures and three in one sentence; these have two, as the authors' \
     code.",
    "Linear particles are evaluated through the one weight they stand for, and the row of five numbers they are; rounding apart, \
     that is the same gradient.",
    "Momentum of self-replication restarts with each turn, as in the authors' code. Between layers the paper has GELU and the \
     authors' code nothing: both are trained.",
    "When the adding organism's particles become plain weights its outputs change by some 5e-8, where the paper has 1e-8: the plain network computes in 32 bits, \
     whose last place at outputs around 1.5 is 1.2e-7.",
    "Images come in batches of 500 (quick: 200, for 600 epochs of a thirtieth of the images). With the paper's 2000 an organism has not finished learning after 200 epochs: on held-out training images \
     84 to 86 % are right with GELU, 87 to 88 % without, in batches of 500 88 and 89.6 %. The ratio of the two kinds of steps is the paper's.",
    "The paper finds that some particles of the adding organism stay self-replicators even under noise above 1e-5 on their weights. Ours do \
     not: of the 180 of ten organisms 2 are still fixpoints when noise of 1e-5 has been added, and no longer after one self-application; \
     under noise of 1e-9 all are, for 3 to 4 of them. On images 1 to 2 % are under 1e-5, and all under 1e-9, for about 2. The paper does not say \
     how it counts the steps.",
    "Figure 12 has 8 self-replicators among the 50 particles of the layer to the outputs. Of six of our organisms one had a single one \
     there: where there is none, part a is not drawn.",
];

/// Most steps of self-application.
const LIMIT: u32 = 200;
/// Epochs from one point of a trajectory to the next.
pub const TRAJECTORY: usize = 5;
/// The least magnitude whose logarithm is reported: what `f64` resolves beside numbers of about one.
const FLOOR: f64 = 1e-16;
/// The layer whose particles are followed, that to the outputs: layer 2 of figure 12, with 8 and 42 particles of the two groups.
const FOLLOWED: usize = 2;
/// Noise on the weights of self-replicators, in the order of the levels: 1e-5, of which the paper speaks, and the least.
const NOISES: [(usize, &str); 2] = [(5, "1e-5"), (9, "1e-9")];

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
    /// All particles at the end.
    pub particles: Vec<Particle>,
    /// Time of the training.
    pub seconds: f64,
}

/// Where a particle is in its organism, and what it became.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Particle {
    /// Its layer, from 0.
    pub layer: usize,
    /// The value it multiplies: a pixel, or a cell of the layer below.
    pub input: usize,
    /// The cell, or output, to which it adds.
    pub cell: usize,
    /// Its class.
    pub class: Class,
    /// The weight it stands for.
    pub weight: f32,
    /// The largest error in reproducing a weight of its own.
    pub deviation: f32,
}

/// The ways of a layer's particles through two principal components, in a space shared by all.
#[derive(Clone, Debug, Default)]
pub struct Trajectories {
    /// The share of the variance along each component, 0 to 1; NaN if nothing varies.
    pub variance: [f64; 2],
    /// The self-replicators, then the others.
    pub paths: Vec<Trajectory>,
}

/// A particle's way.
#[derive(Clone, Debug)]
pub struct Trajectory {
    /// Its number within the layer.
    pub particle: usize,
    /// What it became.
    pub class: Class,
    /// Before training, and after every fifth epoch.
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
    /// All particles at the end.
    pub particles: Vec<Particle>,
    /// Particles of each class in every layer.
    pub connectivity: Vec<[usize; 4]>,
    /// Per pixel: self-replicators, sum of the weights that these stand for, mean over the test images.
    pub pixels: Matrix,
    /// Self-replicators under noise.
    pub robustness: Vec<Robustness>,
    /// Weights of the last layer's particles as they moved.
    pub trajectories: Trajectories,
    /// Time of the training.
    pub seconds: f64,
}

/// A finished reproduction, or what was finished of one.
#[derive(Debug)]
pub struct Report {
    /// Organisms that add.
    pub additions: Vec<AdditionRun>,
    /// Organisms that classify.
    pub images: Vec<ImageRun>,
    /// How it ended.
    pub ending: Ending,
}

/// Called after every step with the experiment and its seed; `Break` ends the reproduction with what was finished.
pub type RunObserver<'a> = dyn FnMut(&str, u64, &Progress<'_>) -> ControlFlow<()> + 'a;

/// Runs the experiments.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) for no runs, names of no experiment, or images that are not square, and whatever training reports
/// before any run is finished: later it is the report's [`Ending`].
pub fn reproduce(
    context: &mut Context,
    data: &Split,
    options: &Options,
    observer: &mut RunObserver<'_>,
) -> Result<Report> {
    check(options.runs, &options.only, ROWS.iter().copied())?;
    // Found out before anything is trained.
    if ROWS[1..].iter().any(|name| wanted(&options.only, name)) {
        let config = config(options.scale, options.seed);
        Network::new(config, data.train.pixels(), data.train.classes())?.takes(&data.train, Some(&data.test))?;
    }
    let (mut additions, mut images) = (Vec::new(), Vec::new());
    let flow = train(context, data, options, &mut additions, &mut images, observer);
    let ending = Ending::of(flow, additions.len() + images.len())?;
    Ok(Report { additions, images, ending })
}

/// Trains what is asked for, and adds each run that is finished.
fn train(
    context: &mut Context,
    data: &Split,
    options: &Options,
    additions: &mut Vec<AdditionRun>,
    images: &mut Vec<ImageRun>,
    observer: &mut RunObserver<'_>,
) -> Result<ControlFlow<()>> {
    for seed in seeds(options.seed, options.runs) {
        if wanted(&options.only, "addition") {
            let run = add(context, seed)?;
            let steps = run.epochs.len() as u64;
            additions.push(run);
            let progress = Progress { phase: "addition", step: steps, steps, loss: None, accuracy: None, whole: true };
            if observer("addition", seed, &progress).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    for (name, between) in [("images", Between::Gelu), ("images-linear", Between::Linear)] {
        for seed in seeds(options.seed, options.runs).filter(|_| wanted(&options.only, name)) {
            let config = Config { activation: between, ..config(options.scale, seed) };
            match classify(context, data, config, &mut |progress| observer(name, seed, progress))? {
                Some(run) => images.push(run),
                None => return Ok(ControlFlow::Break(())),
            }
        }
    }
    Ok(ControlFlow::Continue(()))
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
        particles: particles(context, &added.organism, settings.epsilon),
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
    let range = network.organism().range(FOLLOWED);
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
    let particles = particles(context, network.organism(), epsilon);
    let classes: Vec<Class> = particles.iter().map(|particle| particle.class).collect();
    let seen = network.see(context, &data.test)?;
    let plain = network.organism().extract();
    let accuracy = without(&plain, &classes)
        .map(|plain| 100.0 * Network::share_correct(context, &plain, seen.view(), data.test.labels()));
    let layers = network.organism().widths().len() - 1;
    let count = |layer| {
        Class::ALL.map(|class| classes[network.organism().range(layer)].iter().filter(|c| **c == class).count())
    };
    let stream = Stream::new(seed, "robustness");
    Ok(Some(ImageRun {
        seed,
        between,
        epochs: network.epochs().collect(),
        accuracy,
        connectivity: (0..layers).map(count).collect(),
        pixels: pixels(&particles, &seen),
        robustness: robustness(context, network.organism().particles(), epsilon, LIMIT, stream),
        trajectories: trajectories(&snapshots, &classes[network.organism().range(FOLLOWED)]),
        particles,
        seconds,
    }))
}

/// Every particle of an organism.
fn particles(context: &mut Context, organism: &Organism, epsilon: f32) -> Vec<Particle> {
    let (seen, plain) = (organism.examine(context), organism.extract());
    let mut all = Vec::with_capacity(seen.len());
    for (layer, weights) in plain.weights.iter().enumerate() {
        let (range, cells) = (organism.range(layer), weights.cols());
        for (at, (seen, &weight)) in seen[range].iter().zip(weights.as_slice()).enumerate() {
            let (input, cell) = (at / cells, at % cells);
            all.push(Particle { layer, input, cell, class: seen.class(epsilon), weight, deviation: seen.deviation });
        }
    }
    all
}

/// Per pixel: how many particles of the first layer reproduce themselves, the sum of the weights that these stand for, and the mean of
/// the images.
fn pixels(particles: &[Particle], seen: &Matrix) -> Matrix {
    let mut pixels = Matrix::zeros(3, seen.cols());
    for particle in particles.iter().filter(|p| p.layer == 0 && p.class == Class::SelfReplicating) {
        pixels[(0, particle.input)] += 1.0;
        pixels[(1, particle.input)] += particle.weight;
    }
    for pixel in 0..seen.cols() {
        pixels[(2, pixel)] = seen.view().iter_rows().map(|image| image[pixel]).sum::<f32>() / seen.rows() as f32;
    }
    pixels
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

/// The first two principal components of all self-replicators and all others.
fn trajectories(snapshots: &[Matrix], classes: &[Class]) -> Trajectories {
    let chosen: Vec<usize> = [Class::SelfReplicating, Class::Other]
        .into_iter()
        .flat_map(|class| (0..classes.len()).filter(move |&particle| classes[particle] == class))
        .collect();
    let weights = snapshots.first().map(Matrix::cols).filter(|_| !chosen.is_empty());
    let Some(weights) = weights else { return Trajectories::default() };
    let rows = snapshots.len() * chosen.len();
    let value =
        |row: usize, weight: usize| f64::from(snapshots[row / chosen.len()][(chosen[row % chosen.len()], weight)]);
    let means: Vec<f64> =
        (0..weights).map(|weight| (0..rows).map(|row| value(row, weight)).sum::<f64>() / rows as f64).collect();
    let centred = faer::Mat::from_fn(rows, weights, |row, weight| value(row, weight) - means[weight]);
    // Weights that are no numbers have no principal components.
    let Ok(svd) = centred.thin_svd() else { return Trajectories::default() };
    let along = |row: usize, component: usize| -> f64 {
        (0..weights).map(|weight| centred[(row, weight)] * svd.V()[(weight, component)]).sum()
    };
    let components = [0, 1.min(svd.V().ncols() - 1)];
    let variance = |component: usize| (0..rows).map(|row| along(row, component).powi(2)).sum::<f64>();
    let whole = centred.squared_norm_l2();
    let paths = (0..chosen.len()).map(|at| Trajectory {
        particle: chosen[at],
        class: classes[chosen[at]],
        points: (0..snapshots.len())
            .map(|time| time * chosen.len() + at)
            .map(|row| components.map(|component| along(row, component)).into())
            .collect(),
    });
    Trajectories { variance: components.map(|component| variance(component) / whole), paths: paths.collect() }
}

/// Mean steps as a fixpoint at a level of noise; 0 without self-replicators.
fn steps(levels: &[Robustness], level: usize) -> f64 {
    let steps = levels.get(level).map_or(&[][..], |level| &level.fixpoint);
    steps.iter().sum::<u32>() as f64 / steps.len().max(1) as f64
}

/// The share of self-replicators, in per cent, that are one still under the noise of a level; 0 without any.
fn held(levels: &[Robustness], level: usize) -> f64 {
    let steps = levels.get(level).map_or(&[][..], |level| &level.fixpoint);
    100.0 * steps.iter().filter(|steps| **steps > 0).count() as f64 / steps.len().max(1) as f64
}

impl Report {
    /// The paper's figures beside ours.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let seconds: f64 = self.additions.iter().map(|run| run.seconds).sum();
        let mut add = |quantity: &str, better, paper: Option<f64>, of: &dyn Fn(&AdditionRun) -> f64| {
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
        add("self-replicating particles, %", Better::More, Some(100.0), &|run| 100.0 * run.last().census.share());
        add("log10 of the mean absolute error, as a plain network", Better::Less, Some(-5.0), &|run| {
            log10(run.last().absolute)
        });
        add("log10 of the outputs' mean change on re-substitution", Better::Less, None, &|run| {
            log10(run.resubstitution.outputs)
        });
        add("log10 of the error's change on re-substitution", Better::Less, Some(-8.0), &|run| {
            log10(run.resubstitution.error)
        });
        for (level, noise) in NOISES {
            let quantity = format!("steps of self-application as a fixpoint, noise {noise}");
            add(&quantity, Better::More, None, &|run| steps(&run.robustness, level));
            let quantity = format!("still fixpoints under noise {noise}, %");
            add(&quantity, Better::More, None, &|run| held(&run.robustness, level));
        }
        for (between, name) in [(Between::Gelu, "GELU"), (Between::Linear, "linear")] {
            let of: Vec<&ImageRun> = self.images.iter().filter(|run| run.between == between).collect();
            let seconds: f64 = of.iter().map(|run| run.seconds).sum();
            let mut classify = |quantity: &str, better, paper: Option<f64>, value: &dyn Fn(&ImageRun) -> f64| {
                let runs: Vec<f64> = of.iter().map(|run| value(run)).collect();
                if !runs.is_empty() {
                    let what = format!("MNIST 15 x 15, 1200 particles, {name}");
                    outcomes.push(Outcome::new("organism", what, quantity, better, paper, runs, seconds));
                }
            };
            classify("test accuracy, %", Better::More, Some(80.0), &|run| run.accuracy[0]);
            classify("self-replicating particles, %", Better::Nearer, Some(25.0), &|run| {
                100.0 * run.last().census.share()
            });
            classify("cost of dropping self-replicators, points", Better::Less, Some(0.1), &|run| {
                run.accuracy[0] - run.accuracy[1]
            });
            classify("cost of L1 pruning of as many, points", Better::Nearer, None, &|run| {
                run.accuracy[0] - run.accuracy[2]
            });
            classify("left without the others, % correct", Better::Nearer, None, &|run| run.accuracy[3]);
            for (level, noise) in NOISES {
                let quantity = format!("steps of self-application as a fixpoint, noise {noise}");
                classify(&quantity, Better::More, None, &|run| steps(&run.robustness, level));
                let quantity = format!("still fixpoints under noise {noise}, %");
                classify(&quantity, Better::More, None, &|run| held(&run.robustness, level));
            }
            classify("divergent particles", Better::Less, None, &|run| {
                run.last().census.count(Class::Divergent) as f64
            });
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
    use crate::kernels::particle::{Activation, Net};
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
    fn pixels_sum_the_weights_of_self_replicators_alone() {
        let particle =
            |layer, input, cell, class, weight| Particle { layer, input, cell, class, weight, deviation: 0.0 };
        let particles = [
            particle(0, 0, 0, Class::SelfReplicating, 0.5),
            particle(0, 0, 1, Class::Other, 100.0),
            particle(0, 0, 2, Class::SelfReplicating, -2.0),
            particle(0, 1, 0, Class::Divergent, f32::NAN),
            particle(0, 1, 1, Class::Zero, 1e-6),
            // Above the pixels.
            particle(1, 1, 0, Class::SelfReplicating, 7.0),
        ];
        let seen = Matrix::from_slice(&[1.0, 0.0, 0.5, 0.25], 2, 2).unwrap();
        assert_eq!(pixels(&particles, &seen).as_slice(), [2.0, 0.0, -1.5, 0.0, 0.75, 0.125]);
    }

    #[test]
    fn particles_are_where_the_organism_has_them() {
        let mut context = Context::new().unwrap();
        let net = Net::new(&[2], Activation::Linear).unwrap();
        let organism = Organism::new(&net, &[3, 2, 1], true, Stream::new(1, "test")).unwrap();
        let (all, plain) = (particles(&mut context, &organism, 1e-5), organism.extract());
        assert_eq!(all.len(), 8);
        for (at, particle) in all.iter().enumerate() {
            let first = organism.range(particle.layer).start;
            assert_eq!(at, first + particle.input * [2, 1][particle.layer] + particle.cell);
            assert_eq!(particle.weight, plain.weights[particle.layer][(particle.input, particle.cell)]);
            assert_eq!(particle.class, Class::Other);
        }
    }

    #[test]
    fn trajectories_keep_every_particle_of_both_groups_and_say_how_much_they_show() {
        let mut classes = [Class::Other; 50];
        classes[3..11].fill(Class::SelfReplicating);
        classes[20] = Class::Divergent;
        // Along one direction, but for a tenth across it.
        let at = |time: usize, particle: usize| (particle as f32 - 24.5) * time as f32;
        let snapshot = |time| {
            Matrix::from_fn(50, 3, |particle, weight| match weight {
                0 => 3.0 * at(time, particle),
                1 => 4.0 * at(time, particle),
                _ => {
                    if particle % 2 == 0 {
                        0.1
                    } else {
                        -0.1
                    }
                }
            })
        };
        let snapshots: Vec<Matrix> = (0..4).map(snapshot).collect();
        let found = trajectories(&snapshots, &classes);
        assert_eq!(found.paths.len(), 49);
        assert!(found.paths[..8].iter().all(|path| path.class == Class::SelfReplicating && path.points.len() == 4));
        assert_eq!((found.paths[8].particle, found.paths[48].particle), (0, 49));
        let [first, second] = found.variance;
        assert!(first > 0.999 && second > 0.0 && (first + second - 1.0).abs() < 1e-12, "{:?}", found.variance);
        let length = (found.paths[48].points[3].0 - found.paths[48].points[0].0).abs();
        assert!((length - 5.0 * 24.5 * 3.0).abs() < 1e-2, "{length}");
        assert!(trajectories(&snapshots, &[Class::Zero; 50]).paths.is_empty());
        assert!(trajectories(&[], &classes).paths.is_empty());
    }

    #[test]
    fn robustness_is_told_at_both_levels_of_noise() {
        let level = |fixpoint: &[u32]| Robustness { noise: 0.0, fixpoint: fixpoint.to_vec(), diverged: Vec::new() };
        let mut levels = vec![level(&[0, 0, 0, 0]); 10];
        (levels[5], levels[9]) = (level(&[0, 3, 1, 0]), level(&[200, 4, 4, 0]));
        assert_eq!((steps(&levels, 5), held(&levels, 5)), (1.0, 50.0));
        assert_eq!((steps(&levels, 9), held(&levels, 9)), (52.0, 75.0));
        assert_eq!((steps(&[], 5), held(&[level(&[])], 0)), (0.0, 0.0));
        assert!(NOISES.iter().all(|(level, name)| name.parse::<f64>().unwrap().log10().round() == -(*level as f64)));
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
            resubstitution: Resubstitution { outputs: value, error: value, errors: Vec::new() },
            robustness: Vec::new(),
            particles: Vec::new(),
            seconds: 0.0,
        };
        let additions = [0.0, 1e-8, f64::NAN, f64::INFINITY].map(run).to_vec();
        let report = Report { additions, images: Vec::new(), ending: Ending::Whole };
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
