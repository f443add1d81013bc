//! Table 1 of the paper: the runs that fill it with our figures beside the paper's; of figure 3 the distributions of weights, of
//! figure 4 accuracy under attack, and of networks that learn from 1, 10 and 100 images of each class.
//!
//! Test images are looked at to draw learning curves and to measure the result, and decide nothing: recipes were chosen on others.

use std::time::Instant;

use super::config::{Config, Output};
use super::network::Network;
use super::recipes::of_few;
use crate::analysis::{Attack, Family, Fit, accuracy_under, fit};
use crate::context::Context;
use crate::datasets::{Dataset, Split, batches};
use crate::error::{Error, Result};
use crate::matrix::{MatRef, Matrix};
use crate::random::Stream;
use crate::systems::baselines::{backprop, krotov_hopfield, softmax};
use crate::systems::experiment::{self, Stage, StageObserver};
use crate::systems::{Better, CurvePoint, Differentiable, Learner, Outcome, Progress};

pub use super::recipes::{
    Images, backprop_recipe, hebbian_recipe, krotov_hopfield_recipe, perturbation_recipe, printed_recipe,
    softmax_recipe,
};

/// What to reproduce.
#[derive(Clone, Debug)]
pub struct Options {
    /// The images that the rows and their recipes are for.
    pub images: Images,
    /// Runs of each row, with seeds `seed`, `seed + 1`, ... (streams are hashed: neighbouring seeds share nothing).
    pub runs: usize,
    /// The first run's seed.
    pub seed: u64,
    /// Names of the rows to run; empty for all.
    pub only: Vec<String>,
}

impl Options {
    /// One run of every row at seed 0.
    pub fn new(images: Images) -> Self {
        Options { images, runs: 1, seed: 0, only: Vec::new() }
    }
}

/// One row of the reproduction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// A short name, unique: `hebbian-wp`.
    pub name: &'static str,
    /// What is trained, in words.
    pub description: &'static str,
    /// The paper's test accuracy in per cent. Of "45 to 55" for this rule, and "10 to 20" for Krotov and Hopfield's, the end that is harder
    /// to claim less than: 45, and 20.
    pub paper: Option<f64>,
    /// The paper's share of zero weights in per cent ("approximately").
    pub paper_zeros: Option<f64>,
    /// Whether hidden weights are kept at zero or above.
    pub non_negative: bool,
    /// Hidden layers.
    pub layers: usize,
    /// Images of each class that it learns from, if not all.
    pub shots: Option<usize>,
}

/// Rows of table 1 with the paper's figures (MNIST; zero weights: section 3.2.3).
const ROWS: [Row; 32] = [
    SOFTMAX,
    row("hebbian-bp", "this rule, 1 layer, output by backpropagation", Some(97.45), None, false),
    row("hebbian-wp", "this rule, 1 layer, output by weight perturbation", Some(95.46), None, false),
    row(
        "hebbian-wp-printed",
        "this rule as printed (algorithm 1, rules (1) to (5), the printed rates), 1 layer, for minutes",
        Some(95.46),
        None,
        false,
    ),
    row("kh-power", "Krotov-Hopfield, 1 layer, power read-out", Some(98.54), None, false),
    row("kh-relu", "Krotov-Hopfield, 1 layer, ReLU read-out", Some(92.56), None, false),
    row("bp", "backpropagation, 1 layer", Some(98.26), None, false),
    row("nn-hebbian-bp", "non-negative: this rule, 1 layer, output by backpropagation", Some(94.20), Some(90.0), true),
    row(
        "nn-hebbian-wp",
        "non-negative: this rule, 1 layer, output by weight perturbation",
        Some(90.77),
        Some(90.0),
        true,
    ),
    row(
        "nn-hebbian-wp-printed",
        "non-negative: this rule as printed (algorithm 1, rules (1) to (6), the printed rates), 1 layer, for minutes",
        Some(90.77),
        Some(90.0),
        true,
    ),
    row("nn-kh-power", "non-negative: Krotov-Hopfield, 1 layer, power read-out", Some(97.98), Some(67.0), true),
    row("nn-kh-relu", "non-negative: Krotov-Hopfield, 1 layer, ReLU read-out", Some(90.31), Some(67.0), true),
    row("nn-bp", "non-negative: backpropagation, 1 layer", Some(94.47), Some(90.0), true),
    deep("hebbian-2", "this rule, 2 layers, output by backpropagation", Some(97.34), false, 2),
    deep("kh-2", "Krotov-Hopfield, 2 layers, power read-out", Some(88.31), false, 2),
    deep("bp-2", "backpropagation, 2 layers", Some(98.53), false, 2),
    deep("nn-hebbian-2", "non-negative: this rule, 2 layers, output by backpropagation", Some(91.82), true, 2),
    deep("nn-kh-2", "non-negative: Krotov-Hopfield, 2 layers, power read-out", Some(30.02), true, 2),
    deep("nn-bp-2", "non-negative: backpropagation, 2 layers", Some(93.82), true, 2),
    deep("nn-hebbian-5", "non-negative: this rule, 5 layers, output by backpropagation", None, true, 5),
    deep("nn-bp-5", "non-negative: backpropagation, 5 layers", None, true, 5),
    deep("nn-hebbian-10", "non-negative: this rule, 10 layers, output by backpropagation", Some(91.33), true, 10),
    deep("nn-bp-10", "non-negative: backpropagation, 10 layers", Some(11.35), true, 10),
    shots("nn-hebbian-bp-1-shot", "non-negative, 1 image a class: this rule (the paper's: 45 to 55)", Some(45.0), 1),
    shots(
        "nn-kh-power-1-shot",
        "non-negative, 1 image a class: Krotov-Hopfield (the paper's: 10 to 20)",
        Some(20.0),
        1,
    ),
    shots("nn-bp-1-shot", "non-negative, 1 image a class: backpropagation", None, 1),
    shots("nn-hebbian-bp-10-shot", "non-negative, 10 images a class: this rule", None, 10),
    shots("nn-kh-power-10-shot", "non-negative, 10 images a class: Krotov-Hopfield", None, 10),
    shots("nn-bp-10-shot", "non-negative, 10 images a class: backpropagation", None, 10),
    shots("nn-hebbian-bp-100-shot", "non-negative, 100 images a class: this rule", None, 100),
    shots("nn-kh-power-100-shot", "non-negative, 100 images a class: Krotov-Hopfield", None, 100),
    shots("nn-bp-100-shot", "non-negative, 100 images a class: backpropagation", None, 100),
];

/// Rows of table 1 with the paper's figures on CIFAR-10.
const CIFAR10_ROWS: [Row; 7] = [
    SOFTMAX,
    row("hebbian-bp", "this rule, 1 layer, output by backpropagation", Some(46.07), None, false),
    row("kh-power", "Krotov-Hopfield, 1 layer, power read-out", Some(55.05), None, false),
    row("bp", "backpropagation, 1 layer", Some(55.27), None, false),
    row("nn-hebbian-bp", "non-negative: this rule, 1 layer, output by backpropagation", Some(33.98), None, true),
    row("nn-kh-power", "non-negative: Krotov-Hopfield, 1 layer, power read-out", None, None, true),
    row("nn-bp", "non-negative: backpropagation, 1 layer", Some(36.28), None, true),
];

const SOFTMAX: Row = Row { layers: 0, ..row("softmax", "softmax regression on pixels", None, None, false) };

/// Rows of figures 3 and 4: their networks are attacked, and distributions fitted to their weights.
const ATTACKED: [&str; 3] = ["nn-hebbian-bp", "nn-kh-power", "nn-bp"];

/// The attacks of figure 4, as they are called there.
pub const ATTACKS: [(&str, Attack); 2] = [("FGSM", Attack::FastGradientSign), ("PGD", Attack::PROJECTED)];

/// How far an attack may change each pixel, of 1.
pub const EPSILONS: [f32; 6] = [0.0, 0.02, 0.05, 0.1, 0.2, 0.3];

const fn row(
    name: &'static str,
    description: &'static str,
    paper: Option<f64>,
    paper_zeros: Option<f64>,
    non_negative: bool,
) -> Row {
    Row { name, description, paper, paper_zeros, non_negative, layers: 1, shots: None }
}

const fn deep(
    name: &'static str,
    description: &'static str,
    paper: Option<f64>,
    non_negative: bool,
    layers: usize,
) -> Row {
    Row { layers, ..row(name, description, paper, None, non_negative) }
}

const fn shots(name: &'static str, description: &'static str, paper: Option<f64>, shots: usize) -> Row {
    Row { shots: Some(shots), ..row(name, description, paper, None, true) }
}

/// Where in [`EPSILONS`] accuracies under attack are compared: 0.1, up to which the paper calls its rule stable.
const COMPARED: usize = 3;

/// What PGD of 0.1 leaves of the accuracy on the same images, in per cent.
fn kept(run: &Run) -> Option<f64> {
    let projected = run.attacked?[1];
    Some(100.0 * projected[COMPARED] / projected[0])
}

/// A row that the paper puts above another, by what and by how much at the least.
struct Lead {
    row: &'static str,
    other: &'static str,
    quantity: &'static str,
    least: f64,
    figure: fn(&Run) -> Option<f64>,
}

/// The paper's claims beyond table 1, each between runs of the same seed: what is learned from one image a class, of which it says that its
/// rule outperforms both others, and how accuracy holds under PGD, where it has its rule stable and both others falling.
const LEADS: [Lead; 4] = [
    Lead {
        row: "nn-hebbian-bp-1-shot",
        other: "nn-kh-power-1-shot",
        quantity: "lead over Krotov-Hopfield, points (the paper's: 25 or more)",
        least: 25.0,
        figure: |run| Some(run.accuracy),
    },
    Lead {
        row: "nn-hebbian-bp-1-shot",
        other: "nn-bp-1-shot",
        quantity: "lead over backpropagation, points (the paper's: above 0)",
        least: 0.0,
        figure: |run| Some(run.accuracy),
    },
    Lead {
        row: "nn-hebbian-bp",
        other: "nn-kh-power",
        quantity: "lead over Krotov-Hopfield in what PGD of 0.1 leaves, points (the paper's: above 0)",
        least: 0.0,
        figure: kept,
    },
    Lead {
        row: "nn-hebbian-bp",
        other: "nn-bp",
        quantity: "lead over backpropagation in what PGD of 0.1 leaves, points (the paper's: above 0)",
        least: 0.0,
        figure: kept,
    },
];

/// The rows for these images. Of the embedded ones, several layers and few images are left out.
pub fn rows(images: Images) -> &'static [Row] {
    match images {
        Images::Embedded => &ROWS[..13],
        Images::Mnist => &ROWS,
        Images::Cifar10 => &CIFAR10_ROWS,
    }
}

/// One trained network.
#[derive(Clone, Debug)]
pub struct Run {
    /// The row.
    pub row: Row,
    /// The seed.
    pub seed: u64,
    /// What was trained, as `neuropil train` calls it: `hebbian`, `krotov-hopfield`, `backprop` or `softmax`.
    pub kind: &'static str,
    /// Its configuration as TOML.
    pub config: String,
    /// Test accuracy in per cent.
    pub accuracy: f64,
    /// Hidden weights that are exactly zero, in per cent.
    pub zeros: f64,
    /// Time of the training. Hidden layers that several rows share are counted with the first.
    pub seconds: f64,
    /// The learning curve; accuracies (0 to 1) on the test images, but for networks that learn from few.
    pub curve: Vec<CurvePoint>,
    /// Accuracy in per cent under each of [`ATTACKS`], for each of [`EPSILONS`], on some of the test images; of the rows of figure 4.
    pub attacked: Option<[[f64; EPSILONS.len()]; ATTACKS.len()]>,
    /// A lognormal and a stretched or compressed exponential distribution of the hidden weights, scaled to 1 at most, from [`SEEN`] on; of
    /// the rows of figure 3.
    pub fits: Option<[Fit; 2]>,
    fields: Option<Matrix>,
}

/// Weights below this, of the largest, are not seen in figure 3.
pub const SEEN: f64 = 0.005;

/// The weights that figure 3 sees, each divided by the largest.
pub fn seen(fields: MatRef<'_>) -> Vec<f64> {
    let weights = || fields.iter_rows().flatten().map(|&w| f64::from(w));
    let largest = weights().fold(0.0, f64::max);
    weights().map(|w| w / largest).filter(|w| *w >= SEEN).collect()
}

impl Run {
    /// The first hidden layer's weights as `[units, inputs]`, an image a unit (without hidden layers, the classes'
    /// weights). Kept for the first seed only.
    pub fn receptive_fields(&self) -> Option<MatRef<'_>> {
        self.fields.as_ref().map(Matrix::view)
    }
}

/// A finished, or interrupted, reproduction.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was learned from.
    pub images: Images,
    /// Every run, in the order trained.
    pub runs: Vec<Run>,
    /// Whether the observer ended it early.
    pub interrupted: bool,
}

impl Report {
    /// The table, in the order of [`rows`]: test accuracies; for non-negative rows the shares of zero weights; of figures 3 and 4 what was
    /// fitted, accuracies under attack, and how far this rule is above the others where the paper says that it is.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let name = if self.images == Images::Cifar10 { "CIFAR-10" } else { "MNIST" };
        for row in rows(self.images) {
            let runs: Vec<&Run> = self.runs.iter().filter(|run| run.row.name == row.name).collect();
            if runs.is_empty() {
                continue;
            }
            let seconds = runs.iter().map(|run| run.seconds).sum();
            let mut add = |quantity, better, paper, figures: Vec<f64>| {
                let experiment = format!("{name}: {}", row.description);
                outcomes.push(Outcome::new("hebbian", experiment, quantity, better, paper, figures, seconds));
            };
            // Networks that learned from few images are not measured by the same as those that learned from all.
            let quantity = if row.shots.is_none() { "test accuracy, %" } else { "test accuracy from few images, %" };
            add(quantity, Better::More, row.paper, runs.iter().map(|run| run.accuracy).collect());
            if row.non_negative && row.shots.is_none() {
                let zeros = runs.iter().map(|run| run.zeros).collect();
                add("zero hidden weights, %", Better::Nearer, row.paper_zeros, zeros);
            }
            for (which, quantity) in
                ["distance of a lognormal from the weights", "distance of an exponential of a power from the weights"]
                    .into_iter()
                    .enumerate()
            {
                let figures: Option<Vec<f64>> = runs.iter().map(|run| Some(run.fits?[which].distance)).collect();
                if let Some(figures) = figures {
                    add(quantity, Better::Less, None, figures);
                }
            }
            for (attack, quantity) in
                ["test accuracy under FGSM, epsilon 0.1, %", "test accuracy under PGD, epsilon 0.1, %"]
                    .into_iter()
                    .enumerate()
            {
                let figures: Option<Vec<f64>> = runs.iter().map(|run| Some(run.attacked?[attack][COMPARED])).collect();
                if let Some(figures) = figures {
                    add(quantity, Better::More, None, figures);
                }
            }
            if let Some(figures) = runs.iter().map(|run| kept(run)).collect() {
                // "Stable" is all of it, or nearly: a tenth less is nearer to that than to the falls of the others.
                let paper = (row.name == "nn-hebbian-bp").then_some(100.0);
                add("accuracy kept under PGD, epsilon 0.1, % of that without", Better::Nearer, paper, figures);
            }
            for lead in LEADS.iter().filter(|lead| lead.row == row.name) {
                let of_seed = |seed| self.runs.iter().find(|run| run.row.name == lead.other && run.seed == seed);
                let by = |run: &&Run| Some((lead.figure)(run)? - (lead.figure)(of_seed(run.seed)?)?);
                let figures: Vec<f64> = runs.iter().filter_map(by).collect();
                if !figures.is_empty() {
                    add(lead.quantity, Better::More, Some(lead.least), figures);
                }
            }
        }
        outcomes
    }
}

/// Trains every row and measures it on the test images.
///
/// The result depends on options and data alone: never on threads, instruction set or interruptions of others.
///
/// # Errors
/// [`Error::Setting`] for no runs or an unknown row, and whatever training reports.
pub fn reproduce(
    context: &mut Context,
    data: &Split,
    options: &Options,
    observer: &mut StageObserver<'_, Row>,
) -> Result<Report> {
    let rows = rows(options.images);
    experiment::check(options.runs, &options.only, rows.iter().map(|row| row.name))?;
    let wanted: Vec<Row> = rows.iter().copied().filter(|row| experiment::wanted(&options.only, row.name)).collect();
    let mut report = Report { images: options.images, runs: Vec::new(), interrupted: false };
    let all = wanted.len() * options.runs;
    for (run, seed) in experiment::seeds(options.seed, options.runs).enumerate() {
        let mut previous: Option<Any> = None;
        for &row in &wanted {
            let start = Instant::now();
            let stage = Stage { row, seed, done: report.runs.len(), all };
            let observer = &mut |progress: &Progress<'_>| observer(&stage, progress);
            let few;
            let train = match row.shots {
                None => &data.train,
                Some(shots) => {
                    let stream = Stream::new(seed, "few shots");
                    few = data.train.subset(&batches::per_class(
                        data.train.labels(),
                        data.train.classes(),
                        shots,
                        stream,
                    )?)?;
                    // The layers before learned from other images.
                    previous = None;
                    &few
                }
            };
            let mut trained = untrained(&row, options.images, seed, train, previous.take())?;
            let learner = trained.learner();
            // An epoch of few images is a step or two: to watch every one would take longer than all else.
            let monitor = row.shots.is_none().then_some(&data.test);
            if learner.train(context, train, monitor, observer)?.is_break() {
                report.interrupted = true;
                return Ok(report);
            }
            // The paper's figures 3 and 4 are of MNIST.
            let (mut attacked, mut fitted) = (None, None);
            if ATTACKED.contains(&row.name) && options.images != Images::Cifar10 {
                attacked = Some(under_attack(context, trained.differentiable(), &data.test, options.images)?);
                fitted = fits(&*trained.learner())?;
            }
            let learner = trained.learner();
            report.runs.push(Run {
                row,
                attacked,
                fits: fitted,
                seed,
                kind: learner.kind(),
                config: learner.config_toml(),
                accuracy: 100.0 * learner.accuracy(context, &data.test)?,
                zeros: 100.0 * learner.zero_share(),
                seconds: start.elapsed().as_secs_f64(),
                curve: learner.curve().to_vec(),
                fields: (run == 0).then(|| learner.receptive_fields()),
            });
            previous = Some(trained);
        }
    }
    Ok(report)
}

/// Distributions of a network's first hidden weights; none if hardly any is seen.
fn fits(network: &dyn Learner) -> Result<Option<[Fit; 2]>> {
    let seen = seen(network.receptive_fields().view());
    if seen.len() < 100 {
        return Ok(None);
    }
    Ok(Some([fit(&seen, (SEEN, 1.0), Family::LogNormal)?, fit(&seen, (SEEN, 1.0), Family::Exponential)?]))
}

/// Accuracies in per cent under each attack, on images from all over the test set.
fn under_attack(
    context: &mut Context,
    network: &dyn Differentiable,
    test: &Dataset,
    images: Images,
) -> Result<[[f64; EPSILONS.len()]; ATTACKS.len()]> {
    let most = if images == Images::Embedded { 100 } else { 1000 };
    let every: Vec<u32> = (0..test.len() as u32).step_by(test.len().div_ceil(most).max(1)).collect();
    let attacked = test.subset(&every)?;
    let mut accuracies = [[0.0; EPSILONS.len()]; ATTACKS.len()];
    for ((_, attack), accuracies) in ATTACKS.iter().zip(&mut accuracies) {
        for (epsilon, accuracy) in EPSILONS.iter().zip(accuracies) {
            *accuracy = 100.0 * accuracy_under(context, network, &attacked, *attack, *epsilon)?;
        }
    }
    Ok(accuracies)
}

/// A learner of known kind.
enum Any {
    Hebbian(Network),
    KrotovHopfield(krotov_hopfield::Network),
    Backprop(backprop::Network),
    Softmax(softmax::Network),
}

impl Any {
    fn differentiable(&self) -> &dyn Differentiable {
        match self {
            Any::Hebbian(network) => network,
            Any::KrotovHopfield(network) => network,
            Any::Backprop(network) => network,
            Any::Softmax(network) => network,
        }
    }

    fn learner(&mut self) -> &mut dyn Learner {
        match self {
            Any::Hebbian(network) => network,
            Any::KrotovHopfield(network) => network,
            Any::Backprop(network) => network,
            Any::Softmax(network) => network,
        }
    }
}

/// The network of a row, before training. If the row trained just before has the hidden layers this one needs, they are
/// taken over: the same streams would train them to the same bits.
fn untrained(row: &Row, images: Images, seed: u64, data: &Dataset, previous: Option<Any>) -> Result<Any> {
    let (inputs, classes) = (data.pixels(), data.classes());
    let few = row.shots.map(|_| data.len());
    let hebbian = |mut config: Config| {
        if let Some(images) = few {
            of_few(images, &mut config.hidden.batch, &mut config.hidden.epochs);
            if let Output::Backpropagation(output) = &mut config.output {
                of_few(images, &mut output.batch, &mut output.epochs);
            }
        }
        let reused = match &previous {
            Some(Any::Hebbian(network)) if shares_hidden(network.config(), &config) => {
                network.with_output(config.reading, config.output)
            }
            _ => Network::new(config, inputs, classes),
        };
        reused.map(Any::Hebbian)
    };
    let krotov_hopfield = |mut config: krotov_hopfield::Config| {
        if let Some(images) = few {
            of_few(images, &mut config.batch, &mut config.epochs);
            of_few(images, &mut config.output.batch, &mut config.output.epochs);
        }
        let reused = match &previous {
            Some(Any::KrotovHopfield(network)) if shares_units(network.config(), &config) => {
                network.with_reading(config.reading, config.output)
            }
            _ => krotov_hopfield::Network::new(config, inputs, classes),
        };
        reused.map(Any::KrotovHopfield)
    };
    let backprop = |mut config: backprop::Config| {
        if let Some(images) = few {
            of_few(images, &mut config.batch, &mut config.epochs);
        }
        backprop::Network::new(config, inputs, classes).map(Any::Backprop)
    };
    let (name, non_negative) = (row.name, row.non_negative);
    // Few images are learned by the recipes for the embedded ones.
    let images = if few.is_some() { Images::Embedded } else { images };
    let rule = name.trim_start_matches("nn-").split('-').next().unwrap_or(name);
    match rule {
        "softmax" => softmax::Network::new(softmax_recipe(images, seed), inputs, classes).map(Any::Softmax),
        "hebbian" if name.ends_with("-wp-printed") => hebbian(printed_recipe(images, seed, non_negative)),
        "hebbian" if name.ends_with("-wp") => hebbian(perturbation_recipe(images, seed, non_negative)),
        "hebbian" => hebbian(hebbian_recipe(images, seed, non_negative, row.layers)),
        "kh" => {
            let power = !name.ends_with("-relu");
            krotov_hopfield(krotov_hopfield_recipe(images, seed, non_negative, power, row.layers))
        }
        "bp" => backprop(backprop_recipe(images, seed, non_negative, row.layers)),
        _ => Err(Error::setting("row", "a row of table 1", name)),
    }
}

fn shares_hidden(a: &Config, b: &Config) -> bool {
    (&a.hidden, &a.layers, a.seed, a.non_negative, a.mode) == (&b.hidden, &b.layers, b.seed, b.non_negative, b.mode)
}

fn shares_units(a: &krotov_hopfield::Config, b: &krotov_hopfield::Config) -> bool {
    *a == krotov_hopfield::Config { reading: a.reading, output: a.output.clone(), ..b.clone() }
}

/// Where the recipes depart from the paper as printed: what a reader of the table must know.
pub const DEPARTURES: [&str; 13] = [
    "Hidden layers learn by rule (1) with the mean over batches of 500 (quick: 50) and a rate falling linearly to zero, from 0.02 with \
     plain ReLU and from the paper's 5e-4 in the non-negative setting; the paper gives neither batch nor schedule.",
    "Without the non-negativity constraint the hidden layer learns with plain ReLU, as printed, but the output layer reads it through rule \
     (6) (z-score of the magnitudes of a sample, then ReLU). With plain ReLU read-outs reach some half (backpropagation) to one per cent \
     (weight perturbation) less.",
    "Rule (6) does not rescale activities to [0, 1]: what reads them is trained on features scaled by one number of its own.",
    "Backpropagation's hidden weights begin as He's Gaussians, not as the paper's (standard deviation 0.01, or uniform in [0.01, 0.1]). \
     Krotov and Hopfield's rows keep hidden weights alone at zero or above, not their read-out's; in the quick run they have 400 units.",
    "Figure 3: distributions are fitted by maximum likelihood to the weights from 0.005 of the largest on, as truncated there; their distance is \
     Kolmogorov's. The paper draws its fits, and gives neither method nor figures.",
    "Figure 4: attacks see the whole network; of the test set every tenth image is attacked (quick: 100 images). Networks that learn from \
     few images have the recipes of the quick run, with as many steps; which images, the seed says. The paper names neither subsets nor epochs. \
     Where it has a range or a word in place of a figure, the table compares with a bound: from one image a class 45 for this rule and 20 for \
     Krotov and Hopfield's; 'stable' is 100 % of the accuracy kept, and counts as reached from 90 % on.",
    "Five and ten layers learn at a tenth of the rate, 5e-5, and perceptrons of as many for five epochs. The paper gives no sizes of its deep \
     networks; layers have 2000 units here.",
    "On CIFAR-10 this rule learns at 2e-3 and, non-negative, 1e-4 (its images are eight times as long, squared), Krotov and Hopfield's with p = 2, \
     k = 2, delta = 0.2 and a read-out of the power 2, backpropagation at 3e-4.",
    "Outputs by weight perturbation are trained on frozen hidden layers, on features scaled by one number to a mean square length of one.",
    "The reward of weight perturbation is measured in its own running root mean square, with a rate falling linearly from 0.1 in that unit; \
     eight perturbations are drawn for each batch of 500 (quick: 200). On plain ReLU features and validation images, 20,000 batches \
     reached 91.6 % with the best constant rate and one draw for a batch of 2000, 92.4 % with the reward normalised, 93.4 % with \
     eight draws for a batch of 500 as well; the rate as printed (eta^2 beta = 0.022) is slower still.",
    "The Hebbian part of rule (4) is off (alpha = 0): on validation images it cost non-negative outputs 0.2 to two per cent.",
    "The bias follows rule (5) with the batch's own class shares in place of 1/K.",
    "The rows 'as printed' depart in none of this: algorithm 1, one draw for each class-balanced batch of 2000, plain rewards, alpha = 0.04, beta = 87500, \
     every rate constant and, in the non-negative network, activities rescaled to [0, 1]. What the paper does not print is as elsewhere: the hidden \
     layer takes the mean over the batch, rule (6) its statistics over the units of a sample. They end after 1,200 batches, some minutes, where the \
     paper trains to saturation; in the quick run after 60 batches of 200, at 23.8 and, non-negative, 24.8 % (seed 0), and rise further: after 100 \
     they are at 30.2 and 31.9 %.",
];

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::datasets::{Shape, embedded};

    #[test]
    fn rows_have_names_of_their_own_and_recipes_that_are_valid() {
        let data = embedded().train;
        for images in [Images::Embedded, Images::Mnist, Images::Cifar10] {
            for (index, row) in rows(images).iter().enumerate() {
                assert!(rows(images)[..index].iter().all(|other| other.name != row.name));
                assert_eq!(row.non_negative, row.name.starts_with("nn-"));
                assert_eq!(row.shots.is_some(), row.name.contains("-shot"));
                let mut network = untrained(row, images, 3, &data, None).unwrap();
                let config = network.learner().config_toml();
                assert!(config.contains("seed = 3"), "{config}");
            }
        }
    }

    /// A run of a row without its training.
    fn run(name: &str, seed: u64, accuracy: f64, projected: Option<[f64; EPSILONS.len()]>) -> Run {
        Run {
            row: *ROWS.iter().find(|row| row.name == name).unwrap(),
            seed,
            kind: "hebbian",
            config: String::new(),
            accuracy,
            zeros: 90.0,
            seconds: 1.0,
            curve: Vec::new(),
            attacked: projected.map(|projected| [[50.0; EPSILONS.len()], projected]),
            fits: None,
            fields: None,
        }
    }

    #[test]
    fn claims_beyond_the_table_have_the_papers_figures() {
        assert_eq!(EPSILONS[COMPARED], 0.1);
        for lead in LEADS {
            assert!([lead.row, lead.other].iter().all(|name| ROWS.iter().any(|row| row.name == *name)));
        }
        let runs = vec![
            run("nn-hebbian-bp", 0, 97.0, Some([97.0, 90.0, 80.0, 29.1, 5.0, 0.0])),
            run("nn-kh-power", 0, 98.0, Some([98.0, 90.0, 80.0, 58.8, 5.0, 0.0])),
            run("nn-hebbian-bp-1-shot", 0, 44.0, None),
            run("nn-kh-power-1-shot", 0, 46.0, None),
            run("nn-hebbian-bp-1-shot", 1, 47.0, None),
            // Of seed 2 there is nothing to compare.
            run("nn-kh-power-1-shot", 2, 90.0, None),
        ];
        let report = Report { images: Images::Mnist, runs, interrupted: false };
        let outcomes = report.outcomes();
        let find = |words: &str, quantity: &str| {
            let alike = |o: &&Outcome| o.experiment.contains(words) && o.quantity.starts_with(quantity);
            outcomes.iter().find(alike).unwrap_or_else(|| panic!("{words}: {quantity}"))
        };
        let few = find("1 image a class: this rule", "test accuracy");
        assert_eq!((few.quantity.as_str(), few.paper), ("test accuracy from few images, %", Some(45.0)));
        assert_eq!(find("1 image a class: Krotov", "test accuracy").paper, Some(20.0));
        let lead = find("1 image a class: this rule", "lead over Krotov");
        assert_eq!((lead.better, lead.paper, &lead.runs), (Better::More, Some(25.0), &vec![-2.0]));
        let stable = find("this rule, 1 layer", "accuracy kept");
        assert_eq!((stable.better, stable.paper), (Better::Nearer, Some(100.0)));
        assert!((stable.ours - 30.0).abs() < 1e-9, "{}", stable.ours);
        assert_eq!(find("Krotov-Hopfield, 1 layer", "accuracy kept").paper, None);
        let lead = find("this rule, 1 layer", "lead over Krotov");
        assert!((lead.ours + 30.0).abs() < 1e-9 && lead.paper == Some(0.0), "{lead:?}");
        assert!(!outcomes.iter().any(|o| o.quantity.starts_with("lead over backprop")), "nothing to compare with");
    }

    #[test]
    fn interruption_keeps_what_was_finished() {
        let (mut context, split) = (Context::new().unwrap(), embedded());
        let only = vec!["softmax".to_owned(), "bp".to_owned()];
        let options = Options { runs: 1, seed: 5, only, ..Options::new(Images::Embedded) };
        let mut stages = Vec::new();
        let report = reproduce(&mut context, &split, &options, &mut |stage, _| {
            stages.push(stage.row.name);
            if stage.row.name == "bp" { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let report = report.unwrap();
        assert!(report.interrupted);
        assert_eq!(stages.iter().filter(|&&name| name == "bp").count(), 1, "one step and no more");
        let outcomes = report.outcomes();
        assert_eq!(outcomes.len(), 1);
        assert!(outcomes[0].ours > 85.0, "softmax regression reaches {}", outcomes[0].ours);
        assert_eq!(report.runs[0].receptive_fields().unwrap().rows(), 10);
        assert_eq!(report.runs[0].curve.last().unwrap().accuracy.map(|a| 100.0 * a), Some(outcomes[0].ours));
    }

    #[test]
    fn colour_images_have_rows_of_their_own() {
        // Every class has a brightness of its own.
        let pixels: Vec<u8> = (0..40 * 3072).map(|at| (20 * (at / 3072 % 10) + at % 20) as u8).collect();
        let labels = (0..40).map(|at| at % 10).collect();
        let images = Dataset::new(pixels, labels, Shape::new(3, 32, 32).unwrap(), 10).unwrap();
        let split = Split { train: images.clone(), test: images };
        let mut context = Context::new().unwrap();
        let mut options = Options { only: vec!["softmax".into()], ..Options::new(Images::Cifar10) };
        let mut go = |_: &Stage<Row>, _: &Progress<'_>| ControlFlow::Continue(());
        let outcomes = reproduce(&mut context, &split, &options, &mut go).unwrap().outcomes();
        assert_eq!(outcomes[0].experiment, "CIFAR-10: softmax regression on pixels");
        assert!(outcomes[0].ours > 10.0, "{}", outcomes[0].ours);
        // The paper has several layers on MNIST alone.
        options.only = vec!["bp-2".into()];
        let error = reproduce(&mut context, &split, &options, &mut go).unwrap_err().to_string();
        assert!(error.contains("bp-2") && error.contains("kh-power"), "{error}");
    }

    #[test]
    fn unknown_rows_and_no_runs_are_refused() {
        let (mut context, split) = (Context::new().unwrap(), embedded());
        let mut go = |_: &Stage<Row>, _: &Progress<'_>| ControlFlow::Continue(());
        for options in [
            Options { only: vec!["kh".into()], ..Options::new(Images::Embedded) },
            Options { runs: 0, ..Options::new(Images::Embedded) },
        ] {
            let error = reproduce(&mut context, &split, &options, &mut go).unwrap_err();
            assert!(matches!(error, Error::Setting { .. }), "{error}");
        }
    }
}
