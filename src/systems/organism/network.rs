//! An organism that classifies images, as a learner: its whole state, training, checkpoints.

use std::ops::ControlFlow;
use std::sync::OnceLock;

use super::body::{Census, Descent, Organism, PlainNetwork, Workspace};
use super::config::{Between, Config};
use crate::context::Context;
use crate::datasets::batches::{Batches, Order};
use crate::datasets::transforms::resize_bilinear;
use crate::datasets::{Dataset, Scaling, Shape};
use crate::error::{Error, Result};
use crate::kernels::loss::{accuracy, softmax_cross_entropy};
use crate::kernels::particle::{Class, Net, Particles, SelfReplication};
use crate::kernels::perturb::gaussian;
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::parallel::for_each;
use crate::random::Stream;
use crate::systems::checkpoint::{Reader, Writer};
use crate::systems::journal::{self, Journal, Phase};
use crate::systems::{Learner, Observer, checkpoint, settings};

pub(crate) const KIND: &str = "organism";

/// Images resized at once.
const IMAGES: usize = 64;

/// Where an organism stands after an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// Classes and loss of the particles.
    pub census: Census,
    /// The mean loss of the task over the epoch's batches that were finite; NaN before training.
    pub loss: f64,
    /// Share of the monitor's images classified correctly (0 to 1); NaN without a monitor.
    pub accuracy: f64,
}

/// An organism of particles that classifies images of one channel, resized to a square.
#[derive(Clone, Debug)]
pub struct Network {
    config: Config,
    journal: Journal,
    inputs: usize,
    pub(super) organism: Organism,
    epochs: Vec<[f64; 7]>,
    /// The weights that the particles stand for, once they were asked for.
    plain: OnceLock<PlainNetwork>,
}

/// Of the same configuration and state. An epoch's loss and accuracy may be no numbers, which are the same then.
impl PartialEq for Network {
    fn eq(&self, other: &Self) -> bool {
        let Network { config, journal, inputs, organism, epochs, plain: _ } = self;
        let bits = |epochs: &[[f64; 7]]| epochs.iter().map(|epoch| epoch.map(f64::to_bits)).collect::<Vec<_>>();
        (config, journal, inputs) == (&other.config, &other.journal, &other.inputs)
            && *organism == other.organism
            && bits(epochs) == bits(&other.epochs)
    }
}

/// Calls per epoch: the organism, and where it stands.
pub type Watch<'a> = dyn FnMut(&mut Context, &Network) + 'a;

/// The rows and columns of an image of this many values.
fn image_shape(inputs: usize) -> Result<Shape> {
    let edge = inputs.isqrt();
    if edge * edge != inputs || edge == 0 {
        return Err(Error::setting("image size", "a square of one channel", format!("{inputs} values")));
    }
    Shape::new(1, edge, edge)
}

/// Images \[n, inputs\] resized to \[n, side^2\].
pub(super) fn resize(context: &Context, images: MatRef<'_>, shape: Shape, side: usize, out: MatMut<'_>) {
    let threads = context.threads().for_work([images.rows(), side, side, 16]);
    for_each(threads, out.row_blocks(IMAGES).enumerate(), |(block, mut out)| {
        for row in 0..out.rows() {
            resize_bilinear(images.row(block * IMAGES + row), shape, side, side, out.row_mut(row));
        }
    });
}

impl Network {
    /// An untrained organism for images of `inputs` values.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings out of range, images that are not square, or too many particles.
    pub fn new(config: Config, inputs: usize, classes: usize) -> Result<Self> {
        config.validate()?;
        settings::shape(inputs, classes)?;
        image_shape(inputs)?;
        let widths: Vec<usize> =
            [config.side * config.side].into_iter().chain(config.hidden.iter().copied()).chain([classes]).collect();
        let gelu = config.activation == Between::Gelu;
        let mut organism = Organism::new(&config.net()?, &widths, gelu, Stream::new(config.seed, "particles"))?;
        if config.self_replication.persistent {
            // There from the beginning, as it is in a file.
            organism.self_velocity = Some(Particles::zeros(organism.particles.net(), organism.particles.len()));
        }
        Ok(Network {
            config,
            journal: Journal::default(),
            inputs,
            organism,
            epochs: Vec::new(),
            plain: OnceLock::new(),
        })
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Self> {
        let config = reader.config(KIND, Config::from_toml_within)?;
        let (inputs, classes) = reader.shape()?;
        let net: Net = config.net()?;
        let widths = [config.side * config.side].into_iter().chain(config.hidden.iter().copied()).chain([classes]);
        let widths: Vec<usize> = widths.collect();
        let count: usize = widths.windows(2).map(|pair| pair[0] * pair[1]).sum();
        let shape = [count, net.weights()];
        reader.expect("particles", &shape)?;
        reader.expect("task_velocity", &shape)?;
        if config.self_replication.persistent {
            reader.expect("self_velocity", &shape)?;
        }
        let mut network = Network::new(config, inputs, classes)?;
        network.journal = reader.journal()?;
        let mut particles = |name: &str| -> Result<Particles> {
            let mut rows = Matrix::zeros(shape[0], shape[1]);
            reader.matrix(name, &mut rows)?;
            Particles::from_rows(&net, rows.view())
        };
        network.organism.particles = particles("particles")?;
        network.organism.velocity = particles("task_velocity")?;
        if let Some(velocity) = &mut network.organism.self_velocity {
            *velocity = particles("self_velocity")?;
        }
        let points = reader.doubles_of("epochs", 7)?;
        network.epochs = points.as_chunks::<7>().0.to_vec();
        for [counts @ .., _, _, _] in &network.epochs {
            // Every particle is of one class.
            let whole = counts.iter().all(|count| count.fract() == 0.0 && *count >= 0.0);
            if !whole || counts.iter().sum::<f64>() != count as f64 {
                return Err(reader.wrong(format!("numbers of {count} particles by class"), format!("{counts:?}")));
            }
        }
        Ok(network)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The organism.
    pub fn organism(&self) -> &Organism {
        &self.organism
    }

    /// Where it stood before training and after each epoch.
    pub fn epochs(&self) -> impl ExactSizeIterator<Item = Epoch> + '_ {
        self.epochs.iter().map(|&[a, b, c, d, own, loss, accuracy]| Epoch {
            census: Census { counts: [a, b, c, d].map(|count| count as usize), loss: own },
            loss,
            accuracy,
        })
    }

    /// The images as the organism sees them, without noise.
    ///
    /// # Errors
    /// [`Error::Setting`] if they have another shape or number of classes, or are so many that no memory holds them at this size,
    /// [`Error::Format`] if they lie in a file that was cut off since it was opened.
    pub fn see(&self, context: &mut Context, data: &Dataset) -> Result<Matrix> {
        self.fits(data)?;
        let (shape, side) = (image_shape(self.inputs)?, self.config.side);
        settings::values("side", "values of all images", (data.len() * side * side) as u128)?;
        let mut seen = Matrix::zeros(data.len(), side * side);
        let mut images = Matrix::zeros(data.len().min(IMAGES * 16), self.inputs);
        let all: Vec<u32> = (0..data.len() as u32).collect();
        for (indices, out) in all.chunks(IMAGES * 16).zip(seen.view_mut().row_blocks(IMAGES * 16)) {
            let mut images = images.view_mut().split_rows(indices.len()).0;
            data.gather(context, indices, Scaling::UNIT, images.reborrow())?;
            resize(context, images.as_ref(), shape, side, out);
        }
        Ok(seen)
    }

    /// The share of images, as the organism sees them, that a plain network classifies correctly: [`accuracy`] of its outputs, 0 of no images.
    ///
    /// # Panics
    /// If there are not as many labels as images, a label is no class, or the images have another size.
    #[track_caller]
    pub fn share_correct(context: &mut Context, plain: &PlainNetwork, seen: MatRef<'_>, labels: &[u8]) -> f64 {
        let out = plain.forward(context, seen);
        accuracy(out.view(), labels)
    }

    /// Squares of one channel, in as many classes as there are outputs.
    fn fits(&self, data: &Dataset) -> Result<()> {
        settings::fits(data, self.inputs, self.classes())?;
        self.sees(data)
    }

    /// Whether it can be trained on these images, and watched by those.
    pub(super) fn takes(&self, data: &Dataset, monitor: Option<&Dataset>) -> Result<()> {
        self.fits(data)?;
        monitor.map_or(Ok(()), |monitor| self.fits(monitor))?;
        if data.len() < self.config.batch {
            let expected = format!("at most the {} training images", data.len());
            return Err(Error::setting("batch", expected, self.config.batch));
        }
        Ok(())
    }

    /// Trains as [`Learner::train`] does, calling `watch` before training and after every epoch.
    ///
    /// # Errors
    /// As [`Learner::train`].
    pub fn train_watched(
        &mut self,
        context: &mut Context,
        data: &Dataset,
        monitor: Option<&Dataset>,
        observer: &mut Observer<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<ControlFlow<()>> {
        self.takes(data, monitor)?;
        self.journal.begin(data.len(), data.intact_digest()?)?;
        let stream = Stream::new(self.config.seed, "batches");
        let mut batches =
            Batches::new(data.labels(), data.classes(), None, self.config.batch, Order::Shuffled, stream)?;
        // What does not fill a batch waits for the next pass.
        let phase = Phase::epochs("organism", self.config.epochs, data.len() / self.config.batch);
        let noise = Stream::new(self.config.seed, "noise");
        let seen = self.see(context, data)?;
        let watched =
            monitor.map(|monitor| Ok::<_, Error>((self.see(context, monitor)?, monitor.labels()))).transpose()?;
        let rule = self.config.self_replication;
        let own = SelfReplication { rate: rule.rate as f32, momentum: rule.momentum as f32, steps: rule.steps };
        let task = Descent { rate: self.config.task.rate as f32, momentum: self.config.task.momentum as f32 };
        let (mut batch, mut labels) = (Matrix::zeros(self.config.batch, seen.cols()), Vec::new());
        let mut grain = Matrix::zeros(self.config.batch, seen.cols());
        let mut workspace = Workspace::default();
        if self.epochs.is_empty() {
            self.note(context, f64::NAN, f64::NAN);
            watch(context, self);
        }
        while let Some((_, done)) = self.journal.locate(std::slice::from_ref(&phase)) {
            let indices = batches.indices(done);
            data.gather_labels(indices, &mut labels)?;
            for (row, &index) in indices.iter().enumerate() {
                batch.row_mut(row).copy_from_slice(seen.row(index as usize));
            }
            if self.config.noise > 0.0 {
                gaussian(context, noise.item(done), self.config.noise as f32, grain.as_mut_slice());
                batch.as_mut_slice().iter_mut().zip(grain.as_slice()).for_each(|(pixel, grain)| *pixel += grain);
            }
            if own.steps > 0 {
                self.organism.replicate(context, &own, rule.persistent);
            }
            self.plain = OnceLock::new();
            let scale = 1.0 / labels.len() as f32;
            let loss = self.organism.step(context, &mut workspace, batch.view(), task, |context, out, mut gradient| {
                let loss = softmax_cross_entropy(context, out, &labels, None, Some(gradient.reborrow()));
                for row in 0..gradient.rows() {
                    gradient.row_mut(row).iter_mut().for_each(|value| *value *= scale);
                }
                loss
            });
            // A loss that is no number is shown by the census, and averaged into nothing.
            let loss = loss.is_finite().then_some(loss);
            let mut accuracy = None;
            let marked = Journal::marks(&phase, done + 1);
            if marked {
                accuracy = watched
                    .as_ref()
                    .map(|(seen, labels)| Network::share_correct(context, self.plain(), seen.view(), labels));
            }
            let flow = self.journal.record(&phase, done + 1, loss, Ok(accuracy), observer)?;
            if marked {
                let loss = self.journal.curve.last().and_then(|point| point.loss);
                self.note(context, loss.unwrap_or(f64::NAN), accuracy.unwrap_or(f64::NAN));
                watch(context, self);
            }
            if flow.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        self.journal.finished = true;
        Ok(ControlFlow::Continue(()))
    }

    /// What the organism stands for.
    fn plain(&self) -> &PlainNetwork {
        self.plain.get_or_init(|| self.organism.extract())
    }

    /// Remembers where the organism stands.
    fn note(&mut self, context: &mut Context, loss: f64, accuracy: f64) {
        let census = Census::of(&self.organism.examine(context), self.config.epsilon as f32);
        let [a, b, c, d] = census.counts.map(|count| count as f64);
        self.epochs.push([a, b, c, d, census.loss, loss, accuracy]);
    }

    /// The numbers of the particles of this class.
    pub fn of_class(&self, context: &mut Context, class: Class) -> Vec<usize> {
        let epsilon = self.config.epsilon as f32;
        let examined = self.organism.examine(context);
        (0..examined.len()).filter(|&particle| examined[particle].class(epsilon) == class).collect()
    }
}

checkpoint::readable!(Network);

impl Learner for Network {
    journal::answers!();

    fn inputs(&self) -> usize {
        self.inputs
    }

    fn classes(&self) -> usize {
        *self.organism.widths().last().expect("an organism has outputs")
    }

    fn train(
        &mut self,
        context: &mut Context,
        data: &Dataset,
        monitor: Option<&Dataset>,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>> {
        self.train_watched(context, data, monitor, observer, &mut |_, _| ())
    }

    fn predict(&self, context: &mut Context, images: MatRef<'_>, mut logits: MatMut<'_>) {
        let side = self.config.side;
        let shape = image_shape(self.inputs).expect("checked when the network was made");
        let mut seen = Matrix::zeros(images.rows(), side * side);
        resize(context, images, shape, side, seen.view_mut());
        let out = self.plain().forward(context, seen.view());
        logits.copy_from(out.view());
    }

    fn sees(&self, data: &Dataset) -> Result<()> {
        settings::same_size(data, self.inputs)?;
        settings::shaped(data, image_shape(self.inputs)?, "organism")
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut writer = Writer::new(KIND, &self.config.to_toml(), self.inputs, self.classes(), &self.journal);
        writer.matrix("particles", &self.organism.particles.to_rows());
        writer.matrix("task_velocity", &self.organism.velocity.to_rows());
        if let Some(velocity) = &self.organism.self_velocity {
            writer.matrix("self_velocity", &velocity.to_rows());
        }
        writer.doubles("epochs", &[self.epochs.len(), 7], self.epochs.as_flattened());
        writer.bytes()
    }

    /// None, whatever the layer: the weights are particles, see [`Network::organism`], and [`Organism::extract`] for the weights
    /// that they stand for.
    fn weights(&self, _layer: usize) -> Option<MatRef<'_>> {
        None
    }

    /// The weights that the first layer's particles stand for, `[cells, pixels]`: an image of `side` x `side`, as the organism sees
    /// them, for each cell of the first layer (without hidden layers for each class).
    fn receptive_fields(&self) -> Matrix {
        self.plain().weights[0].transposed()
    }
}
