//! A Hebbian network: its weights, how it answers images, and how it is saved.

use std::mem::replace;
use std::ops::ControlFlow;

use super::config::{Activation, Config, Draws, Mode, Output, Rule};
use super::output::PerturbedOutput;
use crate::context::Context;
use crate::datasets::Dataset;
use crate::error::{Error, Result};
use crate::kernels::dense::{self, Write};
use crate::kernels::{activation, hebbian, perturb};
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::random::Stream;
use crate::systems::checkpoint::{Reader, Writer};
use crate::systems::journal::{self, Journal};
use crate::systems::read_out::{ReadOut, draw};
use crate::systems::{Learner, Observer, Schedule, checkpoint, drawing, settings};

/// A Hebbian network with its whole training state.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    pub(super) config: Config,
    pub(in crate::systems) journal: Journal,
    pub(super) layers: Layers,
    pub(super) output: Head,
}

/// The output layer, by how it learns.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Head {
    Backpropagation(ReadOut),
    Perturbation(PerturbedOutput),
}

/// The hidden layers: weights `[inputs, units]`, first to last.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layers(pub(super) Vec<Matrix>);

/// The name in checkpoints and on the command line.
pub(crate) const KIND: &str = "hebbian";

/// Applies an activation to a layer's sums.
pub(super) fn activate(context: &mut Context, activation: Activation, y: MatMut<'_>) {
    match activation {
        Activation::Relu => activation::relu(context, y),
        Activation::MagnitudeZscore { axis, rescale } => activation::magnitude_zscore(context, y, axis, rescale),
    }
}

impl Layers {
    /// The activities of the last of these layers: `inner` for those below it, `last` for itself.
    pub(super) fn forward(
        weights: &[Matrix],
        context: &mut Context,
        (inner, last): (Activation, Activation),
        images: MatRef<'_>,
        mut out: MatMut<'_>,
    ) {
        let mut below: Option<Matrix> = None;
        for (index, w) in weights.iter().enumerate() {
            let x = below.as_ref().map_or(images, Matrix::view);
            if index + 1 == weights.len() {
                dense::matmul(context, x, w.view(), out.reborrow(), Write::Replace);
                activate(context, last, out.reborrow());
            } else {
                let mut z = Matrix::zeros(images.rows(), w.cols());
                dense::matmul(context, x, w.view(), z.view_mut(), Write::Replace);
                activate(context, inner, z.view_mut());
                below = Some(z);
            }
        }
    }
}

/// One application of the hidden layers' rule to the weights of a layer, from 0.
pub(super) fn learn(
    context: &mut Context,
    config: &Config,
    layer: usize,
    factor: f64,
    x: MatRef<'_>,
    z: MatRef<'_>,
    weights: &mut Matrix,
) {
    let hidden = &config.hidden;
    let rate = (hidden.rate_of(layer) * factor) as f32;
    let update = hebbian::Update { rate, reduction: hidden.reduction, non_negative: config.non_negative };
    let w = weights.view_mut();
    let mut compete = |w, competition| hebbian::winner_take_all(context, x, z, w, competition, &update);
    match hidden.rule {
        Rule::WinnerTakeAll => compete(w, hebbian::Competition::Hard),
        Rule::WinnersTakeAll { k } => compete(w, hebbian::Competition::Top(k)),
        Rule::SoftWinnerTakeAll { temperature } => {
            compete(w, hebbian::Competition::Soft { temperature: temperature as f32 });
        }
        Rule::OjaSubspace => hebbian::oja_subspace(context, x, z, w, &update),
        Rule::OjaExcludingSelf => hebbian::oja_excluding_self(context, x, z, w, &update),
        Rule::Sanger => hebbian::sanger(context, x, z, w, &update),
        Rule::OjaPerUnit => hebbian::oja_per_unit(context, x, z, w, &update),
    }
}

/// An output layer whose weights are still to be drawn, or read.
fn new_head(config: &Config, classes: usize) -> Head {
    let features = config.layers.last().copied().unwrap_or(0);
    match &config.output {
        Output::Backpropagation(_) => Head::Backpropagation(ReadOut::zeros(features, classes)),
        Output::Perturbation(_) => Head::Perturbation(PerturbedOutput::zeros(features, classes)),
    }
}

/// Checks that memory can hold the weights, batches and noise of a network.
fn fits(config: &Config, inputs: usize, classes: usize) -> Result<()> {
    let (_, widest) = settings::chain(inputs, &config.layers, classes)?;
    settings::batch("hidden.batch", config.hidden.batch, widest)?;
    match &config.output {
        Output::Backpropagation(output) => settings::batch("output.backpropagation.batch", output.batch, widest),
        Output::Perturbation(output) => {
            // Noise of each sample's own is not kept, but its sums over parts of the batch are.
            let (draws, copies) = match output.draws {
                Draws::PerBatch(draws) => (draws as usize, draws as usize),
                Draws::PerSample => (1, output.batch.min(perturb::PARTS)),
            };
            settings::batch("output.perturbation.batch", output.batch, widest.max(classes * draws))?;
            let features = config.layers.last().copied().unwrap_or(inputs);
            let noise = features as u128 * classes as u128 * copies as u128;
            settings::values("output.perturbation.draws", "values of noise", noise)
        }
    }
}

impl Network {
    /// An untrained network for images of `inputs` values.
    ///
    /// # Errors
    /// As [`Config::validate`]; [`Error::Setting`] if inputs or classes are out of range, or weights, a batch or noise would be more than
    /// 2^30 values.
    pub fn new(config: Config, inputs: usize, classes: usize) -> Result<Self> {
        let mut network = Network::zeros(config, inputs, classes)?;
        let Network { config, layers: Layers(layers), output, .. } = &mut network;
        let mut context = drawing();
        let stream = Stream::new(config.seed, "hidden weights");
        for (weights, index) in layers.iter_mut().zip(0..) {
            draw(&mut context, stream.item(index), config.non_negative, weights);
        }
        output.draw(&mut context, config);
        Ok(network)
    }

    /// A network whose weights are still to be drawn, or read.
    fn zeros(config: Config, inputs: usize, classes: usize) -> Result<Self> {
        config.validate()?;
        settings::shape(inputs, classes)?;
        fits(&config, inputs, classes)?;
        let below = [inputs].into_iter().chain(config.layers.iter().copied());
        let layers = below.zip(&config.layers).map(|(below, &units)| Matrix::zeros(below, units)).collect();
        let output = new_head(&config, classes);
        Ok(Network { config, journal: Journal::default(), layers: Layers(layers), output })
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Self> {
        let config = reader.config(KIND, Config::from_toml_within)?;
        let (inputs, classes) = reader.shape()?;
        let mut below = inputs;
        for (index, &units) in config.layers.iter().enumerate() {
            reader.expect(&format!("hidden.{index}.weights"), &[below, units])?;
            below = units;
        }
        match &config.output {
            Output::Backpropagation(_) => reader.expect_read_out("output", below, classes)?,
            Output::Perturbation(_) => reader.expect("output.weights", &[below, classes])?,
        }
        let mut network = Network::zeros(config, inputs, classes)?;
        network.journal = reader.journal()?;
        for (index, weights) in network.layers.0.iter_mut().enumerate() {
            reader.matrix(&format!("hidden.{index}.weights"), weights)?;
        }
        match &mut network.output {
            Head::Backpropagation(output) => reader.read_out("output", output)?,
            Head::Perturbation(output) => match &network.config.output {
                Output::Perturbation(config) => output.read(reader, config)?,
                Output::Backpropagation(_) => {
                    unreachable!("a network's output layer is the one its configuration names")
                }
            },
        }
        Ok(network)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The output layer, if it is trained by backpropagation: with the scale that its sums of weighted features are multiplied by.
    pub fn read_out(&self) -> Option<&ReadOut> {
        match &self.output {
            Head::Backpropagation(output) => Some(output),
            Head::Perturbation(_) => None,
        }
    }

    /// Weights `[features, classes]` of the output layer. They are not all of it: sums may have a [scale](Self::read_out), and features are
    /// [normalised](Self::output_normalisation) first where the configuration of weight perturbation says so.
    pub fn output_weights(&self) -> MatRef<'_> {
        match &self.output {
            Head::Backpropagation(output) => output.weights.view(),
            Head::Perturbation(output) => output.weights.view(),
        }
    }

    /// What an output layer that learns by weight perturbation makes of its features first, once training has come to it: `(y - shift) gain`,
    /// a shift and a gain for each feature. None where it sees them as they are.
    pub fn output_normalisation(&self) -> Option<(&[f32], &[f32])> {
        match &self.output {
            Head::Backpropagation(_) => None,
            Head::Perturbation(output) => output.conditioning.as_ref().map(|map| (&map.shift[..], &map.gain[..])),
        }
    }

    /// Biases of the output layer, one a class.
    pub fn output_bias(&self) -> &[f32] {
        match &self.output {
            Head::Backpropagation(output) => &output.bias,
            Head::Perturbation(output) => &output.bias,
        }
    }

    /// The same network under a schedule whose last phase is longer: `output.backpropagation.epochs` or `output.perturbation.steps`
    /// may be more than before, where the rate is constant ([`Schedule`]). Trained to its end, it has the
    /// bits of a network that was trained so long at once, but for where the points of the curve lie under weight perturbation; in
    /// joint training the hidden layers' rate has to be constant too. Where the rate falls to zero, what was learned depends on how
    /// long there was: train a new network for longer.
    ///
    /// # Errors
    /// As [`Config::validate`]; [`Error::Setting`] if anything else differs, if that is less than before, or if the rate is not
    /// constant.
    pub fn extended(mut self, config: Config) -> Result<Self> {
        config.validate()?;
        let mut same = self.config.clone();
        let (key, before, now, schedule) = match (&mut same.output, &config.output) {
            (Output::Backpropagation(old), Output::Backpropagation(new)) => {
                ("output.backpropagation.epochs", replace(&mut old.epochs, new.epochs), new.epochs, new.schedule)
            }
            (Output::Perturbation(old), Output::Perturbation(new)) => {
                ("output.perturbation.steps", replace(&mut old.steps, new.steps), new.steps, new.schedule)
            }
            // Refused as another configuration.
            _ => ("output", 0, 0, Schedule::Constant),
        };
        settings::same(&same, &config)?;
        let hidden = match config.mode {
            Mode::Joint => config.hidden.schedule,
            Mode::LayerWise => Schedule::Constant,
        };
        self.journal.extend((key, before, now), &[schedule, hidden])?;
        self.config = config;
        Ok(self)
    }

    /// The same trained hidden layers under a new, untrained output layer.
    ///
    /// # Errors
    /// [`Error::Setting`] if the network, its present output layer included, has not been trained to the end layer by layer, or
    /// for settings out of range.
    pub fn with_output(&self, reading: Option<Activation>, output: Output) -> Result<Self> {
        if !self.journal.finished || self.config.mode != Mode::LayerWise {
            return Err(Error::setting(
                "output",
                "a network trained to the end, layer by layer",
                "one in training, or trained jointly",
            ));
        }
        let config = Config { reading, output, ..self.config.clone() };
        config.validate()?;
        fits(&config, self.inputs(), self.classes())?;
        let mut output = new_head(&config, self.classes());
        output.draw(&mut drawing(), &config);
        let mut journal = self.journal.clone();
        journal.restart("hidden");
        Ok(Network { config, journal, layers: self.layers.clone(), output })
    }

    /// Activities `[batch, units]` of a hidden layer, from 0, of images `[batch, inputs]`, as what is above it sees them: the last through
    /// `reading`, where the configuration has one.
    ///
    /// ```
    /// use neuropil::systems::hebbian;
    /// use neuropil::{Context, Matrix};
    ///
    /// let config = hebbian::Config { layers: vec![30, 20], ..Default::default() };
    /// let network = hebbian::Network::new(config, 784, 10)?;
    /// let mut context = Context::new()?;
    /// let (images, mut z) = (Matrix::zeros(5, 784), Matrix::zeros(5, 30));
    /// network.activities(&mut context, 0, images.view(), z.view_mut());
    /// assert!(z.as_slice().iter().all(|&z| z == 0.0)); // of black images
    /// # Ok::<(), neuropil::Error>(())
    /// ```
    ///
    /// # Panics
    /// If there is no such layer, or the shapes disagree.
    #[track_caller]
    pub fn activities(&self, context: &mut Context, layer: usize, images: MatRef<'_>, out: MatMut<'_>) {
        let all = self.layers.0.len();
        assert!(layer < all, "activities: layer {layer} of {all}, counted from 0");
        let (inner, last) = Network::activations(&self.config);
        let seen = if layer + 1 == all { last } else { inner };
        Layers::forward(&self.layers.0[..=layer], context, (inner, seen), images, out);
    }

    /// The activations of inner layers and of the last.
    pub(super) fn activations(config: &Config) -> (Activation, Activation) {
        (config.hidden.activation, config.reading.unwrap_or(config.hidden.activation))
    }
}

impl Head {
    /// Initial weights.
    fn draw(&mut self, context: &mut Context, config: &Config) {
        let stream = Stream::new(config.seed, "output weights");
        match (self, &config.output) {
            (Head::Backpropagation(ReadOut { weights, .. }), Output::Backpropagation(output)) => {
                draw(context, stream, output.non_negative, weights);
            }
            (
                Head::Backpropagation(ReadOut { weights, .. }) | Head::Perturbation(PerturbedOutput { weights, .. }),
                _,
            ) => {
                draw(context, stream, config.non_negative, weights);
            }
        }
    }

    /// Logits of hidden activities.
    pub(super) fn logits(&self, context: &mut Context, features: MatRef<'_>, logits: MatMut<'_>) {
        match self {
            Head::Backpropagation(output) => output.logits(context, features, logits),
            Head::Perturbation(output) => output.logits(context, features, logits),
        }
    }
}

checkpoint::readable!(Network);

impl Learner for Network {
    journal::answers!();

    fn inputs(&self) -> usize {
        self.layers.0.first().map_or(0, Matrix::rows)
    }

    fn classes(&self) -> usize {
        self.output_bias().len()
    }

    fn train(
        &mut self,
        context: &mut Context,
        data: &Dataset,
        monitor: Option<&Dataset>,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>> {
        settings::both_fit(data, monitor, self.inputs(), self.classes())?;
        super::train::train(self, context, data, monitor, observer)
    }

    fn predict(&self, context: &mut Context, images: MatRef<'_>, logits: MatMut<'_>) {
        let width = self.layers.0.last().map_or(0, Matrix::cols);
        let mut features = Matrix::zeros(images.rows(), width);
        let activations = Network::activations(&self.config);
        Layers::forward(&self.layers.0, context, activations, images, features.view_mut());
        if let Head::Perturbation(PerturbedOutput { conditioning: Some(conditioning), .. }) = &self.output {
            conditioning.apply(context, features.view_mut());
        }
        self.output.logits(context, features.view(), logits);
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut writer = Writer::new(KIND, &self.config.to_toml(), self.inputs(), self.classes(), &self.journal);
        for (index, weights) in self.layers.0.iter().enumerate() {
            writer.matrix(&format!("hidden.{index}.weights"), weights);
        }
        match &self.output {
            Head::Backpropagation(output) => writer.read_out("output", output),
            Head::Perturbation(output) => output.write(&mut writer),
        }
        writer.bytes()
    }

    fn weights(&self, layer: usize) -> Option<MatRef<'_>> {
        self.layers.0.get(layer).map(Matrix::view)
    }

    fn receptive_fields(&self) -> Matrix {
        self.layers.0.first().map_or_else(|| Matrix::zeros(0, 0), Matrix::transposed)
    }
}
