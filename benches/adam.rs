//! A step of Adam over the weights of a hidden layer, 784 x 2000.

mod common {
    pub(crate) mod answers;
    pub(crate) mod beside;
    pub(crate) mod contexts;
    pub(crate) mod groups;
    pub(crate) mod inputs;
}

use common::{beside::Beside, groups::group, inputs::uniform};
use criterion::{Criterion, Throughput};
use neuropil::kernels::adam::{Adam, Step, reference};

const WEIGHTS: usize = 784 * 2000;

/// The loop as it is written, moments and all, for the first step.
fn plain(rate: f32, gradient: &[f32], [first, second]: [&mut [f32]; 2], weights: &mut [f32]) {
    let moments = first.iter_mut().zip(second);
    for ((w, g), (m, v)) in weights.iter_mut().zip(gradient).zip(moments) {
        *m += 0.1 * (g - *m);
        *v += 0.001 * (g * g - *v);
        *w -= rate * (*m / 0.1) / ((*v / 0.001).sqrt() + 1e-8);
    }
}

fn main() {
    let mut c = Criterion::default().configure_from_args();
    let mut group = group(&mut c, "adam");
    // Read: weight, gradient, moments; written: all but the gradient.
    group.throughput(Throughput::Bytes(28 * WEIGHTS as u64));
    let (start, gradient) = (uniform(1, WEIGHTS, -1.0, 1.0, "w"), uniform(1, WEIGHTS, 0.1, 1.0, "g"));
    let step = Step { rate: 0.01, ..Step::default() };
    let zeros = vec![0.0; WEIGHTS];
    Beside::reference(&mut group, "", "reference", 1e-5, || {
        let pairs = start.as_slice().iter().zip(gradient.as_slice());
        pairs.map(|(&w, &g)| reference::update(&step, g.into(), [w.into(), 0.0, 0.0])[0]).collect()
    })
    .timed("plain loop", &(start.clone(), [zeros.clone(), zeros]), |(w, [first, second])| {
        plain(0.01, gradient.as_slice(), [first, second], w.as_mut_slice());
    })
    .ours(WEIGHTS, &(start.clone(), Adam::new(WEIGHTS)), |context, (w, adam)| {
        adam.update(context, &step, gradient.as_slice(), w.as_mut_slice());
    });
    group.finish();
    c.final_summary();
}
