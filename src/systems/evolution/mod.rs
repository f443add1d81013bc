//! Neural net evolution and dopaminergic networks (S. Gorantla, A. Louis, C. H. Papadimitriou, S. Vempala, N. Yadati: "Biologically Plausible
//! Neural Networks via Evolutionary Dynamics and Dopaminergic Plasticity"; its sections and equations are named where they are used).
//!
//! In *neural net evolution* the weights of a network are sparse linear functions of binary genes, and no gradient is ever computed: a generation
//! is drawn from allele frequencies, judged on images, and the frequencies of the better alleles rise:
//!
//! ```text
//! x(i) ~ Bernoulli(p(i))      weights = W x      delta = mean max(0, a^2 - L^2)      f, f0: mean delta with and without allele i
//! p' = p (1 + eps f) / (1 + eps f0 + eps p (f - f0))                                                             equation 3
//! ```
//! [`Network`] is a population as a [`Learner`](crate::systems::Learner), with lifetime learning of the output layer if so configured;
//! [`linear`] is the theory's case of one linear output, where theorem 1 and lemma 1 hold to the letter. [`dopaminergic`] networks learn in their
//! lifetime alone: a random hidden layer, and an output layer whose links change by reward. [`experiment`] repeats tables and figures.
//!
//! ```
//! use std::ops::ControlFlow;
//! use neuropil::{Context, datasets, systems::{Learner, evolution::{Config, Network}}};
//! let data = datasets::embedded();
//! let text = "genes = 300\nhidden = 50\npopulation = 64\nbatch = 20\ngenerations = 5";
//! let mut population = Network::new(Config::from_toml(text, "here")?, 784, 10)?;
//! let mut context = Context::new()?;
//! let _ = population.train(&mut context, &data.train, None, &mut |_| ControlFlow::Continue(()))?;
//! assert_eq!(population.evolved(), 5);
//! let found = population.accuracies(&mut context, &data.test)?;
//! println!("{:.1} % by the expected weights, {:.1} % by genotypes drawn", 100.0 * found.expected, 100.0 * found.sampled);
//! # Ok::<(), neuropil::Error>(())
//! ```

mod config;
mod curve;
pub mod dopaminergic;
mod evolve;
pub mod experiment;
mod lifetime;
pub mod linear;
mod network;
mod output;
mod recipes;
mod report;
mod rows;
mod seen;
#[cfg(test)]
mod tests;

pub use config::{Config, Dawn, Genotype, JudgedOn, Lifetime};
pub use curve::{Distances, Point};
pub use network::Network;
pub use output::{Learning, Rule};
pub use seen::Accuracies;

pub use crate::kernels::plasticity::Reading;

pub(crate) use network::KIND;
