//! Checks of the particles: every kernel for linear nets by the collapsed algebra, and for nets that are not by the direct way.

use super::{Case, Check, Dim, gamma, waive};
use crate::Matrix;
use crate::kernels::particle::reference::{self, Value};
use crate::kernels::particle::{
    Activation, Net, Particles, ROW, SelfReplication, effective_weight_step, effective_weights, examine, forward,
    forward_each, self_apply, self_replicate,
};

const DIMS: &[Dim] = &[Dim { name: "particles", min: 0, max: 40 }, Dim { name: "cells", min: 1, max: 16 }];

pub(super) const CHECKS: &[Check] = &[
    Check { kernel: "particle::forward", dims: DIMS, run: outputs },
    Check { kernel: "particle::self_apply", dims: DIMS, run: self_applications },
    Check { kernel: "particle::self_replicate", dims: DIMS, run: replications },
    Check { kernel: "particle::examine", dims: DIMS, run: examinations },
    Check { kernel: "particle::effective_weight_step", dims: DIMS, run: effective },
];

/// Of a run of several steps, and the cells that particles have there at most: wide ones take the scalar set seconds, any take Miri
/// minutes, and none another way.
const STEPS: usize = 3;
const FEW: usize = if cfg!(miri) { 0 } else { 5 };

/// Particles and cells. The reference takes the fourth power of the cells: of wide particles there are at most a vector and one; and Miri has time
/// for one cell.
fn sizes(case: &Case<'_>) -> [usize; 2] {
    let [particles, cells] = case.sizes();
    let cells = if cfg!(miri) { 1 } else { cells };
    [if cells > 9 { particles.min(17) } else { particles }, cells]
}

/// Nets with this many cells a hidden layer: linear both ways, and not.
fn nets(cells: usize) -> [Net; 4] {
    let net = |hidden: &[usize], activation| Net::new(hidden, activation).expect("a small net");
    let linear = net(&[cells, cells], Activation::Linear);
    [linear.clone(), linear.direct(), net(&[cells], Activation::Tanh), net(&[cells, cells], Activation::Gelu)]
}

fn drawn(case: &mut Case<'_>, net: &Net, particles: usize) -> (Matrix, Particles) {
    let rows = case.matrix(particles, net.weights(), -1.0, 1.0);
    let particles = Particles::from_rows(net, rows.view()).expect("a value for every weight");
    (rows, particles)
}

/// Values and bounds.
fn split(net: &Net, values: impl IntoIterator<Item = Value>) -> (Vec<f64>, Vec<f64>) {
    let gamma = gamma(reference::roundings(net));
    let (exact, bound) = values.into_iter().map(|(value, size)| (value, gamma * size)).unzip();
    // NaN and infinity stay inside their particle, whose outputs they take together.
    waive(exact, bound)
}

fn outputs(case: &mut Case<'_>) {
    let [particles, cells] = sizes(case);
    const BATCH: usize = 3;
    for net in nets(cells) {
        let (rows, particles) = drawn(case, &net, particles);
        let (shared, each) = (case.matrix(BATCH, ROW, -1.0, 1.0), case.matrix(BATCH * ROW, particles.len(), -1.0, 1.0));
        let all = || (0..BATCH).flat_map(|b| (0..particles.len()).map(move |p| (b, p)));
        let common = all()
            .map(|(b, p)| reference::output(&net, rows.row(p), *shared.row(b).first_chunk().expect("five inputs")));
        let own =
            all().map(|(b, p)| reference::output(&net, rows.row(p), std::array::from_fn(|i| each[(b * ROW + i, p)])));
        let (exact, bound) = split(&net, common.chain(own));
        case.compare(&exact, &bound, |context| {
            let mut out = [(); 2].map(|()| Case::poisoned(BATCH, particles.len()));
            forward(context, &particles, shared.view(), out[0].view_mut());
            forward_each(context, &particles, each.view(), out[1].view_mut());
            [out[0].as_slice(), out[1].as_slice()].concat()
        });
    }
}

fn self_applications(case: &mut Case<'_>) {
    let [particles, cells] = sizes(case);
    for net in nets(cells) {
        let (rows, particles) = drawn(case, &net, particles);
        let (exact, bound) = split(&net, rows.view().iter_rows().flat_map(|w| reference::self_application(&net, w)));
        case.compare(&exact, &bound, |context| {
            let mut particles = particles.clone();
            self_apply(context, &mut particles);
            particles.to_rows().as_slice().to_vec()
        });
    }
}

fn replications(case: &mut Case<'_>) {
    let [particles, cells] = sizes(case);
    for net in nets(cells) {
        let (rows, particles) = drawn(case, &net, particles);
        let (speeds, velocity) = drawn(case, &net, particles.len());
        let rule = SelfReplication { rate: 0.1, momentum: 0.9, steps: 1 };
        let (mut rested, mut moving, mut speed) = (Vec::new(), Vec::new(), Vec::new());
        for p in 0..particles.len() {
            let gradient = reference::replication_gradient(&net, rows.row(p));
            let rest = vec![0.0; net.weights()];
            rested.extend(reference::descend(rows.row(p), &rest, &gradient, rule.rate, rule.momentum).0);
            let (w, v) = reference::descend(rows.row(p), speeds.row(p), &gradient, rule.rate, rule.momentum);
            moving.extend(w);
            speed.extend(v);
        }
        let (exact, bound) = split(&net, rested.into_iter().chain(moving).chain(speed));
        case.compare(&exact, &bound, |context| {
            let (mut rested, mut moving, mut velocity) = (particles.clone(), particles.clone(), velocity.clone());
            self_replicate(context, &mut rested, None, &rule);
            self_replicate(context, &mut moving, Some(&mut velocity), &rule);
            [rested, moving, velocity].map(|values| values.to_rows().as_slice().to_vec()).concat()
        });
        if cells > FEW {
            continue;
        }
        // More steps are as many calls that hand the velocity on, which starts at zero if none is given.
        let still = Particles::from_rows(&net, Matrix::zeros(particles.len(), net.weights()).view());
        let still = still.expect("a value for every weight");
        let mut parts = [particles.clone(), still, particles.clone(), velocity.clone()];
        let [rested, from_rest, moving, moved] = &mut parts;
        for _ in 0..STEPS {
            self_replicate(&mut case.contexts[0], rested, Some(from_rest), &rule);
            self_replicate(&mut case.contexts[0], moving, Some(moved), &rule);
        }
        let [rested, _, moving, moved] = parts;
        let values = [rested, moving, moved].map(|values| values.to_rows().as_slice().to_vec()).concat();
        let exact: Vec<f64> = values.into_iter().map(f64::from).collect();
        let several = SelfReplication { steps: STEPS, ..rule };
        case.compare(&exact, &vec![0.0; exact.len()], |context| {
            let (mut rested, mut moving, mut velocity) = (particles.clone(), particles.clone(), velocity.clone());
            self_replicate(context, &mut rested, None, &several);
            self_replicate(context, &mut moving, Some(&mut velocity), &several);
            [rested, moving, velocity].map(|values| values.to_rows().as_slice().to_vec()).concat()
        });
    }
}

fn examinations(case: &mut Case<'_>) {
    let [particles, cells] = sizes(case);
    for net in nets(cells) {
        let (rows, particles) = drawn(case, &net, particles);
        let gamma = gamma(reference::roundings(&net));
        let (mut exact, mut bound) = split(
            &net,
            rows.view().iter_rows().flat_map(|w| {
                let deviations = reference::deviations(&net, w);
                let largest = deviations.iter().fold((0.0, 0.0), |(a, b): Value, d| {
                    (if d.0.is_nan() { f64::NAN } else { a.max(d.0.abs()) }, b.max(d.1))
                });
                // The square of a value with an error e has one of 2 |value| e + e^2.
                let squares = deviations.iter().fold((0.0, 0.0), |(sum, size), (d, own)| {
                    (sum + d * d, size + d * d + 2.0 * d.abs() * own + gamma * own * own)
                });
                let weights = net.weights() as f64;
                [(squares.0 / weights, squares.1 / weights), largest]
            }),
        );
        // The largest weight is exact, NaN if one is not finite.
        let finite = |w: &[f32]| w.iter().all(|w| w.is_finite());
        let largest = |w: &[f32]| w.iter().fold(0.0f32, |largest, w| largest.max(w.abs()));
        exact.extend(rows.view().iter_rows().map(|w| if finite(w) { largest(w).into() } else { f64::NAN }));
        bound.resize(exact.len(), 0.0);
        case.compare(&exact, &bound, |context| {
            let seen = examine(context, &particles);
            let judged = seen.iter().flat_map(|seen| [seen.loss, seen.deviation]);
            judged.chain(seen.iter().map(|seen| seen.magnitude)).collect()
        });
    }
}

fn effective(case: &mut Case<'_>) {
    let [particles, cells] = sizes(case);
    for net in nets(cells).into_iter().filter(|net| net.activation() == Activation::Linear) {
        let (rows, particles) = drawn(case, &net, particles);
        let (speeds, velocity) = drawn(case, &net, particles.len());
        let gradient = case.matrix(1, particles.len(), -1.0, 1.0);
        let (mut c, mut weights, mut speed) = (Vec::new(), Vec::new(), Vec::new());
        for p in 0..particles.len() {
            let (value, slopes) = reference::effective_weight(&net, rows.row(p));
            let g = f64::from(gradient[(0, p)]);
            let slopes: Vec<Value> = slopes.iter().map(|(slope, size)| (g * slope, g.abs() * size)).collect();
            let (w, v) = reference::descend(rows.row(p), speeds.row(p), &slopes, 0.1, 0.9);
            c.push(value);
            weights.extend(w);
            speed.extend(v);
        }
        let (exact, bound) = split(&net, c.into_iter().chain(weights).chain(speed));
        case.compare(&exact, &bound, |context| {
            let (mut particles, mut velocity) = (particles.clone(), velocity.clone());
            let mut c = vec![f32::NAN; particles.len()];
            effective_weights(context, &particles, &mut c);
            effective_weight_step(context, &mut particles, &mut velocity, gradient.as_slice(), 0.1, 0.9);
            [c, particles.to_rows().as_slice().to_vec(), velocity.to_rows().as_slice().to_vec()].concat()
        });
    }
}
