//! Hebbian learning with weight perturbation (Inoue, Röhrbein and Knoblauch 2026, arXiv:2603.03234): hidden layers that
//! learn by a competitive Hebbian rule, and an output layer that learns by Hebbian learning and weight perturbation, all
//! without backpropagation.
//!
//! With samples as rows, x `[B, n]` a layer's inputs, z `[B, K]` its activities, W `[n, K]` its weights:
//!
//! ```text
//! (1) hidden  dW_ij = eta mean_b[ x_bi z_bj - sum_k w_ik z_bk z_bj ]
//! (2) output  the same with k != j; x the hidden activities, z the softmax output
//! (3) WP      dW_ij = -(eta / sigma^2) (E' - E) xi_ij [w_ij != 0],   xi_ij ~ N(0, sigma^2)
//! (4) output  dW = eta alpha (2) + eta beta (3)       eta stands in (3) and in (4): its product with beta is 0.022
//! (5) bias    db_k = eta gamma (1/K - mean_b z_bk)
//! (6) hidden  z = ReLU((|y| - mean |y|) / std |y|) of y = x W, divided by its maximum if rescaled
//! ```
//!
//! E is the mean cross-entropy of the batch, E' that with the perturbed weights W + xi. In the non-negative network W and b
//! are set to max(0, .) after each update. The rules themselves are [`kernels::hebbian`](crate::kernels::hebbian) and
//! [`kernels::perturb`](crate::kernels::perturb); this module wires them into networks of any depth and trains those. What training
//! leaves of a non-negative network's weights is a tenth: [`Compressed`] answers by these alone.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use neuropil::{Context, datasets, systems::{Learner, hebbian::{Config, Network}}};
//! let data = datasets::embedded();
//! let mut context = Context::new()?;
//! let mut network = Network::new(Config::default(), 784, 10)?;
//! let _ = network.train(&mut context, &data.train, None, &mut |_| ControlFlow::Continue(()))?;
//! println!("{:.2} %", 100.0 * network.accuracy(&mut context, &data.test)?);
//! # Ok::<(), neuropil::Error>(())
//! ```

mod compressed;
pub mod config;
pub mod experiment;
mod gradient;
mod measures;
mod network;
mod output;
mod recipes;
mod report;
mod rows;
#[cfg(test)]
mod tests;
mod train;

pub use compressed::Compressed;
pub use config::{
    Activation, Axis, Config, Draws, Hidden, Inputs, Mode, Order, Output, Perturbation, Reduction, Reward, Rule,
};
pub use network::Network;

pub(crate) use network::KIND;
