//! The organism itself: layers of particles, and the two things each of them learns.

use std::ops::Range;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::kernels::activation::{self, gelu, gelu_gradient};
use crate::kernels::dense::{Write, matmul, matmul_nt, matmul_tn};
use crate::kernels::particle::{
    self, Activation, Class, Examined, Net, Particles, ROW, SelfReplication, effective_weight_step, effective_weights,
};
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::random::Stream;
use crate::systems::settings;

/// Layers of particles: between `widths[l]` values and `widths[l + 1]` there is a particle for each pair of them, that from value i
/// to cell j being the particle `range(l).start + i widths[l + 1] + j`.
#[derive(Clone, Debug, PartialEq)]
pub struct Organism {
    widths: Vec<usize>,
    gelu: bool,
    pub(super) particles: Particles,
    /// Momentum of the task.
    pub(super) velocity: Particles,
    /// Momentum of self-replication, where it outlives a call.
    pub(super) self_velocity: Option<Particles>,
}

/// How gradients are followed: `m = momentum m + gradient; w -= rate m`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Descent {
    /// The learning rate.
    pub rate: f32,
    /// The momentum.
    pub momentum: f32,
}

/// How many particles are of each class, and how well they reproduce themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Census {
    /// Particles of each class, in the order of [`Class::ALL`].
    pub counts: [usize; 4],
    /// The mean loss of self-replication over the particles that have not diverged; NaN if all have.
    pub loss: f64,
}

impl Census {
    /// The census of these particles.
    pub fn of(examined: &[Examined], epsilon: f32) -> Self {
        let (mut counts, mut sum, mut finite) = ([0; 4], 0.0, 0usize);
        for seen in examined {
            let class = seen.class(epsilon);
            counts[Class::ALL.iter().position(|other| *other == class).expect("one of all")] += 1;
            // A particle whose loss overflows is about to diverge: it is not averaged in either.
            if class != Class::Divergent && seen.loss.is_finite() {
                sum += f64::from(seen.loss);
                finite += 1;
            }
        }
        Census { counts, loss: sum / finite as f64 }
    }

    /// How many are of this class.
    pub fn count(&self, class: Class) -> usize {
        self.counts[Class::ALL.iter().position(|other| *other == class).expect("one of all")]
    }

    /// The share of self-replicators, 0 to 1.
    pub fn share(&self) -> f64 {
        self.count(Class::SelfReplicating) as f64 / self.counts.iter().sum::<usize>().max(1) as f64
    }
}

/// Values between the layers, kept from one step to the next.
#[derive(Debug, Default)]
pub struct Workspace {
    weights: Vec<f32>,
    gradient: Vec<f32>,
    /// What enters each layer's activation, and what leaves it.
    sums: Vec<Matrix>,
    values: Vec<Matrix>,
    errors: Vec<Matrix>,
}

/// `N(0, 0, 0, 0, x)` of a linear particle: the last column of its first layer, through the other layers.
fn answer(net: &Net, w: &[f32], x: f64) -> f64 {
    let widths = &net.widths()[1..];
    let (first, mut rest) = w.split_at(ROW * widths[0]);
    let mut values: Vec<f64> = first.chunks_exact(ROW).map(|row| f64::from(row[ROW - 1]) * x).collect();
    for pair in widths.windows(2) {
        let (layer, after) = rest.split_at(pair[0] * pair[1]);
        let dot = |row: &[f32]| row.iter().zip(&values).map(|(w, value)| f64::from(*w) * value).sum();
        values = layer.chunks_exact(pair[0]).map(dot).collect();
        rest = after;
    }
    values[0]
}

impl Organism {
    /// An organism of Xavier-uniform particles, with GELU after its hidden layers or nothing.
    ///
    /// # Errors
    /// [`Error::Setting`] for fewer than two widths, a width of zero, more than 2^24 particles or 2^30 weights of all of them, or
    /// particles that are not linear: those do not stand for one weight.
    pub fn new(net: &Net, widths: &[usize], gelu: bool, stream: Stream) -> Result<Self> {
        let particles = Organism::particles_of(net, widths)?;
        Organism::from_particles(widths, gelu, Particles::xavier(net, particles, stream))
    }

    /// An organism of these particles, in the order of [`particles`](Self::particles). Momentum begins at zero.
    ///
    /// ```
    /// use neuropil::kernels::particle::{Activation, Net};
    /// use neuropil::random::Stream;
    /// use neuropil::systems::organism::Organism;
    /// let first = Organism::new(&Net::new(&[3], Activation::Linear)?, &[4, 2], true, Stream::new(0, "particles"))?;
    /// let again = Organism::from_particles(&[4, 2], true, first.particles().clone())?;
    /// assert_eq!(again, first);
    /// # Ok::<(), neuropil::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Error::Length`] if there are not as many particles as pairs of neighbouring values.
    pub fn from_particles(widths: &[usize], gelu: bool, particles: Particles) -> Result<Self> {
        let expected = Organism::particles_of(particles.net(), widths)?;
        if particles.len() != expected {
            return Err(Error::Length { what: "particles of an organism", expected, found: particles.len() });
        }
        let velocity = Particles::zeros(particles.net(), expected);
        Ok(Organism { widths: widths.to_vec(), gelu, particles, velocity, self_velocity: None })
    }

    /// How many particles these widths ask for, if there can be so many of such nets.
    fn particles_of(net: &Net, widths: &[usize]) -> Result<usize> {
        if net.activation() != Activation::Linear {
            return Err(Error::setting("particles", "linear nets", format!("{:?}", net.activation())));
        }
        if widths.len() < 2 || widths.contains(&0) {
            return Err(Error::setting("widths", "two or more, each at least 1", format!("{widths:?}")));
        }
        let product = |pair: &[usize]| pair[0].checked_mul(pair[1]);
        let particles = widths.windows(2).map(product).try_fold(0usize, |sum, next| sum.checked_add(next?));
        let particles = particles
            .filter(|&particles| particles <= 1 << 24)
            .ok_or_else(|| Error::setting("widths", "at most 16777216 particles", format!("{widths:?}")))?;
        settings::values("particle", "weights of all particles", particles as u128 * net.weights() as u128)?;
        Ok(particles)
    }

    /// Values of every layer, inputs first.
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// All particles, layer after layer.
    pub fn particles(&self) -> &Particles {
        &self.particles
    }

    /// The numbers of a layer's particles.
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn range(&self, layer: usize) -> Range<usize> {
        let counts: Vec<usize> = self.widths.windows(2).map(|pair| pair[0] * pair[1]).collect();
        let start = counts[..layer].iter().sum();
        start..start + counts[layer]
    }

    /// Loss, deviation and magnitude of every particle.
    pub fn examine(&self, context: &mut Context) -> Vec<Examined> {
        particle::examine(context, &self.particles)
    }

    /// The weights that the particles stand for, `c = N(0, 0, 0, 0, 1)`, as a plain network of the same shape.
    ///
    /// Summed in `f64` and rounded once, so half a unit in the last place off, and what sums of `f64` lose by cancelling: the network is
    /// kept, and the last bits of [`effective_weights`], which training takes, are half of what sets it apart from the organism.
    /// The same on every instruction set. NaN and infinity pass through.
    pub fn extract(&self) -> PlainNetwork {
        let (net, rows) = (self.particles.net(), self.particles.to_rows());
        let weights = self.widths.windows(2).enumerate().map(|(layer, pair)| {
            let first = self.range(layer).start;
            Matrix::from_fn(pair[0], pair[1], |i, j| answer(net, rows.row(first + i * pair[1] + j), 1.0) as f32)
        });
        PlainNetwork { weights: weights.collect(), gelu: self.gelu }
    }

    /// Steps of self-replication of every particle; momentum restarts with the call unless it is `persistent`.
    ///
    /// # Panics
    /// If rate or momentum is not finite.
    #[track_caller]
    pub fn replicate(&mut self, context: &mut Context, rule: &SelfReplication, persistent: bool) {
        if persistent && self.self_velocity.is_none() {
            self.self_velocity = Some(Particles::zeros(self.particles.net(), self.particles.len()));
        }
        let velocity = self.self_velocity.as_mut().filter(|_| persistent);
        particle::self_replicate(context, &mut self.particles, velocity, rule);
    }

    /// A step of the task: the outputs are computed, `loss` says what they cost and writes their gradient, over
    /// whatever stands there, and every particle follows it.
    ///
    /// # Panics
    /// If x has not as many columns as the organism has inputs, or the descent's rate or momentum is not finite.
    #[track_caller]
    pub fn step(
        &mut self,
        context: &mut Context,
        workspace: &mut Workspace,
        x: MatRef<'_>,
        descent: Descent,
        loss: impl FnOnce(&mut Context, MatRef<'_>, MatMut<'_>) -> f64,
    ) -> f64 {
        let Workspace { weights, gradient, sums, values, errors } = workspace;
        let layers = self.widths.len() - 1;
        weights.resize(self.particles.len(), 0.0);
        gradient.resize(self.particles.len(), 0.0);
        effective_weights(context, &self.particles, weights);
        for matrices in [&mut *sums, &mut *values, &mut *errors] {
            matrices.resize_with(layers, || Matrix::zeros(0, 0));
            for (matrix, &width) in matrices.iter_mut().zip(&self.widths[1..]) {
                if (matrix.rows(), matrix.cols()) != (x.rows(), width) {
                    *matrix = Matrix::zeros(x.rows(), width);
                }
            }
        }
        let weights = &*weights;
        let c = |layer: usize| {
            let (rows, cols) = (self.widths[layer], self.widths[layer + 1]);
            MatRef::new(&weights[self.range(layer)], rows, cols).expect("a weight a particle")
        };
        for layer in 0..layers {
            let (below, above) = values.split_at_mut(layer);
            let input = below.last().map_or(x, Matrix::view);
            matmul(context, input, c(layer), sums[layer].view_mut(), Write::Replace);
            above[0].view_mut().copy_from(sums[layer].view());
            if self.gelu && layer + 1 < layers {
                gelu(context, above[0].view_mut());
            }
        }
        let cost = loss(context, values[layers - 1].view(), errors[layers - 1].view_mut());
        for layer in (0..layers).rev() {
            let input = if layer == 0 { x } else { values[layer - 1].view() };
            let (below, above) = errors.split_at_mut(layer);
            let to = &mut gradient[self.range(layer)];
            let to = MatMut::new(to, self.widths[layer], self.widths[layer + 1]).expect("a gradient a particle");
            matmul_tn(context, input, above[0].view(), to, Write::Replace);
            if let Some(below) = below.last_mut() {
                matmul_nt(context, above[0].view(), c(layer), below.view_mut(), Write::Replace);
                if self.gelu {
                    gelu_gradient(context, sums[layer - 1].view(), below.view_mut());
                }
            }
        }
        effective_weight_step(
            context,
            &mut self.particles,
            &mut self.velocity,
            gradient,
            descent.rate,
            descent.momentum,
        );
        cost
    }

    /// The outputs \[batch, outputs\], every particle asked for every product it stands for: `N(0, 0, 0, 0, x)`, layer by layer,
    /// in `f64` and rounded once, at the end.
    ///
    /// Slow: what [`extract`](Self::extract) is compared with. The same on every instruction set. NaN and infinity pass through.
    ///
    /// # Panics
    /// If x has not as many columns as the organism has inputs.
    #[track_caller]
    pub fn ask(&self, x: MatRef<'_>) -> Matrix {
        assert!(x.cols() == self.widths[0], "ask: {} values for {} inputs", x.cols(), self.widths[0]);
        let (net, rows) = (self.particles.net(), self.particles.to_rows());
        let last = self.widths.len() - 2;
        let mut outputs = Matrix::zeros(x.rows(), self.widths[last + 1]);
        for (b, row) in x.iter_rows().enumerate() {
            let mut values: Vec<f64> = row.iter().copied().map(f64::from).collect();
            for layer in 0..=last {
                let (first, cells) = (self.range(layer).start, self.widths[layer + 1]);
                let said = |i: usize, j: usize| answer(net, rows.row(first + i * cells + j), values[i]);
                let sums = (0..cells).map(|j| (0..values.len()).map(|i| said(i, j)).sum::<f64>());
                values =
                    sums.map(|z| if self.gelu && layer < last { activation::reference::gelu(z) } else { z }).collect();
            }
            for (output, value) in outputs.row_mut(b).iter_mut().zip(values) {
                *output = value as f32;
            }
        }
        outputs
    }
}

/// A bias-free network of plain weights, one matrix \[inputs, outputs\] a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct PlainNetwork {
    /// The weights.
    pub weights: Vec<Matrix>,
    /// Whether GELU follows the hidden layers.
    pub gelu: bool,
}

impl PlainNetwork {
    /// The outputs \[batch, outputs\].
    ///
    /// # Panics
    /// If x has not as many columns as the network has inputs.
    #[track_caller]
    pub fn forward(&self, context: &mut Context, x: MatRef<'_>) -> Matrix {
        let mut values: Option<Matrix> = None;
        for (layer, weights) in self.weights.iter().enumerate() {
            let input = values.as_ref().map_or(x, Matrix::view);
            let mut next = Matrix::zeros(x.rows(), weights.cols());
            matmul(context, input, weights.view(), next.view_mut(), Write::Replace);
            if self.gelu && layer + 1 < self.weights.len() {
                gelu(context, next.view_mut());
            }
            values = Some(next);
        }
        values.unwrap_or_else(|| x.to_owned())
    }

    /// Sets the weights of these particles' numbers to zero.
    ///
    /// # Panics
    /// If there is no such particle.
    pub fn drop(&mut self, particles: impl IntoIterator<Item = usize>) {
        let mut all: Vec<&mut f32> = self.weights.iter_mut().flat_map(|weights| weights.as_mut_slice()).collect();
        for particle in particles {
            *all[particle] = 0.0;
        }
    }

    /// The numbers of the `count` weights of the smallest magnitude, over all layers: what global L1 pruning takes. Of equal
    /// weights the first.
    pub fn smallest(&self, count: usize) -> Vec<usize> {
        let all: Vec<f32> = self.weights.iter().flat_map(|weights| weights.as_slice()).copied().collect();
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by(|&a, &b| all[a].abs().total_cmp(&all[b].abs()));
        order.truncate(count);
        order
    }
}
