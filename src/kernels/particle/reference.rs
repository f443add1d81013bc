//! The definitions word for word, in `f64`, one particle at a time, each weight a sample of its own.
//!
//! Every result comes with a magnitude: the same formula over absolute values, differences as sums. With n the longest chain of
//! roundings, a result in `f32` is within `n u / (1 - n u)` of the exact one, times the magnitude. An activation passes magnitudes
//! on by its steepest slope (1.13 for GELU), and its slope's by that plus how fast the slope changes (at most 1 for both).

use super::net::{Activation, Net, ROW};
use crate::kernels::activation::reference::{gelu, gelu_slope};

/// An exact value, and the magnitude its error bound is made of.
pub type Value = (f64, f64);

/// Roundings on the longest chain through the net, and through a sum over its weights.
pub fn roundings(net: &Net) -> f64 {
    (net.weights() + net.widths().iter().sum::<usize>() + 8 * net.widths().len() + 16) as f64
}

fn activate(activation: Activation, z: f64) -> (f64, f64) {
    match activation {
        Activation::Linear => (z, 1.0),
        Activation::Tanh => (z.tanh(), 1.0 - z.tanh().powi(2)),
        Activation::Gelu => (gelu(z), gelu_slope(z)),
    }
}

fn activate_magnitude(activation: Activation, z: f64) -> (f64, f64) {
    match activation {
        Activation::Linear => (z, 1.0),
        _ => (1.13 * z, 1.13 + z),
    }
}

/// The output for one row, and its derivative by every weight.
fn pass(net: &Net, w: &[f64], x: [f64; ROW], activate: fn(Activation, f64) -> (f64, f64)) -> (f64, Vec<f64>) {
    let widths = net.widths();
    let mut values = vec![x.to_vec()];
    let mut slopes = vec![vec![1.0; ROW]];
    let mut start = 0;
    for layer in 0..widths.len() - 1 {
        let (inputs, outputs) = (widths[layer], widths[layer + 1]);
        let sums = (0..outputs).map(|j| (0..inputs).map(|k| w[start + j * inputs + k] * values[layer][k]).sum::<f64>());
        let last = layer + 2 == widths.len();
        let (value, slope) = sums.map(|z| if last { (z, 1.0) } else { activate(net.activation(), z) }).unzip();
        values.push(value);
        slopes.push(slope);
        start += inputs * outputs;
    }
    let mut gradient = vec![0.0; net.weights()];
    let mut errors = vec![1.0];
    for layer in (0..widths.len() - 1).rev() {
        let (inputs, outputs) = (widths[layer], widths[layer + 1]);
        start -= inputs * outputs;
        let mut below = vec![0.0; inputs];
        for k in 0..inputs {
            for j in 0..outputs {
                gradient[start + j * inputs + k] = errors[j] * values[layer][k];
                below[k] += errors[j] * w[start + j * inputs + k];
            }
            below[k] *= slopes[layer][k];
        }
        errors = below;
    }
    (values[widths.len() - 1][0], gradient)
}

fn both(net: &Net, w: &[f32], x: [f64; ROW]) -> (Value, Vec<Value>) {
    let exact: Vec<f64> = w.iter().map(|&w| f64::from(w)).collect();
    let sizes: Vec<f64> = exact.iter().map(|w| w.abs()).collect();
    let (value, gradient) = pass(net, &exact, x, activate);
    let (size, gradient_size) = pass(net, &sizes, x.map(f64::abs), activate_magnitude);
    ((value, size), gradient.into_iter().zip(gradient_size).collect())
}

/// The row that asks for weight i: `(w_i, layer, cell, index, 0)`.
pub fn ask(net: &Net, w: &[f32], weight: usize) -> [f64; ROW] {
    let [layer, cell, index] = net.position(weight).map(f64::from);
    [f64::from(w[weight]), layer, cell, index, 0.0]
}

/// The output of a particle for one input row.
pub fn output(net: &Net, w: &[f32], x: [f32; ROW]) -> Value {
    both(net, w, x.map(f64::from)).0
}

/// `N(x_i)` for every weight.
pub fn self_application(net: &Net, w: &[f32]) -> Vec<Value> {
    (0..net.weights()).map(|i| both(net, w, ask(net, w, i)).0).collect()
}

/// `N(x_i) - w_i` for every weight.
pub fn deviations(net: &Net, w: &[f32]) -> Vec<Value> {
    let own = w.iter().map(|&w| f64::from(w));
    self_application(net, w).into_iter().zip(own).map(|((n, size), w)| (n - w, size + w.abs())).collect()
}

/// The gradient of `(1/P) sum_i (N(x_i) - w_i)^2`, inputs and targets constant.
pub fn replication_gradient(net: &Net, w: &[f32]) -> Vec<Value> {
    let mut sum = vec![(0.0, 0.0); net.weights()];
    let factor = 2.0 / net.weights() as f64;
    for (i, (error, size)) in deviations(net, w).into_iter().enumerate() {
        for (sum, (slope, slope_size)) in sum.iter_mut().zip(both(net, w, ask(net, w, i)).1) {
            sum.0 += factor * error * slope;
            sum.1 += factor * size * slope_size;
        }
    }
    sum
}

/// `c = N(0, 0, 0, 0, 1)` and `dc/dw`.
pub fn effective_weight(net: &Net, w: &[f32]) -> (Value, Vec<Value>) {
    both(net, w, [0.0, 0.0, 0.0, 0.0, 1.0])
}

/// One step of gradient descent with momentum from a gradient: the new weights and the new velocity.
pub fn descend(w: &[f32], velocity: &[f32], gradient: &[Value], rate: f32, momentum: f32) -> (Vec<Value>, Vec<Value>) {
    let mut weights = Vec::new();
    let mut velocities = Vec::new();
    for ((&w, &v), &(g, size)) in w.iter().zip(velocity).zip(gradient) {
        let before = f64::from(momentum) * f64::from(v);
        let (now, now_size) = (before + g, before.abs() + size);
        velocities.push((now, now_size));
        weights.push((f64::from(w) - f64::from(rate) * now, f64::from(w.abs()) + f64::from(rate.abs()) * now_size));
    }
    (weights, velocities)
}
