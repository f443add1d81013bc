//! What all genotypes of a converged population have in common: legal for any; wins where few genes differ from the modal genotype.
//!
//! ```text
//! m(i) = the allele that more genotypes have, 0 of equals
//! base[unit, sample] = sum over edges of (W m) * pixel                                  once for all genotypes
//! h = ReLU(base + sum over edges that a flipped gene touches of W (x - m) * pixel)      for each 64 genotypes
//! ```
//! At 99 % of 4000 genes fixed a tenth of the links is touched, at 95 % four tenths, at 50 % all: then evaluating from nothing is cheaper,
//! and exact to fewer roundings. Which is done depends on the genotypes alone.

use super::evaluate::CHUNK;
use super::population::{GROUP, Population};
use super::samples::Samples;
use super::weights::WeightGeneration;
use crate::context::Context;
use crate::parallel::for_each;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Samples of a chunk.
const SAMPLES: usize = CHUNK * LANES;

/// The modal genotype, what it makes of the samples, and who differs from it where.
pub(super) struct Common {
    genes: usize,
    /// All bits of the modal allele, for each gene.
    mode: Vec<u64>,
    /// \[group\]\[gene\]: the genotypes whose allele is not the modal one.
    flips: Vec<u64>,
    /// \[chunk\]\[unit\]\[sample of the chunk\]
    base: Vec<[f32; SAMPLES]>,
}

/// The mean number of a link's genes that vary in a group from which evaluating from nothing is cheaper.
const MOST: f64 = 0.8;

impl Common {
    /// What they have in common, if it is enough.
    pub(super) fn of(
        context: &mut Context,
        w: &WeightGeneration,
        samples: &Samples,
        population: &Population,
    ) -> Option<Self> {
        let (genes, groups) = (population.genes(), population.groups());
        let mut carriers = vec![0u32; genes];
        for group in 0..groups {
            for (count, word) in carriers.iter_mut().zip(population.group(group)) {
                *count += word.count_ones();
            }
        }
        let modal = |count: u32| if 2 * count as usize > population.genotypes() { u64::MAX } else { 0 };
        let mode: Vec<u64> = carriers.into_iter().map(modal).collect();
        let mut flips = Vec::with_capacity(groups * genes);
        for group in 0..groups {
            let valid = u64::MAX >> (GROUP - GROUP.min(population.genotypes() - group * GROUP));
            flips.extend(population.group(group).iter().zip(&mode).map(|(word, mode)| (word ^ mode) & valid));
        }
        let varying = flips.iter().filter(|&&flips| flips != 0).count() as f64;
        let each = varying / flips.len() as f64 * w.entries() as f64 / w.links().max(1) as f64;
        if each > MOST {
            return None;
        }
        let hidden = samples.graph().hidden();
        let mut base = vec![[0.0; SAMPLES]; samples.tiles().div_ceil(CHUNK) * hidden];
        let threads = context.threads().for_work(samples.graph().edges().saturating_mul(samples.images()) / 4);
        let isa = context.isa();
        let weights: Vec<f32> = (0..samples.graph().edges()).map(|link| modal_weight(w, link, &mode)).collect();
        for_each(threads, base.chunks_mut(hidden).enumerate(), |(chunk, base)| {
            dispatch(isa, Base { weights: &weights, samples, chunk, base });
        });
        Some(Common { genes, mode, flips, base })
    }

    /// What the modal genotype makes of a unit, for each sample of a chunk.
    #[inline(always)]
    pub(super) fn base(&self, chunk: usize, unit: usize, samples: &Samples) -> &[f32; SAMPLES] {
        &self.base[chunk * samples.graph().hidden() + unit]
    }

    /// The flipped genotypes of each gene of a group, and the modal alleles.
    pub(super) fn flips(&self, group: usize) -> (&[u64], &[u64]) {
        (&self.flips[group * self.genes..][..self.genes], &self.mode)
    }
}

/// The weight of a link in the modal genotype, summed as any genotype's.
fn modal_weight(w: &WeightGeneration, link: usize, mode: &[u64]) -> f32 {
    let (genes, values) = w.link(link);
    let own = genes.iter().zip(values).filter(|(gene, _)| mode[**gene as usize] != 0);
    own.fold(0.0, |sum, (_, &value)| sum + value)
}

/// The modal genotype's pre-activations for a chunk of samples.
struct Base<'a> {
    weights: &'a [f32],
    samples: &'a Samples,
    chunk: usize,
    base: &'a mut [[f32; SAMPLES]],
}

impl Kernel for Base<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (graph, first) = (self.samples.graph(), self.chunk * CHUNK);
        let last = self.samples.tiles() - 1;
        // A chunk that is not full computes its last tile again.
        let tiles = [first, last.min(first + 1), last.min(first + 2), last.min(first + 3)];
        let pixels = tiles.map(|tile| self.samples.tile(tile));
        for (unit, out) in self.base.iter_mut().enumerate() {
            let mut acc = [s.zero(); CHUNK];
            let weights = &self.weights[graph.pattern().range(unit)];
            for (&input, &weight) in graph.pattern().row(unit).iter().zip(weights) {
                let weight = s.splat(weight);
                for t in 0..CHUNK {
                    acc[t] = s.mul_add(weight, s.load(&pixels[t][input as usize].0), acc[t]);
                }
            }
            let (out, _) = out.as_chunks_mut();
            for t in 0..CHUNK {
                s.store(acc[t], &mut out[t]);
            }
        }
    }
}
