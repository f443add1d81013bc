//! Krotov and Hopfield's network: hidden units that compete for images, and a softmax read-out of a power of their
//! sums ("Unsupervised learning by competing hidden units", PNAS 2019).
//!
//! The hidden layer learns by [`krotov_hopfield`], at a rate that falls
//! linearly to zero; then a read-out is trained by its gradient on max(0, W v)^n, of images v scaled to unit length.
//! Further hidden layers learn one after the other, each from the activities of the one below, scaled to unit length too.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::datasets::Dataset;
use crate::error::{Error, Result};
use crate::kernels::dense::{self, Write};
use crate::kernels::hebbian::{KrotovHopfield, MAX_P, MAX_RANK, krotov_hopfield};
use crate::kernels::{activation, perturb};
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::random::Stream;
use crate::systems::checkpoint::{Reader, Writer};
use crate::systems::features::{self, Frozen, Keep};
use crate::systems::journal::{self, Journal, Phase};
use crate::systems::read_out::{self, ReadOut, Training};
use crate::systems::{Differentiable, Learner, Observer, Schedule, checkpoint, drawing, settings};

/// A Krotov-Hopfield network and how it is trained. The defaults are the paper's for MNIST.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names every random number of the run (0 to 2^63 - 1).
    pub seed: u64,
    /// Widths of the hidden layers, first to last.
    pub layers: Vec<usize>,
    /// Whether hidden weights are kept at zero or above.
    pub non_negative: bool,
    /// The exponent of the norm the weights converge to: a unit's sum is that of sgn(w) |w|^(p-1) x.
    pub p: u32,
    /// The rank of the unit that is pushed away from the image (2 to 16).
    pub k: usize,
    /// How strongly it is.
    pub delta: f64,
    /// The largest change of a weight by one batch, at the beginning.
    pub rate: f64,
    /// How the rate develops.
    pub schedule: Schedule,
    /// Samples of a batch.
    pub batch: usize,
    /// Passes over the training set, for every hidden layer.
    pub epochs: u64,
    /// What a hidden layer sees of the sums of the one below.
    pub inner: Reading,
    /// What the read-out sees of the last hidden layer's sums.
    pub reading: Reading,
    /// Memory for a hidden layer's activities on the whole training set, in MiB, while what reads them is trained. If
    /// they need more, each batch recomputes its own.
    pub feature_memory: u64,
    /// The read-out.
    pub output: read_out::Config,
}

/// What is seen of a hidden layer's sums W v, v what it was shown, scaled to unit length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// max(0, W v)^exponent.
    Power {
        /// The exponent n, 0.01 to 64.
        exponent: f64,
    },
    /// max(0, W v).
    Relu,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            seed: 0,
            layers: vec![2000],
            non_negative: false,
            p: 3,
            k: 7,
            delta: 0.4,
            rate: 0.04,
            schedule: Schedule::Linear,
            batch: 100,
            epochs: 200,
            inner: Reading::Power { exponent: 4.5 },
            reading: Reading::Power { exponent: 4.5 },
            feature_memory: 512,
            output: read_out::Config::default(),
        }
    }
}

settings::toml_form!(Config);

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Setting`] naming key, range and value.
    pub fn validate(&self) -> Result<()> {
        use settings::{not_negative, positive, within};
        settings::seed(self.seed)?;
        settings::layers(&self.layers, 2)?;
        within("p", self.p.into(), 2, MAX_P.into())?;
        let narrowest = self.layers.iter().copied().min().unwrap_or(2);
        within("k", self.k as u64, 2, narrowest.min(MAX_RANK) as u64)?;
        not_negative("delta", self.delta)?;
        positive("rate", self.rate)?;
        within("batch", self.batch as u64, 1, 1 << 20)?;
        within("epochs", self.epochs, 0, 1 << 20)?;
        for (name, reading) in [("inner", self.inner), ("reading", self.reading)] {
            if let Reading::Power { exponent } = reading {
                settings::between(&format!("{name}.power.exponent"), exponent, 0.01, 64.0)?;
            }
        }
        within("feature_memory", self.feature_memory, 0, 1 << 24)?;
        self.output.validate("output")
    }
}

/// A Krotov-Hopfield network with its whole training state.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    config: Config,
    journal: Journal,
    /// `[units, inputs]`, first layer to last.
    hidden: Vec<Matrix>,
    output: ReadOut,
}

/// The name in checkpoints and on the command line.
pub(crate) const KIND: &str = "krotov-hopfield";

/// Initial weights of the read-out.
fn draw_output(context: &mut Context, config: &Config, output: &mut ReadOut) {
    read_out::draw(
        context,
        Stream::new(config.seed, "output weights"),
        config.output.non_negative,
        &mut output.weights,
    );
}

/// Scales every row to unit length, and says by what: zero for one of zeros.
fn to_unit_length(mut rows: MatMut<'_>) -> Vec<f32> {
    let scales = (0..rows.rows()).map(|row| {
        let row = rows.row_mut(row);
        let square: f64 = row.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
        let scale = if square > 0.0 { (1.0 / square.sqrt()) as f32 } else { 0.0 };
        row.iter_mut().for_each(|value| *value *= scale);
        scale
    });
    scales.collect()
}

/// The activities of the last of these layers: `inner` for those below it, `last` for itself.
fn forward(
    context: &mut Context,
    hidden: &[Matrix],
    (inner, last): (Reading, Reading),
    images: MatRef<'_>,
    out: MatMut<'_>,
) {
    let mut below = images.to_owned();
    let Some((top, under)) = hidden.split_last() else { return };
    for weights in under {
        let mut z = Matrix::zeros(images.rows(), weights.rows());
        layer(context, weights, inner, below.view_mut(), z.view_mut());
        below = z;
    }
    layer(context, top, last, below.view_mut(), out);
}

/// The activities of one layer; what it is shown is left at unit length.
fn layer(context: &mut Context, weights: &Matrix, reading: Reading, mut shown: MatMut<'_>, mut out: MatMut<'_>) {
    to_unit_length(shown.reborrow());
    dense::matmul_nt(context, shown.as_ref(), weights.view(), out.reborrow(), Write::Replace);
    apply(context, reading, out);
}

/// Hidden sums become activities.
fn apply(context: &mut Context, reading: Reading, out: MatMut<'_>) {
    match reading {
        Reading::Power { exponent } => activation::power(context, out, exponent as f32),
        Reading::Relu => activation::relu(context, out),
    }
}

/// Checks that memory can hold the weights and batches of a network; its widths, from inputs to classes.
fn fits(config: &Config, inputs: usize, classes: usize) -> Result<Vec<usize>> {
    let (widths, widest) = settings::chain(inputs, &config.layers, classes)?;
    settings::batch("batch", config.batch, widest)?;
    settings::batch("output.batch", config.output.batch, widest)?;
    Ok(widths)
}

impl Network {
    /// An untrained network: hidden weights are Gaussian with standard deviation 1 (their magnitudes, if they may not be
    /// negative).
    ///
    /// # Errors
    /// As [`Config::validate`]; [`Error::Setting`] if inputs or classes are out of range, or weights or a batch would be more than 2^30
    /// values.
    pub fn new(config: Config, inputs: usize, classes: usize) -> Result<Self> {
        let mut network = Network::zeros(config, inputs, classes)?;
        let Network { config, hidden, output, .. } = &mut network;
        let mut context = drawing();
        let stream = Stream::new(config.seed, "hidden weights");
        for (weights, index) in hidden.iter_mut().zip(0..) {
            perturb::gaussian(&mut context, stream.item(index), 1.0, weights.as_mut_slice());
            if config.non_negative {
                weights.as_mut_slice().iter_mut().for_each(|weight| *weight = weight.abs());
            }
        }
        draw_output(&mut context, config, output);
        Ok(network)
    }

    /// A network whose weights are still to be drawn, or read.
    fn zeros(config: Config, inputs: usize, classes: usize) -> Result<Self> {
        config.validate()?;
        settings::shape(inputs, classes)?;
        let widths = fits(&config, inputs, classes)?;
        let pairs = widths[..=config.layers.len()].windows(2);
        let hidden = pairs.map(|pair| Matrix::zeros(pair[1], pair[0])).collect();
        let output = ReadOut::zeros(widths[config.layers.len()], classes);
        Ok(Network { config, journal: Journal::default(), hidden, output })
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Self> {
        let config = reader.config(KIND, Config::from_toml_within)?;
        let (inputs, classes) = reader.shape()?;
        let mut below = inputs;
        for (index, &units) in config.layers.iter().enumerate() {
            reader.expect(&format!("hidden.{index}.weights"), &[units, below])?;
            below = units;
        }
        reader.expect_read_out("output", below, classes)?;
        let mut network = Network::zeros(config, inputs, classes)?;
        network.journal = reader.journal()?;
        for (index, weights) in network.hidden.iter_mut().enumerate() {
            reader.matrix(&format!("hidden.{index}.weights"), weights)?;
        }
        reader.read_out("output", &mut network.output)?;
        Ok(network)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The same network under a schedule whose last phase is longer: `output.epochs` may be more than before, where the rate is
    /// constant ([`Schedule`]). Trained to its end, it has the bits of a network that was trained so long
    /// at once. Where the rate falls to zero, what was learned depends on how long there was: train a new network for longer.
    ///
    /// # Errors
    /// As [`Config::validate`]; [`Error::Setting`] if anything else differs, if that is less than before, or if the rate is not
    /// constant.
    pub fn extended(mut self, config: Config) -> Result<Self> {
        config.validate()?;
        let mut same = self.config.clone();
        let before = std::mem::replace(&mut same.output.epochs, config.output.epochs);
        settings::same(&same, &config)?;
        self.journal.extend(("output.epochs", before, config.output.epochs), &[config.output.schedule])?;
        self.config = config;
        Ok(self)
    }

    /// The read-out.
    pub fn read_out(&self) -> &ReadOut {
        &self.output
    }

    /// Activities `[batch, units]` of a hidden layer, from 0, of images `[batch, inputs]`, as what is above it sees them: through `inner`, the last
    /// through `reading`.
    ///
    /// # Panics
    /// If there is no such layer, or the shapes disagree.
    #[track_caller]
    pub fn activities(&self, context: &mut Context, layer: usize, images: MatRef<'_>, out: MatMut<'_>) {
        let all = self.hidden.len();
        assert!(layer < all, "activities: layer {layer} of {all}, counted from 0");
        forward(context, &self.hidden[..=layer], (self.config.inner, self.reading(layer)), images, out);
    }

    /// What is seen of a hidden layer.
    fn reading(&self, layer: usize) -> Reading {
        if layer + 1 == self.hidden.len() { self.config.reading } else { self.config.inner }
    }

    /// The same hidden layers under a new, untrained read-out.
    ///
    /// # Errors
    /// [`Error::Setting`] if the network, its present read-out included, has not been trained to the end, or for settings out of range.
    pub fn with_reading(&self, reading: Reading, output: read_out::Config) -> Result<Self> {
        if !self.journal.finished {
            return Err(Error::setting("reading", "a network trained to the end", "one in training"));
        }
        let config = Config { reading, output, ..self.config.clone() };
        config.validate()?;
        fits(&config, self.inputs(), self.classes())?;
        let mut output = ReadOut::zeros(self.output.weights.rows(), self.classes());
        draw_output(&mut drawing(), &config, &mut output);
        let mut journal = self.journal.clone();
        journal.restart("hidden");
        Ok(Network { config, journal, hidden: self.hidden.clone(), output })
    }
}

/// A hidden layer in training, on those below it.
struct HiddenLayer<'a> {
    config: &'a Config,
    phase: &'a Phase,
    below: &'a [Matrix],
    weights: &'a mut Matrix,
}

impl HiddenLayer<'_> {
    /// Trains it to the end of its phase, `done` of whose steps are behind it.
    fn train(
        self,
        context: &mut Context,
        data: &Dataset,
        batches: &mut features::Batches,
        journal: &mut Journal,
        done: u64,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>> {
        let HiddenLayer { config, phase, below, weights } = self;
        let mut inputs = match below.last() {
            None => Frozen::pixels(data),
            Some(last) => {
                let forward = move |context: &mut Context, images: MatRef<'_>, mut out: MatMut<'_>| {
                    forward(context, below, (config.inner, config.inner), images, out.reborrow());
                    to_unit_length(out);
                };
                let keep = Keep::AtMost(config.feature_memory << 20);
                Frozen::new(context, data, last.rows(), None, keep, Box::new(forward))?
            }
        };
        let (p, k, delta, non_negative) = (config.p, config.k, config.delta as f32, config.non_negative);
        let rule = KrotovHopfield { p, k, delta, non_negative };
        for step in done..phase.steps {
            let rate = config.rate * config.schedule.factor(step, phase.steps);
            let (x, _) = inputs.batch(context, batches, step)?;
            krotov_hopfield(context, x, weights.view_mut(), &rule, rate as f32);
            if journal.record(phase, step + 1, None, Ok(None), observer)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

checkpoint::readable!(Network);

impl Learner for Network {
    journal::answers!();

    fn inputs(&self) -> usize {
        self.hidden.first().map_or(0, Matrix::cols)
    }

    fn classes(&self) -> usize {
        self.output.bias.len()
    }

    fn train(
        &mut self,
        context: &mut Context,
        data: &Dataset,
        monitor: Option<&Dataset>,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>> {
        settings::both_fit(data, monitor, self.inputs(), self.classes())?;
        self.journal.begin(data.len(), data.intact_digest()?)?;
        let Network { config, journal, hidden, output } = self;
        let stream = Stream::new(config.seed, "hidden batches");
        let schedule = (config.batch, config.epochs);
        let (mut layers, mut phases) = features::hidden_phases(data, hidden.len(), schedule, false, stream)?;
        let stream = Stream::new(config.seed, "output batches");
        let mut batches = features::batches(data, config.output.batch, false, stream)?;
        phases.push(Phase::epochs("output", config.output.epochs, batches.per_epoch()));
        while let Some((index, done)) = journal.locate(&phases) {
            let phase = &phases[index];
            let flow = match layers.get_mut(index) {
                Some(batches) => {
                    let (below, rest) = hidden.split_at_mut(index);
                    let layer = HiddenLayer { config, phase, below, weights: &mut rest[0] };
                    layer.train(context, data, batches, journal, done, observer)?
                }
                None => {
                    let (hidden, keep) = (&hidden[..], Keep::AtMost(config.feature_memory << 20));
                    let readings = (config.inner, config.reading);
                    let forward = move |context: &mut Context, images: MatRef<'_>, out: MatMut<'_>| {
                        forward(context, hidden, readings, images, out);
                    };
                    let width = output.weights.rows();
                    let mut features = Frozen::new(context, data, width, None, keep, Box::new(forward))?;
                    let (config, batches) = (&config.output, &mut batches);
                    let mut training = Training { config, phase, batches, features: &mut features, monitor };
                    training.run(context, output, journal, done, observer)?
                }
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        journal.finished = true;
        Ok(ControlFlow::Continue(()))
    }

    fn predict(&self, context: &mut Context, images: MatRef<'_>, logits: MatMut<'_>) {
        let mut features = Matrix::zeros(images.rows(), self.output.weights.rows());
        let readings = (self.config.inner, self.config.reading);
        forward(context, &self.hidden, readings, images, features.view_mut());
        self.output.logits(context, features.view(), logits);
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut writer = Writer::new(KIND, &self.config.to_toml(), self.inputs(), self.classes(), &self.journal);
        for (index, weights) in self.hidden.iter().enumerate() {
            writer.matrix(&format!("hidden.{index}.weights"), weights);
        }
        writer.read_out("output", &self.output);
        writer.bytes()
    }

    fn weights(&self, layer: usize) -> Option<MatRef<'_>> {
        self.hidden.get(layer).map(Matrix::view)
    }

    fn receptive_fields(&self) -> Matrix {
        self.hidden.first().map_or_else(|| Matrix::zeros(0, 0), Matrix::clone)
    }
}

impl Differentiable for Network {
    fn input_gradient(
        &self,
        context: &mut Context,
        images: MatRef<'_>,
        labels: &[u8],
        mut gradient: MatMut<'_>,
    ) -> Result<()> {
        // What each layer was shown, at unit length, what that was multiplied by, and the layer's sums.
        let mut layers: Vec<(Matrix, Vec<f32>, Matrix)> = Vec::with_capacity(self.hidden.len());
        let mut features = images.to_owned();
        for (index, weights) in self.hidden.iter().enumerate() {
            let mut unit = features;
            let scales = to_unit_length(unit.view_mut());
            let mut sums = Matrix::zeros(images.rows(), weights.rows());
            dense::matmul_nt(context, unit.view(), weights.view(), sums.view_mut(), Write::Replace);
            features = sums.clone();
            apply(context, self.reading(index), features.view_mut());
            layers.push((unit, scales, sums));
        }
        let mut above = Matrix::zeros(images.rows(), features.cols());
        self.output.feature_gradient(context, features.view(), labels, above.view_mut());
        for (index, (unit, scales, sums)) in layers.iter().enumerate().rev() {
            let reading = self.reading(index);
            for (value, &sum) in above.as_mut_slice().iter_mut().zip(sums.as_slice()) {
                let slope = match reading {
                    _ if sum <= 0.0 => 0.0,
                    Reading::Power { exponent } => (exponent * f64::from(sum).powf(exponent - 1.0)) as f32,
                    Reading::Relu => 1.0,
                };
                *value *= slope;
            }
            let mut below = Matrix::zeros(images.rows(), unit.cols());
            dense::matmul(context, above.view(), self.hidden[index].view(), below.view_mut(), Write::Replace);
            // Through v = x / |x|: what points along v changes nothing.
            for (row, scale) in scales.iter().enumerate() {
                let (unit, gradient) = (unit.row(row), below.row_mut(row));
                let along: f64 = unit.iter().zip(&*gradient).map(|(&v, &g)| f64::from(v) * f64::from(g)).sum();
                gradient.iter_mut().zip(unit).for_each(|(g, v)| *g = (*g - along as f32 * v) * scale);
            }
            above = below;
        }
        gradient.copy_from(above.view());
        Ok(())
    }
}
