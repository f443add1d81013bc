//! An epoch of the hierarchy's base learning on ten batches of 128 digits, by topology and number of units: time for each batch, as
//! throughput in images. Without scalar code, which takes tens of seconds, and without a reference or a plain loop: its kernels have theirs.

mod common {
    pub(crate) mod contexts;
    pub(crate) mod groups;
}

use common::{contexts::contexts, groups::group};

use std::ops::ControlFlow;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use neuropil::datasets::{self, Dataset};
use neuropil::systems::Learner;
use neuropil::systems::hierarchy::{Base, Config, Network, ReadOut, Topology};
use neuropil::{Context, Isa};

const IMAGES: u32 = 1280;

fn config(topology: Topology, units: usize) -> Config {
    let base = Base { epochs: 1, ..Base::default() };
    let read_out = ReadOut { epochs: 0, ..ReadOut::default() };
    Config { topology, units, validation: 0.0, base, read_out, ..Config::default() }
}

/// The topologies: all fields on the image, in a pyramid, half of them on latents, and random ones of more units.
fn configs() -> Vec<(String, Config)> {
    use neuropil::systems::hierarchy::Named::{A1, A3, Ar1, Random};
    [(A1, 3), (A3, 3), (Ar1, 3), (Random, 5), (Random, 7)]
        .into_iter()
        .map(|(named, units)| (format!("{} K={units}", named.name()), config(Topology::Named(named), units)))
        .collect()
}

fn train(network: &mut Network, context: &mut Context, data: &Dataset) -> f64 {
    let mut last = f64::NAN;
    let flow = network.train(context, data, None, &mut |progress| {
        last = progress.loss.unwrap_or(last);
        ControlFlow::Continue(())
    });
    assert!(flow.expect("digits fit").is_continue());
    last
}

fn base_learning(criterion: &mut Criterion) {
    let few: Vec<u32> = (0..IMAGES).collect();
    let data = datasets::embedded().train.subset(&few).expect("images that exist");
    let mut group = group(criterion, "hierarchy, base learning, batch 128");
    group.throughput(Throughput::Elements(IMAGES.into()));
    for (name, config) in configs() {
        let start = Network::new(config, data.pixels(), data.classes()).expect("a valid configuration");
        // Every set and two threads lead to the state that one thread of the best set leads to.
        let mut want = start.clone();
        let loss = train(&mut want, &mut Context::on(Isa::best()).expect("the best set"), &data);
        assert!(loss < 0.15, "{name}: a loss of {loss}");
        // Scalar code and portable vectors take seconds.
        let slow = |isa| matches!(isa, Isa::Scalar | Isa::Portable) && isa != Isa::best();
        for (set, mut context) in contexts().into_iter().filter(|(_, context)| !slow(context.isa())) {
            let mut got = start.clone();
            train(&mut got, &mut context, &data);
            assert!(got == want, "{name}, {set}: another state");
            group.bench_function(format!("{name}, {set}"), |bencher| {
                bencher.iter_batched_ref(
                    || start.clone(),
                    |network| train(network, &mut context, &data),
                    BatchSize::LargeInput,
                );
            });
        }
    }
}

criterion_group!(benches, base_learning);
criterion_main!(benches);
