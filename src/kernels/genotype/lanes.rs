//! Genotypes across lanes: 64 of them share what an edge costs besides arithmetic. Legal always; wins from some 48 genotypes.
//!
//! ```text
//! for each block of 16 hidden units
//!   weights of their edges and output links, for 64 genotypes                                      (1)
//!   for each chunk of 64 samples
//!     for each unit of the block, each quad of samples
//!       acc = 0                                       4 samples x 4 registers of 16 genotypes
//!       for each edge with a pixel that is not zero in the quad: acc += weight * pixel             (2)
//!       h = ReLU(acc)
//!     for each 16 genotypes, each pair of samples
//!       for each unit of the block that is not silent: logits += v * h                             (3)
//! L, delta and hits of 16 genotypes at a time
//! ```
//!
//! Where registers are few, sums of one vector of genotypes at a time.
//!
//! 1. Made once for up to 1024 samples. A block's weights (320 KB at 78 edges a unit) stay in the second-level cache, a unit's in the first.
//! 2. The edges are the set bits of a word for each quad and 128 edges, made when the samples were prepared. Neighbours are similar: of pixels of
//!    which 19 % are not zero, a quad has 27 %. What this wastes is less than what waiting for weights and mispredicted loop ends cost a
//!    single sample (2 to 3 times the time).
//! 3. A product with zero leaves a chain of fused operations as it is: what is skipped does not show in the bits.

use std::num::{NonZeroU32, NonZeroU128};
use std::sync::atomic::Ordering;

use super::decode::{Genotypes, VECTORS};
use super::evaluate::{CHUNK, Source, Sums, Work};
use super::graph::{BLOCK, Graph};
use super::population::GROUP;
use super::samples::{Line, QUAD, Samples};
use crate::kernels::masked::chains;
use crate::matrix::MatRef;
use crate::simd::{Kernel, LANES, Simd, math};

/// Hidden units of a block.
const UNITS: usize = 16;
/// Samples that share the loads of output weights.
const PAIR: usize = 2;
/// Classes whose sums stay in registers together.
const TEN: usize = 10;
/// Vectors of genotypes.
const V: usize = VECTORS;
/// Samples that share the loads of weights.
const Q: usize = QUAD;
/// Genotypes that share the work.
pub(super) const GENOTYPES: usize = V * LANES;
const _: () = assert!(GENOTYPES == GROUP);
/// Samples of a chunk.
const SAMPLES: usize = CHUNK * LANES;
/// From the activities of one unit to those of the next, in samples: one more than there are keeps them out of each other's cache sets.
const STRIDE: usize = SAMPLES + 1;

/// A number for each genotype.
type Lanes = [[f32; LANES]; V];

/// How much scratch memory, for this many chunks of samples: weights of edges \[block of edges\]\[edge\], output weights \[vector\]\[ten classes, or one of
/// the rest\]\[unit\]\[class of those\], activities \[unit\]\[sample\], logits \[chunk\]\[vector\]\[sample\]\[class\].
pub(super) fn lengths(graph: &Graph, chunks: usize) -> [usize; 4] {
    [
        graph.widest(UNITS) * BLOCK * GENOTYPES,
        UNITS * graph.classes() * GENOTYPES,
        UNITS * STRIDE * GENOTYPES,
        chunks * SAMPLES * graph.classes() * GENOTYPES,
    ]
}

/// Up to 64 genotypes on the samples of some chunks.
pub(super) struct Evaluate<'a> {
    pub(super) source: Source<'a>,
    pub(super) samples: &'a Samples,
    pub(super) first_chunk: usize,
    pub(super) sums: &'a mut [Sums<GENOTYPES>],
    pub(super) work: Work<'a>,
}

impl Kernel for Evaluate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let graph = self.samples.graph();
        let classes = graph.classes();
        let edges = self.work.edges.as_chunks_mut().0.as_chunks_mut::<V>().0.as_chunks_mut::<BLOCK>().0;
        let output = self.work.output.as_chunks_mut::<LANES>().0;
        let hidden = self.work.hidden.as_chunks_mut().0.as_chunks_mut::<V>().0.as_chunks_mut::<STRIDE>().0;
        let logits = self.work.logits.as_chunks_mut::<LANES>().0;
        let tiles = self.samples.tiles();
        let chunk_logits = SAMPLES * V * classes;
        logits[..self.sums.len() * chunk_logits].fill([0.0; LANES]);
        for first in (0..graph.hidden()).step_by(UNITS) {
            let units = UNITS.min(graph.hidden() - first);
            let first_block = graph.block_range(first).start;
            make_weights(s, self.source, graph, first, units, edges.as_flattened_mut(), output);
            let seen = inputs_of(graph, first_block..graph.block_range(first + units - 1).end);
            for at in 0..self.sums.len() {
                let first_tile = (self.first_chunk + at) * CHUNK;
                // The next chunk's pixels come from beyond the second-level cache: ask for them a chunk ahead.
                let next = (first_tile + CHUNK).min(tiles)..(first_tile + 2 * CHUNK).min(tiles);
                for tile in if at + 1 < self.sums.len() { next } else { 0..0 } {
                    let pixels = self.samples.tile(tile);
                    for &input in &seen {
                        s.prefetch(&pixels[usize::from(input)].0[0]);
                    }
                }
                let tiles = first_tile..tiles.min(first_tile + CHUNK);
                let mut alive = [[0u8; LANES]; SAMPLES];
                for unit in 0..units {
                    let blocks = graph.block_range(first + unit);
                    let edges = UnitEdges {
                        samples: self.samples,
                        first_block: blocks.start,
                        weights: &edges[blocks.start - first_block..][..blocks.len()],
                    };
                    for (tile, out) in tiles.clone().zip(hidden[unit].as_chunks_mut::<LANES>().0) {
                        let alive = &mut alive.as_chunks_mut::<LANES>().0[tile - first_tile];
                        if S::REGISTERS < 32 {
                            hidden_of_tile::<S, 1>(s, edges, tile, out, alive, unit);
                        } else {
                            hidden_of_tile::<S, V>(s, edges, tile, out, alive, unit);
                        }
                    }
                }
                let logits = &mut logits[at * chunk_logits..][..chunk_logits];
                for v in 0..V {
                    let output = &output[v * UNITS * classes..][..UNITS * classes];
                    let logits = &mut logits[v * SAMPLES * classes..][..tiles.len() * LANES * classes];
                    for (pair, logits) in logits.chunks_exact_mut(PAIR * classes).enumerate() {
                        let sample = pair * PAIR;
                        let alive = units_alive(s, &alive[sample], v) | units_alive(s, &alive[sample + 1], v);
                        let mut class = 0;
                        while class + TEN <= classes {
                            let output = &output[class * UNITS..];
                            if S::REGISTERS < 32 {
                                add_units::<S, TEN, 1, 5>(s, alive, hidden, pair, v, output, classes, class, logits);
                            } else {
                                add_units::<S, TEN, PAIR, TEN>(
                                    s, alive, hidden, pair, v, output, classes, class, logits,
                                );
                            }
                            class += TEN;
                        }
                        while class < classes {
                            let output = &output[class * UNITS..];
                            add_units::<S, 1, PAIR, 1>(s, alive, hidden, pair, v, output, classes, class, logits);
                            class += 1;
                        }
                    }
                }
            }
        }
        for (at, sums) in self.sums.iter_mut().enumerate() {
            let logits = &logits[at * chunk_logits..][..chunk_logits];
            let first = (self.first_chunk + at) * SAMPLES;
            let labels = &self.samples.labels()[first..];
            for v in 0..V {
                for (sample, &label) in labels.iter().take(SAMPLES).enumerate() {
                    let logits = &logits[(v * SAMPLES + sample) * classes..][..classes];
                    score(s, logits, label.into(), v, sums);
                }
            }
        }
    }
}

/// The weights of a unit's edges, block by block.
#[derive(Clone, Copy)]
struct UnitEdges<'a> {
    samples: &'a Samples,
    first_block: usize,
    weights: &'a [[Lanes; BLOCK]],
}

/// The activities of a unit for 16 samples, and in which vectors of genotypes it is not silent; the sums of `N` vectors in registers at a time.
#[inline(always)]
fn hidden_of_tile<S: Simd, const N: usize>(
    s: S,
    edges: UnitEdges<'_>,
    tile: usize,
    out: &mut [Lanes; LANES],
    alive: &mut [[u8; LANES]; LANES],
    unit: usize,
) {
    const { assert!(V.is_multiple_of(N)) };
    let UnitEdges { samples, first_block, weights } = edges;
    let pixels = samples.tile(tile);
    let (out, alive) = (out.as_chunks_mut::<Q>().0, alive.as_chunks_mut::<Q>().0);
    for (quad, (out, alive)) in out.iter_mut().zip(alive).enumerate() {
        let mut vectors = [0; Q];
        for first in (0..V).step_by(N) {
            let mut acc = [[s.zero(); N]; Q];
            for (at, weights) in weights.iter().enumerate() {
                let active = samples.active(first_block + at, tile)[quad];
                let inputs = samples.graph().inputs_of_block(first_block + at);
                add_edges(s, active, inputs, pixels, quad, weights, first, &mut acc);
            }
            for q in 0..Q {
                for v in 0..N {
                    // NaN stays: it is the second operand, and not silent.
                    let h = s.max(s.zero(), acc[q][v]);
                    vectors[q] |= u8::from(s.mask_bits(s.le(h, s.zero())) != u16::MAX) << (first + v);
                    s.store(h, &mut out[q][first + v]);
                }
            }
        }
        for q in 0..Q {
            alive[q][unit] = vectors[q];
        }
    }
}

/// The inputs of the edges of these blocks.
fn inputs_of(graph: &Graph, blocks: std::ops::Range<usize>) -> Vec<u16> {
    let mut seen = vec![false; graph.inputs()];
    for block in blocks {
        for &input in graph.block(block) {
            seen[usize::from(input)] = true;
        }
    }
    (0..graph.inputs()).filter(|&input| seen[input]).map(|input| input as u16).collect()
}

/// Adds the edges of a block that are active for any of `Q` samples, for `N` vectors of genotypes from `first`.
#[inline(always)]
fn add_edges<S: Simd, const N: usize>(
    s: S,
    active: u128,
    inputs: &[u16; BLOCK],
    pixels: &[Line],
    quad: usize,
    weights: &[Lanes; BLOCK],
    first: usize,
    acc: &mut [[S::F32; N]; Q],
) {
    let mut sums = *acc;
    let mut left = NonZeroU128::new(active);
    while let Some(active) = left {
        let edge = active.trailing_zeros() as usize;
        left = NonZeroU128::new(active.get() & (active.get() - 1));
        let pixels = &pixels[usize::from(inputs[edge])].0.as_chunks::<Q>().0[quad];
        let weights: &[_; N] = weights[edge][first..].first_chunk().expect("N vectors");
        let mut w = [s.zero(); N];
        for v in 0..N {
            w[v] = s.load(&weights[v]);
        }
        for q in 0..Q {
            let pixel = s.splat(pixels[q]);
            for v in 0..N {
                sums[q][v] = s.mul_add(w[v], pixel, sums[q][v]);
            }
        }
    }
    *acc = sums;
}

/// The units that are not silent in a vector of genotypes, as bits, from the vectors of each unit.
#[inline(always)]
fn units_alive<S: Simd>(s: S, vectors: &[u8; LANES], v: usize) -> u32 {
    let own = s.and(s.round_i32(s.load_u8(vectors)), s.splat_u32(1 << v));
    s.mask_bits(s.lt(s.zero(), s.from_i32(own))).into()
}

/// Adds the units that are not silent to `C` classes from `class` of a pair of samples; the sums of `P` samples and `G` classes in registers at a
/// time.
#[inline(always)]
fn add_units<S: Simd, const C: usize, const P: usize, const G: usize>(
    s: S,
    alive: u32,
    hidden: &[[Lanes; STRIDE]],
    pair: usize,
    v: usize,
    output: &[[f32; LANES]],
    classes: usize,
    class: usize,
    logits: &mut [[f32; LANES]],
) {
    const { assert!(PAIR.is_multiple_of(P) && C.is_multiple_of(G)) };
    let hidden: &[_; UNITS] = hidden.first_chunk().expect("a block of units");
    let weights: &[[[f32; LANES]; C]; UNITS] = output.as_chunks().0.first_chunk().expect("weights of a block");
    for sample in (0..PAIR).step_by(P) {
        for first in (0..C).step_by(G) {
            let mut sums = [[s.zero(); G]; P];
            for p in 0..P {
                let logits = &logits[(sample + p) * classes + class + first..];
                let logits: &[[f32; LANES]; G] = logits.first_chunk().expect("G classes");
                for c in 0..G {
                    sums[p][c] = s.load(&logits[c]);
                }
            }
            let mut left = NonZeroU32::new(alive);
            while let Some(alive) = left {
                let unit = alive.trailing_zeros() as usize % UNITS;
                left = NonZeroU32::new(alive.get() & (alive.get() - 1));
                let hidden = &hidden[unit].as_chunks::<PAIR>().0[pair];
                let weights: &[[f32; LANES]; G] = weights[unit][first..].first_chunk().expect("G classes");
                let mut h = [s.zero(); P];
                for p in 0..P {
                    h[p] = s.load(&hidden[sample + p][v]);
                }
                for c in 0..G {
                    let weight = s.load(&weights[c]);
                    for p in 0..P {
                        sums[p][c] = s.mul_add(weight, h[p], sums[p][c]);
                    }
                }
            }
            for p in 0..P {
                let logits = &mut logits[(sample + p) * classes + class + first..];
                let logits: &mut [[f32; LANES]; G] = logits.first_chunk_mut().expect("G classes");
                for c in 0..G {
                    s.store(sums[p][c], &mut logits[c]);
                }
            }
        }
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
    let (lists, chain) = match source {
        Source::Genes(w, words) => (w.matrix().by_row(), Genotypes::<S, V> { s, words, first: 0 }),
        Source::Given(weights, finite) => {
            if !copy_weights(s, weights, graph, first, units, edges, output) {
                finite.store(false, Ordering::Relaxed);
            }
            return;
        }
    };
    let (classes, first_block) = (graph.classes(), graph.block_range(first).start);
    for unit in 0..units {
        let links = graph.pattern().range(first + unit);
        let block = graph.block_range(first + unit).start - first_block;
        let rows = &mut edges[block * BLOCK..][..links.len()];
        for (link, row) in links.zip(rows) {
            let [weights] = chains(chain, lists, link, [[s.zero(); V]]);
            for v in 0..V {
                s.store(weights[v], &mut row[v]);
            }
        }
        for class in 0..classes {
            let link = graph.edges() + (first + unit) * classes + class;
            let [weights] = chains(chain, lists, link, [[s.zero(); V]]);
            for v in 0..V {
                s.store(weights[v], &mut output[v * UNITS * classes + place(unit, class, classes)]);
            }
        }
    }
}

/// The same for weights that are given. Whether all of them are finite.
#[inline(always)]
fn copy_weights<S: Simd>(
    s: S,
    weights: MatRef<'_>,
    graph: &Graph,
    first: usize,
    units: usize,
    edges: &mut [Lanes],
    output: &mut [[f32; LANES]],
) -> bool {
    let (classes, first_block) = (graph.classes(), graph.block_range(first).start);
    let mut finite = true;
    for v in 0..V {
        for unit in 0..units {
            let links = graph.pattern().range(first + unit);
            let rows = &mut edges[(graph.block_range(first + unit).start - first_block) * BLOCK..];
            finite &= transposed(s, weights, v, links, |at, lanes| s.store(lanes, &mut rows[at][v]));
        }
        for unit in 0..units {
            let links = graph.edges() + (first + unit) * classes;
            let output = &mut output[v * UNITS * classes..][..UNITS * classes];
            finite &= transposed(s, weights, v, links..links + classes, |class, lanes| {
                s.store(lanes, &mut output[place(unit, class, classes)]);
            });
        }
    }
    finite
}

/// Weights of a row that are asked for ahead of their use: nothing else follows so many rows.
const AHEAD: usize = 128;

/// Hands `put` the weights of each of these links for vector `v` of the rows, zero for those beyond the last. Whether all of them are finite.
#[inline(always)]
fn transposed<S: Simd>(
    s: S,
    weights: MatRef<'_>,
    v: usize,
    links: std::ops::Range<usize>,
    mut put: impl FnMut(usize, S::F32),
) -> bool {
    let (start, len) = (links.start, links.len());
    // No more than there are: to load nothing from nowhere would take a hundred nanoseconds.
    let genotypes = (v * LANES..weights.rows()).take(LANES);
    let mut from = [&[][..]; LANES];
    for (lane, genotype) in genotypes.clone().enumerate() {
        from[lane] = &weights.row(genotype)[start..];
    }
    let (mut finite, infinity) = (u16::MAX, s.splat(f32::INFINITY));
    for first in (0..len).step_by(LANES) {
        let end = len.min(first + LANES);
        let mut vectors = [s.zero(); LANES];
        for (vector, from) in vectors.iter_mut().zip(&from[..genotypes.len()]) {
            *vector = s.load_partial(&from[first..end]);
            finite &= s.mask_bits(s.lt(s.abs(*vector), infinity));
            if let Some(next) = from.get(first + AHEAD) {
                s.prefetch(next);
            }
        }
        let vectors = s.transpose(vectors);
        for at in first..end {
            put(at, vectors[at - first]);
        }
    }
    finite == u16::MAX
}

/// Where the weight of a unit of a block to a class stands: units by tens of classes, then by each of the rest.
#[inline(always)]
fn place(unit: usize, class: usize, classes: usize) -> usize {
    let tens = classes / TEN * TEN;
    if class < tens { (class / TEN * UNITS + unit) * TEN + class % TEN } else { class * UNITS + unit }
}

/// L, delta and hits of 16 genotypes on a sample.
#[inline(always)]
pub(super) fn score<S: Simd>(s: S, logits: &[[f32; LANES]], label: usize, v: usize, sums: &mut Sums<GENOTYPES>) {
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
    let (loss, reward) = super::evaluate::loss_and_reward(s, total, max, own, logits.len());
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
