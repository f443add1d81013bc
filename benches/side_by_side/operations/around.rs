//! What stands around layers and their rules: activation, loss, Adam, output layers that learn by local rules.

use std::hint::black_box;

use neuropil::Context;
use neuropil::kernels::activation::{Axis, k_winners as keep_winners, magnitude_zscore};
use neuropil::kernels::adam::{Adam, Step};
use neuropil::kernels::loss::softmax_cross_entropy;
use neuropil::kernels::plasticity::reward_modulated;

use super::{Prepared, into_matrix};
use crate::inputs::Inputs;

/// Of a copy, which is made anew each time: z-scores of z-scores would soon be of one unit alone. Over each sample, or with `unit=1` over
/// each unit.
pub fn zscore(inputs: &Inputs, mut context: Context) -> Prepared {
    let (batch, units) = (inputs.get("batch", 500), inputs.get("k", 2000));
    let axis = if inputs.get("unit", 0) == 1 { Axis::Unit } else { Axis::Sample };
    let y = inputs.uniform("y", batch, units, -1.0, 1.0);
    into_matrix(y.clone(), move |z| {
        z.as_mut_slice().copy_from_slice(y.as_slice());
        magnitude_zscore(&mut context, z.view_mut(), axis, true);
    })
}

/// Of a copy, which is made anew each time.
pub fn k_winners(inputs: &Inputs, mut context: Context) -> Prepared {
    let (batch, units, k) = (inputs.get("batch", 500), inputs.get("k", 2000), inputs.get("winners", 10));
    let y = inputs.uniform("y", batch, units, -1.0, 1.0);
    into_matrix(y.clone(), move |z| {
        z.as_mut_slice().copy_from_slice(y.as_slice());
        keep_winners(&mut context, z.view_mut(), k);
    })
}

/// The mean loss is left out of the answer: the gradient.
pub fn cross_entropy(inputs: &Inputs, mut context: Context) -> Prepared {
    let (batch, classes) = (inputs.get("batch", 2000), inputs.get("classes", 10));
    let logits = inputs.uniform("logits", batch, classes, -1.0, 1.0);
    let labels: Vec<u8> = inputs.labels(batch).iter().map(|&label| label % classes.min(255) as u8).collect();
    into_matrix(logits.clone(), move |gradient| {
        black_box(softmax_cross_entropy(&mut context, logits.view(), &labels, None, Some(gradient.view_mut())));
    })
}

pub fn adam(inputs: &Inputs, mut context: Context) -> Prepared {
    let weights = inputs.get("weights", 1_568_000);
    let (w, gradient) = (inputs.uniform("w", 1, weights, -1.0, 1.0), inputs.uniform("gradient", 1, weights, 0.1, 1.0));
    let (mut adam, step) = (Adam::new(weights), Step { rate: 1e-6, ..Step::default() });
    into_matrix(w, move |w| adam.update(&mut context, &step, gradient.as_slice(), w.as_mut_slice()))
}

pub fn reward(inputs: &Inputs, mut context: Context) -> Prepared {
    let (batch, hidden, classes) = (inputs.get("batch", 50), inputs.get("n", 1000), 10);
    let h = inputs.uniform("h", batch, hidden, 0.05, 1.0);
    let s = inputs.uniform("s", batch, classes, -1.0, 1.0);
    into_matrix(inputs.uniform("w", classes, hidden, -1.0, 1.0), move |w| {
        reward_modulated(&mut context, h.view(), s.view(), w.view_mut(), 1e-6);
    })
}
