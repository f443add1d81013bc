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
mod outcome;
pub mod read_out;
#[doc(hidden)]
pub mod replace;
pub(crate) mod settings;

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

pub use self::differentiable::Differentiable;
pub use self::outcome::{Better, Outcome};
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

#[cfg(test)]
mod tests;
