//! Dopaminergic networks: random hidden units that never change, and an output layer that learns from its rewards.
//!
//! ```text
//! h = ReLU(x V)   V uniform in +-sqrt(6 / inputs) (He et al. 2015), fixed; optionally only the k most active units fire
//! z = softmax(h W^T)                                        dw of a link that fired (h_i > 0), after every image:
//! dw_ji = -eps1 sign(z_j - l_j) 1{(z_j - l_j)^2 > 1/4} 1{L > eps0}
//! ```
//! This is the reading of the rule that learns; the paper's formula and its prose are [there too](super::Reading), and
//! [SignSGD and Adam](super::Rule) on the same hidden units beside them. No biases; W starts at zero.
//!
//! *Wide layers need [`Config::firing`].* Every row of W is a sum of firing patterns 1{h(x_s) > 0} of training images x_s, and what such
//! a pattern adds to the output of an image x is, with hidden weights of variance s^2 and many units,
//!
//! ```text
//! sum_i 1{h_i(x_s) > 0} h_i(x)  ->  units s / (2 sqrt(2 pi)) (|x| + x . x_s / |x_s|)
//! ```
//!
//! (u+ 1{v > 0} of two correlated Gaussians has the mean s_u (1 + r) / (2 sqrt(2 pi))): linear in the pixels and |x|. However the images
//! are weighed, an unlimited layer becomes a linear classifier as it grows. A limit to the firing units makes the patterns of
//! unlike images disjoint, and the classifier no longer linear.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::output::{self, Activities, Learning, Output, Rule, Training};
use crate::context::Context;
use crate::datasets::{Dataset, Scaling};
use crate::error::Result;
use crate::kernels::activation;
use crate::kernels::dense::{self, Write};
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::parallel;
use crate::random::Stream;
use crate::systems::checkpoint::{Reader, Writer};
use crate::systems::journal::{self, Journal};
use crate::systems::{Learner, Observer, checkpoint, experiment, settings};

/// A dopaminergic network and how it is trained. Every key has a default, but for those of a dopaminergic rule (see
/// [`Learning`]); unknown keys are refused.
///
/// ```
/// use neuropil::systems::evolution::dopaminergic::Config;
/// use neuropil::systems::evolution::{Reading, Rule};
/// let text = r#"
///     hidden = 1000
///     [output]
///     rule = { dopaminergic = { reading = "printed", loss = 0.75 } }
///     epochs = 20
/// "#;
/// let config = Config::from_toml(text, "example.toml")?;
/// assert_eq!(config.output.rule, Rule::Dopaminergic { reading: Reading::Printed, loss: 0.75 });
/// assert_eq!(config, Config::from_toml(&config.to_toml(), "again")?);
/// # Ok::<(), neuropil::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names every random number of the run (0 to 2^63 - 1).
    pub seed: u64,
    /// Hidden units.
    pub hidden: usize,
    /// How many hidden units may fire for an image, the most active ones; all that are above zero if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firing: Option<usize>,
    /// Training images of each class, drawn by the seed; 0 for all there are.
    pub images_per_class: usize,
    /// Epochs from one point of the learning curve to the next.
    pub curve_epochs: u64,
    /// The output layer.
    pub output: Learning,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            seed: 0,
            hidden: 1000,
            firing: None,
            images_per_class: 200,
            curve_epochs: 10,
            output: Learning::default(),
        }
    }
}

settings::toml_form!(Config);

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) naming key, range and value.
    pub fn validate(&self) -> Result<()> {
        settings::seed(self.seed)?;
        settings::within("hidden", self.hidden as u64, 1, 1 << 22)?;
        settings::within("firing", self.firing.unwrap_or(1) as u64, 1, self.hidden as u64)?;
        settings::within("images_per_class", self.images_per_class as u64, 0, 1 << 24)?;
        settings::within("curve_epochs", self.curve_epochs, 1, 1 << 20)?;
        self.output.validate("output")
    }
}

/// The hidden layer: random weights, fixed by seed and shape, and made when they are first needed.
#[derive(Clone, Debug)]
pub(crate) struct Hidden {
    seed: u64,
    inputs: usize,
    units: usize,
    firing: Option<usize>,
    weights: OnceLock<Matrix>,
}

impl PartialEq for Hidden {
    fn eq(&self, other: &Self) -> bool {
        let key = |hidden: &Hidden| (hidden.seed, hidden.inputs, hidden.units, hidden.firing);
        key(self) == key(other)
    }
}

impl Hidden {
    pub(crate) fn new(config: &Config, inputs: usize) -> Self {
        Hidden { seed: config.seed, inputs, units: config.hidden, firing: config.firing, weights: OnceLock::new() }
    }

    /// `[inputs, units]`
    fn weights(&self) -> MatRef<'_> {
        let weights = self.weights.get_or_init(|| {
            let mut weights = Matrix::zeros(self.inputs, self.units);
            let bound = (6.0 / self.inputs as f32).sqrt();
            let stream = Stream::new(self.seed, "dopaminergic hidden weights");
            for input in 0..self.inputs {
                stream.item(input as u64).uniform(-bound, bound, weights.row_mut(input));
            }
            weights
        });
        weights.view()
    }

    /// Activities of images `[images, inputs]`.
    pub(crate) fn activities(&self, context: &mut Context, images: MatRef<'_>) -> Matrix {
        let mut h = Matrix::zeros(images.rows(), self.units);
        dense::matmul(context, images, self.weights(), h.view_mut(), Write::Replace);
        activation::relu(context, h.view_mut());
        if let Some(count) = self.firing {
            let threads = context.threads().for_work([h.rows(), h.cols(), 16]);
            parallel::for_each(threads, h.view_mut().row_blocks(1), |mut row| strongest(row.row_mut(0), count));
        }
        h
    }
}

/// Silences all but the `count` largest activities, the first of equals.
fn strongest(activities: &mut [f32], count: usize) {
    if count >= activities.len() {
        return;
    }
    let mut order: Vec<(f32, usize)> = activities.iter().copied().zip(0..).collect();
    order.select_nth_unstable_by(count, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    order[count..].iter().for_each(|&(_, index)| activities[index] = 0.0);
}

/// A training sample and its hidden activities, which networks of one seed and shape share.
pub(crate) struct Sample {
    hidden: Matrix,
    labels: Vec<u8>,
    /// Of the set it was drawn from.
    digest: u64,
}

impl Sample {
    pub(crate) fn new(context: &mut Context, config: &Config, hidden: &Hidden, data: &Dataset) -> Result<Self> {
        let count = (config.images_per_class > 0).then_some(config.images_per_class);
        let sample = output::sample(data, count, config.seed)?;
        settings::activities("hidden", sample.len(), config.hidden)?;
        let images = output::values(context, &sample)?;
        let labels = sample.labels().to_vec();
        Ok(Sample { hidden: hidden.activities(context, images.view()), labels, digest: data.intact_digest()? })
    }
}

/// A dopaminergic network with its whole training state.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    config: Config,
    journal: Journal,
    hidden: Arc<Hidden>,
    output: Output,
}

/// The name in checkpoints and on the command line.
pub(crate) const KIND: &str = "dopaminergic";

/// Bytes of activities computed at once when a set is evaluated.
const BLOCK: usize = 64 << 20;

impl Network {
    /// An untrained network.
    ///
    /// # Errors
    /// As [`Config::validate`], and if inputs or classes are out of range.
    pub fn new(config: Config, inputs: usize, classes: usize) -> Result<Self> {
        config.validate()?;
        settings::shape(inputs, classes)?;
        settings::weights("hidden", &[inputs, config.hidden, classes])?;
        let hidden = Arc::new(Hidden::new(&config, inputs));
        Ok(Network::on(config, hidden, classes))
    }

    /// A network on hidden units that were made by a configuration of the same seed and shape.
    pub(crate) fn on(config: Config, hidden: Arc<Hidden>, classes: usize) -> Self {
        let output = Output::new(&config.output, classes, config.hidden);
        Network { config, journal: Journal::default(), hidden, output }
    }

    /// The same network as it was saved, if it is the same; the hidden units are those that others share.
    pub(crate) fn loaded(self, path: &Path) -> Result<Self> {
        let loaded = Network::load(path)?;
        if loaded.config != self.config || loaded.hidden != self.hidden || loaded.classes() != self.classes() {
            return Err(experiment::another_state(path));
        }
        Ok(Network { hidden: self.hidden, ..loaded })
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Self> {
        let config = reader.config(KIND, Config::from_toml_within)?;
        let (inputs, classes) = reader.shape()?;
        let shape = [classes, config.hidden];
        match config.output.rule {
            Rule::Adam => reader.expect_moments("output.weights", &shape)?,
            Rule::Dopaminergic { .. } | Rule::SignSgd => reader.expect("output.weights", &shape)?,
        }
        let mut network = Network::new(config, inputs, classes)?;
        network.journal = reader.journal()?;
        reader.matrix("output.weights", &mut network.output.weights)?;
        if let Some(moments) = &mut network.output.moments {
            reader.adam("output.weights", &shape, moments)?;
        }
        Ok(network)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The output layer's weights, `[classes, hidden]`.
    pub fn output_weights(&self) -> MatRef<'_> {
        self.output.weights.view()
    }

    /// Trains on activities that are there already.
    pub(crate) fn train_on(
        &mut self,
        context: &mut Context,
        sample: &Sample,
        monitor: Option<&Dataset>,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>> {
        self.journal.begin(sample.labels.len(), sample.digest)?;
        let Network { config, journal, hidden, output } = self;
        let phase = output::phase(&config.output, sample.labels.len(), config.curve_epochs);
        if let Some((_, done)) = journal.locate(std::slice::from_ref(&phase)) {
            let training = Training {
                learning: &config.output,
                phase: &phase,
                activities: Activities { hidden: sample.hidden.view(), labels: &sample.labels },
                stream: Stream::new(config.seed, "dopaminergic order"),
            };
            let monitor = |context: &mut Context, output: &Output| match monitor {
                None => Ok(None),
                Some(data) => accuracies(context, hidden, &[output], data).map(|found| Some(found[0])),
            };
            if training.run(context, output, journal, done, monitor, observer)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        journal.finished = true;
        Ok(ControlFlow::Continue(()))
    }

    /// The accuracies of networks on the same hidden units, whose activities are computed once for all of them.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the data have another image size or number of classes.
    pub(crate) fn accuracies(context: &mut Context, networks: &[&Network], data: &Dataset) -> Result<Vec<f64>> {
        let Some(first) = networks.first() else { return Ok(Vec::new()) };
        settings::fits(data, first.inputs(), first.classes())?;
        let outputs: Vec<&Output> = networks.iter().map(|network| &network.output).collect();
        accuracies(context, &first.hidden, &outputs, data)
    }
}

fn accuracies(context: &mut Context, hidden: &Hidden, outputs: &[&Output], data: &Dataset) -> Result<Vec<f64>> {
    let block = (BLOCK / size_of::<f32>() / hidden.units).clamp(16, 1000);
    let all: Vec<u32> = (0..data.len() as u32).collect();
    let mut right = vec![0; outputs.len()];
    let mut labels = Vec::new();
    for indices in all.chunks(block) {
        let mut images = Matrix::zeros(indices.len(), data.pixels());
        data.gather(context, indices, Scaling::UNIT, images.view_mut())?;
        data.gather_labels(indices, &mut labels)?;
        let h = hidden.activities(context, images.view());
        for (right, output) in right.iter_mut().zip(outputs) {
            *right += output.count_right(context, h.view(), &labels);
        }
    }
    Ok(right.into_iter().map(|right| right as f64 / data.len() as f64).collect())
}

checkpoint::readable!(Network);

impl Learner for Network {
    journal::answers!();

    fn inputs(&self) -> usize {
        self.hidden.inputs
    }

    fn classes(&self) -> usize {
        self.output.weights.rows()
    }

    fn train(
        &mut self,
        context: &mut Context,
        data: &Dataset,
        monitor: Option<&Dataset>,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>> {
        settings::both_fit(data, monitor, self.inputs(), self.classes())?;
        let sample = Sample::new(context, &self.config, &self.hidden, data)?;
        self.train_on(context, &sample, monitor, observer)
    }

    fn predict(&self, context: &mut Context, images: MatRef<'_>, logits: MatMut<'_>) {
        let h = self.hidden.activities(context, images);
        self.output.logits(context, h.view(), logits);
    }

    fn accuracy(&self, context: &mut Context, data: &Dataset) -> Result<f64> {
        Network::accuracies(context, &[self], data).map(|found| found[0])
    }

    /// Weights of hidden units are not saved: seed and shape make them anew.
    fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut writer = Writer::new(KIND, &self.config.to_toml(), self.inputs(), self.classes(), &self.journal);
        writer.matrix("output.weights", &self.output.weights);
        if let Some(moments) = &self.output.moments {
            writer.adam("output.weights", &[self.classes(), self.config.hidden], moments);
        }
        writer.bytes()
    }

    fn weights(&self, layer: usize) -> Option<MatRef<'_>> {
        (layer == 0).then(|| self.hidden.weights())
    }

    fn receptive_fields(&self) -> Matrix {
        self.hidden.weights().transposed()
    }
}
