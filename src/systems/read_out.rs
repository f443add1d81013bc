//! A softmax read-out trained by its gradient with Adam: on raw pixels a softmax regression, on the features of a
//! hidden layer the "output layer by backpropagation" of the papers' tables.
//!
//! ```text
//! p = softmax(s z W + b)      dE/dW = mean over the batch of s z^T (p - onehot)      dE/db = mean of p - onehot
//! ```
//! The scale s is 1, or brings the features to a root mean square length that Adam's rate suits.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::features::Frozen;
use super::journal::{Journal, Phase};
use super::{Observer, Schedule, settings};
use crate::context::Context;
use crate::datasets::Dataset;
use crate::datasets::batches::Batches;
use crate::error::{Error, Result};
use crate::kernels::adam::{Adam, Step};
use crate::kernels::dense::{self, Write};
use crate::kernels::{loss, perturb};
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::random::Stream;

/// How a read-out is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Adam's learning rate at the beginning.
    pub rate: f64,
    /// How the rate develops.
    pub schedule: Schedule,
    /// Samples of a batch.
    pub batch: usize,
    /// Passes over the training set.
    pub epochs: u64,
    /// Whether weights and biases are projected to zero or above after each step.
    pub non_negative: bool,
    /// Root mean square length that the features of the training set are scaled to, by one number; as they are if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_length: Option<f64>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            rate: 1e-3,
            schedule: Schedule::Linear,
            batch: 100,
            epochs: 20,
            non_negative: false,
            feature_length: None,
        }
    }
}

impl Config {
    /// Checks every value; `prefix` stands before the keys in errors.
    pub(crate) fn validate(&self, prefix: &str) -> Result<()> {
        let key = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        settings::positive(&key("rate"), self.rate)?;
        settings::within(&key("batch"), self.batch as u64, 1, 1 << 20)?;
        if let Some(length) = self.feature_length {
            settings::positive(&key("feature_length"), length)?;
        }
        settings::within(&key("epochs"), self.epochs, 0, 1 << 20)
    }
}

/// An output layer: weights `[features, classes]`, a bias a class, and Adam's moments of both.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadOut {
    pub(crate) weights: Matrix,
    pub(crate) bias: Vec<f32>,
    /// The scale s.
    pub(crate) scale: f32,
    pub(crate) moments: Adam,
    pub(crate) bias_moments: Adam,
}

/// Initial weights of the papers' networks: uniform in [0.01, 0.1] where they may not be negative, else Gaussian with
/// standard deviation 0.01.
pub(crate) fn draw(context: &mut Context, stream: Stream, non_negative: bool, weights: &mut Matrix) {
    if non_negative {
        stream.uniform(0.01, 0.1, weights.as_mut_slice());
    } else {
        perturb::gaussian(context, stream, 0.01, weights.as_mut_slice());
    }
}

/// Sums of features become logits: s y + b.
pub(crate) fn scaled_and_biased(mut sums: MatMut<'_>, scale: f32, bias: &[f32]) {
    for row in 0..sums.rows() {
        for (sum, bias) in sums.row_mut(row).iter_mut().zip(bias) {
            *sum = scale * *sum + bias;
        }
    }
}

impl ReadOut {
    /// A read-out with the papers' initial weights and biases of zero.
    pub fn new(context: &mut Context, stream: Stream, features: usize, classes: usize, non_negative: bool) -> Self {
        let mut output = ReadOut::zeros(features, classes);
        draw(context, stream, non_negative, &mut output.weights);
        output
    }

    /// One of these weights `[features, classes]`, biases and [scale](Self::scale). Adam's moments begin at zero.
    ///
    /// # Errors
    /// [`Error::Length`] if there is not a bias for each class.
    pub fn from_parts(weights: Matrix, bias: Vec<f32>, scale: f32) -> Result<Self> {
        let (features, classes) = (weights.rows(), weights.cols());
        if bias.len() != classes {
            return Err(Error::Length { what: "biases of a read-out", expected: classes, found: bias.len() });
        }
        Ok(ReadOut { weights, bias, scale, ..ReadOut::zeros(features, classes) })
    }

    /// One whose weights are still to be drawn, or read.
    pub(crate) fn zeros(features: usize, classes: usize) -> Self {
        ReadOut {
            weights: Matrix::zeros(features, classes),
            bias: vec![0.0; classes],
            scale: 1.0,
            moments: Adam::new(features * classes),
            bias_moments: Adam::new(classes),
        }
    }

    /// The weights, `[features, classes]`.
    pub fn weights(&self) -> MatRef<'_> {
        self.weights.view()
    }

    /// The biases, one a class.
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// What sums of weighted features are multiplied by before the biases are added: 1, unless features of a given length were asked for.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// Logits `[batch, classes]` of features `[batch, features]`: `s y W + b`, with the [`scale`](Self::scale) s.
    ///
    /// # Panics
    /// If the shapes disagree.
    #[track_caller]
    pub fn logits(&self, context: &mut Context, features: MatRef<'_>, mut logits: MatMut<'_>) {
        dense::matmul(context, features, self.weights.view(), logits.reborrow(), Write::Replace);
        scaled_and_biased(logits, self.scale, &self.bias);
    }

    /// The gradient of each sample's own loss by its features, `[batch, features]`.
    pub(crate) fn feature_gradient(
        &self,
        context: &mut Context,
        features: MatRef<'_>,
        labels: &[u8],
        mut gradient: MatMut<'_>,
    ) {
        let mut logits = Matrix::zeros(features.rows(), self.bias.len());
        self.logits(context, features, logits.view_mut());
        send_back(context, logits.view(), labels, self.weights.view(), gradient.reborrow());
        for row in 0..gradient.rows() {
            gradient.row_mut(row).iter_mut().for_each(|value| *value *= self.scale);
        }
    }

    /// One step on a batch; returns the mean cross-entropy before it. `number` counts Adam's steps from 1. A batch without samples
    /// changes nothing, and its mean is zero.
    ///
    /// # Panics
    /// If the shapes disagree, a label is no class, `number` is zero, or the rate is no finite `f32`.
    #[track_caller]
    pub fn step(
        &mut self,
        context: &mut Context,
        features: MatRef<'_>,
        labels: &[u8],
        rate: f64,
        number: u64,
        non_negative: bool,
    ) -> f64 {
        let (batch, classes) = (features.rows(), self.bias.len());
        assert!(number > 0, "Adam's steps are counted from 1");
        if batch == 0 {
            return 0.0;
        }
        let mut logits = Matrix::zeros(batch, classes);
        let mut difference = Matrix::zeros(batch, classes);
        self.logits(context, features, logits.view_mut());
        let loss = loss::softmax_cross_entropy(context, logits.view(), labels, None, Some(difference.view_mut()));
        let mut gradient = Matrix::zeros(features.cols(), classes);
        dense::matmul_tn(context, features, difference.view(), gradient.view_mut(), Write::Replace);
        let step = Step { rate, number, scale: 1.0 / batch as f32, non_negative, ..Step::default() };
        let scaled = Step { scale: self.scale * step.scale, ..step };
        self.moments.update(context, &scaled, gradient.as_slice(), self.weights.as_mut_slice());
        self.bias_moments.update(context, &step, &column_sums(difference.view()), &mut self.bias);
        loss
    }
}

/// The gradient of each sample's own loss by what `weights` made its logits of: `(softmax(logits) - onehot) W^T`.
pub(crate) fn send_back(
    context: &mut Context,
    logits: MatRef<'_>,
    labels: &[u8],
    weights: MatRef<'_>,
    gradient: MatMut<'_>,
) {
    let mut difference = Matrix::zeros(logits.rows(), logits.cols());
    loss::softmax_cross_entropy(context, logits, labels, None, Some(difference.view_mut()));
    dense::matmul_nt(context, difference.view(), weights, gradient, Write::Replace);
}

/// The training of a read-out on what `Frozen` yields, from where the journal stands to the phase's end.
pub(crate) struct Training<'a, 'b> {
    pub(crate) config: &'a Config,
    pub(crate) phase: &'a Phase,
    pub(crate) batches: &'a mut Batches,
    pub(crate) features: &'a mut Frozen<'b>,
    pub(crate) monitor: Option<&'a Dataset>,
}

impl Training<'_, '_> {
    /// Trains from `done` steps of the phase on.
    pub(crate) fn run(
        &mut self,
        context: &mut Context,
        read_out: &mut ReadOut,
        journal: &mut Journal,
        done: u64,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>> {
        if let (0, Some(length)) = (done, self.config.feature_length) {
            let squares: f64 = self.features.moments(context)?.iter().map(|(_, square)| square).sum();
            read_out.scale = if squares > 0.0 { (length / squares.sqrt()) as f32 } else { 1.0 };
        }
        for step in done..self.phase.steps {
            let rate = self.config.rate * self.config.schedule.factor(step, self.phase.steps);
            let (features, labels) = self.features.batch(context, self.batches, step)?;
            let loss = read_out.step(context, features, labels, rate, step + 1, self.config.non_negative);
            let monitor = self.monitor.filter(|_| Journal::marks(self.phase, step + 1)).map(|monitor| {
                let classes = read_out.bias.len();
                self.features
                    .accuracy(context, monitor, classes, |context, z, logits| read_out.logits(context, z, logits))
            });
            if journal.record(self.phase, step + 1, Some(loss), monitor.transpose(), observer)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Sums over the rows, in `f64`.
pub(crate) fn column_sums(matrix: MatRef<'_>) -> Vec<f32> {
    let mut sums = vec![0.0f64; matrix.cols()];
    for row in matrix.iter_rows() {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_follows_the_gradient_of_the_scaled_logits() {
        let mut context = Context::new().unwrap();
        let mut output = ReadOut::new(&mut context, Stream::new(1, "w"), 4, 3, false);
        output.scale = 3.0;
        let mut z = Matrix::zeros(5, 4);
        Stream::new(2, "z").uniform(0.0, 1.0, z.as_mut_slice());
        let labels = [0, 2, 1, 1, 0];
        let before = output.clone();
        let loss = output.step(&mut context, z.view(), &labels, 0.01, 1, false);
        let (mut expected, mut gradient, mut bias_gradient) = (0.0, [[0.0; 3]; 4], [0.0; 3]);
        for (row, &label) in labels.iter().enumerate() {
            let z: Vec<f64> = z.row(row).iter().map(|&v| f64::from(v)).collect();
            let logit = |k: usize| -> f64 { (0..4).map(|i| 3.0 * z[i] * f64::from(before.weights[(i, k)])).sum() };
            let sum: f64 = (0..3).map(|k| logit(k).exp()).sum();
            expected -= (logit(label.into()).exp() / sum).ln() / 5.0;
            for k in 0..3 {
                let error = (logit(k).exp() / sum - f64::from(u8::from(usize::from(label) == k))) / 5.0;
                bias_gradient[k] += error;
                (0..4).for_each(|i| gradient[i][k] += 3.0 * z[i] * error);
            }
        }
        assert!((loss - expected).abs() < 1e-6, "{loss}, expected {expected}");
        for k in 0..3 {
            // Adam's first mean is a tenth of the first gradient.
            assert!((f64::from(output.bias_moments.first[k]) * 10.0 - bias_gradient[k]).abs() < 1e-6);
            for i in 0..4 {
                let got = f64::from(output.moments.first[i * 3 + k]) * 10.0;
                assert!((got - gradient[i][k]).abs() < 1e-6, "{got}, expected {}", gradient[i][k]);
                let moved = f64::from(before.weights[(i, k)] - output.weights[(i, k)]);
                assert!(
                    (moved - 0.01 * gradient[i][k].signum()).abs() < 1e-4,
                    "Adam's first step has its rate's length"
                );
            }
        }
    }
}
