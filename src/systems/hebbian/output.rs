//! The output layer that learns by Hebbian learning and weight perturbation: rules (2) to (5).

use super::config::{Draws, Inputs, Perturbation, Reward};
use crate::context::Context;
use crate::error::Result;
use crate::kernels::dense::add_bias;
use crate::kernels::dense::{self, Write};
use crate::kernels::hebbian::{self, Reduction, Update};
use crate::kernels::{loss, perturb};
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::random::Stream;
use crate::systems::checkpoint::{Reader, Writer};
use crate::systems::features::{Conditioning, shaped};
use crate::systems::read_out::column_sums;

/// The layer and all that its training carries from step to step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PerturbedOutput {
    /// `[features, classes]`.
    pub(super) weights: Matrix,
    pub(super) bias: Vec<f32>,
    /// Running mean of ((E' - E) / sigma)^2; 0 before the first step.
    pub(super) reward_square: f64,
    /// Set when the layer's training begins, if it asks for it.
    pub(super) conditioning: Option<Conditioning>,
}

/// How much of the running mean of squared rewards a step keeps.
const KEEP: f64 = 0.99;

/// Buffers of a step.
pub(super) struct Workspace {
    noise: Matrix,
    clean: Matrix,
    perturbed: Matrix,
    before: Matrix,
    hebbian: Matrix,
}

impl Workspace {
    pub(super) fn new() -> Self {
        let [noise, clean, perturbed, before, hebbian] = std::array::from_fn(|_| Matrix::zeros(0, 0));
        Workspace { noise, clean, perturbed, before, hebbian }
    }
}

/// One step's settings.
pub(super) struct Step<'a> {
    pub(super) config: &'a Perturbation,
    pub(super) non_negative: bool,
    /// The schedule's factor.
    pub(super) factor: f64,
    /// Names the step's noise.
    pub(super) stream: Stream,
    /// The step's number, from 0.
    pub(super) number: u64,
}

impl PerturbedOutput {
    /// A layer whose weights are still to be drawn, or read.
    pub(super) fn zeros(features: usize, classes: usize) -> Self {
        PerturbedOutput {
            weights: Matrix::zeros(features, classes),
            bias: vec![0.0; classes],
            reward_square: 0.0,
            conditioning: None,
        }
    }

    pub(super) fn logits(&self, context: &mut Context, features: MatRef<'_>, mut logits: MatMut<'_>) {
        dense::matmul(context, features, self.weights.view(), logits.reborrow(), Write::Replace);
        add_bias(context, logits, &self.bias);
    }

    /// Takes on the map its inputs will go through. Non-negative weights that see their inputs scaled are scaled back: large
    /// weights are what they have to descend from.
    pub(super) fn condition(&mut self, inputs: Inputs, non_negative: bool, moments: &[(f64, f64)]) {
        let conditioning = conditioning(inputs, moments);
        if inputs == Inputs::Scaled && non_negative {
            for (row, gain) in conditioning.gain.iter().enumerate() {
                self.weights.row_mut(row).iter_mut().for_each(|weight| *weight /= gain);
            }
        }
        self.conditioning = Some(conditioning);
    }

    /// One step of rules (2) to (5) on a batch; returns the unperturbed loss E.
    pub(super) fn step(
        &mut self,
        context: &mut Context,
        workspace: &mut Workspace,
        z: MatRef<'_>,
        labels: &[u8],
        step: &Step<'_>,
    ) -> f64 {
        let Step { config, non_negative, factor, stream, number } = *step;
        let (batch, classes) = (z.rows(), self.bias.len());
        let sigma = config.variance.sqrt();
        let [hebbian_rate, perturbation_rate, mut bias_rate] =
            [config.alpha, config.eta * config.beta, config.gamma].map(|weight| factor * config.eta * weight);
        let Workspace { noise, clean, perturbed, before, hebbian } = workspace;
        shaped(clean, batch, classes);

        // Trials: losses without and with noise, one difference a draw.
        let (error, differences): (f64, Vec<f64>) = match config.draws {
            Draws::PerBatch(draws) => {
                let draws = draws as usize;
                shaped(noise, z.cols(), classes * draws);
                shaped(perturbed, batch, classes * draws);
                perturb::gaussian(context, stream, sigma as f32, noise.as_mut_slice());
                if draws == 1 {
                    let (w, noise) = (self.weights.view(), noise.view());
                    perturb::clean_and_perturbed(context, z, w, noise, clean.view_mut(), perturbed.view_mut());
                    add_bias(context, perturbed.view_mut(), &self.bias);
                    add_bias(context, clean.view_mut(), &self.bias);
                } else {
                    // z (w + noise) = z w + z noise: the clean product serves all draws.
                    dense::matmul(context, z, noise.view(), perturbed.view_mut(), Write::Replace);
                    self.logits(context, z, clean.view_mut());
                    for row in 0..batch {
                        let clean = clean.row(row);
                        for trial in perturbed.row_mut(row).chunks_exact_mut(classes) {
                            trial.iter_mut().zip(clean).for_each(|(value, clean)| *value += clean);
                        }
                    }
                }
                let error = loss::softmax_cross_entropy(context, clean.view(), labels, None, None);
                let differences = (0..draws).map(|draw| {
                    let trial = perturbed.view().columns(draw * classes..(draw + 1) * classes);
                    loss::softmax_cross_entropy(context, trial, labels, None, None) - error
                });
                (error, differences.collect())
            }
            Draws::PerSample => {
                shaped(perturbed, batch, classes);
                dense::matmul(context, z, self.weights.view(), clean.view_mut(), Write::Replace);
                perturb::perturbed_per_sample(context, z, clean.view(), stream, sigma as f32, perturbed.view_mut());
                add_bias(context, perturbed.view_mut(), &self.bias);
                add_bias(context, clean.view_mut(), &self.bias);
                let [mut losses, mut trials] = [vec![0.0; batch], vec![0.0; batch]];
                let error = loss::softmax_cross_entropy(context, clean.view(), labels, Some(&mut losses), None);
                loss::softmax_cross_entropy(context, perturbed.view(), labels, Some(&mut trials), None);
                let differences = losses.iter().zip(&trials).map(|(loss, trial)| f64::from(*trial) - f64::from(*loss));
                (error, differences.collect())
            }
        };

        // Rewards.
        let mut gain = -perturbation_rate / (config.variance * differences.len() as f64);
        if config.reward == Reward::Normalised {
            let squares: f64 = differences.iter().map(|difference| (difference / sigma).powi(2)).sum();
            let share = (1.0 - KEEP).max(1.0 / (number + 1) as f64);
            self.reward_square += share * (squares / differences.len() as f64 - self.reward_square);
            let unit = self.reward_square.sqrt();
            // Differences within the rounding of the losses measure nothing; divided by next to nothing they would end in infinity.
            if unit * sigma > error * f64::from(f32::EPSILON) {
                gain /= unit;
                bias_rate /= unit;
            } else {
                (gain, bias_rate) = (0.0, 0.0);
            }
        }

        // Output activities, for rules (2) and (5).
        loss::softmax(context, clean.view_mut());
        let hebb = hebbian_rate != 0.0;
        if hebb {
            // Rule (4) adds two updates of the same weights: each is applied to a copy of its own.
            before.clone_from(&self.weights);
            hebbian.clone_from(&self.weights);
            let update = Update { rate: hebbian_rate as f32, reduction: Reduction::Mean, non_negative: false };
            hebbian::oja_excluding_self(context, z, clean.view(), hebbian.view_mut(), &update);
        }
        let clamp = non_negative && !hebb;
        match config.draws {
            Draws::PerBatch(_) => {
                for (draw, difference) in differences.iter().enumerate() {
                    let noise = noise.view().columns(draw * classes..(draw + 1) * classes);
                    let last = draw + 1 == differences.len();
                    let gain = (gain * difference) as f32;
                    perturb::reward_update(context, noise, gain, self.weights.view_mut(), clamp && last);
                }
            }
            Draws::PerSample => {
                let gains: Vec<f32> = differences.iter().map(|difference| (gain * difference) as f32).collect();
                let w = self.weights.view_mut();
                perturb::reward_update_per_sample(context, stream, sigma as f32, &gains, w, clamp);
            }
        }
        if hebb {
            let sources = before.as_slice().iter().zip(hebbian.as_slice());
            for (w, (before, hebbian)) in self.weights.as_mut_slice().iter_mut().zip(sources) {
                *w += hebbian - before;
                if non_negative && *w < 0.0 {
                    *w = 0.0;
                }
            }
        }
        // The target activity is the class's share of the labels, which is the printed 1/K where classes are equally frequent.
        // Holding it at 1/K where they are not would misplace the difference: two images in a hundred of MNIST.
        let mut counts = vec![0usize; classes];
        labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        for ((bias, sum), count) in self.bias.iter_mut().zip(column_sums(clean.view())).zip(counts) {
            *bias += (bias_rate * (count as f64 - f64::from(sum)) / batch as f64) as f32;
            if non_negative && *bias < 0.0 {
                *bias = 0.0;
            }
        }
        error
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.matrix("output.weights", &self.weights);
        writer.values("output.bias", &[self.bias.len()], &self.bias);
        writer.doubles("output.reward_square", &[1], &[self.reward_square]);
        if let Some(Conditioning { shift, gain }) = &self.conditioning {
            writer.values("output.shift", &[shift.len()], shift);
            writer.values("output.gain", &[gain.len()], gain);
        }
    }

    pub(super) fn read(&mut self, reader: &mut Reader, config: &Perturbation) -> Result<()> {
        reader.matrix("output.weights", &mut self.weights)?;
        let classes = self.bias.len();
        reader.values("output.bias", &[classes], &mut self.bias)?;
        self.reward_square = reader.doubles("output.reward_square", &[1])?[0];
        if self.reward_square < 0.0 {
            return Err(reader.wrong("a mean of squares, zero or above", self.reward_square.to_string()));
        }
        // A layer that sees its inputs as they are has no map of them: what is left over is refused.
        if config.inputs != Inputs::Plain && reader.has("output.shift") {
            let width = self.weights.rows();
            reader.expect("output.shift", &[width])?;
            reader.expect("output.gain", &[width])?;
            let mut conditioning = Conditioning { shift: vec![0.0; width], gain: vec![0.0; width] };
            reader.values("output.shift", &[width], &mut conditioning.shift)?;
            reader.values("output.gain", &[width], &mut conditioning.gain)?;
            self.conditioning = Some(conditioning);
        }
        Ok(())
    }
}

/// The affine map an output layer asks for, from the mean and mean square of each feature over the training set.
fn conditioning(inputs: Inputs, moments: &[(f64, f64)]) -> Conditioning {
    let variance = |&(mean, square): &(f64, f64)| (square - mean * mean).max(0.0);
    let (shift, gain): (Vec<f64>, Vec<f64>) = match inputs {
        Inputs::Plain | Inputs::Scaled => moments.iter().map(|_| (0.0, 1.0)).unzip(),
        Inputs::Centred => moments.iter().map(|&(mean, _)| (mean, 1.0)).unzip(),
        // A unit that never changes carries nothing and must not be blown up: its variance is what rounding leaves of its square.
        Inputs::Standardised => moments
            .iter()
            .map(|moment| (moment.0, variance(moment), moment.1))
            .map(|(mean, variance, square)| (mean, if variance > 1e-11 * square { 1.0 / variance.sqrt() } else { 0.0 }))
            .unzip(),
    };
    let squares = moments.iter().zip(&shift).zip(&gain).map(|((moment, &shift), &gain)| {
        let about = moment.1 - 2.0 * shift * moment.0 + shift * shift;
        about.max(0.0) * gain * gain
    });
    let total: f64 = squares.sum();
    let scale = if total > 0.0 { 1.0 / total.sqrt() } else { 1.0 };
    Conditioning {
        shift: shift.into_iter().map(|value| value as f32).collect(),
        gain: gain.into_iter().map(|value| (value * scale) as f32).collect(),
    }
}
