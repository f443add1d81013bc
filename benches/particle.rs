//! Particles 5-3-3-1: outputs, self-application, self-replication, beside the same as plain loops, at three sizes; the organism's
//! task step; growth with particles and threads.

mod common {
    pub(crate) mod answers;
    pub(crate) mod contexts;
    pub(crate) mod groups;
    pub(crate) mod inputs;
}

use common::{answers::assert_close, contexts::contexts, groups::group, inputs::uniform};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use neuropil::kernels::loss::softmax_cross_entropy;
use neuropil::kernels::particle::{self, Activation, Net, Particles, SelfReplication};
use neuropil::random::Stream;
use neuropil::systems::organism::{Descent, Organism, Workspace};
use neuropil::{Isa, Matrix};

/// Within L1 and L2, within L3, beyond.
const SIZES: [usize; 3] = [1125, 20_000, 1_000_000];
/// So small that weights stay what they are over any number of steps.
const RULE: SelfReplication = SelfReplication { rate: 1e-6, momentum: 0.0, steps: 1 };

fn net() -> Net {
    Net::new(&[3, 3], Activation::Linear).expect("a small net")
}

/// The definition by loops over [weight][particle], which the compiler vectorises along the particles.
fn plain_step(net: &Net, w: &mut Matrix) {
    let (weights, count) = (w.rows(), w.cols());
    let place: Vec<[f32; 3]> = (0..weights).map(|weight| net.position(weight)).collect();
    const BLOCK: usize = 16;
    let mut gradient = vec![[0.0f32; BLOCK]; weights];
    for start in (0..count - count % BLOCK).step_by(BLOCK) {
        gradient.fill([0.0; BLOCK]);
        let at = |weight: usize, lane: usize| w[(weight, start + lane)];
        for i in 0..weights {
            for lane in 0..BLOCK {
                let x = [at(i, lane), place[i][0], place[i][1], place[i][2]];
                let (mut h, mut g) = ([0.0f32; 3], [0.0f32; 3]);
                for j in 0..3 {
                    h[j] = (0..4).map(|k| at(j * 5 + k, lane) * x[k]).sum();
                }
                for j in 0..3 {
                    g[j] = (0..3).map(|k| at(15 + j * 3 + k, lane) * h[k]).sum();
                }
                let out: f32 = (0..3).map(|j| at(24 + j, lane) * g[j]).sum();
                let error = 2.0 / weights as f32 * (out - x[0]);
                let mut dh = [0.0f32; 3];
                for j in 0..3 {
                    gradient[24 + j][lane] += error * g[j];
                    for k in 0..3 {
                        gradient[15 + j * 3 + k][lane] += error * at(24 + j, lane) * h[k];
                        dh[k] += error * at(24 + j, lane) * at(15 + j * 3 + k, lane);
                    }
                }
                for j in 0..3 {
                    for k in 0..4 {
                        gradient[j * 5 + k][lane] += dh[j] * x[k];
                    }
                }
            }
        }
        for i in 0..weights {
            for lane in 0..BLOCK {
                w[(i, start + lane)] -= RULE.rate * gradient[i][lane];
            }
        }
    }
}

fn self_replication(criterion: &mut Criterion) {
    let net = net();
    for count in SIZES {
        let mut group = group(criterion, &format!("self-replication, {count} particles"));
        group.throughput(Throughput::Bytes((2 * count * net.weights() * size_of::<f32>()) as u64));
        let start = Particles::xavier(&net, count, Stream::new(0, "w"));
        let mut want = start.to_rows().transposed();
        plain_step(&net, &mut want);
        let whole = count - count % 16;
        if count < 1_000_000 {
            let mut w = want.clone();
            group.bench_function("plain loop", |bencher| bencher.iter(|| plain_step(&net, &mut w)));
        }
        let mut copy = vec![0.0f32; count * net.weights()];
        let from = copy.clone();
        group.bench_function("copy of the weights", |bencher| bencher.iter(|| copy.copy_from_slice(&from)));
        for (name, mut context) in contexts().into_iter().filter(|(_, context)| context.isa() != Isa::Scalar) {
            let mut particles = start.clone();
            particle::self_replicate(&mut context, &mut particles, None, &RULE);
            let got = particles.to_rows();
            for p in (0..whole).step_by(997) {
                let want: Vec<f32> = (0..net.weights()).map(|i| want[(i, p)]).collect();
                assert_close(&name, got.row(p), &want, 1e-5);
            }
            group.bench_function(format!("ours, {name}"), |bencher| {
                bencher.iter(|| particle::self_replicate(&mut context, &mut particles, None, &RULE));
            });
        }
    }
}

fn growth(criterion: &mut Criterion) {
    // 25 steps a call, weights in L1 all the while.
    let rule = SelfReplication { momentum: 0.9, steps: 25, ..RULE };
    for count in [16, 256, 4096, 65_536] {
        let mut group = group(criterion, &format!("25 steps with momentum, {count} particles"));
        group.throughput(Throughput::Elements((rule.steps * count) as u64));
        for (name, mut context) in contexts().into_iter().filter(|(_, context)| context.isa() == Isa::best()) {
            for hidden in [[3, 3], [5, 5], [4, 4]] {
                let net = Net::new(&hidden, Activation::Linear).expect("a small net");
                let mut particles = Particles::xavier(&net, count, Stream::new(0, "w"));
                group.bench_function(format!("5-{0}-{0}-1, {name}", hidden[0]), |bencher| {
                    bencher.iter(|| particle::self_replicate(&mut context, &mut particles, None, &rule));
                });
            }
        }
    }
}

fn others(criterion: &mut Criterion) {
    let net = net();
    for count in SIZES {
        let mut group = group(criterion, &format!("particles, {count}"));
        for (name, mut context) in contexts().into_iter().filter(|(_, context)| context.isa() == Isa::best()) {
            let mut particles = Particles::xavier(&net, count, Stream::new(0, "w"));
            let x = uniform(4, 5, -1.0, 1.0, "x");
            let mut out = Matrix::zeros(4, count);
            group.bench_function(format!("forward of 4 samples, {name}"), |bencher| {
                bencher.iter(|| particle::forward(&mut context, &particles, x.view(), out.view_mut()));
            });
            let each = uniform(5, count, -1.0, 1.0, "x");
            let mut own = Matrix::zeros(1, count);
            group.bench_function(format!("forward, inputs of each, {name}"), |bencher| {
                bencher.iter(|| particle::forward_each(&mut context, &particles, each.view(), own.view_mut()));
            });
            let mut c = vec![0.0; count];
            group.bench_function(format!("effective weights, {name}"), |bencher| {
                bencher.iter(|| particle::effective_weights(&mut context, &particles, &mut c));
            });
            group.bench_function(format!("examine, {name}"), |bencher| {
                bencher.iter(|| particle::examine(&mut context, &particles));
            });
            group.bench_function(format!("self-application, {name}"), |bencher| {
                bencher.iter(|| particle::self_apply(&mut context, &mut particles));
            });
        }
    }
}

fn task_step(criterion: &mut Criterion) {
    let mut group = group(criterion, "organism task step, 225-5-5-10, batch 2000");
    let net = Net::new(&[5, 5], Activation::Linear).expect("a small net");
    let x = uniform(2000, 225, 0.0, 1.0, "x");
    let labels: Vec<u8> = (0..2000).map(|at| (at % 10) as u8).collect();
    for (name, mut context) in contexts().into_iter().filter(|(_, context)| context.isa() != Isa::Scalar) {
        let mut organism = Organism::new(&net, &[225, 5, 5, 10], true, Stream::new(0, "w")).expect("an organism");
        let (mut workspace, descent) = (Workspace::default(), Descent { rate: 1e-6, momentum: 0.9 });
        group.bench_function(format!("ours, {name}"), |bencher| {
            bencher.iter(|| {
                organism.step(&mut context, &mut workspace, x.view(), descent, |context, out, gradient| {
                    softmax_cross_entropy(context, out, &labels, None, Some(gradient))
                })
            });
        });
    }
}

criterion_group!(benches, self_replication, growth, others, task_step);
criterion_main!(benches);
