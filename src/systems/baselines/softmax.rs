//! Softmax regression on raw pixels: the line every hidden layer has to be above.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::datasets::Dataset;
use crate::error::Result;
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::random::Stream;
use crate::systems::checkpoint::{Reader, Writer};
use crate::systems::features::{self, Frozen};
use crate::systems::journal::{self, Journal, Phase};
use crate::systems::read_out::{self, ReadOut, Training};
use crate::systems::{Differentiable, Learner, Observer, checkpoint, drawing, settings};

/// A softmax regression and how it is trained.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names every random number of the run (0 to 2^63 - 1).
    pub seed: u64,
    /// The training.
    pub output: read_out::Config,
}

settings::toml_form!(Config);

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) naming key, range and value.
    pub fn validate(&self) -> Result<()> {
        settings::seed(self.seed)?;
        self.output.validate("output")
    }
}

/// A softmax regression with its whole training state.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    config: Config,
    journal: Journal,
    output: ReadOut,
}

/// The name in checkpoints and on the command line.
pub(crate) const KIND: &str = "softmax";

impl Network {
    /// An untrained network.
    ///
    /// # Errors
    /// As [`Config::validate`]; [`Error::Setting`](crate::Error::Setting) if inputs or classes are out of range, or weights or a batch would
    /// be more than 2^30 values.
    pub fn new(config: Config, inputs: usize, classes: usize) -> Result<Self> {
        let mut network = Network::zeros(config, inputs, classes)?;
        let Network { config, output, .. } = &mut network;
        let stream = Stream::new(config.seed, "softmax output weights");
        read_out::draw(&mut drawing(), stream, config.output.non_negative, &mut output.weights);
        Ok(network)
    }

    /// A network whose weights are still to be drawn, or read.
    fn zeros(config: Config, inputs: usize, classes: usize) -> Result<Self> {
        config.validate()?;
        settings::shape(inputs, classes)?;
        settings::weights("inputs", &[inputs, classes])?;
        settings::batch("output.batch", config.output.batch, inputs)?;
        let output = ReadOut::zeros(inputs, classes);
        Ok(Network { config, journal: Journal::default(), output })
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Self> {
        let config = reader.config(KIND, Config::from_toml_within)?;
        let (inputs, classes) = reader.shape()?;
        reader.expect_read_out("output", inputs, classes)?;
        let mut network = Network::zeros(config, inputs, classes)?;
        network.journal = reader.journal()?;
        reader.read_out("output", &mut network.output)?;
        Ok(network)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The same network under a schedule whose last phase is longer: `output.epochs` may be more than before, where the rate is
    /// constant ([`Schedule`](crate::systems::Schedule)). Trained to its end, it has the bits of a network that was trained so long
    /// at once. Where the rate falls to zero, what was learned depends on how long there was: train a new network for longer.
    ///
    /// # Errors
    /// As [`Config::validate`]; [`Error::Setting`](crate::Error::Setting) if anything else differs, if that is less than before, or
    /// if the rate is not constant.
    pub fn extended(mut self, config: Config) -> Result<Self> {
        config.validate()?;
        let mut same = self.config.clone();
        let before = std::mem::replace(&mut same.output.epochs, config.output.epochs);
        settings::same(&same, &config)?;
        self.journal.extend(("output.epochs", before, config.output.epochs), &[config.output.schedule])?;
        self.config = config;
        Ok(self)
    }

    /// The layer.
    pub fn read_out(&self) -> &ReadOut {
        &self.output
    }
}

checkpoint::readable!(Network);

impl Learner for Network {
    journal::answers!();

    fn inputs(&self) -> usize {
        self.output.weights.rows()
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
        self.journal.begin(data.len(), data.intact_digest()?)?;
        let Network { config: Config { seed, output: config }, journal, output } = self;
        let mut batches = features::batches(data, config.batch, false, Stream::new(*seed, "output batches"))?;
        let phase = &Phase::epochs("output", config.epochs, batches.per_epoch());
        let mut features = Frozen::pixels(data);
        if let Some((_, done)) = journal.locate(std::slice::from_ref(phase)) {
            let mut training = Training { config, phase, batches: &mut batches, features: &mut features, monitor };
            if training.run(context, output, journal, done, observer)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        journal.finished = true;
        Ok(ControlFlow::Continue(()))
    }

    fn predict(&self, context: &mut Context, images: MatRef<'_>, logits: MatMut<'_>) {
        self.output.logits(context, images, logits);
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut writer = Writer::new(KIND, &self.config.to_toml(), self.inputs(), self.classes(), &self.journal);
        writer.read_out("output", &self.output);
        writer.bytes()
    }

    fn weights(&self, _layer: usize) -> Option<MatRef<'_>> {
        None
    }

    fn receptive_fields(&self) -> Matrix {
        self.output.weights.transposed()
    }
}

impl Differentiable for Network {
    fn input_gradient(
        &self,
        context: &mut Context,
        images: MatRef<'_>,
        labels: &[u8],
        gradient: MatMut<'_>,
    ) -> Result<()> {
        self.output.feature_gradient(context, images, labels, gradient);
        Ok(())
    }
}
