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
//! instruction set. **NaN and infinity** stay inside their particle. **Scratch** comes from the [`Context`], a few kilobytes a thread.
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
mod net;
pub mod reference;

pub use net::{Activation, Net, Particles, ROW};

use crate::context::Context;
use crate::kernels::finite;
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{Threads, for_each_with};
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// One value of 16 particles.
type Lanes = [f32; LANES];

/// Blocks of 16 particles a work item holds.
const ITEM: usize = 64;
/// Blocks that take their steps in turn, so that the waits of one are filled by the others; their weights stay in L1.
const GROUP: usize = 4;

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

/// Gradient descent with momentum (`m = momentum m + gradient; w -= rate m`) on a particle's own reproduction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelfReplication {
    /// The learning rate: a finite number.
    pub rate: f32,
    /// The momentum: 0 for none, a finite number.
    pub momentum: f32,
    /// How many steps.
    pub steps: usize,
}

/// Multiply-adds per weight and step that decide whether threads are worth their wake.
const COST: usize = 8;

fn threads_for(context: &Context, particles: &Particles, evaluations: usize) -> Threads {
    let work = particles.blocks() * LANES * particles.net().weights() * COST;
    let work = if particles.net().is_collapsed() { work } else { work * particles.net().weights() };
    context.threads().for_work(work.saturating_mul(evaluations))
}

/// `out[b, p]` = the output of particle p for the row b of `x` \[batch, 5\], which all particles are shown.
///
/// Cost: P multiply-adds a particle and 5 a value if linear, P a value otherwise. Error: `g` (see the [module](self)) times the same
/// net of absolute values, 5.2e-6 of it for 5-3-3-1.
///
/// ```
/// use neuropil::kernels::particle::{Activation, Net, Particles, forward};
/// use neuropil::{Context, Matrix};
/// let net = Net::new(&[1], Activation::Linear)?; // 5-1-1
/// let mut particles = Particles::zeros(&net, 2);
/// particles.set(0, &[1.0, 2.0, 3.0, 4.0, 5.0, 10.0]);
/// particles.set(1, &[0.0, 0.0, 0.0, 0.0, 1.0, -1.0]);
/// let x = Matrix::from_slice(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0], 2, 5)?;
/// let mut out = Matrix::zeros(2, 2);
/// forward(&mut Context::new()?, &particles, x.view(), out.view_mut());
/// assert_eq!(out.as_slice(), &[60.0, -1.0, 20.0, 0.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If x has not five columns, or out is not \[batch, particles\].
#[track_caller]
pub fn forward(context: &mut Context, particles: &Particles, x: MatRef<'_>, out: MatMut<'_>) {
    assert!(
        x.cols() == ROW && out.rows() == x.rows() && out.cols() == particles.len(),
        "forward: x is {} x {}, out is {} x {}, for {} particles of {ROW} inputs",
        x.rows(),
        x.cols(),
        out.rows(),
        out.cols(),
        particles.len()
    );
    outputs(context, particles, Inputs::Shared(x), out);
}

/// The same for inputs of each particle's own: `x` is \[5 batch, particles\], row `5 b + i` holding the input i of sample b.
///
/// For out \[batch, particles\]. Cost: the multiply-adds of [`forward`], and five reads and a write a value. Error as there.
///
/// ```
/// use neuropil::kernels::particle::{Activation, Net, Particles, forward_each};
/// use neuropil::{Context, Matrix};
/// let net = Net::new(&[], Activation::Linear)?; // five weights, one for each input
/// let rows = [[1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 1.0, 1.0, 1.0, 1.0]];
/// let particles = Particles::from_rows(&net, Matrix::from_slice(rows.as_flattened(), 2, 5)?.view())?;
/// let x = Matrix::from_slice(&[0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 10.0, 1.0], 5, 2)?; // a column a particle
/// let mut out = Matrix::zeros(1, 2);
/// forward_each(&mut Context::new()?, &particles, x.view(), out.view_mut());
/// assert_eq!(out.as_slice(), &[52.0, 5.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree.
#[track_caller]
pub fn forward_each(context: &mut Context, particles: &Particles, x: MatRef<'_>, out: MatMut<'_>) {
    assert!(
        x.rows() == ROW * out.rows() && x.cols() == particles.len() && out.cols() == particles.len(),
        "forward_each: x is {} x {}, out is {} x {}, for {} particles of {ROW} inputs",
        x.rows(),
        x.cols(),
        out.rows(),
        out.cols(),
        particles.len()
    );
    outputs(context, particles, Inputs::Each(x), out);
}

#[derive(Clone, Copy)]
enum Inputs<'a> {
    Shared(MatRef<'a>),
    Each(MatRef<'a>),
}

impl Inputs<'_> {
    /// The input row of a sample for 16 particles from `first` on.
    #[inline(always)]
    fn row<S: Simd>(self, s: S, sample: usize, first: usize) -> [S::F32; ROW] {
        let mut row = [s.zero(); ROW];
        match self {
            Inputs::Shared(x) => {
                let x = x.row(sample);
                for i in 0..ROW {
                    row[i] = s.splat(x[i]);
                }
            }
            Inputs::Each(x) => {
                for i in 0..ROW {
                    let x = &x.row(sample * ROW + i)[first..];
                    row[i] = match x.first_chunk() {
                        Some(x) => s.load(x),
                        None => s.load_partial(x),
                    };
                }
            }
        }
        row
    }
}

fn outputs(context: &mut Context, particles: &Particles, inputs: Inputs<'_>, out: MatMut<'_>) {
    let isa = context.isa();
    let threads = threads_for(context, particles, out.rows().div_ceil(4));
    let net = particles.net();
    let workspaces = workspaces(context, threads, net, 0);
    let mut rest = out;
    let mut items = Vec::with_capacity(particles.blocks().div_ceil(ITEM));
    for (index, blocks) in particles.lanes().chunks(ITEM * net.weights()).enumerate() {
        let (item, right) = std::mem::replace(&mut rest, MatMut::new(&mut [], 0, 0).expect("nothing"))
            .split_columns((particles.len() - index * ITEM * LANES).min(ITEM * LANES));
        rest = right;
        items.push((index * ITEM * LANES, blocks, item));
    }
    for_each_with(threads, workspaces, items, |scratch, (first, blocks, out)| {
        dispatch(isa, Outputs { net, blocks, inputs, first, scratch, out });
    });
}

struct Outputs<'a, 'b> {
    net: &'a Net,
    blocks: &'a [Lanes],
    inputs: Inputs<'a>,
    first: usize,
    scratch: &'b mut [Lanes],
    out: MatMut<'b>,
}

impl Kernel for Outputs<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (net, cols) = (self.net, self.out.cols());
        for (index, w) in self.blocks.chunks_exact(net.weights()).enumerate() {
            let start = index * LANES;
            let v = if net.is_collapsed() { collapsed::row(s, net, w, self.scratch) } else { [s.zero(); ROW] };
            for sample in 0..self.out.rows() {
                let x = self.inputs.row(s, sample, self.first + start);
                let y = if net.is_collapsed() {
                    collapsed::dot(s, v, x)
                } else {
                    direct::forward(s, net, w, x, self.scratch)
                };
                let to = &mut self.out.row_mut(sample)[start..cols.min(start + LANES)];
                match to.first_chunk_mut() {
                    Some(to) => s.store(y, to),
                    None => s.store_partial(y, to),
                }
            }
        }
    }
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

/// Replaces every particle's weights by what it outputs when asked for them: `w_i = N(x_i)`, all from the weights before the call.
///
/// Cost: about 3 P multiply-adds a particle if linear, P^2 otherwise; one read and one write of the weights. Error: `g` (see the
/// [module](self)) times the same of absolute values.
///
/// ```
/// use neuropil::Context;
/// use neuropil::kernels::particle::{Activation, Net, Particles, self_apply};
/// let net = Net::new(&[1], Activation::Linear)?;
/// // v = 0.5 (2, 0, 0, 0, 8) leaves every weight where it is, whatever the particle multiplies by: a fixpoint.
/// let mut particles = Particles::zeros(&net, 1);
/// particles.set(0, &[2.0, 0.0, 0.0, 0.0, 8.0, 0.5]);
/// let before = particles.clone();
/// self_apply(&mut Context::new()?, &mut particles);
/// assert_eq!(particles, before);
/// # Ok::<(), neuropil::Error>(())
/// ```
pub fn self_apply(context: &mut Context, particles: &mut Particles) {
    let isa = context.isa();
    let threads = threads_for(context, particles, 1);
    let (net, lanes) = particles.parts_mut();
    let workspaces = workspaces(context, threads, net, net.weights());
    for_each_with(threads, workspaces, lanes.chunks_mut(ITEM * net.weights()), |scratch, blocks| {
        dispatch(isa, SelfApply { net, scratch, blocks });
    });
}

per_block!(SelfApply, blocks: &'b mut [Lanes] => |s, this| {
    let weights = this.net.weights();
    let (own, scratch) = this.scratch.split_at_mut(weights);
    for w in this.blocks.chunks_exact_mut(weights) {
        if this.net.is_collapsed() {
            collapsed::self_apply(s, this.net, w, scratch);
        } else {
            own.copy_from_slice(w);
            direct::self_apply(s, this.net, own, w, scratch);
        }
    }
});

/// Loss, largest deviation and largest magnitude of every particle.
///
/// Linear nets take the deviation as `(v_0 - 1) w_i + v_1 layer + v_2 cell + v_3 index`, which near a fixpoint loses nothing.
///
/// Cost: some 5 P multiply-adds a particle if linear, P^2 otherwise; one read of the weights.
/// Error: of the deviation `g` (see the [module](self)) times the largest magnitude s of an `N(x_i) - w_i` = d, of the loss `g` times
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
    let threads = threads_for(context, particles, 1);
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

/// Gradient steps of every particle towards reproducing itself.
///
/// The loss is `(1/P) sum_i (N(x_i) - w_i)^2` with inputs x and targets w taken as constants, anew for every step. The momentum
/// starts at zero with the call if `velocity` is `None` (the authors make a new optimiser each time), and is read and left there
/// otherwise.
///
/// Cost of a step: some 7 P multiply-adds a particle if linear, `3 P^2` otherwise. A call reads and writes the
/// weights once, whatever the number of steps. Error of a step: `g` (see the [module](self)) times `|w| + rate m`, where m is
/// `momentum |m|` and the gradient computed from absolute values; of the momentum `g m`.
///
/// # Panics
/// If `velocity` differs from `particles` in its net or number, or rate or momentum is not finite.
#[track_caller]
pub fn self_replicate(
    context: &mut Context,
    particles: &mut Particles,
    velocity: Option<&mut Particles>,
    rule: &SelfReplication,
) {
    if let Some(velocity) = &velocity {
        particles.agree("self_replicate", velocity);
    }
    finite("self_replicate", "rate", rule.rate);
    finite("self_replicate", "momentum", rule.momentum);
    let isa = context.isa();
    let threads = threads_for(context, particles, rule.steps);
    let (net, lanes) = particles.parts_mut();
    let workspaces = workspaces(context, threads, net, (GROUP + 1) * net.weights());
    // The more steps, the longer an item takes, and the longer one thread may wait for the last item of another.
    let item = (ITEM / rule.steps.max(1)).max(2 * GROUP).next_multiple_of(GROUP);
    let chunk = item * net.weights();
    let items: Vec<(&mut [Lanes], Option<&mut [Lanes]>)> = match velocity {
        None => lanes.chunks_mut(chunk).map(|blocks| (blocks, None)).collect(),
        Some(velocity) => lanes.chunks_mut(chunk).zip(velocity.parts_mut().1.chunks_mut(chunk).map(Some)).collect(),
    };
    for_each_with(threads, workspaces, items, |scratch, (blocks, velocity)| {
        dispatch(isa, Replicate { net, scratch, rule, blocks, velocity });
    });
}

per_block!(Replicate, rule: &'a SelfReplication, blocks: &'b mut [Lanes], velocity: Option<&'b mut [Lanes]> => |s, this| {
    let (net, rule, weights) = (this.net, this.rule, this.net.weights());
    let (own, scratch) = this.scratch.split_at_mut(GROUP * weights);
    let group = GROUP * weights;
    // A single step from rest needs no momentum.
    let restless = rule.momentum != 0.0 && rule.steps > 1;
    let mut velocity = this.velocity.map(|velocity| velocity.chunks_mut(group));
    for blocks in this.blocks.chunks_mut(group) {
        let velocity = match &mut velocity {
            Some(velocity) => velocity.next(),
            None if restless => {
                own[..blocks.len()].fill([0.0; LANES]);
                Some(&mut own[..blocks.len()])
            }
            None => None,
        };
        match velocity {
            None => {
                for _ in 0..rule.steps {
                    for w in blocks.chunks_exact_mut(weights) {
                        if net.is_collapsed() {
                            collapsed::replicate(s, net, w, None, rule, scratch);
                        } else {
                            direct::replicate(s, net, w, None, rule, scratch);
                        }
                    }
                }
            }
            Some(velocity) => {
                for _ in 0..rule.steps {
                    for (w, velocity) in blocks.chunks_exact_mut(weights).zip(velocity.chunks_exact_mut(weights)) {
                        if net.is_collapsed() {
                            collapsed::replicate(s, net, w, Some(velocity), rule, scratch);
                        } else {
                            direct::replicate(s, net, w, Some(velocity), rule, scratch);
                        }
                    }
                }
            }
        }
    }
});

/// `out[p] = c` with `N(0, 0, 0, 0, x) = c x`: the weight that a linear particle stands for.
///
/// Cost: some P multiply-adds a particle, one read of its weights. Error: `g` (see the [module](self)) times the same product of absolute values.
/// **NaN and infinity** stay inside their particle. What out
/// held is not read.
///
/// ```
/// use neuropil::kernels::particle::{Activation, Net, Particles, effective_weights};
/// use neuropil::{Context, Matrix};
/// let net = Net::new(&[1], Activation::Linear)?; // five weights to a hidden unit, one from it
/// let rows = Matrix::from_slice(&[0.0, 0.0, 0.0, 0.0, 0.5, 3.0], 1, 6)?;
/// let mut c = [0.0];
/// effective_weights(&mut Context::new()?, &Particles::from_rows(&net, rows.view())?, &mut c);
/// assert_eq!(c, [1.5]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If out has not one value a particle, or the particles are not linear: then there is no such number.
#[track_caller]
pub fn effective_weights(context: &mut Context, particles: &Particles, out: &mut [f32]) {
    let net = particles.net();
    assert!(net.activation() == Activation::Linear, "effective_weights: particles with {:?}", net.activation());
    assert!(out.len() == particles.len(), "effective_weights: {} values for {} particles", out.len(), particles.len());
    let isa = context.isa();
    let threads = threads_for(context, particles, 1);
    let items = particles.lanes().chunks(ITEM * net.weights()).zip(out.chunks_mut(ITEM * LANES));
    for_each_with(threads, workspaces(context, threads, net, 0), items, |scratch, (blocks, out)| {
        dispatch(isa, Effective { net, scratch, blocks, out });
    });
}

per_block!(Effective, blocks: &'a [Lanes], out: &'b mut [f32] => |s, this| {
    for (w, out) in this.blocks.chunks_exact(this.net.weights()).zip(this.out.chunks_mut(LANES)) {
        let c = collapsed::row(s, this.net, w, this.scratch)[ROW - 1];
        match out.first_chunk_mut() {
            Some(out) => s.store(c, out),
            None => s.store_partial(c, out),
        }
    }
});

/// A gradient step with momentum from `gradient[p] = dE/dc` of every particle: the chain through `c = W_L ... W_1[:, 4]`.
///
/// `velocity` takes part as in [`self_replicate`]; with a momentum of zero it holds the gradient afterwards.
///
/// Cost: some 5 P multiply-adds a particle; weights and velocity are each read and written once. Error: that of a step of
/// [`self_replicate`], with the gradient `|dE/dc| dc/dw` of absolute values.
/// **NaN and infinity** stay inside their particle, those of `gradient` too.
///
/// ```
/// use neuropil::kernels::particle::{Activation, Net, Particles, effective_weight_step};
/// use neuropil::{Context, Matrix};
/// let net = Net::new(&[1], Activation::Linear)?;
/// let rows = Matrix::from_slice(&[0.0, 0.0, 0.0, 0.0, 0.5, 3.0], 1, 6)?; // c = 3 * 0.5
/// let mut particles = Particles::from_rows(&net, rows.view())?;
/// let mut velocity = Particles::zeros(&net, 1);
/// effective_weight_step(&mut Context::new()?, &mut particles, &mut velocity, &[1.0], 0.125, 0.0);
/// assert_eq!(particles.to_rows().row(0), &[0.0, 0.0, 0.0, 0.0, 0.125, 2.9375]); // 0.5 - 3/8 and 3 - 0.5/8
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the particles are not linear, a length or net disagrees, or rate or momentum is not finite.
#[track_caller]
pub fn effective_weight_step(
    context: &mut Context,
    particles: &mut Particles,
    velocity: &mut Particles,
    gradient: &[f32],
    rate: f32,
    momentum: f32,
) {
    particles.agree("effective_weight_step", velocity);
    finite("effective_weight_step", "rate", rate);
    finite("effective_weight_step", "momentum", momentum);
    let activation = particles.net().activation();
    assert!(activation == Activation::Linear, "effective_weight_step: particles with {activation:?}");
    assert!(
        gradient.len() == particles.len(),
        "effective_weight_step: {} gradients for {} particles",
        gradient.len(),
        particles.len()
    );
    let isa = context.isa();
    let threads = threads_for(context, particles, 1);
    let (net, lanes) = particles.parts_mut();
    let chunk = ITEM * net.weights();
    let items =
        lanes.chunks_mut(chunk).zip(velocity.parts_mut().1.chunks_mut(chunk)).zip(gradient.chunks(ITEM * LANES));
    let rule = SelfReplication { rate, momentum, steps: 1 };
    for_each_with(threads, workspaces(context, threads, net, 0), items, |scratch, ((blocks, velocity), gradient)| {
        dispatch(isa, EffectiveStep { net, scratch, rule, blocks, velocity, gradient });
    });
}

per_block!(EffectiveStep, rule: SelfReplication, blocks: &'b mut [Lanes], velocity: &'b mut [Lanes], gradient: &'a [f32] => |s, this| {
    let weights = this.net.weights();
    let blocks = this.blocks.chunks_exact_mut(weights).zip(this.velocity.chunks_exact_mut(weights));
    for ((w, velocity), gradient) in blocks.zip(this.gradient.chunks(LANES)) {
        collapsed::effective_step(s, this.net, w, velocity, s.load_partial(gradient), &this.rule, this.scratch);
    }
});

#[cfg(test)]
mod tests;
