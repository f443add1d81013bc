//! How long self-replicators stay what they are when they are applied to themselves (figures 4 and 7 of the paper).

use crate::context::Context;
use crate::kernels::particle::{Class, Particles, examine, self_apply};
use crate::kernels::perturb::gaussian;
use crate::random::Stream;

/// What became of the self-replicators at one level of noise, in steps of self-application, at most `limit` each.
#[derive(Clone, Debug, PartialEq)]
pub struct Robustness {
    /// Standard deviation of the noise on every weight.
    pub noise: f64,
    /// Steps each stayed a fixpoint; the one that was none after the noise has 0.
    pub fixpoint: Vec<u32>,
    /// Steps until each diverged; the limit if it did not.
    pub diverged: Vec<u32>,
}

/// Standard deviations of the noise.
const NOISE: [f64; 10] = [1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9];

/// Adds noise of `10^0 ... 10^-9` to the self-replicators among these particles and applies them to themselves `limit` times.
pub fn robustness(
    context: &mut Context,
    particles: &Particles,
    epsilon: f32,
    limit: u32,
    stream: Stream,
) -> Vec<Robustness> {
    let rows = particles.to_rows();
    let chosen: Vec<usize> = examine(context, particles)
        .iter()
        .enumerate()
        .filter(|(_, seen)| seen.class(epsilon) == Class::SelfReplicating)
        .map(|(particle, _)| particle)
        .collect();
    let mut noise = vec![0.0; particles.net().weights()];
    let mut levels = Vec::new();
    for (level, sigma) in NOISE.into_iter().enumerate() {
        let mut noisy = Particles::zeros(particles.net(), chosen.len());
        for (at, &particle) in chosen.iter().enumerate() {
            let stream = stream.item(level as u64).item(particle as u64);
            gaussian(context, stream, sigma as f32, &mut noise);
            noise.iter_mut().zip(rows.row(particle)).for_each(|(noise, weight)| *noise += weight);
            noisy.set(at, &noise);
        }
        let mut found =
            Robustness { noise: sigma, fixpoint: vec![limit; chosen.len()], diverged: vec![limit; chosen.len()] };
        for step in 0..limit {
            let seen = examine(context, &noisy);
            for (at, seen) in seen.iter().enumerate() {
                let class = seen.class(epsilon);
                if class != Class::SelfReplicating {
                    found.fixpoint[at] = found.fixpoint[at].min(step);
                }
                if class == Class::Divergent {
                    found.diverged[at] = found.diverged[at].min(step);
                }
            }
            self_apply(context, &mut noisy);
        }
        levels.push(found);
    }
    levels
}
