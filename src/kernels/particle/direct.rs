//! Particles evaluated layer by layer, as the definition says. Legal for every net; needed for those that are not linear.
//!
//! Each of the P weights is a sample: P forward passes for a self-application, and P backward passes, their gradients summed, for
//! a step of self-replication. Particles lie across the lanes, and everything is in scratch memory that stays in L1.

use super::net::{Activation, Net, ROW};
use super::{Lanes, SelfReplication};
use crate::kernels::activation::gelu::{gelu_lanes, gelu_slope_lanes};
use crate::simd::{Simd, math};

#[inline(always)]
fn activate<S: Simd>(s: S, activation: Activation, z: S::F32) -> S::F32 {
    match activation {
        Activation::Linear => z,
        Activation::Tanh => math::tanh(s, z),
        Activation::Gelu => gelu_lanes(s, z),
    }
}

/// The activation's derivative at z, where its value is y.
#[inline(always)]
fn slope<S: Simd>(s: S, activation: Activation, z: S::F32, y: S::F32) -> S::F32 {
    match activation {
        Activation::Linear => s.splat(1.0),
        Activation::Tanh => s.neg_mul_add(y, y, s.splat(1.0)),
        Activation::Gelu => gelu_slope_lanes(s, z),
    }
}

/// The output for one input row; leaves every layer's values in the first part of scratch, inputs first, and what entered their
/// activations in the second.
#[inline(always)]
pub(super) fn forward<S: Simd>(s: S, net: &Net, w: &[Lanes], x: [S::F32; ROW], scratch: &mut [Lanes]) -> S::F32 {
    let all: usize = net.widths().iter().sum();
    let (values, sums) = scratch.split_at_mut(all);
    for i in 0..ROW {
        s.store(x[i], &mut values[i]);
    }
    let (mut start, mut first) = (0, 0);
    let last = net.widths().len() - 2;
    let mut out = s.zero();
    for (layer, widths) in net.widths().windows(2).enumerate() {
        let (inputs, outputs) = (widths[0], widths[1]);
        let (from, to) = values[first..].split_at_mut(inputs);
        for j in 0..outputs {
            let w = &w[start + j * inputs..][..inputs];
            let mut sum = s.zero();
            for k in 0..inputs {
                sum = s.mul_add(s.load(&w[k]), s.load(&from[k]), sum);
            }
            out = sum;
            s.store(sum, &mut sums[first + inputs + j]);
            if layer < last {
                s.store(activate(s, net.activation(), sum), &mut to[j]);
            }
        }
        start += inputs * outputs;
        first += inputs;
    }
    out
}

/// The row that asks for a weight.
#[inline(always)]
fn ask<S: Simd>(s: S, w: S::F32, layer: f32, cell: f32, index: f32) -> [S::F32; ROW] {
    [w, s.splat(layer), s.splat(cell), s.splat(index), s.zero()]
}

/// `to_i = N(x_i)` from the weights `w`.
#[inline(always)]
pub(super) fn self_apply<S: Simd>(s: S, net: &Net, w: &[Lanes], to: &mut [Lanes], scratch: &mut [Lanes]) {
    for unit in &net.units {
        for k in 0..unit.inputs {
            let x = ask(s, s.load(&w[unit.start + k]), unit.layer, unit.cell, net.index[k]);
            s.store(forward(s, net, w, x, scratch), &mut to[unit.start + k]);
        }
    }
}

/// The mean square of `N(x_i) - w_i`, and its largest magnitude, NaN if one is not finite.
#[inline(always)]
pub(super) fn deviations<S: Simd>(s: S, net: &Net, w: &[Lanes], scratch: &mut [Lanes]) -> (S::F32, S::F32) {
    let (mut squares, mut largest, mut finite) = (s.zero(), s.zero(), s.zero());
    for unit in &net.units {
        for k in 0..unit.inputs {
            let own = s.load(&w[unit.start + k]);
            let x = ask(s, own, unit.layer, unit.cell, net.index[k]);
            let error = s.sub(forward(s, net, w, x, scratch), own);
            squares = s.mul_add(error, error, squares);
            largest = s.max(s.abs(error), largest);
            finite = s.mul_add(error, s.zero(), finite);
        }
    }
    (s.div(squares, s.splat(net.weights() as f32)), s.add(largest, finite))
}

/// One step of self-replication; `scratch` holds a gradient a weight before what a forward pass needs.
#[inline(always)]
pub(super) fn replicate<S: Simd>(
    s: S,
    net: &Net,
    w: &mut [Lanes],
    velocity: Option<&mut [Lanes]>,
    rule: &SelfReplication,
    scratch: &mut [Lanes],
) {
    let weights = net.weights();
    let (gradient, scratch) = scratch.split_at_mut(weights);
    gradient.fill([0.0; crate::simd::LANES]);
    let factor = s.splat(2.0 / weights as f32);
    for unit in &net.units {
        for k in 0..unit.inputs {
            let own = s.load(&w[unit.start + k]);
            let x = ask(s, own, unit.layer, unit.cell, net.index[k]);
            let error = s.sub(forward(s, net, w, x, scratch), own);
            backward(s, net, w, s.mul(error, factor), gradient, scratch);
        }
    }
    match velocity {
        None => {
            for (w, gradient) in w.iter_mut().zip(gradient) {
                s.store(s.neg_mul_add(s.splat(rule.rate), s.load(gradient), s.load(w)), w);
            }
        }
        Some(velocity) => {
            for ((w, gradient), velocity) in w.iter_mut().zip(gradient).zip(velocity) {
                let now = s.mul_add(s.splat(rule.momentum), s.load(velocity), s.load(gradient));
                s.store(now, velocity);
                s.store(s.neg_mul_add(s.splat(rule.rate), now, s.load(w)), w);
            }
        }
    }
}

/// Adds the gradient of one sample, after its [`forward`].
#[inline(always)]
fn backward<S: Simd>(s: S, net: &Net, w: &[Lanes], error: S::F32, gradient: &mut [Lanes], scratch: &mut [Lanes]) {
    let widths = net.widths();
    let all: usize = widths.iter().sum();
    let (values, rest) = scratch.split_at_mut(all);
    let (sums, errors) = rest.split_at_mut(all);
    let (mut above, mut below) = errors.split_at_mut(errors.len() / 2);
    s.store(error, &mut above[0]);
    let (mut start, mut first) = (net.weights(), all - 1);
    for layer in (0..widths.len() - 1).rev() {
        let (inputs, outputs) = (widths[layer], widths[layer + 1]);
        start -= inputs * outputs;
        first -= inputs;
        for k in 0..inputs {
            let value = s.load(&values[first + k]);
            let mut sum = s.zero();
            for j in 0..outputs {
                let (at, error) = (start + j * inputs + k, s.load(&above[j]));
                s.store(s.mul_add(error, value, s.load(&gradient[at])), &mut gradient[at]);
                sum = s.mul_add(error, s.load(&w[at]), sum);
            }
            if layer > 0 {
                let slope = slope(s, net.activation(), s.load(&sums[first + k]), value);
                s.store(s.mul(sum, slope), &mut below[k]);
            }
        }
        std::mem::swap(&mut above, &mut below);
    }
}
