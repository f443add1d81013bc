//! The shape of a particle, and many particles of one shape: [block][weight][lane], 16 particles a block.
//!
//! The weights of a block are one contiguous piece (27 cache lines for 5-3-3-1), so that a pass over a million particles reads
//! and writes memory as one stream, and no distance between weights is a power of two.

use super::Lanes;
use crate::error::{Error, Result};
use crate::matrix::{MatRef, Matrix};
use crate::random::Stream;
use crate::simd::LANES;

/// Inputs of a particle: a weight, its layer, cell and index, and the input of the task.
pub const ROW: usize = 5;
/// What the authors add to positions and to what divides them.
const MARGIN: f64 = 1e-8;

/// The activation of a particle's hidden units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "systems", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Activation {
    /// None: the paper's.
    Linear,
    /// The hyperbolic tangent.
    Tanh,
    /// `z Phi(z)`, Phi the standard normal distribution.
    Gelu,
}

/// One unit's incoming weights, and where they stand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit {
    pub(super) start: usize,
    pub(super) inputs: usize,
    pub(super) layer: f32,
    pub(super) cell: f32,
}

/// The shape of a particle: 5 inputs, hidden layers, one output, no bias.
#[derive(Clone, Debug, PartialEq)]
pub struct Net {
    widths: Vec<usize>,
    activation: Activation,
    direct: bool,
    weights: usize,
    pub(super) units: Vec<Unit>,
    pub(super) index: Vec<f32>,
    /// `sum_i p_i p_i^T` of the positions (layer, cell, index) of all weights.
    pub(super) gram: [[f32; 3]; 3],
}

impl Net {
    /// Most hidden layers.
    pub const MAX_LAYERS: usize = 8;
    /// Most units of a hidden layer.
    pub const MAX_UNITS: usize = 64;

    /// A net with these hidden layers: `[3, 3]` for the paper's 5-3-3-1.
    ///
    /// # Errors
    /// [`Error::Setting`] for more than 8 hidden layers, or one that has not 1 to 64 units.
    pub fn new(hidden: &[usize], activation: Activation) -> Result<Self> {
        if hidden.len() > Self::MAX_LAYERS {
            return Err(Error::setting("hidden", "at most 8 layers", hidden.len()));
        }
        if let Some(units) = hidden.iter().find(|units| !(1..=Self::MAX_UNITS).contains(*units)) {
            return Err(Error::setting("hidden", "1 to 64 units a layer", units));
        }
        let widths: Vec<usize> = [ROW].into_iter().chain(hidden.iter().copied()).chain([1]).collect();
        let place = |at: usize, last: usize| (at as f64 / (last as f64 + MARGIN) + MARGIN) as f32;
        let layers = widths.len() - 1;
        let widest = *widths[1..].iter().max().expect("an output");
        let longest = *widths[..layers].iter().max().expect("inputs");
        let index: Vec<f32> = (0..longest).map(|at| place(at, longest - 1)).collect();
        let (mut units, mut start, mut gram) = (Vec::new(), 0, [[0.0f64; 3]; 3]);
        for layer in 0..layers {
            for cell in 0..widths[layer + 1] {
                let unit = Unit {
                    start,
                    inputs: widths[layer],
                    layer: place(layer, layers - 1),
                    cell: place(cell, widest - 1),
                };
                for &index in &index[..unit.inputs] {
                    let position = [unit.layer, unit.cell, index].map(f64::from);
                    for i in 0..3 {
                        for j in 0..3 {
                            gram[i][j] += position[i] * position[j];
                        }
                    }
                }
                start += unit.inputs;
                units.push(unit);
            }
        }
        let gram = gram.map(|row| row.map(|sum| sum as f32));
        Ok(Net { widths, activation, direct: false, weights: start, units, index, gram })
    }

    /// The same net, evaluated layer by layer even if it is linear: slower, and what the collapsed algebra is compared with.
    #[must_use]
    pub fn direct(self) -> Self {
        Net { direct: true, ..self }
    }

    /// Weights of a particle: P.
    pub fn weights(&self) -> usize {
        self.weights
    }

    /// Units of every layer, from the 5 inputs to the one output.
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// The activation of the hidden units.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Layer, cell and index of a weight, as the particle is shown them.
    ///
    /// # Panics
    /// If there is no such weight.
    #[track_caller]
    pub fn position(&self, weight: usize) -> [f32; 3] {
        self.check(weight);
        let unit = self.units.iter().rfind(|unit| unit.start <= weight).expect("a unit begins at weight 0");
        [unit.layer, unit.cell, self.index[weight - unit.start]]
    }

    #[track_caller]
    fn check(&self, weight: usize) {
        assert!(weight < self.weights, "weight {weight} of {}", self.weights);
    }

    /// Whether the row of five numbers stands for the net.
    #[inline(always)]
    pub(super) fn is_collapsed(&self) -> bool {
        self.activation == Activation::Linear && !self.direct
    }

    /// Multiply-adds of an answer that is found layer by layer. As measured, an activation takes as long as some eight.
    pub(super) fn answer(&self) -> usize {
        let hidden: usize = self.widths[1..self.widths.len() - 1].iter().sum();
        self.weights + if self.activation == Activation::Linear { 0 } else { 8 * hidden }
    }

    /// Multiply-adds of the answers for all weights: some P together if the row stands for the net.
    pub(super) fn answers(&self) -> usize {
        if self.is_collapsed() { self.weights } else { self.weights * self.answer() }
    }

    /// Units of the hidden layers, if it is two of the same width.
    #[inline(always)]
    pub(super) fn twice(&self) -> usize {
        match self.widths[..] {
            [ROW, a, b, 1] if a == b => a,
            _ => 0,
        }
    }

    /// Vectors of scratch that one evaluation needs: values before and after each activation, and two of errors.
    pub(super) fn scratch(&self) -> usize {
        let all: usize = self.widths.iter().sum();
        let widest = *self.widths.iter().max().expect("inputs");
        2 * all + 2 * widest
    }
}

/// Particles of one shape.
///
/// In memory, 16 particles are a block, a block is a row of 16 values per weight, and blocks follow each other; lanes of the last
/// block that stand for no particle hold zeros, and stay zero under every kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Particles {
    net: Net,
    len: usize,
    values: Matrix,
}

impl Particles {
    /// Particles whose weights are all zero.
    ///
    /// # Panics
    /// If so many weights do not fit into the address space.
    #[track_caller]
    pub fn zeros(net: &Net, len: usize) -> Self {
        let Some(rows) = len.div_ceil(LANES).checked_mul(net.weights()) else {
            panic!("{len} particles of {} weights", net.weights());
        };
        Particles { net: net.clone(), len, values: Matrix::zeros(rows, LANES) }
    }

    /// Weights drawn uniformly from `+- sqrt(6 / (inputs + outputs))` of their layer (Glorot and Bengio, AISTATS 2010), those of
    /// particle p from the stream's item p. Cost: a random number and two writes a weight, on the calling thread.
    ///
    /// # Panics
    /// As [`zeros`](Self::zeros).
    #[track_caller]
    pub fn xavier(net: &Net, len: usize, stream: Stream) -> Self {
        let mut particles = Particles::zeros(net, len);
        let mut weights = vec![0.0; net.weights()];
        for particle in 0..len {
            stream.item(particle as u64).uniform(-1.0, 1.0, &mut weights);
            let mut start = 0;
            for layer in net.widths.windows(2) {
                let bound = (6.0 / (layer[0] + layer[1]) as f64).sqrt() as f32;
                let end = start + layer[0] * layer[1];
                weights[start..end].iter_mut().for_each(|w| *w *= bound);
                start = end;
            }
            particles.set(particle, &weights);
        }
        particles
    }

    /// The particles whose weights are the rows of a matrix \[particles, weights\]: layer by layer, unit by unit, input by input. Cost: a read and a
    /// write a weight, on the calling thread.
    ///
    /// # Errors
    /// [`Error::Length`] if the rows have not one value a weight.
    pub fn from_rows(net: &Net, rows: MatRef<'_>) -> Result<Self> {
        if rows.cols() != net.weights() {
            return Err(Error::Length { what: "weights of a particle", expected: net.weights(), found: rows.cols() });
        }
        let mut particles = Particles::zeros(net, rows.rows());
        for (particle, weights) in rows.iter_rows().enumerate() {
            particles.set(particle, weights);
        }
        Ok(particles)
    }

    /// The weights as a matrix \[particles, weights\].
    pub fn to_rows(&self) -> Matrix {
        Matrix::from_fn(self.len, self.net.weights(), |particle, weight| self.weight(particle, weight))
    }

    /// How many particles.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Their shape.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// One weight of one particle.
    ///
    /// # Panics
    /// If there is no such particle or weight.
    #[track_caller]
    pub fn weight(&self, particle: usize, weight: usize) -> f32 {
        self.check(particle);
        self.net.check(weight);
        self.values[(particle / LANES * self.net.weights() + weight, particle % LANES)]
    }

    /// Replaces the weights of a particle.
    ///
    /// # Panics
    /// If there is no such particle, or the number of weights is not the net's.
    #[track_caller]
    pub fn set(&mut self, particle: usize, weights: &[f32]) {
        self.check(particle);
        assert!(weights.len() == self.net.weights(), "{} weights for {}", weights.len(), self.net.weights());
        for (weight, &value) in weights.iter().enumerate() {
            self.values[(particle / LANES * weights.len() + weight, particle % LANES)] = value;
        }
    }

    /// Every value, block after block, the lanes that stand for no particle too: as they lie in memory.
    /// For files [`to_rows`](Self::to_rows) and [`from_rows`](Self::from_rows) are better: they hold nothing but the weights.
    pub fn as_slice(&self) -> &[f32] {
        self.values.as_slice()
    }

    #[track_caller]
    fn check(&self, particle: usize) {
        assert!(particle < self.len, "particle {particle} of {}", self.len);
    }

    pub(super) fn blocks(&self) -> usize {
        self.len.div_ceil(LANES)
    }

    pub(super) fn lanes(&self) -> &[Lanes] {
        self.values.as_slice().as_chunks().0
    }

    pub(super) fn parts_mut(&mut self) -> (&Net, &mut [Lanes]) {
        (&self.net, self.values.as_mut_slice().as_chunks_mut().0)
    }

    /// Refuses others of another net or number.
    #[track_caller]
    pub(super) fn agree(&self, name: &str, other: &Particles) {
        // All that a net is made from.
        let of = |particles: &Particles| {
            let Net { widths, activation, direct, .. } = &particles.net;
            let direct = if *direct { ", direct" } else { "" };
            format!("{} particles of {widths:?}, {activation:?}{direct}", particles.len)
        };
        assert!(self.net == other.net && self.len == other.len, "{name}: {}, but {}", of(self), of(other));
    }
}
