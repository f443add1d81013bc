//! The addition task: two normal numbers in, their sum out (experiment 1 of the paper).
//!
//! It has neither a configuration file nor checkpoints nor a place in `neuropil train`, because a run takes a tenth of a second: there
//! is nothing to go on with, and [`Addition`]'s fields are its settings.

use super::body::{Census, Descent, Organism, Workspace};
use super::config::net;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::kernels::particle::SelfReplication;
use crate::kernels::perturb::gaussian;
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::random::Stream;
use crate::systems::settings;

/// How an organism learns to add. The defaults are the paper's.
#[derive(Clone, Debug, PartialEq)]
pub struct Addition {
    /// Names every random number.
    pub seed: u64,
    /// Cells of the hidden layers.
    pub hidden: Vec<usize>,
    /// Units of a particle's hidden layers.
    pub particle: Vec<usize>,
    /// Pairs to train on, and as many to test on.
    pub samples: usize,
    /// Pairs of a batch.
    pub batch: usize,
    /// Passes over the pairs.
    pub epochs: u64,
    /// The task's learning rate and momentum.
    pub task: Descent,
    /// Steps of self-replication before each step of the task.
    pub self_replication: SelfReplication,
    /// Whether the momentum of self-replication outlives these steps.
    pub persistent: bool,
    /// A particle reproduces itself if each weight is off by less than this, and is zero if none is further from zero.
    pub epsilon: f32,
}

impl Default for Addition {
    fn default() -> Self {
        Addition {
            seed: 0,
            hidden: vec![3, 3],
            particle: vec![3, 3],
            samples: 1000,
            batch: 50,
            epochs: 60,
            task: Descent { rate: 0.004, momentum: 0.9 },
            self_replication: SelfReplication { rate: 0.004, momentum: 0.9, steps: 25 },
            persistent: false,
            epsilon: 1e-5,
        }
    }
}

/// Where training stands after an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// Classes and loss of the particles.
    pub census: Census,
    /// Mean squared error over the epoch's batches that were finite.
    pub train: f64,
    /// Mean squared error on the test pairs.
    pub test: f64,
    /// Mean absolute error on the test pairs.
    pub absolute: f64,
}

/// A trained organism, and how it came about.
#[derive(Clone, Debug)]
pub struct Added {
    /// The organism.
    pub organism: Organism,
    /// The test pairs \[samples, 2\].
    pub test: Matrix,
    /// State before training, then after each epoch.
    pub epochs: Vec<Epoch>,
}

/// What changes when the particles become plain weights, over the test pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Resubstitution {
    /// The mean of |organism - plain network|.
    pub outputs: f64,
    /// The change of the mean absolute error: the paper's measure.
    pub error: f64,
    /// What the organism and the plain network are off by, for each pair.
    pub errors: Vec<[f64; 2]>,
}

impl Added {
    /// The organism, asked particle by particle in `f64`, beside the plain network of its weights in `f32`.
    pub fn resubstitution(&self, context: &mut Context) -> Resubstitution {
        let asked = self.organism.ask(self.test.view());
        let plain = self.organism.extract().forward(context, self.test.view());
        let pairs = asked.as_slice().iter().zip(plain.as_slice());
        let of = |out| errors(self.test.view(), out);
        let absolute = |out| of(out).map(f64::abs).sum::<f64>();
        let samples = self.test.rows() as f64;
        Resubstitution {
            outputs: pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()).sum::<f64>() / samples,
            error: (absolute(&asked) - absolute(&plain)).abs() / samples,
            errors: of(&asked).zip(of(&plain)).map(|(asked, plain)| [asked, plain]).collect(),
        }
    }
}

/// What outputs \[samples, 1\] are off the sums by.
fn errors(x: MatRef<'_>, out: &Matrix) -> impl Iterator<Item = f64> {
    x.iter_rows().zip(out.as_slice()).map(|(x, y)| f64::from(*y) - (f64::from(x[0]) + f64::from(x[1])))
}

/// The mean squared error of outputs \[batch, 1\] and its gradient.
fn squared_error(x: MatRef<'_>, out: MatRef<'_>, mut gradient: MatMut<'_>) -> f64 {
    let (mut sum, n) = (0.0, x.rows() as f64);
    for b in 0..x.rows() {
        let error = f64::from(out.row(b)[0]) - (f64::from(x.row(b)[0]) + f64::from(x.row(b)[1]));
        sum += error * error;
        gradient.row_mut(b)[0] = (2.0 * error / n) as f32;
    }
    sum / n
}

fn pairs(context: &mut Context, samples: usize, stream: Stream) -> Matrix {
    let mut x = Matrix::zeros(samples, 2);
    gaussian(context, stream, 1.0, x.as_mut_slice());
    x
}

impl Addition {
    /// Trains an organism; `watch` sees it before training and after every epoch.
    ///
    /// # Errors
    /// [`Error::Setting`] for a batch of zero or larger than the samples, samples or activities of a batch that would not fit into memory, rates, momenta or an epsilon out of range, or shapes that [`Net`](crate::kernels::particle::Net) or
    /// [`Organism`] refuse.
    pub fn train(&self, context: &mut Context, watch: &mut dyn FnMut(&Organism, &Epoch)) -> Result<Added> {
        if self.batch == 0 || self.batch > self.samples {
            return Err(Error::setting("batch", format!("1 to {} samples", self.samples), self.batch));
        }
        settings::within("samples", self.samples as u64, 1, u32::MAX.into())?;
        settings::values("samples", "values of all samples", 2 * self.samples as u128)?;
        let cells: u128 = self.hidden.iter().map(|cells| *cells as u128).sum();
        settings::values("batch", "values of a batch", self.batch as u128 * (3 + cells))?;
        let (task, own) = (self.task, &self.self_replication);
        for (part, rate, momentum) in [("task", task.rate, task.momentum), ("self_replication", own.rate, own.momentum)]
        {
            settings::not_negative(&format!("{part}.rate"), rate.into())?;
            settings::between(&format!("{part}.momentum"), momentum.into(), 0.0, 1.0)?;
        }
        settings::positive("epsilon", self.epsilon.into())?;
        let net = net(&self.particle)?;
        let widths: Vec<usize> = [2].into_iter().chain(self.hidden.iter().copied()).chain([1]).collect();
        let mut organism = Organism::new(&net, &widths, false, Stream::new(self.seed, "particles"))?;
        let train = pairs(context, self.samples, Stream::new(self.seed, "addition, training"));
        let test = pairs(context, self.samples, Stream::new(self.seed, "addition, test"));
        let order = Stream::new(self.seed, "addition, order");
        let mut workspace = Workspace::default();
        let mut epochs = Vec::new();
        let mut batch = Matrix::zeros(self.batch, 2);
        let mut indices: Vec<u32> = (0..self.samples as u32).collect();
        for epoch in 0..=self.epochs {
            let (mut sum, mut finite) = (0.0, 0usize);
            if epoch > 0 {
                order.item(epoch).shuffle(&mut indices);
                for chosen in indices.chunks_exact(self.batch) {
                    for (row, &index) in chosen.iter().enumerate() {
                        batch.row_mut(row).copy_from_slice(train.row(index as usize));
                    }
                    organism.replicate(context, &self.self_replication, self.persistent);
                    let x = batch.view();
                    let loss = organism.step(context, &mut workspace, x, self.task, |_, out, gradient| {
                        squared_error(x, out, gradient)
                    });
                    if loss.is_finite() {
                        sum += loss;
                        finite += 1;
                    }
                }
            }
            let out = organism.extract().forward(context, test.view());
            let now = Epoch {
                census: Census::of(&organism.examine(context), self.epsilon),
                train: sum / finite as f64,
                test: errors(test.view(), &out).map(|e| e * e).sum::<f64>() / self.samples as f64,
                absolute: errors(test.view(), &out).map(f64::abs).sum::<f64>() / self.samples as f64,
            };
            watch(&organism, &now);
            epochs.push(now);
        }
        Ok(Added { organism, test, epochs })
    }
}
