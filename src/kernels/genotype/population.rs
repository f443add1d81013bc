//! Genotypes as packed bits: one word holds one gene of 64 genotypes, so that 16 bits of it are a lane mask.

use std::fmt;

use rand_core::Rng;

use super::frequencies::{AlleleFrequencies, check_genes};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::parallel::for_each;
use crate::random::Stream;
use crate::shown::shown;

/// Genotypes of a word.
pub const GROUP: usize = 64;
/// Genotypes that are drawn side by side: the numbers of one wait for each other.
const TOGETHER: usize = 4;
/// What an allele costs, in multiply-adds.
const DRAW: usize = 16;

/// Genotypes, each a string of bits: allele 0 or 1 of every gene.
///
/// Bit l of word \[g, i\] is gene i of genotype 64 g + l; genotypes beyond the last have allele 0 throughout.
#[derive(Clone, PartialEq, Eq)]
pub struct Population {
    genotypes: usize,
    genes: usize,
    words: Vec<u64>,
}

impl fmt::Debug for Population {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Population { genotypes, genes, words } = self;
        let mut printed = f.debug_struct("Population");
        printed.field("genotypes", genotypes).field("genes", genes).field("words", &shown(words)).finish()
    }
}

impl Population {
    /// The genotypes of these numbers, drawn from allele frequencies: gene i of a genotype is 1 with probability p(i), independently.
    ///
    /// Genotype number k is drawn from `stream.item(k)` alone, so a population may be sampled in parts, on any number of threads or
    /// machines, with the same bits: parts are ranges. Give every generation a stream of its own, as
    /// `Stream::new(seed, "population").item(generation)`. Frequencies are taken to the nearest multiple of 2^-32; 0 and 1 are exact.
    ///
    /// Cost: half a random word of 64 bits an allele, genes of a genotype in pairs. Memory: a bit an allele, for a multiple of 64 genotypes.
    ///
    /// ```
    /// use neuropil::kernels::genotype::{AlleleFrequencies, Population};
    /// use neuropil::{Context, random::Stream};
    /// let p = AlleleFrequencies::uniform(100, Stream::new(1, "frequencies"))?;
    /// let stream = Stream::new(1, "population").item(0);
    /// let all = Population::sample(&mut Context::new()?, &p, stream, 0..1000)?;
    /// let part = Population::sample(&mut Context::new()?, &p, stream, 300..1000)?;
    /// assert!((0..100).all(|gene| all.allele(700, gene) == part.allele(400, gene)));
    /// # Ok::<(), neuropil::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Length`] for an empty range, [`Error::Setting`] for 2^46 alleles.
    pub fn sample(
        context: &mut Context,
        frequencies: &AlleleFrequencies,
        stream: Stream,
        genotypes: std::ops::Range<u64>,
    ) -> Result<Self> {
        let count = usize::try_from(genotypes.end.saturating_sub(genotypes.start)).unwrap_or(usize::MAX);
        let mut population = Population::zeros(count, frequencies.genes())?;
        let limits: Vec<u64> = frequencies.values().iter().map(|&p| (p * 4_294_967_296.0).round() as u64).collect();
        let threads = context.threads().for_work([count, limits.len(), DRAW]);
        // The highest bit is set where the draw is below: the difference borrows. The first genotype's ends lowest.
        let below = |draw: u64, limit: u64| draw.wrapping_sub(limit) & 1 << 63;
        for_each(threads, population.words.chunks_mut(frequencies.genes()).enumerate(), |(group, words)| {
            let numbers = group * GROUP..count.min((group + 1) * GROUP);
            for first in numbers.clone().step_by(TOGETHER) {
                let item = |at: usize| stream.item(genotypes.start.wrapping_add((first + at) as u64));
                let mut generators: [_; TOGETHER] = std::array::from_fn(|at| item(at).generator());
                let (there, bit) = ((1 << (numbers.end - first).min(TOGETHER)) - 1, first % GROUP);
                for (words, limits) in words.chunks_mut(2).zip(limits.chunks(2)) {
                    let limits = [limits[0], limits.get(1).copied().unwrap_or(0)];
                    let mut bits = [0; 2];
                    for generator in &mut generators {
                        let draw = generator.next_u64();
                        bits[0] = bits[0] >> 1 | below(draw & 0xffff_ffff, limits[0]);
                        bits[1] = bits[1] >> 1 | below(draw >> 32, limits[1]);
                    }
                    for (word, bits) in words.iter_mut().zip(bits) {
                        *word |= (bits >> (64 - TOGETHER) & there) << bit;
                    }
                }
            }
        });
        Ok(population)
    }

    /// The genotypes whose alleles `allele(genotype, gene)` says: asked once for each, genotype by genotype and gene by gene, so that it may
    /// read or draw them as they come.
    ///
    /// # Errors
    /// [`Error::Length`] for no genotypes or no genes, [`Error::Setting`] for 2^46 alleles.
    pub fn from_fn(genotypes: usize, genes: usize, mut allele: impl FnMut(usize, usize) -> bool) -> Result<Self> {
        let mut population = Population::zeros(genotypes, genes)?;
        for genotype in 0..genotypes {
            let words = &mut population.words[genotype / GROUP * genes..][..genes];
            for (gene, word) in words.iter_mut().enumerate() {
                *word |= u64::from(allele(genotype, gene)) << (genotype % GROUP);
            }
        }
        Ok(population)
    }

    /// The one genotype with the more frequent allele of every gene; allele 1 at a frequency of one half.
    pub fn rounded(frequencies: &AlleleFrequencies) -> Self {
        let words = frequencies.values().iter().map(|&p| u64::from(p >= 0.5)).collect();
        Population { genotypes: 1, genes: frequencies.genes(), words }
    }

    fn zeros(genotypes: usize, genes: usize) -> Result<Self> {
        check_genes("genes of a population", genes)?;
        if genotypes == 0 {
            return Err(Error::Length { what: "genotypes of a population", expected: 1, found: 0 });
        }
        let words = genotypes.div_ceil(GROUP).checked_mul(genes);
        // In 64 bits, as `usize` may not reach so far.
        let words = words.filter(|&words| (words as u64) < 1 << 40);
        let found = || format!("{genotypes} genotypes of {genes} genes");
        let words = words.ok_or_else(|| Error::setting("population", "fewer than 2^46 alleles", found()))?;
        Ok(Population { genotypes, genes, words: vec![0; words] })
    }

    /// Number of genotypes.
    pub fn genotypes(&self) -> usize {
        self.genotypes
    }

    /// Number of genes.
    pub fn genes(&self) -> usize {
        self.genes
    }

    /// Whether a genotype has allele 1 of a gene.
    ///
    /// # Panics
    /// If there is no such genotype or gene.
    #[track_caller]
    pub fn allele(&self, genotype: usize, gene: usize) -> bool {
        assert!(genotype < self.genotypes, "population: genotype {genotype} of {}", self.genotypes);
        assert!(gene < self.genes, "population: gene {gene} of {}", self.genes);
        self.group(genotype / GROUP)[gene] >> (genotype % GROUP) & 1 == 1
    }

    /// A word for every gene of the genotypes from 64 `group`, the first of them in its lowest bit.
    ///
    /// ```
    /// use neuropil::kernels::genotype::Population;
    /// // Genotype 0 has no allele 1, genotype 1 that of gene 0, genotype 2 that of gene 1.
    /// let population = Population::from_fn(3, 2, |genotype, gene| genotype == gene + 1)?;
    /// assert_eq!(population.group(0), &[0b010, 0b100]);
    /// # Ok::<(), neuropil::Error>(())
    /// ```
    ///
    /// # Panics
    /// If there are no such genotypes.
    #[track_caller]
    pub fn group(&self, group: usize) -> &[u64] {
        assert!(group < self.groups(), "group {group} of {}", self.groups());
        &self.words[group * self.genes..(group + 1) * self.genes]
    }

    /// Number of groups of up to 64 genotypes.
    pub fn groups(&self) -> usize {
        self.genotypes.div_ceil(GROUP)
    }
}
