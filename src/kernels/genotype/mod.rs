//! Populations of genotypes whose weights are sparse linear functions of their genes: "neural net evolution" (S. Gorantla, A. Louis,
//! C. H. Papadimitriou, S. Vempala, N. Yadati: Biologically plausible neural networks via evolutionary dynamics and dopaminergic plasticity).
//!
//! A genotype x in {0, 1}^n is drawn from [allele frequencies](AlleleFrequencies) p, x(i) = 1 with probability p(i). Its weights are W x, for a
//! sparse [matrix W](WeightGeneration), on the links of a [graph](Graph) that all genotypes share:
//!
//! ```text
//! h = ReLU(w_edges x),  l = w_output h,  L = ln sum_c exp(l_c) - l_label
//! delta = mean over samples of max(0, a^2 - L^2),  a = ln(classes)                 section 3.1: ln 10
//! f(i) = sum delta x(i) / sum x(i),  f0(i) = sum delta (1 - x(i)) / sum (1 - x(i))
//! p'(i) = p (1 + e f) / (1 + e f0 + e p (f - f0))                                  equation 3
//! ```
//!
//! | step of a generation | function |
//! |---|---|
//! | draw the genotypes | [`Population::sample`] |
//! | their weights, where somebody wants to see them | [`decode`], [`expected_weights`] |
//! | delta, mean L and hits of every genotype | [`evaluate`], [`evaluate_part`], [`evaluate_weights`] |
//! | f and f0 | [`allele_rewards`] |
//! | the next frequencies | [`AlleleFrequencies::update`] |
//!
//! ```
//! use neuropil::kernels::genotype::{AlleleFrequencies, Graph, Population, Samples, WeightGeneration, allele_rewards, evaluate};
//! use neuropil::{Context, Matrix, random::Stream};
//!
//! let mut context = Context::new()?;
//! let graph = Graph::random(4, 20, 2, 0.5, Stream::new(0, "graph"))?;
//! let w = WeightGeneration::random(graph.links(), 50, 0.1, Stream::new(0, "weights"))?;
//! let images = Matrix::from_slice(&[1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0], 2, 4)?;
//! let samples = Samples::new(&mut context, &graph, images.view(), &[0, 1])?;
//! let mut p = AlleleFrequencies::uniform(50, Stream::new(0, "frequencies"))?;
//! let mut means = Vec::new();
//! for generation in 0..50 {
//!     let population = Population::sample(&mut context, &p, Stream::new(0, "population").item(generation), 0..64)?;
//!     let outcome = evaluate(&mut context, &w, &samples, &population);
//!     means.push(outcome.rewards.iter().sum::<f64>() / 64.0);
//!     p.update(&allele_rewards(&mut context, &population, &outcome.rewards), 1.0)?;
//! }
//! assert!(means[49] > 2.0 * means[0]);
//! # Ok::<(), neuropil::Error>(())
//! ```

mod decode;
mod difference;
mod evaluate;
mod frequencies;
mod graph;
mod images;
mod lanes;
mod population;
pub mod reference;
mod rewards;
mod samples;
mod weights;

pub use decode::decode;
pub use evaluate::{Outcome, evaluate, evaluate_part, evaluate_weights, forward};
pub use frequencies::AlleleFrequencies;
pub use graph::Graph;
pub use population::{GROUP, Population};
pub use rewards::{AlleleRewards, allele_rewards};
pub use samples::Samples;
pub use weights::{WeightGeneration, expected_weights};

#[cfg(test)]
mod tests;
