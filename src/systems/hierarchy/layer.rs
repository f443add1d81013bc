//! A layer that Adam trains, of a unit or of the classifier, and its part of a checkpoint.

use crate::context::Context;
use crate::error::Result;
use crate::kernels::adam::{Adam, Step};
use crate::matrix::Matrix;
use crate::systems::checkpoint::{Reader, Writer};

/// Weights, a bias, and Adam's moments of both.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layer {
    pub(crate) weights: Matrix,
    pub(crate) bias: Vec<f32>,
    pub(crate) moments: Adam,
    pub(crate) bias_moments: Adam,
}

impl Layer {
    /// One that has learned nothing yet.
    pub(super) fn new(weights: Matrix, bias: Vec<f32>) -> Self {
        let (moments, bias_moments) = (Adam::new(weights.rows() * weights.cols()), Adam::new(bias.len()));
        Layer { weights, bias, moments, bias_moments }
    }

    pub(super) fn forget_moments(&mut self) {
        self.moments = Adam::new(self.weights.as_slice().len());
        self.bias_moments = Adam::new(self.bias.len());
    }

    pub(super) fn update(&mut self, context: &mut Context, step: &Step, gradient: &Matrix, bias_gradient: &[f32]) {
        self.moments.update(context, step, gradient.as_slice(), self.weights.as_mut_slice());
        self.bias_moments.update(context, step, bias_gradient, &mut self.bias);
    }

    pub(super) fn write(&self, name: &str, writer: &mut Writer) {
        let (weights, bias) = (format!("{name}.weights"), format!("{name}.bias"));
        writer.matrix(&weights, &self.weights);
        writer.values(&bias, &[self.bias.len()], &self.bias);
        writer.adam(&weights, &[self.weights.rows(), self.weights.cols()], &self.moments);
        writer.adam(&bias, &[self.bias.len()], &self.bias_moments);
    }

    /// Checks that one of this shape is there, before there is memory for it.
    pub(super) fn expect(name: &str, shape: [usize; 2], biases: usize, reader: &mut Reader) -> Result<()> {
        reader.expect_moments(&format!("{name}.weights"), &shape)?;
        reader.expect_moments(&format!("{name}.bias"), &[biases])
    }

    /// Reads one of the same shape.
    pub(super) fn read(&mut self, name: &str, reader: &mut Reader) -> Result<()> {
        let (weights, bias) = (format!("{name}.weights"), format!("{name}.bias"));
        let (shape, biases) = ([self.weights.rows(), self.weights.cols()], [self.bias.len()]);
        reader.matrix(&weights, &mut self.weights)?;
        reader.values(&bias, &biases, &mut self.bias)?;
        reader.adam(&weights, &shape, &mut self.moments)?;
        reader.adam(&bias, &biases, &mut self.bias_moments)
    }
}
