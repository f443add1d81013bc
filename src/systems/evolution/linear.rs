//! The theory's case: one linear output of m inputs, a linear target, squared loss (section 2).
//!
//! ```text
//! output x^T W^T y for inputs y uniform in the unit ball of m dimensions, label a^T y with |a| = 1
//! W[j, i] = +-sqrt(m / (d n)) with probability d / m, else 0                            theorem 2, but for the factor 1 / sqrt(n)
//! E_y (x^T W^T y - a^T y)^2 = |W x - a|^2 / (m + 2)
//! L(p) = (|W p - a|^2 + sum_i p(i) (1 - p(i)) |W_i|^2) / (m + 2)
//! ```
//! f and f0 of equations 1 and 2 follow in closed form, so that a [`LinearTarget`] evolves as an infinite population does: without sampling, to
//! the letter of the theory. By lemma 1, dL/dp(i) = -(f(i) - f0(i)); by theorem 1, L never rises while eps is within [`epsilon_limit`].
//!
//! **The scale of W.** L is linear in every single p(i): where it ends to fall, alleles are fixed, and the weights are those of a genotype.
//! With theorem 2's own entries, +-sqrt(m / d), the weights W x of genotypes lie on a lattice no finer than the target is long: frequencies p with W p = a
//! exist, as the theorem says, but evolution passes them by, and ends some |a| away. What a genotype can meet is the direction of a, the theorem's
//! second half, where W's scale does not matter. With n genes of length sqrt(m / n), a unit vector is about as long as what genotypes
//! differ by, and the lattice is finer than it by sqrt(n d / m): evolution then converges to the target, the nearer the more genes.
//!
//! [`epsilon_limit`]: LinearTarget::epsilon_limit
//!
//! ```
//! use neuropil::systems::evolution::linear::LinearTarget;
//! let mut target = LinearTarget::new(6, 2, 60, 0)?;
//! let before = target.loss();
//! target.evolve(100_000);
//! assert!(target.loss() < 0.02 * before && target.cosine() > 0.95);
//! # Ok::<(), neuropil::Error>(())
//! ```

use rand_core::Rng;

use crate::error::{Error, Result};
use crate::random::{Stream, below};

/// A linear target and the allele frequencies that approach it.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearTarget {
    /// `[genes][inputs]`: the columns of W.
    columns: Vec<Vec<f64>>,
    target: Vec<f64>,
    frequencies: Vec<f64>,
    /// W p, kept up to date.
    expected: Vec<f64>,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl LinearTarget {
    /// A random target of length 1 and a random W: m inputs, d entries in the mean of each gene, n genes; frequencies uniform on \[0, 1\].
    ///
    /// # Errors
    /// [`Error::Setting`] if there are no inputs or genes, or d is not from 1 to m.
    pub fn new(inputs: usize, entries: usize, genes: usize, seed: u64) -> Result<Self> {
        if inputs == 0 || genes == 0 {
            return Err(Error::setting("inputs and genes", "at least one of each", format!("{inputs} and {genes}")));
        }
        if !(1..=inputs).contains(&entries) {
            return Err(Error::setting("entries of a gene", format!("1 to the {inputs} inputs"), entries));
        }
        let stream = Stream::new(seed, "linear target");
        let mut generator = stream.item(0).generator();
        let value = (inputs as f64 / (entries as f64 * genes as f64)).sqrt();
        let mut entry = || {
            let there = below(&mut generator, inputs as u64) < entries as u64;
            let sign = if generator.next_u64() >> 63 == 0 { 1.0 } else { -1.0 };
            if there { sign * value } else { 0.0 }
        };
        let columns: Vec<Vec<f64>> = (0..genes).map(|_| (0..inputs).map(|_| entry()).collect()).collect();
        let uniform = |item, low, high, len| {
            let mut values = vec![0.0f32; len];
            stream.item(item).uniform(low, high, &mut values);
            values.into_iter().map(f64::from).collect::<Vec<f64>>()
        };
        let mut target = uniform(1, -1.0, 1.0, inputs);
        let length = dot(&target, &target).sqrt().max(f64::MIN_POSITIVE);
        target.iter_mut().for_each(|a| *a /= length);
        let mut made = LinearTarget { columns, target, frequencies: Vec::new(), expected: Vec::new() };
        made.set_frequencies(uniform(2, 0.0, 1.0, genes))?;
        Ok(made)
    }

    /// The allele frequencies.
    pub fn frequencies(&self) -> &[f64] {
        &self.frequencies
    }

    /// Other allele frequencies.
    ///
    /// # Errors
    /// [`Error::Length`] for another number of them, [`Error::Setting`] for one outside 0 to 1.
    pub fn set_frequencies(&mut self, frequencies: Vec<f64>) -> Result<()> {
        if frequencies.len() != self.columns.len() {
            let (expected, found) = (self.columns.len(), frequencies.len());
            return Err(Error::Length { what: "allele frequencies", expected, found });
        }
        if let Some(gene) = frequencies.iter().position(|p| !(0.0..=1.0).contains(p)) {
            return Err(Error::setting(format!("allele frequency of gene {gene}"), "0 to 1", frequencies[gene]));
        }
        self.replace_frequencies(frequencies);
        Ok(())
    }

    /// The same for as many as there are genes, within 0 and 1.
    fn replace_frequencies(&mut self, frequencies: Vec<f64>) {
        self.expected = self.product(&frequencies);
        self.frequencies = frequencies;
    }

    /// W times these numbers of the genes.
    fn product(&self, genes: &[f64]) -> Vec<f64> {
        let mut product = vec![0.0; self.target.len()];
        for (column, &factor) in self.columns.iter().zip(genes) {
            product.iter_mut().zip(column).for_each(|(sum, w)| *sum += factor * w);
        }
        product
    }

    /// E_y of the squared error of a network with these weights.
    fn error_of(&self, weights: &[f64]) -> f64 {
        let squares: f64 = weights.iter().zip(&self.target).map(|(w, a)| (w - a).powi(2)).sum();
        squares / (self.target.len() + 2) as f64
    }

    /// L(p): the expected squared error of a genotype drawn from the frequencies.
    pub fn loss(&self) -> f64 {
        let variance: f64 =
            self.columns.iter().zip(&self.frequencies).map(|(column, p)| p * (1.0 - p) * dot(column, column)).sum();
        self.error_of(&self.expected) + variance / (self.target.len() + 2) as f64
    }

    /// |W p - a| / |a|: how far the mean network is from the target.
    pub fn distance(&self) -> f64 {
        (self.error_of(&self.expected) * (self.target.len() + 2) as f64).sqrt() / dot(&self.target, &self.target).sqrt()
    }

    /// The cosine between the target and the weights of the genotype that has the more frequent allele of every gene; 0 if all of
    /// them are zero.
    pub fn cosine(&self) -> f64 {
        let rounded: Vec<f64> = self.frequencies.iter().map(|&p| f64::from(u8::from(p >= 0.5))).collect();
        let weights = self.product(&rounded);
        let lengths = (dot(&weights, &weights) * dot(&self.target, &self.target)).sqrt();
        if lengths == 0.0 { 0.0 } else { dot(&weights, &self.target) / lengths }
    }

    /// f(i) and f0(i), equations 1 and 2: the expected negative loss given allele 1, and given allele 0.
    pub fn rewards(&self) -> Vec<(f64, f64)> {
        let (inputs, loss) = ((self.target.len() + 2) as f64, self.loss());
        let residual: Vec<f64> = self.expected.iter().zip(&self.target).map(|(w, a)| w - a).collect();
        let genes = self.columns.iter().zip(&self.frequencies);
        genes
            .map(|(column, &p)| {
                // L with p(i) replaced by q is linear in q: its slope is (2 W_i (W p - a) + (1 - 2 p) |W_i|^2) / (m + 2).
                let slope = (2.0 * dot(column, &residual) + (1.0 - 2.0 * p) * dot(column, column)) / inputs;
                (-(loss + (1.0 - p) * slope), -(loss - p * slope))
            })
            .collect()
    }

    /// An eps within theorem 1's limit, `min(1 / max(2 U, 1), 2 / H, 1)`.
    ///
    /// U, the largest loss, is bounded by networks that have, for each input, all genes of one sign and none of the other. H, the
    /// curvature, is bounded by the squared Frobenius norm: each pair of genes adds `2 W_i W_k / (m + 2)`, and none curves by itself.
    pub fn epsilon_limit(&self) -> f64 {
        let inputs = (self.target.len() + 2) as f64;
        let rows = self.target.iter().enumerate().map(|(j, a)| {
            // The loss is largest where all entries of one sign are there and those of the other are not.
            let [up, down] =
                [1.0, -1.0].map(|sign| self.columns.iter().map(|column| (sign * column[j]).max(0.0)).sum());
            (f64::max(up, down) + a.abs()).powi(2)
        });
        let largest = rows.sum::<f64>() / inputs;
        let curvature: f64 = 2.0 * self.columns.iter().map(|column| dot(column, column)).sum::<f64>() / inputs;
        (1.0 / (2.0 * largest).max(1.0)).min(2.0 / curvature).min(1.0)
    }

    /// A generation of an infinite population, equation 3.
    ///
    /// # Errors
    /// [`Error::Setting`] if eps is not above 0 and at most [`epsilon_limit`](LinearTarget::epsilon_limit).
    pub fn step(&mut self, epsilon: f64) -> Result<()> {
        let limit = self.epsilon_limit();
        if !(epsilon > 0.0 && epsilon <= limit) {
            return Err(Error::setting("epsilon", format!("above 0, at most {limit} (theorem 1)"), epsilon));
        }
        self.advance(epsilon);
        Ok(())
    }

    /// So many generations at theorem 1's limit; the loss before the first, after each power of ten of them, from 10^0 on, and after the last,
    /// each beside the number of generations before it.
    pub fn evolve(&mut self, generations: u64) -> Vec<(u64, f64)> {
        let epsilon = self.epsilon_limit();
        let (mut losses, mut next) = (vec![(0, self.loss())], 1);
        for generation in 1..=generations {
            self.advance(epsilon);
            if generation == next || generation == generations {
                losses.push((generation, self.loss()));
                next = next.max(generation) * if next == generation { 10 } else { 1 };
            }
        }
        losses
    }

    fn advance(&mut self, epsilon: f64) {
        let rewards = self.rewards();
        for (p, (present, absent)) in self.frequencies.iter_mut().zip(rewards) {
            let (carriers, others) = (*p * (1.0 + epsilon * present), (1.0 - *p) * (1.0 + epsilon * absent));
            *p = carriers / (carriers + others);
        }
        self.expected = self.product(&self.frequencies);
    }
}

/// The largest difference between f - f0 and the slope of -L by central differences, relative to the largest slope: lemma 1. It is 0
/// where there is no difference, also if there is no slope.
///
/// L is of degree one in every single frequency, so differences are exact but for rounding. Frequencies are first moved by up to a thousandth
/// towards a half, so that there is room on both sides.
pub fn lemma_1(target: &LinearTarget) -> f64 {
    const STEP: f64 = 1e-3;
    let inner: Vec<f64> = target.frequencies().iter().map(|p| p.clamp(STEP, 1.0 - STEP)).collect();
    let mut at = target.clone();
    at.replace_frequencies(inner.clone());
    let rewards = at.rewards();
    let (mut worst, mut largest) = (0.0f64, 0.0f64);
    for (gene, (present, absent)) in rewards.into_iter().enumerate() {
        let mut moved = |by: f64| {
            let mut frequencies = inner.clone();
            frequencies[gene] += by;
            at.replace_frequencies(frequencies);
            at.loss()
        };
        let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
        worst = worst.max((slope + (present - absent)).abs());
        largest = largest.max(slope.abs());
    }
    if worst == 0.0 { 0.0 } else { worst / largest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_is_that_of_all_genotypes_and_inputs() {
        let target = LinearTarget::new(3, 2, 6, 1).unwrap();
        let (mut loss, mut rewards) = (0.0, vec![[0.0; 4]; 6]);
        for genotype in 0..64u32 {
            let x: Vec<f64> = (0..6).map(|i| f64::from(genotype >> i & 1)).collect();
            let chance: f64 = x.iter().zip(target.frequencies()).map(|(x, p)| x * p + (1.0 - x) * (1.0 - p)).product();
            let error = target.error_of(&target.product(&x));
            loss += chance * error;
            for (sums, x) in rewards.iter_mut().zip(&x) {
                sums[2 * (*x as usize)] += chance * -error;
                sums[2 * (*x as usize) + 1] += chance;
            }
        }
        assert!((loss - target.loss()).abs() < 1e-12 * loss);
        for ((present, absent), sums) in target.rewards().into_iter().zip(rewards) {
            assert!((present - sums[2] / sums[3]).abs() < 1e-12 * loss);
            assert!((absent - sums[0] / sums[1]).abs() < 1e-12 * loss);
        }
    }

    #[test]
    fn the_squared_error_is_its_mean_over_the_unit_ball() {
        let target = LinearTarget::new(3, 3, 1, 2).unwrap();
        let weights = [0.5, -1.0, 2.0];
        let (mut sum, mut count, mut at) = (0.0, 0, 0u64);
        while count < 200_000 {
            let mut y = [0.0f32; 3];
            Stream::new(5, "ball").item(at).uniform(-1.0, 1.0, &mut y);
            at += 1;
            let y: Vec<f64> = y.into_iter().map(f64::from).collect();
            if dot(&y, &y) <= 1.0 {
                sum += (dot(&weights, &y) - dot(&target.target, &y)).powi(2);
                count += 1;
            }
        }
        let exact = target.error_of(&weights);
        // The deviation of a mean of 200,000 draws is below half a per cent of it.
        assert!((sum / f64::from(count) - exact).abs() < 0.015 * exact);
    }

    #[test]
    fn lemma_1_holds_to_rounding() {
        for seed in 0..5 {
            let found = lemma_1(&LinearTarget::new(10, 4, 60, seed).unwrap());
            // Losses of about 1, differenced over 2e-3.
            assert!(found < 1e-9, "seed {seed}: {found}");
        }
    }

    #[test]
    fn genes_that_make_no_weights_have_neither_slope_nor_direction() {
        let mut target = LinearTarget::new(4, 2, 5, 0).unwrap();
        target.set_frequencies(vec![0.0; 5]).unwrap();
        assert_eq!(target.cosine(), 0.0, "the rounded genotype has no allele");
        target.columns.iter_mut().for_each(|column| column.fill(0.0));
        target.set_frequencies(vec![0.3; 5]).unwrap();
        assert_eq!((target.cosine(), lemma_1(&target)), (0.0, 0.0));
    }

    #[test]
    fn within_theorem_1s_limit_the_loss_never_rises_and_genotypes_meet_the_target() {
        for seed in 0..4 {
            let mut target = LinearTarget::new(6, 2, 60, seed).unwrap();
            let epsilon = target.epsilon_limit();
            let (first, mut last) = (target.loss(), target.loss());
            for generation in 0..100_000 {
                target.step(epsilon).unwrap();
                let loss = target.loss();
                assert!(loss <= last * (1.0 + 1e-12), "generation {generation}: {last} to {loss}");
                last = loss;
            }
            assert!(
                last < 0.03 * first && target.cosine() > 0.95,
                "seed {seed}: {last} of {first}, {}",
                target.cosine()
            );
            assert!(target.distance() < 0.25, "seed {seed}: {}", target.distance());
            let open = target.frequencies().iter().filter(|p| (0.01..=0.99).contains(*p)).count();
            assert!(open <= 12, "{open} of 60 genes undecided");
        }
    }

    #[test]
    fn beyond_the_limits_are_errors() {
        assert!(LinearTarget::new(0, 1, 5, 0).is_err() && LinearTarget::new(4, 5, 5, 0).is_err());
        assert!(LinearTarget::new(4, 1, 0, 0).is_err());
        let mut target = LinearTarget::new(4, 2, 5, 0).unwrap();
        let limit = target.epsilon_limit();
        for epsilon in [0.0, -0.1, 1.01 * limit, f64::NAN] {
            assert!(target.step(epsilon).unwrap_err().to_string().contains("theorem 1"));
        }
        assert!(target.set_frequencies(vec![0.5; 4]).is_err());
        assert!(target.set_frequencies(vec![0.5, 0.5, 1.5, 0.5, 0.5]).unwrap_err().to_string().contains("gene 2"));
        assert!(target.set_frequencies(vec![0.5, f64::NAN, 0.5, 0.5, 0.5]).is_err());
    }
}
