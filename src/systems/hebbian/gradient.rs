//! The gradient of the loss by the images, back through hidden layers that learned without one.

use super::config::{Activation, Axis};
use super::network::{Head, Network, activate};
use super::output::PerturbedOutput;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::kernels::activation::relu_gradient;
use crate::kernels::dense::{self, Write};
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::parallel;
use crate::systems::Differentiable;
use crate::systems::read_out::send_back;

impl Differentiable for Network {
    fn input_gradient(
        &self,
        context: &mut Context,
        images: MatRef<'_>,
        labels: &[u8],
        mut gradient: MatMut<'_>,
    ) -> Result<()> {
        let (inner, last) = Network::activations(&self.config);
        for activation in [inner, last] {
            if let Activation::MagnitudeZscore { axis: Axis::Unit | Axis::Whole, .. } = activation {
                return Err(Error::setting("activation", "statistics of each image (axis = \"sample\")", "of a batch"));
            }
        }
        let layers = &self.layers.0;
        let activation = |index: usize| if index + 1 == layers.len() { last } else { inner };
        let mut sums = Vec::with_capacity(layers.len());
        let mut features = images.to_owned();
        for (index, w) in layers.iter().enumerate() {
            let mut y = Matrix::zeros(images.rows(), w.cols());
            dense::matmul(context, features.view(), w.view(), y.view_mut(), Write::Replace);
            features = y.clone();
            activate(context, activation(index), features.view_mut());
            sums.push(y);
        }
        let mut above = Matrix::zeros(features.rows(), features.cols());
        match &self.output {
            Head::Backpropagation(output) => {
                output.feature_gradient(context, features.view(), labels, above.view_mut());
            }
            Head::Perturbation(output) => output.feature_gradient(context, features, labels, above.view_mut()),
        }
        for (index, w) in layers.iter().enumerate().rev() {
            backward(context, activation(index), sums[index].view(), above.view_mut());
            if index == 0 {
                dense::matmul_nt(context, above.view(), w.view(), gradient.reborrow(), Write::Replace);
            } else {
                let mut below = Matrix::zeros(images.rows(), w.rows());
                dense::matmul_nt(context, above.view(), w.view(), below.view_mut(), Write::Replace);
                above = below;
            }
        }
        Ok(())
    }
}

impl PerturbedOutput {
    /// The gradient of each sample's loss by its features, as they are before the layer maps them.
    fn feature_gradient(&self, context: &mut Context, mut features: Matrix, labels: &[u8], mut gradient: MatMut<'_>) {
        if let Some(conditioning) = &self.conditioning {
            conditioning.apply(context, features.view_mut());
        }
        let mut logits = Matrix::zeros(features.rows(), self.bias.len());
        self.logits(context, features.view(), logits.view_mut());
        send_back(context, logits.view(), labels, self.weights.view(), gradient.reborrow());
        if let Some(conditioning) = &self.conditioning {
            for row in 0..gradient.rows() {
                let values = gradient.row_mut(row).iter_mut().zip(&conditioning.gain);
                values.for_each(|(value, gain)| *value *= gain);
            }
        }
    }
}

/// Turns dL/dz, in place, into dL/dy, y the sums of a layer and z its activities.
///
/// For z = max(0, s), s = (|y| - mean) / std over the units: with g = dL/ds where s > 0 and zero elsewhere,
/// `dL/d|y| = (g - mean g - s mean(g s)) / std`. A maximum m that z is divided by takes part too: `dL/dm = -sum(dL/dz z) / m^2`.
fn backward(context: &mut Context, activation: Activation, y: MatRef<'_>, gradient: MatMut<'_>) {
    let rescale = match activation {
        Activation::Relu => return relu_gradient(context, y, gradient),
        Activation::MagnitudeZscore { rescale, .. } => rescale,
    };
    let threads = context.threads().for_work([y.rows(), y.cols(), 8]);
    parallel::for_each(threads, gradient.row_blocks(4).enumerate(), |(block, mut rows)| {
        for row in 0..rows.rows() {
            magnitude_zscore_backward(y.row(block * 4 + row), rows.row_mut(row), rescale);
        }
    });
}

fn magnitude_zscore_backward(y: &[f32], gradient: &mut [f32], rescale: bool) {
    let magnitude = |y: f32| f64::from(y).abs();
    let n = y.len() as f64;
    let mean = y.iter().map(|&y| magnitude(y)).sum::<f64>() / n;
    let deviation = (y.iter().map(|&y| (magnitude(y) - mean).powi(2)).sum::<f64>() / n).sqrt();
    if deviation == 0.0 {
        // All activities are zero, and stay so.
        return gradient.fill(0.0);
    }
    let score = |y: f32| (magnitude(y) - mean) / deviation;
    let mut largest = 0;
    for unit in 1..y.len() {
        if y[unit].abs() > y[largest].abs() {
            largest = unit;
        }
    }
    let (mut scale, mut of_largest) = (1.0, 0.0);
    if rescale {
        let max = score(y[largest]);
        scale = 1.0 / max;
        of_largest =
            -y.iter().zip(&*gradient).map(|(&y, &g)| f64::from(g) * score(y).max(0.0)).sum::<f64>() / (max * max);
    }
    // dL/ds.
    let slope = |unit: usize, g: f32| {
        let own = if score(y[unit]) > 0.0 { f64::from(g) * scale } else { 0.0 };
        own + if unit == largest { of_largest } else { 0.0 }
    };
    let (mut sum, mut along) = (0.0, 0.0);
    for (unit, &g) in gradient.iter().enumerate() {
        let slope = slope(unit, g);
        sum += slope;
        along += slope * score(y[unit]);
    }
    let (mean_slope, mean_along) = (sum / n, along / n);
    for (unit, g) in gradient.iter_mut().enumerate() {
        let by_magnitude = (slope(unit, *g) - mean_slope - score(y[unit]) * mean_along) / deviation;
        let sign = if y[unit] == 0.0 { 0.0 } else { f64::from(y[unit].signum()) };
        *g = (by_magnitude * sign) as f32;
    }
}
