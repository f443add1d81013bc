//! How each row of the paper's table is trained here, quick (the embedded 2000 + 1000 images) and full.
//!
//! Recipes were chosen on a validation split of the training images, never on the test set.

use super::config::{Activation, Axis, Config, Draws, Hidden, Inputs, Order, Output, Perturbation, Reward};
use crate::systems::baselines::{backprop, krotov_hopfield, softmax};
use crate::systems::experiment::Scale;
use crate::systems::{Schedule, read_out};

/// Softmax regression on pixels.
pub fn softmax_recipe(scale: Scale, seed: u64) -> softmax::Config {
    let output = match scale {
        Scale::Quick => read_out::Config { rate: 3e-3, batch: 50, epochs: 25, ..read_out::Config::default() },
        Scale::Full => read_out::Config { rate: 1e-3, batch: 100, epochs: 20, ..read_out::Config::default() },
    };
    softmax::Config { seed, output }
}

/// Rule (6) over the units of each sample, without rescaling.
const RULE_6: Activation = Activation::MagnitudeZscore { axis: Axis::Sample, rescale: false };

/// This rule with hidden layers of 2000 and the output trained by backpropagation.
///
/// The unconstrained hidden layers learn with plain ReLU, as in the paper; the output layer reads them through rule (6),
/// which is worth half a per cent to backpropagation and one to weight perturbation.
pub fn hebbian_recipe(scale: Scale, seed: u64, non_negative: bool, layers: usize) -> Config {
    let (batch, epochs) = match (scale, non_negative) {
        (Scale::Quick, _) => (50, 20),
        (Scale::Full, false) => (500, 10),
        (Scale::Full, true) => (500, 6),
    };
    let (activation, rate) = if non_negative { (RULE_6, 5e-4) } else { (Activation::Relu, 0.02) };
    let hidden = Hidden { activation, rate, batch, epochs, ..Hidden::default() };
    let batch = if scale == Scale::Quick { 50 } else { 100 };
    let output = read_out::Config { rate: 1e-3, batch, epochs: 20, non_negative, ..read_out::Config::default() };
    Config {
        seed,
        layers: vec![2000; layers],
        non_negative,
        reading: (!non_negative).then_some(RULE_6),
        hidden,
        output: Output::Backpropagation(output),
        ..Config::default()
    }
}

/// This rule with one hidden layer of 2000 and the output trained by Hebbian learning and weight perturbation.
///
/// The hidden layer is that of [`hebbian_recipe`]. Weight perturbation as printed is stable and slow: its mean rate is
/// eta^2 beta = 0.022. These recipes measure the reward in its own root mean square, with a rate of 0.1 in that unit, on
/// features scaled to a mean square of one, and try eight perturbations on each batch.
pub fn perturbation_recipe(scale: Scale, seed: u64, non_negative: bool) -> Config {
    let eta = 5e-4;
    let rate = 0.1;
    let (batch, steps) = match (scale, non_negative) {
        (Scale::Quick, _) => (200, 6_000),
        (Scale::Full, false) => (500, 60_000),
        (Scale::Full, true) => (500, 30_000),
    };
    let output = Perturbation {
        eta,
        alpha: 0.0,
        beta: rate / (eta * eta),
        gamma: rate / eta,
        schedule: Schedule::Linear,
        draws: Draws::PerBatch(8),
        reward: Reward::Normalised,
        inputs: Inputs::Scaled,
        batch,
        steps,
        order: Order::Windows,
        ..Perturbation::default()
    };
    Config { output: Output::Perturbation(output), ..hebbian_recipe(scale, seed, non_negative, 1) }
}

/// Krotov and Hopfield's rule with 2000 hidden units; 400 on the embedded images. A unit learns when it wins, and weights
/// need some thousand wins to come down from their initial length to the one the rule keeps.
pub fn krotov_hopfield_recipe(scale: Scale, seed: u64, non_negative: bool, power: bool) -> krotov_hopfield::Config {
    use krotov_hopfield::Reading;
    let (units, epochs, batch) = if scale == Scale::Quick { (400, 200, 50) } else { (2000, 40, 100) };
    krotov_hopfield::Config {
        seed,
        units,
        non_negative,
        epochs,
        reading: if power { Reading::Power { exponent: 4.5 } } else { Reading::Relu },
        output: read_out::Config {
            rate: 4e-3,
            batch,
            epochs: 20,
            feature_length: Some(40.0),
            ..read_out::Config::default()
        },
        ..krotov_hopfield::Config::default()
    }
}

/// A perceptron with hidden layers of 2000, trained by backpropagation.
pub fn backprop_recipe(scale: Scale, seed: u64, non_negative: bool, layers: usize) -> backprop::Config {
    let quick = scale == Scale::Quick;
    backprop::Config {
        seed,
        layers: vec![2000; layers],
        non_negative,
        activation: if non_negative { backprop::Activation::Zscore } else { backprop::Activation::Relu },
        rate: 1e-3,
        batch: if quick { 50 } else { 100 },
        epochs: 20,
        ..backprop::Config::default()
    }
}

/// Batches and epochs of a recipe for the 2000 embedded images, for so few: as many steps.
pub(super) fn of_few(images: usize, batch: &mut usize, epochs: &mut u64) {
    let steps = *epochs * 2000u64.div_ceil(*batch as u64);
    *batch = (*batch).min(images);
    *epochs = steps.div_ceil(images.div_ceil(*batch) as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_images_take_as_many_steps() {
        for (images, batch, epochs, expected) in
            [(10, 50, 20, (10, 800)), (100, 50, 20, (50, 400)), (1000, 50, 20, (50, 40)), (10, 100, 200, (10, 4000))]
        {
            let (mut own_batch, mut own_epochs) = (batch, epochs);
            of_few(images, &mut own_batch, &mut own_epochs);
            assert_eq!((own_batch, own_epochs), expected, "{images} images");
        }
    }
}
