//! The classifier on frozen latents: softmax regression, with or without a ReLU layer, stopped early.
//!
//! ```text
//! r = ReLU(z U + u)      p = softmax(r V + v)      loss = mean cross-entropy
//! ```
//! Without hidden units r = z: the multinomial logistic regression of the paper.

use super::config::ReadOut as Config;
use super::layer::Layer;
use crate::context::Context;
use crate::kernels::activation::{relu, relu_gradient};
use crate::kernels::adam::Step;
use crate::kernels::dense::{Write, add_bias, matmul, matmul_nt, matmul_tn};
use crate::kernels::loss;
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::random::Stream;
use crate::systems::read_out::column_sums;

/// Samples evaluated at once.
const BLOCK: usize = 1000;

impl Layer {
    /// Weights `[inputs, outputs]` and a bias, uniform within one over the root of the inputs, as PyTorch's linear layers.
    fn drawn(inputs: usize, outputs: usize, stream: Stream) -> Self {
        let bound = 1.0 / (inputs as f32).sqrt();
        let (mut weights, mut bias) = (Matrix::zeros(inputs, outputs), vec![0.0; outputs]);
        stream.item(0).uniform(-bound, bound, weights.as_mut_slice());
        stream.item(1).uniform(-bound, bound, &mut bias);
        Layer::new(weights, bias)
    }

    fn sums(&self, context: &mut Context, x: MatRef<'_>, mut y: MatMut<'_>) {
        matmul(context, x, self.weights.view(), y.reborrow(), Write::Replace);
        add_bias(context, y, &self.bias);
    }

    fn learn(&mut self, context: &mut Context, x: MatRef<'_>, gradient: MatRef<'_>, step: &Step) {
        let mut by_weights = Matrix::zeros(self.weights.rows(), self.weights.cols());
        matmul_tn(context, x, gradient, by_weights.view_mut(), Write::Replace);
        self.update(context, step, &by_weights, &column_sums(gradient));
    }
}

/// One or two layers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Classifier {
    /// First to last.
    pub(crate) layers: Vec<Layer>,
}

/// Latents and labels.
#[derive(Clone, Copy)]
pub(super) struct Samples<'a> {
    pub(super) latents: MatRef<'a>,
    pub(super) labels: &'a [u8],
}

impl Classifier {
    pub(super) fn new(config: &Config, inputs: usize, classes: usize, stream: Stream) -> Self {
        let layers = match *Classifier::shapes(config, inputs, classes) {
            [[inputs, outputs]] => vec![Layer::drawn(inputs, outputs, stream.item(1))],
            ref shapes => {
                shapes.iter().zip(0..).map(|(&[from, to], k)| Layer::drawn(from, to, stream.item(k))).collect()
            }
        };
        Classifier { layers }
    }

    /// Inputs and outputs of each layer.
    pub(super) fn shapes(config: &Config, inputs: usize, classes: usize) -> Vec<[usize; 2]> {
        match config.hidden {
            0 => vec![[inputs, classes]],
            hidden => vec![[inputs, hidden], [hidden, classes]],
        }
    }

    pub(super) fn classes(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.bias.len())
    }

    /// Logits of latents.
    pub(super) fn logits(&self, context: &mut Context, z: MatRef<'_>, logits: MatMut<'_>) {
        match &self.layers[..] {
            [hidden, output] => {
                let mut r = Matrix::zeros(z.rows(), hidden.bias.len());
                hidden.sums(context, z, r.view_mut());
                relu(context, r.view_mut());
                output.sums(context, r.view(), logits);
            }
            [output] => output.sums(context, z, logits),
            _ => unreachable!("a classifier has one layer or two"),
        }
    }

    /// One step of Adam; the loss before it.
    pub(super) fn step(
        &mut self,
        context: &mut Context,
        config: &Config,
        z: MatRef<'_>,
        labels: &[u8],
        number: u64,
    ) -> f64 {
        let (batch, classes) = (z.rows(), self.classes());
        let step = Step {
            rate: config.rate,
            number,
            scale: 1.0 / batch as f32,
            decay: config.decay as f32,
            ..Step::default()
        };
        let mut logits = Matrix::zeros(batch, classes);
        let mut gradient = Matrix::zeros(batch, classes);
        match &mut self.layers[..] {
            [hidden, output] => {
                let mut r = Matrix::zeros(batch, hidden.bias.len());
                hidden.sums(context, z, r.view_mut());
                relu(context, r.view_mut());
                output.sums(context, r.view(), logits.view_mut());
                let loss = loss::softmax_cross_entropy(context, logits.view(), labels, None, Some(gradient.view_mut()));
                let mut by_r = Matrix::zeros(batch, hidden.bias.len());
                matmul_nt(context, gradient.view(), output.weights.view(), by_r.view_mut(), Write::Replace);
                relu_gradient(context, r.view(), by_r.view_mut());
                output.learn(context, r.view(), gradient.view(), &step);
                hidden.learn(context, z, by_r.view(), &step);
                loss
            }
            [output] => {
                output.sums(context, z, logits.view_mut());
                let loss = loss::softmax_cross_entropy(context, logits.view(), labels, None, Some(gradient.view_mut()));
                output.learn(context, z, gradient.view(), &step);
                loss
            }
            _ => unreachable!("a classifier has one layer or two"),
        }
    }

    /// Mean cross-entropy, and the share classified correctly.
    pub(super) fn evaluate(&self, context: &mut Context, samples: Samples<'_>) -> (f64, f64) {
        let (mut losses, mut correct) = (0.0, 0.0);
        let rows = samples.latents.rows();
        for first in (0..rows).step_by(BLOCK) {
            let end = rows.min(first + BLOCK);
            let mut logits = Matrix::zeros(end - first, self.classes());
            self.logits(context, samples.latents.rows_range(first..end), logits.view_mut());
            let labels = &samples.labels[first..end];
            let count = labels.len() as f64;
            losses += count * loss::softmax_cross_entropy(context, logits.view(), labels, None, None);
            correct += count * loss::accuracy(logits.view(), labels);
        }
        (losses / rows as f64, correct / rows as f64)
    }
}
