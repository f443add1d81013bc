//! A step of Adam over the weights of a hidden layer, 784 x 2000.

mod common {
    pub(crate) mod answers;
    pub(crate) mod contexts;
    pub(crate) mod groups;
    pub(crate) mod inputs;
}

use common::{answers::assert_close, contexts::contexts, groups::group, inputs::uniform};
use criterion::{Criterion, Throughput};
use neuropil::kernels::adam::{Adam, Step};

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
    // The first step goes by the rate, whatever the gradient's size, where eps is nothing beside it.
    let exact: Vec<f32> = start.as_slice().iter().map(|w| w - 0.01).collect();
    let (mut w, mut first, mut second) = (start.clone(), vec![0.0; WEIGHTS], vec![0.0; WEIGHTS]);
    plain(0.01, gradient.as_slice(), [&mut first, &mut second], w.as_mut_slice());
    assert_close("plain", w.as_slice(), &exact, 1e-5);
    group.bench_function("plain", |b| {
        b.iter(|| plain(0.01, gradient.as_slice(), [&mut first, &mut second], w.as_mut_slice()));
    });
    for (name, mut context) in contexts() {
        let (mut w, mut adam) = (start.clone(), Adam::new(WEIGHTS));
        adam.update(&mut context, &step, gradient.as_slice(), w.as_mut_slice());
        assert_close(&name, w.as_slice(), &exact, 1e-5);
        group.bench_function(&name, |b| {
            b.iter(|| adam.update(&mut context, &step, gradient.as_slice(), w.as_mut_slice()));
        });
    }
    group.finish();
    c.final_summary();
}
