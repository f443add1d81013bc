//! Layers and their rules: dense products, Hebbian updates, weight perturbation, and what brings images to them.

use std::hint::black_box;

use neuropil::kernels::dense::{Write, matmul, matmul_nt, matmul_tn};
use neuropil::kernels::hebbian::{self, Competition, KrotovHopfield, Reduction, Update};
use neuropil::kernels::perturb::{self, Draws, WeightPerturbation, Workspace};
use neuropil::kernels::{activation, pixels};
use neuropil::random::{Stream, below};
use neuropil::{Context, MatMut, MatRef, Matrix};

use super::{Prepared, into_matrix};
use crate::inputs::Inputs;

const UPDATE: Update = Update { rate: 1e-6, reduction: Reduction::Mean, non_negative: false };

/// Inputs and units of a layer.
fn layer(inputs: &Inputs) -> (usize, usize) {
    (inputs.get("n", 784), inputs.get("k", 2000))
}

pub fn dense(inputs: &Inputs, mut context: Context) -> Prepared {
    let (m, k, n) = (inputs.get("m", 256), inputs.get("k", 784), inputs.get("n", 2000));
    let (a, b) = (inputs.uniform("a", m, k, -1.0, 1.0), inputs.uniform("b", k, n, -1.0, 1.0));
    into_matrix(Matrix::zeros(m, n), move |c| matmul(&mut context, a.view(), b.view(), c.view_mut(), Write::Replace))
}

pub fn dense_nt(inputs: &Inputs, mut context: Context) -> Prepared {
    let (m, k, n) = (inputs.get("m", 256), inputs.get("k", 784), inputs.get("n", 2000));
    let (a, b) = (inputs.uniform("a", m, k, -1.0, 1.0), inputs.uniform("b", n, k, -1.0, 1.0));
    into_matrix(Matrix::zeros(m, n), move |c| matmul_nt(&mut context, a.view(), b.view(), c.view_mut(), Write::Replace))
}

pub fn dense_tn(inputs: &Inputs, mut context: Context) -> Prepared {
    let (m, k, n) = (inputs.get("m", 2000), inputs.get("k", 2000), inputs.get("n", 10));
    let (a, b) = (inputs.uniform("a", k, m, -1.0, 1.0), inputs.uniform("b", k, n, -1.0, 1.0));
    into_matrix(Matrix::zeros(m, n), move |c| matmul_tn(&mut context, a.view(), b.view(), c.view_mut(), Write::Replace))
}

/// So many winners a sample, or with `winners=0` a soft competition.
pub fn winner_take_all(inputs: &Inputs, context: Context) -> Prepared {
    let competition = match inputs.get("winners", 1) {
        0 => Competition::Soft { temperature: 1.0 },
        1 => Competition::Hard,
        k => Competition::Top(k),
    };
    update(inputs, context, move |context, x, z, w, update| {
        hebbian::winner_take_all(context, x, z, w, competition, update);
    })
}

/// Whatever the nonlinearity is: none. At a rate whose changes the rounding of the weights does not hide.
pub fn independent(inputs: &Inputs, context: Context) -> Prepared {
    update(inputs, context, |context, _, z, w, update| {
        hebbian::ica(context, z, z, w, &Update { rate: 100.0 * update.rate, ..*update });
    })
}

pub fn update(
    inputs: &Inputs,
    mut context: Context,
    rule: impl Fn(&mut Context, MatRef<'_>, MatRef<'_>, MatMut<'_>, &Update) + 'static,
) -> Prepared {
    let ((n, k), batch) = (layer(inputs), inputs.get("batch", 64));
    let (x, z) = (inputs.uniform("x", batch, n, 0.05, 1.0), inputs.uniform("z", batch, k, 0.05, 1.0));
    let w = inputs.uniform("w", n, k, -5e-4, 5e-4);
    into_matrix(w, move |w| rule(&mut context, x.view(), z.view(), w.view_mut(), &UPDATE))
}

pub fn krotov(inputs: &Inputs, mut context: Context) -> Prepared {
    let (n, batch, units) = (layer(inputs).0, inputs.get("batch", 100), inputs.get("units", 2000));
    let rule = KrotovHopfield { p: 2, k: 2, delta: 0.4, non_negative: false };
    let (x, w) = (inputs.uniform("x", batch, n, 0.0, 1.0), inputs.uniform("w", units, n, -1.0, 1.0));
    into_matrix(w, move |w| {
        black_box(hebbian::krotov_hopfield(&mut context, x.view(), w.view_mut(), &rule, 1e-4));
    })
}

pub fn gaussian(inputs: &Inputs, mut context: Context) -> Prepared {
    into_matrix(Matrix::zeros(1, inputs.get("count", 1_568_000)), move |out| {
        perturb::gaussian(&mut context, Stream::new(0, "noise"), 1.0, out.as_mut_slice());
    })
}

pub fn perturb(inputs: &Inputs, mut context: Context) -> Prepared {
    let (k, batch, classes) = (layer(inputs).1, inputs.get("batch", 2000), 10);
    let (z, w) = (inputs.uniform("z", batch, k, 0.05, 1.0), inputs.uniform("w", k, classes, -0.05, 0.05));
    let labels = inputs.labels(batch);
    let rule = WeightPerturbation { rate: 1e-6, sigma: 0.0126, non_negative: false, draws: Draws::Batch };
    let (bias, stream, mut workspace, mut step) =
        (vec![0.0; classes], Stream::new(0, "noise"), Workspace::default(), 0);
    into_matrix(w, move |w| {
        step += 1;
        let (w, stream) = (w.view_mut(), stream.item(step));
        perturb::weight_perturbation(&mut context, z.view(), &labels, w, &bias, &rule, stream, &mut workspace);
    })
}

pub fn normalise(inputs: &Inputs, mut context: Context) -> Prepared {
    let (images, pixels) = (inputs.get("images", 60_000), inputs.get("pixels", 784));
    let bytes = inputs.bytes("bytes").unwrap_or_else(|| {
        let mut generator = Stream::new(0, "bytes").generator();
        (0..images * pixels).map(|_| below(&mut generator, 256) as u8).collect()
    });
    into_matrix(Matrix::zeros(images, pixels), move |out| {
        pixels::to_f32(&mut context, &bytes, 1.0 / 255.0, 0.0, out.as_mut_slice());
    })
}

/// A pass over the data with the hidden layer's update: z = ReLU(x w), then Oja's subspace rule. Its rate in millionths.
pub fn epoch(inputs: &Inputs, mut context: Context) -> Prepared {
    let ((n, k), images, batch) = (layer(inputs), inputs.get("images", 60_000), inputs.get("batch", 2000));
    let (x, w) = (inputs.uniform("x", batch, n, 0.05, 1.0), inputs.uniform("w", n, k, -0.01, 0.01));
    let update = Update { rate: inputs.get("rate", 1) as f32 * 1e-6, ..UPDATE };
    let mut z = Matrix::zeros(batch, k);
    into_matrix(w, move |w| {
        for _ in 0..images / batch {
            matmul(&mut context, x.view(), w.view(), z.view_mut(), Write::Replace);
            activation::relu(&mut context, z.view_mut());
            hebbian::oja_subspace(&mut context, x.view(), z.view(), w.view_mut(), &update);
        }
    })
}
