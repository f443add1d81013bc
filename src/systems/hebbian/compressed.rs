//! A trained network by what training has left of its weights: compressed once, then asked.

use super::config::Activation;
use super::network::{Head, Network, activate};
use super::output::PerturbedOutput;
use crate::context::Context;
use crate::datasets::Dataset;
use crate::error::Result;
use crate::kernels::dense::Write;
use crate::kernels::masked::{MaskedWeights, Plan, SparseMatrix};
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::systems::features::Conditioning;
use crate::systems::read_out::scaled_and_biased;
use crate::systems::{classes_of, evaluate, settings};

/// A network that answers and no longer learns, each layer of it compressed if that is the faster way: some nine of ten weights of a
/// non-negative Hebbian layer are zero when it is trained.
///
/// ```text
/// y_bj = sum of x_bi w_ij over the i with w_ij != 0       z = activation(y)       logits = s z V + b, V as W
/// ```
/// with x `[batch, inputs]`, W `[inputs, units]`, V `[features, classes]`. [`Plan::for_pattern`] decides for each layer, from the batch it is
/// made for and the share of weights left: by lists of these, or as a dense product.
///
/// **Cost** of a compressed layer: batch x weights left multiply-adds, where the network takes batch x inputs x units. It is faster from the
/// plan's crossover down: 9 % of the weights for an image alone, 44 % for 49 images, 55 % for 1500 and more. A network without zeros gains nothing.
/// One of 2000 units with 8 % of its weights left answered 2000 digits in a fifth of the time (AVX-512, one thread; `benches/trained.rs`).
/// **Memory.** A weight left takes 8 bytes, and 12 more once images are asked about (24 if few at a time and many are), so a
/// compressed layer is smaller than the network's, of 4 bytes a weight, where a fifth or less is left. A dense layer takes 16 bytes a weight.
///
/// **Error.** With gamma = 2^-24 and n inputs, the sums of a layer are within 1.01 n gamma sum |x w| of the exact ones, here and in the
/// network: on the same inputs they differ by 2.02 n gamma sum |x w| at most. What inputs differ by themselves, d_i, comes to sum_i d_i |w_ij|
/// more. Of sums that differ by d, ReLU makes activities that differ by d; rule (6) by `(d_j + mean d + z_j rms d) / std |y|`,
/// rescaled by `(d_j + mean d + z_j (max d + mean d)) / (max |y| - mean |y|)`, and by
/// [its own error](crate::kernels::activation::magnitude_zscore), twice.
/// **Determinism.** Plans, and with them every bit, depend on neither instruction set nor threads. They do on the batch it is made for.
/// **NaN.** A NaN or infinite value reaches the units alone that have a weight for it, whatever the plan, where the network's
/// dense product hands it to all; weights that are NaN are kept. Logits with a NaN are wrong, as everywhere.
///
/// ```
/// use std::ops::ControlFlow;
/// use neuropil::{Context, datasets::embedded, systems::{EVALUATION_BATCH, Learner, hebbian::{Config, Network}}};
/// let (data, mut context) = (embedded(), Context::new()?);
/// let text = r#"
///     layers = [64]
///     non_negative = true
///     [hidden]
///     activation.magnitude_zscore = { axis = "sample", rescale = false }
///     rate = 5e-4
///     batch = 50
///     epochs = 4
///     [output.backpropagation]
///     epochs = 2
/// "#;
/// let mut network = Network::new(Config::from_toml(text, "example")?, 784, 10)?;
/// let _ = network.train(&mut context, &data.train, None, &mut |_| ControlFlow::Continue(()))?;
/// let compressed = network.compressed(&mut context, EVALUATION_BATCH)?;
/// for plan in compressed.plans() {
///     println!("{plan}"); // what was chosen for the layer, and why
/// }
/// let (ours, all) = (compressed.accuracy(&mut context, &data.test)?, network.accuracy(&mut context, &data.test)?);
/// assert!((ours - all).abs() <= 0.001);
/// # Ok::<(), neuropil::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Compressed {
    /// The inputs, and the units of each hidden layer.
    widths: Vec<usize>,
    layers: Vec<MaskedWeights>,
    /// Of inner layers, and of the last.
    activations: (Activation, Activation),
    conditioning: Option<Conditioning>,
    output: MaskedWeights,
    scale: f32,
    bias: Vec<f32>,
}

impl Network {
    /// The network as it is now, compressed to be asked about this many images at a time: see [`Compressed`].
    ///
    /// Cost: one reading of the weights.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a layer has 2^31 inputs, units or weights, which no network has that is trained here.
    pub fn compressed(&self, context: &mut Context, batch: usize) -> Result<Compressed> {
        let mut compress = |weights: MatRef<'_>| {
            let weights = SparseMatrix::compress(context, weights)?;
            Ok(MaskedWeights::sparse(context, weights, batch))
        };
        let (scale, conditioning) = match &self.output {
            Head::Backpropagation(output) => (output.scale, None),
            Head::Perturbation(PerturbedOutput { conditioning, .. }) => (1.0, conditioning.clone()),
        };
        Ok(Compressed {
            widths: [self.layers.0.first().map_or(0, Matrix::rows)]
                .into_iter()
                .chain(self.layers.0.iter().map(Matrix::cols))
                .collect(),
            layers: self.layers.0.iter().map(|weights| compress(weights.view())).collect::<Result<_>>()?,
            activations: Network::activations(&self.config),
            conditioning,
            output: compress(self.output_weights())?,
            scale,
            bias: self.output_bias().to_vec(),
        })
    }
}

impl Compressed {
    /// How each layer is computed, and why: hidden layers first to last, then the output layer.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.layers.iter().chain([&self.output]).map(MaskedWeights::plan)
    }

    /// Logits `[batch, classes]` of images `[batch, inputs]`, as [`Learner::predict`](crate::systems::Learner::predict): of any number of
    /// images, whatever number the plans are for.
    ///
    /// # Panics
    /// If the shapes disagree with each other or with the network.
    #[track_caller]
    pub fn predict(&self, context: &mut Context, images: MatRef<'_>, mut logits: MatMut<'_>) {
        let mut below: Option<Matrix> = None;
        for (index, (weights, &units)) in self.layers.iter().zip(&self.widths[1..]).enumerate() {
            let (inner, last) = self.activations;
            let mut z = Matrix::zeros(images.rows(), units);
            weights.forward(context, below.as_ref().map_or(images, Matrix::view), z.view_mut(), Write::Replace);
            activate(context, if index + 1 == self.layers.len() { last } else { inner }, z.view_mut());
            below = Some(z);
        }
        if let (Some(conditioning), Some(features)) = (&self.conditioning, &mut below) {
            conditioning.apply(context, features.view_mut());
        }
        let features = below.as_ref().map_or(images, Matrix::view);
        self.output.forward(context, features, logits.reborrow(), Write::Replace);
        scaled_and_biased(logits, self.scale, &self.bias);
    }

    /// Values of one image.
    pub fn inputs(&self) -> usize {
        self.widths[0]
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.bias.len()
    }

    /// The class of each image, as [`Learner::classify`](crate::systems::Learner::classify).
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the data have another image size, [`Error::Format`](crate::Error::Format) if they lie in a
    /// file that was cut off since it was opened.
    pub fn classify(&self, context: &mut Context, data: &Dataset) -> Result<Vec<Option<u8>>> {
        settings::same_size(data, self.inputs())?;
        classes_of(context, data, self.classes(), |context, images, logits| self.predict(context, images, logits))
    }

    /// The share of images classified correctly, 0 to 1, as [`Learner::accuracy`](crate::systems::Learner::accuracy).
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the data have another image size or number of classes,
    /// [`Error::Format`](crate::Error::Format) if they lie in a file that was cut off since it was opened.
    pub fn accuracy(&self, context: &mut Context, data: &Dataset) -> Result<f64> {
        settings::fits(data, self.inputs(), self.classes())?;
        evaluate(context, data, self.classes(), |context, images, logits| self.predict(context, images, logits))
    }
}
