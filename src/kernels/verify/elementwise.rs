//! Checks of what treats values one by one or row by row: elementary functions, activations, losses, pixels.

use super::{Case, Check, Dim, UNDERFLOW, gamma, strict};
use crate::Matrix;
use crate::kernels::activation::{self, Axis, Dropout, magnitude_zscore};
use crate::kernels::adam::{self, Adam};
use crate::kernels::loss::{self, softmax, softmax_cross_entropy};
use crate::kernels::perturb::reference::erf;
use crate::kernels::pixels::{self, to_f32};
use crate::random::below;
use crate::simd::{Kernel, LANES, Simd, dispatch, math};

const VALUES: &[Dim] = &[Dim { name: "values", min: 0, max: 5000 }];
const BATCH: &[Dim] = &[Dim { name: "batch", min: 0, max: 150 }, Dim { name: "units", min: 0, max: 300 }];
const LOGITS: &[Dim] = &[Dim { name: "batch", min: 0, max: 100 }, Dim { name: "classes", min: 1, max: 2100 }];

pub(super) const CHECKS: &[Check] = &[
    Check { kernel: "simd::math::exp", dims: VALUES, run: |case| function(case, Function::Exp) },
    Check { kernel: "simd::math::ln", dims: VALUES, run: |case| function(case, Function::Ln) },
    Check { kernel: "simd::math::tanh", dims: VALUES, run: |case| function(case, Function::Tanh) },
    Check { kernel: "simd::math::erf", dims: VALUES, run: |case| function(case, Function::Erf) },
    Check { kernel: "simd::math::sin_cos", dims: VALUES, run: |case| function(case, Function::SinCos) },
    Check { kernel: "simd::math::sin_cos_2pi", dims: VALUES, run: |case| function(case, Function::SinCos2Pi) },
    Check { kernel: "adam::Adam::update", dims: VALUES, run: adam_step },
    Check { kernel: "activation::relu", dims: BATCH, run: relu },
    Check { kernel: "activation::relu_gradient", dims: BATCH, run: relu_gradient },
    Check { kernel: "activation::tanh", dims: BATCH, run: tanh },
    Check { kernel: "activation::tanh_gradient", dims: BATCH, run: tanh_gradient },
    Check { kernel: "activation::power", dims: BATCH, run: power },
    Check { kernel: "activation::power_gradient", dims: BATCH, run: power_gradient },
    Check { kernel: "activation::gelu", dims: BATCH, run: gelu },
    Check { kernel: "activation::k_winners", dims: BATCH, run: k_winners },
    Check { kernel: "activation::magnitude_zscore", dims: BATCH, run: zscore },
    Check { kernel: "activation::relu_dropout", dims: BATCH, run: relu_dropout },
    Check { kernel: "loss::softmax", dims: LOGITS, run: probabilities },
    Check { kernel: "loss::softmax_cross_entropy", dims: LOGITS, run: cross_entropy },
    Check { kernel: "loss::accuracy", dims: LOGITS, run: hits },
    Check { kernel: "pixels::to_f32", dims: VALUES, run: bytes },
];

/// Enough values to be written past the caches.
pub(super) const PAST_CACHES: Check = Check {
    kernel: "pixels::to_f32, past the caches",
    dims: &[Dim { name: "values", min: 1 << 20, max: (1 << 20) + 100 }],
    run: bytes,
};

#[derive(Clone, Copy)]
enum Function {
    Exp,
    Ln,
    Tanh,
    Erf,
    SinCos,
    SinCos2Pi,
}

impl Function {
    /// The interval arguments are drawn from, and the largest error documented, in units of the last place.
    fn domain(self) -> (f32, f32, f64) {
        match self {
            Function::Exp => (-104.0, 88.7, 1.02),
            Function::Ln => (1e-6, 30.0, 1.0),
            Function::Tanh => (-9.0, 9.0, 1.5),
            Function::Erf => (-4.5, 4.5, 6.0),
            Function::SinCos => (-1000.0, 1000.0, 2.0),
            Function::SinCos2Pi => (-8.0, 8.0, 2.0),
        }
    }

    /// What every second argument is scaled by: the interval becomes the largest for which digits are promised.
    fn reach(self) -> f32 {
        match self {
            Function::SinCos => 65536.0 / 1000.0,
            Function::SinCos2Pi => 1_048_576.0 / 8.0,
            _ => 1.0,
        }
    }

    /// The function, or the two, in `f64`.
    fn exact(self, x: f64) -> [f64; 2] {
        match self {
            Function::Exp => [x.exp(), 0.0],
            Function::Ln => [x.ln(), 0.0],
            Function::Tanh => [x.tanh(), 0.0],
            Function::Erf => [erf(x), 0.0],
            Function::SinCos => [x.sin(), x.cos()],
            // Reduced first, exactly: quarter turns have exact sines.
            Function::SinCos2Pi => {
                let turns = x - x.round();
                let quarter = (4.0 * turns).round();
                let (sin, cos) = ((turns - 0.25 * quarter) * std::f64::consts::TAU).sin_cos();
                match quarter as i32 {
                    0 => [sin, cos],
                    1 => [cos, -sin],
                    -1 => [-cos, sin],
                    _ => [-sin, -cos],
                }
            }
        }
    }
}

/// Two results for every argument, the second zero for functions of one.
struct Map<'a> {
    function: Function,
    x: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl Kernel for Map<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let outputs = self.first.chunks_mut(LANES).zip(self.second.chunks_mut(LANES));
        for (x, (first, second)) in self.x.chunks(LANES).zip(outputs) {
            let x = s.load_partial(x);
            let (a, b) = match self.function {
                Function::Exp => (math::exp(s, x), s.zero()),
                Function::Ln => (math::ln(s, x), s.zero()),
                Function::Tanh => (math::tanh(s, x), s.zero()),
                Function::Erf => (math::erf(s, x), s.zero()),
                Function::SinCos => math::sin_cos(s, x),
                Function::SinCos2Pi => math::sin_cos_2pi(s, x),
            };
            s.store_partial(a, first);
            s.store_partial(b, second);
        }
    }
}

/// The distance of the `f32` around a value.
fn ulp(value: f64) -> f64 {
    let exponent = if value == 0.0 { f64::NEG_INFINITY } else { value.abs().log2().floor() };
    2f64.powf(exponent.max(-126.0) - 23.0)
}

fn function(case: &mut Case<'_>, function: Function) {
    let [values] = case.sizes();
    let (low, high, ulps) = function.domain();
    let mut x = case.matrix(1, values, low, high);
    x.as_mut_slice().iter_mut().step_by(2).for_each(|x| *x *= function.reach());
    let exact: Vec<[f64; 2]> = x.as_slice().iter().map(|&x| function.exact(f64::from(x))).collect();
    let exact: Vec<f64> = exact.iter().map(|pair| pair[0]).chain(exact.iter().map(|pair| pair[1])).collect();
    let mut bound: Vec<f64> = exact.iter().map(|&value| ulps * ulp(value)).collect();
    strict(&exact, &mut bound);
    case.compare(&exact, &bound, |context| {
        let mut got = vec![f32::NAN; 2 * values];
        let (first, second) = got.split_at_mut(values);
        dispatch(context.isa(), Map { function, x: x.as_slice(), first, second });
        got
    });
}

fn relu(case: &mut Case<'_>) {
    let [batch, units] = case.sizes();
    let y = case.matrix(batch, units, -3.0, 2.0);
    let exact: Vec<f64> = y.as_slice().iter().map(|&y| activation::reference::relu(y)).collect();
    case.compare(&exact, &vec![0.0; exact.len()], |context| {
        let mut y = y.clone();
        activation::relu(context, y.view_mut());
        y.as_slice().to_vec()
    });
}

fn relu_gradient(case: &mut Case<'_>) {
    let [batch, units] = case.sizes();
    let (x, gradient) = (case.matrix(batch, units, -3.0, 2.0), case.matrix(batch, units, -1.0, 1.0));
    let pairs = x.as_slice().iter().zip(gradient.as_slice());
    let exact: Vec<f64> = pairs.map(|(&x, &g)| activation::reference::relu_gradient(x, g)).collect();
    case.compare(&exact, &vec![0.0; exact.len()], |context| {
        let mut gradient = gradient.clone();
        activation::relu_gradient(context, x.view(), gradient.view_mut());
        gradient.as_slice().to_vec()
    });
}

fn tanh(case: &mut Case<'_>) {
    let [batch, units] = case.sizes();
    let y = case.matrix(batch, units, -9.0, 9.0);
    let exact: Vec<f64> = y.as_slice().iter().map(|&y| activation::reference::tanh(y)).collect();
    let mut bound: Vec<f64> = exact.iter().map(|&value| Function::Tanh.domain().2 * ulp(value)).collect();
    strict(&exact, &mut bound);
    case.compare(&exact, &bound, |context| {
        let mut y = y.clone();
        activation::tanh(context, y.view_mut());
        y.as_slice().to_vec()
    });
}

fn tanh_gradient(case: &mut Case<'_>) {
    let [batch, units] = case.sizes();
    let (y, gradient) = (case.matrix(batch, units, -1.0, 1.0), case.matrix(batch, units, -2.0, 2.0));
    let pairs = y.as_slice().iter().zip(gradient.as_slice());
    let exact: Vec<f64> = pairs.map(|(&y, &g)| activation::reference::tanh_gradient(y, g)).collect();
    // The factor is fused, so that nothing cancels.
    let mut bound: Vec<f64> = exact.iter().map(|value| gamma(2.0) * value.abs()).collect();
    strict(&exact, &mut bound);
    case.compare(&exact, &bound, |context| {
        let mut gradient = gradient.clone();
        activation::tanh_gradient(context, y.view(), gradient.view_mut());
        gradient.as_slice().to_vec()
    });
}

/// The values, and what a gradient becomes.
fn gelu(case: &mut Case<'_>) {
    let [batch, units] = case.sizes();
    let (x, gradient) = (case.matrix(batch, units, -6.0, 6.0), case.matrix(batch, units, -2.0, 2.0));
    let unit = gamma(1.0);
    let values = x.as_slice().iter().map(|&x| f64::from(x));
    let value = values.clone().map(|x| (activation::reference::gelu(x), 5.0 * unit * x.abs()));
    let passed = values.zip(gradient.as_slice()).map(|(x, &gradient)| {
        let (slope, gradient) = (activation::reference::gelu_slope(x), f64::from(gradient));
        // The factor's error, and one rounding of its product with the gradient.
        let error = 8.0 * unit;
        (slope * gradient, (error + unit * (slope.abs() + error)) * gradient.abs())
    });
    let (exact, mut bound): (Vec<f64>, Vec<f64>) = value.chain(passed).unzip();
    let (values, _) = bound.split_at_mut(batch * units);
    // Of an infinite gradient the sign is certain where the factor's is.
    strict(&exact[..batch * units], values);
    case.compare(&exact, &bound, |context| {
        let (mut y, mut gradient) = (x.clone(), gradient.clone());
        activation::gelu(context, y.view_mut());
        activation::gelu_gradient(context, x.view(), gradient.view_mut());
        [y.as_slice(), gradient.as_slice()].concat()
    });
}

fn relu_dropout(case: &mut Case<'_>) {
    let [batch, units] = case.sizes();
    let mut y = case.matrix(batch, units, -1.0, 1.0);
    if let Some(first) = y.as_mut_slice().first_mut() {
        *first = f32::NAN;
    }
    let (stream, dropout) = (case.stream(), Dropout::new(0.2).expect("a rate below one"));
    let exact = activation::reference::relu_dropout(y.as_slice(), batch, units, dropout, stream);
    let mut bound: Vec<f64> = exact.iter().map(|value| gamma(1.0) * value.abs()).collect();
    strict(&exact, &mut bound);
    case.compare(&exact, &bound, |context| {
        let mut y = y.clone();
        activation::relu_dropout(context, y.view_mut(), dropout, stream);
        y.as_slice().to_vec()
    });
}

fn power(case: &mut Case<'_>) {
    let [batch, units] = case.sizes();
    let near = case.matrix(batch, units, -3.0, 2.0);
    let exponents = case.finite(batch, units, -60.0, 60.0);
    for n in [0.5f32, 0.99, 2.0, 3.3, 4.5] {
        // Then over as many powers of two as leave the result a normal number.
        let reach = (120.0 / n).min(60.0) / 60.0;
        let far = Matrix::from_fn(batch, units, |row, col| (reach * exponents[(row, col)]).exp2());
        for y in [&near, &far] {
            let exact: Vec<f64> = y.as_slice().iter().map(|&y| activation::reference::power(y, n)).collect();
            let bounds = y.as_slice().iter().zip(&exact).map(|(&y, &exact)| {
                if exact == 0.0 {
                    return 0.0;
                }
                // Products of whole powers and a root. Of exp(f ln y) the logarithm is off by up to 2 u, its product by one more.
                let rest = if n.fract() == 0.5 { 0.0 } else { 3.0 * f64::from(n.fract()) };
                gamma(2.0 * f64::from(n) + 4.0 + rest * f64::from(y.abs()).ln().abs()) * exact
            });
            let mut bound: Vec<f64> = bounds.collect();
            strict(&exact, &mut bound);
            case.compare(&exact, &bound, |context| {
                let mut y = y.clone();
                activation::power(context, y.view_mut(), n);
                y.as_slice().to_vec()
            });
        }
    }
}

fn power_gradient(case: &mut Case<'_>) {
    let [batch, units] = case.sizes();
    let (near, gradient) = (case.matrix(batch, units, -3.0, 2.0), case.matrix(batch, units, -1.0, 1.0));
    let exponents = case.finite(batch, units, -60.0, 60.0);
    for n in [0.3f32, 0.5, 0.99, 1.0, 2.0, 3.3, 4.5] {
        let reach = (120.0 / n).min(60.0) / 60.0;
        let far = Matrix::from_fn(batch, units, |row, col| (reach * exponents[(row, col)]).exp2());
        for x in [&near, &far] {
            let pairs = || x.as_slice().iter().zip(gradient.as_slice());
            let exact: Vec<f64> = pairs().map(|(&x, &g)| activation::reference::power_gradient(x, g, n)).collect();
            let bounds = pairs().zip(&exact).map(|((&x, &g), &exact)| {
                let (x, away) = (f64::from(x), (f64::from(n) - 1.0).abs());
                if exact == 0.0 {
                    return 0.0;
                }
                let rest = if away.fract() == 0.5 { 0.0 } else { 4.0 * away.fract() };
                let logarithm = if rest == 0.0 { 0.0 } else { x.ln().abs() };
                // What underflows in the power is multiplied by the exponent and the gradient.
                let underflow = UNDERFLOW * f64::from(n) * f64::from(g).abs();
                gamma(2.0 * away + 7.0 + rest * logarithm) * exact.abs() + underflow
            });
            let mut bound: Vec<f64> = bounds.collect();
            strict(&exact, &mut bound);
            case.compare(&exact, &bound, |context| {
                let mut gradient = gradient.clone();
                activation::power_gradient(context, x.view(), gradient.view_mut(), n);
                gradient.as_slice().to_vec()
            });
        }
    }
}

fn zscore(case: &mut Case<'_>) {
    let [batch, units] = case.sizes();
    let y = case.matrix(batch, units, -3.0, 2.0);
    for axis in [Axis::Sample, Axis::Unit, Axis::Whole] {
        for rescale in [false, true] {
            let exact = activation::reference::magnitude_zscore(y.as_slice(), batch, units, axis, rescale);
            let mut bound = activation::reference::magnitude_zscore_bounds(y.as_slice(), batch, units, axis, rescale);
            // NaN takes all along the axis: there is no infinity.
            strict(&exact, &mut bound);
            case.compare(&exact, &bound, |context| {
                let mut y = y.clone();
                magnitude_zscore(context, y.view_mut(), axis, rescale);
                y.as_slice().to_vec()
            });
        }
    }
}

/// A few, which are inserted, and half, which are selected; ties among them.
fn k_winners(case: &mut Case<'_>) {
    let [batch, units] = case.sizes();
    let mut y = case.matrix(batch, units, -4.0, 4.0);
    y.as_mut_slice().iter_mut().step_by(3).for_each(|y| *y = y.round());
    let y = case.lay(&y);
    for k in [units.min(3), units.div_ceil(2)] {
        let exact: Vec<f64> = y.view().iter_rows().flat_map(|row| activation::reference::k_winners(row, k)).collect();
        case.compare(&exact, &vec![0.0; exact.len()], |context| {
            let mut y = y.clone();
            activation::k_winners(context, y.view_mut(), k);
            y.values()
        });
    }
}

fn probabilities(case: &mut Case<'_>) {
    let [batch, classes] = case.sizes();
    let logits = case.matrix(batch, classes, -8.0, 8.0);
    let exact: Vec<f64> = logits.view().iter_rows().flat_map(loss::reference::softmax).collect();
    let mut bound: Vec<f64> = logits.view().iter_rows().flat_map(loss::reference::softmax_bounds).collect();
    strict(&exact, &mut bound);
    case.compare(&exact, &bound, |context| {
        let mut logits = logits.clone();
        softmax(context, logits.view_mut());
        logits.as_slice().to_vec()
    });
}

fn cross_entropy(case: &mut Case<'_>) {
    let [batch, classes] = case.sizes();
    let logits = case.matrix(batch, classes, -8.0, 8.0);
    let labels = case.labels(batch, classes);
    // Losses first, then the gradient.
    let (mut exact, mut bound, mut gradients) = (Vec::new(), Vec::new(), Vec::new());
    for (row, &label) in logits.view().iter_rows().zip(&labels) {
        let (value, gradient) = loss::reference::softmax_cross_entropy(row, usize::from(label));
        exact.push(value);
        bound.push(loss::reference::cross_entropy_bound(row, usize::from(label)));
        gradients.push((loss::reference::softmax_bounds(row), gradient));
    }
    for (bounds, gradient) in gradients {
        bound.extend(bounds.iter().map(|bound| bound + gamma(0.5)));
        exact.extend(gradient);
    }
    strict(&exact, &mut bound);
    case.compare(&exact, &bound, |context| {
        let (mut losses, mut gradient) = (vec![f32::NAN; batch], Case::poisoned(batch, classes));
        let (into, view) = (Some(&mut losses[..]), Some(gradient.view_mut()));
        softmax_cross_entropy(context, logits.view(), &labels, into, view);
        losses.extend_from_slice(gradient.as_slice());
        losses
    });
}

/// The share of hits, and every row's largest.
fn hits(case: &mut Case<'_>) {
    let [batch, classes] = case.sizes();
    let mut logits = case.matrix(batch, classes, -2.0, 2.0);
    // Ties, so that the first is seen to win.
    logits.as_mut_slice().iter_mut().for_each(|l| *l = (*l * 4.0).round());
    let labels = case.labels(batch, classes);
    let largest: Vec<usize> = logits.view().iter_rows().map(loss::reference::argmax).collect();
    let rows = logits.view().iter_rows().zip(&labels);
    let hits = rows.filter(|(row, label)| loss::reference::is_right(row, usize::from(**label))).count();
    let mut exact = vec![hits as f64 / batch.max(1) as f64];
    exact.extend(largest.iter().map(|&largest| largest as f64));
    let mut bound = vec![0.0; exact.len()];
    // Only rounded to be compared.
    bound[0] = gamma(1.0) * exact[0];
    case.compare(&exact, &bound, |_| {
        let largest = logits.view().iter_rows().map(|row| loss::argmax(row) as f32);
        std::iter::once(loss::accuracy(logits.view(), &labels) as f32).chain(largest).collect()
    });
}

fn bytes(case: &mut Case<'_>) {
    let [values] = case.sizes();
    let mut generator = case.stream().generator();
    let bytes: Vec<u8> = (0..values).map(|_| below(&mut generator, 256) as u8).collect();
    for (scale, offset) in [(1.0 / 255.0, 0.0), (2.0 / 255.0, -1.0), (0.017, -2.1)] {
        let exact = pixels::reference::to_f32(&bytes, scale, offset);
        // One fused operation: rounded once.
        let bound: Vec<f64> = exact.iter().map(|value| gamma(1.0) * value.abs()).collect();
        case.compare(&exact, &bound, |context| {
            // On a boundary of 64 bytes, as large outputs must be to go past the caches.
            let mut out = Case::poisoned(1, values);
            to_f32(context, &bytes, scale, offset, out.as_mut_slice());
            out.as_slice().to_vec()
        });
    }
}

/// Parameters, then both moments, after a step somewhere in a training.
fn adam_step(case: &mut Case<'_>) {
    let [values] = case.sizes();
    let (w, gradient) = (case.matrix(1, values, -1.0, 1.0), case.matrix(1, values, -3.0, 3.0));
    let (first, mut second) = (case.finite(1, values, -1.0, 1.0), case.finite(1, values, -0.1, 1.0));
    second.as_mut_slice().iter_mut().for_each(|v| *v = v.max(0.0));
    let number = 1 + below(&mut case.stream().generator(), 2000);
    let ours = adam::Step { rate: 0.01, number, scale: 0.5, ..adam::Step::default() };
    for step in [
        ours,
        adam::Step { decay: 0.25, non_negative: true, ..ours },
        adam::Step { beta1: 0.5, beta2: 0.9, epsilon: 1e-3, ..ours },
    ] {
        let state = |at: usize| [w.as_slice()[at], first.as_slice()[at], second.as_slice()[at]].map(f64::from);
        let (mut exact, mut bound) = ([const { Vec::new() }; 3], [const { Vec::new() }; 3]);
        for (at, &g) in gradient.as_slice().iter().enumerate() {
            let found = adam::reference::update(&step, g.into(), state(at));
            let errors = adam::reference::error(&step, g.into(), state(at));
            for part in 0..3 {
                exact[part].push(found[part]);
                bound[part].push(errors[part]);
            }
        }
        let (exact, mut bound) = (exact.concat(), bound.concat());
        strict(&exact, &mut bound);
        case.compare(&exact, &bound, |context| {
            let (m, v) = (first.as_slice().to_vec(), second.as_slice().to_vec());
            let (mut w, mut adam) = (w.as_slice().to_vec(), Adam::from_moments(m, v).expect("as many of both"));
            adam.update(context, &step, gradient.as_slice(), &mut w);
            [&w, adam.first(), adam.second()].concat()
        });
    }
}
