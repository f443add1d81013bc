//! The one weight of a larger network that a linear particle stands for.

use super::{
    Activation, ITEM, Lanes, Net, Particles, ROW, SelfReplication, collapsed, per_block, threads_for, workspaces,
};
use crate::context::Context;
use crate::kernels::finite;
use crate::parallel::for_each_with;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// `out[p] = c` with `N(0, 0, 0, 0, x) = c x`: the weight that a linear particle stands for.
///
/// Cost: some P multiply-adds a particle, one read of its weights. Error: `g` (see the [module](super)) times the same product of absolute values.
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
    let threads = threads_for(context, particles, net.weights());
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
/// `velocity` takes part as in [`self_replicate`](super::self_replicate); with a momentum of zero it holds the gradient afterwards.
///
/// Cost: some 5 P multiply-adds a particle; weights and velocity are each read and written once. Error: that of a step of
/// [`self_replicate`](super::self_replicate), with the gradient `|dE/dc| dc/dw` of absolute values.
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
    let threads = threads_for(context, particles, particles.net().weights());
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
