//! A multi-layer perceptron trained by backpropagation and Adam: what the papers measure themselves against.
//!
//! Hidden layers have no bias. Their activation is ReLU or, as the paper does under the non-negativity constraint, the
//! z-score over the units of each sample followed by ReLU; gradients go through the z-score. With y the sums of a sample,
//! mu and sigma their mean and (population) standard deviation over K units and s = (y - mu) / sigma:
//!
//! ```text
//! z = max(0, s)      g = dE/ds = [s > 0] dE/dz      dE/dy = (g - mean g - s mean(g s)) / sigma
//! ```
//!
//! That is rule (6) where sums cannot be negative, as in the non-negative network, and layer normalisation elsewhere.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::datasets::Dataset;
use crate::error::Result;
use crate::kernels::adam::{Adam, Step};
use crate::kernels::dense::{self, Write};
use crate::kernels::{activation, loss};
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::parallel;
use crate::random::Stream;
use crate::systems::checkpoint::{Reader, Writer};
use crate::systems::features::{self, Frozen, shaped};
use crate::systems::journal::{self, Journal, Phase};
use crate::systems::read_out::{ReadOut, column_sums, draw};
use crate::systems::{Differentiable, Learner, Observer, Schedule, checkpoint, drawing, evaluate, settings};

/// A multi-layer perceptron and how it is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names every random number of the run (0 to 2^63 - 1).
    pub seed: u64,
    /// Widths of the hidden layers, first to last.
    pub layers: Vec<usize>,
    /// Whether all weights and biases are projected to zero or above after each step.
    pub non_negative: bool,
    /// What makes activities of the hidden sums.
    pub activation: Activation,
    /// Initial hidden weights.
    pub initial: Initial,
    /// Adam's learning rate at the beginning.
    pub rate: f64,
    /// How the rate develops.
    pub schedule: Schedule,
    /// Samples of a batch.
    pub batch: usize,
    /// Passes over the training set.
    pub epochs: u64,
}

/// What makes activities of the hidden sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(0, y).
    #[default]
    Relu,
    /// The z-score over the units of each sample, then ReLU.
    Zscore,
}

/// Initial hidden weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Initial {
    /// The paper's: Gaussian with standard deviation 0.01, or uniform in [0.01, 0.1] under the non-negativity constraint.
    Paper,
    /// He's: Gaussian with standard deviation sqrt(2 / inputs), which keeps activities alive through many layers; its
    /// magnitudes under the non-negativity constraint.
    #[default]
    He,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            seed: 0,
            layers: vec![2000],
            non_negative: false,
            activation: Activation::Relu,
            initial: Initial::He,
            rate: 1e-3,
            schedule: Schedule::Linear,
            batch: 100,
            epochs: 10,
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
        use settings::{positive, within};
        settings::seed(self.seed)?;
        settings::layers(&self.layers, 1)?;
        positive("rate", self.rate)?;
        within("batch", self.batch as u64, 1, 1 << 20)?;
        within("epochs", self.epochs, 0, 1 << 20)
    }
}

/// A multi-layer perceptron with its whole training state.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    config: Config,
    journal: Journal,
    /// Weights `[inputs, units]`, first layer to last.
    hidden: Vec<Matrix>,
    moments: Vec<Adam>,
    output: ReadOut,
}

/// The name in checkpoints and on the command line.
pub(crate) const KIND: &str = "backprop";

/// Standard deviations below this are taken for it, so that equal sums give zeros and no division by zero.
const SMALLEST_DEVIATION: f64 = 1e-8;

/// z-score over each row, before the ReLU; the standard deviations go to `deviations`.
fn zscore(context: &Context, y: MatMut<'_>, deviations: &mut [f32]) {
    let threads = context.threads().for_work([y.rows(), y.cols(), 8]);
    parallel::for_each(threads, y.row_blocks(4).zip(deviations.chunks_mut(4)), |(mut rows, deviations)| {
        for (row, deviation) in (0..rows.rows()).zip(deviations) {
            let row = rows.row_mut(row);
            let count = row.len() as f64;
            let mean = row.iter().map(|&y| f64::from(y)).sum::<f64>() / count;
            let variance = row.iter().map(|&y| (f64::from(y) - mean).powi(2)).sum::<f64>() / count;
            let sigma = variance.sqrt().max(SMALLEST_DEVIATION);
            *deviation = sigma as f32;
            let (mean, scale) = (mean as f32, (1.0 / sigma) as f32);
            row.iter_mut().for_each(|y| *y = (*y - mean) * scale);
        }
    });
}

/// Turns dE/dz, in place, into dE/dy; `s` holds the scores (or the sums, for plain ReLU).
fn backward(context: &Context, activation: Activation, s: MatRef<'_>, deviations: &[f32], gradient: MatMut<'_>) {
    let threads = context.threads().for_work([s.rows(), s.cols(), 8]);
    let blocks = gradient.row_blocks(4).enumerate();
    parallel::for_each(threads, blocks, |(block, mut rows)| {
        for row in 0..rows.rows() {
            let index = block * 4 + row;
            let (s, gradient) = (s.row(index), rows.row_mut(row));
            for (g, &s) in gradient.iter_mut().zip(s) {
                if s <= 0.0 {
                    *g = 0.0;
                }
            }
            if activation == Activation::Zscore {
                let count = s.len() as f64;
                let mean = gradient.iter().map(|&g| f64::from(g)).sum::<f64>() / count;
                let along = gradient.iter().zip(s).map(|(&g, &s)| f64::from(g) * f64::from(s)).sum::<f64>() / count;
                let (mean, along, scale) = (mean as f32, along as f32, 1.0 / deviations[index]);
                gradient.iter_mut().zip(s).for_each(|(g, s)| *g = (*g - mean - s * along) * scale);
            }
        }
    });
}

/// What one layer keeps of a forward pass.
struct Trace {
    /// Sums, or scores.
    s: Matrix,
    z: Matrix,
    deviations: Vec<f32>,
    /// dE/dz, then dE/dy.
    gradient: Matrix,
    weights_gradient: Matrix,
}

impl Trace {
    fn new() -> Self {
        let [s, z, gradient, weights_gradient] = std::array::from_fn(|_| Matrix::zeros(0, 0));
        Trace { s, z, deviations: Vec::new(), gradient, weights_gradient }
    }
}

/// Activities of all layers.
fn forward(context: &mut Context, activation: Activation, hidden: &[Matrix], images: MatRef<'_>, traces: &mut [Trace]) {
    for (index, w) in hidden.iter().enumerate() {
        let (below, rest) = traces.split_at_mut(index);
        let x = below.last().map_or(images, |trace| trace.z.view());
        let Trace { s, z, deviations, .. } = &mut rest[0];
        shaped(s, x.rows(), w.cols());
        shaped(z, x.rows(), w.cols());
        deviations.resize(x.rows(), 0.0);
        dense::matmul(context, x, w.view(), s.view_mut(), Write::Replace);
        if activation == Activation::Zscore {
            zscore(context, s.view_mut(), deviations);
        }
        z.as_mut_slice().copy_from_slice(s.as_slice());
        activation::relu(context, z.view_mut());
    }
}

/// dE/dy of every layer, from `difference`, dE by the logits.
fn send_back(
    context: &mut Context,
    activation: Activation,
    hidden: &[Matrix],
    output: MatRef<'_>,
    difference: MatRef<'_>,
    traces: &mut [Trace],
) {
    for index in (0..hidden.len()).rev() {
        let (own, after) = traces[index..].split_at_mut(1);
        let Trace { s, deviations, gradient, .. } = &mut own[0];
        shaped(gradient, s.rows(), s.cols());
        let (above, w) = match after.first() {
            Some(trace) => (trace.gradient.view(), hidden[index + 1].view()),
            None => (difference, output),
        };
        dense::matmul_nt(context, above, w, gradient.view_mut(), Write::Replace);
        backward(context, activation, s.view(), deviations, gradient.view_mut());
    }
}

impl Network {
    /// An untrained network.
    ///
    /// # Errors
    /// As [`Config::validate`]; [`Error::Setting`](crate::Error::Setting) if inputs or classes are out of range, or weights or a batch would
    /// be more than 2^30 values.
    pub fn new(config: Config, inputs: usize, classes: usize) -> Result<Self> {
        let mut network = Network::zeros(config, inputs, classes)?;
        let Network { config, hidden, output, .. } = &mut network;
        let mut context = drawing();
        let stream = Stream::new(config.seed, "hidden weights");
        let paper = config.initial == Initial::Paper;
        for (weights, index) in hidden.iter_mut().zip(0..) {
            draw(&mut context, stream.item(index), paper && config.non_negative, weights);
            if !paper {
                // Gaussian of standard deviation 0.01 so far.
                let scale = 100.0 * (2.0 / weights.rows() as f32).sqrt();
                let values = weights.as_mut_slice().iter_mut();
                values.for_each(|w| *w = if config.non_negative { (*w * scale).abs() } else { *w * scale });
            }
        }
        draw(&mut context, Stream::new(config.seed, "output weights"), config.non_negative, &mut output.weights);
        Ok(network)
    }

    /// A network whose weights are still to be drawn, or read.
    fn zeros(config: Config, inputs: usize, classes: usize) -> Result<Self> {
        config.validate()?;
        settings::shape(inputs, classes)?;
        let (widths, widest) = settings::chain(inputs, &config.layers, classes)?;
        settings::batch("batch", config.batch, widest)?;
        let pairs = widths[..=config.layers.len()].windows(2);
        let hidden: Vec<Matrix> = pairs.map(|pair| Matrix::zeros(pair[0], pair[1])).collect();
        let moments = hidden.iter().map(|w| Adam::new(w.rows() * w.cols())).collect();
        let output = ReadOut::zeros(widths[config.layers.len()], classes);
        Ok(Network { config, journal: Journal::default(), hidden, moments, output })
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Self> {
        let config = reader.config(KIND, Config::from_toml_within)?;
        let (inputs, classes) = reader.shape()?;
        let mut below = inputs;
        for (index, &units) in config.layers.iter().enumerate() {
            reader.expect_moments(&format!("hidden.{index}.weights"), &[below, units])?;
            below = units;
        }
        reader.expect_read_out("output", below, classes)?;
        let mut network = Network::zeros(config, inputs, classes)?;
        network.journal = reader.journal()?;
        for (index, (weights, moments)) in network.hidden.iter_mut().zip(&mut network.moments).enumerate() {
            let name = format!("hidden.{index}.weights");
            reader.matrix(&name, weights)?;
            reader.adam(&name, &[weights.rows(), weights.cols()], moments)?;
        }
        reader.read_out("output", &mut network.output)?;
        Ok(network)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The same network under a schedule whose last phase is longer: `epochs` may be more than before, where the rate is constant
    /// ([`Schedule`]). Trained to its end, it has the bits of a network that was trained so long at once.
    /// Where the rate falls to zero, what was learned depends on how long there was: train a new network for longer.
    ///
    /// # Errors
    /// As [`Config::validate`]; [`Error::Setting`](crate::Error::Setting) if anything else differs, if that is less than before, or
    /// if the rate is not constant.
    pub fn extended(mut self, config: Config) -> Result<Self> {
        config.validate()?;
        let mut same = self.config.clone();
        let before = std::mem::replace(&mut same.epochs, config.epochs);
        settings::same(&same, &config)?;
        self.journal.extend(("epochs", before, config.epochs), &[config.schedule])?;
        self.config = config;
        Ok(self)
    }

    /// The output layer.
    pub fn read_out(&self) -> &ReadOut {
        &self.output
    }
}

checkpoint::readable!(Network);

impl Learner for Network {
    journal::answers!();

    fn inputs(&self) -> usize {
        self.hidden.first().map_or(0, Matrix::rows)
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
        let Network { config, journal, hidden, moments, output } = self;
        let mut batches = features::batches(data, config.batch, false, Stream::new(config.seed, "batches"))?;
        let phase = Phase::epochs("training", config.epochs, batches.per_epoch());
        let mut pixels = Frozen::pixels(data);
        let mut traces: Vec<Trace> = hidden.iter().map(|_| Trace::new()).collect();
        let mut logits = Matrix::zeros(0, 0);
        let mut difference = Matrix::zeros(0, 0);
        while let Some((_, done)) = journal.locate(std::slice::from_ref(&phase)) {
            let (x, labels) = pixels.batch(context, &mut batches, done)?;
            forward(context, config.activation, hidden, x, &mut traces);
            shaped(&mut logits, x.rows(), output.bias.len());
            shaped(&mut difference, x.rows(), output.bias.len());
            let top = traces.last().map_or(x, |trace| trace.z.view());
            output.logits(context, top, logits.view_mut());
            let loss = loss::softmax_cross_entropy(context, logits.view(), labels, None, Some(difference.view_mut()));
            // All gradients first, from the weights the forward pass used; then all updates.
            let mut output_gradient = Matrix::zeros(top.cols(), output.bias.len());
            dense::matmul_tn(context, top, difference.view(), output_gradient.view_mut(), Write::Replace);
            send_back(context, config.activation, hidden, output.weights.view(), difference.view(), &mut traces);
            for index in 0..hidden.len() {
                let (below, own) = traces.split_at_mut(index);
                let Trace { gradient, weights_gradient, .. } = &mut own[0];
                let input = below.last().map_or(x, |trace| trace.z.view());
                shaped(weights_gradient, input.cols(), gradient.cols());
                dense::matmul_tn(context, input, gradient.view(), weights_gradient.view_mut(), Write::Replace);
            }
            let rate = config.rate * config.schedule.factor(done, phase.steps);
            let scale = 1.0 / x.rows() as f32;
            let step = Step { rate, number: done + 1, scale, non_negative: config.non_negative, ..Step::default() };
            for ((weights, moments), trace) in hidden.iter_mut().zip(moments.iter_mut()).zip(&traces) {
                moments.update(context, &step, trace.weights_gradient.as_slice(), weights.as_mut_slice());
            }
            output.moments.update(context, &step, output_gradient.as_slice(), output.weights.as_mut_slice());
            output.bias_moments.update(context, &step, &column_sums(difference.view()), &mut output.bias);
            let accuracy = monitor.filter(|_| Journal::marks(&phase, done + 1)).map(|monitor| {
                evaluate(context, monitor, output.bias.len(), |context, images, logits| {
                    forward(context, config.activation, hidden, images, &mut traces);
                    let top = traces.last().map_or(images, |trace| trace.z.view());
                    output.logits(context, top, logits);
                })
            });
            if journal.record(&phase, done + 1, Some(loss), accuracy.transpose(), observer)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        journal.finished = true;
        Ok(ControlFlow::Continue(()))
    }

    fn predict(&self, context: &mut Context, images: MatRef<'_>, logits: MatMut<'_>) {
        let mut traces: Vec<Trace> = self.hidden.iter().map(|_| Trace::new()).collect();
        forward(context, self.config.activation, &self.hidden, images, &mut traces);
        let top = traces.last().map_or(images, |trace| trace.z.view());
        self.output.logits(context, top, logits);
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut writer = Writer::new(KIND, &self.config.to_toml(), self.inputs(), self.classes(), &self.journal);
        for (index, (weights, moments)) in self.hidden.iter().zip(&self.moments).enumerate() {
            let name = format!("hidden.{index}.weights");
            writer.matrix(&name, weights);
            writer.adam(&name, &[weights.rows(), weights.cols()], moments);
        }
        writer.read_out("output", &self.output);
        writer.bytes()
    }

    fn weights(&self, layer: usize) -> Option<MatRef<'_>> {
        self.hidden.get(layer).map(Matrix::view)
    }

    fn receptive_fields(&self) -> Matrix {
        self.hidden.first().map_or_else(|| Matrix::zeros(0, 0), Matrix::transposed)
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
        let (activation, output) = (self.config.activation, &self.output);
        let mut traces: Vec<Trace> = self.hidden.iter().map(|_| Trace::new()).collect();
        forward(context, activation, &self.hidden, images, &mut traces);
        let [mut logits, mut difference] = [(); 2].map(|()| Matrix::zeros(images.rows(), output.bias.len()));
        output.logits(context, traces.last().map_or(images, |trace| trace.z.view()), logits.view_mut());
        loss::softmax_cross_entropy(context, logits.view(), labels, None, Some(difference.view_mut()));
        send_back(context, activation, &self.hidden, output.weights.view(), difference.view(), &mut traces);
        let (first, w) = (traces[0].gradient.view(), self.hidden[0].view());
        dense::matmul_nt(context, first, w, gradient.reborrow(), Write::Replace);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasets::Shape;

    type Rows = Vec<Vec<f64>>;

    fn rows(matrix: &Matrix) -> Rows {
        matrix.view().iter_rows().map(|row| row.iter().map(|&v| f64::from(v)).collect()).collect()
    }

    /// Mean cross-entropy of a network, in f64.
    fn loss(x: &Rows, labels: &[u8], layers: &[Rows], activation: Activation) -> f64 {
        let product = |z: &Rows, w: &Rows| -> Rows {
            let cell = |row: &Vec<f64>, col: usize| row.iter().zip(w).map(|(a, b)| a * b[col]).sum();
            z.iter().map(|row| (0..w[0].len()).map(|col| cell(row, col)).collect()).collect()
        };
        let (hidden, output) = layers.split_at(layers.len() - 1);
        let mut z = x.clone();
        for w in hidden {
            z = product(&z, w);
            for row in &mut z {
                if activation == Activation::Zscore {
                    let count = row.len() as f64;
                    let mean = row.iter().sum::<f64>() / count;
                    let deviation = (row.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / count).sqrt();
                    row.iter_mut().for_each(|y| *y = (*y - mean) / deviation);
                }
                row.iter_mut().for_each(|y| *y = y.max(0.0));
            }
        }
        let logits = product(&z, &output[0]);
        let chosen = logits
            .iter()
            .zip(labels)
            .map(|(row, &label)| row.iter().map(|l| l.exp()).sum::<f64>().ln() - row[usize::from(label)]);
        chosen.sum::<f64>() / labels.len() as f64
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for (activation, non_negative) in
            [(Activation::Relu, false), (Activation::Zscore, false), (Activation::Zscore, true)]
        {
            let pixels: Vec<u8> = (0..8 * 6u32).map(|i| (i * 97 % 251) as u8).collect();
            let labels = vec![0, 1, 2, 0, 1, 2, 0, 1];
            let data = Dataset::new(pixels, labels, Shape::new(1, 2, 3).unwrap(), 3).unwrap();
            let config =
                Config { layers: vec![7, 5], activation, non_negative, batch: 8, epochs: 1, ..Config::default() };
            let mut network = Network::new(config, 6, 3).unwrap();
            let mut layers: Vec<Rows> = network.hidden.iter().map(rows).collect();
            layers.push(rows(&network.output.weights));
            let mut context = Context::new().unwrap();
            let flow = network.train(&mut context, &data, None, &mut |_| ControlFlow::Continue(())).unwrap();
            assert!(flow.is_continue());
            let x: Rows = (0..8).map(|i| data.image(i).iter().map(|&p| f64::from(p) / 255.0).collect()).collect();
            // Whatever the order within the batch; Adam's first mean is a tenth of the first gradient.
            let moments = network.moments.iter().chain([&network.output.moments]);
            for (layer, adam) in moments.enumerate() {
                let cols = layers[layer][0].len();
                for (index, &first) in adam.first.iter().enumerate() {
                    let (row, col, h) = (index / cols, index % cols, 1e-5);
                    let mut at = |shift: f64| {
                        layers[layer][row][col] += shift;
                        let value = loss(&x, data.labels(), &layers, activation);
                        layers[layer][row][col] -= shift;
                        value
                    };
                    let slope = (at(h) - at(-h)) / (2.0 * h);
                    let got = f64::from(first) * 10.0;
                    // Central differences err by h^2, the f32 products by some 1e-6 of the largest gradient.
                    assert!((got - slope).abs() < 1e-5, "{activation:?} layer {layer} [{row}, {col}]: {got}, {slope}");
                }
            }
        }
    }
}
