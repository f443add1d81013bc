//! Genotypes across lanes: 64 of them share what an edge costs besides arithmetic. Legal always; wins from some 40 genotypes.
//!
//! ```text
//! for each block of 16 hidden units
//!   weights of their edges and output links, for 64 genotypes                                      (1)
//!   for each 64 samples
//!     for each unit of the block, each sample
//!       acc = 0                                       4 registers of 16 genotypes
//!       for each edge whose pixel is not zero: acc += weight * pixel                               (2)
//!       h = ReLU(acc)
//!     for each 16 genotypes, each sample
//!       for each unit of the block that is not silent: logits += v * h                             (3)
//! L, delta and hits of 16 genotypes at a time
//! ```
//! 1. Made once for up to 2048 samples. A block's weights (320 KB at 78 edges a unit) stay in the second-level cache, a unit's in the first.
//! 2. The edges are the set bits of a word for each sample and 64 edges, made when the samples were prepared.
//! 3. A product with zero leaves a chain of fused operations as it is: what is skipped does not show in the bits.

use super::evaluate::{CHUNK, Source, Sums};
use super::graph::{BLOCK, Graph};
use super::population::GROUP;
use super::samples::Samples;
use super::weights::{VECTORS, weights_of_group};
use crate::simd::{Kernel, LANES, Simd, math};

/// Hidden units of a block.
const UNITS: usize = 16;

/// A number for each genotype of a group.
type Lanes = [[f32; LANES]; VECTORS];

/// Scratch memory of a thread.
pub(super) struct Work<'a> {
    /// \[block of edges\]\[edge\]: weights of the block's edges.
    edges: &'a mut [f32],
    /// \[vector\]\[unit\]\[class\]
    output: &'a mut [f32],
    /// \[sample\]\[unit\]
    hidden: &'a mut [f32],
    /// \[sample\]\[vector\]\[class\]
    logits: &'a mut [f32],
}

impl<'a> Work<'a> {
    /// How much of each, for this many chunks of samples.
    pub(super) fn lengths(graph: &Graph, chunks: usize) -> [usize; 4] {
        let starts = (0..graph.hidden()).step_by(UNITS);
        let widest = starts.map(|first| blocks_of(graph, first, UNITS.min(graph.hidden() - first)).len()).max();
        [
            widest.unwrap_or(0) * BLOCK * GROUP,
            UNITS * graph.classes() * GROUP,
            CHUNK * LANES * UNITS * GROUP,
            chunks * CHUNK * LANES * graph.classes() * GROUP,
        ]
    }

    pub(super) fn split(scratch: &'a mut [f32], lengths: [usize; 4]) -> Self {
        let (edges, rest) = scratch.split_at_mut(lengths[0]);
        let (output, rest) = rest.split_at_mut(lengths[1]);
        let (hidden, logits) = rest.split_at_mut(lengths[2]);
        Work { edges, output, hidden, logits }
    }
}

/// The blocks of edges of some units.
fn blocks_of(graph: &Graph, first: usize, units: usize) -> std::ops::Range<usize> {
    graph.block_range(first).start..graph.block_range(first + units - 1).end
}

/// One group of genotypes on the samples of some chunks.
pub(super) struct Evaluate<'a> {
    pub(super) source: Source<'a>,
    pub(super) samples: &'a Samples,
    pub(super) first_chunk: usize,
    pub(super) sums: &'a mut [Sums],
    pub(super) work: Work<'a>,
}

impl Kernel for Evaluate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let graph = self.samples.graph();
        let classes = graph.classes();
        let edges = self.work.edges.as_chunks_mut().0.as_chunks_mut::<VECTORS>().0;
        let output = self.work.output.as_chunks_mut::<LANES>().0;
        let hidden = self.work.hidden.as_chunks_mut().0.as_chunks_mut::<VECTORS>().0;
        let logits = self.work.logits.as_chunks_mut::<LANES>().0;
        let tiles = self.samples.images().div_ceil(LANES);
        let chunk_logits = CHUNK * LANES * VECTORS * classes;
        logits[..self.sums.len() * chunk_logits].fill([0.0; LANES]);
        for first in (0..graph.hidden()).step_by(UNITS) {
            let units = UNITS.min(graph.hidden() - first);
            let first_block = blocks_of(graph, first, units).start;
            make_weights(s, self.source, graph, first, units, edges, output);
            for at in 0..self.sums.len() {
                let first_tile = (self.first_chunk + at) * CHUNK;
                let tiles = first_tile..tiles.min(first_tile + CHUNK);
                let mut alive = [0u32; CHUNK * LANES];
                for unit in 0..units {
                    let blocks = graph.block_range(first + unit);
                    for tile in tiles.clone() {
                        let pixels = self.samples.tile(tile);
                        for lane in 0..LANES {
                            let mut acc = [s.zero(); VECTORS];
                            for block in blocks.clone() {
                                let active = self.samples.active(block, tile)[lane];
                                let rows = &edges[(block - first_block) * BLOCK..][..BLOCK];
                                add_edges(s, active, graph.inputs_of_block(block), pixels, lane, rows, &mut acc);
                            }
                            let sample = (tile - first_tile) * LANES + lane;
                            let out = &mut hidden[sample * UNITS + unit];
                            let mut silent = u16::MAX;
                            for v in 0..VECTORS {
                                // NaN stays: it is the second operand, and not silent.
                                let h = s.max(s.zero(), acc[v]);
                                silent &= s.mask_bits(s.le(h, s.zero()));
                                s.store(h, &mut out[v]);
                            }
                            alive[sample] |= u32::from(silent != u16::MAX) << unit;
                        }
                    }
                }
                let logits = &mut logits[at * chunk_logits..][..chunk_logits];
                let samples = tiles.len() * LANES;
                for v in 0..VECTORS {
                    let output = &output[v * UNITS * classes..][..UNITS * classes];
                    for sample in 0..samples {
                        let hidden = &hidden[sample * UNITS..][..UNITS];
                        let logits = &mut logits[(sample * VECTORS + v) * classes..][..classes];
                        let alive = alive[sample];
                        let (mut tens, mut class) = (logits.as_chunks_mut::<10>().0.iter_mut(), 0);
                        for ten in &mut tens {
                            add_units(s, alive, hidden, v, output, classes, class, ten);
                            class += 10;
                        }
                        for one in logits[class..].as_chunks_mut::<1>().0 {
                            add_units(s, alive, hidden, v, output, classes, class, one);
                            class += 1;
                        }
                    }
                }
            }
        }
        for (at, sums) in self.sums.iter_mut().enumerate() {
            let logits = &logits[at * chunk_logits..][..chunk_logits];
            let first = (self.first_chunk + at) * CHUNK * LANES;
            let labels = &self.samples.labels()[first..];
            for (sample, &label) in labels.iter().take(CHUNK * LANES).enumerate() {
                for v in 0..VECTORS {
                    let logits = &logits[(sample * VECTORS + v) * classes..][..classes];
                    score(s, logits, label.into(), v, sums);
                }
            }
        }
    }
}

/// Adds the active edges of a block for one sample.
#[inline(always)]
fn add_edges<S: Simd>(
    s: S,
    mut active: u64,
    inputs: &[u16; BLOCK],
    pixels: &[[f32; LANES]],
    lane: usize,
    weights: &[Lanes],
    acc: &mut [S::F32; VECTORS],
) {
    let mut sums = *acc;
    while active != 0 {
        let edge = active.trailing_zeros() as usize;
        active &= active - 1;
        let pixel = s.splat(pixels[usize::from(inputs[edge])][lane]);
        let weights = &weights[edge];
        for v in 0..VECTORS {
            sums[v] = s.mul_add(s.load(&weights[v]), pixel, sums[v]);
        }
    }
    *acc = sums;
}

/// Adds the units that are not silent to `C` classes from `class`.
#[inline(always)]
fn add_units<S: Simd, const C: usize>(
    s: S,
    mut alive: u32,
    hidden: &[Lanes],
    v: usize,
    output: &[[f32; LANES]],
    classes: usize,
    class: usize,
    logits: &mut [[f32; LANES]; C],
) {
    let mut sums = [s.zero(); C];
    for c in 0..C {
        sums[c] = s.load(&logits[c]);
    }
    while alive != 0 {
        let unit = alive.trailing_zeros() as usize;
        alive &= alive - 1;
        let h = s.load(&hidden[unit][v]);
        let weights: &[[f32; LANES]; C] = output[unit * classes + class..].first_chunk().expect("C classes");
        for c in 0..C {
            sums[c] = s.mul_add(s.load(&weights[c]), h, sums[c]);
        }
    }
    for c in 0..C {
        s.store(sums[c], &mut logits[c]);
    }
}

/// The weights of a block of units for a group of genotypes, zero for those beyond the last.
#[inline(always)]
fn make_weights<S: Simd>(
    s: S,
    source: Source<'_>,
    graph: &Graph,
    first: usize,
    units: usize,
    edges: &mut [Lanes],
    output: &mut [[f32; LANES]],
) {
    let (classes, first_block) = (graph.classes(), graph.block_range(first).start);
    for unit in 0..units {
        let links = graph.pattern().range(first + unit);
        let rows = &mut edges[(graph.block_range(first + unit).start - first_block) * BLOCK..][..links.len()];
        let outputs = graph.edges() + (first + unit) * classes;
        match source {
            Source::Genes(w, words) => {
                for (link, row) in links.zip(rows) {
                    weights_of_group(s, w, link, words, row);
                }
                for class in 0..classes {
                    let mut lanes = [[0.0; LANES]; VECTORS];
                    weights_of_group(s, w, outputs + class, words, &mut lanes);
                    for v in 0..VECTORS {
                        output[(v * UNITS + unit) * classes + class] = lanes[v];
                    }
                }
            }
            Source::Given(weights) => {
                for row in &mut *rows {
                    *row = [[0.0; LANES]; VECTORS];
                }
                for v in 0..VECTORS {
                    output[(v * UNITS + unit) * classes..][..classes].fill([0.0; LANES]);
                }
                for (genotype, from) in weights.iter_rows().enumerate() {
                    let (v, lane) = (genotype / LANES, genotype % LANES);
                    for (row, &weight) in rows.iter_mut().zip(&from[links.clone()]) {
                        row[v][lane] = weight;
                    }
                    for class in 0..classes {
                        output[(v * UNITS + unit) * classes + class][lane] = from[outputs + class];
                    }
                }
            }
        }
    }
}

/// L, delta and hits of 16 genotypes on a sample.
#[inline(always)]
fn score<S: Simd>(s: S, logits: &[[f32; LANES]], label: usize, v: usize, sums: &mut Sums) {
    let own = s.load(&logits[label]);
    let mut max = s.load(&logits[0]);
    for logit in logits {
        max = s.max(s.load(logit), max);
    }
    let (mut total, mut hit) = (s.zero(), u16::MAX);
    for (class, logit) in logits.iter().enumerate() {
        let logit = s.load(logit);
        total = s.add(total, math::exp(s, s.sub(logit, max)));
        // The first of equals: those before must be smaller.
        if class < label {
            hit &= s.mask_bits(s.lt(logit, own));
        } else {
            hit &= s.mask_bits(s.le(logit, own));
        }
    }
    let loss = s.sub(math::ln(s, total), s.sub(own, max));
    let chance = (logits.len() as f64).ln() as f32;
    // The second operand where it is NaN.
    let reward = s.max(s.zero(), s.neg_mul_add(loss, loss, s.splat(chance * chance)));
    let (losses, rewards) = (s.lanes(loss), s.lanes(reward));
    let range = v * LANES..(v + 1) * LANES;
    let (sum_losses, sum_rewards) = (&mut sums.losses[range.clone()], &mut sums.rewards[range.clone()]);
    for lane in 0..LANES {
        sum_losses[lane] += f64::from(losses[lane]);
        sum_rewards[lane] += f64::from(rewards[lane]);
    }
    for (lane, correct) in sums.correct[range].iter_mut().enumerate() {
        *correct += u32::from(hit >> lane & 1);
    }
}
