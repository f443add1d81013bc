//! How a network's loss changes with the images it is shown.

use super::Learner;
use crate::context::Context;
use crate::error::Result;
use crate::matrix::{MatMut, MatRef};

/// A network through which the loss can be differentiated: what attacks on it need ([`analysis::attack`](crate::analysis::attack)), however its
/// weights were learned. Like [`Learner`], it is not meant to be implemented outside this crate.
pub trait Differentiable: Learner {
    /// `gradient[b] = dL_b / dx_b`: of each image's own cross-entropy, in nats, by its values; images and gradient `[batch, inputs]`.
    /// Labels are bytes: at most 256 classes, as every network here has.
    ///
    /// Where a ReLU's sum is zero its slope is taken as zero, and so is that of a magnitude. Images that a network scales to unit length have
    /// a gradient of zero where they are black. NaN spreads to the image it belongs to. The bits depend on neither threads nor instruction set.
    ///
    /// Cost: twice that of [`predict`](Learner::predict).
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if activities take their statistics over the batch, so that an image has no loss of its own.
    ///
    /// # Panics
    /// If the shapes disagree with each other or with the network, or a label is no class.
    fn input_gradient(
        &self,
        context: &mut Context,
        images: MatRef<'_>,
        labels: &[u8],
        gradient: MatMut<'_>,
    ) -> Result<()>;
}

#[cfg(test)]
pub(in crate::systems) mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::analysis::{Attack, attack};
    use crate::datasets::{Dataset, Shape};
    use crate::matrix::Matrix;
    use crate::random::Stream;
    use crate::systems::baselines::{backprop, krotov_hopfield, softmax};
    use crate::systems::read_out::ReadOut;

    pub(in crate::systems) const INPUTS: usize = 6;
    pub(in crate::systems) const CLASSES: usize = 3;

    pub(in crate::systems) fn data() -> Dataset {
        let pixels: Vec<u8> = (0..18 * INPUTS as u32).map(|at| (1 + at * 97 % 251) as u8).collect();
        Dataset::new(pixels, (0..18).map(|at| at % 3).collect(), Shape::new(1, 2, 3).unwrap(), CLASSES).unwrap()
    }

    pub(in crate::systems) fn trained<N: Learner>(mut network: N) -> N {
        let flow = network.train(&mut Context::new().unwrap(), &data(), None, &mut |_| ControlFlow::Continue(()));
        assert!(flow.unwrap().is_continue());
        network
    }

    /// `x w`, w as rows.
    pub(in crate::systems) fn product(x: &[f64], w: MatRef<'_>) -> Vec<f64> {
        (0..w.cols()).map(|col| x.iter().enumerate().map(|(row, x)| x * f64::from(w[(row, col)])).sum()).collect()
    }

    pub(in crate::systems) fn cross_entropy(
        features: &[f64],
        w: MatRef<'_>,
        bias: &[f32],
        scale: f32,
        label: u8,
    ) -> f64 {
        let logits = product(features, w);
        let logits: Vec<f64> = logits.iter().zip(bias).map(|(l, &b)| f64::from(scale) * l + f64::from(b)).collect();
        logits.iter().map(|l| l.exp()).sum::<f64>().ln() - logits[usize::from(label)]
    }

    /// Holds a network's gradient to the slopes of its loss, written out in `f64`.
    pub(in crate::systems) fn follows_the_loss(network: &dyn Differentiable, loss: &dyn Fn(&[f64], u8) -> f64) {
        let mut images = Matrix::zeros(7, INPUTS);
        Stream::new(3, "images").uniform(0.05, 1.0, images.as_mut_slice());
        let labels = [0, 1, 2, 0, 1, 2, 0];
        let mut gradient = Matrix::from_slice(&[f32::NAN; 7 * INPUTS], 7, INPUTS).unwrap();
        let mut context = Context::new().unwrap();
        network.input_gradient(&mut context, images.view(), &labels, gradient.view_mut()).unwrap();
        let mut largest = 0.0f64;
        for (row, &label) in labels.iter().enumerate() {
            let mut x: Vec<f64> = images.row(row).iter().map(|&x| f64::from(x)).collect();
            for col in 0..INPUTS {
                let (own, h) = (x[col], 1e-6);
                let mut at = |x_col: f64| {
                    x[col] = x_col;
                    loss(&x, label)
                };
                let slope = (at(own + h) - at(own - h)) / (2.0 * h);
                x[col] = own;
                let got = f64::from(gradient[(row, col)]);
                assert!((got - slope).abs() < 2e-5 * (1.0 + slope.abs()), "image {row}, value {col}: {got}, {slope}");
                largest = largest.max(slope.abs());
            }
        }
        assert!(largest > 1e-3, "a loss that changes");
    }

    fn of(output: &ReadOut, features: &[f64], label: u8) -> f64 {
        cross_entropy(features, output.weights(), output.bias(), output.scale, label)
    }

    #[test]
    fn softmax_regressions() {
        let config = softmax::Config::from_toml("output = { rate = 0.1, batch = 9, epochs = 20 }", "test").unwrap();
        let network = trained(softmax::Network::new(config, INPUTS, CLASSES).unwrap());
        follows_the_loss(&network, &|x, label| of(network.read_out(), x, label));
    }

    #[test]
    fn perceptrons() {
        for activation in ["relu", "zscore"] {
            let text = format!("layers = [9, 8]\nactivation = '{activation}'\nbatch = 9\nepochs = 3");
            let config = backprop::Config::from_toml(&text, "test").unwrap();
            let network = trained(backprop::Network::new(config, INPUTS, CLASSES).unwrap());
            follows_the_loss(&network, &|x, label| {
                let mut z = x.to_vec();
                for layer in 0..2 {
                    z = product(&z, network.weights(layer).unwrap());
                    if activation == "zscore" {
                        let n = z.len() as f64;
                        let mean = z.iter().sum::<f64>() / n;
                        let deviation = (z.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / n).sqrt();
                        z.iter_mut().for_each(|y| *y = (*y - mean) / deviation);
                    }
                    z.iter_mut().for_each(|y| *y = y.max(0.0));
                }
                of(network.read_out(), &z, label)
            });
        }
    }

    #[test]
    fn krotov_and_hopfield() {
        for (layers, reading, exponent) in [
            ("[8]", "'relu'", 1.0),
            ("[8]", "{ power = { exponent = 4.5 } }", 4.5),
            ("[8, 7]", "{ power = { exponent = 1.5 } }", 1.5),
        ] {
            let text = format!(
                "layers = {layers}\nk = 2\nbatch = 9\nepochs = 3\ninner.power.exponent = 2.0\nreading = {reading}\n
                 output = {{ rate = 0.05, batch = 9, epochs = 20, feature_length = 3.0 }}"
            );
            let config = krotov_hopfield::Config::from_toml(&text, "test").unwrap();
            let network = trained(krotov_hopfield::Network::new(config, INPUTS, CLASSES).unwrap());
            follows_the_loss(&network, &|x, label| {
                let mut features = x.to_vec();
                for (layer, hidden) in (0..).map_while(|layer| Some((layer, network.weights(layer)?))) {
                    let length = features.iter().map(|x| x * x).sum::<f64>().sqrt();
                    let unit: Vec<f64> = features.iter().map(|x| x / length).collect();
                    let exponent = if network.weights(layer + 1).is_some() { 2.0 } else { exponent };
                    let sum = |w: &[f32]| w.iter().zip(&unit).map(|(&w, v)| f64::from(w) * v).sum::<f64>();
                    features = hidden.iter_rows().map(|w| sum(w).max(0.0).powf(exponent)).collect();
                }
                of(network.read_out(), &features, label)
            });
        }
    }

    #[test]
    fn attacks_stay_near_the_image_and_raise_the_loss() {
        let config = softmax::Config::from_toml("output = { rate = 0.1, batch = 9, epochs = 50 }", "test").unwrap();
        let network = trained(softmax::Network::new(config, INPUTS, CLASSES).unwrap());
        let (data, mut context) = (data(), Context::new().unwrap());
        let mut before = Matrix::zeros(data.len(), INPUTS);
        let all: Vec<u32> = (0..data.len() as u32).collect();
        data.gather(&mut context, &all, crate::datasets::Scaling::UNIT, before.view_mut()).unwrap();
        let loss = |images: &Matrix| -> f64 {
            let of_row = |row: usize| {
                let x: Vec<f64> = images.row(row).iter().map(|&x| f64::from(x)).collect();
                of(network.read_out(), &x, data.labels()[row])
            };
            (0..data.len()).map(of_row).sum()
        };
        let mut last = loss(&before);
        for epsilon in [0.05, 0.1, 0.3] {
            for by in [Attack::FastGradientSign, Attack::PROJECTED] {
                let mut images = before.clone();
                attack(&mut context, &network, images.view_mut(), data.labels(), by, epsilon).unwrap();
                for (&value, &before) in images.as_slice().iter().zip(before.as_slice()) {
                    assert!((0.0..=1.0).contains(&value) && (value - before).abs() <= epsilon + 1e-7, "{by:?}");
                }
                // Of a softmax regression every value's best direction is the gradient's sign, wherever the image is.
                assert!(loss(&images) >= last, "{by:?}, {epsilon}: {} after {last}", loss(&images));
                last = loss(&images) - 1e-4;
            }
        }
        let mut images = before.clone();
        attack(&mut context, &network, images.view_mut(), data.labels(), Attack::PROJECTED, 0.0).unwrap();
        assert_eq!(images, before);
        for (by, epsilon, name) in [
            (Attack::FastGradientSign, 1.5, "epsilon"),
            (Attack::FastGradientSign, f32::NAN, "epsilon"),
            (Attack::ProjectedGradient { step: 0.0, iterations: 3 }, 0.1, "step"),
        ] {
            let error = attack(&mut context, &network, images.view_mut(), data.labels(), by, epsilon).unwrap_err();
            assert!(error.to_string().starts_with(name), "{error}");
        }
    }
}
