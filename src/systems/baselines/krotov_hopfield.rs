//! Krotov and Hopfield's network: hidden units that compete for images, and a softmax read-out of a power of their
//! sums ("Unsupervised learning by competing hidden units", PNAS 2019).
//!
//! The hidden layer learns by [`krotov_hopfield`], at a rate that falls
//! linearly to zero; then a read-out is trained by its gradient on max(0, W v)^n, of images v scaled to unit length.

use std::ops::ControlFlow;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::datasets::Dataset;
use crate::error::{Error, Result};
use crate::kernels::dense::{self, Write};
use crate::kernels::hebbian::{KrotovHopfield, MAX_RANK, krotov_hopfield};
use crate::kernels::{activation, perturb};
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::random::Stream;
use crate::systems::checkpoint::{Reader, Writer};
use crate::systems::features::{self, Frozen, Keep};
use crate::systems::journal::{Journal, Phase};
use crate::systems::read_out::{self, ReadOut, Training};
use crate::systems::{CurvePoint, Differentiable, Learner, Observer, Schedule, settings};

/// A Krotov-Hopfield network and how it is trained. The defaults are the paper's for MNIST.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names every random number of the run (0 to 2^63 - 1).
    pub seed: u64,
    /// Hidden units.
    pub units: usize,
    /// Whether hidden weights are kept at zero or above.
    pub non_negative: bool,
    /// The exponent of the norm the weights converge to: a unit's sum is that of sgn(w) |w|^(p-1) x.
    pub p: u32,
    /// The rank of the unit that is pushed away from the image (2 to 16).
    pub k: usize,
    /// How strongly it is.
    pub delta: f64,
    /// The largest change of a weight by one batch, at the beginning.
    pub rate: f64,
    /// How the rate develops.
    pub schedule: Schedule,
    /// Samples of a batch.
    pub batch: usize,
    /// Passes over the training set.
    pub epochs: u64,
    /// What the read-out sees of the hidden sums.
    pub reading: Reading,
    /// Memory for the hidden layer's activities on the whole training set, in MiB, while the read-out is trained. If
    /// they need more, each batch recomputes its own.
    pub feature_memory: u64,
    /// The read-out.
    pub output: read_out::Config,
}

/// What the read-out sees of the hidden sums W v, v an image of unit length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// max(0, W v)^exponent.
    Power {
        /// The exponent n, 0.01 to 64.
        exponent: f64,
    },
    /// max(0, W v).
    Relu,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            seed: 0,
            units: 2000,
            non_negative: false,
            p: 3,
            k: 7,
            delta: 0.4,
            rate: 0.04,
            schedule: Schedule::Linear,
            batch: 100,
            epochs: 200,
            reading: Reading::Power { exponent: 4.5 },
            feature_memory: 512,
            output: read_out::Config::default(),
        }
    }
}

settings::toml_form!(Config);

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Setting`] naming key, range and value.
    pub fn validate(&self) -> Result<()> {
        use settings::{not_negative, positive, within};
        settings::seed(self.seed)?;
        within("units", self.units as u64, 2, 1 << 20)?;
        within("p", self.p.into(), 2, 64)?;
        within("k", self.k as u64, 2, self.units.min(MAX_RANK) as u64)?;
        not_negative("delta", self.delta)?;
        positive("rate", self.rate)?;
        within("batch", self.batch as u64, 1, 1 << 20)?;
        within("epochs", self.epochs, 0, 1 << 20)?;
        if let Reading::Power { exponent } = self.reading {
            settings::between("reading.power.exponent", exponent, 0.01, 64.0)?;
        }
        within("feature_memory", self.feature_memory, 0, 1 << 24)?;
        self.output.validate("output")
    }
}

/// A Krotov-Hopfield network with its whole training state.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    config: Config,
    journal: Journal,
    /// `[units, inputs]`.
    hidden: Matrix,
    output: ReadOut,
}

/// The name in checkpoints and on the command line.
pub(crate) const KIND: &str = "krotov-hopfield";

fn new_output(context: &mut Context, config: &Config, classes: usize) -> ReadOut {
    let stream = Stream::new(config.seed, "output weights");
    ReadOut::new(context, stream, config.units, classes, config.output.non_negative)
}

/// Images of unit length, and what each was multiplied by: zero for a black one.
fn of_unit_length(images: MatRef<'_>) -> (Matrix, Vec<f32>) {
    let mut unit = images.to_owned();
    let scales = (0..unit.rows()).map(|row| {
        let row = unit.row_mut(row);
        let square: f64 = row.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
        let scale = if square > 0.0 { (1.0 / square.sqrt()) as f32 } else { 0.0 };
        row.iter_mut().for_each(|value| *value *= scale);
        scale
    });
    let scales = scales.collect();
    (unit, scales)
}

/// The hidden activities of images.
fn read(context: &mut Context, hidden: &Matrix, reading: Reading, images: MatRef<'_>, mut out: MatMut<'_>) {
    let (unit, _) = of_unit_length(images);
    dense::matmul_nt(context, unit.view(), hidden.view(), out.reborrow(), Write::Replace);
    apply(context, reading, out);
}

/// Hidden sums become activities.
fn apply(context: &mut Context, reading: Reading, out: MatMut<'_>) {
    match reading {
        Reading::Power { exponent } => activation::power(context, out, exponent as f32),
        Reading::Relu => activation::relu(context, out),
    }
}

impl Network {
    /// An untrained network: hidden weights are Gaussian with standard deviation 1 (their magnitudes, if they may not be
    /// negative).
    ///
    /// # Errors
    /// As [`Config::validate`]; [`Error::Setting`] if inputs or classes are out of range, or weights or a batch would be more than 2^30
    /// values; [`Error::InstructionSet`] if the environment names a set this CPU lacks.
    pub fn new(config: Config, inputs: usize, classes: usize) -> Result<Self> {
        config.validate()?;
        settings::shape(inputs, classes)?;
        settings::weights("units", &[inputs, config.units, classes])?;
        settings::batch("batch", config.batch, inputs.max(config.units))?;
        settings::batch("output.batch", config.output.batch, inputs.max(config.units))?;
        let mut context = Context::new()?;
        let mut hidden = Matrix::zeros(config.units, inputs);
        perturb::gaussian(&mut context, Stream::new(config.seed, "hidden weights"), 1.0, hidden.as_mut_slice());
        if config.non_negative {
            hidden.as_mut_slice().iter_mut().for_each(|weight| *weight = weight.abs());
        }
        let output = new_output(&mut context, &config, classes);
        Ok(Network { config, journal: Journal::default(), hidden, output })
    }

    /// Continues from a checkpoint.
    ///
    /// # Errors
    /// As [`checkpoint::load`](crate::systems::checkpoint::load).
    pub fn load(path: &Path) -> Result<Self> {
        Network::read(&mut Reader::open(path)?)
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Self> {
        let config = reader.config(KIND, Config::from_toml_within)?;
        let (inputs, classes) = reader.shape()?;
        reader.expect("hidden.weights", &[config.units, inputs])?;
        reader.expect_read_out("output", config.units, classes)?;
        let mut network = Network::new(config, inputs, classes)?;
        network.journal = reader.journal()?;
        reader.matrix("hidden.weights", &mut network.hidden)?;
        reader.read_out("output", &mut network.output)?;
        reader.finish()?;
        Ok(network)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The read-out.
    pub fn output(&self) -> &ReadOut {
        &self.output
    }

    /// The same hidden layer under a new, untrained read-out.
    ///
    /// # Errors
    /// [`Error::Setting`] if the network, its present read-out included, has not been trained to the end, or for settings out of range.
    pub fn with_reading(&self, reading: Reading, output: read_out::Config) -> Result<Self> {
        if !self.journal.finished {
            return Err(Error::setting("reading", "a network trained to the end", "one in training"));
        }
        let config = Config { reading, output, ..self.config.clone() };
        config.validate()?;
        let output = new_output(&mut Context::new()?, &config, self.classes());
        let mut journal = self.journal.clone();
        journal.restart("hidden");
        Ok(Network { config, journal, hidden: self.hidden.clone(), output })
    }
}

impl Learner for Network {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn inputs(&self) -> usize {
        self.hidden.cols()
    }

    fn classes(&self) -> usize {
        self.output.bias.len()
    }

    fn train(
        &mut self,
        context: &mut Context,
        data: &Dataset,
        monitor: Option<&Dataset>,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>> {
        settings::both_fit(data, monitor, self.inputs(), self.classes())?;
        self.journal.begin(data.len(), data.digest())?;
        let Network { config, journal, hidden, output } = self;
        let mut images = features::batches(data, config.batch, false, Stream::new(config.seed, "hidden batches"))?;
        let stream = Stream::new(config.seed, "output batches");
        let mut batches = features::batches(data, config.output.batch, false, stream)?;
        let phases = [
            Phase::epochs("hidden", config.epochs, images.per_epoch()),
            Phase::epochs("output", config.output.epochs, batches.per_epoch()),
        ];
        let rule = KrotovHopfield { p: config.p, k: config.k, delta: config.delta as f32 };
        let mut pixels = Frozen::pixels(data);
        while let Some((0, done)) = journal.locate(&phases) {
            let rate = config.rate * config.schedule.factor(done, phases[0].steps);
            let (x, _) = pixels.batch(context, &mut images, done)?;
            krotov_hopfield(context, x, hidden.view_mut(), &rule, rate as f32);
            if config.non_negative {
                hidden.as_mut_slice().iter_mut().for_each(|w| *w = if *w < 0.0 { 0.0 } else { *w });
            }
            if journal.record(&phases[0], done + 1, None, None, observer).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if let Some((_, done)) = journal.locate(&phases) {
            let (hidden, reading) = (&*hidden, config.reading);
            let forward = move |context: &mut Context, images: MatRef<'_>, out: MatMut<'_>| {
                read(context, hidden, reading, images, out);
            };
            let limit = config.feature_memory << 20;
            let mut features = Frozen::new(context, data, config.units, None, Keep::AtMost(limit), Box::new(forward))?;
            let (config, phase) = (&config.output, &phases[1]);
            let mut training = Training { config, phase, batches: &mut batches, features: &mut features, monitor };
            if training.run(context, output, journal, done, observer)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        journal.finished = true;
        Ok(ControlFlow::Continue(()))
    }

    fn finished(&self) -> bool {
        self.journal.finished
    }

    fn predict(&self, context: &mut Context, images: MatRef<'_>, logits: MatMut<'_>) {
        let mut features = Matrix::zeros(images.rows(), self.config.units);
        read(context, &self.hidden, self.config.reading, images, features.view_mut());
        self.output.logits(context, features.view(), logits);
    }

    fn save(&self, path: &Path) -> Result<()> {
        let mut writer = Writer::new(KIND, &self.config.to_toml(), self.inputs(), self.classes(), &self.journal);
        writer.matrix("hidden.weights", &self.hidden);
        writer.read_out("output", &self.output);
        writer.write(path)
    }

    fn curve(&self) -> &[CurvePoint] {
        &self.journal.curve
    }

    fn config_toml(&self) -> String {
        self.config.to_toml()
    }

    fn weights(&self, layer: usize) -> Option<MatRef<'_>> {
        (layer == 0).then(|| self.hidden.view())
    }

    fn receptive_fields(&self) -> Matrix {
        self.hidden.clone()
    }
}

impl Differentiable for Network {
    fn input_gradient(
        &self,
        context: &mut Context,
        images: MatRef<'_>,
        labels: &[u8],
        mut gradient: MatMut<'_>,
    ) -> Result<()> {
        let (unit, scales) = of_unit_length(images);
        let mut sums = Matrix::zeros(images.rows(), self.config.units);
        dense::matmul_nt(context, unit.view(), self.hidden.view(), sums.view_mut(), Write::Replace);
        let mut features = sums.clone();
        apply(context, self.config.reading, features.view_mut());
        let mut above = Matrix::zeros(images.rows(), self.config.units);
        self.output.feature_gradient(context, features.view(), labels, above.view_mut());
        for (value, &sum) in above.as_mut_slice().iter_mut().zip(sums.as_slice()) {
            let slope = match self.config.reading {
                _ if sum <= 0.0 => 0.0,
                Reading::Power { exponent } => (exponent * f64::from(sum).powf(exponent - 1.0)) as f32,
                Reading::Relu => 1.0,
            };
            *value *= slope;
        }
        dense::matmul(context, above.view(), self.hidden.view(), gradient.reborrow(), Write::Replace);
        // Through v = x / |x|: what points along v changes nothing.
        for (row, scale) in scales.into_iter().enumerate() {
            let (unit, gradient) = (unit.row(row), gradient.row_mut(row));
            let along: f64 = unit.iter().zip(&*gradient).map(|(&v, &g)| f64::from(v) * f64::from(g)).sum();
            gradient.iter_mut().zip(unit).for_each(|(g, v)| *g = (*g - along as f32 * v) * scale);
        }
        Ok(())
    }
}
