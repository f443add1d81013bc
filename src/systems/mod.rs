//! The learning systems of the papers, with their configuration, training loops and checkpoints.
//!
//! Every system is a [`Learner`]: a value that holds its whole state, trains in small steps, reports each to an
//! observer, can be stopped after any of them, saved, loaded and continued *bit for bit*. Random numbers are named by
//! (seed, purpose, step) and never drawn from a running generator, so that the state is weights, optimiser moments and
//! counters; and every kernel gives the same bits on any number of threads, so that a training run does too.

pub mod baselines;
pub mod checkpoint;
mod differentiable;
pub mod evolution;
pub mod experiment;
pub(crate) mod features;
pub mod hebbian;
pub mod hierarchy;
pub(crate) mod journal;
pub mod organism;
pub mod read_out;
#[doc(hidden)]
pub mod replace;
pub(crate) mod settings;

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

pub use self::differentiable::Differentiable;
pub use self::settings::LONGEST_CONFIG;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::datasets::{Dataset, Scaling};
use crate::error::{Error, Result};
use crate::kernels::loss::{argmax, count_right};
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::simd::Isa;

/// What a learner tells its observer after every step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress<'a> {
    /// The phase of training: `hidden 1`, `output`, `joint`.
    pub phase: &'a str,
    /// Steps done in this phase.
    pub step: u64,
    /// Steps of this phase in all.
    pub steps: u64,
    /// Mean loss of the step's batch, where the step has one (Hebbian layers have none).
    pub loss: Option<f64>,
    /// Share of the monitor's images classified correctly (0 to 1), at the end of epochs and if there is a monitor.
    pub accuracy: Option<f64>,
    /// Whether a `Break` here loses nothing. A hierarchy trains by whole epochs: one that is broken off begins anew.
    pub whole: bool,
}

/// Called after every step; `Break` stops the training there and leaves a state that can be saved and continued.
pub type Observer<'a> = dyn FnMut(&Progress<'_>) -> ControlFlow<()> + 'a;

/// One point of a learning curve.
#[derive(Clone, Debug, PartialEq)]
pub struct CurvePoint {
    /// The phase of training.
    pub phase: Arc<str>,
    /// Steps done in this phase.
    pub step: u64,
    /// Mean loss over the steps since the point before, where the phase has a loss.
    pub loss: Option<f64>,
    /// Share of the monitor's images classified correctly (0 to 1), if there was a monitor.
    pub accuracy: Option<f64>,
}

/// How a learning rate develops over a phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// The same at every step.
    Constant,
    /// Falling linearly, to reach zero one step after the last.
    #[default]
    Linear,
}

impl Schedule {
    /// The factor on the rate at `step` (from 0) of `steps`.
    ///
    /// ```
    /// use neuropil::systems::Schedule;
    /// assert_eq!(Schedule::Linear.factor(3, 4), 0.25);
    /// assert_eq!(Schedule::Constant.factor(3, 4), 1.0);
    /// ```
    pub fn factor(self, step: u64, steps: u64) -> f64 {
        match self {
            Schedule::Constant => 1.0,
            Schedule::Linear => 1.0 - step as f64 / steps.max(1) as f64,
        }
    }
}

/// Images handed to a network at once when it is evaluated, and the batch over which
/// [`Axis::Unit`](crate::kernels::activation::Axis) and `Axis::Whole` take their statistics then.
pub const EVALUATION_BATCH: usize = 1000;

/// A state that no file can hold, said of the file that was to hold it.
fn of_file(error: Error, path: &Path) -> Error {
    match error {
        Error::Format { offset, expected, found, .. } => {
            Error::Format { origin: path.display().to_string(), offset, expected, found }
        }
        other => other,
    }
}

/// A system that learns to classify images: its whole state, and how it goes on from there.
///
/// Shapes: images are rows of `inputs` values in 0 to 1, logits are rows of `classes` values.
///
/// Threads may share one, and ask it with a [`Context`] each. It is not meant to be implemented outside this crate: any version may add
/// methods that have to be there.
///
/// ```
/// use std::{sync::Arc, thread};
/// use neuropil::systems::{Learner, checkpoint, hebbian};
/// use neuropil::{Context, Matrix};
///
/// let network = hebbian::Network::new(hebbian::Config { layers: vec![20], ..Default::default() }, 784, 10)?;
/// let state = network.to_bytes()?; // in memory; `save` writes the same to a file
/// let learner: Arc<dyn Learner> = checkpoint::parse(state, "memory")?.into();
/// let mut logits = Matrix::zeros(2, 10);
/// thread::scope(|scope| {
///     for rows in logits.view_mut().row_blocks(1) {
///         let learner = Arc::clone(&learner);
///         scope.spawn(move || learner.predict(&mut Context::new().unwrap(), Matrix::zeros(1, 784).view(), rows));
///     }
/// });
/// # Ok::<(), neuropil::Error>(())
/// ```
pub trait Learner: Send + Sync + Debug {
    /// The system's name, as on the command line: `hebbian`, `hierarchy`, `organism`, `evolution`, `dopaminergic`,
    /// `krotov-hopfield`, `backprop`, `softmax`.
    fn kind(&self) -> &'static str;

    /// Values of one image.
    fn inputs(&self) -> usize;

    /// Number of classes.
    fn classes(&self) -> usize;

    /// Trains from the current state to the end of the configured schedule, or until the observer says `Break`. One that is
    /// [`finished`](Self::finished) is left as it is; to train them further, Hebbian networks, baselines and populations have `extended`,
    /// which makes the schedule longer.
    ///
    /// `monitor` is only looked at: accuracies on it go into the learning curve and never influence training.
    /// The result has the same bits however often training was interrupted, saved and loaded, on any number of
    /// threads.
    ///
    /// # Errors
    /// [`Error::Setting`] if the data have another image size or number of classes than this learner was made
    /// for, or other images than it began with, be they as many, or a class without images where batches are balanced.
    /// [`Error::Format`] if the data lie in a file that was cut off since it was opened. If it is the monitor's, the step after which it was to be
    /// looked at counts, without an accuracy, and training can go on from there.
    fn train(
        &mut self,
        context: &mut Context,
        data: &Dataset,
        monitor: Option<&Dataset>,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>>;

    /// Whether the whole schedule has been trained.
    fn finished(&self) -> bool;

    /// Logits `[batch, classes]` of images `[batch, inputs]`.
    ///
    /// An image's logits do not depend on the images beside it, but for a Hebbian network whose activation takes its
    /// statistics over the batch ([`Axis`](hebbian::Axis) `Unit` or `Whole`): ask it for [`EVALUATION_BATCH`] images at once.
    ///
    /// # Panics
    /// If the shapes disagree with each other or with the network.
    fn predict(&self, context: &mut Context, images: MatRef<'_>, logits: MatMut<'_>);

    /// The share of images classified correctly, 0 to 1; ties go to the lower class, and logits with a NaN are wrong.
    ///
    /// # Errors
    /// [`Error::Setting`] if the data have another image size or number of classes,
    /// [`Error::Format`] if they lie in a file that was cut off since it was opened.
    fn accuracy(&self, context: &mut Context, data: &Dataset) -> Result<f64> {
        self.sees(data)?;
        settings::fits(data, self.inputs(), self.classes())?;
        evaluate(context, data, self.classes(), |context, images, logits| self.predict(context, images, logits))
    }

    /// Checks that images are as this learner sees them: of as many values and, for those that go by rows and columns (hierarchies, organisms), of
    /// the same shape.
    ///
    /// # Errors
    /// [`Error::Setting`] if they are not.
    fn sees(&self, data: &Dataset) -> Result<()> {
        settings::same_size(data, self.inputs())
    }

    /// The class of each image, that of its largest logit, the lowest of equals; none where a logit is NaN. Labels are not looked at.
    ///
    /// # Errors
    /// As [`sees`](Self::sees), and [`Error::Format`] if the data lie in a file that was cut off since it was opened.
    fn classify(&self, context: &mut Context, data: &Dataset) -> Result<Vec<Option<u8>>> {
        self.sees(data)?;
        classes_of(context, data, self.classes(), |context, images, logits| self.predict(context, images, logits))
    }

    /// The whole state as the bytes of a file, which [`checkpoint::parse`] reads; see [`checkpoint`].
    ///
    /// # Errors
    /// [`Error::Format`] for a state that no file can hold.
    fn to_bytes(&self) -> Result<Vec<u8>>;

    /// Saves the whole state, atomically; see [`checkpoint`].
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written, [`Error::Setting`] if the path does not
    /// end with a name, [`Error::Format`] for a state that no file can hold; a file of that name is then as it was.
    /// Where the action is `flush` on the folder, the new file is there, but a power cut may still bring back the old one.
    fn save(&self, path: &Path) -> Result<()> {
        replace::replace(path, &self.to_bytes().map_err(|error| of_file(error, path))?)
    }

    /// The same where nothing has that name yet: of several who save there at once, one succeeds.
    ///
    /// # Errors
    /// As [`save`](Self::save), and [`Error::Io`] of [`ErrorKind::AlreadyExists`](std::io::ErrorKind::AlreadyExists) if something is there.
    fn save_new(&self, path: &Path) -> Result<()> {
        replace::create(path, &self.to_bytes().map_err(|error| of_file(error, path))?)
    }

    /// The learning curve so far.
    fn curve(&self) -> &[CurvePoint];

    /// The configuration as TOML.
    fn config_toml(&self) -> String;

    /// Weights of a hidden layer, from 0: `[inputs, units]`, but `[units, inputs]` for Krotov and Hopfield's network; of a hierarchy
    /// or an organism as their types say.
    fn weights(&self, layer: usize) -> Option<MatRef<'_>>;

    /// The first hidden layer's weights as `[units, inputs]`, an image a unit; for a network without hidden layers the
    /// classes' weights. A hierarchy's and an organism's are no images: see their types.
    fn receptive_fields(&self) -> Matrix;

    /// The share of hidden weights that are exactly zero, 0 to 1 (0 without hidden layers).
    fn zero_share(&self) -> f64 {
        self.faint_share(0.0)
    }

    /// The share of hidden weights whose magnitude is at most this part of the largest in their layer, 0 to 1 (0 without hidden layers).
    /// Rules that shrink weights by factors bring them near zero and not to it.
    fn faint_share(&self, part: f32) -> f64 {
        let (mut faint, mut all) = (0usize, 0usize);
        for weights in (0..).map_while(|layer| self.weights(layer)) {
            let magnitudes = || weights.iter_rows().flatten().map(|w| w.abs());
            // Zero times an infinite weight would be no number.
            let most = if part > 0.0 { part * magnitudes().fold(0.0, f32::max) } else { 0.0 };
            faint += magnitudes().filter(|&w| w <= most).count();
            all += weights.rows() * weights.cols();
        }
        faint as f64 / all.max(1) as f64
    }
}

/// What initial weights are drawn by: on the instruction set that the environment names if it can be had, on the best one else. The bits are
/// those of any, so nobody has to hear of it.
pub(crate) fn drawing() -> Context {
    let isa = Isa::from_environment().unwrap_or_else(|_| Isa::best());
    Context::on(isa).expect("a set that was found on this CPU")
}

/// Classifies a whole set in blocks of [`EVALUATION_BATCH`].
pub(crate) fn evaluate(
    context: &mut Context,
    data: &Dataset,
    classes: usize,
    mut predict: impl FnMut(&mut Context, MatRef<'_>, MatMut<'_>),
) -> Result<f64> {
    evaluate_changed(context, data, classes, |context, images, _, logits| {
        predict(context, images.as_ref(), logits);
        Ok(())
    })
}

/// The same where `predict` sees the labels too, and may change the images or fail.
pub(crate) fn evaluate_changed(
    context: &mut Context,
    data: &Dataset,
    classes: usize,
    mut predict: impl FnMut(&mut Context, MatMut<'_>, &[u8], MatMut<'_>) -> Result<()>,
) -> Result<f64> {
    let mut correct = 0usize;
    in_blocks(context, data, classes, |context, images, labels, mut logits| {
        predict(context, images, labels, logits.reborrow())?;
        correct += count_right(logits.as_ref(), labels);
        Ok(())
    })?;
    Ok(correct as f64 / data.len() as f64)
}

/// The class of each image of a whole set, none where a logit is NaN.
pub(crate) fn classes_of(
    context: &mut Context,
    data: &Dataset,
    classes: usize,
    mut predict: impl FnMut(&mut Context, MatRef<'_>, MatMut<'_>),
) -> Result<Vec<Option<u8>>> {
    let mut found = Vec::with_capacity(data.len());
    in_blocks(context, data, classes, |context, images, _, mut logits| {
        predict(context, images.as_ref(), logits.reborrow());
        let class = |row: &[f32]| (!row.iter().any(|value| value.is_nan())).then_some(argmax(row) as u8);
        found.extend(logits.as_ref().iter_rows().map(class));
        Ok(())
    })?;
    Ok(found)
}

/// Hands over a whole set in blocks of [`EVALUATION_BATCH`]: images, labels, and room for logits.
fn in_blocks(
    context: &mut Context,
    data: &Dataset,
    classes: usize,
    mut each: impl FnMut(&mut Context, MatMut<'_>, &[u8], MatMut<'_>) -> Result<()>,
) -> Result<()> {
    let block = EVALUATION_BATCH.min(data.len());
    let mut images = Matrix::zeros(block, data.pixels());
    let mut logits = Matrix::zeros(block, classes);
    let all: Vec<u32> = (0..data.len() as u32).collect();
    for indices in all.chunks(block.max(1)) {
        let mut images = images.view_mut().split_rows(indices.len()).0;
        let logits = logits.view_mut().split_rows(indices.len()).0;
        data.gather(context, indices, Scaling::UNIT, images.reborrow())?;
        let labels = &data.labels()[indices[0] as usize..][..indices.len()];
        each(context, images, labels, logits)?;
    }
    Ok(())
}

/// What makes a figure better than another of the same quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// More: accuracies.
    More,
    /// Less: errors.
    Less,
    /// Neither: what counts is how near it is to the paper's.
    Nearer,
}

/// One row of a reproduction: the paper's figure beside ours.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The system: `hebbian`.
    pub system: &'static str,
    /// What was trained, on what.
    pub experiment: String,
    /// What was measured, with its unit.
    pub quantity: String,
    /// Whether more of it is better.
    pub better: Better,
    /// The paper's figure, if it has one.
    pub paper: Option<f64>,
    /// Our mean over the runs, or their median where the quantity says so.
    pub ours: f64,
    /// Sample standard deviation over the runs, or half the interquartile range beside a median; 0 for one run.
    pub spread: f64,
    /// Every run's figure, in order of the seeds.
    pub runs: Vec<f64>,
    /// Time of all runs together, from where each began or went on; a hierarchy's from its beginning.
    pub seconds: f64,
}

impl Outcome {
    /// The outcome of these runs.
    #[doc(hidden)]
    pub fn new(
        system: &'static str,
        experiment: impl Into<String>,
        quantity: impl Into<String>,
        better: Better,
        paper: Option<f64>,
        runs: Vec<f64>,
        seconds: f64,
    ) -> Self {
        let n = runs.len() as f64;
        let ours = runs.iter().sum::<f64>() / n.max(1.0);
        let squares: f64 = runs.iter().map(|run| (run - ours).powi(2)).sum();
        let spread = if runs.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 };
        let (experiment, quantity) = (experiment.into(), quantity.into());
        Outcome { system, experiment, quantity, better, paper, ours, spread, runs, seconds }
    }

    /// The same with the median of the runs, and half the range between their quartiles, in place of mean and deviation.
    pub(crate) fn of_medians(self) -> Self {
        let mut sorted = self.runs.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * (sorted.len().max(1) - 1) as f64;
            let value = |place: f64| sorted.get(place as usize).copied().unwrap_or(f64::NAN);
            value(place.floor()) + place.fract() * (value(place.ceil()) - value(place.floor()))
        };
        Outcome { ours: at(0.5), spread: 0.5 * (at(0.75) - at(0.25)), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_stand_between_their_quartiles() {
        let of = |runs: &[f64]| {
            let outcome = Outcome::new("s", "e", "q", Better::More, None, runs.to_vec(), 0.0).of_medians();
            (outcome.ours, outcome.spread)
        };
        assert_eq!(of(&[9.0, 1.0, 2.0, 3.0, 100.0]), (3.0, 3.5));
        assert_eq!(of(&[1.0, 2.0]), (1.5, 0.25));
        assert_eq!(of(&[4.0]), (4.0, 0.0));
    }

    #[test]
    fn networks_that_no_memory_holds_are_refused() {
        use crate::systems::{baselines, evolution, hebbian};
        let wide = vec![1 << 20, 1 << 20];
        let config = hebbian::Config { layers: wide.clone(), ..Default::default() };
        let mut errors = vec![hebbian::Network::new(config, 784, 10).map(|_| ()).unwrap_err()];
        let config = baselines::backprop::Config { layers: wide, ..Default::default() };
        errors.push(baselines::backprop::Network::new(config, 784, 10).map(|_| ()).unwrap_err());
        let config = baselines::krotov_hopfield::Config { layers: vec![1 << 20], ..Default::default() };
        errors.push(baselines::krotov_hopfield::Network::new(config, 3072, 10).map(|_| ()).unwrap_err());
        let config = evolution::dopaminergic::Config { hidden: 1 << 22, ..Default::default() };
        errors.push(evolution::dopaminergic::Network::new(config, 784, 10).map(|_| ()).unwrap_err());
        errors.push(baselines::softmax::Network::new(Default::default(), 1 << 24, 256).map(|_| ()).unwrap_err());
        let population = |config: evolution::Config, inputs| evolution::Network::new(config, inputs, 10).map(|_| ());
        let config = evolution::Config { hidden: 1 << 20, edge_probability: 1e-9, genes: 1, ..Default::default() };
        errors.push(population(config, 1 << 16).unwrap_err());
        for error in errors {
            assert!(error.to_string().contains("at most 1073741824 weights in all"), "{error}");
        }
        let refused = |config, name: &str| {
            let error = population(config, 784).unwrap_err().to_string();
            assert!(error.contains(name), "{name}: {error}");
        };
        let config = evolution::Config::default();
        let (genes, many) = (1 << 20, 1 << 20);
        let sparse = evolution::Config { genes, population: many, density: 0.0, ..config.clone() };
        refused(sparse, "population x genes");
        // Few entries, but to find them every pair of link and gene is looked at.
        refused(evolution::Config { genes: 1 << 24, density: 1e-9, ..config.clone() }, "links x genes");
        let dense = evolution::Config { genes: 1 << 15, density: 1.0, ..config.clone() };
        refused(dense, "entries of the weight generation matrix");
        // Many times the paper's genes and genotypes, and all of its edges.
        let large = evolution::Config { genes: 40_000, population: 16_384, edge_probability: 1.0, ..config };
        population(large, 784).unwrap();
    }

    #[test]
    fn batches_that_no_memory_holds_are_refused() {
        use crate::systems::{baselines, hebbian};
        let batch = 1 << 20;
        let read_out = read_out::Config { batch, ..Default::default() };
        let hebbian = |config: hebbian::Config| hebbian::Network::new(config, 784, 10).map(|_| ()).unwrap_err();
        let hidden = hebbian::Hidden { batch, ..Default::default() };
        let output = hebbian::Output::Backpropagation(read_out.clone());
        let draws = hebbian::Draws::PerBatch(1024);
        let noisy = hebbian::Perturbation { draws, batch, ..Default::default() };
        let noisy = hebbian::Output::Perturbation(noisy);
        let mut errors = vec![
            hebbian(hebbian::Config { hidden, ..Default::default() }),
            hebbian(hebbian::Config { output, ..Default::default() }),
            hebbian(hebbian::Config { layers: vec![8], output: noisy, ..Default::default() }),
        ];
        let config = baselines::backprop::Config { batch, ..Default::default() };
        errors.push(baselines::backprop::Network::new(config, 784, 10).map(|_| ()).unwrap_err());
        let config = baselines::krotov_hopfield::Config { batch, ..Default::default() };
        errors.push(baselines::krotov_hopfield::Network::new(config, 784, 10).map(|_| ()).unwrap_err());
        let config = baselines::krotov_hopfield::Config { output: read_out.clone(), ..Default::default() };
        errors.push(baselines::krotov_hopfield::Network::new(config, 784, 10).map(|_| ()).unwrap_err());
        let config = baselines::softmax::Config { output: read_out, ..Default::default() };
        errors.push(baselines::softmax::Network::new(config, 3072, 10).map(|_| ()).unwrap_err());
        for error in errors {
            assert!(error.to_string().contains("at most 1073741824 values of a batch"), "{error}");
        }
        // Small batches, but as many values of noise as weights for each draw, or each sixteenth of the batch.
        for (draws, batch) in [(hebbian::Draws::PerBatch(1024), 1), (hebbian::Draws::PerSample, 500)] {
            let output = hebbian::Output::Perturbation(hebbian::Perturbation { draws, batch, ..Default::default() });
            let config = hebbian::Config { layers: vec![8, 1 << 19], feature_memory: 0, output, ..Default::default() };
            let error = hebbian::Network::new(config, 784, 256).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("at most 1073741824 values of noise"), "{error}");
        }
    }

    #[test]
    fn another_output_layer_is_held_to_what_memory_holds() {
        use crate::systems::{baselines::krotov_hopfield, hebbian};
        let data = crate::datasets::embedded().test;
        let mut context = Context::new().unwrap();
        let quick = read_out::Config { epochs: 1, batch: 500, ..Default::default() };
        let large = read_out::Config { batch: 1 << 20, ..quick.clone() };
        let output = hebbian::Output::Backpropagation(quick.clone());
        let hidden = hebbian::Hidden { epochs: 1, ..Default::default() };
        let config = hebbian::Config { layers: vec![1100], hidden, output, ..Default::default() };
        let mut network = hebbian::Network::new(config, 784, 10).unwrap();
        let mut go = |_: &Progress<'_>| ControlFlow::Continue(());
        let _ = network.train(&mut context, &data, None, &mut go).unwrap();
        let error = network.with_output(None, hebbian::Output::Backpropagation(large.clone())).unwrap_err().to_string();
        assert!(error.contains("1073741824 values of a batch"), "{error}");
        let config = krotov_hopfield::Config { layers: vec![1100], epochs: 1, output: quick, ..Default::default() };
        let mut network = krotov_hopfield::Network::new(config, 784, 10).unwrap();
        let _ = network.train(&mut context, &data, None, &mut go).unwrap();
        let error = network.with_reading(krotov_hopfield::Reading::Relu, large).unwrap_err().to_string();
        assert!(error.contains("1073741824 values of a batch"), "{error}");
    }

    #[test]
    fn threads_can_share_learners() {
        fn shared<T: Send + Sync + Debug + ?Sized>() {}
        shared::<dyn Learner>();
        shared::<dyn Differentiable>();
        shared::<hebbian::Compressed>();
    }

    #[test]
    fn baselines_go_on_where_rates_are_constant() {
        use crate::systems::baselines::{backprop, krotov_hopfield, softmax};
        let data = differentiable::tests::data();
        let (inputs, classes) = (differentiable::tests::INPUTS, differentiable::tests::CLASSES);
        fn train<N: Learner>(mut network: N, data: &Dataset) -> N {
            let flow =
                network.train(&mut Context::new().unwrap(), data, Some(data), &mut |_| ControlFlow::Continue(()));
            assert!(flow.unwrap().is_continue());
            network
        }
        let read_out =
            |schedule, epochs| read_out::Config { schedule, batch: 4, epochs, ..read_out::Config::default() };
        let hidden = |schedule, epochs| backprop::Config {
            layers: vec![5],
            schedule,
            batch: 4,
            epochs,
            ..backprop::Config::default()
        };
        let krotov_hopfield = |schedule, epochs| krotov_hopfield::Config {
            layers: vec![7],
            batch: 4,
            epochs: 2,
            output: read_out(schedule, epochs),
            ..krotov_hopfield::Config::default()
        };
        let softmax =
            |schedule, epochs| softmax::Config { output: read_out(schedule, epochs), ..softmax::Config::default() };
        macro_rules! check {
            ($network:ty, $config:expr) => {
                let new = |schedule, epochs| <$network>::new($config(schedule, epochs), inputs, classes).unwrap();
                let first = train(new(Schedule::Constant, 1), &data);
                let whole = train(new(Schedule::Constant, 3), &data);
                let extended = first.clone().extended($config(Schedule::Constant, 3)).unwrap();
                assert!(!extended.finished());
                assert_eq!(train(extended, &data), whole);
                assert!(whole.extended($config(Schedule::Constant, 1)).is_err());
                let other = {
                    let mut config = $config(Schedule::Constant, 3);
                    config.seed = 1;
                    config
                };
                let error = first.extended(other).unwrap_err().to_string();
                assert!(error.contains("but for the length of its last phase"), "{error}");
                let error = new(Schedule::Linear, 1).extended($config(Schedule::Linear, 3)).unwrap_err().to_string();
                assert!(error.contains("constant rates"), "{error}");
            };
        }
        check!(backprop::Network, hidden);
        check!(krotov_hopfield::Network, krotov_hopfield);
        check!(softmax::Network, softmax);
    }

    #[test]
    fn a_step_counts_even_if_the_monitor_can_no_longer_be_read() {
        use crate::datasets::{Shape, tests::cut_off};
        use crate::systems::baselines::{backprop, krotov_hopfield, softmax};
        use crate::systems::evolution::{self, dopaminergic};
        use crate::systems::hebbian;
        let mut pixels = vec![0.0; 30 * 3072];
        crate::random::Stream::new(5, "pixels").uniform(0.0, 256.0, &mut pixels);
        let pixels: Vec<u8> = pixels.into_iter().map(|pixel| pixel as u8).collect();
        let labels = (0..30).map(|image| image % 10).collect();
        let data = Dataset::new(pixels, labels, Shape::new(3, 32, 32).unwrap(), 10).unwrap();
        let (_folder, unreadable) = cut_off();
        let read_out = read_out::Config { batch: 10, epochs: 2, ..Default::default() };
        let noisy = hebbian::Perturbation { batch: 10, steps: 6, ..Default::default() };
        let hebbian = |mode, output: hebbian::Output| -> Box<dyn Learner> {
            let hidden = hebbian::Hidden { batch: 10, epochs: 1, ..Default::default() };
            let config = hebbian::Config { layers: vec![6], mode, hidden, output, ..Default::default() };
            Box::new(hebbian::Network::new(config, 3072, 10).unwrap())
        };
        let (by_noise, by_gradient) =
            (hebbian::Output::Perturbation(noisy), hebbian::Output::Backpropagation(read_out.clone()));
        let learning = evolution::Learning { batch: 10, epochs: 2, ..Default::default() };
        let population = evolution::Config {
            genes: 50,
            hidden: 10,
            edge_probability: 0.01,
            population: 64,
            images_per_class: 2,
            generations: 6,
            curve_generations: 3,
            lifetime: Some(evolution::Lifetime { output: learning.clone(), ..Default::default() }),
            ..Default::default()
        };
        let dopaminergic = dopaminergic::Config {
            hidden: 10,
            images_per_class: 2,
            curve_epochs: 1,
            output: learning,
            ..Default::default()
        };
        let (layers, batch, epochs) = (vec![7], 10, 2);
        let perceptron = backprop::Config { layers: layers.clone(), batch, epochs, ..Default::default() };
        let two_stage =
            krotov_hopfield::Config { layers, batch, epochs, output: read_out.clone(), ..Default::default() };
        let regression = softmax::Config { output: read_out, ..Default::default() };
        type New<'a> = &'a dyn Fn() -> Box<dyn Learner>;
        // As many points of each curve are looked at by the monitor.
        let learners: [(New<'_>, usize); 9] = [
            (&|| hebbian(hebbian::Mode::LayerWise, by_noise.clone()), 2),
            (&|| hebbian(hebbian::Mode::LayerWise, by_gradient.clone()), 2),
            (&|| hebbian(hebbian::Mode::Joint, by_noise.clone()), 2),
            (&|| hebbian(hebbian::Mode::Joint, by_gradient.clone()), 2),
            (&|| Box::new(softmax::Network::new(regression.clone(), 3072, 10).unwrap()), 2),
            (&|| Box::new(backprop::Network::new(perceptron.clone(), 3072, 10).unwrap()), 2),
            (&|| Box::new(krotov_hopfield::Network::new(two_stage.clone(), 3072, 10).unwrap()), 2),
            (&|| Box::new(dopaminergic::Network::new(dopaminergic.clone(), 3072, 10).unwrap()), 2),
            (&|| Box::new(evolution::Network::new(population.clone(), 3072, 10).unwrap()), 4),
        ];
        let mut context = Context::new().unwrap();
        for (new, looks) in learners {
            let mut whole = new();
            let mut train = |learner: &mut dyn Learner, monitor| {
                learner.train(&mut context, &data, monitor, &mut |_| ControlFlow::Continue(()))
            };
            assert!(train(&mut *whole, None).unwrap().is_continue());
            let kind = whole.kind();
            let whole = whole.to_bytes().unwrap();
            // It is there again after some looks, or never.
            for failures in 1..=looks {
                let mut learner = new();
                for _ in 0..failures {
                    let error = train(&mut *learner, Some(&unreadable)).unwrap_err().to_string();
                    assert!(error.contains("cut off while in use"), "{kind}: {error}");
                }
                let monitor = (failures == looks).then_some(&unreadable);
                assert!(train(&mut *learner, monitor).unwrap().is_continue(), "{kind}");
                assert!(learner.finished() && learner.to_bytes().unwrap() == whole, "{kind}, {failures} failures");
            }
        }
    }

    #[test]
    fn outcomes_have_the_sample_standard_deviation() {
        let outcome = Outcome::new("x", "e", "q", Better::More, None, vec![1.0, 2.0, 4.0], 0.0);
        assert!((outcome.ours - 7.0 / 3.0).abs() < 1e-15);
        assert!((outcome.spread - (7.0f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(Outcome::new("x", "e", "q", Better::More, None, vec![3.0], 0.0).spread, 0.0);
    }

    #[test]
    fn schedules_end_where_they_should() {
        assert_eq!(Schedule::Linear.factor(0, 10), 1.0);
        assert!((Schedule::Linear.factor(9, 10) - 0.1).abs() < 1e-15);
        assert_eq!(Schedule::Constant.factor(9, 10), 1.0);
        assert!(Schedule::Linear.factor(0, 0).is_finite());
    }
}
