//! How far particles are from reproducing themselves, and so what they are.

use super::{ITEM, Lanes, Net, Particles, collapsed, direct, per_block, threads_for, workspaces};
use crate::context::Context;
use crate::parallel::for_each_with;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// What a particle is, in the order of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A weight is NaN or infinite.
    Divergent,
    /// No weight is further than epsilon from zero: it reproduces itself, trivially.
    Zero,
    /// An epsilon-fixpoint: no weight is reproduced with an error of epsilon or more.
    SelfReplicating,
    /// None of these.
    Other,
}

impl Class {
    /// All, in the order of the tests.
    pub const ALL: [Class; 4] = [Class::Divergent, Class::Zero, Class::SelfReplicating, Class::Other];

    /// Its name: `divergent`, `zero`, `self-replicating` or `other`.
    pub fn name(self) -> &'static str {
        match self {
            Class::Divergent => "divergent",
            Class::Zero => "zero",
            Class::SelfReplicating => "self-replicating",
            Class::Other => "other",
        }
    }
}

impl std::fmt::Display for Class {
    /// Its [`name`](Class::name).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// What [`examine`] finds out about a particle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Examined {
    /// `(1/P) sum_i (N(x_i) - w_i)^2`
    pub loss: f32,
    /// `max_i |N(x_i) - w_i|`; NaN if one of them is not finite.
    pub deviation: f32,
    /// `max_i |w_i|`; NaN if a weight is not finite.
    pub magnitude: f32,
}

impl Examined {
    /// The class for this epsilon; the paper's is 1e-5. For an epsilon that is NaN, all that are not divergent are other.
    pub fn class(&self, epsilon: f32) -> Class {
        if self.magnitude.is_nan() {
            Class::Divergent
        } else if self.magnitude <= epsilon {
            Class::Zero
        } else if self.deviation < epsilon {
            Class::SelfReplicating
        } else {
            Class::Other
        }
    }
}

/// Loss, largest deviation and largest magnitude of every particle.
///
/// Linear nets take the deviation as `(v_0 - 1) w_i + v_1 layer + v_2 cell + v_3 index`, which near a fixpoint loses nothing.
///
/// Cost: some 5 P multiply-adds a particle if linear, P^2 otherwise; one read of the weights.
/// Error: of the deviation `g` (see the [module](super)) times the largest magnitude s of an `N(x_i) - w_i` = d, of the loss `g` times
/// the mean of `2 |d| s + g s^2 + d^2`, of the largest weight none.
/// **NaN and infinity** stay inside their particle, whose loss and deviation then are no finite numbers.
///
/// ```
/// use neuropil::kernels::particle::{Activation, Class, Net, Particles, examine};
/// use neuropil::{Context, Matrix};
/// let net = Net::new(&[], Activation::Linear)?; // five weights, one for each input
/// // One that answers what it is shown; one that answers half of it; one without weights; one that is none.
/// let rows = [[1.0, 0.0, 0.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0, 0.0], [0.0; 5], [f32::NAN; 5]];
/// let particles = Particles::from_rows(&net, Matrix::from_slice(rows.as_flattened(), 4, 5)?.view())?;
/// let seen = examine(&mut Context::new()?, &particles);
/// assert_eq!((seen[1].deviation, seen[1].magnitude), (0.25, 0.5));
/// let classes: Vec<_> = seen.iter().map(|seen| seen.class(1e-5)).collect();
/// assert_eq!(classes, [Class::SelfReplicating, Class::Other, Class::Zero, Class::Divergent]);
/// # Ok::<(), neuropil::Error>(())
/// ```
pub fn examine(context: &mut Context, particles: &Particles) -> Vec<Examined> {
    let isa = context.isa();
    let threads = threads_for(context, particles, particles.net().answers());
    let net = particles.net();
    let mut found = vec![Examined { loss: 0.0, deviation: 0.0, magnitude: 0.0 }; particles.len()];
    let items = particles.lanes().chunks(ITEM * net.weights()).zip(found.chunks_mut(ITEM * LANES));
    for_each_with(threads, workspaces(context, threads, net, 0), items, |scratch, (blocks, found)| {
        dispatch(isa, Examine { net, scratch, blocks, found });
    });
    found
}

per_block!(Examine, blocks: &'a [Lanes], found: &'b mut [Examined] => |s, this| {
    let weights = this.net.weights();
    for (w, found) in this.blocks.chunks_exact(weights).zip(this.found.chunks_mut(LANES)) {
        let (loss, deviation) = if this.net.is_collapsed() {
            collapsed::deviations(s, this.net, w, this.scratch)
        } else {
            direct::deviations(s, this.net, w, this.scratch)
        };
        let (mut magnitude, mut finite) = (s.zero(), s.zero());
        for w in w {
            let w = s.load(w);
            magnitude = s.max(s.abs(w), magnitude);
            finite = s.mul_add(w, s.zero(), finite);
        }
        let (loss, deviation) = (s.lanes(loss), s.lanes(deviation));
        let magnitude = s.lanes(s.add(magnitude, finite));
        for (lane, found) in found.iter_mut().enumerate() {
            *found = Examined { loss: loss[lane], deviation: deviation[lane], magnitude: magnitude[lane] };
        }
    }
});
