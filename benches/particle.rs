//! Particles 5-3-3-1: outputs, self-application, self-replication, beside the same as plain loops, at three sizes; the organism's
//! task step; growth with particles and threads.

mod common {
    pub(crate) mod answers;
    pub(crate) mod beside;
    pub(crate) mod contexts;
    pub(crate) mod groups;
    pub(crate) mod inputs;
}

use common::beside::{Answer, Beside};
use common::{contexts::contexts, groups::group, inputs::uniform};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use neuropil::kernels::loss::{self, softmax_cross_entropy};
use neuropil::kernels::particle::{self, Activation, Examined, Net, Particles, SelfReplication, reference};
use neuropil::random::Stream;
use neuropil::systems::organism::{Descent, Organism, Workspace};
use neuropil::{Isa, MatRef, Matrix};

/// What would take seconds is left out.
trait Bearable {
    fn timed_if<A: Answer>(self, bearable: bool, label: &str, start: &A, run: impl FnMut(&mut A)) -> Self;
}

impl Bearable for Beside<'_, '_> {
    fn timed_if<A: Answer>(self, bearable: bool, label: &str, start: &A, run: impl FnMut(&mut A)) -> Self {
        if bearable { self.timed(label, start, run) } else { self }
    }
}

/// Within L1 and L2, within L3, beyond.
const SIZES: [usize; 3] = [1125, 20_000, 1_000_000];
/// So many take plain loops seconds; scalar code too.
const MANY: usize = SIZES[2];
/// So small that weights stay what they are over any number of steps.
const RATE: f32 = 1e-6;
/// That of the first step, which is compared, is large: what a step leaves out would show.
const COMPARED: f32 = 0.1;

const fn rule(rate: f32) -> SelfReplication {
    SelfReplication { rate, momentum: 0.0, steps: 1 }
}

fn net() -> Net {
    Net::new(&[3, 3], Activation::Linear).expect("a small net")
}

fn particles(count: usize) -> Particles {
    Particles::xavier(&net(), count, Stream::new(0, "w"))
}

/// Some eight multiply-adds a weight, as outputs for all weights take.
fn work(count: usize) -> usize {
    8 * 27 * count
}

/// Particles that are compared: some thousand, at all lanes.
fn seen(count: usize) -> impl Iterator<Item = usize> {
    (0..count).step_by((count / 1125) | 1)
}

impl Answer for Particles {
    fn values(&self) -> Vec<f32> {
        seen(self.len()).flat_map(|p| (0..self.net().weights()).map(move |i| self.weight(p, i))).collect()
    }
}

#[derive(Clone)]
struct Found(Vec<Examined>);

impl Answer for Found {
    fn values(&self) -> Vec<f32> {
        seen(self.0.len()).flat_map(|p| [self.0[p].loss, self.0[p].deviation]).collect()
    }
}

/// What the reference goes through.
fn few(count: usize) -> String {
    format!("reference, particles: {}", seen(count).count())
}

/// A number or some of each particle, [number][particle], which the compiler vectorises along the particles.
#[derive(Clone)]
struct Lanes {
    values: Matrix,
    particles: usize,
}

/// Particles a loop is at, and the weights of them.
const BLOCK: usize = 16;
type Block = [[f32; BLOCK]; 27];

impl Lanes {
    fn zeros(numbers: usize, particles: usize) -> Self {
        Lanes { values: Matrix::zeros(numbers, particles.next_multiple_of(BLOCK)), particles }
    }

    /// As ours answers, without a gap behind the last particle.
    fn dense(numbers: usize, particles: usize) -> Self {
        Lanes { values: Matrix::zeros(numbers, particles), particles }
    }

    fn of(particles: &Particles) -> Self {
        let weights = particles.net().weights();
        let mut lanes = Lanes::zeros(weights, particles.len());
        for i in 0..weights {
            let row = lanes.values.row_mut(i)[..particles.len()].iter_mut().enumerate();
            row.for_each(|(p, value)| *value = particles.weight(p, i));
        }
        lanes
    }

    fn block(&self, start: usize) -> Block {
        std::array::from_fn(|i| self.values.row(i)[start..start + BLOCK].try_into().expect("a block"))
    }

    /// The first particle of every block.
    fn blocks(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.values.cols()).step_by(BLOCK)
    }
}

impl Answer for Lanes {
    fn values(&self) -> Vec<f32> {
        seen(self.particles).flat_map(|p| (0..self.values.rows()).map(move |i| self.values[(i, p)])).collect()
    }
}

/// Activities of both hidden layers, and the output, of the particle whose weights these are.
#[inline(always)]
fn pass(w: &Block, lane: usize, x: [f32; 5]) -> ([f32; 3], [f32; 3], f32) {
    let (mut h, mut g, mut out) = ([0.0f32; 3], [0.0f32; 3], 0.0);
    for j in 0..3 {
        (0..5).for_each(|k| h[j] += w[j * 5 + k][lane] * x[k]);
    }
    for j in 0..3 {
        (0..3).for_each(|k| g[j] += w[15 + j * 3 + k][lane] * h[k]);
        out += w[24 + j][lane] * g[j];
    }
    (h, g, out)
}

/// Adds `scale` times the output's derivatives by the weights to those of a lane.
#[inline(always)]
fn add_slopes(w: &Block, lane: usize, x: [f32; 5], scale: f32, slopes: &mut Block) {
    let (h, g, _) = pass(w, lane, x);
    let mut below = [0.0f32; 3];
    for j in 0..3 {
        slopes[24 + j][lane] += scale * g[j];
        for k in 0..3 {
            slopes[15 + j * 3 + k][lane] += scale * w[24 + j][lane] * h[k];
            below[k] += scale * w[24 + j][lane] * w[15 + j * 3 + k][lane];
        }
    }
    for j in 0..3 {
        (0..5).for_each(|k| slopes[j * 5 + k][lane] += below[j] * x[k]);
    }
}

/// The places of the weights, behind a gap for their values.
fn places(net: &Net) -> Vec<[f32; 5]> {
    (0..net.weights()).map(|i| net.position(i)).map(|[layer, cell, index]| [0.0, layer, cell, index, 0.0]).collect()
}

fn plain_step(places: &[[f32; 5]], particles: &mut Lanes, rate: f32) {
    for start in particles.blocks() {
        let (w, mut slopes) = (particles.block(start), [[0.0; BLOCK]; 27]);
        for i in 0..27 {
            for lane in 0..BLOCK {
                let x = [w[i][lane], places[i][1], places[i][2], places[i][3], 0.0];
                let error = 2.0 / 27.0 * (pass(&w, lane, x).2 - x[0]);
                add_slopes(&w, lane, x, error, &mut slopes);
            }
        }
        for i in 0..27 {
            let w = &mut particles.values.row_mut(i)[start..start + BLOCK];
            w.iter_mut().zip(slopes[i]).for_each(|(w, slope)| *w -= rate * slope);
        }
    }
}

/// What a loop makes of each particle: [number][particle].
fn plain<const N: usize>(particles: &Lanes, out: &mut Lanes, make: impl Fn(&Block, usize, usize) -> [f32; N]) {
    for start in particles.blocks() {
        let (w, mut made) = (particles.block(start), [[0.0f32; BLOCK]; N]);
        for lane in 0..BLOCK {
            let values = make(&w, lane, start + lane);
            (0..N).for_each(|at| made[at][lane] = values[at]);
        }
        for (row, made) in made.iter().enumerate() {
            out.values.row_mut(row)[start..start + BLOCK].copy_from_slice(made);
        }
    }
}

/// The reference of one particle after the other.
fn exactly<V: IntoIterator<Item = f64>>(particles: &Particles, make: impl Fn(usize, &[f32]) -> V) -> Vec<f64> {
    exactly_first(usize::MAX, particles, make)
}

/// The same of no more than so many.
fn exactly_first<V: IntoIterator<Item = f64>>(
    most: usize,
    particles: &Particles,
    make: impl Fn(usize, &[f32]) -> V,
) -> Vec<f64> {
    let weights = |p| (0..particles.net().weights()).map(|i| particles.weight(p, i)).collect::<Vec<f32>>();
    seen(particles.len()).take(most).flat_map(|p| make(p, &weights(p))).collect()
}

fn self_replication(criterion: &mut Criterion) {
    let (net, places) = (net(), places(&net()));
    for count in SIZES {
        let mut group = group(criterion, &format!("self-replication, {count} particles"));
        group.throughput(Throughput::Bytes((2 * count * net.weights() * size_of::<f32>()) as u64));
        let (start, few, bearable) = (particles(count), few(count), count < MANY);
        let mut copy = vec![0.0f32; count * net.weights()];
        let from = copy.clone();
        group.bench_function("copy of the weights", |bencher| bencher.iter(|| copy.copy_from_slice(&from)));
        Beside::reference(&mut group, "", &few, 1e-6, || {
            exactly(&start, |_, w| {
                let gradient = reference::replication_gradient(&net, w);
                reference::descend(w, &vec![0.0; w.len()], &gradient, COMPARED, 0.0).0.into_iter().map(|w| w.0)
            })
        })
        .timed_if(bearable, "plain loop", &(Lanes::of(&start), COMPARED), |(lanes, rate)| {
            plain_step(&places, lanes, *rate);
            *rate = RATE;
        })
        .ours(work(count), &(start.clone(), COMPARED), |context, (particles, rate)| {
            particle::self_replicate(context, particles, None, &rule(*rate));
            *rate = RATE;
        });
    }
}

/// Steps of self-replication with momentum, by the reference.
fn replicated(net: &Net, w: &[f32], rule: &SelfReplication) -> Vec<f64> {
    let (mut w, mut velocity) = (w.to_vec(), vec![0.0; w.len()]);
    for _ in 0..rule.steps {
        let gradient = reference::replication_gradient(net, &w);
        let (next, velocities) = reference::descend(&w, &velocity, &gradient, rule.rate, rule.momentum);
        w = next.into_iter().map(|(w, _)| w as f32).collect();
        velocity = velocities.into_iter().map(|(v, _)| v as f32).collect();
    }
    w.into_iter().map(f64::from).collect()
}

/// On the best set only: what is looked at is the number of particles.
fn growth(criterion: &mut Criterion) {
    // 25 steps a call, weights in L1 all the while.
    let rule = |rate| SelfReplication { momentum: 0.9, steps: STEPS, ..rule(rate) };
    const STEPS: usize = 25;
    // So many steps, with momentum, go as far as fewer at a larger rate.
    const COMPARED: f32 = 1e-3;
    // The reference takes a millisecond for each.
    const REPLICATED: usize = 128;
    for count in [16, 256, 4096, 65_536] {
        let mut group = group(criterion, &format!("25 steps with momentum, {count} particles"));
        group.throughput(Throughput::Elements((STEPS * count) as u64));
        for hidden in [[3, 3], [5, 5], [4, 4]] {
            let net = Net::new(&hidden, Activation::Linear).expect("a small net");
            let start = (Particles::xavier(&net, count, Stream::new(0, "w")), COMPARED);
            let name = format!("5-{0}-{0}-1", hidden[0]);
            let mut beside = Beside::untimed(&mut group, &name, 1e-5, || {
                exactly_first(REPLICATED, &start.0, |_, w| replicated(&net, w, &rule(COMPARED)))
            });
            for (name, mut context) in contexts().into_iter().filter(|(_, context)| context.isa() == Isa::best()) {
                beside = beside.timed(&name, &start, |(particles, rate)| {
                    particle::self_replicate(&mut context, particles, None, &rule(*rate));
                    *rate = RATE;
                });
            }
        }
    }
}

fn others(criterion: &mut Criterion) {
    let net = net();
    for count in SIZES {
        let mut group = group(criterion, &format!("particles, {count}"));
        let (start, few, bearable) = (particles(count), few(count), count < MANY);
        let work = work(count);
        let lanes = Lanes::of(&start);
        let asked = places(&net);

        let x = uniform(4, 5, -1.0, 1.0, "x");
        let shared: [[f32; 5]; 4] = std::array::from_fn(|b| std::array::from_fn(|k| x[(b, k)]));
        Beside::reference(&mut group, "forward of 4 samples", &few, 1e-5, || {
            exactly(&start, |_, w| shared.map(|x| reference::output(&net, w, x).0))
        })
        .timed_if(bearable, "plain loop", &Lanes::zeros(4, count), |out| {
            plain(&lanes, out, |w, lane, _| shared.map(|x| pass(w, lane, x).2))
        })
        .ours(4 * work, &Lanes::dense(4, count), |context, out| {
            particle::forward(context, &start, x.view(), out.values.view_mut());
        });

        let own = uniform(5, count, -1.0, 1.0, "x");
        let row = |p: usize| std::array::from_fn(|k| own[(k, p.min(count - 1))]);
        Beside::reference(&mut group, "forward, inputs of each", &few, 1e-5, || {
            exactly(&start, |p, w| [reference::output(&net, w, row(p)).0])
        })
        .timed_if(bearable, "plain loop", &Lanes::zeros(1, count), |out| {
            plain(&lanes, out, |w, lane, p| [pass(w, lane, row(p)).2])
        })
        .ours(work, &Lanes::dense(1, count), |context, out| {
            particle::forward_each(context, &start, own.view(), out.values.view_mut());
        });

        const FIFTH: [f32; 5] = [0.0, 0.0, 0.0, 0.0, 1.0];
        Beside::reference(&mut group, "effective weights", &few, 1e-5, || {
            exactly(&start, |_, w| [reference::effective_weight(&net, w).0.0])
        })
        .timed_if(bearable, "plain loop", &Lanes::zeros(1, count), |out| {
            plain(&lanes, out, |w, lane, _| [pass(w, lane, FIFTH).2])
        })
        .ours(work, &Lanes::dense(1, count), |context, out| {
            particle::effective_weights(context, &start, out.values.as_mut_slice());
        });

        let slopes = uniform(1, count, -1.0, 1.0, "gradient");
        let slope = |p: usize| slopes.as_slice()[p.min(count - 1)];
        Beside::reference(&mut group, "effective weight step", &few, 1e-5, || {
            exactly(&start, |p, w| {
                let gradient = reference::effective_weight(&net, w).1.into_iter();
                let gradient: Vec<_> = gradient.map(|(g, size)| (g * f64::from(slope(p)), size)).collect();
                reference::descend(w, w, &gradient, COMPARED, 0.5).0.into_iter().map(|w| w.0)
            })
        })
        .timed_if(bearable, "plain loop", &((lanes.clone(), lanes.clone()), COMPARED), |((lanes, velocity), rate)| {
            for start in lanes.blocks() {
                let (w, mut slopes) = (lanes.block(start), [[0.0; BLOCK]; 27]);
                for lane in 0..BLOCK {
                    add_slopes(&w, lane, FIFTH, slope(start + lane), &mut slopes);
                }
                for i in 0..27 {
                    let w = &mut lanes.values.row_mut(i)[start..start + BLOCK];
                    let v = &mut velocity.values.row_mut(i)[start..start + BLOCK];
                    for lane in 0..BLOCK {
                        v[lane] = 0.5 * v[lane] + slopes[i][lane];
                        w[lane] -= *rate * v[lane];
                    }
                }
            }
            *rate = RATE;
        })
        .ours(work, &((start.clone(), start.clone()), COMPARED), |context, ((particles, velocity), rate)| {
            particle::effective_weight_step(context, particles, velocity, slopes.as_slice(), *rate, 0.5);
            *rate = RATE;
        });

        Beside::reference(&mut group, "examine", &few, 1e-5, || {
            exactly(&start, |_, w| {
                let off: Vec<f64> = reference::deviations(&net, w).into_iter().map(|(off, _)| off).collect();
                let loss = off.iter().map(|off| off * off).sum::<f64>() / w.len() as f64;
                [loss, off.iter().fold(0.0, |largest, off| off.abs().max(largest))]
            })
        })
        .timed_if(bearable, "plain loop", &Lanes::zeros(2, count), |out| {
            plain(&lanes, out, |w, lane, _| {
                let (mut loss, mut largest) = (0.0, 0.0f32);
                for i in 0..27 {
                    let own = w[i][lane];
                    let off = pass(w, lane, [own, asked[i][1], asked[i][2], asked[i][3], 0.0]).2 - own;
                    loss += off * off / 27.0;
                    largest = largest.max(off.abs());
                }
                [loss, largest]
            });
        })
        .ours(work, &Found(Vec::new()), |context, found| found.0 = particle::examine(context, &start));

        // Ours in place, the loop from the same particles again and again.
        Beside::reference(&mut group, "self-application", &few, 1e-5, || {
            exactly(&start, |_, w| reference::self_application(&net, w).into_iter().map(|n| n.0))
        })
        .timed_if(bearable, "plain loop", &lanes, |out| {
            plain(&lanes, out, |w, lane, _| {
                std::array::from_fn::<f32, 27, _>(|i| {
                    pass(w, lane, [w[i][lane], asked[i][1], asked[i][2], asked[i][3], 0.0]).2
                })
            });
        })
        .ours(work, &start, particle::self_apply);
    }
}

/// The mean loss of all particles asked one after the other.
fn loss_of(organism: &Organism, x: MatRef<'_>, labels: &[u8]) -> f64 {
    let logits = organism.ask(x);
    let rows = logits.view().iter_rows().zip(labels);
    let losses = rows.map(|(row, &label)| loss::reference::softmax_cross_entropy(row, label.into()).0);
    losses.sum::<f64>() / labels.len() as f64
}

fn task_step(criterion: &mut Criterion) {
    let mut group = group(criterion, "organism task step, 225-5-5-10, batch 2000");
    let net = Net::new(&[5, 5], Activation::Linear).expect("a small net");
    let x = uniform(2000, 225, 0.0, 1.0, "x");
    let labels: Vec<u8> = (0..2000).map(|at| (at % 10) as u8).collect();
    let start = Organism::new(&net, &[225, 5, 5, 10], true, Stream::new(0, "w")).expect("an organism");
    let (mut first, want): (Option<Matrix>, f64) = (None, loss_of(&start, x.view(), &labels));
    for (name, mut context) in contexts() {
        let mut workspace = Workspace::default();
        let mut step = |organism: &mut Organism| {
            let descent = Descent { rate: RATE, momentum: 0.9 };
            organism.step(&mut context, &mut workspace, x.view(), descent, |context, out, gradient| {
                softmax_cross_entropy(context, out, &labels, None, Some(gradient))
            })
        };
        // The weights after a step have the bits of the first set, which is the scalar one.
        let mut organism = start.clone();
        let found = step(&mut organism);
        assert!((found - want).abs() < 1e-5 * want, "{name}: loss {found}, expected {want}");
        let moved = organism.particles().to_rows();
        assert_ne!(moved.as_slice(), start.particles().to_rows().as_slice(), "{name}");
        assert_eq!(first.get_or_insert_with(|| moved.clone()).as_slice(), moved.as_slice(), "{name}");
        group.bench_function(format!("ours, {name}"), |bencher| bencher.iter(|| step(&mut organism)));
    }
}

criterion_group!(benches, self_replication, growth, others, task_step);
criterion_main!(benches);
