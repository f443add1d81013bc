//! Particles: thousands of tiny networks, each of which can be asked for its own weights.
//!
//! A particle is a bias-free net of 5 inputs, some hidden layers and one output. Asked for its weight i it is shown the row
//! `x_i = (w_i, layer, cell, index, 0)`; asked to act as a weight of a larger network it is shown `(0, 0, 0, 0, x)`
//! (Illium et al., Constructing Organism Networks from Collaborative Self-Replicators, 2022, definitions 2 to 6).
//!
//! | function | what it computes | source |
//! |---|---|---|
//! | [`forward`], [`forward_each`] | `N(x)` for inputs that all particles share, or that each has for itself | definition 1 |
//! | [`self_apply`] | `w_i = N(x_i)` | definition 2 |
//! | [`self_replicate`] | gradient steps of `(1/P) sum_i (N(x_i) - w_i)^2`, its inputs and targets taken as constants | definition 5 |
//! | [`examine`] | that loss, `max_i abs(N(x_i) - w_i)`, and so the [`Class`] | definition 3 |
//! | [`effective_weights`] | `c` with `N(0, 0, 0, 0, x) = c x` | definition 6 |
//! | [`effective_weight_step`] | a gradient step on the weights from the gradient of the `c` | |
//!
//! The three numbers of a weight's place are 0-based, divided by their largest value plus 1e-8, and 1e-8 is added (as the authors do).
//!
//! # Why it is fast
//! Particles lie across the lanes, 16 to a block ([`Particles`]). A linear net is one row of five numbers, `v = W_L ... W_1`, which costs some P
//! operations in place of P^2, and always wins where it is legal. Others, and linear ones [on request](Net::direct), are evaluated layer by
//! layer. Linear nets 5-h-h-1 with h of 3 and 5, the authors', are fastest of all: their weights stay in registers.
//!
//! **Determinism.** A lane never sees another, and sums run in an order fixed by the net: the bits depend on neither threads nor
//! instruction set. **NaN and infinity** stay inside their particle. **Scratch** comes from the [`Context`]: `64 (2 U + 2 m)` bytes a thread, for U
//! units of all layers, inputs counted, and m of the widest; `64 P` more for [`self_apply`] and `320 P` for [`self_replicate`]. So 11 KB at most for
//! 5-3-3-1, and 9 MB for the largest net there is.
//!
//! **Error.** A result is within `g = n u / (1 - n u)` of the exact one, times its magnitude: the same formula over absolute values,
//! differences as sums (u = 2^-24; underflow apart). [`mod@reference`] computes both, and n, [`reference::roundings`]: P, the units of all layers, 8 for
//! each layer, inputs counted in both, and 16; 87 for 5-3-3-1, 119 for 5-5-5-1.
//!
//! ```
//! use neuropil::kernels::particle::{Activation, Class, Net, Particles, SelfReplication, examine, self_replicate};
//! use neuropil::{Context, random::Stream};
//! let mut context = Context::new()?;
//! let net = Net::new(&[3, 3], Activation::Linear)?;
//! let mut particles = Particles::xavier(&net, 20, Stream::new(1, "weights"));
//! let rule = SelfReplication { rate: 0.004, momentum: 0.9, steps: 20_000 };
//! self_replicate(&mut context, &mut particles, None, &rule);
//! let fixpoints = examine(&mut context, &particles).iter().filter(|seen| seen.class(1e-5) == Class::SelfReplicating).count();
//! assert!(fixpoints >= 15);
//! # Ok::<(), neuropil::Error>(())
//! ```

mod collapsed;
mod direct;
mod effective;
mod examine;
mod net;
mod outputs;
pub mod reference;
mod replicate;

pub use effective::{effective_weight_step, effective_weights};
pub use examine::{Class, Examined, examine};
pub use net::{Activation, Net, Particles, ROW};
pub use outputs::{forward, forward_each};
pub use replicate::{SelfReplication, self_apply, self_replicate};

use crate::context::Context;
use crate::parallel::Threads;
use crate::simd::LANES;

/// One value of 16 particles.
type Lanes = [f32; LANES];

/// Blocks of 16 particles a work item holds.
const ITEM: usize = 64;

/// How many of those that are worth sharing one multiply-add of a particle takes as long as; as measured, since its sums are short chains.
const COST: usize = 8;

/// The threads for so many multiply-adds a particle.
fn threads_for(context: &Context, particles: &Particles, each: usize) -> Threads {
    context.threads().for_work([particles.blocks(), LANES * COST, each])
}

/// Scratch of each thread: what one evaluation of the net needs, and `extra` vectors.
fn workspaces<'a>(
    context: &'a mut Context,
    threads: Threads,
    net: &Net,
    extra: usize,
) -> impl Iterator<Item = &'a mut [Lanes]> + Send + use<'a> {
    let vectors = (net.scratch() + extra).max(1);
    let [scratch] = context.scratch([threads.get() * vectors * LANES]);
    scratch.as_chunks_mut().0.chunks_mut(vectors)
}

/// A pass over blocks of particles, each with an output of its own.
macro_rules! per_block {
    ($name:ident, $($field:ident: $type:ty),* => |$s:ident, $this:ident| $body:block) => {
        struct $name<'a, 'b> {
            net: &'a Net,
            scratch: &'b mut [Lanes],
            $($field: $type),*
        }
        impl Kernel for $name<'_, '_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, $s: S) {
                let $this = self;
                $body
            }
        }
    };
}
use per_block;

#[cfg(test)]
mod tests;
