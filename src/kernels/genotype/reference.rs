//! The formulas by obvious `f64` loops.

use rand_core::Rng as _;

use super::{AlleleFrequencies, Graph, Population, WeightGeneration};
use crate::kernels::loss::reference::cross_entropy;
use crate::matrix::MatRef;
use crate::random::Stream;

/// The weights W x of a genotype.
pub fn weights(w: &WeightGeneration, population: &Population, genotype: usize) -> Vec<f64> {
    let weight = |link| {
        let (genes, values) = w.link(link);
        let own = genes.iter().zip(values).filter(|(gene, _)| population.allele(genotype, **gene as usize));
        own.map(|(_, &value)| f64::from(value)).sum()
    };
    (0..w.links()).map(weight).collect()
}

/// The sum of |W| over the genes of each link: no genotype's weight, and no part of its sum, is larger.
pub fn magnitudes(w: &WeightGeneration) -> Vec<f64> {
    (0..w.links()).map(|link| w.link(link).1.iter().map(|value| f64::from(value.abs())).sum()).collect()
}

/// Roundings on a path from an entry of W to a logit, as [`evaluate`](super::evaluate) counts them for genotypes one by one.
pub fn roundings(graph: &Graph, w: &WeightGeneration) -> usize {
    let genes = (0..graph.links()).map(|link| w.link(link).0.len()).max().unwrap_or(0);
    let edges = (0..graph.hidden()).map(|unit| graph.pattern().row(unit).len()).max().unwrap_or(0);
    2 * genes + edges + graph.hidden() + 1
}

/// The same where genotypes may be evaluated by what differs among them; sums may be four times as large then.
pub fn roundings_of_differences(graph: &Graph, w: &WeightGeneration, population: &Population) -> usize {
    let genotypes = 0..population.genotypes();
    let carriers = |gene: usize| genotypes.clone().filter(|&genotype| population.allele(genotype, gene)).count();
    let varies: Vec<bool> = (0..w.genes()).map(|gene| (1..genotypes.end).contains(&carriers(gene))).collect();
    let varying = varies.iter().filter(|&&varies| varies).count();
    let of_class = |class: usize| {
        let links = (0..graph.hidden()).map(|unit| graph.edges() + unit * graph.classes() + class);
        links.flat_map(|link| w.link(link).0).filter(|gene| varies[**gene as usize]).count()
    };
    let outputs = (0..graph.classes()).map(of_class).max().unwrap_or(0);
    2 * roundings(graph, w) + graph.hidden() + 2 * varying + outputs
}

/// The expected weights W p.
pub fn expected_weights(w: &WeightGeneration, frequencies: &AlleleFrequencies) -> Vec<f64> {
    let weight = |link| {
        let (genes, values) = w.link(link);
        genes.iter().zip(values).map(|(&gene, &w)| f64::from(w) * frequencies.values()[gene as usize]).sum()
    };
    (0..w.links()).map(weight).collect()
}

/// Activities of the hidden units on an image, and the logits.
pub fn forward(graph: &Graph, weights: &[f64], image: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let mut hidden = vec![0.0; graph.hidden()];
    let mut logits = vec![0.0; graph.classes()];
    for unit in 0..graph.hidden() {
        let edges = graph.pattern().row(unit).iter().zip(graph.pattern().range(unit));
        let sum: f64 = edges.map(|(&input, link)| weights[link] * f64::from(image[input as usize])).sum();
        hidden[unit] = if sum < 0.0 { 0.0 } else { sum };
        for class in 0..graph.classes() {
            logits[class] += weights[graph.edges() + unit * graph.classes() + class] * hidden[unit];
        }
    }
    (hidden, logits)
}

/// What a genotype reaches, and how far `f32` may be off.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The mean of max(0, a^2 - L^2).
    pub reward: f64,
    /// The mean of L.
    pub loss: f64,
    /// Samples that are classified as their labels say.
    pub correct: u32,
    /// Largest error of [`reward`](Self::reward) by rounding.
    pub reward_error: f64,
    /// Largest error of [`loss`](Self::loss) by rounding.
    pub loss_error: f64,
    /// Samples whose class rounding may change.
    pub doubtful: u32,
}

/// How a genotype with these weights does; `magnitudes` bound what its weights are sums of, and `roundings` counts those on a path
/// from an entry of W to a logit.
pub fn evaluate(
    graph: &Graph,
    weights: &[f64],
    magnitudes: &[f64],
    roundings: usize,
    images: MatRef<'_>,
    labels: &[u8],
) -> Outcome {
    let u = 0.5 * f64::from(f32::EPSILON);
    let gamma = |n: f64| n * u / (1.0 - n * u);
    let chance = (graph.classes() as f64).ln();
    let mut outcome = Outcome::default();
    for (image, &label) in images.iter_rows().zip(labels) {
        let label = usize::from(label);
        let (_, logits) = forward(graph, weights, image);
        let absolute: Vec<f32> = image.iter().map(|pixel| pixel.abs()).collect();
        let (_, sizes) = forward(graph, magnitudes, &absolute);
        let off = gamma(roundings as f64) * sizes.iter().copied().fold(0.0, f64::max);
        let loss = cross_entropy(&logits, label);
        let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // L moves by at most the largest change of a difference of logits; then its own evaluation. Exponentials, their chain of sums, and its
        // logarithm: 4 ln c + c + 6; the label's logit less the largest, and that taken off: that difference, twice.
        let own = 4.0 * chance + graph.classes() as f64 + 6.0 + 2.0 * (max - logits[label] + 2.0 * off);
        let loss_error = 2.0 * off + 1.01 * u * own;
        outcome.loss += loss;
        outcome.loss_error += loss_error;
        outcome.reward += (chance * chance - loss * loss).max(0.0);
        // a^2 and the fused difference round too.
        outcome.reward_error +=
            2.0 * loss * loss_error + loss_error * loss_error + 8.0 * u * (chance * chance + loss * loss);
        let others = (0..graph.classes()).filter(|&class| class != label).map(|class| logits[class]);
        let best = others.fold(f64::NEG_INFINITY, f64::max);
        let first = logits.iter().position(|&logit| logit == max) == Some(label);
        outcome.correct += u32::from(first);
        outcome.doubtful += u32::from((logits[label] - best).abs() <= 2.0 * off);
    }
    let count = labels.len() as f64;
    // The mean in f64 of values that are f32.
    let mean = f64::from(f32::EPSILON) * f64::from(f32::EPSILON);
    Outcome {
        reward: outcome.reward / count,
        loss: outcome.loss / count,
        reward_error: outcome.reward_error / count + mean * count * outcome.reward,
        loss_error: outcome.loss_error / count + mean * count * outcome.loss,
        ..outcome
    }
}

/// f and f0 of every gene; NaN where nobody, or everybody, carries allele 1.
pub fn allele_rewards(population: &Population, rewards: &[f64]) -> Vec<(f64, f64)> {
    let of = |gene, allele| {
        let own = (0..rewards.len()).filter(|&genotype| population.allele(genotype, gene) == allele);
        let (count, sum) = own.fold((0.0, 0.0), |(count, sum), genotype| (count + 1.0, sum + rewards[genotype]));
        (count > 0.0).then_some(sum / count)
    };
    let pair = |gene| of(gene, true).zip(of(gene, false)).unwrap_or((f64::NAN, f64::NAN));
    (0..population.genes()).map(pair).collect()
}

/// Equation 3, as printed.
pub fn update(p: f64, present: f64, absent: f64, epsilon: f64) -> f64 {
    p * (1.0 + epsilon * present) / (1.0 + epsilon * absent + epsilon * p * (present - absent))
}

/// The alleles of a genotype drawn from its own stream: 32 bits a gene, in their order, against p in as many.
pub fn sample(frequencies: &AlleleFrequencies, genotype: Stream) -> Vec<bool> {
    let mut generator = genotype.generator();
    let mut draws = Vec::new();
    while draws.len() < frequencies.genes() {
        let both = generator.next_u64();
        draws.extend([both as u32, (both >> 32) as u32]);
    }
    let pairs = draws.into_iter().zip(frequencies.values());
    pairs.map(|(draw, p)| f64::from(draw) < (p * 2f64.powi(32)).round()).collect()
}
