//! What each allele earns: sums of the genotypes' rewards over packed bits.
//!
//! ```text
//! for each 8 genotypes: sums[b] = sum of rewards[l] over the bits l of b, all 256 of them     (1)
//! for each block of 256 genes
//!   for each group of 64 genotypes, each 8 of them
//!     for each gene: present += sums[byte], absent += sums[not byte]
//! ```
//! 1. The method of the four Russians: 8 genotypes cost two additions a gene. Sums of 8 are in ascending order, and added in ascending order.

use super::population::{GROUP, Population};
use crate::context::Context;
use crate::parallel::for_each;

/// The mean reward of those who carry allele 1 of each gene, f(i), and of those who do not, f0(i).
#[derive(Clone, Debug, PartialEq)]
pub struct AlleleRewards {
    genotypes: usize,
    present: Vec<f64>,
    absent: Vec<f64>,
    carriers: Vec<u32>,
}

impl AlleleRewards {
    /// Number of genes.
    pub fn genes(&self) -> usize {
        self.carriers.len()
    }

    /// f and f0 of a gene, or `None` where they say nothing: nobody, or everybody, carries allele 1.
    ///
    /// # Panics
    /// If there is no such gene.
    #[track_caller]
    pub fn get(&self, gene: usize) -> Option<(f64, f64)> {
        let both = (1..self.genotypes).contains(&self.carriers(gene));
        both.then(|| (self.present[gene], self.absent[gene]))
    }

    /// How many genotypes carry allele 1 of a gene.
    ///
    /// # Panics
    /// If there is no such gene.
    #[track_caller]
    pub fn carriers(&self, gene: usize) -> usize {
        assert!(gene < self.genes(), "rewards of alleles: gene {gene} of {}", self.genes());
        self.carriers[gene] as usize
    }
}

/// Genes of an item of parallel work.
const GENES: usize = 256;
/// Genotypes of a table.
const TABLE: usize = 8;

/// `f(i) = sum_x r(x) x(i) / sum_x x(i)` and `f0(i) = sum_x r(x) (1 - x(i)) / sum_x (1 - x(i))`, section 3.1, for rewards r of each genotype.
///
/// In `f64`: each is within `(n + 1) 2^-53 sum |r| / carriers` of the exact one for n genotypes, in an order that neither threads nor
/// instruction set change. A reward that is NaN makes NaN of f or f0 of every gene, which [`update`](super::AlleleFrequencies::update) refuses.
/// Cost: two additions for 8 genotypes and each gene, and 256 for every 8 genotypes, on the calling thread, whose sums take 256 bytes a genotype.
///
/// ```
/// use neuropil::Context;
/// use neuropil::kernels::genotype::{Population, allele_rewards};
/// // Genotypes 1 and 2 carry allele 1 of gene 0, all that of gene 1.
/// let population = Population::from_fn(3, 2, |genotype, gene| gene == 1 || genotype > 0)?;
/// let rewards = allele_rewards(&mut Context::new()?, &population, &[1.0, 2.0, 4.0]);
/// assert_eq!((rewards.get(0), rewards.get(1)), (Some((3.0, 1.0)), None));
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If there are not as many rewards as genotypes.
#[track_caller]
pub fn allele_rewards(context: &mut Context, population: &Population, rewards: &[f64]) -> AlleleRewards {
    let (genotypes, genes) = (population.genotypes(), population.genes());
    assert!(rewards.len() == genotypes, "allele_rewards: {} rewards for {genotypes} genotypes", rewards.len());
    let tables: Vec<[f64; 1 << TABLE]> = rewards.chunks(TABLE).map(table).collect();
    let mut result =
        AlleleRewards { genotypes, present: vec![0.0; genes], absent: vec![0.0; genes], carriers: vec![0; genes] };
    let items = result.present.chunks_mut(GENES).zip(result.absent.chunks_mut(GENES));
    let items = items.zip(result.carriers.chunks_mut(GENES)).enumerate();
    let threads = context.threads().for_work([genotypes, genes]);
    for_each(threads, items, |(block, ((present, absent), carriers))| {
        for group in 0..population.groups() {
            let here = GROUP.min(genotypes - group * GROUP);
            let words = &population.group(group)[block * GENES..][..present.len()];
            let tables = &tables[group * (GROUP / TABLE)..][..here.div_ceil(TABLE)];
            for (gene, &word) in words.iter().enumerate() {
                carriers[gene] += word.count_ones();
            }
            for (at, table) in tables.iter().enumerate() {
                let valid = ((1usize << (here - at * TABLE).min(TABLE)) - 1) as u8;
                for (gene, &word) in words.iter().enumerate() {
                    let byte = (word >> (at * TABLE)) as u8;
                    present[gene] += table[usize::from(byte)];
                    absent[gene] += table[usize::from(!byte & valid)];
                }
            }
        }
        for gene in 0..present.len() {
            // Where there is nobody the sum is zero, and so is what nobody is told.
            let count = carriers[gene] as usize;
            present[gene] /= count.max(1) as f64;
            absent[gene] /= (genotypes - count).max(1) as f64;
        }
    });
    result
}

/// The sum of these rewards over every subset of 8.
fn table(rewards: &[f64]) -> [f64; 1 << TABLE] {
    let mut sums = [0.0; 1 << TABLE];
    for subset in 1..sums.len() {
        // The highest is added last: ascending order.
        let highest = subset.ilog2() as usize;
        sums[subset] = sums[subset & !(1 << highest)] + rewards.get(highest).copied().unwrap_or(0.0);
    }
    sums
}
