//! Checks of the plasticity of output layers.

use super::{Case, Check, Dim, UNDERFLOW, gamma, strict};
use crate::kernels::plasticity::{self, Reading, reference};
use crate::matrix::Matrix;

const LAYER: &[Dim] = &[
    Dim { name: "batch", min: 0, max: 130 },
    Dim { name: "units", min: 0, max: 40 },
    Dim { name: "inputs", min: 0, max: 5000 },
];

const SIGNALS: &[Dim] = &[Dim { name: "batch", min: 0, max: 130 }, Dim { name: "units", min: 1, max: 40 }];

pub(super) const CHECKS: &[Check] = &[
    Check { kernel: "plasticity::logits", dims: LAYER, run: logits },
    Check { kernel: "plasticity::gradient", dims: LAYER, run: gradient },
    Check { kernel: "plasticity::sign_descent", dims: LAYER, run: sign_descent },
    Check { kernel: "plasticity::reward_signal", dims: SIGNALS, run: reward_signal },
    Check { kernel: "plasticity::reward_modulated", dims: LAYER, run: reward_modulated },
];

fn logits(case: &mut Case<'_>) {
    let [batch, units, inputs] = case.sizes();
    let (h, w) = (case.matrix(batch, inputs, -0.5, 1.0), case.matrix(units, inputs, -1.0, 1.0));
    let (exact, sizes) = reference::logits(h.view(), w.view());
    let factor = gamma(inputs as f64 / 16.0 + 6.0);
    let bound: Vec<f64> = sizes.iter().map(|size| factor * size).collect();
    case.compare(&exact, &bound, |context| {
        let mut y = Case::poisoned(batch, units);
        plasticity::logits(context, h.view(), w.view(), y.view_mut());
        y.as_slice().to_vec()
    });
}

fn gradient(case: &mut Case<'_>) {
    let [batch, units, inputs] = case.sizes();
    let (h, d) = (case.matrix(batch, inputs, -0.5, 1.0), case.matrix(batch, units, -1.0, 1.0));
    let (exact, sizes) = reference::gradient(h.view(), d.view());
    let bound: Vec<f64> = sizes.iter().map(|size| gamma(batch as f64) * size).collect();
    case.compare(&exact, &bound, |context| {
        let mut g = Case::poisoned(units, inputs);
        plasticity::gradient(context, h.view(), d.view(), g.view_mut());
        g.as_slice().to_vec()
    });
}

fn sign_descent(case: &mut Case<'_>) {
    let [batch, units, inputs] = case.sizes();
    let (h, d) = (case.matrix(batch, inputs, -0.5, 1.0), case.matrix(batch, units, -1.0, 1.0));
    let w = case.matrix(units, inputs, -1.0, 1.0);
    let (exact, sizes) = reference::gradient(h.view(), d.view());
    let rate = 0.01f32;
    let changed = |context: &mut crate::Context| {
        let mut w = w.clone();
        plasticity::sign_descent(context, h.view(), d.view(), w.view_mut(), rate);
        w.as_slice().to_vec()
    };
    // The sign is certain where the sum is beyond its error, an infinity or NaN, whose sign is zero; elsewhere any of the three is right.
    case.judge(changed, |got| {
        let right = |(i, &got): (usize, &f32)| {
            let (old, bound) = (w.as_slice()[i], gamma(batch as f64) * sizes[i] + UNDERFLOW);
            let steps: &[f32] = match exact[i] {
                sum if sum.is_nan() => &[0.0],
                sum if sum > bound || sum == f64::INFINITY => &[-1.0],
                sum if sum < -bound || sum == f64::NEG_INFINITY => &[1.0],
                _ => &[-1.0, 0.0, 1.0],
            };
            old.is_nan() && got.is_nan() || steps.iter().any(|step| got == old + step * rate)
        };
        if got.len() == exact.len() && got.iter().enumerate().all(right) { 0.0 } else { f64::INFINITY }
    });
}

fn reward_signal(case: &mut Case<'_>) {
    let [batch, units] = case.sizes();
    let (difference, losses) = (case.matrix(batch, units, -1.0, 1.0), case.matrix(1, batch, 0.0, 2.0));
    for reading in [Reading::Signed, Reading::Printed, Reading::Prose] {
        let of = |(at, &difference): (usize, &f32)| {
            let loss = f64::from(losses.as_slice()[at / units]);
            reference::reward_signal(reading, 0.75, loss, f64::from(difference))
        };
        let exact: Vec<f64> = difference.as_slice().iter().enumerate().map(of).collect();
        case.compare(&exact, &vec![0.0; exact.len()], |_| {
            let mut s = difference.clone();
            plasticity::reward_signal(reading, 0.75, losses.as_slice(), s.view_mut());
            s.as_slice().to_vec()
        });
    }
}

fn reward_modulated(case: &mut Case<'_>) {
    let [batch, units, inputs] = case.sizes();
    let (h, drawn) = (case.matrix(batch, inputs, -1.0, 1.0), case.matrix(batch, units, -1.5, 1.5));
    // Signals are -1, 0 and 1, or no numbers: their sums are exact, the step is rounded once.
    let s = Matrix::from_fn(batch, units, |b, j| drawn.row(b)[j].round());
    let w = case.matrix(units, inputs, -1.0, 1.0);
    let exact = reference::reward_modulated(h.view(), s.view(), w.view(), 0.3);
    let mut bound: Vec<f64> = exact.iter().map(|value| gamma(1.0) * value.abs()).collect();
    strict(&exact, &mut bound);
    case.compare(&exact, &bound, |context| {
        let mut w = w.clone();
        plasticity::reward_modulated(context, h.view(), s.view(), w.view_mut(), 0.3);
        w.as_slice().to_vec()
    });
}
