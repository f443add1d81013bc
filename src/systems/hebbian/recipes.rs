//! How each row of the paper's table is trained here, by the images it learns from.
//!
//! Recipes were chosen on a validation split of the training images, never on the test set.

use super::config::{Activation, Axis, Config, Draws, Hidden, Inputs, Mode, Order, Output, Perturbation, Reward};
use crate::systems::baselines::{backprop, krotov_hopfield, softmax};
use crate::systems::{Schedule, read_out};

/// The images that a recipe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Images {
    /// The 2000 embedded digits.
    Embedded,
    /// MNIST, 60,000 digits.
    Mnist,
    /// CIFAR-10, 50,000 colour images.
    Cifar10,
}

/// Softmax regression on pixels.
pub fn softmax_recipe(images: Images, seed: u64) -> softmax::Config {
    let output = match images {
        Images::Embedded => read_out::Config { rate: 3e-3, batch: 50, epochs: 25, ..read_out::Config::default() },
        Images::Mnist | Images::Cifar10 => {
            read_out::Config { rate: 1e-3, batch: 100, epochs: 20, ..read_out::Config::default() }
        }
    };
    softmax::Config { seed, output }
}

/// Rule (6) over the units of each sample, without rescaling.
const RULE_6: Activation = Activation::MagnitudeZscore { axis: Axis::Sample, rescale: false };

/// This rule with hidden layers of 2000 and the output trained by backpropagation.
///
/// The unconstrained hidden layers learn with plain ReLU, as in the paper; the output layer reads them through rule (6),
/// which is worth half a per cent to backpropagation and one to weight perturbation.
pub fn hebbian_recipe(images: Images, seed: u64, non_negative: bool, layers: usize) -> Config {
    // Colour images have eight times the square length of digits, and rule (6) longer activities than either: deep layers that learn at
    // the rate of the first lose what tells classes apart.
    let (activation, rate, batch, epochs) = match (images, non_negative) {
        (Images::Embedded, false) => (Activation::Relu, 0.02, 50, 20),
        (Images::Mnist, false) => (Activation::Relu, 0.02, 500, 10),
        (Images::Cifar10, false) => (Activation::Relu, 2e-3, 500, 10),
        (Images::Embedded, true) => (RULE_6, if layers > 2 { 5e-5 } else { 5e-4 }, 50, 20),
        (Images::Mnist, true) => match layers {
            ..=2 => (RULE_6, 5e-4, 500, 6),
            3..=5 => (RULE_6, 1.5e-4, 500, 3),
            _ => (RULE_6, 4e-4, 600, 3),
        },
        (Images::Cifar10, true) => (RULE_6, 1e-4, 500, 6),
    };
    // What ten layers learn at one rate loses what tells images apart, or is too little for the first of them.
    let depth_factor = if images == Images::Mnist && non_negative && layers > 5 { 0.7 } else { 1.0 };
    let hidden = Hidden { activation, rate, depth_factor, batch, epochs, ..Hidden::default() };
    let batch = if images == Images::Embedded { 50 } else { 100 };
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
pub fn perturbation_recipe(images: Images, seed: u64, non_negative: bool) -> Config {
    let eta = 5e-4;
    let rate = 0.1;
    let (batch, steps) = match (images, non_negative) {
        (Images::Embedded, _) => (200, 6_000),
        (Images::Mnist | Images::Cifar10, false) => (500, 60_000),
        (Images::Mnist | Images::Cifar10, true) => (500, 30_000),
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
    Config { output: Output::Perturbation(output), ..hebbian_recipe(images, seed, non_negative, 1) }
}

/// This rule as printed, with one hidden layer of 2000: algorithm 1, in which every batch of 2000 updates both layers, rules (1) to (5) with
/// eta = 5e-4, alpha = 0.04, beta = 87500, gamma = 0.04 and sigma^2 = 1.6e-4, and in the non-negative network rule (6), rescaled to \[0, 1\].
///
/// The paper trains to saturation and does not say how long that is. Here it is as many batches as take one core some five minutes; of the
/// embedded images batches of 200, or a second would hold no more than ten.
pub fn printed_recipe(images: Images, seed: u64, non_negative: bool) -> Config {
    let (batch, steps) = match images {
        Images::Embedded => (200, 60),
        Images::Mnist | Images::Cifar10 => (2000, 1_200),
    };
    let activation = match non_negative {
        false => Activation::Relu,
        true => Activation::MagnitudeZscore { axis: Axis::Sample, rescale: true },
    };
    Config {
        seed,
        layers: vec![2000],
        non_negative,
        mode: Mode::Joint,
        hidden: Hidden { activation, rate: 5e-4, schedule: Schedule::Constant, ..Hidden::default() },
        // The defaults are the paper's.
        output: Output::Perturbation(Perturbation { batch, steps, ..Perturbation::default() }),
        ..Config::default()
    }
}

/// Krotov and Hopfield's rule with hidden layers of 2000 units; of 400 on the embedded images. A unit learns when it wins, and
/// weights need some thousand wins to come down from their initial length to the one the rule keeps.
pub fn krotov_hopfield_recipe(
    images: Images,
    seed: u64,
    non_negative: bool,
    power: bool,
    layers: usize,
) -> krotov_hopfield::Config {
    use krotov_hopfield::Reading;
    let (units, epochs, batch) = match images {
        Images::Embedded => (400, 200, 50),
        Images::Mnist => (2000, 40, 100),
        Images::Cifar10 => (2000, 40, 1000),
    };
    // p, k and delta are the rule's authors' for each set.
    let (p, k, delta, rate, exponent) = match images {
        Images::Cifar10 => (2, 2, 0.2, 0.05, 2.0),
        Images::Embedded | Images::Mnist => (3, 7, 0.4, 0.04, 4.5),
    };
    krotov_hopfield::Config {
        seed,
        layers: vec![units; layers],
        non_negative,
        p,
        k,
        delta,
        rate,
        epochs,
        batch,
        reading: if power { Reading::Power { exponent } } else { Reading::Relu },
        output: read_out::Config {
            rate: 4e-3,
            batch: batch.min(100),
            epochs: 20,
            feature_length: Some(40.0),
            ..read_out::Config::default()
        },
        ..krotov_hopfield::Config::default()
    }
}

/// A perceptron with hidden layers of 2000, trained by backpropagation.
pub fn backprop_recipe(images: Images, seed: u64, non_negative: bool, layers: usize) -> backprop::Config {
    backprop::Config {
        seed,
        layers: vec![2000; layers],
        non_negative,
        activation: if non_negative { backprop::Activation::Zscore } else { backprop::Activation::Relu },
        rate: if images == Images::Cifar10 { 3e-4 } else { 1e-3 },
        batch: if images == Images::Embedded { 50 } else { 100 },
        epochs: if layers > 2 { 5 } else { 20 },
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
    fn the_printed_recipe_is_the_printed_one() {
        for (non_negative, images) in [(false, Images::Mnist), (true, Images::Mnist), (true, Images::Embedded)] {
            let config = printed_recipe(images, 1, non_negative);
            config.validate().unwrap();
            let hidden = &config.hidden;
            assert_eq!((config.mode, &config.layers[..], config.reading), (Mode::Joint, &[2000][..], None));
            assert_eq!((hidden.rate, hidden.schedule), (5e-4, Schedule::Constant));
            let rescaled = Activation::MagnitudeZscore { axis: Axis::Sample, rescale: true };
            assert_eq!(hidden.activation, if non_negative { rescaled } else { Activation::Relu });
            let Output::Perturbation(output) = config.output else { panic!("another output") };
            assert_eq!((output.eta, output.alpha, output.beta, output.gamma), (5e-4, 0.04, 87_500.0, 0.04));
            assert_eq!((output.variance, output.schedule), (1.6e-4, Schedule::Constant));
            assert_eq!((output.draws, output.reward), (Draws::PerBatch(1), Reward::Plain));
            assert_eq!((output.inputs, output.order), (Inputs::Plain, Order::ClassBalanced));
            assert_eq!(output.batch, if images == Images::Mnist { 2000 } else { 200 });
        }
    }

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
