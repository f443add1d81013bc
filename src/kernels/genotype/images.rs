//! Images across lanes: eight genotypes share the loads of pixels. Legal always; wins up to some 48 genotypes.
//!
//! ```text
//! for each block of 16 hidden units
//!   weights of their edges and output links, for 8 genotypes
//!   for each one to three tiles of 16 samples
//!     for each unit of the block
//!       acc = 0                                       8 genotypes x 1 to 3 registers of 16 samples
//!       for each edge with a pixel that is not zero in one of the tiles: acc += weight * pixels    (1)
//!       h = ReLU(acc)
//!     for each genotype and tile: logits += v * h for each unit that is not silent
//! L, delta and hits of 16 samples at a time
//! ```
//! Where registers are few, half of the genotypes at a time, and one tile.
//!
//! 1. Neighbours are similar: of pixels of which 19 % are not zero, a tile of digits has 38 to 44 %, two 45 to 50 %. Two tiles together keep the
//!    multiply-adds busy; three only where one would be left alone.
//!
//! Every sum runs in the order of [lanes](super::lanes), and what is skipped is zero: the bits are the same.

use std::num::{NonZeroU32, NonZeroU128};
use std::ops::Range;
use std::sync::atomic::Ordering;

use super::decode::{Genotypes, SIDE};
use super::evaluate::{CHUNK, Source, Sums, Work};
use super::graph::{BLOCK, Graph};
use super::samples::Samples;
use super::weights::WeightGeneration;
use crate::kernels::masked::chains;
use crate::simd::{Kernel, LANES, Simd, math};

/// Genotypes that share the loads of pixels.
pub(super) const GENOTYPES: usize = 8;
/// Hidden units of a block.
const UNITS: usize = 16;
/// Tiles that may share the loads of weights.
const TILES: usize = 3;
/// A weight of each genotype.
type Weights = [f32; GENOTYPES];

/// How much scratch memory, for this many chunks of samples: weights of edges \[block of edges\]\[edge\]\[genotype\], output weights
/// \[unit\]\[class\]\[genotype\], activities \[unit\]\[genotype\]\[tile\]\[sample\], logits \[tile\]\[genotype\]\[class\]\[sample\].
pub(super) fn lengths(graph: &Graph, chunks: usize) -> [usize; 4] {
    [
        graph.widest(UNITS) * BLOCK * GENOTYPES,
        UNITS * graph.classes() * GENOTYPES,
        UNITS * GENOTYPES * TILES * LANES,
        chunks * CHUNK * GENOTYPES * graph.classes() * LANES,
    ]
}

/// Up to 8 genotypes, the first or the second of 16, on the samples of some chunks.
pub(super) struct Evaluate<'a> {
    pub(super) source: Source<'a>,
    /// The first lane of a word, or row of given weights.
    pub(super) first_genotype: usize,
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
        let edges = self.work.edges.as_chunks_mut().0.as_chunks_mut::<BLOCK>().0;
        let output = self.work.output.as_chunks_mut().0;
        let hidden = self.work.hidden.as_chunks_mut::<LANES>().0;
        let hidden = hidden.as_chunks_mut::<TILES>().0.as_chunks_mut::<GENOTYPES>().0;
        let logits = self.work.logits.as_chunks_mut::<LANES>().0;
        let first_tile = self.first_chunk * CHUNK;
        let tiles = first_tile..self.samples.tiles().min(first_tile + self.sums.len() * CHUNK);
        logits[..tiles.len() * GENOTYPES * classes].fill([0.0; LANES]);
        for first in (0..graph.hidden()).step_by(UNITS) {
            let units = first..graph.hidden().min(first + UNITS);
            make_weights(s, &self.source, self.first_genotype, graph, units.clone(), edges, output);
            let mut tile = tiles.start;
            while tile < tiles.end {
                // No tile at the end on its own, if it can be helped.
                let width = match tiles.end - tile {
                    _ if S::REGISTERS < 32 => 1,
                    TILES => TILES,
                    left => left.min(TILES - 1),
                };
                let logits = &mut logits[(tile - tiles.start) * GENOTYPES * classes..];
                match width {
                    _ if S::REGISTERS < 32 => {
                        of_block::<S, 1, 4, 5>(s, self.samples, tile, units.clone(), edges, hidden, output, logits);
                    }
                    1 => of_block::<S, 1, 8, 10>(s, self.samples, tile, units.clone(), edges, hidden, output, logits),
                    2 => of_block::<S, 2, 8, 10>(s, self.samples, tile, units.clone(), edges, hidden, output, logits),
                    _ => {
                        of_block::<S, TILES, 8, 10>(s, self.samples, tile, units.clone(), edges, hidden, output, logits)
                    }
                }
                tile += width;
            }
        }
        for tile in tiles.clone() {
            let logits = &logits[(tile - tiles.start) * GENOTYPES * classes..][..GENOTYPES * classes];
            let labels = &self.samples.labels()[tile * LANES..];
            let sums = &mut self.sums[(tile - first_tile) / CHUNK];
            for (genotype, logits) in logits.chunks_exact(classes).enumerate() {
                score(s, logits, &labels[..labels.len().min(LANES)], genotype, sums);
            }
        }
    }
}

/// A block of units on `T` tiles, the sums of `G` genotypes or `C` classes in registers at a time.
#[inline(always)]
fn of_block<S: Simd, const T: usize, const G: usize, const C: usize>(
    s: S,
    samples: &Samples,
    tile: usize,
    units: Range<usize>,
    edges: &[[Weights; BLOCK]],
    hidden: &mut [[[[f32; LANES]; TILES]; GENOTYPES]],
    output: &[Weights],
    logits: &mut [[f32; LANES]],
) {
    let graph = samples.graph();
    let mut alive = [0; GENOTYPES];
    let first_block = graph.block_range(units.start).start;
    for (at, unit) in units.enumerate() {
        hidden_of_tiles::<S, T, G>(
            s,
            samples,
            tile,
            graph.block_range(unit),
            first_block,
            edges,
            &mut hidden[at],
            &mut alive,
            at,
        );
    }
    let classes = graph.classes();
    for genotype in 0..GENOTYPES {
        let (alive, logits) = (alive[genotype], &mut logits[genotype * classes..]);
        let mut class = 0;
        while class + C <= classes {
            add_units::<S, C, T>(s, alive, hidden, genotype, output, classes, class, logits);
            class += C;
        }
        while class < classes {
            add_units::<S, 1, T>(s, alive, hidden, genotype, output, classes, class, logits);
            class += 1;
        }
    }
}

/// The activities of a unit for `T` tiles, and for which genotypes it is not silent.
#[inline(always)]
fn hidden_of_tiles<S: Simd, const T: usize, const G: usize>(
    s: S,
    samples: &Samples,
    tile: usize,
    blocks: Range<usize>,
    first_block: usize,
    edges: &[[Weights; BLOCK]],
    out: &mut [[[f32; LANES]; TILES]; GENOTYPES],
    alive: &mut [u32; GENOTYPES],
    at: usize,
) {
    let mut pixels = [samples.tile(tile); T];
    for t in 1..T {
        pixels[t] = samples.tile(tile + t);
    }
    const { assert!(GENOTYPES.is_multiple_of(G)) };
    for first in (0..GENOTYPES).step_by(G) {
        let mut acc = [[s.zero(); G]; T];
        for block in blocks.clone() {
            let (inputs, weights) = (samples.graph().inputs_of_block(block), &edges[block - first_block]);
            let mut active = 0;
            for t in 0..T {
                active |= samples.active_in_tile(block, tile + t);
            }
            let mut sums = acc;
            let mut left = NonZeroU128::new(active);
            while let Some(active) = left {
                let edge = active.trailing_zeros() as usize;
                left = NonZeroU128::new(active.get() & (active.get() - 1));
                let input = usize::from(inputs[edge]);
                let mut x = [s.zero(); T];
                for t in 0..T {
                    x[t] = s.load(&pixels[t][input].0);
                }
                let weights = &weights[edge];
                for g in 0..G {
                    let weight = s.splat(weights[first + g]);
                    for t in 0..T {
                        sums[t][g] = s.mul_add(weight, x[t], sums[t][g]);
                    }
                }
            }
            acc = sums;
        }
        for g in 0..G {
            let mut silent = u16::MAX;
            for t in 0..T {
                // NaN stays: it is the second operand, and not silent.
                let h = s.max(s.zero(), acc[t][g]);
                silent &= s.mask_bits(s.le(h, s.zero()));
                s.store(h, &mut out[first + g][t]);
            }
            alive[first + g] |= u32::from(silent != u16::MAX) << at;
        }
    }
}

/// Adds the units that are not silent to `C` classes from `class` of a genotype on `T` tiles.
#[inline(always)]
fn add_units<S: Simd, const C: usize, const T: usize>(
    s: S,
    alive: u32,
    hidden: &[[[[f32; LANES]; TILES]; GENOTYPES]],
    genotype: usize,
    output: &[Weights],
    classes: usize,
    class: usize,
    logits: &mut [[f32; LANES]],
) {
    let hidden: &[_; UNITS] = hidden.first_chunk().expect("a block of units");
    let mut sums = [[s.zero(); C]; T];
    for t in 0..T {
        let logits: &[[f32; LANES]; C] = logits[t * GENOTYPES * classes + class..].first_chunk().expect("C classes");
        for c in 0..C {
            sums[t][c] = s.load(&logits[c]);
        }
    }
    let mut left = NonZeroU32::new(alive);
    while let Some(alive) = left {
        let unit = alive.trailing_zeros() as usize % UNITS;
        left = NonZeroU32::new(alive.get() & (alive.get() - 1));
        let hidden = &hidden[unit][genotype % GENOTYPES];
        let weights: &[Weights; C] = output[unit * classes + class..].first_chunk().expect("C classes");
        let mut h = [s.zero(); T];
        for t in 0..T {
            h[t] = s.load(&hidden[t]);
        }
        for c in 0..C {
            let weight = s.splat(weights[c][genotype % GENOTYPES]);
            for t in 0..T {
                sums[t][c] = s.mul_add(weight, h[t], sums[t][c]);
            }
        }
    }
    for t in 0..T {
        let logits: &mut [[f32; LANES]; C] =
            logits[t * GENOTYPES * classes + class..].first_chunk_mut().expect("C classes");
        for c in 0..C {
            s.store(sums[t][c], &mut logits[c]);
        }
    }
}

/// The weights of a block of units for 8 genotypes, in the first lanes; zero, or another's, for those beyond the last.
#[inline(always)]
fn make_weights<S: Simd>(
    s: S,
    source: &Source<'_>,
    first_genotype: usize,
    graph: &Graph,
    units: Range<usize>,
    edges: &mut [[Weights; BLOCK]],
    output: &mut [Weights],
) {
    let (classes, first_block) = (graph.classes(), graph.block_range(units.start).start);
    for unit in units.clone() {
        let links = graph.pattern().range(unit);
        let rows =
            &mut edges.as_flattened_mut()[(graph.block_range(unit).start - first_block) * BLOCK..][..links.len()];
        let outputs = graph.edges() + unit * classes;
        let out = &mut output[(unit - units.start) * classes..][..classes];
        match source {
            Source::Genes(w, words) => {
                let chain = Genotypes::<S, 1> { s, words, first: first_genotype };
                weights_of_links(s, w, chain, links.start, rows);
                weights_of_links(s, w, chain, outputs, out);
            }
            Source::Given(weights, finite) => {
                let count = GENOTYPES.min(weights.rows() - first_genotype);
                let mut from = [&[][..]; GENOTYPES];
                for g in 0..count {
                    from[g] = weights.row(first_genotype + g);
                }
                let edges = copy_transposed(s, &from[..count], links.start, rows);
                if !(copy_transposed(s, &from[..count], outputs, out) && edges) {
                    finite.store(false, Ordering::Relaxed);
                }
            }
        }
    }
}

/// The weights of so many links from `link` on.
#[inline(always)]
fn weights_of_links<S: Simd>(
    s: S,
    w: &WeightGeneration,
    chain: Genotypes<'_, S, 1>,
    mut link: usize,
    rows: &mut [Weights],
) {
    let (lists, zero) = (w.matrix().by_row(), [s.zero()]);
    let of_lanes = |[weights]: [S::F32; 1]| *s.lanes(weights).first_chunk().expect("8 of 16");
    let (groups, rest) = rows.as_chunks_mut::<SIDE>();
    for group in groups {
        *group = chains(chain, lists, link, [zero; SIDE]).map(of_lanes);
        link += SIDE;
    }
    for row in rest {
        [*row] = chains(chain, lists, link, [zero]).map(of_lanes);
        link += 1;
    }
}

/// `rows[k][g] = from[g][first + k]`, twice sixteen at a time through a transpose in registers. Whether all of them are finite.
#[inline(always)]
fn copy_transposed<S: Simd>(s: S, from: &[&[f32]], first: usize, rows: &mut [Weights]) -> bool {
    let (mut finite, infinity) = (u16::MAX, s.splat(f32::INFINITY));
    for (at, rows) in rows.chunks_mut(2 * LANES).enumerate() {
        let mut vectors = [s.zero(); LANES];
        let (low, high) = rows.split_at_mut(rows.len().min(LANES));
        let (first, middle) = (first + at * 2 * LANES, first + at * 2 * LANES + low.len());
        for (g, from) in from.iter().enumerate() {
            let weights = [s.load_partial(&from[first..middle]), s.load_partial(&from[middle..middle + high.len()])];
            for half in 0..2 {
                vectors[half * GENOTYPES + g] = weights[half];
                finite &= s.mask_bits(s.lt(s.abs(weights[half]), infinity));
            }
        }
        let vectors = s.transpose(vectors);
        for k in 0..LANES {
            let lanes = s.lanes(vectors[k]);
            if let Some(row) = low.get_mut(k) {
                row.copy_from_slice(&lanes[..GENOTYPES]);
            }
            if let Some(row) = high.get_mut(k) {
                row.copy_from_slice(&lanes[GENOTYPES..]);
            }
        }
    }
    finite == u16::MAX
}

/// L, delta and hits of a genotype on up to 16 samples.
#[inline(always)]
fn score<S: Simd>(s: S, logits: &[[f32; LANES]], labels: &[u8], genotype: usize, sums: &mut Sums<GENOTYPES>) {
    let mut own_class = [0.0; LANES];
    for (to, &label) in own_class.iter_mut().zip(labels) {
        *to = f32::from(label);
    }
    let own_class = s.load(&own_class);
    let mut max = s.load(&logits[0]);
    let mut own = s.zero();
    for (class, logit) in logits.iter().enumerate() {
        let logit = s.load(logit);
        max = s.max(logit, max);
        own = s.select(s.eq(own_class, s.splat(class as f32)), logit, own);
    }
    let (mut total, mut hit) = (s.zero(), u16::MAX);
    for (class, logit) in logits.iter().enumerate() {
        let logit = s.load(logit);
        total = s.add(total, math::exp(s, s.sub(logit, max)));
        // The first of equals: those before must be smaller.
        let before = s.mask_bits(s.lt(s.splat(class as f32), own_class));
        hit &= (before & s.mask_bits(s.lt(logit, own))) | (!before & s.mask_bits(s.le(logit, own)));
    }
    let (loss, reward) = super::evaluate::loss_and_reward(s, total, max, own, logits.len());
    let (losses, rewards) = (s.lanes(loss), s.lanes(reward));
    for lane in 0..labels.len() {
        sums.losses[genotype] += f64::from(losses[lane]);
        sums.rewards[genotype] += f64::from(rewards[lane]);
        sums.correct[genotype] += u32::from(hit >> lane & 1);
    }
}
