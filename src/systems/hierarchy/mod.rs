//! The self-organising hierarchy: autoencoder units on one feature map, whose receptive fields move to raise the entropy of
//! what they encode (Borgohain et al., "Self-Organising Neural Network Hierarchy", doi:10.1007/978-3-030-64984-5_28; its sections and
//! algorithms are named where they are used).
//!
//! The feature map is a sheet of cells: the image lies at its left, beside it every unit has a tile for its latents. A unit sees a
//! *receptive field*, two squares of the sheet, which may hold pixels, other units' latents or its own, and learns to compress it:
//!
//! ```text
//! h = dropout(ReLU(x E^T + e))      y = dropout(ReLU(h D + d))      loss = mean (y - x)^2
//! ```
//!
//! *Base learning* (algorithm 1): per batch the map begins with the image, K sweeps over the K units fill it, one more trains them; no
//! gradient passes from unit to unit. The entropy of a unit is that of the histogram of its latents over an epoch. *Meta-learning*
//! (algorithm 2) shifts a unit's field by a cell and keeps the shift if the unit's entropy is above what it is in the best topology so
//! far. A classifier on the frozen latents says what they are worth.
//!
//! [`Network`] is the whole as a [`Learner`](crate::systems::Learner); [`experiment`] repeats the paper's tables and figures.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use neuropil::{Context, datasets, systems::{Learner, hierarchy::{Config, Network}}};
//! let data = datasets::embedded();
//! let mut context = Context::new()?;
//! let mut network = Network::new(Config::from_toml("topology = \"random\"\n[meta]\nsteps = 5", "here")?, 784, 10)?;
//! let _ = network.train(&mut context, &data.train, None, &mut |_| ControlFlow::Continue(()))?;
//! println!("{:.2} %", 100.0 * network.accuracy(&mut context, &data.test)?);
//! for made in network.moves() {
//!     println!("unit {} to {}: {:.3} bits", made.unit, made.field.rectangles()[0], made.entropy[1]);
//! }
//! # Ok::<(), neuropil::Error>(())
//! ```

mod base;
pub mod config;
pub mod experiment;
mod images;
mod layer;
mod moves;
mod network;
mod read_out;
mod record;
mod report;
mod rows;
mod run;
mod saved;
mod sweep;
#[cfg(test)]
mod tests;
pub mod topology;
mod train;
mod units;

pub use config::{Base, Config, Criterion, FeatureMap, Form, Images, Meta, ReadOut, Rejected, Rule};
pub use moves::Move;
pub use network::Network;
pub use topology::{Area, Geometry, Named, Topology};

pub(crate) use network::KIND;
