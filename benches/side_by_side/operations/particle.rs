//! Particles: self-replication, and the task step of an organism of them.

use std::hint::black_box;

use neuropil::kernels::dense::{Write, matmul, matmul_nt, matmul_tn};
use neuropil::kernels::particle::{self, Activation, Net, Particles, SelfReplication};
use neuropil::kernels::{activation, loss};
use neuropil::random::Stream;
use neuropil::{Context, MatMut, MatRef, Matrix};

use super::{Prepared, timed};
use crate::inputs::Inputs;

fn particles(inputs: &Inputs, net: &Net, count: usize) -> Particles {
    match inputs.values("w") {
        Some(rows) => {
            let rows = Matrix::from_slice(&rows, count, net.weights()).expect("the particles' weights");
            Particles::from_rows(net, rows.view()).expect("the net's weights")
        }
        None => Particles::xavier(net, count, Stream::new(0, "w")),
    }
}

fn rows(particles: &Particles) -> Vec<f32> {
    particles.to_rows().as_slice().to_vec()
}

/// The rate in millionths. By default one that changes next to nothing: repeated steps would lead to a fixpoint of zeros.
fn rate(inputs: &Inputs) -> f32 {
    inputs.get("rate", 1) as f32 * 1e-6
}

/// Steps of self-replication of every particle 5-cell-cell-1.
pub fn replicate(inputs: &Inputs, mut context: Context) -> Prepared {
    let cell = inputs.get("cell", 3);
    let net = Net::new(&[cell, cell], Activation::Linear).expect("a small net");
    let particles = particles(inputs, &net, inputs.get("particles", 1125));
    let rule = SelfReplication { rate: rate(inputs), momentum: 0.0, steps: inputs.get("steps", 1) };
    timed(particles, rows, move |particles| particle::self_replicate(&mut context, particles, None, &rule))
}

/// The task step of an organism 225-5-5-10 of particles 5-5-5-1: forward, backward, update of all particles.
pub fn organism(inputs: &Inputs, mut context: Context) -> Prepared {
    let (batch, widths) = (inputs.get("batch", 2000), [225, 5, 5, 10]);
    // The gradient is of the sum over the batch.
    let rate = rate(inputs) / batch as f32;
    let net = Net::new(&[5, 5], Activation::Linear).expect("a small net");
    let ranges = [0..1125, 1125..1150, 1150..1200];
    let mut velocity = Particles::zeros(&net, 1200);
    let (x, labels) = (inputs.uniform("x", batch, 225, 0.0, 1.0), inputs.labels(batch));
    let layer = |l: usize| Matrix::zeros(batch, widths[l + 1]);
    let (mut sums, mut values, mut errors) = ([0, 1, 2].map(layer), [0, 1, 2].map(layer), [0, 1, 2].map(layer));
    let (mut c, mut gradient) = (vec![0.0; 1200], vec![0.0; 1200]);
    timed(particles(inputs, &net, 1200), rows, move |particles| {
        particle::effective_weights(&mut context, particles, &mut c);
        let w = |l: usize| MatRef::new(&c[ranges[l].clone()], widths[l], widths[l + 1]).expect("a layer");
        for l in 0..3 {
            let (below, above) = values.split_at_mut(l);
            let input = below.last().map_or(x.view(), Matrix::view);
            matmul(&mut context, input, w(l), sums[l].view_mut(), Write::Replace);
            above[0].view_mut().copy_from(sums[l].view());
            if l < 2 {
                activation::gelu(&mut context, above[0].view_mut());
            }
        }
        let (out, error) = (values[2].view(), errors[2].view_mut());
        black_box(loss::softmax_cross_entropy(&mut context, out, &labels, None, Some(error)));
        for l in (0..3).rev() {
            let input = if l == 0 { x.view() } else { values[l - 1].view() };
            let (below, above) = errors.split_at_mut(l);
            let to = MatMut::new(&mut gradient[ranges[l].clone()], widths[l], widths[l + 1]).expect("a layer");
            matmul_tn(&mut context, input, above[0].view(), to, Write::Replace);
            if let Some(below) = below.last_mut() {
                matmul_nt(&mut context, above[0].view(), w(l), below.view_mut(), Write::Replace);
                activation::gelu_gradient(&mut context, sums[l - 1].view(), below.view_mut());
            }
        }
        particle::effective_weight_step(&mut context, particles, &mut velocity, &gradient, rate, 0.9);
    })
}
