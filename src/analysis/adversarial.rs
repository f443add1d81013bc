//! Images changed to deceive a network that classifies them.

use crate::context::Context;
use crate::datasets::Dataset;
use crate::error::{Error, Result};
use crate::matrix::{MatMut, Matrix};
use crate::systems::{Differentiable, evaluate_changed};

/// How images are changed. Both see the whole network, and stay within `epsilon` of each value and within 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Attack {
    /// `x' = x + epsilon sgn(dL/dx)` (Goodfellow, Shlens and Szegedy, ICLR 2015).
    FastGradientSign,
    /// `x <- x + step sgn(dL/dx)`, brought back to within `epsilon` of where it began, so many times; it begins at the image itself
    /// (Madry et al., ICLR 2018).
    ProjectedGradient {
        /// How far each value goes at once.
        step: f32,
        /// How often.
        iterations: u32,
    },
}

impl Attack {
    /// Projected gradient descent as the Hebbian paper runs it: 40 steps of 0.01.
    pub const PROJECTED: Attack = Attack::ProjectedGradient { step: 0.01, iterations: 40 };
}

/// Changes images `[batch, inputs]` of values in 0 to 1, in place. Labels are bytes: at most 256 classes.
///
/// A value whose gradient is zero or NaN stays. The bits depend on neither threads nor instruction set.
/// Cost: a gradient ([`Differentiable::input_gradient`]) each iteration.
///
/// # Errors
/// [`Error::Setting`] if `epsilon` is not in 0 to 1 or the step not above 0, and as the network's gradient.
///
/// # Panics
/// If the shapes disagree with each other or with the network, or a label is no class.
pub fn attack(
    context: &mut Context,
    network: &(impl Differentiable + ?Sized),
    mut images: MatMut<'_>,
    labels: &[u8],
    attack: Attack,
    epsilon: f32,
) -> Result<()> {
    if !(0.0..=1.0).contains(&epsilon) {
        return Err(Error::setting("epsilon", "0 to 1", epsilon));
    }
    let (step, iterations) = match attack {
        Attack::FastGradientSign => (epsilon, 1),
        Attack::ProjectedGradient { step, .. } if !(step > 0.0 && step.is_finite()) => {
            return Err(Error::setting("step", "a finite number above 0", step));
        }
        Attack::ProjectedGradient { step, iterations } => (step, iterations),
    };
    // Where nothing may move, one gradient says whether the network has any.
    let iterations = if epsilon == 0.0 { iterations.min(1) } else { iterations };
    let before = images.as_ref().to_owned();
    let mut gradient = Matrix::zeros(images.rows(), images.cols());
    for _ in 0..iterations {
        network.input_gradient(context, images.as_ref(), labels, gradient.view_mut())?;
        for row in 0..images.rows() {
            let values = images.row_mut(row).iter_mut().zip(before.row(row)).zip(gradient.row(row));
            for ((value, &before), &slope) in values {
                let sign = f32::from(u8::from(slope > 0.0)) - f32::from(u8::from(slope < 0.0));
                let (least, most) = ((before - epsilon).max(0.0), (before + epsilon).min(1.0));
                let moved = *value + step * sign;
                // NaN stays: it is on neither side.
                *value = if moved < least {
                    least
                } else if moved > most {
                    most
                } else {
                    moved
                };
            }
        }
    }
    Ok(())
}

/// The share of a set's images that a network still classifies correctly when they are attacked, 0 to 1.
///
/// ```
/// use std::ops::ControlFlow;
/// use neuropil::analysis::{Attack, accuracy_under};
/// use neuropil::systems::{Learner, baselines::softmax};
/// use neuropil::{Context, datasets::embedded};
/// let (data, mut context) = (embedded(), Context::new()?);
/// let config = softmax::Config::from_toml("output.epochs = 2", "example")?;
/// let mut network = softmax::Network::new(config, 784, 10)?;
/// let _ = network.train(&mut context, &data.train, None, &mut |_| ControlFlow::Continue(()))?;
/// let accuracy = network.accuracy(&mut context, &data.test)?;
/// assert_eq!(accuracy_under(&mut context, &network, &data.test, Attack::PROJECTED, 0.0)?, accuracy);
/// assert!(accuracy_under(&mut context, &network, &data.test, Attack::PROJECTED, 0.1)? < accuracy / 2.0);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Errors
/// As [`attack`], and [`Error::Setting`] if the images have another size or the set another number of classes than the network.
pub fn accuracy_under(
    context: &mut Context,
    network: &(impl Differentiable + ?Sized),
    data: &Dataset,
    by: Attack,
    epsilon: f32,
) -> Result<f64> {
    crate::systems::settings::fits(data, network.inputs(), network.classes())?;
    evaluate_changed(context, data, data.classes(), |context, mut images, labels, logits| {
        attack(context, network, images.reborrow(), labels, by, epsilon)?;
        network.predict(context, images.as_ref(), logits);
        Ok(())
    })
}
