//! Particles that become what they answer when asked for their own weights, at once or step by step.

use super::{ITEM, Lanes, Net, Particles, collapsed, direct, per_block, threads_for, workspaces};
use crate::context::Context;
use crate::kernels::finite;
use crate::parallel::for_each_with;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Blocks that take their steps in turn, so that the waits of one are filled by the others; their weights stay in L1.
const GROUP: usize = 4;

/// Gradient descent with momentum (`m = momentum m + gradient; w -= rate m`) on a particle's own reproduction.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "systems", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct SelfReplication {
    /// The learning rate: a finite number.
    pub rate: f32,
    /// The momentum: 0 for none, a finite number.
    pub momentum: f32,
    /// How many steps.
    pub steps: usize,
}

/// Replaces every particle's weights by what it outputs when asked for them: `w_i = N(x_i)`, all from the weights before the call.
///
/// Cost: about 3 P multiply-adds a particle if linear, P^2 otherwise; one read and one write of the weights. Error: `g` (see the
/// [module](super)) times the same of absolute values.
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
    let threads = threads_for(context, particles, particles.net().answers());
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

/// Gradient steps of every particle towards reproducing itself.
///
/// The loss is `(1/P) sum_i (N(x_i) - w_i)^2` with inputs x and targets w taken as constants, anew for every step. The momentum
/// starts at zero with the call if `velocity` is `None` (the authors make a new optimiser each time), and is read and left there
/// otherwise.
///
/// Cost of a step: some 7 P multiply-adds a particle if linear, `3 P^2` otherwise. A call reads and writes the
/// weights once, whatever the number of steps. Error of a step: `g` (see the [module](super)) times `|w| + rate m`, where m is
/// `momentum |m|` and the gradient computed from absolute values; of the momentum `g m`.
///
/// ```
/// use neuropil::Context;
/// use neuropil::kernels::particle::{Activation, Net, Particles, SelfReplication, self_apply, self_replicate};
/// use neuropil::random::Stream;
/// let mut context = Context::new()?;
/// let mut particles = Particles::xavier(&Net::new(&[3, 3], Activation::Linear)?, 100, Stream::new(7, "particles"));
/// // How far weights are from what their particles say of them.
/// let miss = |particles: &Particles| {
///     let mut said = particles.clone();
///     self_apply(&mut Context::new().unwrap(), &mut said);
///     said.as_slice().iter().zip(particles.as_slice()).map(|(a, b)| (a - b).powi(2)).sum::<f32>()
/// };
/// let before = miss(&particles);
/// self_replicate(&mut context, &mut particles, None, &SelfReplication { rate: 0.004, momentum: 0.9, steps: 500 });
/// assert!(miss(&particles) < 0.1 * before);
/// # Ok::<(), neuropil::Error>(())
/// ```
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
    let threads = threads_for(context, particles, particles.net().answers().saturating_mul(rule.steps));
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
