//! Layers whose weights or gradients are masked.

use neuropil::kernels::dense::Write;
use neuropil::kernels::masked::{
    FieldLayer, Map, MaskedWeights, Pattern, ReceptiveField, Rectangle, SparseMatrix, field_matmul, sampled_product,
    sparse_matmul,
};
use neuropil::random::{Stream, below};
use neuropil::{Context, Matrix};

use super::{Prepared, into_matrix, timed};
use crate::inputs::{Inputs, uniform};

/// A map of 30 x 30, of which every unit sees two squares, of 10 x 10 unless said otherwise.
const EDGE: usize = 30;

fn pattern(inputs: &Inputs, n: usize, k: usize) -> Pattern {
    match inputs.bytes("mask") {
        Some(mask) => Pattern::from_fn(n, k, |row, col| mask[row * k + col] != 0),
        None => {
            let density = inputs.get("per_mille", 100) as f64 / 1000.0;
            Pattern::random(n, k, density, Stream::new(0, "mask"))
        }
    }
    .expect("a pattern")
}

/// As [`MaskedWeights`] chooses: by lists at low densities, dense at high ones; with `lists=1` by lists at any.
pub fn spmm(inputs: &Inputs, mut context: Context) -> Prepared {
    let (n, k, batch) = (inputs.get("n", 784), inputs.get("k", 2000), inputs.get("batch", 256));
    let w = inputs.uniform("w", n, k, -1.0, 1.0);
    let w = SparseMatrix::from_masked(w.view(), pattern(inputs, n, k)).expect("one shape");
    let x = inputs.uniform("x", batch, n, -1.0, 1.0);
    if inputs.get("lists", 0) == 1 {
        return into_matrix(Matrix::zeros(batch, k), move |y| {
            sparse_matmul(&mut context, x.view(), &w, y.view_mut(), Write::Replace);
        });
    }
    let w = MaskedWeights::sparse(&context, w, batch);
    into_matrix(Matrix::zeros(batch, k), move |y| w.forward(&mut context, x.view(), y.view_mut(), Write::Replace))
}

pub fn sampled(inputs: &Inputs, mut context: Context) -> Prepared {
    let (n, k, batch) = (inputs.get("n", 784), inputs.get("k", 2000), inputs.get("batch", 256));
    let pattern = pattern(inputs, n, k);
    let (x, z) = (inputs.uniform("x", batch, n, -1.0, 1.0), inputs.uniform("z", batch, k, -1.0, 1.0));
    timed(vec![0.0; pattern.entries()], Vec::clone, move |values| {
        sampled_product(&mut context, x.view(), z.view(), &pattern, values);
    })
}

/// The gradient as [`MaskedWeights`] computes it: sampled at low densities, from a dense product at high ones.
pub fn gradient(inputs: &Inputs, mut context: Context) -> Prepared {
    let (n, k, batch) = (inputs.get("n", 784), inputs.get("k", 2000), inputs.get("batch", 256));
    let pattern = pattern(inputs, n, k);
    let (x, z) = (inputs.uniform("x", batch, n, -1.0, 1.0), inputs.uniform("z", batch, k, -1.0, 1.0));
    let (entries, values) = (pattern.entries(), vec![0.0; pattern.entries()]);
    let w = MaskedWeights::sparse(&context, SparseMatrix::new(pattern, values).expect("a value an entry"), batch);
    timed(vec![0.0; entries], Vec::clone, move |values| w.gradient(&mut context, x.view(), z.view(), values))
}

/// With `lists=1` by fields whatever the density, otherwise as [`MaskedWeights`] chooses.
pub fn field(inputs: &Inputs, mut context: Context) -> Prepared {
    let (batch, units, map) = (inputs.get("batch", 256), inputs.get("units", 100), Map { rows: EDGE, cols: EDGE });
    let side = inputs.get("side", 10);
    let corners = inputs.indices("corners").unwrap_or_else(|| {
        let mut generator = Stream::new(0, "fields").generator();
        (0..4 * units).map(|_| below(&mut generator, (EDGE - side + 1) as u64) as u32).collect()
    });
    let square = |at: &[u32]| {
        let (row, col) = (at[0] as usize, at[1] as usize);
        Rectangle::new(row..row + side, col..col + side)
    };
    let field = |at: &[u32]| ReceptiveField::new(map, &[square(&at[..2]), square(&at[2..])]).expect("inside the map");
    let layer = FieldLayer::new(corners.chunks(4).map(field).collect()).expect("one map");
    let weights = inputs.values("w").unwrap_or_else(|| uniform(1, layer.weights(), -1.0, 1.0, "w").as_slice().to_vec());
    let x = inputs.uniform("x", batch, map.len(), -1.0, 1.0);
    if inputs.get("lists", 0) == 1 {
        return into_matrix(Matrix::zeros(batch, units), move |y| {
            field_matmul(&mut context, x.view(), &layer, &weights, y.view_mut(), Write::Replace);
        });
    }
    let w = MaskedWeights::fields(&context, layer, weights, batch).expect("a weight for every value");
    into_matrix(Matrix::zeros(batch, units), move |y| w.forward(&mut context, x.view(), y.view_mut(), Write::Replace))
}
