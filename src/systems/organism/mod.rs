//! Organism networks of self-replicators (Illium et al., 2022): networks each of whose weights is a tiny network, a particle, that
//! multiplies its input by the weight it stands for, and that also learns to reproduce its own weights.
//!
//! Cell j of a layer sums what its particles say: `y_j = sum_i N_ij(0, 0, 0, 0, x_i)`. Training takes turns: some steps of
//! self-replication, then one step of the task. The particles' part is [`kernels::particle`](crate::kernels::particle); linear
//! particles are one number c each, so the organism's forward and backward passes are those of a plain network of the c, and each
//! particle follows the gradient of its own.
//!
//! ```
//! use neuropil::Context;
//! use neuropil::kernels::particle::Class;
//! use neuropil::systems::organism::Addition;
//! let added = Addition { epochs: 40, ..Addition::default() }.train(&mut Context::new()?, &mut |_, _| ())?;
//! let last = added.epochs.last().expect("one an epoch, and one before");
//! assert_eq!(last.census.count(Class::SelfReplicating), 18); // every particle reproduces itself,
//! assert!(last.absolute < 1e-5); // and together they add
//! # Ok::<(), neuropil::Error>(())
//! ```

pub mod addition;
mod body;
pub mod config;
pub mod experiment;
mod network;
mod robustness;
#[cfg(test)]
mod tests;

pub use addition::{Added, Addition, Resubstitution};
pub use body::{Census, Descent, Organism, PlainNetwork, Workspace};
pub use config::{Between, Config, Replication, Task};
pub use network::{Epoch, Network, Watch};
pub use robustness::{Robustness, robustness};

pub(crate) use network::KIND;
