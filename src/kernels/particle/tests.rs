use super::*;
use crate::matrix::{MatMut, Matrix};
use crate::random::Stream;
use crate::simd::Isa;

const LENGTHS: [usize; 6] = [0, 1, 15, 16, 17, 70];

fn nets() -> Vec<Net> {
    let linear = |hidden: &[usize]| Net::new(hidden, Activation::Linear).unwrap();
    let mut nets: Vec<Net> = (1..=16).map(|h| linear(&[h, h])).collect();
    nets.extend([linear(&[]), linear(&[4]), linear(&[2, 7]), linear(&[6, 2, 3]), linear(&[3, 3]).direct()]);
    nets.extend([linear(&[5, 5]).direct(), linear(&[2, 4, 3]).direct(), linear(&[]).direct()]);
    for activation in [Activation::Tanh, Activation::Gelu] {
        nets.extend([&[3, 3][..], &[7], &[2, 3, 4], &[]].map(|hidden| Net::new(hidden, activation).unwrap()));
    }
    nets
}

/// Every set on one and on three threads.
fn contexts() -> Vec<Context> {
    let on = |isa, threads| Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap());
    Isa::available().flat_map(|isa| [on(isa, 1), on(isa, 3)]).collect()
}

fn particles(net: &Net, len: usize, purpose: &str) -> Particles {
    Particles::xavier(net, len, Stream::new(len as u64, purpose))
}

fn gamma(net: &Net) -> f64 {
    let u = 0.5 * f64::from(f32::EPSILON) * reference::roundings(net);
    u / (1.0 - u)
}

#[track_caller]
fn assert_within(label: &str, got: f32, (want, size): reference::Value, gamma: f64) {
    // Products that leave the range of normal numbers lose more than their relative rounding.
    let bound = gamma * size + 1e-42;
    assert!((f64::from(got) - want).abs() <= bound, "{label}: {got:e}, exactly {want:e}, bound {bound:e}");
}

/// The same bits of all contexts; returns the first result.
fn same<T: PartialEq + std::fmt::Debug>(label: &str, run: impl Fn(&mut Context) -> T) -> T {
    let mut contexts = contexts();
    let first = run(&mut contexts[0]);
    for context in &mut contexts[1..] {
        let got = run(context);
        assert!(got == first, "{label} on {} with {:?}: {got:?}, scalar {first:?}", context.isa(), context.threads());
    }
    first
}

#[test]
fn positions_are_the_authors() {
    let net = Net::new(&[3, 3], Activation::Linear).unwrap();
    assert_eq!((net.weights(), net.widths()), (27, &[5, 3, 3, 1][..]));
    assert_ne!(net.clone().direct(), net);
    let near = |weight: usize, want: [f32; 3]| {
        assert!(net.position(weight).iter().zip(want).all(|(got, want)| (got - want).abs() < 3e-8), "{weight}");
    };
    near(0, [0.0, 0.0, 0.0]);
    near(9, [0.0, 0.5, 1.0]); // the second cell's last input: 4 of 4
    near(15, [0.5, 0.0, 0.0]);
    near(20, [0.5, 0.5, 0.5]); // index 2 of 4
    near(26, [1.0, 0.0, 0.5]);
    assert!(net.position(0)[0] == 1e-8, "zero plus the margin");
    assert_eq!(Net::new(&[5, 5], Activation::Linear).unwrap().weights(), 55);
    // A single cell and a single layer divide by the margin alone.
    let single = Net::new(&[], Activation::Linear).unwrap();
    assert_eq!(single.position(4)[..2], [1e-8, 1e-8]);
    assert!(Net::new(&[0], Activation::Linear).is_err() && Net::new(&[65], Activation::Linear).is_err());
    assert!(Net::new(&[2; 9], Activation::Linear).is_err());
}

#[test]
fn outputs_follow_the_definition() {
    for net in nets() {
        for (len, batch) in LENGTHS.into_iter().zip([3, 1, 5, 0, 2, 1]) {
            let label = format!("{net:?} {len} x {batch}");
            let particles = particles(&net, len, "outputs");
            let shared = Matrix::from_fn(batch, ROW, |b, i| ((b * 7 + i * 3) % 11) as f32 / 5.0 - 1.0);
            let each = Matrix::from_fn(batch * ROW, len, |r, p| ((r * 5 + p * 3) % 13) as f32 / 6.0 - 1.0);
            let got = same(&label, |context| {
                let mut out = [(); 2].map(|()| Matrix::from_fn(batch, len, |_, _| f32::NAN));
                forward(context, &particles, shared.view(), out[0].view_mut());
                forward_each(context, &particles, each.view(), out[1].view_mut());
                out
            });
            let rows = particles.to_rows();
            for (b, p) in (0..batch).flat_map(|b| (0..len).map(move |p| (b, p))) {
                let own = std::array::from_fn(|i| each[(b * ROW + i, p)]);
                let shared = *shared.row(b).first_chunk().unwrap();
                for (got, x) in got.iter().zip([shared, own]) {
                    assert_within(&label, got[(b, p)], reference::output(&net, rows.row(p), x), gamma(&net));
                }
            }
        }
    }
}

#[test]
fn threads_are_woken_for_the_work_there_is() {
    let linear = |hidden: &[usize]| Net::new(hidden, Activation::Linear).unwrap();
    // What a second thread would need of scratch memory shows whether it takes part: memory that does not grow stays where it is.
    let woken = |net: &Net, len: usize, run: &dyn Fn(&mut Context, &mut Particles)| {
        let mut context = Context::new().unwrap().with_threads(Threads::new(2).unwrap());
        let start = |context: &mut Context| context.scratch([net.scratch() * LANES]).map(|scratch| scratch.as_ptr());
        let before = start(&mut context);
        run(&mut context, &mut particles(net, len, "threads"));
        start(&mut context) != before
    };
    let forward_of = |rows: usize| {
        move |context: &mut Context, particles: &mut Particles| {
            let (mut out, each) = (Matrix::zeros(rows, particles.len()), Matrix::zeros(rows * ROW, particles.len()));
            forward(context, particles, Matrix::zeros(rows, ROW).view(), out.view_mut());
            forward_each(context, particles, each.view(), out.view_mut());
        }
    };
    let effective = |context: &mut Context, particles: &mut Particles| {
        let mut c = vec![0.0; particles.len()];
        effective_weights(context, particles, &mut c);
        let mut velocity = Particles::zeros(&particles.net().clone(), particles.len());
        effective_weight_step(context, particles, &mut velocity, &c, 0.1, 0.0);
    };
    // Eight for each of 27 multiply-adds and of eight more for an activation; of 27 and five a value, if the row stands for the net. Ten million
    // are worth sharing.
    for (net, rows) in
        [(Net::new(&[3, 3], Activation::Tanh).unwrap(), 4), (linear(&[3, 3]).direct(), 11), (linear(&[3, 3]), 57)]
    {
        assert!(!woken(&net, 4000, &forward_of(rows)) && woken(&net, 4000, &forward_of(rows + 1)), "{net:?}");
    }
    for net in [linear(&[3, 3]), linear(&[3, 3]).direct()] {
        assert!(!woken(&net, 40_000, &effective) && woken(&net, 50_000, &effective), "{net:?}");
    }
}

#[test]
fn outputs_of_many_particles_are_those_of_few() {
    // More than one work item holds.
    let net = Net::new(&[3, 3], Activation::Linear).unwrap();
    let all = particles(&net, 2500, "many");
    let x = Matrix::from_fn(2, ROW, |b, i| (b * 7 + i * 3) as f32 / 5.0 - 1.0);
    let got = same("many", |context| {
        let mut out = Matrix::zeros(2, 2500);
        forward(context, &all, x.view(), out.view_mut());
        out
    });
    let rows = all.to_rows();
    for (first, count) in [(0, 40), (1000, 100), (2030, 40), (2490, 10)] {
        let few = Particles::from_rows(&net, rows.view().rows_range(first..first + count)).unwrap();
        let mut want = Matrix::zeros(2, count);
        forward(&mut Context::new().unwrap(), &few, x.view(), want.view_mut());
        assert_eq!(got.view().columns(first..first + count).to_owned(), want, "from {first}");
    }
}

#[test]
fn strided_views_and_what_lies_beside_them() {
    const BATCH: usize = 3;
    for net in [
        Net::new(&[3, 3], Activation::Linear).unwrap(),
        Net::new(&[4], Activation::Linear).unwrap().direct(),
        Net::new(&[3, 2], Activation::Gelu).unwrap(),
    ] {
        // Less than a vector, one, more, and more than a work item holds.
        for len in [1, 16, 19, 1030] {
            let label = format!("{net:?} {len}");
            let particles = particles(&net, len, "strides");
            let shared = Matrix::from_fn(BATCH, ROW + 4, |b, i| ((b * 7 + i * 3) % 11) as f32 / 5.0 - 1.0);
            let each = Matrix::from_fn(BATCH * ROW, len + 5, |r, p| ((r * 5 + p * 3) % 13) as f32 / 6.0 - 1.0);
            let (shared, each) = (shared.view().columns(2..2 + ROW), each.view().columns(3..3 + len));
            let mut want = [(); 2].map(|()| Matrix::zeros(BATCH, len));
            let mut context = Context::on(Isa::Scalar).unwrap();
            forward(&mut context, &particles, shared.to_owned().view(), want[0].view_mut());
            forward_each(&mut context, &particles, each.to_owned().view(), want[1].view_mut());
            let whole = same(&label, |context| {
                let mut whole = [(); 2].map(|()| vec![7.0f32; BATCH * (len + 3) + 2]);
                let [a, b] = &mut whole;
                let view = |out| MatMut::with_stride(out, BATCH, len, len + 3).unwrap();
                forward(context, &particles, shared, view(&mut a[2..]));
                forward_each(context, &particles, each, view(&mut b[2..]));
                whole
            });
            for (whole, want) in whole.iter().zip(&want) {
                assert_eq!(whole[..2], [7.0; 2], "{label}: before the view");
                for (row, got) in whole[2..].chunks_exact(len + 3).enumerate() {
                    assert_eq!((&got[..len], &got[len..]), (want.row(row), &[7.0; 3][..]), "{label}: row {row}");
                }
            }
        }
    }
}

#[test]
fn rows_with_a_stride_and_slices_of_longer_ones() {
    let net = Net::new(&[3, 3], Activation::Linear).unwrap();
    for len in [1, 16, 19, 1030] {
        let rows = Matrix::from_fn(len, net.weights() + 4, |p, i| ((p * 5 + i * 3) % 17) as f32 / 9.0 - 1.0);
        let rows = rows.view().columns(1..1 + net.weights());
        let before = Particles::from_rows(&net, rows).unwrap();
        assert_eq!(before.to_rows(), rows.to_owned());
        let gradient: Vec<f32> = (0..len + 6).map(|p| (p % 7) as f32 / 3.0 - 1.0).collect();
        let run = |context: &mut Context, gradient: &[f32], c: &mut [f32]| {
            let (mut particles, mut velocity) = (before.clone(), Particles::zeros(&net, len));
            effective_weights(context, &particles, c);
            effective_weight_step(context, &mut particles, &mut velocity, gradient, 0.2, 0.5);
            (particles, velocity)
        };
        let mut want = vec![f32::NAN; len];
        let moved = run(&mut Context::on(Isa::Scalar).unwrap(), &gradient[3..3 + len], &mut want);
        let (got, c) = same(&format!("{len}"), |context| {
            let mut c = vec![7.0; len + 5];
            (run(context, &gradient[3..3 + len], &mut c[2..2 + len]), c)
        });
        assert_eq!(got, moved);
        assert_eq!((&c[..2], &c[2..2 + len], &c[2 + len..]), (&[7.0; 2][..], &want[..], &[7.0; 3][..]));
    }
}

#[test]
fn bounds_count_roundings_and_absolute_values() {
    let net = Net::new(&[3, 3], Activation::Linear).unwrap();
    // 27 weights, 12 values, 8 for each of four layers, and 16.
    assert_eq!(reference::roundings(&net), 87.0);
    // v = 0.5 (-2) - 3 and w = 1 + 0.25 v, in magnitude 0.5 2 + 4 and 1 + 0.25 5.
    let (weights, velocities) = reference::descend(&[1.0], &[-2.0], &[(-3.0, 4.0)], -0.25, 0.5);
    assert_eq!((weights, velocities), (vec![(0.0, 2.25)], vec![(-4.0, 5.0)]));
}

#[test]
fn self_application_and_examination_follow_the_definition() {
    for net in nets() {
        for len in LENGTHS {
            let label = format!("{net:?} {len}");
            let before = particles(&net, len, "self-application");
            let after = same(&label, |context| {
                let mut particles = before.clone();
                self_apply(context, &mut particles);
                particles
            });
            let examined = same(&label, |context| examine(context, &before));
            assert_eq!(examined.len(), len);
            let (rows, gamma) = (before.to_rows(), gamma(&net));
            for p in 0..len {
                for (i, &want) in reference::self_application(&net, rows.row(p)).iter().enumerate() {
                    assert_within(&label, after.weight(p, i), want, gamma);
                }
                let deviations = reference::deviations(&net, rows.row(p));
                let largest = deviations.iter().map(|d| d.0.abs()).fold(0.0, f64::max);
                let size = deviations.iter().map(|d| d.1).fold(0.0, f64::max);
                assert_within(&label, examined[p].deviation, (largest, size), gamma);
                let loss = deviations.iter().map(|d| d.0 * d.0).sum::<f64>() / net.weights() as f64;
                let size =
                    deviations.iter().map(|d| 2.0 * d.0.abs() * d.1 + gamma * d.1 * d.1 + d.0 * d.0).sum::<f64>();
                assert_within(&label, examined[p].loss, (loss, size / net.weights() as f64), gamma);
                let magnitude = rows.row(p).iter().fold(0.0f32, |max, w| max.max(w.abs()));
                assert_eq!(examined[p].magnitude, magnitude);
            }
        }
    }
}

#[test]
fn a_step_of_self_replication_descends_the_gradient() {
    for net in nets() {
        for (len, rate) in LENGTHS.into_iter().zip([0.1, 0.5, 0.004, 1.0, 0.1, -0.3]) {
            let before = particles(&net, len, "weights");
            let speed = particles(&net, len, "velocity");
            for persistent in [false, true] {
                let label = format!("{net:?} {len} {persistent}");
                let rule = SelfReplication { rate, momentum: 0.9, steps: 1 };
                let (after, velocity) = same(&label, |context| {
                    let (mut particles, mut velocity) = (before.clone(), speed.clone());
                    self_replicate(context, &mut particles, persistent.then_some(&mut velocity), &rule);
                    (particles, velocity)
                });
                let (rows, speeds) = (before.to_rows(), speed.to_rows());
                for p in 0..len {
                    let gradient = reference::replication_gradient(&net, rows.row(p));
                    let rest = vec![0.0; net.weights()];
                    let start = if persistent { speeds.row(p) } else { &rest };
                    let (weights, velocities) = reference::descend(rows.row(p), start, &gradient, rate, 0.9);
                    for i in 0..net.weights() {
                        assert_within(&label, after.weight(p, i), weights[i], gamma(&net));
                        if persistent {
                            assert_within(&label, velocity.weight(p, i), velocities[i], gamma(&net));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn steps_in_one_call_are_steps_in_many() {
    for net in nets() {
        let label = format!("{net:?}");
        let start = particles(&net, 35, "steps");
        let rule = |steps, momentum| SelfReplication { rate: 0.05, momentum, steps };
        for momentum in [0.0, 0.9] {
            let at_once = same(&label, |context| {
                let mut particles = start.clone();
                self_replicate(context, &mut particles, None, &rule(7, momentum));
                particles
            });
            let (mut one_by_one, mut velocity) = (start.clone(), Particles::zeros(&net, 35));
            let mut context = Context::on(Isa::best()).unwrap();
            for _ in 0..7 {
                self_replicate(&mut context, &mut one_by_one, Some(&mut velocity), &rule(1, momentum));
            }
            for (a, b) in at_once.as_slice().iter().zip(one_by_one.as_slice()) {
                assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{label} {momentum}: {a} and {b}");
            }
            if momentum != 0.0 {
                assert_eq!(at_once, one_by_one, "{label}: momentum from rest is momentum from a velocity of zero");
            }
        }
        let mut unmoved = start.clone();
        self_replicate(&mut Context::new().unwrap(), &mut unmoved, None, &rule(0, 0.9));
        assert_eq!(unmoved, start);
    }
}

#[test]
fn the_collapsed_algebra_and_the_direct_evaluation_agree() {
    for hidden in [&[3, 3][..], &[5, 5], &[2, 9, 4], &[]] {
        let net = Net::new(hidden, Activation::Linear).unwrap();
        let start = particles(&net, 33, "both ways");
        let direct = Particles::from_rows(&net.clone().direct(), start.to_rows().view()).unwrap();
        let rule = SelfReplication { rate: 0.05, momentum: 0.9, steps: 1 };
        let mut context = Context::new().unwrap();
        let run = |context: &mut Context, mut particles: Particles| {
            self_replicate(context, &mut particles, None, &rule);
            particles.to_rows()
        };
        let (a, b) = (run(&mut context, start.clone()), run(&mut context, direct));
        let rows = start.to_rows();
        for p in 0..33 {
            let gradient = reference::replication_gradient(&net, rows.row(p));
            let zero = vec![0.0; net.weights()];
            for (i, (_, size)) in reference::descend(rows.row(p), &zero, &gradient, 0.05, 0.9).0.into_iter().enumerate()
            {
                let difference = f64::from(a[(p, i)]) - f64::from(b[(p, i)]);
                assert!(
                    difference.abs() <= 2.0 * gamma(&net) * size,
                    "{hidden:?} particle {p} weight {i}: {difference:e}"
                );
            }
        }
    }
}

#[test]
fn effective_weights_and_their_chain_follow_the_definition() {
    for net in nets().into_iter().filter(|net| net.activation() == Activation::Linear) {
        for len in LENGTHS {
            let label = format!("{net:?} {len}");
            let (before, speed) = (particles(&net, len, "weights"), particles(&net, len, "velocity"));
            let gradient: Vec<f32> = (0..len).map(|p| (p % 7) as f32 / 3.0 - 1.0).collect();
            let (c, after, velocity) = same(&label, |context| {
                let (mut particles, mut velocity, mut c) = (before.clone(), speed.clone(), vec![f32::NAN; len]);
                effective_weights(context, &particles, &mut c);
                effective_weight_step(context, &mut particles, &mut velocity, &gradient, 0.2, 0.5);
                (c, particles, velocity)
            });
            let (rows, speeds, gamma) = (before.to_rows(), speed.to_rows(), gamma(&net));
            for p in 0..len {
                let (want, slopes) = reference::effective_weight(&net, rows.row(p));
                assert_within(&label, c[p], want, gamma);
                let g = f64::from(gradient[p]);
                let slopes: Vec<_> = slopes.iter().map(|(slope, size)| (g * slope, g.abs() * size)).collect();
                let (weights, velocities) = reference::descend(rows.row(p), speeds.row(p), &slopes, 0.2, 0.5);
                for i in 0..net.weights() {
                    assert_within(&label, after.weight(p, i), weights[i], gamma);
                    assert_within(&label, velocity.weight(p, i), velocities[i], gamma);
                }
            }
        }
    }
}

/// A net whose row is (1, 0, 0, 0, c): an exact fixpoint that stands for the weight c.
fn fixpoint(c: f32) -> Vec<f32> {
    let mut w = vec![0.0; 27];
    (w[0], w[15], w[24]) = (2.0, 0.5, 1.0);
    w[4] = 2.0 * c;
    w
}

#[test]
fn classes_come_in_order_and_divergence_stays_in_its_particle() {
    let net = Net::new(&[3, 3], Activation::Linear).unwrap();
    let mut particles = particles(&net, 20, "classes");
    let mut broken = fixpoint(1.0);
    broken[7] = f32::NAN;
    particles.set(3, &broken);
    broken[7] = f32::NEG_INFINITY;
    particles.set(16, &broken);
    particles.set(5, &[-1e-5; 27]);
    particles.set(18, &fixpoint(0.25));
    for isa in Isa::available() {
        let mut context = Context::on(isa).unwrap();
        let classes: Vec<Class> = examine(&mut context, &particles).iter().map(|seen| seen.class(1e-5)).collect();
        for (particle, class) in classes.into_iter().enumerate() {
            let want = match particle {
                3 | 16 => Class::Divergent,
                5 => Class::Zero,
                18 => Class::SelfReplicating,
                _ => Class::Other,
            };
            assert_eq!(class, want, "{isa}: particle {particle}");
        }
        let mut stepped = particles.clone();
        self_replicate(&mut context, &mut stepped, None, &SelfReplication { rate: 0.1, momentum: 0.9, steps: 3 });
        self_apply(&mut context, &mut stepped);
        let finite = |p: usize| (0..27).all(|i| stepped.weight(p, i).is_finite());
        assert!((0..20).all(|p| finite(p) != [3, 16].contains(&p)), "{isa}");
        // A fixpoint is left where it is, and stands for its weight.
        for (i, &w) in fixpoint(0.25).iter().enumerate() {
            assert_eq!(stepped.weight(18, i), w);
        }
        let mut c = vec![0.0; 20];
        effective_weights(&mut context, &stepped, &mut c);
        assert_eq!(c[18], 0.25);
    }
}

#[test]
fn lanes_without_a_particle_stay_zero() {
    for net in nets() {
        let (mut particles, mut velocity) = (particles(&net, 17, "padding"), Particles::zeros(&net, 17));
        let mut context = Context::new().unwrap();
        let rule = SelfReplication { rate: 0.01, momentum: 0.9, steps: 3 };
        self_replicate(&mut context, &mut particles, Some(&mut velocity), &rule);
        self_apply(&mut context, &mut particles);
        if net.activation() == Activation::Linear {
            effective_weight_step(&mut context, &mut particles, &mut velocity, &[1.0; 17], 0.1, 0.9);
        }
        for values in [&particles, &velocity] {
            let block = &values.as_slice()[net.weights() * LANES..];
            assert!(block.chunks(LANES).all(|row| row[1..].iter().all(|&value| value == 0.0)), "{net:?}");
        }
    }
}

#[test]
fn rows_come_back_as_they_went_in() {
    let net = Net::new(&[4], Activation::Tanh).unwrap();
    let rows = Matrix::from_fn(19, net.weights(), |p, i| (p * 100 + i) as f32);
    let particles = Particles::from_rows(&net, rows.view()).unwrap();
    assert_eq!(particles.to_rows(), rows);
    assert_eq!((particles.len(), particles.weight(18, 3)), (19, 1803.0));
    assert!(!particles.is_empty() && Particles::zeros(&net, 0).is_empty());
    assert!(Particles::from_rows(&net, Matrix::zeros(2, 5).view()).is_err());
}

#[test]
#[should_panic(expected = "2 gradients for 3 particles")]
fn lengths_that_disagree_panic() {
    let net = Net::new(&[3, 3], Activation::Linear).unwrap();
    let mut particles = Particles::zeros(&net, 3);
    let mut velocity = particles.clone();
    effective_weight_step(&mut Context::new().unwrap(), &mut particles, &mut velocity, &[0.0; 2], 0.1, 0.9);
}

fn with_velocity_of(net: &Net, len: usize) {
    let mut particles = Particles::zeros(&Net::new(&[3, 3], Activation::Linear).unwrap(), 3);
    let (mut velocity, rule) = (Particles::zeros(net, len), SelfReplication { rate: 0.1, momentum: 0.9, steps: 1 });
    self_replicate(&mut Context::new().unwrap(), &mut particles, Some(&mut velocity), &rule);
}

#[test]
#[should_panic(expected = "self_replicate: 3 particles of [5, 3, 3, 1], Linear, but 3 particles of [5, 3, 3, 1], Tanh")]
fn a_velocity_of_another_activation_is_refused() {
    with_velocity_of(&Net::new(&[3, 3], Activation::Tanh).unwrap(), 3);
}

#[test]
#[should_panic(expected = "Linear, but 3 particles of [5, 3, 3, 1], Linear, direct")]
fn a_velocity_of_a_net_evaluated_otherwise_is_refused() {
    with_velocity_of(&Net::new(&[3, 3], Activation::Linear).unwrap().direct(), 3);
}

#[test]
#[should_panic(
    expected = "self_replicate: 3 particles of [5, 3, 3, 1], Linear, but 2 particles of [5, 3, 3, 1], Linear"
)]
fn a_velocity_of_another_number_is_refused() {
    with_velocity_of(&Net::new(&[3, 3], Activation::Linear).unwrap(), 2);
}

#[test]
#[should_panic(expected = "particles with Tanh")]
fn particles_that_are_not_linear_have_no_effective_weight() {
    let particles = Particles::zeros(&Net::new(&[3], Activation::Tanh).unwrap(), 1);
    effective_weights(&mut Context::new().unwrap(), &particles, &mut [0.0]);
}

#[test]
#[should_panic(expected = "weight 27 of 27")]
fn a_weight_the_particles_lack_is_named() {
    Particles::zeros(&Net::new(&[3, 3], Activation::Linear).unwrap(), 40).weight(3, 27);
}

#[test]
#[should_panic(expected = "weight 27 of 27")]
fn so_is_its_position() {
    Net::new(&[3, 3], Activation::Linear).unwrap().position(27);
}

#[test]
#[should_panic(expected = "self_replicate: momentum is inf, not a finite number")]
fn a_momentum_without_bounds_is_refused() {
    let mut particles = Particles::zeros(&Net::new(&[3, 3], Activation::Linear).unwrap(), 3);
    let rule = SelfReplication { rate: 0.1, momentum: f32::INFINITY, steps: 1 };
    self_replicate(&mut Context::new().unwrap(), &mut particles, None, &rule);
}

#[test]
fn classes_are_written_by_their_names() {
    assert_eq!(Class::ALL.map(|class| class.to_string()), Class::ALL.map(Class::name));
    assert_eq!(format!("{:>6}", Class::Zero), "  zero");
}
