//! Allele frequencies, and how they change from one generation to the next.

use std::fmt;

use super::rewards::AlleleRewards;
use crate::error::{Error, Result};
use crate::random::Stream;
use crate::shown::shown;

/// The frequency p(i) of allele 1 of every gene: finite, from 0 to 1, of one gene or more.
///
/// ```
/// use neuropil::kernels::genotype::AlleleFrequencies;
/// let p = AlleleFrequencies::new(vec![0.0, 0.25, 1.0])?;
/// assert_eq!(p.genes(), 3);
/// let wrong = AlleleFrequencies::new(vec![0.5, 1.5]).unwrap_err();
/// assert_eq!(wrong.to_string(), "allele frequency of gene 1: expected 0 to 1, found 1.5");
/// # Ok::<(), neuropil::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct AlleleFrequencies(Vec<f64>);

impl fmt::Debug for AlleleFrequencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AlleleFrequencies").field(&shown(&self.0)).finish()
    }
}

impl AlleleFrequencies {
    /// These frequencies.
    ///
    /// # Errors
    /// [`Error::Length`] for no genes, [`Error::Setting`], naming the gene, for a value that is not within 0 and 1.
    pub fn new(values: Vec<f64>) -> Result<Self> {
        check_genes("allele frequencies", values.len())?;
        match values.iter().position(|p| !(0.0..=1.0).contains(p)) {
            Some(gene) => Err(Error::setting(format!("allele frequency of gene {gene}"), "0 to 1", values[gene])),
            None => Ok(AlleleFrequencies(values)),
        }
    }

    /// Each uniform on \[0, 1), as the stream decides: the first generation of the paper.
    ///
    /// # Errors
    /// [`Error::Length`] for no genes.
    pub fn uniform(genes: usize, stream: Stream) -> Result<Self> {
        check_genes("allele frequencies", genes)?;
        let mut values = vec![0.0; genes];
        stream.uniform(0.0, 1.0, &mut values);
        Ok(AlleleFrequencies(values.into_iter().map(f64::from).collect()))
    }

    /// Number of genes.
    pub fn genes(&self) -> usize {
        self.0.len()
    }

    /// The frequencies.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// The share of genes whose frequency is within `distance` of 0 or of 1: what figure 2 of the paper shows, from 1 downwards.
    pub fn fixed(&self, distance: f64) -> f64 {
        self.0.iter().filter(|&&p| p.min(1.0 - p) <= distance).count() as f64 / self.genes() as f64
    }

    /// The next generation, equation 3: `p' = p (1 + e f) / (1 + e f0 + e p (f - f0))`.
    ///
    /// Computed in `f64`. A gene whose rewards are [`None`](AlleleRewards::get), as nobody or everybody carries its allele, keeps its
    /// frequency, and so does one at 0 or at 1: the rule cannot move it. Rounding never leaves 0 to 1. Nothing changes when there is an error.
    ///
    /// Error: relative, at most `(7.1 k + 2.1)` times 2^-53, underflow apart, with k the larger of `(1 + e |f|) / (1 + e f)` and the same of f0: 1
    /// where rewards are not negative. The same bits on every machine. Cost: some ten operations in `f64` a gene, on the calling thread.
    ///
    /// ```
    /// use neuropil::Context;
    /// use neuropil::kernels::genotype::{AlleleFrequencies, Population, allele_rewards};
    /// let mut p = AlleleFrequencies::new(vec![0.25, 0.75])?;
    /// // The second genotype has allele 1 of gene 0, and is better; both have that of gene 1.
    /// let population = Population::from_fn(2, 2, |genotype, gene| gene == 1 || genotype == 1)?;
    /// p.update(&allele_rewards(&mut Context::new()?, &population, &[0.0, 2.0]), 1.0)?;
    /// assert_eq!(p.values(), [0.5, 0.75]); // 0.25 * 3 / (1 + 0.25 * 2)
    /// # Ok::<(), neuropil::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Setting`] if `epsilon` is not within 0 and 1, the most theorem 1 ever allows (it asks for less where rewards are large), or, naming the gene, if a reward is not finite or so
    /// negative that `1 + e f` or `1 + e f0` is. [`Error::Length`] if there are rewards for another number of genes.
    pub fn update(&mut self, rewards: &AlleleRewards, epsilon: f64) -> Result<()> {
        if !(0.0..=1.0).contains(&epsilon) {
            return Err(Error::setting("epsilon", "0 to 1, the most theorem 1 ever allows", epsilon));
        }
        if rewards.genes() != self.genes() {
            return Err(Error::Length { what: "allele rewards", expected: self.genes(), found: rewards.genes() });
        }
        for gene in 0..self.genes() {
            let Some((present, absent)) = rewards.get(gene) else { continue };
            for (allele, reward) in [(1, present), (0, absent)] {
                if !reward.is_finite() || 1.0 + epsilon * reward < 0.0 {
                    let what = format!("reward of allele {allele} of gene {gene}");
                    return Err(Error::setting(what, "a finite number of at least -1 / epsilon", reward));
                }
            }
        }
        for gene in 0..self.genes() {
            let Some((present, absent)) = rewards.get(gene) else { continue };
            let p = self.0[gene];
            let (carriers, others) = (p * (1.0 + epsilon * present), (1.0 - p) * (1.0 + epsilon * absent));
            // The denominator of equation 3, written as the sum that it normalises: both parts are seen not to be negative.
            let all = carriers + others;
            // An allele that all have, or none has, stays so: its share of the sum is 1 or 0.
            if all > 0.0 {
                self.0[gene] = (carriers / all).clamp(0.0, 1.0);
            }
        }
        Ok(())
    }
}

/// At least one gene, and as many as 31 bits can number.
pub(super) fn check_genes(what: &'static str, genes: usize) -> Result<()> {
    if genes == 0 {
        return Err(Error::Length { what, expected: 1, found: 0 });
    }
    if genes >= 1 << 31 {
        return Err(Error::setting("genes", "fewer than 2^31", genes));
    }
    Ok(())
}
